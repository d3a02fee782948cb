"""Trees and halving: collectives in a number of rounds that grows with the logarithm of the ranks."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, log2

from simcluster.traffic.pattern import Edge, Group, Phase, domains, phase


def double_tree(group: Group, domain_gpus: int, volume: float = 1.0) -> Phase:
    """All-reduce of `volume` of the payload over two binary trees of the domains, each for half: up sums, down results.

    A domain with two children in one tree has none in the other, so no port carries more than two buffers (Sanders,
    Speck & Träff, Two-Tree Algorithms for Full Bandwidth Broadcast, Reduction and Scan, 2009).  Inside a domain the
    data passes along a chain of its members.  2·(ceil(log2 domains) + members - 1) rounds, at least.  Where every
    domain has equally many members, each gives two trees of its own, rooted in turn, as NCCL's channels do.  A group
    within one domain forms the trees of its ranks.
    """
    parts = domains(group, domain_gpus)
    if len(parts) == 1:
        parts = tuple((rank,) for rank in group)
    sizes = {len(part) for part in parts}
    channels = min(sizes) if len(sizes) == 1 and len(parts) > 1 else 1
    edges: list[Edge] = []
    for channel in range(channels):
        turned = tuple(part[channel % len(part) :] + part[: channel % len(part)] for part in parts)
        for parent, child in [*_tree_edges(len(parts)), *_mirrored(len(parts))]:
            edges += _both_ways(turned[parent][0], turned[child][0], volume / (2 * channels))
        for part in turned:
            for near, far in pairwise(part):
                edges += _both_ways(near, far, volume / channels)
    longest = max(sizes)
    return phase(edges, 2 * (ceil(log2(len(parts))) + longest - 1))


def _both_ways(one: int, other: int, size: float) -> list[Edge]:
    return [(one, other, size), (other, one, size)]


def _tree_edges(count: int) -> list[tuple[int, int]]:
    """(parent, child) of an in-order binary tree over 0 … count-1 in which odd numbers are leaves: the parent of x
    flips its lowest set bit and sets the next, or only flips it where that would leave the range."""
    edges = []
    for child in range(1, count):
        low = child & -child
        up = (child & ~low) | (low << 1)
        edges.append((up if up < count else child & ~low, child))
    return edges


def _mirrored(count: int) -> list[tuple[int, int]]:
    """The same tree shifted by one (odd count) or mirrored (even count), so that inner places become leaves."""
    if count % 2:
        return [((parent + 1) % count, (child + 1) % count) for parent, child in _tree_edges(count)]
    return [(count - 1 - parent, count - 1 - child) for parent, child in _tree_edges(count)]


def halving(group: Group) -> tuple[Phase, ...]:
    """Reduce-scatter by recursive halving: log2 n rounds that exchange 1/2, 1/4, … of the buffer, ever nearer.

    Bytes per rank (n-1)/n of the payload.  n must be a power of two (Thakur, Rabenseifner & Gropp, 2005).
    """
    n = len(group)
    rounds = []
    distance = n // 2
    while distance:
        size = distance / n
        rounds.append(phase([(group[i], group[i ^ distance], size) for i in range(n)], 1))
        distance //= 2
    return tuple(rounds)


def doubling(group: Group) -> tuple[Phase, ...]:
    """All-gather by recursive doubling: the rounds of `halving` backwards."""
    return halving(group)[::-1]


def halving_doubling(group: Group) -> tuple[Phase, ...]:
    """All-reduce: halving, then doubling, 2·log2 n rounds; ranks beyond a power of two first hand their buffer to a
    partner and get the result back at the end."""
    n = len(group)
    core = 1 << (n.bit_length() - 1)
    extra = [(group[core + i], group[i], 1.0) for i in range(n - core)]
    before = (phase(extra, 1),) if extra else ()
    after = (phase([(to, back, size) for back, to, size in extra], 1),) if extra else ()
    return before + halving(group[:core]) + doubling(group[:core]) + after


def binomial(group: Group) -> tuple[Phase, ...]:
    """Broadcast from the first rank: in round k every rank that has the buffer sends it 2^k places on; ceil(log2 n)
    rounds of the whole buffer."""
    n = len(group)
    rounds, have = [], 1
    while have < n:
        rounds.append(phase([(group[i], group[i + have], 1.0) for i in range(min(have, n - have))], 1))
        have *= 2
    return tuple(rounds)
