"""Figures show what the result says, in every format, whatever a scenario is called."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.lines import Line2D

import simcluster
from simcluster.errors import InputError
from simcluster.pipeline import simulate
from simcluster.report.figures import style, sweep_chart, timeline_chart, utilization
from simcluster.timeline.result import Result

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "scenarios" / "ep64_tp2_pp1.yaml"
SLOW = "faults=[{gpu: node3.gpu2, factor: 0.5}]"


@cache
def example(*overrides: str) -> Result:
    return simcluster.simulate(simcluster.load(EXAMPLE, overrides))


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
    assert not any("like it" in text for text in drawn)


def test_the_timeline_shows_equal_ranks_once_unless_ranks_are_chosen() -> None:
    assert ranks_told(example()) == ["rank 0", "and 127 like it"]


def test_the_timeline_shows_the_ranks_that_differ_most() -> None:
    """A slow GPU, the other one of its tensor-parallel pair, and the first and the second of the others' pairs."""
    others = ["rank 0", "and 62 like it", "rank 1", "and 62 like it"]
    assert ranks_told(example(SLOW)) == [*others, "rank 26", "rank 27"]


def test_of_many_tracks_the_slow_one_and_the_largest_are_among_those_shown() -> None:
    result = simcluster.simulate(simcluster.load(ROOT / "scenarios" / "ep64_tp2_pp1_1024.yaml", [SLOW]))
    assert result.timeline is not None
    assert len(result.timeline.tracks) > timeline_chart.MOST_TRACKS
    told = ranks_told(result)
    assert sum(text.startswith("rank") for text in told) == timeline_chart.MOST_TRACKS
    assert "rank 26" in told
    assert f"and {result.timeline.tracks.count.max() - 1} like it" in told


def test_a_run_that_was_not_folded_shows_its_first_ranks() -> None:
    whole = simulate(simcluster.load(EXAMPLE, ["model.layers=1", "expect=[]"]), fold="off")
    assert ranks_told(whole) == ["rank 0", "rank 1", "rank 2", "rank 3"]


def ranks_told(result: Result) -> list[str]:
    texts = [text.get_text() for text in timeline_chart.draw(result).axes[0].texts]
    return [text for text in texts if text.startswith("rank") or text.endswith("like it")]


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


@pytest.mark.parametrize("power", [False, True])
def test_a_sweep_of_gpus_with_a_price_shows_the_cost_and_with_power_the_energy(power: bool) -> None:
    """A panel more each; the lowest panel of every column names the axis, whose places are prices."""
    stated = ["cluster.gpu.power={idle: 100 W, busy: 700 W, memory: 500 W, network: 300 W}"] if power else []
    table = simcluster.sweep(EXAMPLE, {"cluster.gpu.price": ["2 USD/h", "5 USD/h"]}, overrides=stated, workers=1)
    panels = [axes for axes in sweep_chart.draw(table).axes if axes.axison]
    labels = [axes.get_ylabel() for axes in panels[4:]]
    assert labels == ["cost (USD per million tokens)", "energy (mJ a token)"][: 1 + power]
    named = [axes.get_ylabel() for axes in panels if axes.get_xlabel() == "cluster.gpu.price (USD/h)"]
    assert named == [axes.get_ylabel() for axes in panels[-3:]]
    (line,) = panels[4].get_lines()[:1]
    assert np.ravel(line.get_xdata()).tolist() == [2.0, 5.0]
    assert np.ravel(line.get_ydata()).tolist() == list(table.column("cost_per_million_tokens"))


def test_text_on_a_colour_is_readable() -> None:
    assert style.text_on("#0072B2") == "white"
    assert style.text_on("#F0C75E") == "black"
