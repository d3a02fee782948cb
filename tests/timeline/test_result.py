"""Results: every row of whole scenarios against arithmetic written out by hand, and the laws of a result's shares."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from simcluster.timeline.result import Result
from tests.physics_helpers import EXAMPLE, IDEAL, answer, as_text, row, run_text

PEAK, HBM, NVLINK, NIC = 400e12, 2e12, 450e9, 50e9
"""The example's datasheet, in SI."""

Wanted = Mapping[str, tuple[int, float, float, float, float, float]]
"""Per layer: operations of the name, seconds, FLOPs, bytes, NVLink bytes and InfiniBand bytes of all of them."""


def compute(flops: float, moved: float, count: int = 1) -> tuple[int, float, float, float, float, float]:
    """A kernel of an ideal GPU of the example."""
    return count, max(flops / PEAK, moved / HBM), flops, moved, 0.0, 0.0


def transfer(nvlink: float, infiniband: float) -> tuple[int, float, float, float, float, float]:
    """A collective on the example's ideal wires."""
    return 1, max(nvlink / NVLINK, infiniband / NIC), 0.0, nvlink + infiniband, nvlink, infiniband


def check_rows(result: Result, wanted: Wanted, layers: int) -> None:
    keys = ("count", "seconds", "flops", "bytes", "bytes_nvlink", "bytes_infiniband")
    assert {total.name for total in result.by_operation} == set(wanted)
    for name, per_layer in wanted.items():
        found = row(result, name).as_dict()
        expected = {key: layers * value for key, value in zip(keys, per_layer, strict=True)}
        assert {key: found[key] for key in keys} == pytest.approx(expected, rel=1e-9, abs=0), name


def plus(
    first: tuple[int, float, float, float, float, float], second: tuple[int, float, float, float, float, float]
) -> tuple[int, float, float, float, float, float]:
    a, b = first, second
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5]


T, H, W, E = 2048, 1024, 1024, 64
"""Tokens of a replica (2 of 128 sequences x 1024), hidden size, half an expert's width, experts."""

Q, C, V = 512, 4 * T // 2, 4 * T
"""Query width of a lane (8 of 16 heads x 64); copies a lane sends (4 of each of its T/2 tokens); rows of its expert."""

EXAMPLE_LAYER: Wanted = {
    "norm": compute(0, 2 * T * H * (2 + 1), count=2),
    "residual": compute(0, 2 * T * H * 3 * 2, count=2),
    "attention.qkv": compute(2 * T * H * 3 * Q, T * H + H * 3 * Q + T * 3 * Q),
    "attention.rotary": compute(0, 2 * T * 2 * Q),
    "attention.core": compute(4 * 2 * 1024**2 / 2 * Q, T * 4 * Q),
    "attention.output": compute(2 * T * Q * H, T * Q + Q * H + T * H * 2),
    "attention.all_reduce": transfer(2 * 1 / 2 * T * H * 2, 0),
    "moe.router": compute(2 * (T / 2) * H * E, (T / 2) * H + H * E + (T / 2) * E * 2),
    "moe.permute": plus(compute(0, (T / 2) * H + C * H), compute(0, C * H * 2 + (T / 2) * H * 2)),
    "moe.dispatch": transfer(C * H * 3 / 64, C * H * 60 / 64),
    "moe.lane_all_gather": transfer(1 / 2 * V * H, 0),
    "moe.experts": plus(
        compute(2 * V * H * W, V * H + H * W + V * W),
        compute(2 * V * W * H, V * W + W * H + V * H * 2),
    ),
    "moe.activation": compute(0, 2 * V * W),
    "moe.lane_reduce_scatter": transfer(1 / 2 * V * H * 2, 0),
    "moe.combine": transfer(C * H * 2 * 3 / 64, C * H * 2 * 60 / 64),
    "moe.all_gather": transfer(1 / 2 * T * H * 2, 0),
}


def test_every_row_of_the_ideal_example_is_its_closed_form() -> None:
    check_rows(run_text(EXAMPLE, *IDEAL), EXAMPLE_LAYER, layers=16)


def test_the_ideal_example_lasts_as_long_as_its_rows() -> None:
    result = run_text(EXAMPLE, *IDEAL)
    seconds = 16 * sum(per_layer[1] for per_layer in EXAMPLE_LAYER.values())
    flops = 16 * sum(per_layer[2] for per_layer in EXAMPLE_LAYER.values())
    assert answer(result, "latency_s") == pytest.approx(seconds, rel=1e-9)
    assert answer(result, "tokens") == 128 * 1024
    assert answer(result, "throughput_tokens_per_s") == pytest.approx(128 * 1024 / seconds, rel=1e-9)
    assert answer(result, "throughput_tokens_per_s_per_gpu") == pytest.approx(1024 / seconds, rel=1e-9)
    assert answer(result, "mfu") == pytest.approx(flops / (PEAK * seconds), rel=1e-9)


