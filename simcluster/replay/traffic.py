"""Traffic: what one collective of one group puts on the wires, ready to be shared."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simcluster.cluster.messages import Load
from simcluster.cluster.routes import Routes
from simcluster.program.program import CollectiveKind, Copies
from simcluster.replay.collectives import pattern
from simcluster.replay.pattern import Group, Pattern, Phase
from simcluster.replay.sharing import Crossings, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leg:
    """One phase of a collective, per byte of its payload.

    Its progress is counted in bytes through its busiest port (a GPU's NVLink or PCIe, or a NIC, one direction):
    `port_share` such bytes per byte of payload; `use[j]` is bytes on wire `wire[j]` per byte of progress.  So two
    collectives that meet on a port they both load most get equal shares of it, whatever their sizes.  `alone_rate` is
    its progress in bytes/s with the wires to itself, `full_wire` the wire that limits it then, `limit` a rate that its
    algorithm cannot pass whatever the wires do.  Where each message has its own fair share, `flows` are the wires of
    each and `flow_share` its bytes per byte of payload.
    """

    latency_s: float
    port_share: float
    wire: Ints
    use: Floats
    alone_rate: float
    full_wire: int
    limit: float = float("inf")
    flows: Crossings | None = None
    flow_share: Floats | None = None

    def alone_s(self, payload_bytes: float) -> float:
        """latency + the time of its fullest wire: bytes on that wire / its capacity."""
        return self.latency_s + payload_bytes * self.port_share / min(self.alone_rate, self.limit)

    def crossings(self) -> Crossings:
        """What gets one fair share each: the messages, or the collective as one activity."""
        if self.flows is not None:
            return self.flows
        return Crossings(flow=np.zeros(len(self.wire), dtype=np.int64), wire=self.wire, use=self.use, count=1)

    def limits(self) -> Floats:
        """The rate that each of `crossings` cannot pass: its part of the algorithm's pace."""
        if self.flow_share is None:
            return np.array([self.limit])
        return self.limit / self.port_share * self.flow_share

    def progress_bytes(self, payload_bytes: float) -> Floats:
        """How far each of `crossings` has to go."""
        share = np.array([self.port_share]) if self.flow_share is None else self.flow_share
        return payload_bytes * share


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """The load of one collective: its legs, one after the other, and what its members send, per byte of payload.

    `sent_share`, `nvlink_share` and `infiniband_share` are bytes that one member sends, mean over the group.
    `node_share[i]` bytes go from node `node_pair[i] // nodes` to node `node_pair[i] % nodes`.
    """

    algorithm: str
    legs: tuple[Leg, ...]
    sent_share: float
    nvlink_share: float
    infiniband_share: float
    node_pair: Ints
    node_share: Floats

    @property
    def latency_s(self) -> float:
        return sum(leg.latency_s for leg in self.legs)

    def alone_s(self, payload_bytes: float) -> float:
        """Seconds of the legs one after the other, with the wires to themselves."""
        return sum(leg.alone_s(payload_bytes) for leg in self.legs)

    def slowest_leg(self, payload_bytes: float) -> Leg:
        """The leg that takes longest, latency aside."""
        return max(self.legs, key=lambda leg: leg.alone_s(payload_bytes) - leg.latency_s)


def traffic(
    kind: CollectiveKind,
    group: Group,
    routes: Routes,
    *,
    algorithm: str = "auto",
    copies: Copies | None = None,
    back: bool = False,
) -> Traffic:
    """The traffic of one collective over `group`: messages of its algorithm, put on their routes.

    ValueError says why the group cannot use the algorithm; CutOffError that a way is missing.
    """
    return routed(pattern(kind, group, routes.cluster, algorithm, copies, back=back), group, routes)


def routed(shape: Pattern, group: Group, routes: Routes) -> Traffic:
    """A pattern put on its routes; the collective's overhead counts once, in the first leg."""
    loads = [routes.load(phase.messages, phase.reductions) for phase in shape.phases]
    legs = [_leg(phase, load, routes) for phase, load in zip(shape.phases, loads, strict=True)]
    legs[0] = replace(legs[0], latency_s=legs[0].latency_s + routes.cluster.gpu.collective_overhead_s)
    sums = [one for phase in shape.phases for one in phase.reductions]
    sent = sum(float(phase.messages.bytes.sum()) for phase in shape.phases)
    pair, share = _between_nodes(shape.phases, routes)
    return Traffic(
        algorithm=shape.algorithm,
        legs=tuple(legs),
        sent_share=(sent + sum(one.bytes * len(one.ranks) for one in sums)) / len(group),
        nvlink_share=sum(load.nvlink_bytes for load in loads) / len(group),
        infiniband_share=sum(load.infiniband_bytes for load in loads) / len(group),
        node_pair=pair,
        node_share=share,
    )


def _leg(phase: Phase, load: Load, routes: Routes) -> Leg:
    if len(load.wire) == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return Leg(latency_s=0.0, port_share=0.0, wire=nothing, use=np.zeros(0), alone_rate=np.inf, full_wire=-1)
    port_share = float(load.bytes[routes.is_port[load.wire]].max())
    use = load.bytes / port_share
    drain = routes.capacity[load.wire] / use
    full = int(np.argmin(drain))
    leg = Leg(
        latency_s=phase.rounds * load.latency_s + phase.forwards * routes.inside_latency_s,
        port_share=port_share,
        wire=load.wire,
        use=use,
        alone_rate=float(drain[full]),
        full_wire=int(load.wire[full]),
    )
    if routes.cluster.sharing == "activity" or phase.reductions:
        return leg
    crossing = routes.crossing(phase.messages)
    flows = Crossings(flow=crossing.message, wire=crossing.wire, use=crossing.share, count=len(phase.messages.bytes))
    return replace(leg, flows=flows, flow_share=phase.messages.bytes)


def _between_nodes(phases: tuple[Phase, ...], routes: Routes) -> tuple[Ints, Floats]:
    """Bytes by pair of nodes; what switches add counts as sent to the group's other nodes evenly."""
    nodes, per_node = routes.cluster.nodes, routes.cluster.gpus_per_node
    pairs, sizes = [], []
    for phase in phases:
        sent = phase.messages
        pairs.append(sent.sender // per_node * nodes + sent.receiver // per_node)
        sizes.append(sent.bytes)
        for reduction in phase.reductions:
            home = np.array(reduction.ranks, dtype=np.int64) // per_node
            others = max(1, len(home) - 1)
            one, other = (axis.ravel() for axis in np.meshgrid(home, home, indexing="ij"))
            distinct = ~np.eye(len(home), dtype=np.bool_).ravel()
            pairs.append((one * nodes + other)[distinct])
            sizes.append(np.full(int(distinct.sum()), reduction.bytes / others))
    pair, where = np.unique(np.concatenate(pairs), return_inverse=True)
    return pair, np.bincount(where, weights=np.concatenate(sizes)).astype(np.float64)
