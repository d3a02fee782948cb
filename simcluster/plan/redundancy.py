"""Redundant experts: the popular ones on several ranks, placed so that every rank gets about as many copies.

DeepSeek's Expert Parallelism Load Balancer (EPLB, 2025) in its global form, with two differences: an expert has at
most one replica on a rank, where there is a choice, and so at most as many as there are ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heappush

from simcluster.plan.routing import Weights, held, in_order, max_over_mean

ROWS = 5
"""How many numbers of redundant experts a table tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redundancy:
    """What so many redundant experts buy: the experts on a rank, and the fullest rank's load over the mean."""

    redundant_experts: int
    experts_per_rank: int
    max_over_mean: float


def replicas(weights: Sequence[float], redundant: int, most: int) -> tuple[int, ...]:
    """How many ranks hold each expert: one more, `redundant` times, for the expert with most load per replica.

    None gets more than `most`; the first of equals comes first.
    """
    count = [1] * len(weights)
    heap = [(-weight, expert) for expert, weight in enumerate(weights) if most > 1]
    heapify(heap)
    for _ in range(redundant):
        _, expert = heappop(heap)
        count[expert] += 1
        if count[expert] < most:
            heappush(heap, (-weights[expert] / count[expert], expert))
    return tuple(count)


@lru_cache(maxsize=256)
def placed(weights: Weights, ranks: int, redundant: int) -> tuple[tuple[int, ...], ...]:
    """The experts on each rank, in ascending order: experts / ranks each in order where none is redundant, else packed.

    Packing hands out replicas, those with most load first, each to the rank with least load so far that has a free
    place and does not hold the expert yet (Graham's longest processing time first, with equally many places a rank).
    Only where every rank with a free place holds the expert does one get it twice.
    """
    if redundant == 0:
        return in_order(len(weights), ranks)
    count = replicas(weights, redundant, ranks)
    places = (len(weights) + redundant) // ranks
    order = sorted((-weights[expert] / count[expert], expert) for expert in range(len(weights)))
    held_by: list[list[int]] = [[] for _ in range(ranks)]
    heap = [(0.0, rank) for rank in range(ranks)]
    for load, expert in order:
        for _ in range(count[expert]):
            passed = []
            while heap and expert in held_by[heap[0][1]]:
                passed.append(heappop(heap))
            total, rank = heappop(heap) if heap else passed.pop(0)
            held_by[rank].append(expert)
            if len(held_by[rank]) < places:
                heappush(heap, (total - load, rank))
            for one in passed:
                heappush(heap, one)
    return tuple(tuple(sorted(experts)) for experts in held_by)


def mistake(experts: int, ranks: int, redundant: int) -> str | None:
    """What is wrong with so many redundant experts, and what would fit; None if nothing is."""
    most = experts * (ranks - 1)
    if redundant > most:
        if ranks == 1:
            return "has no effect with ep 1, where every rank holds every expert; leave it out"
        return f"{redundant:,} is too many: with {most:,} each of ep {ranks} ranks holds all {experts:,} experts"
    over = (experts + redundant) % ranks
    if not over:
        return None
    fits = [one for one in (redundant - over, redundant - over + ranks) if 0 <= one <= most]
    told = " or ".join(f"{one:,}" for one in fits)
    return f"{experts:,} experts and {redundant:,} redundant ones do not divide over ep {ranks} ranks; use {told}"


def table(weights: Weights, loads: Weights, ranks: int, redundant: int) -> tuple[Redundancy, ...]:
    """What 0, ep, 2·ep … redundant experts would buy (where ep does not divide the experts: what fills up the ranks,
    and ep more each), and `redundant` itself: placed by `weights`, loaded by `loads`."""
    experts = len(weights)
    first = -experts % ranks
    tried = {first + step * ranks for step in range(ROWS)} | {redundant}
    return tuple(
        Redundancy(
            redundant_experts=one,
            experts_per_rank=(experts + one) // ranks,
            max_over_mean=max_over_mean(held(loads, placed(weights, ranks, one))),
        )
        for one in sorted(tried)
        if one <= experts * (ranks - 1)
    )
