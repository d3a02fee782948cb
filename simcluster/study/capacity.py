"""What memory allows: the largest batch and context that fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

from simcluster.pipeline import memory_fraction
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.capacity import Capacity

MOST_SEQUENCES, MOST_TOKENS = 10_000_000, 100_000_000
"""As many as a scenario may ask for."""


def capacity(scenario: Scenario) -> Capacity:
    """The limits, found by counting memory again and again; the plan divides all of them."""
    unit = 1 if scenario.workload.phase == "decode" else scenario.plan.degrees.cp
    longest = _largest(lambda count: memory_fraction(_with_length(scenario, count * unit)), MOST_TOKENS // unit)
    return Capacity(
        largest_batch=largest_batch(scenario),
        largest_length=unit * longest,
        length_name="context" if scenario.workload.phase == "decode" else "sequence",
    )


def largest_batch(scenario: Scenario) -> int:
    """The most sequences of the whole deployment that replicas, halves and microbatches divide; 0 if none fit.

    Where the rule says how many microbatches there are, memory rises with the batch only in steps of as many as there
    can be; between two of them, where there are fewer and larger ones, every number is tried.
    """
    share, execution = scenario.share, scenario.execution
    unit = scenario.plan.degrees.dp * execution.halves * (execution.microbatches or 1)
    together = share.most_microbatches if execution.microbatches is None else 1

    def fraction(count: int) -> float:
        return memory_fraction(_with_batch(scenario, count * unit))

    most = max(1, MOST_SEQUENCES // (unit * together))
    found = together * _largest(lambda count: fraction(count * together), most)
    beyond = (count for count in range(found + together - 1, found, -1) if fraction(count) <= 1)
    return unit * next(beyond, found)


def _with_batch(scenario: Scenario, batch: int) -> Scenario:
    return replace(scenario, workload=replace(scenario.workload, batch=batch))


def _with_length(scenario: Scenario, length: int) -> Scenario:
    return replace(scenario, workload=replace(scenario.workload, length=length))


def _largest(fraction: Callable[[int], float], most: int) -> int:
    """The largest count up to `most` whose memory is at most 1, by a rising `fraction`; 0 if 1 is too many.

    Memory is nearly a straight line, so the line through the last two counts that were tried foretells the crossing.
    Where that creeps, halves are taken.
    """
    low, high = (1, fraction(1)), most + 1
    if low[1] > 1:
        return 0
    before, second = low, min(1025, most)
    if second == 1:
        return 1
    tried = (second, fraction(second))
    for step in count():
        if tried[1] <= 1:
            low = max(low, tried)
        else:
            high = min(high, tried[0])
        if high - low[0] <= 1:
            return low[0]
        slope = (tried[1] - before[1]) / (tried[0] - before[0])
        room = (1 - low[1]) / slope if slope > 0 else most
        guess = (low[0] + high) // 2 if step > HASTE else int(min(low[0] + room, most))
        guess = min(max(guess, low[0] + 1), high - 1)
        before, tried = tried, (guess, fraction(guess))
    raise AssertionError("a search in whole numbers ends")


HASTE = 12
"""Straight lines that are followed before halves are taken."""
