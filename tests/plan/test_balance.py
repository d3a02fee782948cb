"""Balance: uniform routing over equal shards leaves no spread; unevenly popular experts leave what paper says."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.audit import why
from simcluster.audit.audit import audit
from simcluster.program.lower import lower
from simcluster.scenario.compile import compile_text
from simcluster.summarize import summarize
from simcluster.timeline.result import Result
from tests.edge_helpers import SMALL
from tests.physics_helpers import EXAMPLE, law

EVEN = {
    "expert_load_variance": 0.0,
    "expert_load_max_over_mean": 1.0,
    "straggler_factor": 1.0,
    "compute_variance": 0.0,
    "memory_variance": 0.0,
}

HOT = "workload.expert_load={5: 4, 2: 2}"
"""Of the small scenario's 8 experts: over ep 4 the pairs get 2, 3, 5 and 2 of 12."""

TIMES = (8 / 12, 1.0, 20 / 12, 8 / 12)
"""Of the mean, under HOT."""


def summary(text: str, *overrides: str) -> Result:
    """What is known before the clock starts."""
    scenario = compile_text(text, "x.yaml", overrides)
    return summarize(scenario, lower(scenario.share, scenario.layout))


def variance(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values) / mean**2


@pytest.mark.parametrize(
    ("plan", "per_group"), [("EP64_TP2_PP1", 1), ("EP8_DP16", 8), ("DP128", 64), ("{tp: 2, ep: 64, etp: 1}", 1)]
)
def test_every_group_holds_the_same_experts_and_load(plan: str, per_group: int) -> None:
    found = summary(EXAMPLE, f"plan={plan}").balance
    assert found == pytest.approx({"experts_per_gpu_group": per_group, **EVEN}, rel=1e-9, abs=1e-9)


def test_a_dense_model_is_even() -> None:
    found = summary(SMALL, "model.moe=null", "model.mlp={hidden: 512}", "plan=TP8").balance
    assert found == {"experts_per_gpu_group": 0, **EVEN}


def test_the_spread_of_uneven_experts_is_the_hand_s() -> None:
    """Counted FLOPs: attention and router alike, expert GEMMs as copies; memory: the largest moment of a layer."""
    result = summary(SMALL, HOT)
    routed = result.work["moe.experts"].flops
    beside = sum(work.flops for work in result.work.values()) - routed
    resident = result.memory_total_bytes - result.memory["activations"].bytes
    residual = 256 * 256 * 2
    at_second_product = [512 * times * (512 / 2 * 1 + 256 * 2) for times in TIMES]
    at_reduce_scatter = [512 * times * 256 * 2 * 1.5 for times in TIMES]
    peaks = [residual + max(moment) for moment in zip(at_second_product, at_reduce_scatter, strict=True)]
    assert result.memory["activations"].bytes == pytest.approx(max(peaks), rel=1e-12)
    assert result.balance == pytest.approx(
        {
            "experts_per_gpu_group": 2,
            "expert_load_variance": variance(list(TIMES)),
            "expert_load_max_over_mean": 20 / 12,
            "straggler_factor": result.balance["straggler_factor"],
            "compute_variance": variance([beside + routed * times for times in TIMES]),
            "memory_variance": variance([resident + peak for peak in peaks]),
            "hottest_gpu_group": 2,
        },
        rel=1e-9,
    )


def test_counted_work_is_the_mean_over_gpus() -> None:
    hot, even = summary(SMALL, HOT), summary(SMALL)
    assert hot.flops_per_gpu() == pytest.approx(even.flops_per_gpu(), rel=1e-12)
    assert hot.work["moe.experts"].formula == even.work["moe.experts"].formula


