"""Profile: its file, the table and point it has for a kernel, and the time that follows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from simcluster.errors import InputError
from simcluster.gpu import profile_file as files
from simcluster.gpu.grid import Grid
from simcluster.gpu.place import Place, own, place
from simcluster.gpu.profile import AXES as AXES_OF
from simcluster.gpu.profile import Profile, Table, kind
from simcluster.gpu.profile_file import STEP
from simcluster.kernels import Attention, ExpertLayer, Gemm, LatentAttention
from tests.physics_helpers import ideal_gpu

AXES: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "gemm/bf16": {"m": (1, 16), "n": (64, 128), "k": (64, 512, 1024)},
    "attention_prefill/bf16/bf16/128": {"heads": (8, 16), "kv_heads": (1, 8), "batch": (1, 4), "sequence": (16, 64)},
    "attention_decode/bf16/bf16/64": {"heads": (8, 16), "kv_heads": (1, 8), "batch": (1, 4), "context": (16, 64)},
    "attention_decode/bf16/fp8/128": {"heads": (8, 16), "kv_heads": (1, 8), "batch": (1, 4), "context": (16, 64)},
    "mla_prefill/bf16/bf16": {"heads": (16, 128), "batch": (1, 4), "sequence": (16, 64)},
    "mla_decode/bf16/bf16": {"heads": (16, 128), "batch": (1, 4), "context": (16, 64)},
    "moe/bf16/4096x2048x8x64": {"tp": (1, 2), "ep": (1, 8), "tokens": (1, 1024)},
    "moe/bf16/1024x512x2x8": {"tp": (1,), "ep": (1, 8), "tokens": (1, 1024)},
    "moe/bf16/4096x2048x8x64/plain": {"tp": (1, 2), "ep": (1, 8), "tokens": (1, 1024)},
    "moe-1.2/bf16/4096x2048x8x64": {"tp": (1, 2), "ep": (1, 8), "tokens": (1, 1024)},
}


@pytest.fixture(scope="module")
def profile() -> Profile:
    random = np.random.default_rng(0)
    tables = {}
    for name, axes in AXES.items():
        values = random.normal(size=[len(axis) for axis in axes.values()]).astype(np.float32)
        grid = Grid(axes=tuple(axes.values()), values=values)
        tables[name] = Table(axes=tuple(axes), floor_s=2e-6, grid=grid, rows=7, error=0.0123)
    return Profile(name="mine", gpu="ideal", source="tests", tables=tables)


GEMM = Gemm(m=16, n=128, k=512, compute="bf16", input_bytes=2, weight_bytes=2, output_bytes=2)

PREFILL = Attention(
    batch=4,
    queries=64,
    keys=64,
    heads=16,
    kv_heads=8,
    head_dim=128,
    causal=True,
    compute="bf16",
    kv_cache="bf16",
    query_bytes=2,
    kv_bytes=2,
    output_bytes=2,
)

LATENT = LatentAttention(
    batch=4,
    queries=64,
    keys=64,
    heads=16,
    nope_dim=128,
    rope_dim=64,
    value_dim=128,
    kv_rank=512,
    absorbed=False,
    compute="bf16",
    kv_cache="bf16",
    query_bytes=2,
    kv_bytes=2,
    output_bytes=2,
)

EXPERTS = ExpertLayer(
    rows=1024,
    hidden=4096,
    inner=2048,
    width=1024,
    groups=8,
    experts=64,
    top_k=8,
    gated=True,
    compute="bf16",
    input_bytes=2,
    compute_bytes=2,
    weight_bytes=2,
    output_bytes=2,
)
"""tp 2, ep 8: 1024 copies here are 8192 in the group and so 1024 tokens."""


def test_a_profile_is_read_as_it_was_written_but_for_half_a_step(profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    files.write(profile, path)
    found = files.load(str(path))
    assert (found.name, found.gpu, found.source) == (str(path), "ideal", "tests")
    assert list(found.tables) == list(profile.tables)
    for name, table in profile.tables.items():
        read = found.tables[name]
        assert (read.axes, read.floor_s, read.rows, read.error) == (table.axes, 2e-6, 7, 0.0123)
        assert read.grid.axes == table.grid.axes
        assert np.abs(read.grid.values - table.grid.values).max() <= STEP / 2 * (1 + 1e-6)


def test_writing_it_again_changes_no_byte(profile: Profile, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        files.write(profile, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def broken(path: Path, how: str, profile: Profile) -> None:
    files.write(profile, path)
    with np.load(path) as arrays:
        header, steps = json.loads(arrays["header"].tobytes()), arrays["steps"]
    if how == "text":
        path.write_text("no archive")
        return
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
        return
    if how == "short":
        steps = steps[:-1]
    if how == "header":
        del header["tables"]["gemm/bf16"]["floor_s"]
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    arrays_of = {"header": text} if how == "steps" else {"header": text, "steps": steps}
    np.savez_compressed(path, allow_pickle=False, **arrays_of)


@pytest.mark.parametrize("how", ["text", "cut", "short", "header", "steps", "bare array"])
def test_a_file_that_is_no_profile_is_refused_by_name(how: str, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / f"{how}.npz"
    if how == "bare array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        broken(path, how, profile)
    with pytest.raises(InputError, match=r"is no kernel profile") as refused:
        files.load(str(path))
    assert refused.value.mistakes[0].origin == str(path)


def rewritten(path: Path, profile: Profile, key: str, value: object, extra: int = 0) -> None:
    """The file with one entry of the GEMM table changed, and so many numbers too many."""
    files.write(profile, path)
    with np.load(path) as arrays:
        header, steps = json.loads(arrays["header"].tobytes()), arrays["steps"]
    table = header["tables"]["gemm/bf16"]
    if key == "m":
        table["axes"]["m"] = value
    elif key == "name":
        header["tables"][value] = header["tables"].pop("gemm/bf16")
    elif key in header:
        header[key] = value
    elif key:
        table[key] = value
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez_compressed(path, allow_pickle=False, header=text, steps=np.append(steps, np.zeros(extra, np.int16)))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("m", [16, 1], "rise"),
        ("m", [4, 4], "rise"),
        ("m", [0, 4], "above 0"),
        ("m", [-1, 4], "above 0"),
        ("m", [1, float("inf")], "above 0"),
        ("m", [float("nan"), 4], "above 0"),
        ("m", [], "above 0"),
        ("axes", {"m": [1], "n": [1]}, "axes"),
        ("floor_s", float("nan"), "floor_s"),
        ("floor_s", -1e-6, "floor_s"),
        ("error", float("inf"), "error"),
        ("name", "gemm", "no table"),
        ("name", "moe/bf16/1x2x3", "no table"),
        ("name", "moe-0.0/bf16/1x2x3x4", "no table"),
        ("name", "attention_decode/bf16/bf16/0", "no table"),
        ("m", [True, 4], "above 0"),
        ("m", ["1", "16"], "above 0"),
        ("m", [[1], [16]], "above 0"),
        ("m", {"1": 16}, "above 0"),
        ("m", [1, 10**400], "too large"),
        ("m", list(range(1, 10_000)), "but there are"),
        ("axes", [1, 2], "mapping"),
        ("axes", None, "mapping"),
        ("floor_s", "1e-6", "floor_s"),
        ("floor_s", True, "floor_s"),
        ("floor_s", 11, "floor_s"),
        ("floor_s", 10**400, "floor_s"),
        ("floor_s", None, "floor_s"),
        ("error", "0.1", "error"),
        ("rows", 0, "rows"),
        ("rows", 1.5, "rows"),
        ("rows", True, "rows"),
        ("rows", "7", "rows"),
        ("rows", None, "rows"),
        ("gpu", 5, "gpu"),
        ("gpu", "", "gpu"),
        ("gpu", "two\nlines", "gpu"),
        ("source", None, "source"),
        ("source", "x" * 501, "source"),
        ("source", "\x1b[31m", "source"),
        ("tables", [1], "tables"),
        ("tables", {"gemm/bf16": 5}, "mapping"),
    ],
)
def test_a_profile_of_impossible_numbers_is_refused(
    key: str, value: object, says: str, profile: Profile, tmp_path: Path
) -> None:
    path = tmp_path / "mine.npz"
    rewritten(path, profile, key, value)
    with pytest.raises(InputError, match=rf"is no kernel profile: .*{says}"):
        files.load(str(path))


def test_numbers_that_no_table_has_are_refused(profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    rewritten(path, profile, "", None, extra=3)
    with pytest.raises(InputError, match="but there are"):
        files.load(str(path))


ZEROS = np.zeros(8, np.int16)
DEEP = np.frombuffer(b"[" * 200_000, dtype=np.uint8)

PARTS: dict[str, tuple[Mapping[str, object], str]] = {
    "no header": ({"steps": ZEROS}, "0 parts header"),
    "a list": ({"header": np.frombuffer(b"[1]", dtype=np.uint8), "steps": ZEROS}, "no mapping"),
    "a deep list": ({"header": DEEP, "steps": ZEROS}, "recursion"),
    "objects": ({"header": np.array([{}], dtype=object), "steps": ZEROS}, "no row of uint8"),
    "a large header": ({"header": np.zeros(17 << 20, np.uint8), "steps": ZEROS}, "header is larger than 16 MiB"),
    "no JSON": ({"header": np.frombuffer(b"\xff\xfe{", dtype=np.uint8), "steps": ZEROS}, ""),
    "floats": ({"steps": np.zeros(8)}, "no row of int16"),
    "wide numbers": ({"steps": np.zeros(8, np.int64)}, "no row of int16"),
    "object steps": ({"steps": np.array([{}], dtype=object)}, "no row of int16"),
    "a square": ({"steps": np.zeros((4, 2), np.int16)}, "no row of int16"),
    "many steps": ({"steps": np.zeros(33 << 20, np.int16)}, "steps is larger than 64 MiB"),
    "a steep step": ({"steps": np.array([12 * 512 + 1], np.int16)}, "times off"),
    "a steep fall": ({"steps": np.array([-(2**15)], np.int16)}, "times off"),
    "no steps": ({"steps": ZEROS[:0]}, "but there are 0"),
}


@pytest.mark.parametrize("what", PARTS)
def test_a_file_of_other_parts_is_refused(what: str, profile: Profile, tmp_path: Path) -> None:
    """Without unpacking what is too large, and without numpy's advice to allow pickles."""
    path = tmp_path / "mine.npz"
    files.write(profile, path)
    parts, says = PARTS[what]
    with np.load(path) as arrays:
        header = arrays["header"]
    named: dict[str, Any] = dict(parts) if what == "no header" else {"header": header, **parts}
    np.savez_compressed(path, **named)
    with pytest.raises(InputError, match=rf"is no kernel profile: .*{says}") as refused:
        files.load(str(path))
    assert "pickle" not in str(refused.value)


