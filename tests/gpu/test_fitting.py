"""Fitting: measured kernels become tables that say their times again, and foretell those between."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from simcluster.gpu.fitting import BRIEF, Measured, bare_s, families, profile_of
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.place import Shape
from simcluster.gpu.question import question
from simcluster.gpu.thinning import MOST_CELLS, thinned
from simcluster.kernels import GroupedGemm
from tests.physics_helpers import ideal_gpu

GPU = ideal_gpu()

Points = dict[tuple[float, ...], list[int]]


def shape(kernel: str, **sizes: float) -> Shape:
    found = question(kernel, "bf16", sizes).shape
    assert not isinstance(found, GroupedGemm)
    return found


def measured(shapes: list[Shape], share: float = 0.5, launch_s: float = 0.0) -> list[Measured]:
    """Kernels that reach `share` of the datasheet's rates after a launch."""
    return [Measured(shape=one, seconds=bare_s(GPU, one) / share + launch_s) for one in shapes]


def fitted(rows: list[Measured]) -> Gpu:
    return replace(GPU, profile=profile_of(GPU, "tests", rows))


GEMMS = [shape("gemm", m=m, n=n, k=k) for m, n, k in product((256, 512, 1024), (1024, 4096), (512, 2048))]


def test_a_constant_efficiency_is_found_everywhere() -> None:
    """Also between the rows and beyond them."""
    gpu = fitted(measured(GEMMS))
    for m, n, k in product((3, 300, 1000, 9000), (777, 4096), (512, 1111)):
        asked = shape("gemm", m=m, n=n, k=k)
        assert gpu.time(asked).seconds == pytest.approx(bare_s(GPU, asked) / 0.5, rel=0.002)


def test_launches_are_the_floor() -> None:
    """From kernels that are no more than launches to kernels of 80 ms."""
    shapes = [shape("gemm", m=m, n=n, k=n) for m, n in product((1, 8, 64, 512, 4096), (64, 256, 1024, 4096, 16384))]
    rows = measured(shapes, launch_s=5e-6)
    gpu = fitted(rows)
    assert gpu.profile is not None
    assert gpu.profile.tables["gemm/bf16"].floor_s == pytest.approx(5e-6, rel=0.05)
    for row in rows:
        assert gpu.time(row.shape).seconds == pytest.approx(row.seconds, rel=0.002)


def test_one_row_is_a_table() -> None:
    gpu = fitted(measured(GEMMS[:1], launch_s=1e-6))
    time = gpu.time(GEMMS[0])
    assert time.seconds == pytest.approx(bare_s(GPU, GEMMS[0]) / 0.5 + 1e-6, rel=0.002)
    assert (time.provenance, time.outside) == ("measured", False)
    assert gpu.time(GEMMS[-1]).outside


def test_of_several_rows_of_one_kernel_the_median_counts() -> None:
    (row,) = measured(GEMMS[:1])
    rows = [replace(row, seconds=row.seconds * factor) for factor in (1, 1.1, 7)]
    assert fitted(rows).time(row.shape).seconds == pytest.approx(row.seconds * 1.1, rel=0.002)


def attention(heads: int, kv_heads: int, batch: int, context: int) -> Shape:
    return shape("attention_decode", heads=heads, kv_heads=kv_heads, batch=batch, context=context, head_dim=128)


@pytest.mark.parametrize("pairs", [[(32, 8)], [(32, 32)], [(32, 8), (64, 8)], [(32, 8), (32, 32), (64, 16), (8, 1)]])
def test_attention_of_any_numbers_of_heads_is_read_back(pairs: list[tuple[int, int]]) -> None:
    shapes = [attention(*pair, batch, 2**i) for pair, batch, i in product(pairs, (1, 16), (9, 12, 15))]
    rows = measured(shapes, launch_s=2e-6)
    gpu = fitted(rows)
    for row in rows:
        assert gpu.time(row.shape).seconds == pytest.approx(row.seconds, rel=0.002)


