"""Kernels of published traces: what a row is, what is refused, and how far off ours are."""

from __future__ import annotations

from pathlib import Path

import pytest

from simcluster.errors import InputError
from simcluster.gpu.gpu import KernelTime
from simcluster.kernels import GroupedGemm, LatentAttention
from simcluster.validation import traced
from tools.trace_rows import COLUMNS, rows

TRACE, PUBLISHED = "DeepSeek-V3 training trace", "DeepGEMM"
KERNELS = traced.traced()
RAW = Path("../shared/data/published.csv")
HEADER = "regime,gpu,kernel,dtype,m,n,k,groups,communication_sms,measured_us,source"
GEMM = "mine,h800-sxm,gemm,bf16,4096,4096,4096,,0,200,my trace"
EXPERTS = "mine,h800-sxm,grouped_gemm,fp8_block,8192,4096,7168,4,0.5,1863,my trace"


def _traced(folder: Path, *lines: str) -> tuple[traced.TracedKernel, ...]:
    (folder / "traces.csv").write_text("\n".join((HEADER, *lines, "")), encoding="utf-8")
    return traced.traced(folder)


def _of(system: str) -> list[traced.TracedKernel]:
    return [one for one in KERNELS if one.regime.endswith(system)]


def test_a_row_is_the_kernel_of_the_trace() -> None:
    """4,096 tokens a GPU, 8 copies of each, evenly over 64 GPUs: 32,768 rows for 4 experts of 7,168 x 2,048."""
    attention, up, down = (one.kernel for one in _of(TRACE))
    assert isinstance(up, GroupedGemm)
    assert isinstance(down, GroupedGemm)
    assert (up.rows, up.n, up.k, up.groups) == (32_768, 4_096, 7_168, 4)
    assert (down.rows, down.n, down.k, down.groups) == (32_768, 7_168, 2_048, 4)
    assert isinstance(attention, LatentAttention)
    assert (attention.queries, attention.keys, attention.heads) == (4_096, 4_096, 128)
    assert [one.measured_s for one in _of(TRACE)] == pytest.approx([1237e-6, 1863e-6, 1035e-6])


def test_a_row_of_deepgemm_is_as_fast_as_it_publishes() -> None:
    """1,297 TFLOP/s for 4 groups of 8,192 rows, 206 for 64 rows of 2,112 x 7,168."""
    rates = [one.kernel.flops / one.measured_s / 1e12 for one in _of(PUBLISHED)]
    assert len(rates) == 28
    assert rates[0] == pytest.approx(1297, rel=1e-4)
    assert pytest.approx(rates[10], rel=1e-4) == 206


def test_a_kernel_keeps_the_sms_that_communication_leaves(tmp_path: Path) -> None:
    """Half of them make a computing kernel last twice as long, its launch aside; without communication it is alone."""
    gemm, experts = _traced(tmp_path, GEMM, EXPERTS)
    assert gemm.predicted_s == gemm.gpu.kernel_time(gemm.kernel).seconds
    alone = experts.gpu.kernel_time(experts.kernel)
    assert experts.predicted_s == pytest.approx(2 * alone.seconds - alone.launch_s, rel=1e-12)


@pytest.mark.parametrize(
    ("compute_s", "memory_s", "seconds"),
    [
        (0.9e-3, 0.2e-3, 0.1e-3 + 0.9e-3 / 0.85),
        (0.2e-3, 0.9e-3, 0.1e-3 + 1e-3),
        (0.88e-3, 0.9e-3, 0.1e-3 + 0.88e-3 / 0.85),
    ],
    ids=["compute", "memory", "memory, then compute"],
)
def test_both_times_of_a_kernel_grow_and_the_longer_counts(compute_s: float, memory_s: float, seconds: float) -> None:
    time = KernelTime(
        seconds=0.1e-3 + max(compute_s, memory_s), bound="memory", provenance="fitted", launch_s=0.1e-3,
        compute_s=compute_s, memory_s=memory_s,
    )  # fmt: skip
    assert time.beside(0.15, 0.1).seconds == pytest.approx(seconds, rel=1e-12)
    assert time.beside(0, 0) == time


@pytest.mark.parametrize(
    ("system", "kernel", "low", "high"),
    [
        (TRACE, "mla_prefill", 0.1, 0.3),
        (TRACE, "grouped_gemm", 0.1, 0.25),
        (PUBLISHED, "grouped_gemm", 0.08, 0.45),
        (PUBLISHED, "gemm", 0.0, 0.7),
    ],
)
def test_our_error_on_published_kernels_is_known(system: str, kernel: str, low: float, high: float) -> None:
    """All of ours are slower: the tables are of another library's block-scaled products, on clocks of their own."""
    found = [one.predicted_s / one.measured_s - 1 for one in _of(system) if one.name == kernel]
    assert found
    assert all(low < error < high for error in found), found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (GEMM.replace("h800-sxm", "h900-sxm"), "h900-sxm"),
        (EXPERTS.replace("grouped_gemm", "moe"), "moe needs tokens"),
        (GEMM.replace("4096,,0", "4096,4,0"), "groups has no effect on gemm"),
        (GEMM.replace(",bf16", ",nvfp4"), "no peak for nvfp4"),
        (GEMM.replace("4096,4096,4096", "4096,4096,"), "k is missing"),
        (GEMM.replace(",0,200", ",1,200"), "below 1"),
        (GEMM.replace(",0,200", ",nan,200"), "below 1"),
        (GEMM.replace(",200,", ",0,"), "measured_us"),
        (GEMM.replace("4096,4096,4096", "4096.5,4096,4096"), "whole number"),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_its_line(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        _traced(tmp_path, GEMM, line)
    assert words in str(error.value)
    assert all((mistake.origin or "").endswith("traces.csv:3") for mistake in error.value.mistakes)


def test_a_folder_without_the_file_has_none(tmp_path: Path) -> None:
    assert traced.traced(tmp_path) == ()


@pytest.mark.shared
@pytest.mark.skipif(not RAW.is_file(), reason="needs ../shared")
def test_the_ledger_is_what_the_tool_derives() -> None:
    found = rows(RAW)
    assert len(found) == len(KERNELS)
    for row, one in zip(found, KERNELS, strict=True):
        assert tuple(row) == COLUMNS
        assert float(row["measured_us"]) == pytest.approx(one.measured_s * 1e6, rel=1e-12)
        assert (row["regime"], row["source"]) == (one.regime, one.source)
