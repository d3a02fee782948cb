"""Ways between switches: all shortest ones (fewest hops), split evenly at every switch, or one drawn per flow.

Switches are numbered; `tail` and `head` below are such numbers.  Everything is computed per destination on the graph of
the edges that lie on a shortest way to it: from a switch, every such edge leads one hop nearer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from simcluster.cluster.wiring import Graph

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class NoWayError(Exception):
    """No cables lead from one switch to another."""

    def __init__(self, tail: int, head: int) -> None:
        super().__init__(tail, head)
        self.tail, self.head = tail, head


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ways:
    """The edges on shortest ways to one switch, ordered by tail: those of switch s are
    `edge[first[s]:first[s] + degree[s]]`; `hops` is every switch's distance, -1 where none was found.  Unless the
    search went to the `end`, it stopped where all that were asked for had been found."""

    hops: Ints
    edge: Ints
    first: Ints
    degree: Ints
    end: bool


_KEPT = 1024
"""Targets whose ways are kept: a large cluster has thousands, and the next groups need those of the last ones."""


class Trunks:
    """Routing on the graph of switches; `number` is each switch's, `wire` the wire of an edge in the whole cluster."""

    def __init__(self, graph: Graph, wire: Mapping[tuple[str, str], int]) -> None:
        self.number = {name: index for index, name in enumerate(graph)}
        self.names = tuple(self.number)
        self._passes = np.array([graph.nodes[name].get("kind") != "nic" for name in graph], dtype=np.bool_)
        edges = list(graph.edges)
        self._tail: Ints = np.array([self.number[tail] for tail, _ in edges], dtype=np.int64)
        self._head: Ints = np.array([self.number[head] for _, head in edges], dtype=np.int64)
        self._wire: Ints = np.array([wire[edge] for edge in edges], dtype=np.int64)
        self._by_head = np.argsort(self._head, kind="stable")
        into = np.bincount(self._head, minlength=len(self.number))
        self._first_in, self._degree_in = np.cumsum(into) - into, into
        stated = [graph.edges[edge].get("latency") for edge in edges]
        self._latency_s: Floats = np.array([latency or 0.0 for latency in stated], dtype=np.float64)
        self._ways: dict[int, _Ways] = {}
        self._shares: dict[tuple[int, int], tuple[Ints, Floats]] = {}

    def spread(self, tail: Ints, head: Ints, size: Floats) -> list[tuple[Ints, Floats]]:
        """Wires and bytes on them where `size[i]` bytes go from `tail[i]` to `head[i]`, split evenly over the shortest
        next hops at every switch; entries of one wire add up."""
        crossed: list[tuple[Ints, Floats]] = []
        for target in np.unique(head).tolist():
            mine = head == target
            ways = self.reach(target, tail[mine])
            at = np.bincount(tail[mine], weights=size[mine], minlength=len(self.number)).astype(np.float64)
            far = int(ways.hops[tail[mine]].max(initial=0))
            distance = ways.hops[self._tail[ways.edge]]
            for hops in range(far, 0, -1):
                edge = ways.edge[distance == hops]
                flow = at[self._tail[edge]] / ways.degree[self._tail[edge]]
                crossed.append((self._wire[edge], flow))
                at += np.bincount(self._head[edge], weights=flow, minlength=len(at))
        return crossed

    def shares(self, tail: int, head: int) -> tuple[Ints, Floats]:
        """The wires from one switch to another, and the share of a message that each carries."""
        if (tail, head) not in self._shares:
            one = self.spread(np.array([tail]), np.array([head]), np.ones(1))
            self._shares[tail, head] = added(one, int(self._wire.max(initial=-1)) + 1)
        return self._shares[tail, head]

    def drawn(self, tail: Ints, head: Ints, key: NDArray[np.uint64]) -> tuple[Ints, Ints]:
        """(flow, wire) of every hop of flows from `tail` to `head`; `key` and the switch draw each next hop."""
        flows, wires = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for target in np.unique(head).tolist():
            flow = np.flatnonzero(head == target)
            ways = self.reach(target, tail[flow])
            at = tail[flow]
            while True:
                going = at != target
                flow, at = flow[going], at[going]
                if len(flow) == 0:
                    break
                turn = (mixed(key[flow] + at.astype(np.uint64)) % ways.degree[at].astype(np.uint64)).astype(np.int64)
                edge = ways.edge[ways.first[at] + turn]
                flows.append(flow)
                wires.append(self._wire[edge])
                at = self._head[edge]
        return np.concatenate(flows), np.concatenate(wires)

    def latency_s(self, tail: int, head: int) -> float:
        """The stated latencies along the slowest of the shortest ways, added up."""
        ways = self.reach(head, np.array([tail]))
        slowest = np.zeros(len(self.number))
        distance = ways.hops[self._tail[ways.edge]]
        for hops in range(1, int(ways.hops[tail]) + 1):
            edge = ways.edge[distance == hops]
            np.maximum.at(slowest, self._tail[edge], self._latency_s[edge] + slowest[self._head[edge]])
        return float(slowest[tail])

    def tree(self, leaves: Ints) -> tuple[Ints, Ints]:
        """Wires up to and down from the switch that is nearest to all `leaves`, one way from each; the first of equals.

        Every wire is listed once, however many leaves are above it: the switches on the way add up what they receive.
        """
        if len(leaves) == 1 and self._passes[leaves[0]]:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        hops = np.stack([self.reach(leaf, leaves).hops for leaf in leaves.tolist()])
        apart = np.where((hops.min(axis=0) < 0) | ~self._passes, np.inf, hops.max(axis=0))
        root = int(np.argmin(apart))
        if np.isinf(apart[root]):
            raise NoWayError(int(leaves[np.argmin(hops[0][leaves])]), int(leaves[0]))
        ways = self.reach(root, leaves)
        up: dict[int, None] = {}
        for leaf in leaves.tolist():
            at = leaf
            while at != root:
                edge = int(ways.edge[ways.first[at]])
                up[edge] = None
                at = int(self._head[edge])
        back = {(t, h): e for e, (t, h) in enumerate(zip(self._tail.tolist(), self._head.tolist(), strict=True))}
        chosen = np.array(list(up), dtype=np.int64)
        down = [back[int(self._head[edge]), int(self._tail[edge])] for edge in up]
        return self._wire[chosen], self._wire[np.array(down, dtype=np.int64)]

    def reach(self, target: int, tails: Ints) -> _Ways:
        """The ways to `target`; NoWayError if one of `tails` has none."""
        ways = self._ways.get(target)
        if ways is None or not (ways.end or (ways.hops[tails] >= 0).all()):
            ways = self._search(target, tails)
            self._ways.pop(target, None)
            if len(self._ways) == _KEPT:
                del self._ways[next(iter(self._ways))]
            self._ways[target] = ways
        lost = tails[ways.hops[tails] < 0]
        if len(lost):
            raise NoWayError(int(lost[0]), target)
        return ways

    def _search(self, target: int, tails: Ints) -> _Ways:
        """Breadth first from the target backwards, level by level, until all `tails` are found; only switches pass on
        what is not theirs."""
        count = len(self.number)
        hops = np.full(count, -1, dtype=np.int64)
        hops[target] = 0
        near, edges = np.array([target]), [np.zeros(0, dtype=np.int64)]
        distance = 0
        while len(near) and (hops[tails] < 0).any():
            distance += 1
            into = self._by_head[_runs(self._first_in[near], self._degree_in[near])]
            into = into[hops[self._tail[into]] < 0]
            hops[self._tail[into]] = distance
            edges.append(into)
            near = np.unique(self._tail[into])
            near = near[self._passes[near]]
        edge = np.concatenate(edges)
        edge = edge[np.lexsort((edge, self._tail[edge]))]
        degree = np.bincount(self._tail[edge], minlength=count)
        return _Ways(hops=hops, edge=edge, first=np.cumsum(degree) - degree, degree=degree, end=len(near) == 0)


def _runs(first: Ints, count: Ints) -> Ints:
    """first[0], first[0] + 1, … `count[0]` numbers, then those from first[1], and so on."""
    start = np.cumsum(count) - count
    return np.repeat(first - start, count) + np.arange(int(count.sum()))


def added(crossed: Sequence[tuple[Ints, Floats]], wires: int) -> tuple[Ints, Floats]:
    """The wires that carry anything, each once, and the sum of their entries."""
    wire = np.concatenate([np.zeros(0, dtype=np.int64), *(one for one, _ in crossed)])
    size = np.concatenate([np.zeros(0), *(each for _, each in crossed)])
    if len(wire) < wires:  # a small group in a large cluster
        used, where = np.unique(wire[size > 0], return_inverse=True)
        return used, np.bincount(where, weights=size[size > 0], minlength=len(used)).astype(np.float64)
    total = np.bincount(wire, weights=size, minlength=wires).astype(np.float64)
    used = np.flatnonzero(total)
    return used, total[used]


def mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A 64-bit number scattered (the finalizer of SplitMix64; Steele, Lea & Flood, OOPSLA 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
