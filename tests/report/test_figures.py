"""Figures show what the result says, in every format, whatever a scenario is called."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.lines import Line2D

import simcluster
from simcluster.errors import InputError
from simcluster.report.figures import style, sweep_chart, timeline_chart, utilization
from simcluster.timeline.result import Result

ROOT = Path(__file__).parents[2]


@cache
def example(*overrides: str) -> Result:
    return simcluster.simulate(simcluster.load(ROOT / "scenarios" / "ep64_tp2_pp1.yaml", overrides))


@pytest.mark.parametrize("overrides", [(), ("plan=EP8",), ("workload.steps=2",)])
def test_the_heat_map_averages_to_compute_busy(overrides: tuple[str, ...]) -> None:
    result = example(*overrides)
    assert result.timeline is not None
    busy = utilization.busy_by_rank(result.timeline, bins=97)
    assert busy.shape == (128, 97)
    assert busy.min() >= -1e-12
    assert busy.max() <= 1 + 1e-9
    assert float(busy.mean()) == pytest.approx(result.metrics["compute_busy"], rel=1e-9)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_figure_is_written_in_each_format_and_the_same_twice(tmp_path: Path, kind: str) -> None:
    paths = [tmp_path / f"{name}.{kind}" for name in ("first", "second")]
    for path in paths:
        style.save(utilization.draw(example()), path)
    first, second = (path.read_bytes() for path in paths)
    assert first[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")
    assert first == second
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [f"first.{kind}", f"second.{kind}"]


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"use \.png, \.svg or \.pdf"):
        style.save(utilization.draw(example()), tmp_path / "figure.bmp")


def test_the_timeline_shows_two_lanes_a_rank_and_the_chosen_layers() -> None:
    result = example()
    assert result.timeline is not None
    since, until = timeline_chart.window(result.timeline, layers=2)
    assert until - since == pytest.approx(result.timeline.end_s * 2 / 16, rel=0.01)
    axes = timeline_chart.draw(result, ranks=[0, 5, 127]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["compute", "communication"] * 3
    assert axes.get_xlabel() == "time (us)"
    drawn = {text.get_text() for text in axes.texts}
    assert {"rank 0", "rank 5", "rank 127", "dispatch", "combine", "experts"} <= drawn


def test_the_timeline_of_one_gpu_has_no_communication_bars() -> None:
    overrides = (
        "cluster.nodes=1",
        "cluster.gpus_per_node=1",
        "cluster.infiniband.nics_per_node=1",
        "plan=TP1",
        "workload.batch=1",
    )
    figure = timeline_chart.draw(example(*overrides))
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"attention", "experts", "norm, residual, rest"}


@pytest.mark.parametrize("name", ["$x_2$ {}", "%s \\frac", "</script><script>", "a" * 200, "名前"])
def test_a_name_is_drawn_as_it_is(tmp_path: Path, name: str) -> None:
    figure = utilization.draw(example(f"name='{name}'"))
    assert figure.get_suptitle().strip().rstrip("…") in name
    if name.isascii():
        style.save(figure, tmp_path / "figure.svg")
        assert (tmp_path / "figure.svg").stat().st_size > 1000


def test_a_sweep_figure_has_four_panels_with_units_and_a_line_per_plan() -> None:
    table = simcluster.sweep(
        ROOT / "scenarios" / "ep64_tp2_pp1.yaml",
        {"cluster.infiniband.bandwidth": ["100 Gbit/s", "1.6 Tbit/s"], "plan": ["EP64_TP2_PP1", "EP8"]},
        workers=1,
    )
    figure = sweep_chart.draw(table)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["latency (ms)", "throughput (million tokens/s)", "MFU (%)", "exposed communication (%)"]
    assert figure.axes[2].get_xlabel() == "cluster.infiniband.bandwidth (GB/s)"
    assert [tick.get_text() for tick in figure.axes[2].get_xticklabels()] == ["12.5", "200"]
    handles, names = figure.axes[0].get_legend_handles_labels()
    assert names == ["EP64_TP2_PP1", "EP8"]
    line = handles[0]
    assert isinstance(line, Line2D)
    assert np.ravel(line.get_ydata())[0] == pytest.approx(1e3 * float(str(table.rows[0]["latency_s"])))


def test_text_on_a_colour_is_readable() -> None:
    assert style.text_on("#0072B2") == "white"
    assert style.text_on("#F0C75E") == "black"
