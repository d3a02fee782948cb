"""Uncertain inputs of a scenario: their defaults, what is written, and what one draw makes of hardware and times."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from typing import Any

import pytest

from simcluster.api import collective_seconds, kernel_seconds
from simcluster.errors import InputError
from simcluster.gpu.pace import Pace
from simcluster.pipeline import simulate
from simcluster.scenario.cluster_section import load_cluster, load_gpu
from simcluster.scenario.compile import compile_text
from simcluster.scenario.uncertainty import NAMES, defaults, drawn, source
from tests.edge_helpers import SMALL

PCIE = """cluster:
  nodes: 2
  gpus_per_node: 2
  gpu: l40s
  pcie: {bandwidth: 32 GB/s, latency: 1 us}
  infiniband: {bandwidth: 25 GB/s}
model: {layers: 1, hidden: 256, heads: 4, mlp: {hidden: 512}, precision: bf16}
plan: DP4
workload: {phase: prefill, batch: 4, sequence: 64}
"""


def test_a_cluster_without_the_section_has_a_factor_for_every_part_it_has() -> None:
    small, pcie = compile_text(SMALL, "small.yaml"), compile_text(PCIE, "pcie.yaml")
    assert list(small.uncertainty) == [name for name in NAMES if not name.startswith("pcie")]
    assert list(pcie.uncertainty) == [name for name in NAMES if not name.startswith("nvlink")]
    assert all(factor > 1 for factor in (*small.uncertainty.values(), *pcie.uncertainty.values()))
    assert (small.seed, pcie.seed) == (0, 0)


def test_what_is_written_replaces_its_default_alone() -> None:
    scenario = compile_text(SMALL, "small.yaml", ["uncertainty.nvlink_latency=3", "uncertainty.launch_overhead=1"])
    plain = compile_text(SMALL, "small.yaml")
    assert scenario.uncertainty == {**plain.uncertainty, "nvlink_latency": 3.0, "launch_overhead": 1.0}
    assert source("nvlink_latency", 3.0, scenario.cluster) == "the scenario's"
    assert source("infiniband_latency", 2.0, scenario.cluster) != "the scenario's"


def test_measured_hardware_is_less_uncertain_than_a_datasheet() -> None:
    """Its factor of computing is exp(2 (e + 4 %)) of the mean error e that its tables record."""
    sheet = defaults(compile_text(SMALL, "small.yaml").cluster)
    measured = defaults(load_cluster("dgx-h100", 16))
    assert all(measured[name][0] <= sheet[name][0] for name in measured if name != "memory_efficiency")
    assert 1.08 < measured["compute_efficiency"][0] < 1.25
    assert "measured tables" in measured["compute_efficiency"][1]
    efa = defaults(load_cluster("dgx-h100", 16, ["cluster.library=h100-efa"]))
    assert efa["infiniband_latency"][0] > measured["infiniband_latency"][0]


def test_a_profile_of_any_error_gives_a_factor_that_can_be_written() -> None:
    cluster = load_cluster("dgx-h100", 16)
    profile = cluster.gpu.profile
    assert profile is not None
    for error, factor in ((0.0, exp(0.08)), (0.06, exp(0.2)), (5.0, 10.0), (None, exp(0.08))):
        tables = {name: replace(table, error=error) for name, table in profile.tables.items()}
        gpu = replace(cluster.gpu, profile=replace(profile, tables=tables))
        assert defaults(replace(cluster, gpu=gpu))["compute_efficiency"][0] == pytest.approx(factor, abs=5e-4)


@pytest.mark.parametrize("seed", ["-1", "1.5", "true", "zero", str(2**63)])
def test_a_seed_is_a_whole_number(seed: str) -> None:
    with pytest.raises(InputError, match="seed: expected a whole number"):
        compile_text(SMALL, "small.yaml", [f"seed={seed}"])
    assert compile_text(SMALL, "small.yaml", [f"seed={2**63 - 1}"]).seed == 2**63 - 1


@pytest.mark.parametrize("factor", ["0", "-2", "0.99", "10.1", "much", "5 %", ".nan", ".inf"])
def test_a_factor_is_one_to_ten(factor: str) -> None:
    with pytest.raises(InputError, match=r"uncertainty\.memory_efficiency: "):
        compile_text(SMALL, "small.yaml", [f"uncertainty.memory_efficiency={factor}"])


def test_mistakes_of_the_section_are_told_with_those_of_others() -> None:
    with pytest.raises(InputError) as raised:
        compile_text(SMALL, "small.yaml", ["uncertainty={nvlink_latency: 0.5}", "model.heads=7", "seed=x"])
    assert {mistake.path for mistake in raised.value.mistakes} >= {"uncertainty.nvlink_latency", "seed", "model.heads"}


@pytest.mark.parametrize("text", [SMALL, PCIE, SMALL.replace("gpu:\n", "gpu:\n    collective_overhead: 1 us\n")])
def test_a_draw_of_ones_changes_no_bit(text: str) -> None:
    scenario = compile_text(text, "small.yaml")
    once = drawn(scenario, dict.fromkeys(NAMES, 1.0))
    assert simulate(once).metrics == simulate(scenario).metrics


def test_a_draw_of_ones_changes_no_bit_of_measured_hardware() -> None:
    text = SMALL[: SMALL.index("cluster:")] + "cluster: dgx-h100\n" + SMALL[SMALL.index("model:") :]
    scenario = compile_text(text.replace("heads: 8", "heads: 8\n  head_dim: 128"), "h100.yaml")
    once = drawn(scenario, dict.fromkeys(NAMES, 1.0))
    assert once.cluster.library == scenario.cluster.library
    assert simulate(once).metrics == simulate(scenario).metrics


SIZES: dict[str, dict[str, Any]] = {
    "gemm": {"m": 4096, "n": 8192, "k": 8192},
    "attention_prefill": {"batch": 4, "sequence": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128},
    "attention_decode": {"batch": 64, "sequence": 1, "context": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128},
}


@pytest.mark.parametrize("kernel", SIZES)
@pytest.mark.parametrize("name", ["h100-sxm", "l40s"])
def test_a_kernel_on_a_gpu_a_fifth_slower_takes_a_fifth_longer(name: str, kernel: str) -> None:
    """Measured or not: rates / 1.2 and launches x 1.2 make every time 1.2 times as long."""
    gpu = load_gpu(name)
    slow = replace(gpu, pace=Pace(compute=1 / 1.2, memory=1 / 1.2, launch=1.2))
    once, later = (kernel_seconds(gpu=one, kernel=kernel, **SIZES[kernel]) for one in (gpu, slow))
    assert later == pytest.approx(1.2 * once, rel=1e-12)


@pytest.mark.parametrize("name", ["h100-sxm", "l40s"])
def test_a_kernel_waits_only_for_what_binds_it(name: str) -> None:
    """A large GEMM does not feel a slower memory, and decode attention no slower computing, but for its floor."""
    gpu = load_gpu(name)
    slow_memory, slow_compute = replace(gpu, pace=Pace(memory=0.5)), replace(gpu, pace=Pace(compute=0.5))
    gemm, decode = (
        [kernel_seconds(gpu=one, kernel=kernel, **SIZES[kernel]) for one in (gpu, slow_memory, slow_compute)]
        for kernel in ("gemm", "attention_decode")
    )
    assert gemm[1] == gemm[0]
    assert gemm[2] > 1.9 * gemm[0]
    assert decode[1] > 1.9 * decode[0]
    assert decode[2] == decode[0]


@pytest.mark.parametrize("name", ["h100-sxm", "l40s"])
def test_no_draw_passes_the_datasheet(name: str) -> None:
    gpu = replace(load_gpu(name), pace=Pace(compute=10, memory=10, launch=0.1))
    sizes = SIZES["gemm"]
    flops = 2 * sizes["m"] * sizes["n"] * sizes["k"]
    assert kernel_seconds(gpu=gpu, kernel="gemm", **sizes) >= flops / gpu.peak("bf16")
    drawn_gpu = drawn(compile_text(PCIE, "pcie.yaml"), dict.fromkeys(NAMES, 10.0)).cluster
    assert drawn_gpu.pcie is not None
    assert drawn_gpu.infiniband is not None
    assert (drawn_gpu.pcie.efficiency, drawn_gpu.infiniband.efficiency) == (1.0, 1.0)


SLOW_WIRES = {
    "nvlink_efficiency": 1 / 1.2, "nvlink_latency": 1.2, "infiniband_efficiency": 1 / 1.2, "infiniband_latency": 1.2,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
@pytest.mark.parametrize("gpus", [8, 16])
@pytest.mark.parametrize("size", [1024, 2**20, 2**28])
def test_a_measured_collective_on_wires_a_fifth_slower_takes_a_fifth_longer(kind: str, gpus: int, size: int) -> None:
    """Its library's floors and rounds are x 1.2 and its rates / 1.2, whatever protocol it takes."""
    text = SMALL[: SMALL.index("cluster:")] + "cluster: dgx-h100\n" + SMALL[SMALL.index("model:") :]
    scenario = compile_text(text.replace("plan: EP4_TP2_PP1", "plan: DP16").replace("batch: 8", "batch: 16"), "h.yaml")
    slow = drawn(scenario, SLOW_WIRES).cluster
    once, later = (
        collective_seconds(cluster=cluster, kind=kind, gpus=gpus, message_bytes=size)
        for cluster in (scenario.cluster, slow)
    )
    assert later == pytest.approx(1.2 * once, rel=1e-9)


