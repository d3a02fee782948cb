"""A quantity on a full grid of points, read between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from operator import mul

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """`values[i, j, …]` at the points (axes[0][i], axes[1][j], …); every axis is positive and rises strictly."""

    axes: tuple[tuple[float, ...], ...]
    values: NDArray[np.float32]
    _logs: tuple[tuple[float, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        assert self.values.shape == tuple(map(len, self.axes))
        object.__setattr__(self, "_logs", tuple(tuple(map(log, axis)) for axis in self.axes))

    def at(self, point: Sequence[float]) -> tuple[float, bool]:
        """The value at `point`, multilinear in the logarithms of its coordinates, and whether the grid spans it.

        Beyond an edge the edge's value holds.
        """
        corners, weights, inside = [0], [1.0], True
        for value, axis, logs in zip(point, self.axes, self._logs, strict=True):
            size, part = len(axis), 0.0
            low = bisect_right(axis, value) - 1
            if low < 0:
                low, inside = 0, inside and value >= axis[0] * (1 - SLACK)
            elif low == size - 1:
                inside = inside and value <= axis[-1] * (1 + SLACK)
            elif value != axis[low]:
                part = (log(value) - logs[low]) / (logs[low + 1] - logs[low])
            corners = [corner * size + low for corner in corners]
            if part > 0:
                corners += [corner + 1 for corner in corners]
                weights = [weight * (1 - part) for weight in weights] + [weight * part for weight in weights]
        return sum(map(mul, weights, map(self.values.item, corners))), inside


SLACK = 1e-9
"""Rounding of a coordinate at an edge, as a fraction."""
