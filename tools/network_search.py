"""A small deterministic optimiser: adaptive random steps along one constant at a time, from several starts.

The objective (a mean absolute relative error over a choice of protocols) has corners and many local minima, so
gradients help little; a few thousand cheap evaluations do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.network_model import Array, Constants, Work, choose, work
from tools.network_rows import Row

LARGE = 2**20
"""Bytes from which a row weighs more: bandwidth matters more often than latency."""


@dataclass(frozen=True)
class Free:
    """A constant to be fitted: where the search starts and what it may not leave."""

    start: float
    low: float = 1e-3
    high: float = 1e4


Line = tuple[str, str, Mapping[str, float | Free]]
"""(algorithm, protocol, constants): numbers stay, Free ones are fitted."""

EFFICIENCY = {"low": 1e-3, "high": 1.0}


def ratio(start: float) -> Free:
    return Free(start, **EFFICIENCY)


def search(
    loss: Callable[[Array], float], start: Array, low: Array, high: Array, *, starts: int, steps: int
) -> tuple[float, Array]:
    """The best point found from `starts` starts, the first at `start`, the others scattered around it."""
    best, best_point = np.inf, start
    for seed in range(starts):
        rng = np.random.default_rng(seed)
        point = np.clip(start + rng.normal(0.0, 0.4 if seed else 0.0, len(start)), low, high)
        value, stride = loss(point), np.full(len(start), 0.25)
        for _ in range(steps):
            i = int(rng.integers(len(start)))
            trial = point.copy()
            trial[i] = np.clip(point[i] + stride[i] * rng.standard_normal(), low[i], high[i])
            if (trial_value := loss(trial)) < value:
                point, value = trial, trial_value
                stride[i] = min(0.6, 1.6 * stride[i])
            else:
                stride[i] = max(0.004, 0.93 * stride[i])
        if value < best:
            best, best_point = value, point
    return float(best), best_point


def log_error(predicted: Array, measured: Array, weight: Array) -> float:
    """Mean absolute log error, with a little of its square so that no single row runs away."""
    error = np.abs(np.log(predicted / measured))
    return float(np.average(error + 0.3 * error * error, weights=weight))


def _search_constants(
    free: Mapping[Any, Free], loss: Callable[[Mapping[Any, float]], float], starts: int, steps: int
) -> dict[Any, float]:
    keys = list(free)
    if not keys:
        return {}
    start, low, high = (
        np.log(np.array([getattr(free[key], name) for key in keys])) for name in ("start", "low", "high")
    )

    def of_point(point: Array) -> float:
        return loss(dict(zip(keys, np.exp(point).tolist(), strict=True)))

    _, point = search(of_point, start, low, high, starts=starts, steps=steps)
    return dict(zip(keys, np.exp(point).tolist(), strict=True))


def fit_free(
    free: Mapping[Any, Free], loss: Callable[[Mapping[Any, float]], float], *, starts: int = 6, steps: int = 4000
) -> dict[Any, float]:
    """The constants that make `loss` small; the search runs on their logarithms."""
    return _search_constants(free, loss, starts, steps)


def fit_lines(
    lines: Sequence[Line], rows: Sequence[Row], *, starts: int = 6, steps: int = 4000
) -> dict[str, dict[str, dict[str, float]]]:
    """Fits the free constants of all protocols of one kind together: algorithm -> protocol -> constants."""
    measured = np.array([row.us for row in rows])
    weight: NDArray[np.float64] = np.where(np.array([row.bytes for row in rows]) >= LARGE, 1.5, 1.0)
    works: dict[str, Work] = {name: work(name, rows) for name in {line[0] for line in lines}}
    free = {
        (i, key): value for i, line in enumerate(lines) for key, value in line[2].items() if isinstance(value, Free)
    }
    fixed = [{key: value for key, value in line[2].items() if not isinstance(value, Free)} for line in lines]

    def filled(values: Mapping[Any, float]) -> list[dict[str, float]]:
        result: list[dict[str, float]] = [dict(constants) for constants in fixed]
        for (i, key), value in values.items():
            result[i][key] = value
        return result

    def loss(values: Mapping[Any, float]) -> float:
        protocols: list[tuple[Constants, Work]] = [
            (constants, works[line[0]]) for constants, line in zip(filled(values), lines, strict=True)
        ]
        return log_error(choose(protocols)[0], measured, weight)

    found = filled(_search_constants(free, loss, starts, steps))
    result: dict[str, dict[str, dict[str, float]]] = {}
    for (algorithm, protocol, _), constants in zip(lines, found, strict=True):
        result.setdefault(algorithm, {})[protocol] = {key: _rounded(key, value) for key, value in constants.items()}
    return result


def _rounded(key: str, value: float) -> float:
    """As written in the file: hundredths of a microsecond, three digits of a ratio."""
    if key == "floor" or key.endswith("step"):
        return round(value, 2 if value < 10 else 1)
    return float(f"{value:.3g}")
