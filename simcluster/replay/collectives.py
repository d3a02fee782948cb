"""Collectives as messages: which rank sends how much to which, in how many latency-bound steps.

Sizes are per byte of the collective's payload (nccl-tests' size), so one pattern serves every payload.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import assert_never

import numpy as np

from simcluster.cluster.routes import Messages
from simcluster.program.program import CollectiveKind

Group = tuple[int, ...]
"""The ranks of one collective, in the order of its axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What one collective sends: `messages` per byte of payload, in `steps` rounds that each pay one latency."""

    algorithm: str
    messages: Messages
    steps: int


def pattern(kind: CollectiveKind, group: Group, gpus_per_node: int) -> Pattern:
    """The messages of one collective over the `n` ranks of `group`.

    Ring all-reduce: every rank sends 2(n-1)/n of the buffer to its neighbour in 2(n-1) steps.  Ring all-gather and
    reduce-scatter: (n-1)/n of the whole in n-1 steps (Thakur, Rabenseifner & Gropp, 2005).  Direct all-to-all: every
    rank sends 1/n of its buffer to each other rank, all at once, in one step.
    """
    n = len(group)
    match kind:
        case "all_reduce":
            return _ring(group, gpus_per_node, volume=2 * (n - 1) / n, steps=2 * (n - 1))
        case "all_gather" | "reduce_scatter":
            return _ring(group, gpus_per_node, volume=(n - 1) / n, steps=n - 1)
        case "all_to_all":
            return _direct(group)
        case _:
            assert_never(kind)


def _direct(group: Group) -> Pattern:
    ranks = np.array(group, dtype=np.int64)
    sender, receiver = (axis.ravel() for axis in np.meshgrid(ranks, ranks, indexing="ij"))
    other = sender != receiver
    sizes = np.full(int(other.sum()), 1 / len(group))
    return Pattern(
        algorithm="direct",
        messages=Messages(sender=sender[other], receiver=receiver[other], bytes=sizes),
        steps=1,
    )


def _ring(group: Group, gpus_per_node: int, *, volume: float, steps: int) -> Pattern:
    """Rings that share the data evenly, each rank sending `volume` of its ring's data to the next."""
    rings = ring_orders(group, gpus_per_node)
    edges = [edge for ring in rings for edge in pairwise((*ring, ring[0]))]
    sender, receiver = np.array(edges, dtype=np.int64).T
    sizes = np.full(len(edges), volume / len(rings))
    return Pattern(algorithm="ring", messages=Messages(sender=sender, receiver=receiver, bytes=sizes), steps=steps)


def ring_orders(group: Group, gpus_per_node: int) -> tuple[Group, ...]:
    """One ring in rank order, or one per member of a node where the group has equally many in each of several nodes.

    A ring leaves each node where it enters the next, so it stays on a rail from node to node, and the g rings leave
    each node through g different NICs, as NCCL's do.  In a node it goes from its member e over all others to member
    e + s; the shifts s of all nodes add up to a multiple of g, so the ring also closes on its rail.  Only with two
    members in each of an odd number of nodes no such shifts exist, and the closing hop changes rail.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for rank in group:
        members[rank // gpus_per_node].append(rank)
    per_node = {len(ranks) for ranks in members.values()}
    if len(members) == 1 or len(per_node) > 1:
        return (group,)
    (size,) = per_node
    entries = list(accumulate(_shifts(len(members), size), initial=0))
    return tuple(
        tuple(
            ranks[(ring + position) % size]
            for ranks, entry, leave in zip(members.values(), entries, entries[1:], strict=False)
            for position in _path(entry % size, leave % size, size)
        )
        for ring in range(size)
    )


def _shifts(nodes: int, size: int) -> list[int]:
    """From the member a ring enters to the one it leaves by, for each node: not zero unless alone, together a multiple
    of `size` where that can be."""
    if size == 1:
        return [0] * nodes
    if nodes % 2 == 0 or size == 2:
        return [1 if node % 2 == 0 else -1 for node in range(nodes)]
    return [1, -1] * ((nodes - 3) // 2) + [1, 1, size - 2]


def _path(entry: int, leave: int, size: int) -> Iterator[int]:
    """All members of a node, from `entry` to `leave`."""
    yield entry
    yield from (member for member in range(size) if member not in (entry, leave))
    if leave != entry:
        yield leave
