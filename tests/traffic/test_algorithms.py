"""Every algorithm of every collective: its time against arithmetic on paper, and its data followed rank by rank.

A closed form is a list of phases one after the other, each its latency, and the bytes per byte of payload through the
busiest NVLink port and through the busiest NIC, in the busier direction.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise
from math import ceil, log2

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.cluster.cluster import Sharing
from simcluster.cluster.routes import Routes
from simcluster.program.program import ALGORITHMS, CollectiveKind, Copies
from simcluster.traffic import exchange, trees
from simcluster.traffic.algorithms import pattern, refusal
from simcluster.traffic.pattern import Group, Pattern, Phase
from simcluster.traffic.rings import ring_orders
from simcluster.traffic.traffic import routed
from tests.physics_helpers import NIC, NVLINK, able, ideal_cluster, law, run_transfers, traffic

NVLINK_S, NIC_S = 1.75e-6, 5e-6
"""Latency of a message inside a domain and between nodes."""

SIZES = (1.0, 4096.0, 3_000_001.0, 2.0**30, 16 * 2.0**30)
RANKS = (*range(2, 10), 12, 15, 16, 17, 31, 33, 63, 64, 65, 96, 127, 128, 129, 255, 256, 257, 511, 512, 1023, 1024)
NODES = (*range(2, 10), 12, 15, 16, 17, 31, 32, 33, 64, 100, 127, 128)
"""Ranks of one tier, and nodes of eight."""

QUADRATIC = ("direct", "pairwise", "one-shot", "two-shot")
"""Algorithms with a message for every pair: fewer of the large groups."""

Part = tuple[float, float, float]
"""One phase: latency (s), share of the payload through an NVLink port, and through a NIC."""

CASES = [(kind, algorithm) for kind, names in ALGORITHMS.items() for algorithm in names]

IN_ONE_DOMAIN = ("in-switch", "one-shot", "two-shot")
BETWEEN_DOMAINS = ("in-switch-tree", "in-network")


@cache
def flat(n: int) -> Routes:
    """One GPU a node, one switch."""
    cluster = ideal_cluster(
        n, 1, fabric="single-switch", nvlink_latency_s=NVLINK_S, infiniband_latency_s=NIC_S, leaf_ports=2048
    )
    return Routes(able(cluster))


@cache
def one_node(n: int) -> Routes:
    return Routes(able(ideal_cluster(1, n, nvlink_latency_s=NVLINK_S, infiniband_latency_s=NIC_S)))


@cache
def nodes_of_eight(nodes: int) -> Routes:
    cluster = ideal_cluster(nodes, 8, fabric="single-switch", nvlink_latency_s=NVLINK_S, infiniband_latency_s=NIC_S)
    return Routes(able(cluster))


def some_copies(n: int) -> Copies:
    """Six of 4n experts for every token."""
    return Copies(top_k=6, experts=4 * n, token_bytes=7168.0)


def chosen_share(buckets: int, copies: Copies) -> float:
    """Probability that one of `buckets` holds one of a token's experts: not all k draws miss it, one after another."""
    mine, missed = copies.experts // buckets, Fraction(1)
    for draw in range(copies.top_k):
        missed *= Fraction(copies.experts - mine - draw, copies.experts - draw)
    return float(1 - missed)


def expected_s(parts: Iterable[Part], payload_bytes: float) -> float:
    return sum(s + payload_bytes * max(inside / NVLINK, outside / NIC) for s, inside, outside in parts)


# ------------------------------------------------------------------------------- closed forms on one tier, n ranks

Flat = Callable[[int], tuple[int, float]]
"""Rounds, and the share of the payload that the busiest port sends or receives."""


def _tree_port(n: int) -> float:
    """Two trees with half of the payload each, both ways over every edge.

    n = 2: either tree is the one edge, 2 x 1/2.  n = 3: the trees 0-2-1 and 1-0-2 meet in 0 and 2 with three edges.
    From n = 4 some rank has a parent and two children in one tree and a parent in the other.
    """
    return {2: 1.0, 3: 1.5}.get(n, 2.0)


def _halving_doubling(n: int) -> tuple[int, float]:
    core = 1 << int(log2(n))
    rounds, share = 2 * int(log2(core)), 2 * (core - 1) / core
    return (rounds, share) if core == n else (rounds + 2, share + 2)


