"""Collectives as messages: which rank sends how much to which, in how many latency-bound steps.

Sizes are per byte of the collective's payload (nccl-tests' size), so one pattern serves every payload.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
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

    Ring r enters node k at its member (r - k) mod g and leaves from the member before it, where it enters node k + 1:
    each ring stays on a rail from node to node and the g rings leave each node through g different NICs, as NCCL's do.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for rank in group:
        members[rank // gpus_per_node].append(rank)
    per_node = {len(ranks) for ranks in members.values()}
    if len(members) == 1 or len(per_node) > 1:
        return (group,)
    (size,) = per_node
    return tuple(
        tuple(ranks[(ring - k + j) % size] for k, ranks in enumerate(members.values()) for j in range(size))
        for ring in range(size)
    )