@pytest.mark.parametrize("size", [1, 100, 2**31])
def test_an_archive_that_lies_about_its_sizes_is_refused(size: int, profile: Profile, tmp_path: Path) -> None:
    """Every size in the archive's own list is another."""
    path = tmp_path / "mine.npz"
    files.write(profile, path)
    with ZipFile(path) as archive:
        sizes = [part.file_size.to_bytes(4, "little") for part in archive.infolist()]
    content = path.read_bytes()
    listed = content.index(b"PK\x01\x02")
    last = content[listed:]
    for one in sizes:
        last = last.replace(one, size.to_bytes(4, "little"))
    path.write_bytes(content[:listed] + last)
    with pytest.raises(InputError, match="is no kernel profile"):
        files.load(str(path))


@pytest.mark.parametrize(
    "change", [{"floor_s": 11.0}, {"grid": Grid(axes=((1.0,),) * 3, values=np.full((1, 1, 1), 13.0, np.float32))}]
)
def test_times_that_no_file_can_hold_are_not_written(change: dict[str, Any], profile: Profile, tmp_path: Path) -> None:
    tables = {"gemm/bf16": replace(profile.tables["gemm/bf16"], **change)}
    with pytest.raises(InputError, match="cannot hold gemm/bf16"):
        files.write(replace(profile, tables=tables), tmp_path / "mine.npz")
    assert not list(tmp_path.iterdir())


