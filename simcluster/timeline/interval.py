"""What uncertain inputs make of a metric: intervals, and the inputs that move it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from simcluster.timeline.timeline import Floats

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An uncertain input: between its value / `factor` and its value x `factor`, and the reason for that."""

    factor: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A metric over all draws: its 5 %, 50 % and 95 % quantiles, its value without any draw, and the rank correlation
    with each input, -1 … 1 by the input's name."""

    nominal: float
    p5: float
    p50: float
    p95: float
    correlation: Mapping[str, float]

    @property
    def share(self) -> dict[str, float]:
        """Each input's part of the squared rank correlations, which sum to 1 where anything moves the metric."""
        squares = {name: value**2 for name, value in self.correlation.items()}
        total = sum(squares.values())
        return {name: square / total if total else 0.0 for name, square in squares.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """So many draws by a seed, the ranges they were drawn from, and an interval for each metric."""

    draws: int
    seed: int
    ranges: Mapping[str, Range]
    intervals: Mapping[str, Interval]

    def as_dict(self) -> dict[str, object]:
        """The key `uncertainty` of `run --json`: {draws, seed, ranges, latency_s: {p5, p50, p95, ...}, ...}."""
        found = {metric: {**asdict(one), "share": one.share} for metric, one in self.intervals.items()}
        ranges = {name: asdict(one) for name, one in self.ranges.items()}
        return {"draws": self.draws, "seed": self.seed, "ranges": ranges, **found}


def interval(nominal: float, values: Sequence[float], inputs: Mapping[str, Sequence[float]]) -> Interval:
    """The interval of a metric's `values`, one per draw, beside the draws of each input.

    Quantiles are interpolated linearly between draws (Hyndman & Fan, Sample Quantiles in Statistical Packages, 1996,
    type 7).  The correlation is Spearman's, equal values sharing their mean rank; 0 where either never changes.
    """
    p5, p50, p95 = np.quantile(np.array(values), QUANTILES).tolist()
    ranks = _ranks(values)
    correlation = {name: _correlation(ranks, _ranks(drawn)) for name, drawn in inputs.items()}
    return Interval(nominal=nominal, p5=p5, p50=p50, p95=p95, correlation=correlation)


def _ranks(values: Sequence[float]) -> Floats:
    """Mean ranks; values that differ by rounding only are equal."""
    shown: NDArray[np.str_] = np.array([f"{value:.9e}" for value in values])
    _, place, count = np.unique(shown.astype(np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place])


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0
