"""Scattered measurements on fewer places, where a grid of all their coordinates would be nearly empty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import exp, log, prod
from typing import TypeVar

import numpy as np

Point = tuple[float, ...]

Value = TypeVar("Value")

MOST_CELLS = 200_000
"""A sheet has no more cells than that."""

LEAST_KNOWN = 0.02
"""Share of a sheet's cells that must be measured, of a sheet with more than SMALL."""

SMALL = 2_000

OCTAVES = (0.125, 0.25, 0.5, 1, 2, 4, 8)
"""Widths of the bins that are tried, the narrowest first."""


def thinned(
    tables: Mapping[str, Mapping[Point, Sequence[Value]]], most: int = MOST_CELLS
) -> dict[str, dict[Point, list[Value]]]:
    """The tables of a sheet with as many different coordinates as a grid of them, of `most` cells, can bear.

    If all coordinates make too large or too empty a grid, those within a bin of some octaves move to the bin's
    geometric mean, in the narrowest bins that do; numbers of heads (the first two axes of four) stay.  If no bins do,
    each table becomes a single point.
    """
    for octaves in (0.0, *OCTAVES):
        moved = _moved(tables, octaves) if octaves else {name: _merged(table.items()) for name, table in tables.items()}
        if _bearable(moved, most):
            return moved
    return {name: _merged((_middle(table), values) for values in table.values()) for name, table in tables.items()}


def _bearable(tables: Mapping[str, Mapping[Point, Sequence[Value]]], most: int) -> bool:
    places = zip(*(point for table in tables.values() for point in table), strict=True)
    cells = len(tables) * prod(len(set(axis)) for axis in places)
    return cells <= min(SMALL, most) or (cells <= most and sum(map(len, tables.values())) >= LEAST_KNOWN * cells)


def _merged(cells: Iterable[tuple[Point, Sequence[Value]]]) -> dict[Point, list[Value]]:
    """What has come to one point, together."""
    found: dict[Point, list[Value]] = defaultdict(list)
    for point, values in cells:
        found[point] += values
    return dict(found)


def _moved(
    tables: Mapping[str, Mapping[Point, Sequence[Value]]], octaves: float
) -> dict[str, dict[Point, list[Value]]]:
    points = [point for table in tables.values() for point in table]
    size = len(points[0])
    maps = [
        _bins({point[axis] for point in points}, octaves) if size < 4 or axis >= 2 else None for axis in range(size)
    ]

    def to(point: Point) -> Point:
        return tuple(value if bins is None else bins[value] for value, bins in zip(point, maps, strict=True))

    return {name: _merged((to(point), values) for point, values in table.items()) for name, table in tables.items()}


def _bins(values: Iterable[float], octaves: float) -> dict[float, float]:
    """Every value with the geometric mean of those in its bin."""
    bins: dict[int, list[float]] = defaultdict(list)
    for value in values:
        bins[int(np.floor(np.log2(value) / octaves + 1e-9))].append(value)
    return {
        value: members[0] if len(members) == 1 else exp(sum(map(log, members)) / len(members))
        for members in bins.values()
        for value in members
    }


def _middle(table: Mapping[Point, Sequence[Value]]) -> Point:
    """The geometric mean of the points; equal coordinates stay as they are."""
    axes = zip(*table, strict=True)
    return tuple(axis[0] if len(set(axis)) == 1 else exp(sum(map(log, axis)) / len(axis)) for axis in axes)
