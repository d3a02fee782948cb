"""A kernel larger or smaller than any that was measured says beyond which edge it lies."""

from __future__ import annotations

import pytest

from simcluster.api import load, simulate
from simcluster.gpu.question import Size, question
from simcluster.scenario.cluster_section import load_gpu

H100 = load_gpu("h100-sxm")
DEEPSEEK = {"hidden": 7168, "inner": 2048, "experts": 256, "top_k": 8, "ep": 32}


def beyond(kernel: str, dtype: str, **sizes: Size) -> str:
    return H100.time(question(kernel, dtype, sizes).shape).beyond


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(16_384, ""), (262_144, "tokens 262,144, measured up to 16,384"), (1, "")],
)
def test_a_layer_of_experts_with_more_tokens_than_were_measured(tokens: int, words: str) -> None:
    assert beyond("moe", "fp8_block", tokens=tokens, **DEEPSEEK) == words


def test_all_coordinates_that_lie_beyond_are_named() -> None:
    assert beyond("gemm", "bf16", m=4096, n=4096, k=4096) == ""
    found = beyond("gemm", "bf16", m=10**6, n=4096, k=2).split("; ")
    assert [one.split()[0] for one in found] == ["m", "k"]
    assert "measured up to" in found[0]
    assert "measured from" in found[1]


def test_a_run_names_its_operations_that_do() -> None:
    source = simulate(load("scenarios/deepseek_v3_prefill.yaml", ["execution.expert_kernels=fused"])).provenance[
        "kernels"
    ]
    assert "moe.experts (tokens 262,144, measured up to 16,384)" in source.source
    inside = simulate(load("scenarios/ep64_tp2_pp1.yaml")).provenance["kernels"]
    assert "beyond" not in inside.source