def test_a_table_of_few_rows_has_no_error(profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    files.write(replace(profile, tables={"gemm/bf16": replace(profile.tables["gemm/bf16"], error=None)}), path)
    assert files.load(str(path)).tables["gemm/bf16"].error is None


def test_a_file_that_cannot_be_written_leaves_nothing(profile: Profile, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        files.write(profile, tmp_path / "none" / "mine.npz")
    (tmp_path / "taken.npz").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        files.write(profile, tmp_path / "taken.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.npz"]


def test_every_table_is_named_by_its_kernels(profile: Profile) -> None:
    for noun in (GEMM, PREFILL, LATENT, EXPERTS, replace(EXPERTS, skew="1.2", gated=False)):
        table, point = own(noun)
        assert len(point) == len(AXES_OF[kind(table)])


def test_an_expert_layer_has_as_many_parts_as_it_says() -> None:
    assert len(EXPERTS.parts) == EXPERTS.PARTS


def test_a_missing_file_and_an_unknown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        files.load(str(tmp_path / "none.npz"))
    with pytest.raises(InputError, match=r"no profile is called 'h100-sxn'.*h100-sxm"):
        files.load("h100-sxn")


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        (GEMM, Place(table="gemm/bf16", point=(16, 128, 512), exact=True)),
        (replace(GEMM, weight_bytes=1), Place(table="gemm/bf16", point=(16, 128, 512), exact=False)),
        (replace(GEMM, compute="fp8"), None),
        (PREFILL, Place(table="attention_prefill/bf16/bf16/128", point=(16, 8, 4, 64), exact=True)),
        (replace(PREFILL, window=8), Place(table="attention_prefill/bf16/bf16/128", point=(16, 8, 4, 64), exact=False)),
        (replace(PREFILL, keys=96), Place(table="attention_prefill/bf16/bf16/128", point=(16, 8, 4, 64), exact=False)),
        (
            replace(PREFILL, causal=False, queries=1, head_dim=64),
            Place(table="attention_decode/bf16/bf16/64", point=(16, 8, 4, 64), exact=True),
        ),
        (
            replace(PREFILL, causal=False, queries=1, head_dim=96, kv_cache="fp8"),
            Place(table="attention_decode/bf16/fp8/128", point=(16, 8, 4, 64), exact=False),
        ),
        (LATENT, Place(table="mla_prefill/bf16/bf16", point=(16, 4, 64), exact=True)),
        (
            replace(LATENT, absorbed=True, queries=1),
            Place(table="mla_decode/bf16/bf16", point=(16, 4, 64), exact=True),
        ),
        (
            replace(LATENT, absorbed=True, queries=1, kv_cache="fp8"),
            Place(table="mla_decode/bf16/bf16", point=(16, 4, 64), exact=False),
        ),
        (EXPERTS, Place(table="moe/bf16/4096x2048x8x64", point=(2, 8, 1024), exact=True)),
        (replace(EXPERTS, gated=False), Place(table="moe/bf16/4096x2048x8x64/plain", point=(2, 8, 1024), exact=True)),
        (replace(EXPERTS, compute="fp8"), None),
        (EXPERTS.up, None),
    ],
)
def test_every_kernel_has_its_table_and_its_point_there(noun: Gemm, expected: Place | None, profile: Profile) -> None:
    assert place(noun, profile) == expected