def test_overheads_and_latencies_of_the_example_add_once_a_kernel_and_once_a_step_of_each_collective() -> None:
    ideal = run_text(EXAMPLE, *IDEAL)
    result = run_text(
        EXAMPLE,
        *IDEAL,
        "cluster.gpu.launch_overhead=2 us",
        "cluster.nvlink.latency=1 us",
        "cluster.infiniband.latency=5 us",
    )
    extra_us = {name: 2.0 * per_layer[0] for name, per_layer in EXAMPLE_LAYER.items() if not per_layer[4]}
    extra_us |= {"attention.all_reduce": 2, "moe.lane_all_gather": 1, "moe.lane_reduce_scatter": 1, "moe.all_gather": 1}
    extra_us |= {"moe.dispatch": 5, "moe.combine": 5}
    for total in result.by_operation:
        added = total.seconds - row(ideal, total.name).seconds
        assert added == pytest.approx(16e-6 * extra_us[total.name], rel=1e-9), total.name
    assert answer(result, "latency_s") - answer(ideal, "latency_s") == pytest.approx(
        16e-6 * sum(extra_us.values()), rel=1e-9
    )


def test_default_efficiencies_of_a_datasheet_are_the_contract_s() -> None:
    ideal = run_text(EXAMPLE, *IDEAL)
    result = run_text(EXAMPLE, *IDEAL[1:2], *IDEAL[3:4], *IDEAL[5:])
    slower = {
        "attention.qkv": 0.75,
        "moe.experts": 0.75,
        "norm": 0.82,
        "residual": 0.82,
        "attention.all_reduce": 0.80,
        "moe.all_gather": 0.80,
        "moe.dispatch": 0.90,
        "moe.combine": 0.90,
    }
    for name, efficiency in slower.items():
        assert row(result, name).seconds == pytest.approx(row(ideal, name).seconds / efficiency, rel=1e-9), name


def test_flops_of_the_example_are_those_of_its_products() -> None:
    layers = 16
    attention = layers * (2 * T * H * 3 * Q + 4 * 2 * 1024**2 / 2 * Q + 2 * T * Q * H)
    experts, other = layers * 4 * V * H * W, layers * 2 * (T / 2) * H * E
    assert answer(run_text(EXAMPLE), "flops_per_gpu") == pytest.approx(
        {"attention": attention, "experts": experts, "other": other, "total": attention + experts + other}, rel=1e-9
    )


def test_resident_memory_of_the_example_is_its_matrices_and_cache() -> None:
    result = run_text(EXAMPLE)
    assert result.memory["attention_weights"].bytes == 16 * (H * 3 * Q + Q * H)
    assert result.memory["expert_weights"].bytes == 16 * 2 * H * W == 32 * 2**20
    assert result.memory["other_weights"].bytes == 16 * (2 * H + H * E)
    assert result.memory["kv_cache"].bytes == 16 * T * 2 * Q
    assert result.memory["workspace"].bytes == 0
    parts = ("attention_weights", "expert_weights", "other_weights", "kv_cache", "activations", "workspace")
    assert answer(result, "memory.total") == sum(result.memory[part].bytes for part in parts)
    assert answer(result, "memory.fraction") == answer(result, "memory.total") / 64e9


DECODE = as_text(
    {
        "cluster": {
            "nodes": 2,
            "gpus_per_node": 8,
            "gpu": {
                "memory": "80 GB",
                "memory_bandwidth": "2 TB/s",
                "peak": {"bf16": "400 TFLOPS"},
                "efficiency": {"compute": 1, "memory": 1},
                "launch_overhead": "0 s",
            },
            "nvlink": {"bandwidth": "450 GB/s", "efficiency": 1},
            "infiniband": {"bandwidth": "50 GB/s", "efficiency": 1},
        },
        "model": {
            "layers": 4,
            "hidden": 2048,
            "heads": 32,
            "kv_heads": 4,
            "head_dim": 128,
            "moe": {"experts": 32, "top_k": 2, "hidden": 768, "gated": True, "shared_experts": 1},
            "precision": "bf16",
        },
        "plan": "EP8_DP2",
        "workload": {"phase": "decode", "batch": 256, "context": 3000},
    }
)
"""One GPU a replica: 16 sequences each, 32 copies that reach all 4 experts of a rank; EP groups stay in a node."""

