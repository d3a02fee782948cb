"""A run over time: bins add up to the totals they were cut from."""

from __future__ import annotations

from statistics import fmean

import pytest

from simcluster.timeline.result import Result
from tests.physics_helpers import EXAMPLE, answer, run_text

LISTS = (
    "t_s",
    "compute_busy",
    "exposed_communication",
    "memory_bytes",
    "expert_load_max_over_mean",
    "tokens_done",
    "step_latency_s",
    "throughput_tokens_per_s",
)


@pytest.fixture(params=["EP64_TP2_PP1", "DP128", "TP8_EP8_DP16"])
def result(request: pytest.FixtureRequest) -> Result:
    """Three steps of the example under several plans."""
    return run_text(EXAMPLE, f"plan={request.param}", "workload.steps=3")


def test_all_lists_are_as_long_as_time_and_time_rises_to_the_end(result: Result) -> None:
    found = answer(result, "timeseries")
    assert {len(found[name]) for name in LISTS} == {len(found["t_s"])}
    assert len(found["t_s"]) > 10
    assert found["t_s"] == sorted(found["t_s"])
    assert 0 <= found["t_s"][0] < found["t_s"][-1] <= 3 * answer(result, "latency_s") * (1 + 1e-9)


def test_the_mean_over_bins_is_the_run_s_fraction(result: Result) -> None:
    found = answer(result, "timeseries")
    for name in ("compute_busy", "exposed_communication"):
        assert fmean(found[name]) == pytest.approx(answer(result, name), rel=1e-9, abs=1e-12)
        assert min(found[name]) >= -1e-12
        assert max(found[name]) <= 1 + 1e-9


def test_the_fullest_bin_holds_the_memory_of_the_fullest_gpu(result: Result) -> None:
    found = answer(result, "timeseries.memory_bytes")
    assert max(found) == pytest.approx(answer(result, "memory.total"), rel=1e-9)
    resident = answer(result, "memory.total") - answer(result, "memory.activations")
    assert min(found) >= resident


def test_tokens_are_done_step_by_step_until_all_are(result: Result) -> None:
    found = answer(result, "timeseries.tokens_done")
    assert found == sorted(found)
    assert found[-1] == pytest.approx(3 * 128 * 1024, rel=1e-9)
    assert set(found) <= {128 * 1024 * done for done in range(4)}


def test_every_step_of_a_steady_run_is_as_long_and_as_fast_as_the_mean(result: Result) -> None:
    found = answer(result, "timeseries")
    count = len(found["t_s"])
    assert found["step_latency_s"] == pytest.approx([answer(result, "latency_s")] * count, rel=1e-6)
    assert found["throughput_tokens_per_s"] == pytest.approx(
        [answer(result, "throughput_tokens_per_s")] * count, rel=1e-6
    )


def test_expert_load_is_even_under_uniform_routing(result: Result) -> None:
    assert set(answer(result, "timeseries.expert_load_max_over_mean")) == {1.0}
