"""`simcluster.kernel_seconds`: the agreed keywords, times that were measured, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

import simcluster
from simcluster.errors import InputError
from tests.physics_helpers import ideal_gpu

EXPERTS: dict[str, Any] = {
    "tokens": 16384,
    "hidden": 7168,
    "inner": 2048,
    "experts": 256,
    "top_k": 8,
    "ep": 64,
    "tp": 1,
}
"""DeepSeek-V3's layer."""


@pytest.mark.parametrize(
    "asked",
    [
        {"kernel": "gemm", "dtype": "bf16", "m": 4096, "n": 8192, "k": 8192},
        {"kernel": "attention_prefill", "dtype": "bf16", "kv_dtype": "fp8", "batch": 2, "sequence": 1024, "context": 0,
         "heads": 32, "kv_heads": 8, "head_dim": 128, "window": None},
        {"kernel": "attention_decode", "dtype": "bf16", "kv_dtype": "bf16", "batch": 64, "sequence": 1, "context": 4096,
         "heads": 32, "kv_heads": 8, "head_dim": 128, "window": None},
        {"kernel": "mla_prefill", "dtype": "bf16", "kv_dtype": "bf16", "batch": 2, "sequence": 1024, "context": 0,
         "heads": 128},
        {"kernel": "mla_decode", "dtype": "bf16", "kv_dtype": "fp8", "batch": 64, "sequence": 1, "context": 4096,
         "heads": 128},
        {"kernel": "moe", "dtype": "fp8_block", **EXPERTS, "gated": True, "skew": None},
    ],
)  # fmt: skip
@pytest.mark.parametrize("gpu", ["h100-sxm", "mi300x"])
def test_the_agreed_keywords_give_seconds(gpu: str, asked: dict[str, object]) -> None:
    seconds = simcluster.kernel_seconds(gpu=gpu, **asked)  # type: ignore[arg-type]
    assert type(seconds) is float
    assert 1e-6 < seconds < 0.1


@pytest.mark.parametrize(("skew", "microseconds"), [(None, 470), (1.01, 1602), (1.2, 2642)])
def test_a_layer_of_experts_takes_what_was_measured(skew: float | None, microseconds: float) -> None:
    """16,384 tokens of 64 GPUs: balanced, and the slowest GPU under two power laws."""
    seconds = simcluster.kernel_seconds(gpu="h100-sxm", kernel="moe", dtype="fp8_block", **EXPERTS, skew=skew)
    assert seconds == pytest.approx(microseconds * 1e-6, rel=0.02)


def test_between_measured_exponents_the_time_rises_in_proportion() -> None:
    times = [
        simcluster.kernel_seconds(gpu="h100-sxm", kernel="moe", dtype="fp8_block", **EXPERTS, skew=skew)
        for skew in (None, 0.505, 1.01, 1.105, 1.2, 3)
    ]
    assert times[1] == pytest.approx((times[0] + times[2]) / 2, rel=1e-9)
    assert times[3] == pytest.approx((times[2] + times[4]) / 2, rel=1e-9)
    assert times[5] == times[4]
    assert all(less <= more for less, more in pairwise(times))


def test_a_gpu_of_ones_own_takes_the_roofline() -> None:
    """2 · 10⁹ FLOPs at 100 TFLOPS."""
    seconds = simcluster.kernel_seconds(gpu=ideal_gpu(), kernel="gemm", m=1e3, n=1e3, k=1e3)
    assert seconds == pytest.approx(2e-5, rel=1e-9)


def test_block_scales_need_no_peak_of_their_own() -> None:
    gpu = replace(ideal_gpu(), peak_flops_per_s={"fp8": 200e12}, compute_efficiency={"fp8": 0.5})
    block, whole = (simcluster.kernel_seconds(gpu=gpu, kernel="gemm", dtype=dtype, m=4096, n=4096, k=4096)
                    for dtype in ("fp8_block", "fp8"))  # fmt: skip
    assert block == whole == pytest.approx(2 * 4096**3 / 100e12, rel=1e-9)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InputError) as refused:
        simcluster.kernel_seconds(gpu="h100-sxm", kernel="attention_decode", dtype="bf17", batch=0, context=9, heads=8,
                                  kv_heads=3, m=4)  # fmt: skip
    told = str(refused.value)
    for words in ("bf17", "head_dim is missing", "m has no effect", "batch is 0"):
        assert words in told, words


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"gpu": "h101"}, "no gpu is called 'h101'"),
        ({"kernel": "gem"}, "did you mean gemm"),
        ({"dtype": "nvfp4"}, "no peak for nvfp4"),
        ({"m": float("nan")}, "m is nan"),
        ({"m": True}, "m is True"),
        ({"m": 1e30}, "m is 1e+30"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, object], says: str) -> None:
    good: dict[str, object] = {"gpu": "h100-sxm", "kernel": "gemm", "m": 8, "n": 8, "k": 8}
    with pytest.raises(InputError) as refused:
        simcluster.kernel_seconds(**{**good, **asked})  # type: ignore[arg-type]
    assert says in str(refused.value)


def test_skew_needs_measurements_of_that_number_type() -> None:
    with pytest.raises(InputError, match=r"a100-sxm has none in bf16; .* h100-sxm"):
        simcluster.kernel_seconds(gpu="a100-sxm", kernel="moe", **EXPERTS, skew=1.2)
    with pytest.raises(InputError, match="h200-sxm has none in bf16"):
        simcluster.kernel_seconds(gpu="h200-sxm", kernel="moe", **EXPERTS, skew=1.2)
