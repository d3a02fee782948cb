"""The tables of a profile from measured kernels: which are filled together, and how.

A GEMM table stands for itself; tables of one kind of attention form one sheet with a common floor; experts of one
number type have one likeness, and those of different skew but one model form a sheet.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simcluster.gpu.fill import Array, Sheet, chosen, filled, without_spikes
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.grid import Grid
from simcluster.gpu.place import Shape, own
from simcluster.gpu.profile import AXES, Profile, Table, kind
from simcluster.gpu.thinning import MOST_CELLS, Point, thinned
from simcluster.kernels import ExpertLayer, Kernel

EVERY_HEAD = 2.0
"""One KV head per head, which kernels treat apart, stands at so many times the largest other number of KV heads."""

LAUNCH = 0.1
"""A kernel is no more than a launch if its work fills less than this share of its time at the datasheet's rates."""

FEWEST = 30
"""From so many known cells on, a single cell far above its surroundings is a hiccup of the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One kernel and the seconds it took."""

    shape: Shape
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How large the grids of a sheet may become, and on how many cells of a family's `stacks` largest sheets, moved
    together until they fit, the likeness is searched."""

    cells: int
    searched: int
    stacks: int


FULL = Effort(cells=MOST_CELLS, searched=sys.maxsize, stacks=sys.maxsize)
"""Nothing is spared."""

BRIEF = Effort(cells=50_000, searched=3_000, stacks=8)
"""Seconds for thousands of rows."""

Told = Callable[[int, int], None]
"""Takes how many tables are done, of how many."""

Cells = Mapping[Point, Sequence[tuple[float, float]]]
"""By point of a table: what was measured there, and what it takes at the datasheet's rates, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Tables with a common floor and common likenesses.  Each of `stacks` names tables that are filled as one sheet."""

    name: str
    stacks: tuple[tuple[str, ...], ...]

    @property
    def experts(self) -> bool:
        """Many of these are several times slower than their surroundings in earnest: the engine chose a slow kernel."""
        return self.name.startswith("moe")

    @property
    def skewed(self) -> bool:
        """Under a skewed load it chose so for whole octaves of tokens."""
        return self.name.startswith("moe-")

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(name for stack in self.stacks for name in stack)


def families(tables: Iterable[str]) -> Iterator[Family]:
    """The families that the tables fall into."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for table in sorted(tables):
        head, compute, *rest = table.split("/")
        if kind(table) == "moe":
            found[f"moe{'-skewed' if head != 'moe' else ''}/{compute}"]["/".join(rest)].append(table)
        else:
            found[table if head == "gemm" else head][""].append(table)
    for name, stacks in found.items():
        yield Family(name=name, stacks=tuple(tuple(stack) for stack in stacks.values()))


def bare_s(gpu: Gpu, shape: Kernel | ExpertLayer) -> float:
    """Seconds of a kernel at datasheet rates; an expert layer's are those of its parts."""
    parts = shape.parts if isinstance(shape, ExpertLayer) else (shape,)
    return sum(max(gpu.bare(part)) for part in parts)