@law(60)
@given(weights=st.lists(st.floats(0.5, 1.5), min_size=8, max_size=8))
def test_the_fullest_group_is_that_of_its_experts(weights: list[float]) -> None:
    """Over ep 4 with two experts each."""
    load = ", ".join(f"{expert}: {weight!r}" for expert, weight in enumerate(weights))
    found = summary(SMALL, f"workload.expert_load={{{load}}}").balance
    groups = [weights[first] + weights[first + 1] for first in range(0, 8, 2)]
    assert found["expert_load_max_over_mean"] == pytest.approx(max(groups) / fmean(groups), rel=1e-9)
    assert found["expert_load_variance"] == pytest.approx(variance(groups), rel=1e-9, abs=1e-15)
    if "hottest_gpu_group" in found:
        assert groups[int(found["hottest_gpu_group"])] == pytest.approx(max(groups), rel=1e-12)


def test_the_check_fails_above_a_tenth_and_names_the_hottest_experts() -> None:
    checks = {check.name: check for check in audit(summary(SMALL, HOT), ())}
    load = checks["load_balance"]
    assert (load.passed, load.claimed, load.actual) == (False, "fullest GPU group at most 1.1 x the mean", "1.667 x")
    assert load.why == "of 4 GPU groups, group 2 with experts 4 to 5 gets most token copies, 1.667 x the mean"
    mild = {check.name: check for check in audit(summary(SMALL, "workload.expert_load={5: 1.1}"), ())}
    assert mild["load_balance"].passed
    assert "hottest_gpu_group" not in summary(SMALL).balance


IDEAL = ("cluster.gpu.efficiency={compute: 1, memory: 1}", "cluster.gpu.launch_overhead=0 s")


def test_the_straggler_factor_of_bound_kernels_is_that_of_loads() -> None:
    """Where nothing but FLOPs takes time, time is in proportion to copies."""
    found = summary(SMALL, HOT, *IDEAL, "cluster.gpu.memory_bandwidth=100000000 TB/s").balance
    assert found["straggler_factor"] == pytest.approx(20 / 12, rel=1e-6)


def test_the_straggler_factor_of_launches_is_one() -> None:
    """Where nothing but the launch takes time, all take as long."""
    found = summary(SMALL, HOT, "cluster.gpu.launch_overhead=1 s").balance
    assert found["straggler_factor"] == pytest.approx(1, rel=1e-4)
    assert found["straggler_factor"] > 1


def test_perfect_balance_has_straggler_factor_one() -> None:
    """24 redundant experts: all 4 ranks hold all 8."""
    found = summary(SMALL, HOT, "workload.redundant_experts=24").balance
    assert found["straggler_factor"] == found["expert_load_max_over_mean"] == 1


def test_popularities_that_even_out_are_said_to() -> None:
    result = summary(SMALL, "workload.expert_load={0: 2, 2: 2, 4: 2, 6: 2}")
    assert result.balance == {"experts_per_gpu_group": 2, **EVEN, "hottest_gpu_group": 0}
    told = why.sentence(result, "balance.expert_load_max_over_mean")
    assert (
        told == "experts are not equally popular, but every GPU group of 4 gets the same number of copies, so it is 1"
    )
    alone = why.sentence(summary(SMALL, HOT, "plan=TP8"), "balance.expert_load_max_over_mean")
    assert alone == "experts are not equally popular, but every GPU group holds all of them, so it is 1"
    everyone = ", ".join(f"{expert}: 3" for expert in range(8))
    assert "uniform" in why.sentence(
        summary(SMALL, f"workload.expert_load={{{everyone}}}"), "balance.expert_load_variance"
    )


@pytest.mark.parametrize("leaf", [*EVEN])
def test_every_sentence_of_an_uneven_balance_names_the_group_and_the_number(leaf: str) -> None:
    result = summary(SMALL, HOT, "plan=EP8")
    told = why.sentence(result, f"balance.{leaf}")
    assert "group 5 with expert 5 gets most token copies" in told
    assert told.endswith(f"{result.balance[leaf]:.4g}")
    assert "every expert the same" not in told