DECODE_LAYER: Wanted = {
    "norm": compute(0, 2 * 16 * 2048 * 4, count=2),
    "residual": compute(0, 2 * 16 * 2048 * 6, count=2),
    "attention.qkv": compute(2 * 16 * 2048 * 5120, 2 * (16 * 2048 + 2048 * 5120 + 16 * 5120)),
    "attention.rotary": compute(0, 2 * 16 * (4096 + 512) * 2),
    "attention.core": compute(4 * 16 * 3000 * 4096, 16 * (4096 * 4 + 3000 * 2 * 512 * 2)),
    "attention.output": compute(2 * 16 * 4096 * 2048, 2 * (16 * 4096 + 4096 * 2048 + 16 * 2048)),
    "moe.router": compute(2 * 16 * 2048 * 32, 2 * (16 * 2048 + 2048 * 32 + 16 * 32)),
    "moe.shared": plus(
        plus(compute(2 * 16 * 2048 * 1536, 2 * (16 * 2048 + 2048 * 1536 + 16 * 1536)), compute(0, 2 * 16 * 3 * 768)),
        compute(2 * 16 * 768 * 2048, 2 * (16 * 768 + 768 * 2048 + 16 * 2048)),
    ),
    "moe.permute": compute(0, 2 * 2 * (16 + 32) * 2048, count=2),
    "moe.dispatch": transfer(32 * 2048 * 2 * 7 / 8, 0),
    "moe.experts": plus(
        compute(2 * 32 * 2048 * 1536, 2 * (32 * 2048 + 4 * 2048 * 1536 + 32 * 1536)),
        compute(2 * 32 * 768 * 2048, 2 * (32 * 768 + 4 * 768 * 2048 + 32 * 2048)),
    ),
    "moe.activation": compute(0, 2 * 32 * 3 * 768),
    "moe.combine": transfer(32 * 2048 * 2 * 7 / 8, 0),
}


def test_every_row_of_a_decode_step_is_its_closed_form() -> None:
    check_rows(run_text(DECODE), DECODE_LAYER, layers=4)
    assert answer(run_text(DECODE), "tokens") == 256


def test_a_decode_step_is_bound_by_memory_and_keeps_its_cache() -> None:
    result = run_text(DECODE)
    assert result.memory["kv_cache"].bytes == 4 * 16 * 3000 * 2 * 512 * 2
    assert result.memory["expert_weights"].bytes == 4 * (4 + 1) * 3 * 2048 * 768 * 2
    assert result.timeline is not None
    assert {operation.bound for operation in result.timeline.operations if operation.kind == "compute"} == {"memory"}


def test_an_oversubscribed_fabric_binds_the_exchange_on_its_trunks() -> None:
    """An EP group lies on every second rail: of 64 members 15 are reached on its own rail and 45 over spines, which
    have a quarter of the NICs' bandwidth."""
    result = run_text(EXAMPLE, *IDEAL, "cluster.infiniband.oversubscription=4")
    sent = 16 * C * H
    assert row(result, "moe.dispatch").seconds == pytest.approx(max(60, 45 * 4) / 64 * sent / NIC, rel=1e-9)
    assert row(result, "moe.combine").seconds == pytest.approx(2 * 45 * 4 / 64 * sent / NIC, rel=1e-9)
    assert row(result, "moe.all_gather").seconds == pytest.approx(16 * T * H / NVLINK, rel=1e-9)
    assert result.timeline is not None
    bounds = {operation.name: operation.bound for operation in result.timeline.operations}
    assert (bounds["moe.dispatch"], bounds["moe.all_gather"]) == ("leaf", "nvlink")
    assert row(run_text(EXAMPLE, *IDEAL), "moe.dispatch").seconds == pytest.approx(60 / 64 * sent / NIC, rel=1e-9)


def test_a_single_switch_is_as_fast_as_rails_without_oversubscription() -> None:
    rails, switch = run_text(EXAMPLE, *IDEAL), run_text(EXAMPLE, *IDEAL, "cluster.infiniband.fabric=single-switch")
    for total in switch.by_operation:
        assert total.seconds == pytest.approx(row(rails, total.name).seconds, rel=1e-9), total.name


@pytest.mark.parametrize("path", ["cluster.nvlink.bandwidth", "cluster.infiniband.bandwidth"])
def test_a_faster_wire_never_lengthens_the_example(path: str) -> None:
    """Its operations run in one order, so more bandwidth cannot reorder them."""
    latencies = [answer(run_text(EXAMPLE, f"{path}={rate} GB/s"), "latency_s") for rate in (10, 50, 200, 900)]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[0] > latencies[-1]


def test_exposed_communication_is_the_time_of_the_collectives_that_nothing_hides() -> None:
    result = run_text(EXAMPLE)
    for total in result.by_operation:
        assert total.exposed_seconds == pytest.approx(0 if total.kind == "compute" else total.seconds, rel=1e-9)
    exposed = sum(total.exposed_seconds for total in result.by_operation)
    assert answer(result, "exposed_communication") == pytest.approx(exposed / answer(result, "latency_s"), rel=1e-9)


def test_a_plan_that_does_not_fit_has_memory_but_no_times() -> None:
    result = run_text(EXAMPLE, "cluster.gpu.memory=100 MB")
    assert not result.fits
    assert answer(result, "memory.fraction") > 1
    for path in ("latency_s", "throughput_tokens_per_s", "mfu"):
        assert answer(result, path) is None
    assert answer(result, "by_operation") == []


def test_memory_of_the_size_of_the_plan_fits() -> None:
    total = answer(run_text(EXAMPLE), "memory.total")
    result = run_text(EXAMPLE, f"cluster.gpu.memory={total:.0f} B")
    assert result.fits
    assert answer(result, "memory.fraction") == pytest.approx(1.0, rel=1e-12)
    assert not run_text(EXAMPLE, f"cluster.gpu.memory={total - 1:.0f} B").fits
