"""Grouped products: as fast as dense ones of as many rows, each expert's weights read."""

from __future__ import annotations

import pytest

from simcluster.api import kernel_seconds, load, simulate
from simcluster.errors import InputError
from simcluster.gpu.question import question
from simcluster.scenario.cluster_section import load_gpu

H100 = load_gpu("h100-sxm")
SIZES = {"n": 4096, "k": 7168}


def seconds(kernel: str, **sizes: float) -> float:
    return kernel_seconds(gpu="h100-sxm", kernel=kernel, dtype="fp8_block", **SIZES, **sizes)


@pytest.mark.parametrize("groups", [1, 4, 32])
def test_computing_groups_take_the_time_of_one_product_of_all_rows(groups: int) -> None:
    assert seconds("grouped_gemm", m=16384 / groups, groups=groups) == pytest.approx(
        seconds("gemm", m=16384), rel=1e-12
    )


def test_few_rows_of_many_experts_take_as_long_as_reading_their_weights() -> None:
    """256 experts of 4,096 x 7,168 in one byte each are 7.5 GB: 2.2 ms at 3.35 TB/s, and not less."""
    asked = question("grouped_gemm", "fp8_block", {**SIZES, "m": 1, "groups": 256})
    time = H100.time(asked.shape)
    assert time.bound == "memory"
    assert time.seconds >= 256 * 4096 * 7168 / H100.memory_bytes_per_s


def test_it_is_a_neighbour_s_measurement_and_says_so() -> None:
    time = H100.time(question("grouped_gemm", "fp8_block", {**SIZES, "m": 1024, "groups": 8}).shape)
    assert (time.provenance, time.table, time.outside) == ("fitted", "gemm/fp8_block", True)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"m": 8}, "groups is missing"),
        ({"m": 8, "groups": 0}, "groups is 0"),
        ({"m": 8, "groups": 2, "ep": 2}, "ep has no effect"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        seconds("grouped_gemm", **sizes)


def test_experts_of_a_plan_are_timed_as_it_says() -> None:
    """Mixtral on H100: the products change, the router and the attention do not, FLOPs neither."""
    path = "scenarios/mixtral_prefill.yaml"
    fused, grouped = (
        simulate(load(path, [f"execution.expert_kernels={kernels}"])) for kernels in ("fused", "grouped-gemm")
    )
    assert fused.metrics["mfu"] != pytest.approx(grouped.metrics["mfu"], rel=1e-3)
    assert fused.timeline is not None
    assert grouped.timeline is not None
    one, other = (
        {part.name: part.alone_s for part in timeline.operations} for timeline in (fused.timeline, grouped.timeline)
    )
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] != other[name]} <= {"moe.experts", "moe.activation", "moe.permute"}
    assert one["moe.experts"] != other["moe.experts"]
