"""Calibration: known efficiencies come back from synthetic times, and what was fitted is used."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import product
from math import log2
from pathlib import Path

import numpy as np
import pytest

from simcluster.errors import InputError
from simcluster.gpu import profile_file as files
from simcluster.gpu.fitting import bare_s
from simcluster.gpu.question import question
from simcluster.kernels import ExpertLayer
from simcluster.scenario.cluster_section import load_gpu
from simcluster.validation.calibrate import calibrate

GPU = replace(load_gpu("h100-sxm"), profile=None)

Row = dict[str, object]

SIZES = [{"m": m, "n": n, "k": k} for m, n, k in product((2**i for i in range(4, 14)), (1024, 4096, 8192), (512, 4096))]


def timed(kernel: str, sizes: Mapping[str, float], share: float, launch_s: float = 0.0, dtype: str = "bf16") -> Row:
    """A row of a kernel that reaches a share of the datasheet's rates after a launch."""
    seconds = bare_s(GPU, question(kernel, dtype, sizes).shape) / share + launch_s
    return {"kernel": kernel, "dtype": dtype, **sizes, "latency_us": seconds * 1e6}


def write(path: Path, rows: Iterable[Row]) -> Path:
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def cell(path: Path, *rows: Row, table: str = "gemm/bf16") -> Mapping[str, object]:
    """The table's row of a calibration."""
    found = calibrate(write(path, rows), "h100-sxm", None)
    return next(row for row in found.tables.rows if row["table"] == table)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.csv"


def test_a_constant_efficiency_comes_back(path: Path) -> None:
    """To 0.2 %, a step of the file, at the rows and between them; and as the roofline's numbers."""
    found = calibrate(write(path, (timed("gemm", sizes, 0.6) for sizes in SIZES)), "h100-sxm", None)
    gpu = replace(GPU, profile=found.profile)
    for m, n, k in product((16, 300, 5000), (1024, 3000), (512, 1000)):
        asked = question("gemm", "bf16", {"m": m, "n": n, "k": k}).shape
        assert gpu.time(asked).seconds == pytest.approx(bare_s(GPU, asked) / 0.6, rel=0.002)
    values = {row["name"]: row["value"] for row in found.roofline.rows}
    assert values["efficiency.compute.bf16"] == pytest.approx(0.6, rel=0.002)
    assert values["efficiency.memory"] == pytest.approx(0.6, rel=0.002)
    assert found.tables.rows[0]["worst"] == pytest.approx(0, abs=0.002)


def surface(sizes: Mapping[str, float]) -> float:
    """An efficiency that rises with every size: 0.28 to 0.75."""
    return 0.25 + 0.5 * float(np.prod([1 - 1 / (1 + log2(value) / 2) ** 2 for value in sizes.values()]))


def test_a_smooth_efficiency_is_foretold_on_rows_kept_back(path: Path) -> None:
    row = cell(path, *(timed("gemm", sizes, surface(sizes), 3e-6) for sizes in SIZES))
    assert (row["rows"], row["kept_back"]) == (60, 9)
    assert isinstance(row["mean"], float)
    assert isinstance(row["worst"], float)
    assert 0 < row["mean"] < 0.03
    assert row["worst"] < 0.08


def test_scattered_rows_move_together_and_that_is_said(path: Path) -> None:
    """400 GEMMs of which no two share a size: a grid of all would have 64 million cells."""
    random = np.random.default_rng(0)
    drawn = ({name: int(2**size) for name, size in zip("mnk", random.uniform(6, 14, 3), strict=True)}
             for _ in range(400))  # fmt: skip
    rows = [timed("gemm", sizes, surface(sizes), 3e-6) for sizes in drawn]
    found = calibrate(write(path, rows), "h100-sxm", None)
    (row,) = found.tables.rows
    assert isinstance(row["mean"], float)
    assert row["mean"] < 0.04
    assert int(str(row["cells"])) <= 20_000
    assert len(found.notes) == 1
    assert "moved together" in found.notes[0]


def test_launches_and_rates_are_those_of_the_roofline(path: Path) -> None:
    sizes = [{"m": 1, "n": 64, "k": 64}, *SIZES]
    found = calibrate(write(path, (timed("gemm", one, 0.6, 4e-6) for one in sizes)), "h100-sxm", None)
    values = {row["name"]: row["value"] for row in found.roofline.rows}
    assert values["launch_overhead"] == "4004 ns"
    assert values["efficiency.compute.bf16"] == pytest.approx(0.6, rel=0.01)
    assert found.gpu["efficiency"]["compute"]["fp8"] == 0.76  # type: ignore[index,call-overload]
    assert "profile" not in found.gpu


