"""Traffic: what one collective of one group puts on the wires, ready to be shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simcluster.cluster.routes import Routes
from simcluster.program.program import CollectiveKind
from simcluster.replay.collectives import Group, pattern
from simcluster.replay.sharing import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """The load of one collective per byte of its payload.

    Its progress is counted in bytes through its busiest port (a GPU's NVLink or a NIC, one direction): `port_share`
    such bytes per byte of payload; `use[j]` is bytes on wire `wire[j]` per byte of progress.  So two collectives that
    meet on a port they both load most get equal shares of it, whatever their sizes.  `sent_share`, `nvlink_share` and
    `infiniband_share` are bytes that one member sends, mean over the group, per byte of payload.  `node_share[i]`
    bytes go from node `node_pair[i] // nodes` to node `node_pair[i] % nodes`, again per byte of payload.  `alone_rate`
    is its progress in bytes/s with the wires to itself, `full_wire` the wire that limits it then.
    """

    algorithm: str
    latency_s: float
    port_share: float
    wire: Ints
    use: Floats
    sent_share: float
    nvlink_share: float
    infiniband_share: float
    node_pair: Ints
    node_share: Floats
    alone_rate: float
    full_wire: int

    def progress_bytes(self, payload_bytes: float) -> float:
        """Bytes its busiest port carries for a payload."""
        return payload_bytes * self.port_share

    def alone_s(self, payload_bytes: float) -> float:
        """latency + the time of its fullest wire: bytes on that wire / its capacity."""
        return self.latency_s + self.progress_bytes(payload_bytes) / self.alone_rate


def traffic(kind: CollectiveKind, group: Group, routes: Routes) -> Traffic:
    """The traffic of one collective over `group`: messages of its algorithm, put on their routes."""
    shape = pattern(kind, group, routes.cluster.gpus_per_node)
    load = routes.load(shape.messages)
    on_ports = load.bytes[routes.is_port[load.wire]]
    port_share = float(on_ports.max())
    use = load.bytes / port_share
    nodes, per_node = routes.cluster.nodes, routes.cluster.gpus_per_node
    sent = shape.messages
    pair, where = np.unique(sent.sender // per_node * nodes + sent.receiver // per_node, return_inverse=True)
    drain = routes.capacity[load.wire] / use
    full = int(np.argmin(drain))
    return Traffic(
        algorithm=shape.algorithm,
        latency_s=shape.steps * load.latency_s + routes.cluster.gpu.collective_overhead_s,
        port_share=port_share,
        wire=load.wire,
        use=use,
        sent_share=float(shape.messages.bytes.sum()) / len(group),
        nvlink_share=load.nvlink_bytes / len(group),
        infiniband_share=load.infiniband_bytes / len(group),
        node_pair=pair,
        node_share=np.bincount(where, weights=sent.bytes).astype(np.float64),
        alone_rate=float(drain[full]),
        full_wire=int(load.wire[full]),
    )
