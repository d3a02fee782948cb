"""Fills the gaps of a grid from the cells that were measured.

Kriging (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, chapter 2): the values of two cells are
alike as the product over the axes of how alike their coordinates are, and a gap gets its expected value given all
known cells.  The matrix of likenesses is a Kronecker product, so its inverse P is one too, and the gaps x solve
P[gaps, gaps] x = -P[gaps, known] y by conjugate gradients: no matrix larger than an axis is ever built.  How far
likeness reaches is chosen per axis by keeping known cells back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How alike the values at coordinates a and b of an axis are: exp(-|ln a/b| / length), and more by `own` at the
    same place, by `octave` between the same powers of two, by COMMON anywhere."""

    length: float = 4.0
    own: float = 0.2
    octave: float = 0.0

    def matrix(self, axis: Array) -> Array:
        """One row and column per place of the axis."""
        logs = np.log2(axis)
        far = np.abs(logs[:, None] - logs[None, :]) * np.log(2) / self.length
        octaves = np.floor(logs + 1e-9)
        same = octaves[:, None] == octaves[None, :]
        found: Array = np.exp(-far) + COMMON + self.octave * same + self.own * np.eye(len(axis))
        return found


COMMON = 0.3
"""Keeps what is true of an axis everywhere, so that values beyond the last known cell do not sink to the mean."""

CHOICES = {
    "own": (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2),
    "length": (0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
    "octave": (0.0, 0.1, 0.2, 0.4, 0.8, 1.6),
}

FEWEST = 25
"""With fewer known cells nothing is chosen: the likeness stays the usual one."""

KEPT_BACK = 0.12
"""Share of the known cells that a choice is judged by."""

DRAFT, FINAL = 40, 250
"""Most steps of the solver, while choosing and for good."""

SPIKE = np.log(2)
"""A measurement is a spike if it is slower than its surroundings by this and by SPIKE_RATIO of the usual difference."""

SPIKE_RATIO = 10


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Sheet:
    """Values on a full grid, of which only the `known` count; an axis of equal coordinates numbers alike things."""

    axes: tuple[Array, ...]
    values: Array
    known: NDArray[np.bool_]

    @property
    def mean(self) -> float:
        return float(self.values[self.known].mean())


def _precisions(sheet: Sheet, likenesses: Sequence[Likeness]) -> list[Array]:
    """Per axis, the inverse of its matrix of likenesses."""
    matrices = (likeness.matrix(axis) for axis, likeness in zip(sheet.axes, likenesses, strict=True))
    return [np.asarray(np.linalg.inv(matrix), dtype=np.float64) for matrix in matrices]


def _times(matrices: Sequence[Array], values: Array) -> Array:
    """The Kronecker product of the matrices, times the values."""
    for axis, matrix in enumerate(matrices):
        values = np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
    return values


def _diagonal(matrices: Sequence[Array]) -> Array:
    return reduce(np.multiply.outer, [np.diag(matrix) for matrix in matrices])


def filled(sheet: Sheet, likenesses: Sequence[Likeness], steps: int = FINAL) -> Array:
    """The values, with every unknown cell replaced by what the known ones make likely."""
    matrices, gaps = _precisions(sheet, likenesses), ~sheet.known
    scale = 1 / _diagonal(matrices)
    found = np.where(gaps, 0.0, sheet.values - sheet.mean)
    rest = -_times(matrices, found) * gaps
    way = rest * scale
    size = goal = float((rest * way).sum())
    for _ in range(steps):
        if size <= 1e-7 * goal:
            break
        pull = _times(matrices, way) * gaps
        stride = size / float((way * pull).sum())
        found += stride * way
        rest -= stride * pull
        turned = rest * scale
        size, before = float((rest * turned).sum()), size
        way = turned + size / before * way
    return found + sheet.mean


def without_spikes(sheet: Sheet) -> Sheet:
    """The sheet less single measurements that are far slower than all around them, such as a hiccup of the host.

    The difference of a cell from what all others make likely is (P x)/diag(P).  The largest go first, because they
    make their surroundings look odd too.
    """
    likenesses = [Likeness(own=0.8)] * len(sheet.axes)
    matrices = _precisions(sheet, likenesses)
    while True:
        values = filled(sheet, likenesses)
        odd = np.where(sheet.known, _times(matrices, values - sheet.mean) / _diagonal(matrices), 0.0)
        least = max(SPIKE, SPIKE_RATIO * float(np.median(np.abs(odd[sheet.known]))), float(odd.max()) / 2)
        spikes = odd > least
        if not spikes.any():
            return sheet
        sheet = replace(sheet, known=sheet.known & ~spikes)


def chosen(sheets: Sequence[Sheet], *, octaves: bool) -> list[Likeness]:
    """The likeness per axis that best foretells kept-back cells of all the sheets.

    One number at a time is moved while that helps, twice over all axes; `octaves`: that of the last axis too.
    """
    found = [Likeness() for _ in sheets[0].axes]
    if sum(int(sheet.known.sum()) for sheet in sheets) < FEWEST:
        return found
    halves = [_halved(sheet, np.random.default_rng(number)) for number, sheet in enumerate(sheets)]
    if octaves:
        found[-1] = Likeness(octave=0.2)
    best = _error(halves, found)
    for _ in range(2):
        for axis, name in _moves(sheets, octaves=octaves):
            for way in (1, -1):
                while (moved := _moved(found, axis, name, way)) is not None and (e := _error(halves, moved)) < best:
                    found, best = moved, e
    return found


def _moves(sheets: Sequence[Sheet], *, octaves: bool) -> list[tuple[int, str]]:
    """What may matter: lengths only where coordinates differ, and nothing of an axis with one place."""
    found = []
    for axis in range(len(sheets[0].axes)):
        if any(len(sheet.axes[axis]) > 1 for sheet in sheets):
            found.append((axis, "own"))
        if any(np.ptp(sheet.axes[axis]) > 0 for sheet in sheets):
            found.append((axis, "length"))
    return [*found, (len(sheets[0].axes) - 1, "octave")] if octaves else found


def _moved(found: list[Likeness], axis: int, name: str, way: int) -> list[Likeness] | None:
    """One of the numbers set to the next choice up or down; None at the end of the choices."""
    choices = CHOICES[name]
    at = choices.index(getattr(found[axis], name)) + way
    if not 0 <= at < len(choices):
        return None
    return [replace(one, **{name: choices[at]}) if number == axis else one for number, one in enumerate(found)]


def _halved(sheet: Sheet, random: np.random.Generator) -> tuple[Sheet, NDArray[np.bool_]]:
    """The sheet without some of its known cells, and which those are."""
    back = sheet.known & (random.random(sheet.known.shape) < KEPT_BACK)
    return replace(sheet, known=sheet.known & ~back), back


def _error(halves: Sequence[tuple[Sheet, NDArray[np.bool_]]], likenesses: Sequence[Likeness]) -> float:
    """Mean relative error of the kept-back cells, whose values are logarithms."""
    errors = [np.abs(np.expm1(filled(sheet, likenesses, DRAFT)[back] - sheet.values[back])) for sheet, back in halves]
    return float(np.concatenate(errors).mean())