def test_what_no_row_tells_stays_as_the_catalogue_has_it(path: Path) -> None:
    found = calibrate(write(path, [timed("gemm", {"m": 8192, "n": 8192, "k": 8192}, 0.5)]), "h100-sxm", None)
    rows = {row["name"]: row for row in found.roofline.rows}
    assert (rows["launch_overhead"]["value"], rows["efficiency.memory"]["value"]) == ("2.5 us", 0.83)
    assert all("catalogue" in str(rows[name]["found"]) for name in ("launch_overhead", "efficiency.memory"))
    assert rows["efficiency.compute.bf16"]["value"] == 0.5


def test_a_rate_above_the_datasheets_counts_as_all_of_it(path: Path) -> None:
    found = calibrate(write(path, (timed("gemm", sizes, 1.2) for sizes in SIZES)), "h100-sxm", None)
    rows = {row["name"]: row for row in found.roofline.rows}
    assert rows["efficiency.memory"]["value"] == 1
    assert "limited to 1" in str(rows["efficiency.memory"]["found"])


KERNELS: dict[str, tuple[str, Row]] = {
    "gemm": ("gemm/bf16", {"m": 512, "n": 512, "k": 512}),
    "attention_prefill": (
        "attention_prefill/bf16/bf16/128",
        {"batch": 2, "sequence": 999, "heads": 32, "kv_heads": 8, "head_dim": 128},
    ),
    "attention_decode": (
        "attention_decode/bf16/fp8/64",
        {"batch": 2, "context": 999, "heads": 32, "kv_heads": 32, "head_dim": 64, "kv_dtype": "fp8"},
    ),
    "mla_prefill": ("mla_prefill/bf16/bf16", {"batch": 2, "sequence": 999, "heads": 16}),
    "mla_decode": ("mla_decode/bf16/bf16", {"batch": 2, "context": 999, "heads": 16}),
    "moe": (
        "moe-0.75/bf16/1024x512x2x8/plain",
        {"tokens": 99, "hidden": 1024, "inner": 512, "experts": 8, "top_k": 2, "ep": 4, "gated": "no", "skew": 0.75},
    ),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_is_read_and_written_and_read_back(kernel: str, path: Path, tmp_path: Path) -> None:
    table, sizes = KERNELS[kernel]
    row = {"kernel": kernel, "dtype": "bf16", **sizes, "latency_ms": 0.2}
    found = calibrate(write(path, [row]), "h100-sxm", None)
    assert list(found.profile.tables) == [table]
    assert found.tables.rows[0]["mean"] is None
    files.write(found.profile, tmp_path / "mine.npz")
    gpu = load_gpu("h100-sxm", str(tmp_path / "mine.npz"))
    asked = question(kernel, "bf16", {**sizes, **({"gated": False} if "gated" in sizes else {})})  # type: ignore[dict-item]
    shape = asked.shape
    if isinstance(shape, ExpertLayer):
        shape = replace(shape, skew="0.75")
    time = gpu.time(shape)
    assert time.seconds == pytest.approx(2e-4, rel=0.002)
    assert (time.provenance, time.table) == ("measured", table)


def test_windows_and_prefixes_are_left_out_of_the_tables(path: Path) -> None:
    plain = {"batch": 1, "sequence": 4096, "heads": 8, "kv_heads": 8, "head_dim": 128}
    rows = [timed("attention_prefill", {**plain, **more}, 0.5) for more in ({}, {"context": 64}, {"window": 128})]
    found = calibrate(write(path, rows), "h100-sxm", None)
    assert found.tables.rows[0]["rows"] == 1
    assert "2 rows" in found.notes[0]


def test_times_of_the_wrong_unit_are_doubted(path: Path) -> None:
    """Microseconds called milliseconds are a thousand times too long, the other way round they are impossible."""
    row = timed("gemm", {"m": 8192, "n": 8192, "k": 8192}, 0.5)
    (note,) = calibrate(
        write(path, [{**row, "latency_us": float(str(row["latency_us"])) * 1e3}]), "h100-sxm", None
    ).notes
    assert "unit" in note
    with pytest.raises(InputError, match="allow no less than"):
        calibrate(write(path, [{**row, "latency_us": float(str(row["latency_us"])) / 1e3}]), "h100-sxm", None)


@pytest.mark.parametrize(
    ("kernel", "sizes"),
    [
        ("gemm", {"m": 1024, "n": 1024, "k": 1024}),
        ("gemm", {"m": 1, "n": 8192, "k": 8192}),
        ("moe", {"tokens": 64, "hidden": 1024, "inner": 2048, "experts": 16, "top_k": 2}),
    ],
)
def test_a_large_kernel_is_not_twice_as_fast_as_the_datasheet(kernel: str, sizes: dict[str, float], path: Path) -> None:
    """2 GFLOP, 134 MB, and layers of both."""
    calibrate(write(path, [timed(kernel, sizes, 1.9)]), "h100-sxm", None)
    with pytest.raises(InputError, match=r"mine\.csv:2: .* is the unit right\?"):
        calibrate(write(path, [timed(kernel, sizes, 2.1)]), "h100-sxm", None)


def test_a_small_kernel_may_be_faster_than_memory(path: Path) -> None:
    """It reads from a cache."""
    calibrate(write(path, [timed("gemm", {"m": 1, "n": 2048, "k": 2048}, 2.1)]), "h100-sxm", None)


def test_times_of_one_kernel_that_differ_are_told(path: Path) -> None:
    sizes = {"m": 8192, "n": 8192, "k": 8192}
    rows = [timed("gemm", sizes, share) for share in (0.7, 0.2, 0.6)]
    assert "lines 2 and 3" in calibrate(write(path, rows), "h100-sxm", None).notes[0]
    assert not calibrate(write(path, [rows[0], rows[2]]), "h100-sxm", None).notes


def test_rates_are_those_of_kernels_long_at_the_datasheets_rates(path: Path) -> None:
    """A kernel of 17 us of work that the host held up for 80 us tells no rate of computing."""
    sizes = [{"m": 1, "n": 64, "k": 64}, {"m": 2048, "n": 2048, "k": 2048}]
    rows = [timed("gemm", sizes[0], 0.6, 4e-6), timed("gemm", sizes[1], 0.2)]
    found = calibrate(write(path, rows), "h100-sxm", None)
    assert "efficiency.compute.bf16" not in {row["name"] for row in found.roofline.rows}


def test_progress_is_told_to_the_end(path: Path) -> None:
    told: list[tuple[int, int]] = []
    rows = [timed("gemm", one, 0.6, dtype=dtype) for dtype in ("bf16", "fp8") for one in SIZES]
    calibrate(write(path, rows), "h100-sxm", None, lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


GOOD = "gemm,bf16,512,512,512,,,10"

REFUSED: dict[str, tuple[Callable[[str], str], str]] = {
    "no unit": (lambda text: text.replace("latency_us", "latency"), "call it latency_s, latency_ms or latency_us"),
    "no time": (lambda text: text.replace(",latency_us", "").replace(",10", ""), "no column of times"),
    "two times": (lambda text: text.replace("gated,", "latency_s,"), "latency_s and latency_us"),
    "an unknown column": (lambda text: text.replace("heads", "head"), "no column is called 'head'; did you mean heads"),
    "a column twice": (lambda text: text.replace("heads", "m"), "2 columns 'm'"),
    "no kernel column": (lambda text: text.replace("kernel", "heads", 1), "no column kernel"),
    "no rows": (lambda text: text.splitlines()[0], "no rows"),
    "nothing": (lambda text: "", "is empty"),
    "an unknown kernel": (lambda text: text.replace("gemm", "gemn"), ":2: no kernel is called 'gemn'"),
    "an unknown type": (lambda text: text.replace("bf16", "bf17"), ":2: dtype 'bf17'"),
    "a type without a peak": (lambda text: text.replace("bf16", "nvfp4"), ":2: h100-sxm has no peak for nvfp4"),
    "a word": (lambda text: text.replace("512,,", "many,,"), ":2: k is 'many'"),
    "a part": (lambda text: text.replace("512,,", "1.5,,"), ":2: k is 1.5"),
    "a size of another kernel": (lambda text: text.replace("512,,", "512,8,"), ":2: heads has no effect"),
    "a missing size": (lambda text: text.replace("512,,", ",,"), ":2: k is missing"),
    "a short line": (lambda text: text.replace(",,10", ",10"), ":2: has 7 cells; the header has 8"),
    "neither yes nor no": (lambda text: text.replace(",,,10", ",,maybe,10"), ":2: gated is 'maybe'"),
    "no time passed": (lambda text: text.replace(",10", ",0"), ":2: latency_us is '0'"),
    "NaN": (lambda text: text.replace(",10", ",nan"), ":2: latency_us is 'nan'"),
    "a grouped number": (lambda text: text.replace(",10", ",1_000"), ":2: latency_us is '1_000'"),
    "other digits": (lambda text: text.replace(",10", ",٣"), ":2: latency_us is '٣'"),
    "a grouped size": (lambda text: text.replace("512,,", "5_12,,"), ":2: k is '5_12'"),
    "semicolons": (
        lambda text: text.replace(",", ";"),
        ":1: its columns are separated by semicolons; commas",
    ),
    "an age": (lambda text: text.replace(",10", ",1e99"), ":2: latency_us is '1e99'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_broken_file_is_refused_with_its_place(what: str, path: Path) -> None:
    change, says = REFUSED[what]
    path.write_text(change(f"kernel,dtype,m,n,k,heads,gated,latency_us\n{GOOD}\n"), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        calibrate(path, "h100-sxm", None)
    assert says in str(refused.value)
    assert all(mistake.origin.startswith(str(path)) for mistake in refused.value.mistakes)


def test_twenty_mistakes_are_told_and_the_others_counted(path: Path) -> None:
    path.write_text("kernel,dtype,m,n,k,latency_us\n" + "gemm,bf16,0,1,1,5\n" * 33, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        calibrate(path, "h100-sxm", None)
    assert len(refused.value.mistakes) == 21
    assert "13 more mistakes" in str(refused.value.mistakes[-1])
