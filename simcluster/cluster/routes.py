"""Which wires a message crosses, and how many bytes a set of messages puts on each.

Inside an NVLink domain a message goes GPU -> NVSwitch -> GPU (or straight to its peer in a mesh; over the PCIe root
where there is no NVLink).  Between domains it goes through the sender's NIC, a shortest way between the two NICs'
switches and the receiver's NIC.  With rail forwarding it first crosses NVLink to its node's GPU on the receiver's rail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simcluster.cluster import topology, wiring
from simcluster.cluster.cluster import Cluster
from simcluster.cluster.messages import Crossing, Floats, Ints, Load, Messages, Reduction
from simcluster.cluster.ports import NO_WIRE, Ports
from simcluster.cluster.trunks import NoWayError, Trunks, added, mixed

if TYPE_CHECKING:
    from simcluster.cluster.wiring import Graph


class CutOffError(Exception):
    """No wires lead from rank `sender` to rank `receiver`; `where` says what is gone."""

    def __init__(self, sender: int, receiver: int, where: str) -> None:
        super().__init__(sender, receiver, where)
        self.sender, self.receiver, self.where = sender, receiver, where


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segments:
    """The parts of the ways of some messages: hops as (message, wire), trunks as (message, from switch, to switch);
    of every message its latency (s), how often it crosses NVLink, and whether it leaves its domain."""

    message: Ints
    wire: Ints
    trunk: Ints
    tail: Ints
    head: Ints
    latency_s: Floats
    nvlink_hops: Ints
    outside: NDArray[np.bool_]


class Routes:
    """The routes of one cluster, found on its graph once and then answered by table.

    `graph` is the wiring; wires are numbered in its order, with `capacity` (usable bytes/s) and `wire_class` of each;
    `wires` are their ends in the graph; `is_port` marks those a GPU or NIC ends in.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.graph = topology.build(cluster)
        listed = list(topology.wires(self.graph))
        self.capacity: Floats = np.array([capacity for _, _, capacity, _ in listed], dtype=np.float64)
        self.wire_class = tuple(wire_class for _, _, _, wire_class in listed)
        self.is_port = np.array([one.kind in ("nvlink", "pcie", "nic") for one in self.wire_class], dtype=np.bool_)
        self.wires = tuple((tail, head) for tail, head, _, _ in listed)
        number = {(tail, head): index for index, (tail, head, _, _) in enumerate(listed)}
        self._ports = Ports(cluster, self.graph, number)
        self._trunks = Trunks(self._switches(), number)
        self._anchor: Ints = np.array([self._trunks.number[name] for name in self._ports.anchor_of_nic], dtype=np.int64)
        self._stated_latency = any(data.get("latency") is not None for _, _, data in self.graph.edges(data=True))

    def _switches(self) -> Graph:
        """The graph between the NICs, in the order of the whole one: ways are drawn by the numbers of switches, and
        networkx' own subgraph comes in the order of a set."""
        kept = dict.fromkeys(self._ports.anchors)
        between = wiring.empty()
        between.add_nodes_from((name, data) for name, data in self.graph.nodes(data=True) if name in kept)
        between.add_edges_from((a, b, data) for a, b, data in self.graph.edges(data=True) if a in kept and b in kept)
        return between

    @property
    def inside_latency_s(self) -> float:
        """Latency of a message inside a domain."""
        return self._ports.inside_latency_s

    def near_ports(self, ranks: Ints) -> Ints | None:
        """The wires out of and into the domain's switch (or PCIe root) of each of `ranks`, those out first along the
        last axis; below 0 where one is dead.  None for a mesh, whose GPUs have a wire to each other one."""
        return self._ports.near(ranks)

    def load(self, messages: Messages, reductions: tuple[Reduction, ...] = ()) -> Load:
        """Bytes on every wire that `messages` and `reductions` cross together; CutOffError where a way is missing."""
        way = self._segments(messages)
        crossed: list[tuple[Ints, Floats]] = [(way.wire, messages.bytes[way.message])]
        if self.cluster.routing.seed is None:
            switches = len(self._trunks.names)
            pair, where = np.unique(way.tail * switches + way.head, return_inverse=True)
            size = np.bincount(where, weights=messages.bytes[way.trunk]).astype(np.float64)
            crossed += self._trunks.spread(pair // switches, pair % switches, size)
        else:
            message, wire = self._drawn(messages, way)
            crossed.append((wire, messages.bytes[message]))
        latency_s = float(way.latency_s.max(initial=0.0))
        nvlink_bytes = float((way.nvlink_hops * messages.bytes).sum())
        infiniband_bytes = float(messages.bytes[way.outside].sum())
        for reduction in reductions:
            sums = self._reduce(crossed, reduction)
            nvlink_bytes, infiniband_bytes = nvlink_bytes + sums[0], infiniband_bytes + sums[1]
            latency_s = max(latency_s, sums[2])
        used, sizes = added(crossed, len(self.capacity))
        return Load(
            wire=used,
            bytes=sizes,
            latency_s=latency_s,
            nvlink_bytes=nvlink_bytes,
            infiniband_bytes=infiniband_bytes,
        )

    def crossing(self, messages: Messages) -> Crossing:
        """The wires of every single message."""
        way = self._segments(messages)
        if self.cluster.routing.seed is None:
            switches = len(self._trunks.names)
            pair, which = np.unique(way.tail * switches + way.head, return_inverse=True)
            shares = [self._trunks.shares(*divmod(one, switches)) for one in pair.tolist()]
            count = np.array([len(wires) for wires, _ in shares], dtype=np.int64)
            first = np.cumsum(count) - count
            trunk = np.repeat(way.trunk, count[which])
            turn = np.arange(len(trunk)) - np.repeat(np.cumsum(count[which]) - count[which], count[which])
            place = np.repeat(first[which], count[which]) + turn
            wire = np.concatenate([np.zeros(0, dtype=np.int64), *(wires for wires, _ in shares)])[place]
            share = np.concatenate([np.zeros(0), *(part for _, part in shares)])[place]
        else:
            trunk, wire = self._drawn(messages, way)
            share = np.ones(len(wire))
        message = np.concatenate([way.message, trunk])
        order = np.argsort(message, kind="stable")
        return Crossing(
            message=message[order],
            wire=np.concatenate([way.wire, wire])[order],
            share=np.concatenate([np.ones(len(way.wire)), share])[order],
        )

    def _drawn(self, messages: Messages, way: _Segments) -> tuple[Ints, Ints]:
        """(message, wire) of the trunks, one hashed way for every pair of ranks."""
        seed = self.cluster.routing.seed
        assert seed is not None
        pair = messages.sender[way.trunk] * self.cluster.gpus + messages.receiver[way.trunk]
        key = mixed(mixed(pair.astype(np.uint64)) + mixed(np.full(1, seed, dtype=np.uint64)))
        flow, wire = self._trunks.drawn(way.tail, way.head, key)
        return way.trunk[flow], wire

    def _segments(self, messages: Messages) -> _Segments:
        cluster, ports = self.cluster, self._ports
        sender, receiver = messages.sender, messages.receiver
        outside = sender // cluster.domain_gpus != receiver // cluster.domain_gpus
        inside = np.flatnonzero(~outside)
        hops: list[tuple[Ints, Ints]] = []
        latency_s, nvlink_hops = np.zeros(len(sender)), np.zeros(len(sender), dtype=np.int64)
        if len(inside):
            hops += ports.between(inside, sender[inside], receiver[inside])
            latency_s[inside] = ports.inside_latency_s
            nvlink_hops[inside] = cluster.nvlink is not None
        leaving = np.flatnonzero(outside)
        tail = head = np.zeros(0, dtype=np.int64)
        if len(leaving):
            assert cluster.infiniband is not None
            gate = ports.gate(sender[leaving], receiver[leaving])
            moved = gate != sender[leaving]
            hops += ports.between(leaving[moved], sender[leaving[moved]], gate[moved])
            nvlink_hops[leaving[moved]] = 1
            out_nic, in_nic = ports.nic_of_rank[gate], ports.nic_of_rank[receiver[leaving]]
            hops += ports.through_nics(leaving, gate, receiver[leaving], out_nic, in_nic)
            lost = np.flatnonzero((out_nic < 0) | (in_nic < 0))
            if len(lost):
                first = leaving[lost[0]]
                raise self._cut_off(int(sender[first]), int(receiver[first]), "no NIC of its node is left")
            tail, head = self._anchor[out_nic], self._anchor[in_nic]
            latency_s[leaving] = cluster.infiniband.latency_s
            if self._stated_latency:
                latency_s[leaving] = self._latency_s(messages, leaving, out_nic, in_nic)
            latency_s[leaving[moved]] += ports.inside_latency_s
            try:
                for to in np.unique(head).tolist():
                    self._trunks.reach(to, tail[head == to])
            except NoWayError as error:
                first = leaving[np.flatnonzero((tail == error.tail) & (head == error.head))[0]]
                raise self._cut_off(int(sender[first]), int(receiver[first]), self._between(error)) from None
        message, wire = (np.concatenate(part) for part in zip(*hops, strict=True)) if hops else (inside, inside)
        gone = np.flatnonzero(wire == NO_WIRE)
        if len(gone):
            first = message[gone[0]]
            raise self._cut_off(int(sender[first]), int(receiver[first]), "its NVLink is gone")
        return _Segments(
            message=message,
            wire=wire,
            trunk=leaving,
            tail=tail,
            head=head,
            latency_s=latency_s,
            nvlink_hops=nvlink_hops,
            outside=outside,
        )

    def _latency_s(self, messages: Messages, leaving: Ints, out_nic: Ints, in_nic: Ints) -> Floats:
        """The stated latencies of a custom fabric, from NIC to NIC."""
        nics = len(self._anchor)
        pair, where = np.unique(out_nic * nics + in_nic, return_inverse=True)
        each = [
            self._ports.latency_out_s[a]
            + self._trunks.latency_s(int(self._anchor[a]), int(self._anchor[b]))
            + self._ports.latency_in_s[b]
            for a, b in zip((pair // nics).tolist(), (pair % nics).tolist(), strict=True)
        ]
        return np.array(each, dtype=np.float64)[where]

    def _reduce(self, crossed: list[tuple[Ints, Floats]], reduction: Reduction) -> tuple[float, float, float]:
        """Add a reduction's bytes to `crossed`; its bytes over NVLink and InfiniBand, and its latency (s)."""
        ranks = np.array(reduction.ranks, dtype=np.int64)
        ports = self._ports
        if reduction.tier == "nvlink":
            out, into = ports.nvlink_out[ranks], ports.nvlink_in[ranks]
            self._need((out != NO_WIRE) & (into != NO_WIRE), ranks, "its NVLink is gone")
            crossed += [(wires, np.full(len(wires), reduction.bytes)) for wires in (out, into)]
            return reduction.bytes * len(ranks), 0.0, ports.inside_latency_s
        assert self.cluster.infiniband is not None
        nics = ports.nic_of_rank[ranks]
        self._need(nics >= 0, ranks, "no NIC of its node is left")
        plugged = nics[ports.nic_out[nics] != NO_WIRE]
        try:
            up, down = self._trunks.tree(np.unique(self._anchor[nics]))
        except NoWayError as error:
            anchors = self._anchor[nics]
            lost, met = (int(np.argmax(anchors == end)) for end in (error.tail, error.head))
            raise self._cut_off(int(ranks[lost]), int(ranks[met]), self._between(error)) from None
        for wires in (ports.nic_out[plugged], ports.nic_in[plugged], up, down):
            crossed.append((wires, np.full(len(wires), reduction.bytes)))
        return 0.0, reduction.bytes * len(ranks), self.cluster.infiniband.latency_s

    def _need(self, there: NDArray[np.bool_], ranks: Ints, where: str) -> None:
        """CutOffError for the first rank whose port is not there."""
        if not there.all():
            lost = int(np.argmin(there))
            raise self._cut_off(int(ranks[lost]), int(ranks[0 if lost else -1]), where)

    def _between(self, error: NoWayError) -> str:
        names = self._trunks.names
        return f"no cables lead from {names[error.tail]} to {names[error.head]}"

    def _cut_off(self, sender: int, receiver: int, where: str) -> CutOffError:
        faults = ", ".join(str(fault) for fault in self.cluster.faults if fault.factor == 0)
        return CutOffError(sender, receiver, where + (f"; dead: {faults}" if faults else ""))