def profile_of(
    gpu: Gpu, source: str, rows: Iterable[Measured], effort: Effort = FULL, told: Told = lambda done, total: None
) -> Profile:
    """All tables of a GPU, with no errors yet."""
    cells: dict[str, dict[Point, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        table, point = own(row.shape)
        cells[table][tuple(float(f"{value:.12g}") for value in point)].append((row.seconds, bare_s(gpu, row.shape)))
    found: dict[str, Table] = {}
    for family in families(cells):
        found |= _fitted(family, {name: cells[name] for name in family.tables}, effort)
        told(len(found), len(cells))
    return Profile(name=gpu.name, gpu=gpu.name, source=source, tables=dict(sorted(found.items())))


def _fitted(family: Family, cells: Mapping[str, Cells], effort: Effort) -> dict[str, Table]:
    """Rows on one cell count with their median."""
    floor_s = _floor([pair for table in cells.values() for pairs in table.values() for pair in pairs])
    whole_stacks = [{name: cells[name] for name in stack} for stack in family.stacks]
    stacks = [thinned(stack, effort.cells) for stack in whole_stacks]
    r = [[_medians(table, floor_s) for table in stack.values()] for stack in stacks]
    sheets = _sheets(r, family)
    small = sheets
    if sum(sheet.known.size for sheet in sheets) > effort.searched:
        large = sorted(whole_stacks, key=lambda stack: -sum(map(len, stack.values())))[: effort.stacks]
        few = [thinned(stack, effort.searched // len(large)) for stack in large]
        small = _sheets([[_medians(table, floor_s) for table in stack.values()] for stack in few], family)
    likenesses = chosen(small, octaves=family.skewed)
    found = {}
    for stack, tables, sheet in zip(stacks, r, sheets, strict=True):
        whole = replace(sheet, values=filled(sheet, likenesses))
        for number, name in enumerate(stack):
            grid = _grid(list(tables[number]), _every_head(tables), whole, number)
            rows = sum(map(len, stack[name].values()))
            found[name] = Table(axes=AXES[kind(name)], floor_s=floor_s, grid=grid, rows=rows, error=None)
    return found


def _sheets(stacks: Sequence[Sequence[Mapping[Point, float]]], family: Family) -> list[Sheet]:
    """A sheet for every stack, without the host's hiccups."""
    sheets = [_sheet(tables) for tables in stacks]
    if family.experts:
        return sheets
    return [without_spikes(sheet) if sheet.known.sum() >= FEWEST else sheet for sheet in sheets]


def _floor(pairs: Sequence[tuple[float, float]]) -> float:
    """The shortest time, if it is no more than a launch; else the part of it that makes r the most even."""
    shortest_s, bare = min(pairs)
    if bare <= LAUNCH * shortest_s:
        return shortest_s
    times = np.array(pairs)

    def unevenness(share: float) -> float:
        return float(np.std(np.log(times[:, 0] / (times[:, 1] + share * shortest_s))))

    return shortest_s * min((0.0, 0.05, 0.1, 0.2, 0.4, 0.8), key=unevenness)


def _medians(cells: Cells, floor_s: float) -> dict[Point, float]:
    """r by point."""
    return {
        point: float(np.median([np.log(seconds / (bare + floor_s)) for seconds, bare in pairs]))
        for point, pairs in cells.items()
    }


def _every_head(tables: Sequence[Iterable[Point]]) -> float:
    """Where one KV head per head stands on the second axis."""
    few = [point[1] for table in tables for point in table if len(point) == 4 and point[1] != point[0]]
    return EVERY_HEAD * max(few, default=1.0)


def _column(point: Point, every_head: float) -> Point:
    """A point of attention (four axes) with `every_head` for as many KV heads as heads; others as they are."""
    return (point[0], every_head, *point[2:]) if len(point) == 4 and point[0] == point[1] else point


def _sheet(tables: Sequence[Mapping[Point, float]]) -> Sheet:
    """The tables one above the other; the first axis only numbers them."""
    every_head = _every_head(tables)
    points = np.array([_column(point, every_head) for table in tables for point in table])
    numbers = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    axes = [np.unique(column) for column in points.T]
    at = (numbers, *(np.searchsorted(axis, column) for axis, column in zip(axes, points.T, strict=True)))
    values = np.zeros([len(tables), *map(len, axes)])
    known = np.zeros(values.shape, dtype=np.bool_)
    values[at] = [r for table in tables for r in table.values()]
    known[at] = True
    return Sheet(axes=(np.ones(len(tables)), *axes), values=values, known=known)


def _grid(points: Sequence[Point], every_head: float, sheet: Sheet, number: int) -> Grid:
    """One table of a filled sheet, on the coordinates that occur in it."""
    columns = np.array([_column(point, every_head) for point in points]).T
    axes, values = list(sheet.axes[1:]), sheet.values[number]
    for axis, column in enumerate(columns):
        keep = np.isin(axes[axis], column)
        axes[axis], values = axes[axis][keep], np.compress(keep, values, axis)
    if len(axes) == 4:
        kv_heads = np.unique([point[1] for point in points])
        values = _kv_heads(axes[0], axes[1], kv_heads, every_head, values)
        axes[1] = kv_heads
    return Grid(axes=tuple(tuple(map(float, axis)) for axis in axes), values=values.astype(np.float32))


def _kv_heads(heads: Array, columns: Array, kv_heads: Array, every_head: float, values: Array) -> Array:
    """From columns such as 1, 2, 4, 8 and `every_head` to numbers of KV heads: between the last smaller one and all
    heads linear in the logarithm, beyond both ends constant."""
    found = np.empty((len(heads), len(kv_heads), *values.shape[2:]))
    for row, all_heads in enumerate(heads):
        use = (columns < all_heads) | (columns == every_head)
        known, of_row = np.log2(np.where(columns == every_head, all_heads, columns)[use]), values[row][use]
        for place, wanted in enumerate(np.log2(kv_heads)):
            above = int(np.searchsorted(known, wanted))
            if above in (0, len(known)):
                found[row, place] = of_row[min(above, len(known) - 1)]
                continue
            part = (wanted - known[above - 1]) / (known[above] - known[above - 1])
            found[row, place] = of_row[above - 1] * (1 - part) + of_row[above] * part
    return found
