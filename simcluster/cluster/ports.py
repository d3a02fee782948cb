"""The wires at the ends of a way: NVLink, PCIe and NIC of every rank, by table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from simcluster.cluster import wiring
from simcluster.cluster.cluster import Cluster
from simcluster.cluster.messages import Ints

if TYPE_CHECKING:
    from simcluster.cluster.wiring import Graph

NO_WIRE = -1
_SWITCHES = ("leaf", "spine", "core", "top")


class Ports:
    """Tables by rank or NIC; `NO_WIRE` where a wire is dead.

    `nic_of_rank` numbers NICs through the whole cluster; a rank whose NIC has no cable left uses the next of its node
    that has one, -1 if there is none.  `anchor_of_nic` is the switch a NIC's only cable leads to, or the NIC itself
    where it has several; `anchors` are these and all switches.
    """

    def __init__(self, cluster: Cluster, graph: Graph, wire: Mapping[tuple[str, str], int]) -> None:
        self._cluster = cluster
        self._wire = wire
        per_node = cluster.gpus_per_node
        gpus = [(rank // per_node, wiring.gpu(*divmod(rank, per_node))) for rank in range(cluster.gpus)]
        self.nvlink_out = self.nvlink_in = self._pcie_out = self._pcie_in = np.zeros(0, dtype=np.int64)
        self._mesh: Ints | None = None
        self.inside_latency_s = 0.0
        if cluster.pcie is not None:
            self.inside_latency_s = cluster.pcie.latency_s
            self._pcie_out, self._pcie_in = self._both([(name, wiring.pcie_root(node)) for node, name in gpus])
        if cluster.nvlink is not None:
            self.inside_latency_s = cluster.nvlink.latency_s
            if cluster.nvlink.topology == "mesh":
                self._mesh = self._table([[gpus[node * per_node + i][1] for i in range(per_node)]
                                          for node in range(cluster.nodes)])  # fmt: skip
            else:
                ends = [(name, wiring.nvswitch(cluster, node)) for node, name in gpus]
                self.nvlink_out, self.nvlink_in = self._both(ends)
        self.anchors = [name for name, data in graph.nodes(data=True) if data["kind"] in _SWITCHES]
        self.anchor_of_nic: list[str] = []
        self.nic_out = self.nic_in = self.nic_of_rank = np.zeros(0, dtype=np.int64)
        self.latency_out_s: list[float] = []
        self.latency_in_s: list[float] = []
        if cluster.uses_nics:
            self._plug(graph)

    def _number(self, tail: str, head: str) -> int:
        return self._wire.get((tail, head), NO_WIRE)

    def _both(self, ends: list[tuple[str, str]]) -> tuple[Ints, Ints]:
        outward = np.array([self._number(*end) for end in ends], dtype=np.int64)
        inward = np.array([self._number(*end[::-1]) for end in ends], dtype=np.int64)
        return outward, inward

    def _table(self, nodes: list[list[str]]) -> Ints:
        """Wires of a mesh, shape (nodes, GPUs, GPUs)."""
        return np.array([[[self._number(a, b) for b in names] for a in names] for names in nodes], dtype=np.int64)

    def _plug(self, graph: Graph) -> None:
        cluster, infiniband = self._cluster, self._cluster.infiniband
        assert infiniband is not None
        rails = infiniband.nics_per_node
        nics = [wiring.nic(node, index) for node in range(cluster.nodes) for index in range(rails)]
        alive: list[bool] = []
        out: list[int] = []
        into: list[int] = []
        for name in nics:
            cables = [head for head in graph.successors(name) if (name, head) in self._wire]
            single = len(cables) == 1 and graph.nodes[cables[0]]["kind"] in _SWITCHES
            anchor = cables[0] if single else name
            if not single:
                self.anchors.append(name)
            self.anchor_of_nic.append(anchor)
            alive.append(bool(cables))
            for tail, head, wires, latencies in (
                (name, anchor, out, self.latency_out_s),
                (anchor, name, into, self.latency_in_s),
            ):
                wires.append(self._number(tail, head) if single else NO_WIRE)
                latencies.append((graph.edges[tail, head].get("latency") or 0.0) if wires[-1] != NO_WIRE else 0.0)
        self.nic_out, self.nic_in = np.array(out, dtype=np.int64), np.array(into, dtype=np.int64)
        chosen = []
        for rank in range(cluster.gpus):
            node, gpu = divmod(rank, cluster.gpus_per_node)
            own = cluster.nic_of_gpu(gpu)
            order = [node * rails + (own + turn) % rails for turn in range(rails)]
            chosen.append(next((nic for nic in order if alive[nic]), -1))
        self.nic_of_rank = np.array(chosen, dtype=np.int64)

    def near(self, ranks: Ints) -> Ints | None:
        """See Routes.near_ports."""
        if self._mesh is not None:
            return None
        out, into = self.nvlink_out, self.nvlink_in
        if self._cluster.nvlink is None:
            out, into = self._pcie_out, self._pcie_in
        return np.concatenate([out[ranks], into[ranks]], axis=-1) if len(out) else None

    def between(self, message: Ints, sender: Ints, receiver: Ints) -> list[tuple[Ints, Ints]]:
        """(message, wire) of ways inside a domain."""
        if self._mesh is not None:
            per_node = self._cluster.gpus_per_node
            return [(message, self._mesh[sender // per_node, sender % per_node, receiver % per_node])]
        out, into = self.nvlink_out, self.nvlink_in
        if self._cluster.nvlink is None:
            out, into = self._pcie_out, self._pcie_in
        return [(message, out[sender]), (message, into[receiver])]

    def gate(self, sender: Ints, receiver: Ints) -> Ints:
        """The rank whose NIC each message leaves by: the sender, or, with rail forwarding, its node's GPU on the rail
        of the receiver's NIC, at the same place among those that share a NIC."""
        cluster = self._cluster
        assert cluster.infiniband is not None
        railed = cluster.infiniband.fabric == "rail-optimized" and cluster.nvlink is not None
        if not (cluster.routing.rail_forwarding and railed):
            return sender
        rails = cluster.infiniband.nics_per_node
        sharing = cluster.gpus_per_node // rails
        mine, yours = self.nic_of_rank[sender] % rails, self.nic_of_rank[receiver] % rails
        node = sender // cluster.gpus_per_node
        other = node * cluster.gpus_per_node + yours * sharing + sender % sharing
        on_rail = self.nic_of_rank[other] % rails == yours
        return np.where((mine != yours) & on_rail, other, sender)

    def through_nics(
        self, message: Ints, sender: Ints, receiver: Ints, out_nic: Ints, in_nic: Ints
    ) -> list[tuple[Ints, Ints]]:
        """(message, wire) from GPU to the first switch and from the last switch to GPU."""
        hops = []
        if self._cluster.pcie is not None:
            hops += [(message, self._pcie_out[sender]), (message, self._pcie_in[receiver])]
        for table, nic in ((self.nic_out, out_nic), (self.nic_in, in_nic)):
            wire = table[nic]
            plugged = wire != NO_WIRE
            hops.append((message[plugged], wire[plugged]))
        return hops
