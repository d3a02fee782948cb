"""Which wires a message crosses, and how many bytes a set of messages puts on each.

Inside a node a message goes GPU -> NVSwitch -> GPU.  Between nodes it goes through the sender's NIC, along the shortest
paths between the two NICs' switches (split evenly where several are shortest, as adaptive routing does), and through
the receiver's NIC.  GPUs never forward.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from simcluster.cluster import topology
from simcluster.cluster.cluster import Cluster

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """A set of messages: `sender[i]` sends `bytes[i]` bytes to the different rank `receiver[i]`."""

    sender: Ints
    receiver: Ints
    bytes: Floats

    def only(self, chosen: NDArray[np.bool_]) -> Messages:
        return Messages(sender=self.sender[chosen], receiver=self.receiver[chosen], bytes=self.bytes[chosen])


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a set of messages puts on the wires.

    `wire` and `bytes` are parallel arrays of the wires crossed; `latency_s` is that of the slowest message;
    `nvlink_bytes` counts each message once per NVLink traversal, `infiniband_bytes` once if it leaves its node.
    """

    wire: Ints
    bytes: Floats
    latency_s: float
    nvlink_bytes: float
    infiniband_bytes: float


class Routes:
    """The routes of one cluster, found on its graph once and then answered by table.

    `graph` is the wiring; wires are numbered in its order, with `capacity` (usable bytes/s) and
    `wire_class` of each; `wires` are their ends in the graph; `is_port` marks those a GPU or NIC ends in.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.graph = topology.build(cluster)
        listed = list(topology.wires(self.graph))
        self.capacity: Floats = np.array([capacity for _, _, capacity, _ in listed], dtype=np.float64)
        self.wire_class = tuple(wire_class for _, _, _, wire_class in listed)
        self.is_port = np.array(
            [wire_class.kind in ("nvlink", "nic") for wire_class in self.wire_class], dtype=np.bool_
        )
        self.wires = tuple((tail, head) for tail, head, _, _ in listed)
        self._wire = {(tail, head): index for index, (tail, head, _, _) in enumerate(listed)}
        self._trunk: dict[tuple[str, str], tuple[Ints, Floats]] = {}
        switches = [name for name, data in self.graph.nodes(data=True) if data["kind"] in ("leaf", "spine")]
        self._switches = self.graph.subgraph(switches).copy()
        ranks = [divmod(rank, cluster.gpus_per_node) for rank in range(cluster.gpus)]
        if cluster.nvlink is not None:
            up = [(topology.gpu(node, index), topology.nvswitch(node)) for node, index in ranks]
            self._nvlink_out, self._nvlink_in = self._both_ways(up)
        if cluster.infiniband is not None and cluster.nodes > 1:
            nics = [(node, rail) for node in range(cluster.nodes) for rail in range(cluster.infiniband.nics_per_node)]
            up = [next(edge for edge in self.graph.out_edges(topology.nic(*nic)) if edge in self._wire) for nic in nics]
            self._nic_out, self._nic_in = self._both_ways(up)
            self._nic_switch = [switch for _, switch in up]
            rails = cluster.infiniband.nics_per_node
            self._nic_of_rank: Ints = np.array([n * rails + cluster.nic_of_gpu(g) for n, g in ranks], dtype=np.int64)

    def _both_ways(self, edges: list[tuple[str, str]]) -> tuple[Ints, Ints]:
        outward = np.array([self._wire[tail, head] for tail, head in edges], dtype=np.int64)
        inward = np.array([self._wire[head, tail] for tail, head in edges], dtype=np.int64)
        return outward, inward

    def load(self, messages: Messages) -> Load:
        """Bytes on every wire that `messages` cross together."""
        per_node = self.cluster.gpus_per_node
        inside = messages.sender // per_node == messages.receiver // per_node
        total = np.zeros(len(self.capacity))
        latency_s = 0.0
        if inside.any():
            assert self.cluster.nvlink is not None
            latency_s = self.cluster.nvlink.latency_s
            self._load_nvlink(total, messages.only(inside))
        if not inside.all():
            assert self.cluster.infiniband is not None
            latency_s = max(latency_s, self.cluster.infiniband.latency_s)
            self._load_infiniband(total, messages.only(~inside))
        used = np.flatnonzero(total)
        return Load(
            wire=used,
            bytes=total[used],
            latency_s=latency_s,
            nvlink_bytes=float(messages.bytes[inside].sum()),
            infiniband_bytes=float(messages.bytes[~inside].sum()),
        )

    def _load_nvlink(self, total: Floats, messages: Messages) -> None:
        ranks = self.cluster.gpus
        total[self._nvlink_out] += np.bincount(messages.sender, weights=messages.bytes, minlength=ranks)
        total[self._nvlink_in] += np.bincount(messages.receiver, weights=messages.bytes, minlength=ranks)

    def _load_infiniband(self, total: Floats, messages: Messages) -> None:
        nics = len(self._nic_switch)
        out_nic, in_nic = self._nic_of_rank[messages.sender], self._nic_of_rank[messages.receiver]
        total[self._nic_out] += np.bincount(out_nic, weights=messages.bytes, minlength=nics)
        total[self._nic_in] += np.bincount(in_nic, weights=messages.bytes, minlength=nics)
        pair, where = np.unique(out_nic * nics + in_nic, return_inverse=True)
        between: dict[tuple[str, str], float] = defaultdict(float)
        for key, size in zip(pair.tolist(), np.bincount(where, weights=messages.bytes).tolist(), strict=True):
            between[self._nic_switch[key // nics], self._nic_switch[key % nics]] += size
        for (tail, head), size in between.items():
            wire, share = self._trunk_route(tail, head)
            total[wire] += share * size

    def _trunk_route(self, tail: str, head: str) -> tuple[Ints, Floats]:
        """Wires between two switches and the share of the bytes each carries, split evenly over shortest paths."""
        if (tail, head) not in self._trunk:
            shares: dict[int, float] = defaultdict(float)
            paths = [[tail]] if tail == head else list(nx.all_shortest_paths(self._switches, tail, head))
            for path in paths:
                for edge in pairwise(path):
                    shares[self._wire[edge]] += 1 / len(paths)
            self._trunk[tail, head] = (
                np.array(list(shares), dtype=np.int64),
                np.array(list(shares.values())),
            )
        return self._trunk[tail, head]
