"""Progressive filling and fluid transfers in exact rational arithmetic, written from the textbook's words alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

Uses = Mapping[int, Fraction]
"""Bytes an activity puts on each wire per unit of its progress."""


def max_min_rates(
    activities: Sequence[Uses], capacity: Sequence[Fraction], limit: Sequence[Fraction | None] | None = None
) -> list[Fraction]:
    """Raise all rates together; when a wire is full its activities stop, and the others rise on.

    An activity also stops at its own limit, where it has one.
    """
    limits = dict(enumerate(limit or []))
    rates = [Fraction(0)] * len(activities)
    rising = set(range(len(activities)))
    while rising:
        own = {activity: most for activity in rising if (most := limits.get(activity)) is not None}
        levels = [_level(wire, activities, capacity, rates, rising) for wire in _wires(activities, rising)]
        level = min([*levels, *own.values()])
        for activity in rising:
            rates[activity] = level
        full = {
            wire
            for wire in _wires(activities, rising)
            if sum(uses.get(wire, 0) * rate for uses, rate in zip(activities, rates, strict=True)) == capacity[wire]
        }
        rising = {
            activity for activity in rising if full.isdisjoint(activities[activity]) and own.get(activity) != level
        }
    return rates


def _wires(activities: Sequence[Uses], chosen: set[int]) -> list[int]:
    return sorted({wire for activity in chosen for wire in activities[activity]})


def _level(
    wire: int, activities: Sequence[Uses], capacity: Sequence[Fraction], rates: Sequence[Fraction], rising: set[int]
) -> Fraction:
    """The common rate of all rising activities at which `wire` is full."""
    taken, lifting = Fraction(0), Fraction(0)
    for activity, uses in enumerate(activities):
        use = uses.get(wire, Fraction(0))
        if activity in rising:
            lifting += use
        else:
            taken += use * rates[activity]
    return (capacity[wire] - taken) / lifting


@dataclass(frozen=True)
class Flow:
    """A transfer that asks for its wires from `start` on until `size` units have passed."""

    start: Fraction
    size: Fraction
    uses: Uses


def flow_ends(flows: Sequence[Flow], capacity: Sequence[Fraction]) -> list[Fraction]:
    """When each flow ends, all of them sharing wires max-min fairly at every instant."""
    ends: dict[int, Fraction] = {}
    left = {index: flow.size for index, flow in enumerate(flows)}
    now = min(flow.start for flow in flows)
    while left:
        active = [index for index in left if flows[index].start <= now]
        later = [flows[index].start - now for index in left if flows[index].start > now]
        rates = dict(zip(active, max_min_rates([flows[index].uses for index in active], capacity), strict=True))
        lasting = min([*later, *(left[index] / rates[index] for index in active)])
        now += lasting
        for index in active:
            left[index] -= rates[index] * lasting
            if left[index] == 0:
                ends[index] = now
                del left[index]
    return [ends[index] for index in range(len(flows))]
