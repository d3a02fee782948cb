"""GPU: a kernel's time is its slower side of the roofline and a launch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.kernels import Attention, ElementWise, Gemm, GroupedGemm
from tests.physics_helpers import ideal_gpu, law

size = st.integers(1, 100_000)


def gemm(m: float, n: float, k: float) -> Gemm:
    return Gemm(m=m, n=n, k=k, compute="bf16", input_bytes=2, weight_bytes=2, output_bytes=2)


@law(60)
@given(m=size, n=size, k=size)
def test_a_product_takes_two_m_n_k_over_the_peak_or_its_matrices_over_the_bandwidth(m: int, n: int, k: int) -> None:
    time = ideal_gpu().kernel_time(gemm(m, n, k))
    compute_s, memory_s = 2 * m * n * k / 100e12, 2 * (m * k + k * n + m * n) / 1e12
    assert time.seconds == pytest.approx(max(compute_s, memory_s), rel=1e-9)
    assert time.bound == ("compute" if compute_s >= memory_s else "memory")


def test_efficiencies_slow_their_own_side_and_overhead_is_added_once() -> None:
    gpu = replace(ideal_gpu(), compute_efficiency={"bf16": 0.5}, memory_efficiency=0.25, launch_overhead_s=3e-6)
    assert gpu.kernel_time(gemm(1e4, 1e4, 1e4)).seconds == pytest.approx(2e12 / 50e12 + 3e-6, rel=1e-9)
    assert gpu.kernel_time(gemm(1, 1e4, 1e4)).seconds == pytest.approx(2 * (1e8 + 2e4) / 0.25e12 + 3e-6, rel=1e-9)
    copy = ElementWise(read_bytes=1e9, write_bytes=1e9)
    assert gpu.kernel_time(copy).seconds == pytest.approx(2e9 / 0.25e12 + 3e-6, rel=1e-9)
    assert gpu.kernel_time(copy).bound == "memory"


def test_a_kernel_runs_at_the_peak_of_its_own_precision() -> None:
    gpu = replace(
        ideal_gpu(),
        peak_flops_per_s={"bf16": 100e12, "fp8": 400e12},
        compute_efficiency={"bf16": 1.0, "fp8": 0.5},
    )
    wide = gemm(1e4, 1e4, 1e4)
    assert gpu.kernel_time(wide).seconds == pytest.approx(2e12 / 100e12, rel=1e-9)
    assert gpu.kernel_time(replace(wide, compute="fp8")).seconds == pytest.approx(2e12 / 200e12, rel=1e-9)


def test_grouped_products_read_only_the_experts_that_rows_reach() -> None:
    """32 matrices of 10 x 20: 8 rows reach 8 of them, 100 rows reach all."""
    few, many = (
        GroupedGemm(rows=rows, n=20, k=10, groups=32, compute="bf16", input_bytes=1, weight_bytes=1, output_bytes=2)
        for rows in (8, 100)
    )
    assert (few.flops, few.bytes) == (2 * 8 * 20 * 10, 8 * 10 + 8 * 200 + 8 * 20 * 2)
    assert (many.flops, many.bytes) == (2 * 100 * 20 * 10, 100 * 10 + 32 * 200 + 100 * 20 * 2)


def attention(queries: int, keys: int, *, causal: bool) -> Attention:
    return Attention(
        batch=3,
        queries=queries,
        keys=keys,
        heads=8,
        kv_heads=2,
        head_dim=64,
        causal=causal,
        compute="bf16",
        kv_cache="fp8",
        query_bytes=2,
        kv_bytes=1,
        output_bytes=2,
    )


def test_a_causal_core_computes_half_the_square_and_reads_every_key_once() -> None:
    prefill = attention(1000, 1000, causal=True)
    assert prefill.flops == 4 * 3 * 1000 * 1000 / 2 * 8 * 64
    assert prefill.bytes == 3 * 1000 * (8 * 64 * 4 + 2 * 2 * 64 * 1)


def test_a_decode_core_reads_its_whole_cache_for_one_query() -> None:
    decode = attention(1, 5000, causal=False)
    assert decode.flops == 4 * 3 * 5000 * 8 * 64
    assert decode.bytes == 3 * (8 * 64 * 4 + 5000 * 2 * 2 * 64 * 1)
    assert ideal_gpu().kernel_time(decode).bound == "memory"