FLAT: dict[tuple[CollectiveKind, str], Flat] = {
    ("all_reduce", "ring"): lambda n: (2 * (n - 1), 2 * (n - 1) / n),
    ("all_reduce", "tree"): lambda n: (2 * ceil(log2(n)), _tree_port(n)),
    ("all_reduce", "halving-doubling"): _halving_doubling,
    ("all_reduce", "hierarchical"): lambda n: (2 * (n - 1), 2 * (n - 1) / n),
    ("all_reduce", "in-switch"): lambda n: (2, 1 + 1 / n),
    ("all_reduce", "in-network"): lambda n: (2, 1.0),
    ("all_reduce", "one-shot"): lambda n: (1, n - 1.0),
    ("all_reduce", "two-shot"): lambda n: (2, 2 * (n - 1) / n),
    ("all_gather", "ring"): lambda n: (n - 1, (n - 1) / n),
    ("all_gather", "direct"): lambda n: (1, (n - 1) / n),
    ("all_gather", "halving-doubling"): lambda n: (int(log2(n)), (n - 1) / n),
    ("all_gather", "hierarchical"): lambda n: (n - 1, (n - 1) / n),
    ("reduce_scatter", "ring"): lambda n: (n - 1, (n - 1) / n),
    ("reduce_scatter", "direct"): lambda n: (1, (n - 1) / n),
    ("reduce_scatter", "halving-doubling"): lambda n: (int(log2(n)), (n - 1) / n),
    ("reduce_scatter", "hierarchical"): lambda n: (n - 1, (n - 1) / n),
    ("broadcast", "ring"): lambda n: (n - 1, 1.0),
    ("broadcast", "tree"): lambda n: (ceil(log2(n)), float(ceil(log2(n)))),
    ("all_to_all", "direct"): lambda n: (1, (n - 1) / n),
    ("all_to_all", "pairwise"): lambda n: (n - 1, (n - 1) / n),
    ("all_to_all", "hierarchical"): lambda n: (1, (n - 1) / n),
    ("all_to_all", "low-latency"): lambda n: (1, (n - 1) / n),
    ("all_to_all", "node-dedup"): lambda n: (1, (n - 1) * chosen_share(n, some_copies(n)) / 6),
    ("send_recv", "direct"): lambda n: (1, 1.0),
}

# ------------------------------------------------------------------------- closed forms on D nodes of 8, two tiers

SLOWER_S = max(NVLINK_S, NIC_S)
Deep = Callable[[int], list[Part]]


def _ring(times: int) -> Deep:
    """Eight rings: of a rank's eight hops one leaves the node."""

    def parts(nodes: int) -> list[Part]:
        n = 8 * nodes
        volume = times * (n - 1) / n
        return [(times * (n - 1) * SLOWER_S, volume * 7 / 8, volume / 8)]

    return parts


def _chain(nodes: int) -> list[Part]:
    """The root sends an eighth of the payload into each of eight rings, in one of them through its NIC."""
    return [((8 * nodes - 1) * SLOWER_S, 7 / 8, 1 / 8)]


def _deep_tree(nodes: int) -> list[Part]:
    """Eight chains through a node, each rank at an end of two: 14 neighbours with an eighth each, both ways."""
    return [(2 * (ceil(log2(nodes)) + 7) * SLOWER_S, 14 / 8, _tree_port(nodes) / 8)]


def _deep_halving(nodes: int) -> list[Part]:
    """Partners eight or more ranks apart are in different nodes, and so are those beyond a power of two."""
    core = 8 << int(log2(nodes))
    half: list[Part] = []
    apart = core // 2
    while apart:
        half.append((NIC_S, 0, apart / core) if apart >= 8 else (NVLINK_S, apart / core, 0))
        apart //= 2
    extra: list[Part] = [] if core == 8 * nodes else [(NIC_S, 0, 1)]
    return [*extra, *half, *half, *extra]


