"""The heat map is exact however many ranks there are, and however they are put in rows."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import simcluster
from simcluster.pipeline import simulate
from simcluster.report.figures import style, utilization
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Floats, Timeline

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SLOW = "faults=[{gpu: node3.gpu2, factor: 0.5}]"
BINS = 97


@cache
def example(*overrides: str, name: str = "ep64_tp2_pp1") -> Result:
    return simulate(simcluster.load(SCENARIOS / f"{name}.yaml", overrides))


def timeline_of(result: Result) -> Timeline:
    assert result.timeline is not None
    return result.timeline


def by_rank(timeline: Timeline) -> Floats:
    """What the rows must come to, one rank after the other."""
    return utilization.busy_rows(timeline, np.eye(len(timeline.tracks)), BINS)[timeline.tracks.of_rank]


@pytest.mark.parametrize("overrides", [(), ("plan=EP8",), ("workload.steps=2",), (SLOW,)])
def test_the_heat_map_averages_to_compute_busy(overrides: tuple[str, ...]) -> None:
    result = example(*overrides)
    rows = utilization.heat_rows(timeline_of(result))
    busy = utilization.busy_rows(timeline_of(result), rows.weights, BINS)
    assert busy.shape == (128, BINS)
    assert busy.min() >= -1e-12
    assert busy.max() <= 1 + 1e-9
    assert float(busy.mean()) == pytest.approx(result.metrics["compute_busy"], rel=1e-9)


def test_each_rank_has_the_row_that_it_has_where_all_are_replayed() -> None:
    whole = simulate(simcluster.load(SCENARIOS / "ep64_tp2_pp1.yaml", [SLOW]), fold="off")
    found, expected = (
        utilization.busy_rows(timeline, utilization.heat_rows(timeline).weights, BINS)
        for timeline in (timeline_of(example(SLOW)), timeline_of(whole))
    )
    assert found == pytest.approx(expected, abs=1e-9)


def test_many_ranks_of_few_tracks_have_a_band_a_track_with_its_ranks() -> None:
    timeline = timeline_of(example(SLOW, name="ep64_tp2_pp1_1024"))
    rows = utilization.heat_rows(timeline)
    assert rows.names == (
        "63 ranks: 0, 2, 4 …", "63 ranks: 1, 3, 5 …", "rank 26", "rank 27", "64 ranks: 128, 130, 132 …",
        "64 ranks: 129, 131, 133 …", "768 ranks: 256 … 1,023",
    )  # fmt: skip
    heights = np.diff(rows.ends)
    assert heights.min() > 0.15
    assert (np.argsort(heights, kind="stable") == np.argsort(timeline.tracks.count, kind="stable")).all()
    busy = utilization.busy_rows(timeline, rows.weights, BINS)
    mean = float(timeline.tracks.count @ busy.mean(axis=1)) / 1024
    assert mean == pytest.approx(example(SLOW, name="ep64_tp2_pp1_1024").metrics["compute_busy"], rel=1e-9)


def test_one_band_stands_for_all_ranks_where_they_are_equal() -> None:
    assert utilization.heat_rows(timeline_of(example(name="ep64_tp2_pp1_1024"))).names == ("1,024 ranks: 0 … 1,023",)


@pytest.mark.parametrize("most", [127, 50, 1])
def test_many_ranks_of_many_tracks_are_averaged_exactly(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utilization, "MOST_ROWS", most)
    monkeypatch.setattr(utilization, "MOST_BANDS", 3)
    monkeypatch.setattr(utilization, "_BLOCK", 3)
    timeline = timeline_of(example(SLOW))
    rows = utilization.heat_rows(timeline)
    assert rows.names is None
    assert len(rows.weights) <= most
    every, starts = by_rank(timeline), np.ceil(rows.ends).astype(int)
    expected = [every[first:last].mean(axis=0) for first, last in pairwise(starts)]
    assert starts[-1] == 128
    assert utilization.busy_rows(timeline, rows.weights, BINS) == pytest.approx(np.array(expected), abs=1e-12)


@pytest.mark.parametrize("look", [style.LIGHT, style.DARK])
def test_the_mean_of_all_ranks_is_told_whatever_the_rows_are(look: style.Look) -> None:
    for name in ("ep64_tp2_pp1", "ep64_tp2_pp1_1024"):
        result = example(SLOW, name=name)
        texts = [text.get_text() for text in utilization.draw(result, look).axes[0].texts]
        assert texts == [f"mean {100 * (result.metrics['compute_busy'] or 0):.1f} %"]