def test_another_model_s_experts_stand_at_equal_work_in_the_nearest_model_s_table(profile: Profile) -> None:
    """Of 128 experts 16 are here, each with the width and the copies that table's have: there too 16 of 64."""
    alike = replace(EXPERTS, experts=128, groups=16, rows=2048)
    found = place(alike, profile)
    assert found == Place(table="moe/bf16/4096x2048x8x64", point=(2, 4, 1024), exact=False)


def test_skewed_routing_has_tables_of_its_own(profile: Profile) -> None:
    found = place(replace(EXPERTS, skew="1.2"), profile)
    assert found is not None
    assert found.table == "moe-1.2/bf16/4096x2048x8x64"
    assert place(replace(EXPERTS, skew="1.01"), profile) is None


def test_a_measured_time_is_roofline_and_floor_times_what_the_table_says(profile: Profile) -> None:
    gpu = replace(ideal_gpu(), profile=profile)
    r = float(profile.tables["gemm/bf16"].grid.values[1, 1, 1])
    time = gpu.kernel_time(GEMM)
    assert time.seconds == pytest.approx((max(gpu.bare(GEMM)) + 2e-6) * exp(r), rel=1e-6)
    assert (time.provenance, time.table, time.outside) == ("measured", "gemm/bf16", False)
    beyond = gpu.kernel_time(replace(GEMM, m=1e5))
    assert (beyond.provenance, beyond.outside) == ("fitted", True)
    elsewhere = replace(gpu, name="other").kernel_time(GEMM)
    assert (elsewhere.provenance, elsewhere.seconds) == ("fitted", time.seconds)


def test_an_expert_layer_takes_its_parts_rooflines_and_one_floor(profile: Profile) -> None:
    gpu = replace(ideal_gpu(), profile=profile)
    r = float(profile.tables["moe/bf16/4096x2048x8x64"].grid.values[1, 1, 1])
    bare = sum(max(gpu.bare(part)) for part in EXPERTS.parts)
    assert gpu.expert_layer_time(EXPERTS).seconds == pytest.approx((bare + 2e-6) * exp(r), rel=1e-6)
