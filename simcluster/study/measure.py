"""What a search needs to know of each plan, found for many scenarios on the cores at hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from simcluster.pipeline import estimate, memory_fraction
from simcluster.scenario.scenario import Scenario
from simcluster.study.pool import run_all

PATIENCE_S = 1.0
"""Work of this process alone after which it is known how long the rest will take."""

WORTH_S = 4.0
"""Work that is left from which on other processes help: each takes about a second to start."""

CHUNK = 16
"""Scenarios handed to a process at a time."""


class Measured(NamedTuple):
    """A plan's numbers; where it does not fit in memory, only that."""

    latency_s: float | None
    throughput_tokens_per_s: float | None
    mfu: float | None
    memory_fraction: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """Scenarios of a list from index `first`."""

    first: int
    scenarios: tuple[Scenario, ...]


def measure(scenario: Scenario) -> Measured:
    """The same numbers as `simulate` gives."""
    fraction = memory_fraction(scenario)
    if fraction > 1:
        return Measured(latency_s=None, throughput_tokens_per_s=None, mfu=None, memory_fraction=fraction)
    found = estimate(scenario)
    return Measured(
        latency_s=found.latency_s,
        throughput_tokens_per_s=found.throughput_tokens_per_s,
        mfu=found.mfu,
        memory_fraction=fraction,
    )


def measure_all(
    scenarios: Sequence[Scenario],
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Measured]:
    """`measure` of each, in order, whatever the number of processes: this one alone where that is soon done.

    `progress` is called with those done and all.
    """
    cores = workers or len(os.sched_getaffinity(0))
    found: list[Measured] = []
    started = time.monotonic()
    progress(0, len(scenarios))
    while len(found) < len(scenarios) and not (cores > 1 and _long(time.monotonic() - started, found, scenarios)):
        found.append(measure(scenarios[len(found)]))
        progress(len(found), len(scenarios))
    done, rest = len(found), range(len(found), len(scenarios), CHUNK)
    parts = [Chunk(first, tuple(scenarios[first : first + CHUNK])) for first in rest]
    answers: dict[int, list[Measured]] = {}
    for part, answer in run_all(_measure_chunk, parts, cores):
        answers[part.first] = answer
        done += len(answer)
        progress(done, len(scenarios))
    return found + [one for first in rest for one in answers[first]]


def _long(spent_s: float, found: Sequence[Measured], scenarios: Sequence[Scenario]) -> bool:
    """Whether what is left is worth other processes, judged by what was done."""
    left = len(scenarios) - len(found)
    return spent_s > PATIENCE_S and spent_s / max(1, len(found)) * left > WORTH_S


def _measure_chunk(chunk: Chunk) -> list[Measured]:
    return [measure(scenario) for scenario in chunk.scenarios]
