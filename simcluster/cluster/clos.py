"""A regular cluster folded before it is built: every GPU alike, every wire of a class alike.

Ranks are read in mixed radix: so many GPUs share a NIC, so many are in a node, under a leaf, under a pod of leaves,
and so on up.  Where each of these blocks divides the next and all are full, shifting any digit maps the cluster onto
itself: every GPU can be shifted onto every other, and so can the wires of a class.  A plan whose groups are blocks or
strides of the same radix is mapped onto itself, too.  So one wire of each class stands for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from simcluster.cluster import fabrics, wiring
from simcluster.cluster.cluster import Cluster
from simcluster.cluster.messages import Ints
from simcluster.cluster.wiring import WireClass

FOLDED_CLOS = ("single-switch", "rail-optimized", "leaf-spine", "fat-tree")
"""Fabrics in which all leaves are alike, and all switches of every level above."""


class IrregularError(Exception):
    """Not all GPUs or wires are alike; `causes` are what sets them apart."""

    def __init__(self, *causes: str) -> None:
        super().__init__(*causes)
        self.causes = causes


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Cables from the switches of one level to the next: `switches` below with `fan` cables up each, of `capacity`
    usable bytes/s.  `pod` neighbouring leaves reach the same switches above."""

    kind: str
    switches: int
    fan: int
    capacity: float
    pod: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """All wires of a class: `count` wires of `capacity` usable bytes/s each."""

    wire_class: WireClass
    capacity: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ways:
    """Where some messages go.  `gate` is the rank whose NIC each leaves by, and `climb` how many levels of switches
    above the leaf it passes; -1 inside an NVLink domain.  `out_leaf`, `in_leaf` mean something from 0 upwards."""

    gate: Ints
    climb: Ints
    out_leaf: Ints
    in_leaf: Ints


