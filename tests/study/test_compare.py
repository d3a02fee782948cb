"""Comparing: every column is what `run` gives, and differences add up."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from matplotlib.patches import Rectangle

import simcluster
from simcluster.errors import InputError
from simcluster.report.comparison import comparison
from simcluster.report.figures import compare_chart, style
from simcluster.report.machine import comparison_json
from simcluster.study import compare as module
from simcluster.timeline.comparison import as_dict, difference
from simcluster.units import show_seconds
from tests.edge_helpers import DOES_NOT_FIT, SMALL, scenario_file

EXAMPLE = Path(__file__).parents[2] / "scenarios" / "ep64_tp2_pp1.yaml"


def test_a_column_is_what_run_gives() -> None:
    columns = simcluster.compare(EXAMPLE, plans=["EP8", "EP64_TP2_PP1", "TP2"], sensitivities=False)
    assert [one.label for one in columns] == ["EP64_TP2_PP1", "EP8", "TP2"]
    for one in columns:
        result = simcluster.simulate(simcluster.load(EXAMPLE, [f"plan={one.plan}"]))
        assert one.latency_s == result.metrics["latency_s"]
        assert one.operations == {row.name: row.seconds for row in result.by_operation}
        assert sum(one.states.values()) == pytest.approx(one.latency_s, rel=1e-9)
        assert sum(one.path.values()) == pytest.approx(one.latency_s, rel=1e-9)
        assert sum(one.detail.values()) == pytest.approx(one.latency_s, rel=1e-9)


def test_the_sentence_names_the_largest_differences() -> None:
    first, other = simcluster.compare(EXAMPLE, plans=["EP8"], sensitivities=False)
    told = difference(first, other)
    assert told.startswith("EP8 is 2.17 x as fast as EP64_TP2_PP1 (4.153 ms against 9.025 ms): ")
    largest = max(first.path, key=lambda part: first.path[part] - other.path[part])
    assert largest == "infiniband"
    assert "4.194 ms less InfiniBand (moe.combine -2.796 ms, moe.dispatch -1.398 ms)" in told
    back = difference(other, first)
    assert back.startswith("EP64_TP2_PP1 takes 2.17 x as long as EP8 (9.025 ms against 4.153 ms): ")
    assert "4.194 ms more InfiniBand (moe.combine +2.796 ms, moe.dispatch +1.398 ms)" in back
    assert difference(first, first).startswith("EP64_TP2_PP1 is as fast as EP64_TP2_PP1")


def test_a_plan_that_cannot_be_or_does_not_fit_has_a_reason_for_numbers(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    columns = simcluster.compare(path, plans=["EP8", "EP7", "FOO"])
    assert [one.ran for one in columns] == [True, True, False, False]
    assert "EP7 asks for 7 GPUs" in columns[2].reason
    assert "'FOO' is not a plan" in columns[3].reason
    text = comparison(columns)
    assert f"EP7: {columns[2].reason}"[:60] in text
    tight = simcluster.compare(path, plans=["EP8"], overrides=[DOES_NOT_FIT])
    assert [one.reason.startswith("does not fit: ") for one in tight] == [True, True]
    assert "does not fit" in comparison(tight)
    assert all(one.sensitivities == () for one in tight)


def test_the_first_column_may_be_the_one_without_numbers(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    columns = simcluster.compare(path, plans=["EP8"], overrides=["plan=EP7"])
    assert [one.ran for one in columns] == [False, True]
    assert "has no numbers to compare" in comparison(columns)
    with pytest.raises(InputError, match="EP7 asks for 7 GPUs"):
        simcluster.compare(path, plans=["FOO"], overrides=["plan=EP7"])


def test_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    bad = [scenario_file(tmp_path, SMALL.replace(old, new), name) for old, new, name in (
        ("layers: 2", "layers: 0", "a.yaml"), ("hidden: 256", "hidden: -1", "b.yaml"))]  # fmt: skip
    with pytest.raises(InputError) as raised:
        simcluster.compare(*bad)
    assert {Path(str(one.origin).split(":")[0]).name for one in raised.value.mistakes} == {"a.yaml", "b.yaml"}
    with pytest.raises(InputError, match="nothing to compare"):
        simcluster.compare()
    with pytest.raises(InputError, match="202 columns; at most 100 fit"):
        simcluster.compare(*[EXAMPLE] * 101, plans=["EP8"])


def test_columns_are_named_by_what_sets_them_apart(tmp_path: Path) -> None:
    one = scenario_file(tmp_path, name="one.yaml")
    two = scenario_file(tmp_path, SMALL.replace("name: small", "name: other"), "two.yaml")
    three = scenario_file(tmp_path, SMALL.replace("layers: 2", "layers: 3"), "three.yaml")

    def labels(*paths: Path, plans: tuple[str, ...] = ()) -> list[str]:
        return [column.label for column in simcluster.compare(*paths, plans=plans, sensitivities=False)]

    assert labels(one, plans=("EP8",)) == ["EP4_TP2_PP1", "EP8"]
    assert labels(one, two) == ["small", "other"]
    assert labels(one, two, plans=("EP8",)) == ["small: EP4_TP2_PP1", "small: EP8", "other: EP4_TP2_PP1", "other: EP8"]
    assert labels(one, three) == ["one: EP4_TP2_PP1", "three: EP4_TP2_PP1"]
    assert labels(one, one) == ["1: EP4_TP2_PP1", "2: EP4_TP2_PP1"]


def test_the_json_has_every_number_and_its_difference(tmp_path: Path) -> None:
    columns = simcluster.compare(EXAMPLE, plans=["EP8", "EP7"])
    tree = json.loads(comparison_json(columns))
    first, other, bad = tree["columns"]
    assert tree == json.loads(json.dumps(as_dict(columns)))
    assert sum(row["seconds"] for row in other["critical_path"]) == pytest.approx(other["latency_s"], rel=1e-9)
    seconds = {row["name"]: row["seconds"] for row in first["by_operation"]}
    for row in other["by_operation"]:
        assert row["difference_s"] == pytest.approx(row["seconds"] - seconds.get(row["name"], 0.0), rel=1e-9, abs=1e-18)
    assert {row["path"] for row in other["without_effect"]} >= {"cluster.infiniband.bandwidth", "cluster.gpu.memory"}
    assert first["why"] is None
    assert other["why"].startswith("EP8 is 2.17 x")
    assert (bad["fits"], bad["latency_s"], bad["critical_path"]) == (False, None, [])
    assert "EP7 asks for 7 GPUs" in bad["reason"]


def test_another_amount_of_work_is_told_with_its_throughput(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    more = scenario_file(tmp_path, SMALL.replace("batch: 8", "batch: 32").replace("small", "large"), "large.yaml")
    first, other = simcluster.compare(path, more, sensitivities=False)
    ratio = 4 * first.latency_s / other.latency_s
    assert f"it processes 4 x the tokens, so throughput is {ratio:.3g} x" in difference(first, other)


def test_long_runs_have_sensitivities_only_if_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    monkeypatch.setattr(module, "LARGEST", 0)
    assert simcluster.compare(path)[0].sensitivities == ()
    assert simcluster.compare(path, sensitivities=True)[0].sensitivities
    assert "What 10 % more" not in comparison(simcluster.compare(path))


def test_the_figure_has_a_bar_as_long_as_each_latency() -> None:
    columns = simcluster.compare(EXAMPLE, plans=["EP8", "EP7"], sensitivities=False)
    for look in (style.LIGHT, style.DARK):
        figure = compare_chart.draw(columns, look)
        (axes,) = figure.axes
        bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        lengths = [math.fsum(bar.get_width() for bar in bars if round(bar.get_y()) == place) for place in (0, 1, 2)]
        assert lengths == pytest.approx([1e3 * columns[0].latency_s, 1e3 * columns[1].latency_s, 0], rel=1e-9)
        words = [text.get_text() for text in axes.texts]
        assert any("EP7 asks for 7 GPUs" in word for word in words)


def test_every_plan_runs_on_the_cluster_that_the_scenario_has() -> None:
    """A catalogue cluster takes as many nodes as a plan asks for; the other plans are compared on as many."""
    path = EXAMPLE.with_name("deepseek_v3_decode.yaml")
    changes = ["model.layers=4", "workload.batch={per_gpu: 8}"]
    columns = simcluster.compare(path, plans=["EP16"], overrides=changes, sensitivities=False)
    assert [one.metric("gpus") for one in columns] == [128, 128]
    over = "cluster.infiniband.bandwidth=400 Gbit/s..401 Gbit/s"
    found = simcluster.crossover(path, ("EP128", "EP16"), over, overrides=changes)
    first, second = found.scan[0].latencies_s
    assert (first, second) == pytest.approx([one.latency_s for one in columns], rel=1e-12)


def test_a_pipeline_bubble_is_in_the_sentence() -> None:
    first, other = simcluster.compare(EXAMPLE, plans=["EP8_PP2"], overrides=["plan=EP8"], sensitivities=False)
    idle = show_seconds(other.states["idle"])
    assert f"; a GPU of it is idle {idle} more (the pipeline's bubble)." in difference(first, other)
    assert f"; a GPU of it is idle {idle} less (the pipeline's bubble)." in difference(other, first)
    assert "idle" not in difference(*simcluster.compare(EXAMPLE, plans=["EP8"], sensitivities=False))
