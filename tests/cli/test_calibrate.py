"""`simcluster calibrate`: its text, its JSON and its file, and that kernels and scenarios use the file."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.edge_helpers import Outcome, no_longer_than, scenario_file, simcluster

HEADER = "kernel,dtype,m,n,k,latency_us\n"


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """64 GEMMs at half the peak of an H100, and one that took 123 us."""
    sizes = product((512, 1024, 2048, 4096), repeat=3)
    rows = [f"gemm,bf16,{m},{n},{k},{2 * m * n * k / 494.7e12 * 1e6 + 3!r}\n" for m, n, k in sizes]
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + "".join(rows) + "gemm,fp8,1000,1000,1000,123\n", encoding="utf-8")
    return path


def _calibrate(*arguments: object) -> Outcome:
    with no_longer_than(60):
        return simcluster("calibrate", *arguments)


def test_the_text_tells_errors_roofline_and_use(measured: Path, tmp_path: Path) -> None:
    outcome = _calibrate(measured, "--gpu", "h100-sxm", "-o", tmp_path / "new" / "mine.npz")
    assert (outcome.code, outcome.err) == (0, "")
    for words in ("gemm/bf16", "64", "too few", "the highest rate of", "gpu:\n  name: h100-sxm", "launch_overhead",
                  f"--set cluster.gpu.profile={tmp_path / 'new' / 'mine.npz'}"):  # fmt: skip
        assert words in outcome.out, words
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine.npz"]


def test_without_a_file_nothing_is_written(measured: Path, tmp_path: Path) -> None:
    outcome = _calibrate(measured, "--gpu", "h100-sxm")
    assert (outcome.code, outcome.err) == (0, "")
    assert "No profile was written" in outcome.out
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


def test_the_object_holds_what_the_text_says(measured: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    found = _calibrate(measured, "--gpu", "h100-sxm", "-o", path, "--json").json()
    assert list(found) == ["profile", "tables", "roofline", "gpu", "notes"]
    assert found["profile"] == found["gpu"]["profile"] == str(path)
    first, second = found["tables"]
    assert (first["table"], first["rows"], first["kept_back"]) == ("gemm/bf16", 64, 10)
    assert 0 <= first["median"] <= first["worst"] < 0.2
    assert (second["table"], second["kept_back"], second["mean"]) == ("gemm/fp8", 0, None)
    assert found["gpu"]["efficiency"]["compute"]["bf16"] == pytest.approx(0.5, rel=0.05)


def test_a_kernel_has_its_time_from_the_profile(measured: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    _calibrate(measured, "--gpu", "h100-sxm", "-o", path)
    asked = ("kernel", "gemm", "--gpu", "h100-sxm", "--profile", path, "--m", 1000, "--n", 1000, "--k", 1000)
    row = simcluster(*asked, "--dtype", "fp8", "--json").json()
    assert row["time_s"] == pytest.approx(123e-6, rel=0.002)
    assert (row["provenance"], row["table"], row["error"]) == ("measured", "gemm/fp8", None)
    assert "1 row, too few to keep any back" in simcluster(*asked, "--dtype", "fp8").out


def test_a_scenario_uses_the_profile_and_the_pasted_mapping(measured: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    gpu = _calibrate(measured, "--gpu", "h100-sxm", "-o", path, "--json").json()["gpu"]
    scenario = scenario_file(tmp_path)
    times = [
        simcluster("run", scenario, "--json", *(part for one in changes for part in ("--set", one))).json()["latency_s"]
        for changes in (
            ["cluster.gpu=h100-sxm"],
            ["cluster.gpu=h100-sxm", f"cluster.gpu.profile={path}"],
            [f"cluster.gpu={gpu}"],
        )
    ]
    assert len(set(times)) == 3


@pytest.mark.parametrize("name", ["mine.txt", "mine", "folder.npz", "mine.csv/mine.npz"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(name: str, measured: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    outcome = _calibrate(measured, "--gpu", "h100-sxm", "-o", tmp_path / name)
    assert (outcome.code, outcome.out) == (2, "")
    assert str(tmp_path / name) in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.npz", "mine.csv"]


def test_a_profile_of_ours_is_written_over_and_nothing_else(measured: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "mine.npz", tmp_path / "other.npz"
    for _ in range(2):
        assert _calibrate(measured, "--gpu", "h100-sxm", "-o", path).code == 0
    other.write_bytes(b"years of work")
    outcome = _calibrate(measured, "--gpu", "h100-sxm", "-o", other)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{other}: holds something else; name a new file" in outcome.err
    assert other.read_bytes() == b"years of work"


def test_the_measurements_are_not_written_over(measured: Path, tmp_path: Path) -> None:
    """Neither by their name nor through links."""
    text = measured.read_text(encoding="utf-8")
    named = measured.rename(tmp_path / "named.npz")
    soft, hard = tmp_path / "soft.npz", tmp_path / "hard.npz"
    soft.symlink_to(named)
    hard.hardlink_to(named)
    for place in (named, soft, hard):
        outcome = _calibrate(named, "--gpu", "h100-sxm", "-o", place)
        assert outcome.code == 2
        assert "holds the measurements" in outcome.err
    assert named.read_text(encoding="utf-8") == text


def test_a_link_is_followed_and_the_file_behind_it_told(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "link.npz").symlink_to(tmp_path / "deep" / "mine.npz")
    monkeypatch.chdir(tmp_path)
    outcome = _calibrate(measured, "--gpu", "h100-sxm", "-o", "link.npz")
    assert f"--set cluster.gpu.profile={tmp_path / 'deep' / 'mine.npz'}" in outcome.out
    assert (tmp_path / "link.npz").is_symlink()
    assert (tmp_path / "deep" / "mine.npz").is_file()


def test_a_profile_needs_a_name(measured: Path, tmp_path: Path) -> None:
    assert "name a file such as mine.npz" in _calibrate(measured, "--gpu", "h100-sxm", "-o", tmp_path / ".npz").err


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"kernel\x00,dtype\n", b"kernel,dtype,latency\n", None])
def test_what_holds_no_measurements_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    outcome = _calibrate(path, "--gpu", "h100-sxm")
    assert (outcome.code, outcome.out) == (2, "")
    assert str(path) in outcome.err
    assert "Traceback" not in outcome.err


def test_hardly_any_skew_is_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    header = "kernel,dtype,tokens,hidden,inner,experts,top_k,skew,latency_us"
    path.write_text(f"{header}\nmoe,bf16,64,1024,512,8,2,1e-9,50\n", encoding="utf-8")
    assert "mine.csv:2: skew is 1e-09; leave it empty" in _calibrate(path, "--gpu", "h100-sxm").err


def test_an_unknown_gpu_is_refused(measured: Path) -> None:
    outcome = _calibrate(measured, "--gpu", "h100-sxn")
    assert outcome.code == 2
    assert "h100-sxm" in outcome.err
