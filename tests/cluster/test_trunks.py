"""Ways between switches: against networkx' shortest paths, with shares in exact fractions."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.cluster.trunks import NoWayError, Trunks, mixed
from tests.physics_helpers import law

if TYPE_CHECKING:
    Graph = nx.DiGraph[str]

Hop = tuple[str, str]


class Case:
    """A random graph of switches, its trunks, and the edge behind every wire number."""

    def __init__(self, seed: int, *, both_ways: bool = True) -> None:
        rng = random.Random(seed)
        names = [f"s{index}" for index in range(rng.randint(2, 10))]
        self.graph: Graph = nx.DiGraph()
        self.graph.add_nodes_from(names)
        for one, other in pairwise(names):
            self._join(rng, rng.choice(names[: names.index(other)]) if both_ways else one, other)
        for _ in range(rng.randint(0, 12)):
            one, other = rng.sample(names, 2)
            self._join(rng, one, other, both_ways=both_ways or rng.random() < 0.5)
        if not both_ways:
            self._join(rng, names[-1], names[0], both_ways=False)
        numbers = rng.sample(range(3 * self.graph.number_of_edges()), self.graph.number_of_edges())
        self.wire = dict(zip(self.graph.edges, numbers, strict=True))
        self.edge = {number: edge for edge, number in self.wire.items()}
        self.wires = 3 * self.graph.number_of_edges()
        self.trunks = Trunks(self.graph, self.wire)
        self.rng = rng

    def _join(self, rng: random.Random, one: str, other: str, *, both_ways: bool = True) -> None:
        latency = rng.choice([None, 0.25, 0.5, 3.0])
        for tail, head in ((one, other), (other, one)) if both_ways else ((one, other),):
            self.graph.add_edge(tail, head, latency=latency)

    def number(self, *names: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([self.trunks.number[name] for name in names], dtype=np.int64)

    def flows(self, count: int) -> list[tuple[str, str, int]]:
        """(from, to, bytes), some of them from a switch to itself."""
        names = list(self.graph)
        return [(self.rng.choice(names), self.rng.choice(names), self.rng.randint(1, 1000)) for _ in range(count)]


def even_shares(graph: Graph, tail: str, head: str) -> dict[Hop, Fraction]:
    """The share of a message on every edge, if each switch splits what it has over all next hops that are nearer."""
    distance = dict(nx.single_target_shortest_path_length(graph, head))
    at: dict[str, Fraction] = defaultdict(Fraction, {tail: Fraction(1)})
    shares: dict[Hop, Fraction] = {}
    for hops in range(distance[tail], 0, -1):
        for name in [name for name in list(at) if distance[name] == hops]:
            nearer = [other for other in graph.successors(name) if distance.get(other) == hops - 1]
            for other in nearer:
                shares[name, other] = at[name] / len(nearer)
                at[other] += at[name] / len(nearer)
    assert at[head] == 1
    return shares


graphs = st.builds(Case, st.integers(0, 10**6), both_ways=st.booleans())


@law(80)
@given(case=graphs)
def test_bytes_are_split_evenly_over_the_shortest_next_hops_of_every_switch(case: Case) -> None:
    flows = case.flows(12)
    exact: dict[Hop, Fraction] = defaultdict(Fraction)
    for tail, head, size in flows:
        for edge, share in even_shares(case.graph, tail, head).items():
            exact[edge] += size * share
    tails, heads, sizes = zip(*flows, strict=True)
    found = np.zeros(case.wires)
    for wires, carried in case.trunks.spread(case.number(*tails), case.number(*heads), np.array(sizes, dtype=float)):
        np.add.at(found, wires, carried)
    expected = [float(exact.get(case.edge[wire], 0)) if wire in case.edge else 0.0 for wire in range(case.wires)]
    assert found == pytest.approx(expected, rel=1e-12, abs=0)


@law(80)
@given(case=graphs)
def test_the_shares_of_one_message_are_those_of_all_its_shortest_paths(case: Case) -> None:
    for tail, head, _ in case.flows(6):
        wires, shares = case.trunks.shares(*case.number(tail, head).tolist())
        expected = even_shares(case.graph, tail, head)
        found = {case.edge[wire]: share for wire, share in zip(wires.tolist(), shares.tolist(), strict=True)}
        assert found == pytest.approx({edge: float(share) for edge, share in expected.items()}, rel=1e-12, abs=0)
        on_paths = {hop for path in nx.all_shortest_paths(case.graph, tail, head) for hop in pairwise(path)}
        assert set(found) == on_paths


def drawn_paths(case: Case, flows: list[tuple[str, str, int]], seed: int) -> list[list[Hop]]:
    """The edges of every flow, in the order of the way."""
    tails, heads, _ = zip(*flows, strict=True)
    key = mixed(np.arange(len(flows), dtype=np.uint64) + mixed(np.full(1, seed, dtype=np.uint64)))
    flow, wire = case.trunks.drawn(case.number(*tails), case.number(*heads), key)
    paths: list[list[Hop]] = [[] for _ in flows]
    for index, number in zip(flow.tolist(), wire.tolist(), strict=True):
        paths[index].append(case.edge[number])
    return paths


@law(80)
@given(case=graphs, seed=st.integers(0, 2**63))
def test_a_hashed_flow_takes_one_shortest_path_and_the_same_one_for_the_same_seed(case: Case, seed: int) -> None:
    flows = case.flows(12)
    paths = drawn_paths(case, flows, seed)
    assert paths == drawn_paths(case, flows, seed)
    for (tail, head, _), path in zip(flows, paths, strict=True):
        assert len(path) == nx.shortest_path_length(case.graph, tail, head)
        switches = [tail, *(end for _, end in path)]
        assert path == list(pairwise(switches))
        assert switches[-1] == head


def clos(spines: int, middles: int) -> Case:
    """Two leaves over `middles` switches each, which `spines` join: every path has a choice at two switches."""
    case = Case(0)
    case.graph = nx.DiGraph()
    for middle in range(middles):
        for side in ("a", "b"):
            case.graph.add_edge(side, f"{side}{middle}")
            case.graph.add_edge(f"{side}{middle}", side)
            for spine in range(spines):
                case.graph.add_edge(f"{side}{middle}", f"t{spine}")
                case.graph.add_edge(f"t{spine}", f"{side}{middle}")
    case.wire = {edge: number for number, edge in enumerate(case.graph.edges)}
    case.edge = {number: edge for edge, number in case.wire.items()}
    case.wires = len(case.wire)
    case.trunks = Trunks(case.graph, case.wire)
    return case


@pytest.mark.parametrize(("spines", "middles"), [(1, 2), (3, 1), (2, 4), (5, 3), (7, 8)])
def test_over_many_flows_hashing_is_even_on_every_edge(spines: int, middles: int) -> None:
    """Each edge has the flows of a fair draw with the even split's share, within five standard deviations."""
    case, count = clos(spines, middles), 20_000
    taken = Counter(hop for path in drawn_paths(case, [("a", "b", 1)] * count, 5) for hop in path)
    shares = even_shares(case.graph, "a", "b")
    assert set(taken) == set(shares)
    for edge, share in shares.items():
        spread = math.sqrt(count * float(share) * (1 - float(share)))
        assert abs(taken[edge] - count * float(share)) <= 5 * spread, edge


