"""The shipped kernel profiles: small, readable, and as exact as was asked on rows kept back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from simcluster.gpu import profile_file as files
from simcluster.gpu.fitting import Measured, bare_s, profile_of
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.place import own
from simcluster.scenario import build
from simcluster.scenario.catalogue import look_up
from simcluster.scenario.hardware import GpuForm
from simcluster.validation.kernel_rows import rows
from tools.kernel_errors import errors, halves

MEASURED = Path(__file__).parents[3] / "shared" / "data" / "measured"

NAMES = ("a100-sxm", "b200-sxm", "h100-sxm", "h200-sxm")

LARGEST = 4e6
"""Bytes of all files together."""

LIMITS = {
    "gemm/bf16": 0.05,
    "gemm/fp8": 0.03,
    "gemm/fp8_block": 0.10,
    "gemm/nvfp4": 0.10,
    "attention_prefill": 0.14,
    "attention_decode": 0.14,
    "mla_prefill": 0.12,
    "mla_decode": 0.12,
    "moe": 0.06,
    "moe-1.01": 0.10,
    "moe-1.2": 0.10,
}
"""Mean error of a kind of tables that may not be passed, as a fraction."""


def kind(table: str) -> str:
    head, compute, *_ = table.split("/")
    return f"gemm/{compute}" if head == "gemm" else head


def bare_gpu(name: str) -> Gpu:
    return build.gpu(GpuForm.model_validate(look_up("gpu", name) | {"profile": None}))


def test_there_is_one_profile_per_measured_gpu() -> None:
    assert files.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_says_whose_numbers_it_holds(name: str) -> None:
    profile = files.load(name)
    assert profile.gpu == name
    assert "aiconfigurator-core 0.12.0 (Apache-2.0, Copyright NVIDIA" in profile.source
    for table in profile.tables.values():
        assert table.rows > 0
        assert 1e-7 < table.floor_s < 1e-4
        assert np.isfinite(table.grid.values).all()


@pytest.mark.parametrize("name", NAMES)
def test_recorded_errors_stay_below_their_limits(name: str) -> None:
    """Of a kind of tables the mean counts, weighted with rows: a small table of its own has few rows kept back."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for table, found in files.load(name).tables.items():
        assert found.error is not None
        sums[kind(table)][0] += found.error * found.rows
        sums[kind(table)][1] += found.rows
        assert 0 < found.error < 3 * LIMITS[kind(table)]
    for of_kind, (error, count) in sums.items():
        assert error / count < LIMITS[of_kind], of_kind


def test_the_files_together_are_small() -> None:
    folder = resources.files("simcluster.gpu").joinpath("profiles")
    sizes = [len(folder.joinpath(f"{name}{files.SUFFIX}").read_bytes()) for name in NAMES]
    assert sum(sizes) < LARGEST


def fits(row: Measured) -> bool:
    return kind(own(row.shape)[0]) in ("gemm/bf16", "mla_prefill", "mla_decode")


@pytest.mark.shared
def test_a_refit_foretells_rows_it_has_not_seen() -> None:
    if not MEASURED.exists():
        pytest.skip(f"no measured tables in {MEASURED}")
    gpu = bare_gpu("a100-sxm")
    fit, back = halves([row for row in rows(MEASURED, gpu.name) if fits(row)], 3)
    found: Mapping[str, list[float]] = errors(gpu, profile_of(gpu, "", fit), back)
    means: dict[str, list[float]] = defaultdict(list)
    for table, of_table in found.items():
        means[kind(table)] += of_table
    assert sorted(means) == ["gemm/bf16", "mla_decode", "mla_prefill"]
    for of_kind, of_rows in means.items():
        assert np.mean(of_rows) < LIMITS[of_kind], of_kind


@pytest.mark.shared
@pytest.mark.parametrize("name", ["a100-sxm", "h200-sxm"])
def test_what_was_measured_is_read_back(name: str) -> None:
    """At measured points nothing is lost but spikes, steps of the file and what differs between rows of one kernel.

    Left out are rows that would need more than the datasheet's bandwidth: 6 % of the A100's decode attention.
    """
    if not MEASURED.exists():
        pytest.skip(f"no measured tables in {MEASURED}")
    gpu = bare_gpu(name)
    sample = [row for row in list(rows(MEASURED, name))[::50] if row.seconds >= bare_s(gpu, row.shape)]
    found = errors(gpu, files.load(name), sample)
    assert np.mean(np.concatenate(list(found.values()))) < 0.005
