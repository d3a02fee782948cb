"""The tables of a profile from measured rows: which are filled together, and how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simcluster.gpu.gpu import Gpu
from simcluster.gpu.grid import Grid
from simcluster.gpu.profile import Profile, Table
from simcluster.kernels import ExpertLayer
from tools.kernel_fill import Array, Sheet, chosen, filled, without_spikes
from tools.kernel_rows import AXES, Noun, Row

Point = tuple[float, ...]

EVERY_HEAD = 16.0
"""Stands for one KV head per head, which kernels treat apart; the tables' other numbers of KV heads end at 8."""


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
    """GEMM tables each for itself; attention of one kind as one sheet; experts of one number type with one likeness,
    where those of different skew but one model form a sheet."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for table in sorted(tables):
        head, compute, *rest = table.split("/")
        kind, _, skew = head.partition("-")
        if kind == "moe":
            found[f"moe{'-skewed' if skew else ''}/{compute}"]["/".join(rest)].append(table)
        else:
            found[table if kind == "gemm" else head][""].append(table)
    for name, stacks in found.items():
        yield Family(name=name, stacks=tuple(tuple(stack) for stack in stacks.values()))


def bare_s(gpu: Gpu, noun: Noun) -> float:
    """Seconds of a kernel at datasheet rates; an expert layer's are those of its parts."""
    parts = noun.parts if isinstance(noun, ExpertLayer) else (noun,)
    return sum(max(gpu.bare(part)) for part in parts)


def tables_of(gpu: Gpu, rows: Iterable[Row]) -> dict[str, Table]:
    """All tables of a GPU, with no errors yet."""
    cells: dict[str, dict[Point, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        cells[row.table][row.point].append((row.seconds, bare_s(gpu, row.noun)))
    found: dict[str, Table] = {}
    for family in families(cells):
        found |= _fitted(family, {name: cells[name] for name in family.tables})
    return dict(sorted(found.items()))


def profile_of(gpu: Gpu, source: str, rows: Iterable[Row]) -> Profile:
    return Profile(name=gpu.name, gpu=gpu.name, source=source, tables=tables_of(gpu, rows))


def _fitted(family: Family, cells: Mapping[str, Mapping[Point, list[tuple[float, float]]]]) -> dict[str, Table]:
    """The floor is the family's shortest time; of rows that measured one thing the median counts."""
    floor_s = min(seconds for table in cells.values() for times in table.values() for seconds, _ in times)
    r = {
        name: {
            point: float(np.median([np.log(seconds / (bare + floor_s)) for seconds, bare in times]))
            for point, times in table.items()
        }
        for name, table in cells.items()
    }
    sheets = [_sheet([r[name] for name in stack]) for stack in family.stacks]
    if not family.experts:
        sheets = [without_spikes(sheet) for sheet in sheets]
    likenesses = chosen(sheets, octaves=family.skewed)
    found = {}
    for stack, sheet in zip(family.stacks, sheets, strict=True):
        values = filled(sheet, likenesses)
        for number, name in enumerate(stack):
            grid = _grid(list(r[name]), replace(sheet, values=values), number)
            rows = sum(len(times) for times in cells[name].values())
            axes = AXES[name.split("/")[0].split("-")[0]]
            found[name] = Table(axes=axes, floor_s=floor_s, grid=grid, rows=rows, error=0.0)
    return found


def _column(point: Point) -> Point:
    """A point of attention (four axes) with EVERY_HEAD for as many KV heads as heads; others as they are."""
    if len(point) < 4:
        return point
    heads, kv_heads, *rest = point
    assert kv_heads == heads or kv_heads < EVERY_HEAD
    return (heads, EVERY_HEAD if kv_heads == heads else kv_heads, *rest)


def _sheet(tables: Sequence[Mapping[Point, float]]) -> Sheet:
    """The tables one above the other; the first axis only numbers them."""
    points = np.array([_column(point) for table in tables for point in table])
    numbers = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    axes = [np.unique(column) for column in points.T]
    at = (numbers, *(np.searchsorted(axis, column) for axis, column in zip(axes, points.T, strict=True)))
    values = np.zeros([len(tables), *map(len, axes)])
    known = np.zeros(values.shape, dtype=np.bool_)
    values[at] = [r for table in tables for r in table.values()]
    known[at] = True
    return Sheet(axes=(np.ones(len(tables)), *axes), values=values, known=known)


def _grid(points: Sequence[Point], sheet: Sheet, number: int) -> Grid:
    """One table of a filled sheet, on the coordinates that occur in it."""
    columns = np.array([_column(point) for point in points]).T
    axes, values = list(sheet.axes[1:]), sheet.values[number]
    for axis, column in enumerate(columns):
        keep = np.isin(axes[axis], column)
        axes[axis], values = axes[axis][keep], np.compress(keep, values, axis)
    if len(axes) == 4:
        kv_heads = np.unique([point[1] for point in points])
        values = _kv_heads(axes[0], axes[1], kv_heads, values)
        axes[1] = kv_heads
    return Grid(axes=tuple(tuple(map(float, axis)) for axis in axes), values=values.astype(np.float32))


def _kv_heads(heads: Array, columns: Array, kv_heads: Array, values: Array) -> Array:
    """From columns 1, 2, 4, 8 and EVERY_HEAD to numbers of KV heads: between the last smaller one and all heads
    linear in the logarithm, beyond all heads constant."""
    found = np.empty((len(heads), len(kv_heads), *values.shape[2:]))
    for row, all_heads in enumerate(heads):
        few = (columns < all_heads) & (columns != EVERY_HEAD)
        known = np.log2([*columns[few], all_heads])
        of_row = np.concatenate([values[row][few], values[row][columns == EVERY_HEAD]])
        for place, wanted in enumerate(np.log2(kv_heads)):
            above = int(np.clip(np.searchsorted(known, wanted), 1, max(1, len(known) - 1)))
            if len(known) == 1 or wanted >= known[-1]:
                found[row, place] = of_row[-1]
                continue
            part = (wanted - known[above - 1]) / (known[above] - known[above - 1])
            found[row, place] = of_row[above - 1] * (1 - part) + of_row[above] * part
    return found