def test_over_many_seeds_one_flow_takes_every_path_about_evenly() -> None:
    case, seeds = clos(4, 4), 4000
    taken = Counter(tuple(drawn_paths(case, [("a", "b", 1)], seed)[0]) for seed in range(seeds))
    assert len(taken) == 64, "of 4 x 4 x 4 paths"
    assert max(abs(count - seeds / 64) for count in taken.values()) <= 5 * math.sqrt(seeds / 64)


def test_choices_at_different_switches_are_independent() -> None:
    """All pairs of a first and a second choice occur about as often as each other."""
    case, count = clos(3, 3), 9000
    taken = Counter((path[0], path[1][1]) for path in drawn_paths(case, [("a", "b", 1)] * count, 1))
    assert len(taken) == 9
    assert max(abs(found - count / 9) for found in taken.values()) <= 5 * math.sqrt(count * (1 / 9) * (8 / 9))


def test_the_worst_edge_of_a_few_hashed_flows_differs_between_seeds() -> None:
    case = clos(4, 4)
    loads = {
        tuple(sorted(Counter(path[0] for path in drawn_paths(case, [("a", "b", 1)] * 8, seed)).values()))
        for seed in range(50)
    }
    assert len(loads) > 5
    assert max(load[-1] for load in loads) >= 4 > 2 == 8 // 4


@law(80)
@given(case=graphs)
def test_latency_is_that_of_the_slowest_shortest_path(case: Case) -> None:
    for tail, head, _ in case.flows(6):
        slowest = max(
            sum(case.graph.edges[hop]["latency"] or 0.0 for hop in pairwise(path))
            for path in nx.all_shortest_paths(case.graph, tail, head)
        )
        assert case.trunks.latency_s(*case.number(tail, head).tolist()) == pytest.approx(slowest, rel=1e-12, abs=0)


two_way_graphs = st.builds(Case, st.integers(0, 10**6))


@law(80)
@given(case=two_way_graphs)
def test_a_tree_joins_all_leaves_to_their_nearest_switch_and_uses_each_wire_once(case: Case) -> None:
    names = sorted(case.rng.sample(sorted(case.graph), case.rng.randint(1, len(case.graph))))
    up, down = case.trunks.tree(case.number(*names))
    upward, downward = [case.edge[wire] for wire in up.tolist()], [case.edge[wire] for wire in down.tolist()]
    assert downward == [(head, tail) for tail, head in upward]
    assert len(set(upward)) == len(upward)
    parent = dict(upward)
    assert len(parent) == len(upward), "a switch passes its sum on to one other"
    roots = {head for _, head in upward} - set(parent) or set(names)
    assert len(roots) == 1
    (root,) = roots
    far = {name: max(nx.shortest_path_length(case.graph, leaf, name) for leaf in names) for name in case.graph}
    assert far[root] == min(far.values())
    used = set()
    for leaf in names:
        way = [leaf]
        while way[-1] != root:
            way.append(parent[way[-1]])
        assert len(way) - 1 == nx.shortest_path_length(case.graph, leaf, root)
        used |= set(pairwise(way))
    assert used == set(upward), "no wire that no leaf needs"


def test_a_switch_without_a_way_is_named() -> None:
    graph: Graph = nx.DiGraph([("a", "b"), ("b", "a"), ("c", "a")])
    trunks = Trunks(graph, {edge: number for number, edge in enumerate(graph.edges)})
    a, c = trunks.number["a"], trunks.number["c"]
    assert trunks.shares(c, a)[1].tolist() == [1.0]
    with pytest.raises(NoWayError) as caught:
        trunks.shares(a, c)
    assert (caught.value.tail, caught.value.head) == (a, c)