class Clos:
    """The regular structure of a cluster; IrregularError where there is none.

    `levels` are those of its switches, `families` its classes of wires.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        causes = tuple(_singled_out(cluster))
        if causes:
            raise IrregularError(*causes)
        self.gpus_per_nic, self.leaves = cluster.gpus_per_node, 1
        self.levels: tuple[Level, ...] = ()
        if cluster.uses_nics:
            infiniband = cluster.infiniband
            assert infiniband is not None
            if cluster.gpus_per_node % infiniband.nics_per_node:
                raise IrregularError("GPUs that share the NICs of a node unevenly")
            self.gpus_per_nic = cluster.gpus_per_node // infiniband.nics_per_node
            self.leaves = self._leaf_count()
            self.levels = tuple(self._stack())
        self.families = tuple(self._families())

    def check(self, strides: Iterable[int]) -> None:
        """IrregularError unless blocks of so many ranks, too, fit into the cluster's radix."""
        gpus = self.cluster.gpus
        chain = sorted({one for one in (*self._blocks(), *strides) if one < gpus} | {gpus})
        for one, other in pairwise(chain):
            if other % one:
                raise IrregularError(f"blocks of {one} ranks in blocks of {other}")

    def ways(self, sender: Ints, receiver: Ints) -> Ways:
        """The way of each message, by arithmetic on its ends."""
        cluster = self.cluster
        inside = sender // cluster.domain_gpus == receiver // cluster.domain_gpus
        gate = sender if not self._forwards else self._gate(sender, receiver, inside)
        out_leaf, in_leaf = self.leaf(gate), self.leaf(receiver)
        climb = np.where(out_leaf == in_leaf, 0, len(self.levels))
        for height in range(len(self.levels) - 1, 0, -1):
            pod = self.levels[height - 1].pod
            climb[(out_leaf // pod == in_leaf // pod) & (out_leaf != in_leaf)] = height
        climb[inside] = -1
        return Ways(gate=gate, climb=climb, out_leaf=out_leaf, in_leaf=in_leaf)

    def leaf(self, rank: Ints) -> Ints:
        """The number of the leaf that each rank's NIC is plugged into."""
        infiniband = self.cluster.infiniband
        if infiniband is None or infiniband.fabric == "single-switch":
            return np.zeros_like(rank)
        node, nic = rank // self.cluster.gpus_per_node, rank % self.cluster.gpus_per_node // self.gpus_per_nic
        if infiniband.fabric == "rail-optimized":
            return node // infiniband.nodes_per_leaf * infiniband.nics_per_node + nic
        each = ceil(infiniband.nics_per_node / infiniband.down_ports)
        return node // infiniband.nodes_per_leaf * each + nic // infiniband.down_ports

    def below(self, kind: str) -> int:
        """How many GPUs, side by side, use a wire of a kind: one its own port, those that share a NIC that, those of
        all nodes under a switch its cables to the next level."""
        if kind in ("nvlink", "pcie"):
            return 1
        if kind == "nic":
            return self.gpus_per_nic
        infiniband = self.cluster.infiniband
        assert infiniband is not None
        pod = 1
        for level in self.levels:
            if level.kind == kind:
                break
            pod = level.pod
        under = infiniband.nodes_per_leaf * self.cluster.gpus_per_node
        abreast = max(1, self.leaves * under // self.cluster.gpus)
        return min(under * max(1, pod // abreast), self.cluster.gpus)

    @property
    def inside_latency_s(self) -> float:
        """Latency of a message inside a domain."""
        tier = self.cluster.nvlink or self.cluster.pcie
        return tier.latency_s if tier is not None else 0.0

    @property
    def _forwards(self) -> bool:
        cluster = self.cluster
        railed = cluster.infiniband is not None and cluster.infiniband.fabric == "rail-optimized"
        return cluster.routing.rail_forwarding and railed and cluster.nvlink is not None

    def _gate(self, sender: Ints, receiver: Ints, inside: NDArray[np.bool_]) -> Ints:
        """The GPU of the sender's node on the receiver's rail, at the sender's place among those that share a NIC."""
        per_node, share = self.cluster.gpus_per_node, self.gpus_per_nic
        other = sender // per_node * per_node + receiver % per_node // share * share + sender % share
        same = sender % per_node // share == receiver % per_node // share
        return np.where(inside | same, sender, other)

    def _leaf_count(self) -> int:
        infiniband = self.cluster.infiniband
        assert infiniband is not None
        if infiniband.fabric == "single-switch":
            return 1
        nodes, under = self.cluster.nodes, infiniband.nodes_per_leaf
        if nodes > under and nodes % under:
            raise IrregularError(f"partly filled leaf switches: {nodes} nodes, {under} to a leaf")
        each = infiniband.nics_per_node
        if infiniband.fabric != "rail-optimized":
            each = ceil(infiniband.nics_per_node / infiniband.down_ports)
            if each > 1 and infiniband.nics_per_node % infiniband.down_ports:
                raise IrregularError("NICs of a node that fill its leaf switches unevenly")
        return ceil(nodes / under) * each

    def _stack(self) -> Iterable[Level]:
        """Levels as fabrics.add builds them, for full pods: `members` switches in each of `planes` equal planes."""
        infiniband = self.cluster.infiniband
        assert infiniband is not None
        bandwidth, ports, size = infiniband.usable_bytes_per_s, infiniband.leaf_ports, infiniband.leaves_per_pod
        nics = self.cluster.nodes * infiniband.nics_per_node
        upward = nics / self.leaves * bandwidth / infiniband.oversubscription
        members, planes, pod = self.leaves, 1, 1
        kinds = fabrics.levels(infiniband)
        for height, kind in enumerate(kinds[:-1]):
            if members == 1:
                return
            last = members <= ports or height == len(kinds) - 2
            joined = members if last else size
            if members % joined:
                raise IrregularError(f"partly filled pods: {members} {kind} switches, {size} to a pod")
            total = joined * upward if last else upward
            fan = fabrics.enough(total / bandwidth / (ports if last else 1))
            pod *= joined
            yield Level(kind=kind, switches=members * planes, fan=fan, capacity=upward / fan, pod=pod)
            if last:
                return
            members, planes, upward = members // size, planes * fan, size * upward / fan

    def _blocks(self) -> Iterable[int]:
        """Blocks of ranks that hold all GPUs of a NIC, a leaf's part of a node, a node, a domain, a leaf, a pod …"""
        cluster, infiniband = self.cluster, self.cluster.infiniband
        yield cluster.gpus_per_node
        yield cluster.domain_gpus
        if not cluster.uses_nics or infiniband is None:
            return
        yield self.gpus_per_nic
        if infiniband.fabric == "single-switch":
            return
        under = infiniband.nodes_per_leaf * cluster.gpus_per_node
        yield under
        abreast = max(1, self.leaves * under // cluster.gpus) if cluster.gpus > under else self.leaves
        yield cluster.gpus_per_node // abreast
        for level in self.levels:
            if level.pod % abreast == 0:
                yield level.pod // abreast * under
            elif abreast % level.pod == 0:
                yield level.pod * cluster.gpus_per_node // abreast
            else:
                raise IrregularError(f"pods of {level.pod} leaf switches for nodes of {abreast}")

    def _families(self) -> Iterable[Family]:
        """In the order in which topology.build comes upon the first wire of each."""
        cluster, infiniband = self.cluster, self.cluster.infiniband
        switched = cluster.nvlink if cluster.nvlink is not None and cluster.nvlink.topology == "nvswitch" else None
        near = [(kind, tier) for kind, tier in (("nvlink", switched), ("pcie", cluster.pcie)) if tier is not None]
        for direction in ("out", "in"):
            for kind, tier in near:
                yield _family(kind, direction, tier.usable_bytes_per_s, cluster.gpus)
        if not cluster.uses_nics or infiniband is None:
            return
        for direction in ("out", "in"):
            yield _family("nic", direction, infiniband.usable_bytes_per_s, cluster.nodes * infiniband.nics_per_node)
        for level in self.levels:
            for direction in ("up", "down"):
                yield _family(level.kind, direction, level.capacity, level.switches * level.fan)


def _family(kind: str, direction: str, capacity: float, count: int) -> Family:
    return Family(wire_class=WireClass(kind=kind, direction=direction), capacity=capacity, count=count)


def _singled_out(cluster: Cluster) -> Iterable[str]:
    """Whatever sets a GPU or a wire apart from the others of its class."""
    yield from (f"fault at {fault}" for fault in cluster.faults)
    yield from (f"slow GPU {wiring.gpu(*divmod(gpu, cluster.gpus_per_node))}" for gpu in sorted(cluster.slow_gpus))
    if cluster.jitter is not None:
        yield "jitter"
    if cluster.background:
        yield "background traffic"
    if cluster.nvlink is not None and cluster.nvlink.topology == "mesh" and cluster.gpus_per_node > 1:
        yield "an NVLink mesh's link for each pair of GPUs"
    infiniband = cluster.infiniband
    if cluster.uses_nics and infiniband is not None:
        if infiniband.fabric not in FOLDED_CLOS:
            yield f"the {infiniband.fabric} fabric"
        if cluster.routing.seed is not None:
            yield "hashed routing"
