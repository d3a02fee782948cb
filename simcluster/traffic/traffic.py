"""Traffic: what one collective of one group puts on the wires, ready to be shared."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simcluster.cluster.cluster import Cluster
from simcluster.cluster.messages import Everyone, Load, Messages
from simcluster.cluster.routes import Routes
from simcluster.program.program import Groups
from simcluster.timeline.timeline import MOST_NODES
from simcluster.traffic.crossings import Crossings, Floats, Ints
from simcluster.traffic.pattern import Group, Pattern, Phase


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leg:
    """One phase of a collective, per byte of its payload.

    `flows` are what gets one fair share of the wires each: the collective as one activity, or its messages.  Progress
    of an activity is counted in bytes through its busiest port (a GPU's NVLink or PCIe, or a NIC, one direction):
    `port_share` such bytes per byte of payload; so two collectives that meet on a port they both load most get equal
    shares of it, whatever their sizes.  `flow_share[i]` is how far flow i has to go, per byte of payload.  `alone_rate`
    is the activity's progress in bytes/s with the wires to itself, `full_wire` the wire that limits it then, `limit` a
    rate that its algorithm cannot pass whatever the wires do.
    """

    latency_s: float
    port_share: float
    alone_rate: float
    full_wire: int
    flows: Crossings
    flow_share: Floats
    limit: float = float("inf")

    def alone_s(self, payload_bytes: float) -> float:
        """latency + the time of its fullest wire: bytes on that wire / its capacity."""
        return self.latency_s + payload_bytes * self.port_share / min(self.alone_rate, self.limit)

    def lone_rate(self, capacity: Floats) -> float:
        """Bytes/s of progress of a single flow with the wires to itself, their capacities given: the least of
        capacity / use."""
        return min(float(self.limits()[0]), float((capacity[self.flows.wire] / self.flows.use).min()))

    def limits(self) -> Floats:
        """The rate that each of `flows` cannot pass: its part of the algorithm's pace."""
        return self.limit * (self.flow_share / self.port_share) if self.flows.count else np.zeros(0)

    def progress_bytes(self, payload_bytes: float) -> Floats:
        """How far each of `flows` has to go."""
        return payload_bytes * self.flow_share


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


def routed(shape: Pattern, group: Group, routes: Routes) -> Traffic:
    """A pattern put on its routes; the collective's overhead counts once, in the first leg."""
    sent_in = [phase.listed() for phase in shape.phases]
    loads = [routes.load(sent, phase.reductions) for sent, phase in zip(sent_in, shape.phases, strict=True)]
    legs = [_leg(*part, routes) for part in zip(shape.phases, sent_in, loads, strict=True)]
    legs[0] = replace(legs[0], latency_s=legs[0].latency_s + routes.cluster.gpu.collective_overhead_s)
    sums = [one for phase in shape.phases for one in phase.reductions]
    sent = sum(float(messages.bytes.sum()) for messages in sent_in)
    pair, share = between_nodes(shape, routes.cluster)
    return Traffic(
        algorithm=shape.algorithm,
        legs=tuple(legs),
        sent_share=(sent + sum(one.bytes * len(one.ranks) for one in sums)) / len(group),
        nvlink_share=sum(load.nvlink_bytes for load in loads) / len(group),
        infiniband_share=sum(load.infiniband_bytes for load in loads) / len(group),
        node_pair=pair,
        node_share=share,
    )


def _leg(phase: Phase, messages: Messages, load: Load, routes: Routes) -> Leg:
    if len(load.wire) == 0:
        return nothing()
    port_share = float(load.bytes[routes.is_port[load.wire]].max())
    use = load.bytes / port_share
    drain = routes.capacity[load.wire] / use
    full = int(np.argmax(drain <= drain.min() * (1 + EQUALLY_FULL)))
    leg = Leg(
        latency_s=phase.rounds * load.latency_s + phase.forwards * routes.inside_latency_s,
        port_share=port_share,
        alone_rate=float(drain[full]),
        full_wire=int(load.wire[full]),
        flows=Crossings(flow=np.zeros(len(use), dtype=np.int64), wire=load.wire, use=use, count=1),
        flow_share=np.array([port_share]),
    )
    if routes.cluster.sharing == "activity" or phase.reductions:
        return leg
    crossing = routes.crossing(messages)
    flows = Crossings(flow=crossing.message, wire=crossing.wire, use=crossing.share, count=len(messages.bytes))
    return replace(leg, flows=flows, flow_share=messages.bytes)


EQUALLY_FULL = 1e-9
"""Wires whose times differ by less are equally full, and the first is named: sums in another order differ so."""


def nothing() -> Leg:
    """A phase without messages."""
    return Leg(
        latency_s=0.0,
        port_share=0.0,
        alone_rate=np.inf,
        full_wire=-1,
        flows=Crossings.joined([]),
        flow_share=np.zeros(0),
    )


def between_nodes(shape: Pattern, cluster: Cluster, groups: Groups | None = None) -> tuple[Ints, Floats]:
    """Bytes by pair of nodes (from * nodes + to), per byte of payload, of the pattern; of `groups`, whose first it is
    made for, all together.

    What switches add counts as sent to the group's other nodes evenly.  Nothing for more than MOST_NODES nodes.
    """
    nodes, per_node = cluster.nodes, cluster.gpus_per_node
    if nodes > MOST_NODES:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    total = np.zeros(nodes * nodes)
    shifts = np.zeros(1, dtype=np.int64) if groups is None else groups.firsts()
    for phase in shape.phases:
        messages = [phase.listed()]
        for reduction in phase.reductions:
            everyone = Everyone(parts=(reduction.ranks,), bytes=reduction.bytes / max(1, len(reduction.ranks) - 1))
            messages.append(everyone.listed())
        for sent in messages:
            sender, receiver = (shifts[:, None] + ends for ends in (sent.sender, sent.receiver))
            pair = (sender // per_node * nodes + receiver // per_node).ravel()
            total += np.bincount(pair, weights=np.tile(sent.bytes, len(shifts)), minlength=len(total))
    pairs = np.flatnonzero(total)
    return pairs, total[pairs]
