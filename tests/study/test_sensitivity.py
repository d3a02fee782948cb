"""Sensitivities against closed forms, and inputs without effect against replays with quite other values."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest

import simcluster
from simcluster.scenario.compile import compile_text
from simcluster.scenario.inputs import inputs, with_input
from simcluster.scenario.scenario import Scenario
from simcluster.study.sensitivity import BETTER, sensitivities
from simcluster.timeline.sensitivity import Sensitivity
from tests.edge_helpers import SMALL
from tests.physics_helpers import EXAMPLE, IDEAL

SCENARIOS = Path(__file__).parents[2] / "scenarios"
ONE_GPU = (*IDEAL, "cluster.nodes=1", "cluster.gpus_per_node=1", "plan=EP1_TP1_PP1", "workload.batch=8")


def found(scenario: Scenario) -> dict[str, Sensitivity]:
    return {row.path: row for row in sensitivities(scenario, simcluster.simulate(scenario))}


def latency_s(scenario: Scenario) -> float:
    latency = simcluster.simulate(scenario).metrics["latency_s"]
    assert latency is not None
    return latency


@pytest.mark.parametrize(
    ("path", "endless"),
    [
        ("cluster.gpu.peak.fp8", "cluster.gpu.memory_bandwidth=1 EB/s"),
        ("cluster.gpu.memory_bandwidth", "cluster.gpu.peak.fp8=1 EFLOPS"),
    ],
)
def test_of_a_step_bound_by_one_thing_ten_percent_more_is_a_tenth_faster(path: str, endless: str) -> None:
    """Efficiencies 1, overheads 0, and the other roof out of reach: latency / 1.1, to what the other roof leaves."""
    scenario = compile_text(SMALL, "x.yaml", (*ONE_GPU, endless))
    row = found(scenario)[path]
    assert row.latency_s == pytest.approx(latency_s(scenario) / BETTER, rel=1e-4)
    assert row.change == pytest.approx(1 / BETTER - 1, rel=1e-3)
    assert row.elasticity == pytest.approx(1, rel=1e-3)


def test_a_lone_bound_has_the_closed_form_to_the_last_digit() -> None:
    """Of a step that only moves bytes, kernels at the roof: change = 1/1.1 - 1 and elasticity 1 to 1e-9."""
    scenario = compile_text(SMALL, "x.yaml", (*ONE_GPU, "cluster.gpu.peak.fp8=1e9 TFLOPS", "model.moe.top_k=1"))
    row = found(scenario)["cluster.gpu.memory_bandwidth"]
    assert row.change == pytest.approx(1 / 1.1 - 1, rel=1e-9)
    assert row.elasticity == pytest.approx(1, rel=1e-9)


def test_everything_ten_percent_better_is_a_tenth_faster() -> None:
    """All rates times 1.1 and all times over 1.1: another unit of time, so latency / 1.1."""
    scenario = compile_text(EXAMPLE, "x.yaml", ["expect=[]"])
    better = scenario
    for one in inputs(scenario):
        better = with_input(better, one.path, one.times(BETTER))
    assert latency_s(better) == pytest.approx(latency_s(scenario) / BETTER, rel=1e-9)


@pytest.mark.parametrize("plan", ["EP64_TP2_PP1", "EP8", "TP8"])
def test_a_sensitivity_is_what_run_gives_with_that_value(plan: str) -> None:
    scenario = compile_text(EXAMPLE, "x.yaml", ["expect=[]", f"plan={plan}"])
    rows = found(scenario)
    by_path = {one.path: one for one in inputs(scenario)}
    matter = [row for row in rows.values() if row.matters]
    assert len(matter) >= 3
    for row in matter:
        one = by_path[row.path]
        assignment = one.assignment(one.times(BETTER))
        again = latency_s(compile_text(EXAMPLE, "x.yaml", ["expect=[]", f"plan={plan}", assignment]))
        assert row.latency_s == pytest.approx(again, rel=1e-12)
        assert row.elasticity == pytest.approx(-log(again / latency_s(scenario)) / log(1.1), rel=1e-9)
    assert [row.change for row in matter] == sorted(row.change for row in matter)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ep64_tp2_pp1", ["plan=EP8"]),
        ("llama_2_70b", []),
        ("deepseek_v3_decode", []),
        ("mixtral_prefill", []),
    ],
)
def test_what_cannot_matter_does_not_at_a_third_or_seven_times_its_value(name: str, changes: list[str]) -> None:
    scenario = simcluster.load(SCENARIOS / f"{name}.yaml", ["expect=[]", *changes])
    now_s = latency_s(scenario)
    by_path = {one.path: one for one in inputs(scenario)}
    never = [row for row in found(scenario).values() if row.never and row.path in by_path]
    assert len(never) >= 2
    for row in never:
        for factor in (7.0, 1 / 3):
            one = by_path[row.path]
            if one.path == "cluster.gpu.memory" and factor < 1:
                continue  # the plan may not fit then
            assert latency_s(with_input(scenario, one.path, one.times(factor))) == pytest.approx(now_s, rel=1e-12)


def test_reasons_say_what_is_so() -> None:
    rows = found(compile_text(EXAMPLE, "x.yaml", ["plan=EP8", "cluster.gpu.peak={fp8: 400 TFLOPS, bf16: 200 TFLOPS}"]))
    assert rows["cluster.infiniband.bandwidth"].why == "no byte leaves a node"
    assert rows["cluster.infiniband.latency"].why == "no byte leaves a node"
    assert rows["cluster.gpu.peak.bf16"].why == "nothing computes in bf16"
    assert rows["cluster.gpu.memory"].why.startswith("the plan fits")
    assert rows["cluster.gpu.collective_overhead"].why == "it is 0 already"
    assert not rows["cluster.gpu.collective_overhead"].never
    assert rows["workload.steps"].never
    alone = found(compile_text(EXAMPLE, "x.yaml", ["plan=TP1"]))
    assert alone["cluster.nvlink.bandwidth"].why == "no byte crosses NVLink"


def test_measured_constants_are_said_to_replace_a_datasheet() -> None:
    """A catalogue cluster: its library and profile keep bandwidths and peaks, but bring their own latencies."""
    rows = found(simcluster.load(SCENARIOS / "llama_2_70b.yaml"))
    assert rows["cluster.nvlink.latency"].why == "measured times replace it: every collective is in the library a100"
    for path in ("cluster.nvlink.bandwidth", "cluster.gpu.peak.bf16", "cluster.gpu.memory_bandwidth"):
        assert rows[path].change < 0


def test_what_does_not_bind_now_is_told_from_what_cannot_matter() -> None:
    """Attention in bf16 is bound by HBM, and would not be with half the FLOPS."""
    rows = found(simcluster.load(SCENARIOS / "deepseek_v3_decode.yaml"))
    row = rows["cluster.gpu.peak.bf16"]
    assert not row.matters
    assert not row.never
    assert "at 494.7 TFLOPS it would cost" in row.why


def test_a_plan_that_does_not_fit_has_none() -> None:
    scenario = compile_text(SMALL, "x.yaml", ["cluster.gpu.memory=1 MB"])
    assert sensitivities(scenario, simcluster.simulate(scenario)) == ()


def test_an_input_is_changed_alone() -> None:
    scenario = compile_text(EXAMPLE, "x.yaml")
    for one in inputs(scenario):
        changed = with_input(scenario, one.path, one.times(2))
        values = {other.path: other.value for other in inputs(changed)}
        expected = {other.path: other.value for other in inputs(scenario)} | {one.path: one.times(2)}
        assert values == expected
