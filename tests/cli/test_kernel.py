"""`simcluster kernel`: its text, its object, every kernel, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

import simcluster as package
from tests.edge_helpers import Outcome, no_longer_than, simcluster

GEMM = ("gemm", "--gpu", "h100-sxm", "--m", 4096, "--n", 8192, "--k", 8192)

ATTENTION = {"batch": 4, "heads": 32, "kv_heads": 8, "head_dim": 128}
EXPERTS = {"tokens": 4096, "hidden": 7168, "inner": 2048, "experts": 256, "top_k": 8, "ep": 16}

KERNELS: dict[str, dict[str, Any]] = {
    "gemm": {"m": 4096, "n": 8192, "k": 8192},
    "attention_prefill": {**ATTENTION, "sequence": 2048},
    "attention_decode": {**ATTENTION, "context": 2048},
    "mla_prefill": {"batch": 2, "sequence": 2048, "heads": 128},
    "mla_decode": {"batch": 64, "context": 2048, "heads": 128},
    "moe": EXPERTS,
}


def _kernel(*arguments: object) -> Outcome:
    with no_longer_than(20):
        return simcluster("kernel", *arguments)


def _options(sizes: dict[str, int]) -> list[object]:
    return [part for name, value in sizes.items() for part in (f"--{name.replace('_', '-')}", value)]


def _refused(*arguments: object) -> str:
    outcome = _kernel(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Traceback" not in outcome.err
    return outcome.err


def test_the_text_tells_time_rate_bound_and_whence() -> None:
    outcome = _kernel(*GEMM)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "gemm bf16 on h100-sxm: m 4096, n 8192, k 8192"
    told = {line.split("  ")[0].strip(): line for line in lines[2:]}
    assert list(told) == ["time", "computes", "moves", "limited by", "from", "source"]
    assert "2 x 4,096 x 8,192 x 8,192" in told["computes"]
    assert "989.4 TFLOPS" in told["computes"]
    assert "measured: table gemm/bf16 (30,230 rows, mean error 2.5 % on rows kept back)" in told["from"]
    assert "aiconfigurator" in told["source"]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("gpu", ["h100-sxm", "l40s"])
def test_every_kernel_has_an_object(kernel: str, gpu: str) -> None:
    row = _kernel(kernel, "--gpu", gpu, *_options(KERNELS[kernel]), "--json").json()
    assert row["time_s"] == package.kernel_seconds(gpu=gpu, kernel=kernel, dtype="bf16", **KERNELS[kernel])
    assert row["flops_per_s"] == pytest.approx(row["flops"] / row["time_s"], rel=1e-12)
    assert row["bytes_per_s"] == pytest.approx(row["bytes"] / row["time_s"], rel=1e-12)
    assert row["bound"] in ("compute", "memory", "launch")
    assert row["provenance"] in (("measured", "fitted") if gpu == "h100-sxm" else ("datasheet", "fitted"))
    assert (row["table"] != "") == (gpu == "h100-sxm")
    assert row["table"].startswith(kernel if gpu == "h100-sxm" else "")
    assert row["source"]


@pytest.mark.parametrize(
    ("skew", "provenance", "outside"),
    [(1.01, "measured", False), (1.1, "fitted", False), (1.2, "measured", False), (2, "fitted", True)],
)
def test_skew_between_measured_exponents_is_interpolated(skew: float, provenance: str, outside: bool) -> None:
    asked = ("moe", "--gpu", "h100-sxm", "--dtype", "fp8_block", *_options(EXPERTS), "--json")
    row = _kernel(*asked, "--skew", skew).json()
    assert (row["provenance"], row["outside"]) == (provenance, outside)
    assert row["table"] == f"moe-{'1.01' if skew < 1.05 else '1.2'}/fp8_block/7168x2048x8x256"
    assert row["time_s"] > _kernel(*asked).json()["time_s"]


def test_a_shape_outside_of_its_table_says_so() -> None:
    out = _kernel(
        "attention_prefill", "--gpu", "h100-sxm", *_options(KERNELS["attention_prefill"]), "--window", 128
    ).out
    assert "no such kernel was measured" in out
    assert "fitted: table attention_prefill" in out


def test_a_profile_of_another_gpu_is_fitted() -> None:
    """The same efficiencies on an A100's rates."""
    own, other = (_kernel(*GEMM, "--json", *more).json() for more in ((), ("--profile", "a100-sxm")))
    assert (own["provenance"], other["provenance"]) == ("measured", "fitted")
    assert own["time_s"] != other["time_s"]


def test_all_mistakes_are_told_at_once() -> None:
    told = _refused("gemm", "--gpu", "h100-sxm", "--dtype", "bf17", "--m", 0, "--n", 4, "--heads", 8)
    for words in ("bf17", "k is missing", "heads has no effect on gemm", "m is 0"):
        assert words in told, words


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gemm",), "--gpu"),
        (("gem", "--gpu", "h100-sxm"), "did you mean gemm"),
        ((*GEMM, "--dtype", "nvfp4"), "no peak for nvfp4"),
        ((*GEMM, "--profile", "h101"), "no profile is called 'h101'"),
        ((*GEMM, "--profile", "none.npz"), "none.npz"),
        ((*GEMM, "--gated"), "gated has no effect on gemm"),
        (("gemm", "--gpu", "h100-sxm", "--m", "many"), "--m"),
        (("moe", "--gpu", "h100-sxm", *_options({**EXPERTS, "ep": 3})), "ep 3 does not divide experts 256"),
        (("moe", "--gpu", "h100-sxm", *_options(EXPERTS), "--skew", 0), "leave it out"),
        (("moe", "--gpu", "b200-sxm", *_options(EXPERTS), "--skew", 1.2), "b200-sxm has none"),
        (("mla_decode", "--gpu", "h100-sxm", *_options({**KERNELS["mla_decode"], "sequence": 2})), "sequence is 2"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[object, ...], says: str) -> None:
    assert says in _refused(*arguments)
