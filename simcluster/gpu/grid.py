"""A quantity on a full grid of points, read between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log

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
        corners, inside = [(0, 1.0)], True
        for value, axis in zip(point, self._logs, strict=True):
            at = log(value) if value > 0 else axis[0] - 1
            inside = inside and axis[0] - _SLACK <= at <= axis[-1] + _SLACK
            low = min(max(bisect_right(axis, at) - 1, 0), max(len(axis) - 2, 0))
            part = 0.0 if len(axis) == 1 else min(max((at - axis[low]) / (axis[low + 1] - axis[low]), 0.0), 1.0)
            near = [(place * len(axis) + low, weight * (1 - part)) for place, weight in corners] if part < 1 else []
            far = [(place * len(axis) + low + 1, weight * part) for place, weight in corners] if part > 0 else []
            corners = near + far
        read = self.values.item
        return sum(weight * read(place) for place, weight in corners), inside


_SLACK = 1e-9
"""Rounding of a logarithm at an edge."""