def _half_of_halving(nodes: int) -> list[Part]:
    parts = _deep_halving(nodes)
    return parts[: len(parts) // 2]


INSIDE: Part = (7 * NVLINK_S, 7 / 8, 0)
"""A ring reduce-scatter or all-gather of a whole buffer inside a node."""


def _each_pair(nodes: int) -> list[Part]:
    n = 8 * nodes
    return [(SLOWER_S, 7 / n, (n - 8) / n)]


def _gather_in_two(nodes: int) -> list[Part]:
    return [((nodes - 1) * NIC_S, 0, (nodes - 1) / nodes / 8), INSIDE]


def _node_dedup(nodes: int) -> list[Part]:
    copies = some_copies(8 * nodes)
    to_node, to_rank = chosen_share(nodes, copies) / 6, chosen_share(8 * nodes, copies) / 6
    return [(SLOWER_S + NVLINK_S, 7 * nodes * to_rank, (nodes - 1) * to_node)]


def _switches_and_trees(nodes: int) -> list[Part]:
    """Of an eighth of the payload each rank adds up two trees, and of the node's sums as many as it has children."""
    ways = min(nodes - 1, 2)
    return [((2 * ceil(log2(nodes)) + 2) * SLOWER_S, ways * 9 / 8, _tree_port(nodes) / 8)]


DEEP: dict[tuple[CollectiveKind, str], Deep] = {
    ("all_reduce", "ring"): _ring(2),
    ("all_reduce", "tree"): _deep_tree,
    ("all_reduce", "halving-doubling"): _deep_halving,
    ("all_reduce", "hierarchical"): lambda d: [INSIDE, (2 * (d - 1) * NIC_S, 0, 2 * (d - 1) / d / 8), INSIDE],
    ("all_reduce", "in-switch-tree"): _switches_and_trees,
    ("all_reduce", "in-network"): lambda d: [INSIDE, (2 * NIC_S, 0, 1 / 8), INSIDE],
    ("all_gather", "ring"): _ring(1),
    ("all_gather", "direct"): _each_pair,
    ("all_gather", "halving-doubling"): _half_of_halving,
    ("all_gather", "hierarchical"): _gather_in_two,
    ("reduce_scatter", "ring"): _ring(1),
    ("reduce_scatter", "direct"): _each_pair,
    ("reduce_scatter", "halving-doubling"): _half_of_halving,
    ("reduce_scatter", "hierarchical"): _gather_in_two,
    ("broadcast", "ring"): _chain,
    ("broadcast", "tree"): lambda d: [(NVLINK_S, 1.0, 0)] * 3 + [(NIC_S, 0, 1.0)] * ceil(log2(d)),
    ("all_to_all", "direct"): _each_pair,
    ("all_to_all", "pairwise"): lambda d: [(SLOWER_S, 1 / (8 * d), 1 / (8 * d))] * (8 * d - 1),
    ("all_to_all", "hierarchical"): lambda d: [(NVLINK_S, 7 / 8, 0), (NIC_S, 0, (d - 1) / d)],
    ("all_to_all", "low-latency"): _each_pair,
    ("all_to_all", "node-dedup"): _node_dedup,
    ("send_recv", "direct"): lambda d: [(SLOWER_S, 1.0, 1.0)],
}


def test_every_algorithm_has_its_closed_forms_here() -> None:
    assert set(FLAT) == set(CASES) - {("all_reduce", "in-switch-tree")}
    assert set(DEEP) == {case for case in CASES if case[1] not in IN_ONE_DOMAIN}


def sizes_of_groups(algorithm: str, sizes: Sequence[int], most: int) -> list[int]:
    """All of `sizes`; of the large ones of a quadratic algorithm only the largest."""
    return [n for n in sizes if algorithm not in QUADRATIC or n <= most or n == sizes[-1]]


def possible(kind: CollectiveKind, algorithm: str, routes: Routes) -> bool:
    group = tuple(range(routes.cluster.gpus))
    return refusal(kind, algorithm, group, routes.cluster, some_copies(len(group))) is None


def check_alone(kind: CollectiveKind, algorithm: str, routes: Routes, parts: list[Part]) -> None:
    group = tuple(range(routes.cluster.gpus))
    found = traffic(kind, group, routes, algorithm=algorithm, copies=some_copies(len(group)))
    assert found.algorithm == algorithm
    for size in SIZES:
        expected = expected_s(parts, size)
        assert found.alone_s(size) == pytest.approx(expected, rel=1e-9, abs=0), f"{len(group)} ranks, {size} bytes"


ONLY_POWERS = [("all_gather", "halving-doubling"), ("reduce_scatter", "halving-doubling")]


def is_power(n: int) -> bool:
    return n & (n - 1) == 0


@pytest.mark.parametrize(("kind", "algorithm"), [case for case in FLAT if case[1] not in IN_ONE_DOMAIN])
def test_time_over_one_switch_is_latency_by_rounds_and_bytes_of_the_busiest_nic(
    kind: CollectiveKind, algorithm: str
) -> None:
    for n in sizes_of_groups(algorithm, RANKS, 300):
        assert possible(kind, algorithm, flat(n)) == ((kind, algorithm) not in ONLY_POWERS or is_power(n))
        if possible(kind, algorithm, flat(n)):
            rounds, share = FLAT[kind, algorithm](n)
            check_alone(kind, algorithm, flat(n), [(rounds * NIC_S, 0, share)])


@pytest.mark.parametrize(("kind", "algorithm"), [case for case in FLAT if case[1] not in BETWEEN_DOMAINS])
def test_time_inside_a_node_is_latency_by_rounds_and_bytes_of_the_busiest_nvlink(
    kind: CollectiveKind, algorithm: str
) -> None:
    for n in sizes_of_groups(algorithm, RANKS, 300):
        assert possible(kind, algorithm, one_node(n)) == ((kind, algorithm) not in ONLY_POWERS or is_power(n))
        if possible(kind, algorithm, one_node(n)):
            rounds, share = FLAT[kind, algorithm](n)
            check_alone(kind, algorithm, one_node(n), [(rounds * NVLINK_S, share, 0)])


@pytest.mark.parametrize(("kind", "algorithm"), list(DEEP))
def test_time_over_nodes_of_eight_is_latency_by_rounds_and_bytes_of_the_busiest_tier(
    kind: CollectiveKind, algorithm: str
) -> None:
    for nodes in sizes_of_groups(algorithm, NODES, 17):
        assert possible(kind, algorithm, nodes_of_eight(nodes)) == (
            (kind, algorithm) not in ONLY_POWERS or is_power(nodes)
        )
        if possible(kind, algorithm, nodes_of_eight(nodes)):
            check_alone(kind, algorithm, nodes_of_eight(nodes), DEEP[kind, algorithm](nodes))


@pytest.mark.parametrize(
    ("kind", "algorithm", "sharing"),
    [(*case, "activity") for case in DEEP] + [(*case, "flow") for case in DEEP if case[1] != "node-dedup"],
)
def test_the_network_s_clock_agrees_with_the_closed_forms(
    kind: CollectiveKind, algorithm: str, sharing: Sharing
) -> None:
    """Also with a fair share for every message, except where sizes differ and small messages end first."""
    machines = [(nodes_of_eight(nodes), DEEP[kind, algorithm](nodes)) for nodes in (2, 4)]
    if (kind, algorithm) in FLAT:
        rounds, share = FLAT[kind, algorithm](8)
        machines.append((flat(8), [(rounds * NIC_S, 0.0, share)]))
    for plain, parts in machines:
        routes = Routes(replace(plain.cluster, sharing=sharing))
        group = tuple(range(routes.cluster.gpus))
        found = traffic(kind, group, routes, algorithm=algorithm, copies=some_copies(len(group)))
        for size in (1.0, 16 * 2.0**30):
            ends, network = run_transfers(routes, [(0.0, found, size)])
            assert ends == pytest.approx([expected_s(parts, size)], rel=1e-9, abs=0)
            network.check_conservation(network.loads(), ends[0])


@pytest.mark.parametrize("algorithm", IN_ONE_DOMAIN)
@pytest.mark.parametrize("n", [2, 3, 8, 72])
def test_the_network_s_clock_agrees_with_the_closed_forms_of_one_domain(algorithm: str, n: int) -> None:
    found = traffic("all_reduce", tuple(range(n)), one_node(n), algorithm=algorithm)
    rounds, share = FLAT["all_reduce", algorithm](n)
    for size in SIZES:
        ends, _ = run_transfers(one_node(n), [(0.0, found, size)])
        assert ends == pytest.approx([rounds * NVLINK_S + size * share / NVLINK], rel=1e-9, abs=0)


@pytest.mark.parametrize(("kind", "algorithm"), [case for case in DEEP if case in FLAT])
def test_a_group_with_one_rank_a_node_takes_what_one_gpu_a_node_takes(kind: CollectiveKind, algorithm: str) -> None:
    """The rest of the node does not matter: one rank of each of eight nodes of eight."""
    group = tuple(range(3, 64, 8))
    found = traffic(kind, group, nodes_of_eight(8), algorithm=algorithm, copies=some_copies(8))
    rounds, share = FLAT[kind, algorithm](8)
    assert found.alone_s(1e6) == pytest.approx(rounds * NIC_S + 1e6 * share / NIC, rel=1e-9, abs=0)


# --------------------------------------------------------------------------------------------- uneven exchanges


def uneven_s(routes: Routes, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    group = tuple(range(routes.cluster.gpus))
    shape = Pattern(algorithm="direct", phases=(exchange.uneven(group, matrix),))
    return routed(shape, group, routes).alone_s(1.0)


matrices = st.integers(2, 8).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 10**6), min_size=n, max_size=n), min_size=n, max_size=n)
)


