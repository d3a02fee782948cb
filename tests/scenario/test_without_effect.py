"""A key that is said to have no effect has none, and one of which that is not said has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from simcluster.pipeline import simulate
from simcluster.scenario.compile import compile_text
from simcluster.scenario.scenario import Scenario
from simcluster.scenario.without_effect import without_effect
from tests.edge_helpers import SMALL, scenario_file, simcluster


def compiled(*edits: str) -> Scenario:
    return compile_text(SMALL, "small.yaml", ["cluster.gpu.launch_overhead=3 us", *edits])


SHARED = "model.moe.shared_experts=1"
DENSE = ("model.moe=null", "model.mlp={hidden: 512}")
CACHED = ("workload={phase: decode, batch: 8, context: 128}", "model.kv_heads=2")


@pytest.mark.parametrize(
    ("key", "value", "edits"),
    [
        ("execution.communication_sms", "0.5", ()),
        ("execution.communication_memory", "0.5", ("execution.dispatch_chunks=4", "plan=TP8")),
        ("execution.communication_memory", "0.5", ("execution.overlap_shared_experts=true",)),
        ("execution.overlap_shared_experts", "true", ()),
        ("execution.overlap_shared_experts", "true", (SHARED, "plan=TP8")),
        ("execution.dispatch_chunks", "4", ("plan=TP8",)),
        ("execution.dispatch_chunks", "4", (*DENSE, "plan=TP8")),
        ("execution.sequence_parallel", "true", ("plan=DP8",)),
        ("execution.context_attention", "ring", ()),
        ("execution.context_attention", "ring", ("plan={cp: 2, dp: 4}", "model.window=64")),
        ("execution.context_attention", "ring", (CACHED[0], "plan={cp: 2, dp: 4}")),
        ("execution.expert_kernels", "grouped-gemm", ()),
        ("execution.expert_kernels", "grouped-gemm", (*DENSE, "plan=TP8")),
        ("workload.kv_reads", "per_query_head", ("model.kv_heads=2",)),
    ],
)
def test_what_is_said_to_have_no_effect_has_none(key: str, value: str, edits: tuple[str, ...]) -> None:
    plain, changed = compiled(*edits), compiled(*edits, f"{key}={value}")
    told = [line for line in without_effect(changed) if line.startswith(f"{key}: ")]
    assert len(told) == 1
    assert simulate(changed).metrics["latency_s"] == simulate(plain).metrics["latency_s"]


@pytest.mark.parametrize(
    ("key", "value", "edits"),
    [
        ("execution.communication_sms", "0.5", ("execution.overlap=two-batch", "workload.batch=16")),
        ("execution.communication_memory", "0.5", (SHARED, "execution.overlap_shared_experts=true")),
        ("execution.communication_sms", "0.9", ("execution.dispatch_chunks=4",)),
        ("execution.communication_sms", "0.9", ("execution.context_attention=ring", "plan={cp: 2, dp: 4}")),
        ("execution.overlap_shared_experts", "true", (SHARED,)),
        ("execution.dispatch_chunks", "4", ()),
        ("execution.sequence_parallel", "true", ("plan=TP8", "cluster.nvlink.latency=2 us")),
        ("execution.context_attention", "ring", ("plan={cp: 2, dp: 4}",)),
        ("workload.kv_reads", "per_query_head", CACHED),
    ],
)
def test_what_is_not_said_has_an_effect(key: str, value: str, edits: tuple[str, ...]) -> None:
    plain, changed = compiled(*edits), compiled(*edits, f"{key}={value}")
    assert list(without_effect(changed)) == []
    assert simulate(changed).metrics["latency_s"] != simulate(plain).metrics["latency_s"]


def test_run_and_check_say_it_beside_the_answer(tmp_path: Path) -> None:
    for command in ("run", "check"):
        outcome = simcluster(command, scenario_file(tmp_path), "--set", "execution.communication_sms=0.5")
        assert outcome.err == "no effect: execution.communication_sms: nothing computes beside communication\n"
        assert simcluster(command, scenario_file(tmp_path)).err == ""
