"""Filling: known cells stay, gaps get what their surroundings make likely, single hiccups are left out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simcluster.gpu.fill import Likeness, Sheet, chosen, filled, without_spikes


def additive(axes: Iterable[tuple[float, ...]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """ln a / 4 + ln b / 4 + … at every cell, smooth enough to be foretold."""
    logs = np.meshgrid(*(np.log(axis) / 4 for axis in axes), indexing="ij")
    return np.asarray(np.sum(logs, axis=0), dtype=np.float64)


def test_gaps_are_filled_and_known_cells_kept() -> None:
    axes = ((1.0, 2.0, 4.0, 8.0, 16.0), (1.0, 3.0, 9.0, 27.0), (2.0, 4.0, 8.0))
    values = additive(axes)
    known = np.random.default_rng(0).random(values.shape) < 0.8
    sheet = Sheet(axes=tuple(map(np.array, axes)), values=np.where(known, values, np.nan), known=known)
    found = filled(sheet, [Likeness(length=8, own=0.02)] * 3)
    assert np.abs(found - values)[known].max() < 1e-12
    assert np.abs(found - values)[~known].max() < 0.05


def test_a_hiccup_is_left_out_and_nothing_else() -> None:
    axes = ((1.0, 2.0, 4.0, 8.0, 16.0), (1.0, 3.0, 9.0, 27.0))
    values = additive(axes) + np.random.default_rng(1).normal(size=(5, 4)) / 50
    values[2, 1] += 3
    sheet = Sheet(axes=tuple(map(np.array, axes)), values=values, known=np.ones((5, 4), dtype=np.bool_))
    assert np.argwhere(~without_spikes(sheet).known).tolist() == [[2, 1]]


def test_few_cells_have_the_usual_likeness() -> None:
    """Of 24 cells none can be spared to choose by."""
    axes = ((1.0, 2.0, 4.0, 8.0), (1.0, 3.0, 9.0, 27.0, 81.0, 243.0))
    sheet = Sheet(axes=tuple(map(np.array, axes)), values=additive(axes), known=np.ones((4, 6), dtype=np.bool_))
    assert chosen([sheet], octaves=False) == [Likeness(), Likeness()]


def test_a_smooth_sheet_is_held_to_be_alike_from_afar() -> None:
    axes = (tuple(2.0**i for i in range(12)), tuple(3.0**i for i in range(8)))
    sheet = Sheet(axes=tuple(map(np.array, axes)), values=additive(axes), known=np.ones((12, 8), dtype=np.bool_))
    for likeness in chosen([sheet], octaves=False):
        assert likeness.length >= Likeness().length
        assert likeness.own <= Likeness().own