@pytest.mark.parametrize("mode", ["normal", "low_latency"])
@pytest.mark.parametrize("kind", ["moe_dispatch", "moe_combine"])
def test_a_measured_exchange_follows_its_wires_too(kind: str, mode: str) -> None:
    text = SMALL[: SMALL.index("cluster:")] + "cluster: dgx-h100\n" + SMALL[SMALL.index("model:") :]
    scenario = compile_text(text.replace("plan: EP4_TP2_PP1", "plan: DP16").replace("batch: 8", "batch: 16"), "h.yaml")
    once, later = (
        collective_seconds(
            cluster=cluster, kind=kind, gpus=16, tokens_per_rank=128, hidden=7168, top_k=8, experts=256, mode=mode
        )
        for cluster in (scenario.cluster, drawn(scenario, SLOW_WIRES).cluster)
    )
    assert later == pytest.approx(1.2 * once, rel=1e-9)


def test_a_collective_without_constants_follows_efficiency_and_latency() -> None:
    """On bare wires: latency x 2 and bytes at half the efficiency, each by itself and both together."""
    scenario = compile_text(SMALL, "small.yaml", ["uncertainty={}"])
    once, late, slow, both = (
        collective_seconds(cluster=drawn(scenario, one).cluster, kind="all_gather", gpus=4, message_bytes=2**24)
        for one in (
            {}, {"nvlink_latency": 2}, {"nvlink_efficiency": 0.5}, {"nvlink_latency": 2, "nvlink_efficiency": 0.5},
        )
    )  # fmt: skip
    assert both == pytest.approx(2 * once, rel=1e-12)
    assert (late - once) + (slow - once) == pytest.approx(once, rel=1e-9)


def test_a_custom_fabric_s_cables_follow_the_latency() -> None:
    graph = (
        "{nodes: [{id: s}], edges: [{source: node0.nic0, target: s, capacity: 50 GB/s, latency: 2 us}, "
        "{source: node1.nic0, target: s, capacity: 50 GB/s}]}"
    )
    overrides = ["cluster.infiniband.fabric=custom", "cluster.infiniband.nics_per_node=1",
                 f"cluster.infiniband.graph={graph}"]  # fmt: skip
    scenario = compile_text(SMALL, "small.yaml", overrides)
    changed = drawn(scenario, {"infiniband_latency": 3.0}).cluster.infiniband
    assert changed is not None
    latencies = {cable.latency_s for cable in changed.cables if cable.latency_s is not None}
    assert sorted(latencies) == pytest.approx([6e-6])