def test_one_kv_head_per_head_is_apart_from_few() -> None:
    """Alone at half the rates of grouped heads."""
    few, every = ([attention(heads, kv or heads, 8, 4096) for heads in (16, 32, 64)] for kv in (4, 0))
    gpu = fitted([*measured(few, 0.8), *measured(every, 0.4)])
    assert gpu.time(few[1]).seconds == pytest.approx(bare_s(GPU, few[1]) / 0.8, rel=0.002)
    assert gpu.time(every[1]).seconds == pytest.approx(bare_s(GPU, every[1]) / 0.4, rel=0.002)


def test_an_expert_layer_of_odd_degrees_is_read_back() -> None:
    """10 tokens on three GPUs, of which each has 20/3 copies."""
    sizes = {"hidden": 1024, "inner": 384, "experts": 12, "top_k": 2, "ep": 3, "tp": 3}
    rows = measured([shape("moe", tokens=tokens, **sizes) for tokens in (1, 10, 70, 700)], launch_s=1e-6)
    gpu = fitted(rows)
    assert gpu.profile is not None
    assert gpu.profile.tables["moe/bf16/1024x384x2x12"].grid.axes == ((3.0,), (3.0,), (1.0, 10.0, 70.0, 700.0))
    for row in rows:
        time = gpu.time(row.shape)
        assert time.seconds == pytest.approx(row.seconds, rel=0.002)
        assert not time.outside


def test_tables_that_are_filled_together() -> None:
    names = ("gemm/bf16", "gemm/fp8", "moe/bf16/1x1x1x1", "moe-1.2/bf16/1x1x1x1", "moe-1.01/bf16/1x1x1x1",
             "attention_decode/bf16/bf16/64", "attention_decode/bf16/fp8/128")  # fmt: skip
    assert {family.name: family.stacks for family in families(names)} == {
        "attention_decode": (("attention_decode/bf16/bf16/64", "attention_decode/bf16/fp8/128"),),
        "gemm/bf16": (("gemm/bf16",),),
        "gemm/fp8": (("gemm/fp8",),),
        "moe-skewed/bf16": (("moe-1.01/bf16/1x1x1x1", "moe-1.2/bf16/1x1x1x1"),),
        "moe/bf16": (("moe/bf16/1x1x1x1",),),
    }


def test_scattered_points_move_together_until_a_grid_can_bear_them() -> None:
    random = np.random.default_rng(0)
    points: Points = {tuple(map(float, 2 ** random.uniform(5, 14, 3))): [number] for number in range(400)}
    (moved,) = thinned({"gemm/bf16": points}).values()
    cells = np.prod([len({point[axis] for point in moved}) for axis in range(3)])
    assert cells <= min(MOST_CELLS, len(moved) / 0.02)
    assert sorted(value for values in moved.values() for value in values) == list(range(400))


def test_points_on_a_grid_stay() -> None:
    points: Points = {(float(m), float(n), 64.0): [0] for m, n in product(range(1, 50), range(1, 80))}
    assert thinned({"gemm/bf16": points}) == {"gemm/bf16": points}


def test_what_fits_no_grid_becomes_one_point() -> None:
    """3,000 different pairs of heads: heads stay apart, so that no bins help."""
    points: Points = {(8.0 + number, 1.0 + number, 1.0, 2.0): [number] for number in range(3000)}
    ((_, values),) = thinned({"attention_decode/bf16/bf16/64": points})["attention_decode/bf16/bf16/64"].items()
    assert values == list(range(3000))


def test_a_brief_search_keeps_the_large_grid() -> None:
    """1,500 scattered GEMMs at one efficiency: the likeness comes from a small sheet, the table is the large one."""
    random = np.random.default_rng(0)
    sizes = np.round(2 ** random.uniform(7, 13, (1500, 3)))
    rows = measured([shape("gemm", m=m, n=n, k=k) for m, n, k in sizes])
    (table,) = profile_of(GPU, "tests", rows, BRIEF).tables.values()
    assert BRIEF.searched < table.grid.values.size <= BRIEF.cells
    assert np.abs(np.exp(table.grid.values) - 2).max() < 0.01
