"""A generation is the sum of its steps: the prefill, and a decode step for each token after the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simcluster.timeline.store import pack, unpack
from tests.timeline.generation_helpers import (
    CLUSTER,
    DENSE,
    EXPERTS,
    TWO_NODES,
    added,
    generated,
    generation,
    quantities,
    steps_of,
)

STATES = ("compute_busy", "exposed_communication", "waiting", "idle")
MEASURED = {**CLUSTER, "gpus_per_node": 1, "gpu": "h100-sxm"}
LATENT = {
    **{key: value for key, value in EXPERTS.items() if key != "kv_heads"},
    "latent": {"kv_rank": 128, "nope_dim": 32, "rope_dim": 16, "value_dim": 32},
    "mlp": {"hidden": 2048},
    "dense_layers": 1,
}

EXACT = {
    **{f"output {count}": generation(output=count) for count in (1, 2, 8, 9, 10, 40)},
    "replicas": generation(plan="TP2"),
    "experts over InfiniBand": generation(EXPERTS, "EP8", TWO_NODES),
    "experts and tensors": generation(EXPERTS, "EP4_TP2", TWO_NODES),
    "uneven experts": generation(EXPERTS, "EP8", TWO_NODES, expert_load={"0": 4}),
    "latent attention": generation(LATENT, "EP8", TWO_NODES),
    "window": generation({**DENSE, "window": 64, "full_every": 2}),
    "blocks of the cache": generation(kv_block=64),
    "cache read by each query head": generation(kv_reads="per_query_head"),
    "slow host": generation(host_overhead="1 ms"),
}
"""Generations whose steps take a time that grows evenly with the cache."""


@pytest.mark.parametrize("name", EXACT)
def test_everything_adds_up_over_the_steps(name: str) -> None:
    assert quantities(generated(EXACT[name])) == pytest.approx(added(steps_of(EXACT[name])), rel=1e-9, abs=1e-15)


SLOW_GPU = [{"gpu": "node0.gpu1", "factor": 0.5}]
DRIFTING = {
    "one group": generation(sequence=2048, faults=SLOW_GPU),
    "replicas of one": generation(plan="TP1", sequence=2048, faults=SLOW_GPU),
    "replicas of two": generation(plan="TP2", sequence=2048, faults=SLOW_GPU),
    "experts": generation(EXPERTS, "EP8", TWO_NODES, sequence=2048, faults=SLOW_GPU),
}
"""Generations in which fast ranks are in a later step than the slow one."""


@pytest.mark.parametrize("name", DRIFTING)
def test_the_slowest_rank_sets_the_latency(name: str) -> None:
    result, steps = generated(DRIFTING[name]), steps_of(DRIFTING[name])
    assert quantities(result)["latency_s"] == pytest.approx(added(steps)["latency_s"], rel=1e-9)
    assert sum(result.metrics[state] or 0.0 for state in STATES) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", DRIFTING)
def test_everything_adds_up_where_some_ranks_are_ahead_of_others(name: str) -> None:
    wanted = added(steps_of(DRIFTING[name]))
    assert quantities(generated(DRIFTING[name])) == pytest.approx(wanted, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", ["experts and tensors", "uneven experts"])
def test_folding_changes_nothing(name: str) -> None:
    folded, listed = generated(EXACT[name]), generated(EXACT[name], fold="off")
    assert quantities(listed) == pytest.approx(quantities(folded), rel=1e-9)


@pytest.mark.parametrize(
    ("model", "workload"),
    [
        ("llama-3.1-8b", {"batch": 1, "sequence": 1, "output": 33}),
        ("llama-3.1-8b", {"batch": 16, "sequence": 500, "output": 24}),
        ("gpt-oss-20b", {"batch": 8, "sequence": 100, "output": 24}),
        ("deepseek-v2-lite", {"batch": 8, "sequence": 100, "output": 24}),
    ],
)
def test_measured_kernels_leave_the_latency_within_the_error_that_is_told(
    model: str, workload: dict[str, object]
) -> None:
    text = generation(model, "TP1", MEASURED, **workload)
    result, exact = generated(text), added(steps_of(text))
    error = (result.metrics["latency_s"] or 0) / exact["latency_s"] - 1
    told = result.metrics["integration_error"]
    assert told is not None
    assert abs(error) <= told <= 0.005
    assert result.metrics["flops_per_gpu.total"] == pytest.approx(exact["flops_per_gpu.total"], rel=told)


def test_a_window_that_fills_up_on_the_way_stays_within_the_error_that_is_told() -> None:
    """Steps get longer up to the eighth only, before the middle of the first sixteen."""
    model = {**DENSE, "layers": 1, "window": 8}
    text = generation(model, batch=4096, sequence=1, output=129)
    result = generated(text)
    error = (result.metrics["latency_s"] or 0) / added(steps_of(text))["latency_s"] - 1
    assert abs(error) <= (result.metrics["integration_error"] or 0.0) + 1e-12


@pytest.mark.parametrize("name", EXACT)
def test_states_and_series_are_whole(name: str) -> None:
    result = generated(EXACT[name])
    assert sum(result.metrics[state] or 0.0 for state in STATES) == pytest.approx(1, abs=1e-12)
    series = result.series
    assert series is not None
    width = (result.metrics["latency_s"] or 0.0) / len(series.t_s)
    assert series.throughput_tokens_per_s.sum() * width == pytest.approx(result.tokens, rel=1e-9)
    assert series.tokens_done[-1] == pytest.approx(result.tokens, rel=1e-12)
    assert (np.diff(series.tokens_done) >= 0).all()
    assert series.compute_busy.mean() == pytest.approx(result.metrics["compute_busy"], abs=1e-9)
    assert series.memory_bytes.max() == pytest.approx(result.memory_total_bytes)


@pytest.mark.parametrize("name", EXACT)
def test_first_token_tokens_after_it_and_phases_are_those_of_the_steps(name: str) -> None:
    result, steps = generated(EXACT[name]), steps_of(EXACT[name])
    each = [step.metrics["latency_s"] or 0.0 for step in steps]
    assert result.metrics["ttft_s"] == pytest.approx(each[0], rel=1e-9)
    phases = {phase.phase: phase for phase in result.phases}
    assert phases["prefill"].compute_busy == pytest.approx(steps[0].metrics["compute_busy"], rel=1e-9)
    if len(each) == 1:
        assert result.metrics["tpot_s"] is None
        assert list(phases) == ["prefill"]
        return
    assert result.metrics["tpot_s"] == pytest.approx(sum(each[1:]) / len(each[1:]), rel=1e-9)
    assert phases["decode"].steps == len(each) - 1
    assert sum(phase.seconds for phase in phases.values()) == pytest.approx(result.metrics["latency_s"], rel=1e-9)
    for phase in phases.values():
        assert sum(getattr(phase, state) for state in STATES) == pytest.approx(1, abs=1e-9)


def test_mfu_by_hand() -> None:
    """Two layers on four GPUs; 2 FLOPs a weight and token, 4·heads·head_dim a token and position it attends to."""
    result = generated(EXACT["output 10"])
    sequences, sequence, later = 8, 256, 9
    tokens = sequences * (sequence + later)
    weights = 2 * (1024 * (1024 + 2 * 256) + 1024 * 1024 + 3 * 1024 * 4096)
    attended = sequences * (sequence**2 / 2 + sum(sequence + step for step in range(1, later + 1)))
    flops = (2 * tokens * weights + 2 * 4 * 1024 * attended + 2 * sequences * (1 + later) * 1024 * 32000) / 4
    assert result.metrics["flops_per_gpu.total"] == pytest.approx(flops, rel=1e-12)
    assert result.metrics["mfu"] == pytest.approx(flops / 400e12 / (result.metrics["latency_s"] or 0), rel=1e-12)


@pytest.mark.parametrize("output", [1, 2, 30])
def test_a_slow_host_is_slow_once_a_step(output: int) -> None:
    quick, slow = generated(generation(output=output)), generated(generation(output=output, host_overhead="1 ms"))
    before, after = quick.metrics["latency_s"] or 0.0, slow.metrics["latency_s"] or 0.0
    assert after - before == pytest.approx(output * 1e-3, rel=1e-9)
    idle = (slow.metrics["idle"] or 0.0) * after - (quick.metrics["idle"] or 0.0) * before
    assert idle == pytest.approx(output * 1e-3, rel=1e-9)


@pytest.mark.parametrize("name", ["output 1", "output 40", "uneven experts"])
def test_a_stored_generation_answers_alike(name: str, tmp_path: Path) -> None:
    result = generated(EXACT[name])
    path = tmp_path / "timeline.npz"
    path.write_bytes(pack(result))
    assert unpack(path).as_dict() == result.as_dict()
