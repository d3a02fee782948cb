"""Energy and cost against closed forms, and the laws of energy over random timelines."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.gpu.power import Power
from simcluster.pipeline import simulate
from simcluster.report.costs import headline
from simcluster.report.costs import states as energy_table
from simcluster.scenario.compile import compile_text
from simcluster.timeline.energy import by_state, mean_power_w
from simcluster.timeline.result import Result
from simcluster.timeline.states import states
from tests.physics_helpers import EXAMPLE, IDEAL, law, random_timeline, row, run_text

IDLE, BUSY, MEMORY, NETWORK = 100.0, 700.0, 500.0, 300.0
POWER = Power(idle_w=IDLE, busy_w=BUSY, memory_w=MEMORY, network_w=NETWORK, source="tests")
STATED = "cluster.gpu.power={idle: 100 W, busy: 700 W, memory: 500 W, network: 300 W}"
PRICE = "cluster.gpu.price=2.50 USD/h"

COMPUTE_BOUND = ("attention.qkv", "attention.core", "attention.output", "moe.experts")
"""Kernels of the ideal example whose FLOPs take longer than their bytes."""


def of(result: Result, metric: str) -> float:
    value = result.metrics[metric]
    assert value is not None
    return value


def test_the_energy_of_the_ideal_example_is_its_closed_form() -> None:
    """Without launches a kernel is bound by computing or memory, and nothing overlaps: seconds of rows times watts."""
    result = run_text(EXAMPLE, *IDEAL, STATED)
    joules = 0.0
    for total in result.by_operation:
        kernel = BUSY if total.name in COMPUTE_BOUND else MEMORY
        joules += total.seconds * (kernel if total.kind == "compute" else NETWORK)
    latency_s, tokens = of(result, "latency_s"), 128 * 1024
    assert row(result, "moe.router").limited_by == "memory"
    assert of(result, "power_mean_w") == pytest.approx(joules / latency_s, rel=1e-9)
    assert of(result, "energy_per_token_j") == pytest.approx(joules * 128 / tokens, rel=1e-9)


def test_a_million_tokens_cost_the_rent_of_all_gpus_while_they_are_made() -> None:
    result = run_text(EXAMPLE, PRICE)
    hours = of(result, "latency_s") / 3600
    assert of(result, "cost_per_million_tokens") == pytest.approx(2.5 * hours * 128 / (128 * 1024) * 1e6, rel=1e-12)
    assert of(result, "cost_per_million_tokens") == pytest.approx(
        2.5 / 3600 / of(result, "throughput_tokens_per_s_per_gpu") * 1e6, rel=1e-12
    )


@pytest.mark.parametrize("metric", ["cost_per_million_tokens", "energy_per_token_j", "power_mean_w"])
def test_more_steps_change_no_cost_of_a_token(metric: str) -> None:
    once, thrice = (run_text(EXAMPLE, PRICE, STATED, f"workload.steps={steps}") for steps in (1, 3))
    assert of(thrice, metric) == pytest.approx(of(once, metric), rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_overlapping_steps_of_a_pipeline_cost_what_the_run_takes(steps: int) -> None:
    """Rent and power of all GPUs over the whole run, divided by all its tokens, however long one step's latency is."""
    result = run_text(EXAMPLE, PRICE, STATED, "plan=TP2_PP8_DP8", "execution.microbatches=1", f"workload.steps={steps}")
    assert result.timeline is not None
    assert (of(result, "latency_s") * steps > result.timeline.end_s * 1.01) == (steps > 1)
    rate = of(result, "throughput_tokens_per_s")
    assert of(result, "cost_per_million_tokens") == pytest.approx(2.5 / 3600 * 128 / rate * 1e6, rel=1e-9)
    assert of(result, "energy_per_token_j") == pytest.approx(of(result, "power_mean_w") * 128 / rate, rel=1e-9)


def test_a_launch_bound_kernel_draws_what_an_idle_gpu_does() -> None:
    result = run_text(EXAMPLE, *IDEAL, "cluster.gpu.launch_overhead=1 s", "plan=DP128", "model.moe.top_k=1", STATED)
    assert of(result, "power_mean_w") == pytest.approx(IDLE, rel=1e-3)


def test_without_price_and_power_there_is_neither_a_number_nor_a_line() -> None:
    result = run_text(EXAMPLE)
    assert {result.metrics[name] for name in ("cost_per_million_tokens", "energy_per_token_j", "power_mean_w")} == {
        None
    }
    assert (headline(result), energy_table(result)) == ([], "")


def test_a_plan_that_does_not_fit_costs_nothing_yet() -> None:
    result = run_text(EXAMPLE, PRICE, STATED, "cluster.gpu.memory=100 MB")
    assert not result.fits
    assert result.metrics["cost_per_million_tokens"] is result.metrics["power_mean_w"] is None


def test_the_energy_of_a_generation_is_that_of_its_phases() -> None:
    """A decode phase of 40 tokens draws between idle and busy, and every step it stands for counts."""
    result = run_text(EXAMPLE, STATED, "workload={phase: generate, batch: 128, sequence: 64, output: 40}", "plan=EP8")
    assert result.timeline is not None
    assert result.states is not None
    parts = by_state(result.timeline, result.states, POWER)
    assert sum(part.seconds for part in parts) == pytest.approx(of(result, "latency_s"), rel=1e-9)
    assert IDLE <= of(result, "power_mean_w") <= BUSY


def test_gpus_that_wait_draw_idle_power() -> None:
    """With one GPU at half speed the others wait; folded and rank by rank they draw the same."""
    text = EXAMPLE.replace("plan: EP64_TP2_PP1", "plan: EP8").replace("nodes: 16", "nodes: 1")
    text = text.replace("batch: 128", "batch: 8") + "\nfaults: [{gpu: node0.gpu0, factor: 0.5}]\n"
    scenario = replace(compile_text(text, "slow.yaml", [STATED]), expect=())
    folded, listed = simulate(scenario), simulate(scenario, fold="off")
    assert of(folded, "waiting") > 0.05
    assert of(listed, "power_mean_w") == pytest.approx(of(folded, "power_mean_w"), rel=1e-9)
    assert "waiting or idle" in energy_table(folded)


watts = st.floats(min_value=0, max_value=2000)


@law(60)
@given(st.integers(0, 10**6), watts, watts, watts, watts)
def test_energy_lies_between_the_least_and_the_most_power_all_the_time(
    seed: int, idle: float, busy: float, memory: float, network: float
) -> None:
    timeline = random_timeline(random.Random(seed))
    power = Power(idle_w=idle, busy_w=busy, memory_w=memory, network_w=network, source="drawn")
    seen = states(timeline)
    levels = (idle, busy, memory, network)
    mean = mean_power_w(timeline, seen, power)
    assert min(levels) * (1 - 1e-9) <= mean <= max(levels) * (1 + 1e-9)
    assert sum(part.seconds for part in by_state(timeline, seen, power)) == pytest.approx(timeline.end_s, rel=1e-9)


@law(20)
@given(st.integers(0, 10**6), st.floats(min_value=1, max_value=2000))
def test_equal_power_in_every_state_is_the_mean_power(seed: int, level: float) -> None:
    timeline = random_timeline(random.Random(seed))
    power = Power(idle_w=level, busy_w=level, memory_w=level, network_w=level, source="drawn")
    assert mean_power_w(timeline, states(timeline), power) == pytest.approx(level, rel=1e-9)
