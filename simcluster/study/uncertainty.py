"""What uncertain hardware makes of a scenario: replays of seeded draws, as intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simcluster.errors import InputError, Mistake
from simcluster.pipeline import Fold, simulate
from simcluster.scenario import uncertainty
from simcluster.scenario.scenario import Scenario
from simcluster.study.pool import run_all
from simcluster.timeline.interval import Range, Uncertainty, interval
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Timeline

METRICS = (
    "latency_s",
    "ttft_s",
    "tpot_s",
    "throughput_tokens_per_s",
    "mfu",
    "cost_per_million_tokens",
    "energy_per_token_j",
)
"""Metrics that get an interval, where the scenario has them."""

MOST = 10_000
"""Draws that are made at most."""

WORTH = 100_000
"""Spans of all draws together, about 7 s of work, from which other processes are worth their start."""

PARTS = 16
"""Parts that the draws are handed out in then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some draws of a scenario, from number `first` on."""

    scenario: Scenario
    first: int
    factors: tuple[Mapping[str, float], ...]
    fold: Fold


def factors(scenario: Scenario, count: int) -> list[dict[str, float]]:
    """The factor of every uncertain input in each of `count` draws: range ** (2 u - 1), so between 1 / range and range,
    log-uniform.

    u comes from a Latin hypercube: each input takes every `count`th of its range once, in an order that `seed` shuffles
    (McKay, Beckman & Conover, Technometrics 1979), chosen so that inputs are hardly correlated with each other (Iman &
    Conover, Communications in Statistics 1982).  Draws depend on the seed and the count, not on the plan, and an
    input's draws not on which others the cluster has.
    """
    if type(count) is not int or not 1 <= count <= MOST:
        raise InputError(Mistake(what=f"{count!r:.40} draws are asked for; it must be a whole number, 1 to {MOST:,}"))
    place = _hypercube(scenario.seed, count).tolist()
    known = [(column, name) for column, name in enumerate(uncertainty.NAMES) if name in scenario.uncertainty]
    return [{name: scenario.uncertainty[name] ** (2 * row[column] - 1) for column, name in known} for row in place]


def _hypercube(seed: int, count: int) -> NDArray[np.float64]:
    """u in (0, 1), shape (count, inputs): the order of each column is that of what the columns before it leave of it,
    where there are draws enough for that."""
    random = np.random.default_rng(seed)
    inputs = len(uncertainty.NAMES)
    order = random.permuted(np.tile(np.arange(count), (inputs, 1)), axis=1).T
    if count > 2 * inputs:
        apart, triangle = np.linalg.qr(order - order.mean(axis=0))
        order = (apart * np.sign(np.diag(triangle))).argsort(axis=0).argsort(axis=0)
    return np.asarray((order + random.random((count, inputs))) / count)


def draws(scenario: Scenario, count: int) -> list[Scenario]:
    """The scenario on `count` draws of its hardware.

    Common random numbers: the k-th draw of any plan of a scenario has the same hardware, so plans can be compared draw
    by draw.  Expectations are left out.
    """
    return [uncertainty.drawn(scenario, one) for one in factors(scenario, count)]


def intervals(
    scenario: Scenario,
    nominal: Result,
    count: int,
    *,
    fold: Fold = "auto",
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Uncertainty | None:
    """`count` draws replayed beside the `nominal` result: an interval for each of METRICS the scenario has; None where
    the plan does not fit in memory, which no draw changes.

    On several processes where that is worth their start, with the same numbers.  `progress` is called with draws done
    and in all.
    """
    drawn = factors(scenario, count)
    if nominal.timeline is None:
        return None
    values = {name: value for name in METRICS if (value := nominal.metrics[name]) is not None}
    rows: dict[int, list[dict[str, float]]] = {}
    done = 0
    progress(done, count)
    chunks, several = _chunks(scenario, nominal.timeline, drawn, fold)
    for chunk, found in run_all(replay, chunks, workers if several else 1):
        rows[chunk.first] = found
        done += len(found)
        progress(done, count)
    ordered = [row for first in sorted(rows) for row in rows[first]]
    inputs = {name: [one[name] for one in drawn] for name in scenario.uncertainty}
    return Uncertainty(
        draws=count,
        seed=scenario.seed,
        ranges=_ranges(scenario),
        intervals={name: interval(value, [row[name] for row in ordered], inputs) for name, value in values.items()},
    )


def _ranges(scenario: Scenario) -> dict[str, Range]:
    cluster = scenario.cluster
    return {
        name: Range(factor=factor, source=uncertainty.source(name, factor, cluster))
        for name, factor in scenario.uncertainty.items()
    }


def _chunks(
    scenario: Scenario, timeline: Timeline, drawn: Sequence[Mapping[str, float]], fold: Fold
) -> tuple[list[Chunk], bool]:
    """The draws in parts, and whether other processes are worth it.  Where equal ranks or wires are told apart, listing
    the wires costs as much again."""
    listed = timeline.folding.wires if timeline.folding.split_by else 0
    several = (len(timeline.track) + listed) * len(drawn) >= WORTH
    size = -(-len(drawn) // PARTS) if several else 1
    return [
        Chunk(scenario=scenario, first=first, factors=tuple(drawn[first : first + size]), fold=fold)
        for first in range(0, len(drawn), size)
    ], several


def replay(chunk: Chunk) -> list[dict[str, float]]:
    """METRICS of each draw of a chunk."""
    found = []
    for one in chunk.factors:
        metrics = simulate(uncertainty.drawn(chunk.scenario, one), fold=chunk.fold).metrics
        found.append({name: value for name in METRICS if (value := metrics[name]) is not None})
    return found
