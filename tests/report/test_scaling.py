"""Scaling efficiency and regime of a sweep over nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

import simcluster
from simcluster.report.figures import scaling_chart, style
from simcluster.report.figures.lines import Line, lines

EXAMPLE = Path(__file__).parents[2] / "scenarios" / "ep64_tp2_pp1.yaml"


@pytest.fixture(scope="module")
def found() -> dict[str, Line]:
    over = {"cluster.nodes": ["1", "2", "4"], "workload.batch": ["{per_gpu: 1}", "32"]}
    table = simcluster.sweep(EXAMPLE, over, overrides=["plan=EP8"], workers=1)
    places = [float(str(row["gpus"])) for row in table.rows]
    return {line.label: line for line in lines(table, places, style.LIGHT)}


def test_work_that_follows_the_gpus_is_weak_scaling_and_fixed_work_strong(found: dict[str, Line]) -> None:
    assert scaling_chart.regime(found["{per_gpu: 1}"]) == "weak"
    assert scaling_chart.regime(found["32"]) == "strong"


def test_replicas_that_do_not_touch_scale_perfectly_with_their_work(found: dict[str, Line]) -> None:
    assert scaling_chart.efficiency(found["{per_gpu: 1}"]) == pytest.approx([1.0, 1.0, 1.0], rel=1e-9)


def test_strong_scaling_efficiency_is_speedup_over_gpus(found: dict[str, Line]) -> None:
    """(T(8)/T(n)) / (n/8), below one because launch overheads do not shrink."""
    latencies = found["32"].values("latency_s")
    expected = [latencies[0] / latency / factor for latency, factor in zip(latencies, (1, 2, 4), strict=True)]
    assert scaling_chart.efficiency(found["32"]) == pytest.approx(expected, rel=1e-9)
    assert expected[2] < 0.95