@law(60)
@given(rows=matrices)
def test_an_uneven_exchange_takes_the_largest_sum_of_a_row_or_column(rows: list[list[int]]) -> None:
    n = len(rows)
    matrix = np.array(rows, dtype=np.float64)
    away = [[0 if i == j else rows[i][j] for j in range(n)] for i in range(n)]
    most = max([sum(row) for row in away] + [sum(column) for column in zip(*away, strict=True)])
    if most == 0:
        return
    assert uneven_s(flat(n), matrix) == pytest.approx(NIC_S + most / NIC, rel=1e-9, abs=0)
    assert uneven_s(one_node(n), matrix) == pytest.approx(NVLINK_S + most / NVLINK, rel=1e-9, abs=0)


def test_an_exchange_of_nothing_takes_no_time_on_the_wires() -> None:
    assert uneven_s(flat(4), np.diag([1.0, 2, 3, 4])) <= NIC_S


@pytest.mark.parametrize("seed", range(20))
def test_an_uneven_exchange_over_nodes_takes_its_busiest_port_of_either_tier(seed: int) -> None:
    rng = random.Random(seed)
    heavy = rng.choice([1, 8, 100])
    rows = [[rng.randint(0, 10**6) * (heavy if i // 8 == j // 8 else 1) for j in range(16)] for i in range(16)]
    expected_s = max(_busiest(rows, inside=True) / NVLINK, _busiest(rows, inside=False) / NIC)
    assert uneven_s(nodes_of_eight(2), np.array(rows, dtype=np.float64)) == pytest.approx(
        SLOWER_S + expected_s, rel=1e-9
    )


def _busiest(rows: list[list[int]], *, inside: bool) -> int:
    """Bytes of the busiest port that go to the same node, or to the other."""
    size = len(rows)
    chosen = [[rows[i][j] if i != j and (i // 8 == j // 8) == inside else 0 for j in range(size)] for i in range(size)]
    sums = [*map(sum, chosen), *map(sum, zip(*chosen, strict=True))]
    return max(map(int, sums))


# ------------------------------------------------------------------------------------ experts chosen without repeats


@pytest.mark.parametrize(("experts", "top_k"), [(4, 1), (4, 2), (4, 4), (8, 2), (8, 3), (12, 4), (12, 8)])
def test_the_share_of_tokens_that_reach_a_part_of_the_experts_is_that_of_all_choices(experts: int, top_k: int) -> None:
    choices = list(combinations(range(experts), top_k))
    for buckets in (b for b in range(1, experts + 1) if experts % b == 0):
        part = experts // buckets
        distinct = sum(len({expert // part for expert in choice}) for choice in choices)
        found = exchange.distinct(Copies(top_k=top_k, experts=experts, token_bytes=1.0), buckets)
        assert found == pytest.approx(distinct / len(choices), rel=1e-12, abs=0)


def counted_dispatch(nodes: int, members: int, experts: int, top_k: int) -> dict[tuple[int, int], float]:
    """Bytes from rank to rank per byte of payload: every choice of every sender's token, mean over the choices."""
    n, between = nodes * members, Counter[tuple[int, int]]()
    choices = list(combinations(range(experts), top_k))
    for sender in range(n):
        for choice in choices:
            ranks = {expert * n // experts for expert in choice}
            for node in {rank // members for rank in ranks}:
                gate = node * members + sender % members
                between[sender, gate] += 1
                between.update((gate, rank) for rank in ranks if rank // members == node)
    return {(a, b): count / len(choices) / top_k for (a, b), count in between.items() if a != b}


@pytest.mark.parametrize(
    ("nodes", "members", "experts", "top_k"), [(1, 4, 8, 3), (2, 2, 8, 2), (2, 4, 8, 4), (3, 2, 12, 3), (4, 1, 8, 2)]
)
def test_node_dedup_sends_a_token_once_to_a_node_and_once_to_a_rank(
    nodes: int, members: int, experts: int, top_k: int
) -> None:
    """Combine goes the same ways back: between any two ranks it takes as many bytes the other way, so the same."""
    expected = counted_dispatch(nodes, members, experts, top_k)
    shape = pattern(
        "all_to_all",
        tuple(range(nodes * members)),
        ideal_cluster(nodes, members),
        "node-dedup",
        Copies(top_k=top_k, experts=experts, token_bytes=1.0),
    )
    assert sent(shape.phases) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx({(b, a): size for (a, b), size in expected.items()}, rel=1e-12)


# ------------------------------------------------------------------------------------------------ the data, followed


def sent(phases: Iterable[Phase]) -> dict[tuple[int, int], float]:
    """Bytes from rank to rank."""
    total: dict[tuple[int, int], float] = defaultdict(float)
    for one in phases:
        messages = one.listed()
        for a, b, size in zip(
            messages.sender.tolist(), messages.receiver.tolist(), messages.bytes.tolist(), strict=True
        ):
            total[a, b] += size
    return dict(total)


def the_phases(kind: CollectiveKind, algorithm: str, nodes: int, members: int) -> tuple[Phase, ...]:
    return pattern(kind, tuple(range(nodes * members)), able(ideal_cluster(nodes, members)), algorithm).phases


MACHINES = [(1, 2), (1, 7), (1, 8), (2, 1), (2, 2), (3, 1), (3, 4), (4, 4), (5, 2), (8, 8)]


@pytest.mark.parametrize(("nodes", "members"), MACHINES)
def test_passing_blocks_round_its_rings_gives_every_rank_the_sum_of_all(nodes: int, members: int) -> None:
    """Reduce-scatter: a block travels n-1 hops and picks up each rank's part once; all-gather: n-1 hops more."""
    n = nodes * members
    rings = ring_orders(tuple(range(n)), members)
    for order in rings:
        sums = [[{rank} for _ in range(n)] for rank in order]
        for step in range(n - 1):
            going = [(place, (place - step) % n) for place in range(n)]
            moved = [(place, block, set(sums[place][block])) for place, block in going]
            for place, block, parts in moved:
                assert sums[(place + 1) % n][block].isdisjoint(parts)
                sums[(place + 1) % n][block] |= parts
        done = [{(place + 1) % n} for place in range(n)]
        assert all(sums[place][(place + 1) % n] == set(range(n)) for place in range(n))
        for _ in range(n - 1):
            done = [done[place] | done[(place - 1) % n] for place in range(n)]
        assert all(blocks == set(range(n)) for blocks in done)
    edges: Counter[tuple[int, int]] = Counter()
    for order in rings:
        edges.update(pairwise((*order, order[0])))
    (shape,) = the_phases("all_reduce", "ring", nodes, members)
    assert sent([shape]) == pytest.approx(
        {edge: 2 * (n - 1) / n * k / len(rings) for edge, k in edges.items()}, rel=1e-12, abs=0
    )
    assert shape.rounds == 2 * (n - 1)


@pytest.mark.parametrize("count", [*range(2, 70), 127, 128, 129, 500, 511, 512, 1023, 1024])
def test_both_trees_span_all_ranks_in_log_depth_and_no_rank_has_two_children_in_one_and_any_in_the_other(
    count: int,
) -> None:
    children = []
    for edges in (trees._tree_edges(count), trees._mirrored(count)):
        parent = {child: above for above, child in edges}
        assert len(edges) == len(parent) == count - 1
        (root,) = set(range(count)) - set(parent)
        depth = {root: 0}
        for rank in range(count):
            way = [rank]
            while way[-1] not in depth:
                way.append(parent[way[-1]])
                assert len(way) <= count, f"{rank} never reaches the root {root}"
            for down in reversed(way[:-1]):
                depth[down] = depth[parent[down]] + 1
        assert max(depth.values()) <= ceil(log2(count))
        children.append(Counter(above for above, _ in edges))
        assert max(children[-1].values()) <= 2
    one, other = children
    assert not [rank for rank in range(count) if one[rank] == 2 and other[rank]]
    assert not [rank for rank in range(count) if other[rank] == 2 and one[rank]]


@pytest.mark.parametrize(("nodes", "members"), MACHINES)
def test_over_the_double_tree_every_rank_s_part_can_reach_every_rank(nodes: int, members: int) -> None:
    """Both ways over every edge alike; each of the channels' trees spans all ranks, so its edges weigh n-1 shares."""
    n = nodes * members
    found = sent(the_phases("all_reduce", "tree", nodes, members))
    assert found == pytest.approx({(b, a): size for (a, b), size in found.items()}, rel=1e-12, abs=0)
    assert sum(found.values()) == pytest.approx(2 * (n - 1), rel=1e-12, abs=0)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_weighted_edges_from(((a, b, size) for (a, b), size in found.items()), weight="capacity")
    assert nx.is_strongly_connected(graph)
    for rank in range(1, n):
        for tail, head in ((0, rank), (rank, 0)):
            assert nx.maximum_flow_value(graph, tail, head) >= 1 - 1e-9, "no room for the whole buffer"


def test_the_double_tree_of_two_nodes_of_two_by_hand() -> None:
    """Channel 0 joins nodes at members 0 and 2, channel 1 at 1 and 3; halves of either go over both trees, alike."""
    assert sent(the_phases("all_reduce", "tree", 2, 2)) == pytest.approx(
        {(a, b): size for a, b, size in both([(0, 2, 0.5), (1, 3, 0.5), (0, 1, 1.0), (2, 3, 1.0)])}
    )


def both(edges: Iterable[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    return [edge for a, b, size in edges for edge in ((a, b, size), (b, a, size))]


Sums = list[list[set[int]]]
"""What each rank holds of each block: the ranks whose part is in it."""


def halve(sums: Sums, phases: Sequence[Phase], kept: list[range]) -> None:
    """Reduce-scatter: hand the partner its half of the kept blocks, and add what comes."""
    n = len(kept)
    for one in phases:
        before = [[set(block) for block in blocks] for blocks in sums]
        next_kept = list(kept)
        for (a, b), size in sent([one]).items():
            half = len(kept[a]) // 2
            low, high = kept[a][:half], kept[a][half:]
            mine, theirs = (low, high) if a < b else (high, low)
            assert kept[a] == kept[b]
            assert size == pytest.approx(len(theirs) / n, rel=1e-12, abs=0)
            next_kept[a] = mine
            for block in theirs:
                assert sums[b][block].isdisjoint(before[a][block])
                sums[b][block] |= before[a][block]
        kept[:] = next_kept


def gather(have: list[set[int]], phases: Sequence[Phase]) -> None:
    """All-gather: hand the partner every finished block one has."""
    n = len(have)
    for one in phases:
        before = [set(blocks) for blocks in have]
        for (a, b), size in sent([one]).items():
            assert size == pytest.approx(len(before[a]) / n, rel=1e-12, abs=0)
            assert before[a].isdisjoint(before[b])
            have[b] |= before[a]


@pytest.mark.parametrize("n", [2, 4, 8, 16, 64])
def test_halving_adds_each_part_once_and_doubling_hands_every_block_to_every_rank(n: int) -> None:
    phases = the_phases("all_reduce", "halving-doubling", n, 1)
    half = len(phases) // 2
    sums: Sums = [[{rank} for _ in range(n)] for rank in range(n)]
    kept = [range(n)] * n
    halve(sums, phases[:half], kept)
    assert all(len(blocks) == 1 and sums[rank][blocks[0]] == set(range(n)) for rank, blocks in enumerate(kept))
    have = [{blocks[0]} for blocks in kept]
    gather(have, phases[half:])
    assert all(blocks == set(range(n)) for blocks in have)


@pytest.mark.parametrize("n", [3, 5, 6, 7, 12, 100])
def test_ranks_beyond_a_power_of_two_hand_their_buffer_in_and_get_the_sum_back(n: int) -> None:
    phases = the_phases("all_reduce", "halving-doubling", n, 1)
    core = 1 << int(log2(n))
    first, last = sent(phases[:1]), sent(phases[-1:])
    assert {a for a, _ in first} == {b for _, b in last} == set(range(core, n))
    assert len({b for _, b in first}) == len({a for a, _ in last}) == n - core
    assert {b for _, b in first} | {a for a, _ in last} <= set(range(core))
    assert set(first.values()) == set(last.values()) == {1.0}
    assert {rank for one in phases[1:-1] for pair in sent([one]) for rank in pair} == set(range(core))
    alone = the_phases("all_reduce", "halving-doubling", core, 1)
    assert [sent([one]) for one in phases[1:-1]] == [sent([one]) for one in alone]


@pytest.mark.parametrize("n", [2, 3, 8, 9, 33])
def test_a_pairwise_exchange_serves_every_ordered_pair_once_and_no_port_twice_at_a_time(n: int) -> None:
    phases = the_phases("all_to_all", "pairwise", n, 1)
    pairs = [pair for one in phases for pair in sent([one])]
    assert len(phases) == n - 1
    assert sorted(pairs) == [(a, b) for a in range(n) for b in range(n) if a != b]
    for one in phases:
        assert sorted(a for a, _ in sent([one])) == sorted(b for _, b in sent([one])) == list(range(n))
        assert set(sent([one]).values()) == {1 / n}


@pytest.mark.parametrize("kind", ["all_to_all", "all_gather", "reduce_scatter"])
@pytest.mark.parametrize(("nodes", "members"), MACHINES)
def test_a_direct_exchange_sends_every_pair_its_share_in_one_round(
    kind: CollectiveKind, nodes: int, members: int
) -> None:
    (only,) = the_phases(kind, "direct", nodes, members)
    n = nodes * members
    assert only.rounds == 1
    assert sent([only]) == {(a, b): 1 / n for a in range(n) for b in range(n) if a != b}


@pytest.mark.parametrize(("nodes", "members"), [machine for machine in MACHINES if min(machine) > 1])
def test_a_hierarchical_exchange_delivers_every_pair_s_bytes(nodes: int, members: int) -> None:
    """Bytes for (node, member) go to that member of the own node first, and from there to the node."""
    n = nodes * members
    items = {(a, b): a for a in range(n) for b in range(n)}
    first = {(a, b): a // members * members + b % members for a, b in items}
    second = {(a, b): b for a, b in items}
    for one, places in zip(the_phases("all_to_all", "hierarchical", nodes, members), (first, second), strict=True):
        needed: Counter[tuple[int, int]] = Counter()
        for pair, place in items.items():
            if places[pair] != place:
                needed[place, places[pair]] += 1
        items = places
        assert sent([one]) == pytest.approx({pair: count / n for pair, count in needed.items()}, rel=1e-12, abs=0)
    assert all(place == b for (_, b), place in items.items())


HIERARCHIES: list[tuple[CollectiveKind, str]] = [
    ("all_reduce", "hierarchical"),
    ("all_reduce", "in-network"),
    ("all_reduce", "in-switch-tree"),
    ("all_gather", "hierarchical"),
    ("reduce_scatter", "hierarchical"),
]


@pytest.mark.parametrize(("nodes", "members"), [(2, 2), (3, 4), (4, 4), (8, 8), (4, 1)])
@pytest.mark.parametrize(("kind", "algorithm"), HIERARCHIES)
def test_the_levels_of_a_hierarchy_bring_every_rank_s_part_to_every_rank(
    kind: CollectiveKind, algorithm: str, nodes: int, members: int
) -> None:
    """Every phase is complete within rings or switches; after the last one every rank has heard of every other."""
    n = nodes * members
    if algorithm == "in-switch-tree" and members == 1:
        with pytest.raises(ValueError, match="needs several ranks in every NVLink domain"):
            the_phases(kind, algorithm, nodes, members)
        return
    heard = [{rank} for rank in range(n)]
    for one in the_phases(kind, algorithm, nodes, members):
        graph: nx.DiGraph[int] = nx.DiGraph(list(sent([one])))
        for reduction in one.reductions:
            nx.add_cycle(graph, reduction.ranks)
        for circle in nx.strongly_connected_components(graph):
            together = set().union(*(heard[rank] for rank in circle))
            for rank in circle:
                heard[rank] = set(together)
    assert all(parts == set(range(n)) for parts in heard)


@pytest.mark.parametrize("n", [2, 3, 7, 8, 9, 100])
def test_a_binomial_broadcast_is_sent_by_who_has_the_buffer_to_who_has_not(n: int) -> None:
    have = {0}
    for one in the_phases("broadcast", "tree", n, 1):
        edges = sent([one])
        assert {a for a, _ in edges} <= have
        assert have.isdisjoint(b for _, b in edges)
        assert len({b for _, b in edges}) == len({a for a, _ in edges}) == len(edges)
        assert set(edges.values()) == {1.0}
        have |= {b for _, b in edges}
    assert have == set(range(n))


@pytest.mark.parametrize(("nodes", "members"), MACHINES)
def test_a_ring_broadcast_brings_the_whole_buffer_to_every_rank_but_the_root_once(nodes: int, members: int) -> None:
    n = nodes * members
    (only,) = the_phases("broadcast", "ring", nodes, members)
    edges = sent([only])
    received = dict.fromkeys(range(1, n), 0.0)
    for (_, b), size in edges.items():
        received[b] += size
    assert received == pytest.approx({rank: 1.0 for rank in range(1, n)}, rel=1e-12, abs=0)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_weighted_edges_from(((a, b, size) for (a, b), size in edges.items()), weight="capacity")
    assert all(nx.maximum_flow_value(graph, 0, rank) >= 1 - 1e-9 for rank in range(1, n))


@pytest.mark.parametrize("group", [(0, 1), (5, 2, 7), tuple(range(16))])
def test_send_and_receive_shifts_the_whole_buffer_round_the_group(group: Group) -> None:
    (only,) = pattern("send_recv", group, ideal_cluster(2, 8)).phases
    assert sent([only]) == {(a, b): 1.0 for a, b in pairwise((*group, group[0]))}


@pytest.mark.parametrize(("pair", "latency_s", "rate"), [((0, 1), NVLINK_S, NVLINK), ((0, 8), NIC_S, NIC)])
def test_one_way_is_one_message_of_the_first_to_the_second(pair: Group, latency_s: float, rate: float) -> None:
    routes = nodes_of_eight(2)
    (only,) = pattern("send_recv", pair, routes.cluster, "one-way").phases
    assert sent([only]) == {pair: 1.0}
    found = traffic("send_recv", pair, routes, algorithm="one-way")
    for size in SIZES:
        assert found.alone_s(size) == pytest.approx(latency_s + size / rate, rel=1e-9, abs=0)


def test_one_way_is_for_pairs() -> None:
    assert refusal("send_recv", "one-way", (0, 1, 2), nodes_of_eight(2).cluster) is not None
