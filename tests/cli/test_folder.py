"""`run --out DIR`: four files, all of them or none, and nothing of a user's is touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from simcluster.scenario.compile import load
from tests.edge_helpers import DOES_NOT_FIT, FILES, SMALL, changed, scenario_file, simcluster


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return scenario_file(tmp_path)


def npz(**arrays: np.ndarray) -> bytes:
    """The bytes of an .npz file with these arrays."""
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in sorted(folder.iterdir())}


def neighbours(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.parent.iterdir())


def test_four_files_are_written(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed = simcluster("run", path, "--json", "--out", out)
    assert (printed.code, printed.err) == (0, "")
    assert sorted(contents(out)) == list(FILES)
    assert neighbours(out) == ["out", "small.yaml"]
    assert json.loads((out / "result.json").read_text()) == printed.json()
    assert load(out / "resolved.yaml") == load(path)
    manifest = json.loads((out / "manifest.json").read_text())
    for name in FILES:
        if name != "manifest.json":
            assert manifest["sha256"][name] == hashlib.sha256((out / name).read_bytes()).hexdigest()


def test_the_run_can_be_run_again_from_its_folder(path: Path, tmp_path: Path) -> None:
    simcluster("run", path, "--out", tmp_path / "first")
    simcluster("run", tmp_path / "first" / "resolved.yaml", "--out", tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_the_same_scenario_gives_the_same_bytes_and_replaces_an_older_run(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    simcluster("run", path, "--out", out)
    first = contents(out)
    assert simcluster("run", path, "--out", out, "--set", "model.layers=4").code == 0
    assert contents(out)["result.json"] != first["result.json"]
    assert simcluster("run", path, "--out", out).code == 0
    assert contents(out) == first
    assert neighbours(out) == ["out", "small.yaml"]


def test_folders_on_the_way_are_made_and_an_empty_one_is_taken(path: Path, tmp_path: Path) -> None:
    assert simcluster("run", path, "--out", tmp_path / "a" / "b c" / "ü").code == 0
    assert sorted(contents(tmp_path / "a" / "b c" / "ü")) == list(FILES)
    (tmp_path / "empty").mkdir()
    assert simcluster("run", path, "--out", tmp_path / "empty").code == 0
    assert sorted(contents(tmp_path / "empty")) == list(FILES)


def test_a_run_that_does_not_fit_is_kept_too(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert simcluster("run", path, "--out", out, "--set", DOES_NOT_FIT).code == 1
    assert sorted(contents(out)) == list(FILES)
    assert json.loads((out / "result.json").read_text())["latency_s"] is None


@pytest.mark.parametrize(
    "foreign",
    [{"notes.txt": b"mine"}, {"result.json": b"{}"}, {"resolved.yaml": b"mine"}, {".hidden": b"mine"},
     dict.fromkeys(FILES, b"mine") | {"more.csv": b"mine"}, {"timeline.npz": b"mine", "notes.txt": b"mine"}],
    ids=lambda foreign: "+".join(foreign),
)  # fmt: skip
def test_a_folder_of_somebody_else_is_refused_and_kept(foreign: dict[str, bytes], path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name, data in foreign.items():
        (out / name).write_bytes(data)
    outcome = simcluster("run", path, "--out", out)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"{out}: holds ")
    assert contents(out) == foreign
    assert neighbours(out) == ["out", "small.yaml"]


@pytest.mark.parametrize("names", [("manifest.json",), ("manifest.json", "result.json"), FILES], ids="+".join)
def test_a_manifest_of_somebody_else_does_not_make_a_folder_ours(
    names: tuple[str, ...], path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in names:
        (out / name).write_text('{"name": "my own web page"}')
    before = contents(out)
    assert simcluster("run", path, "--out", out).code == 2
    assert contents(out) == before


def test_a_foreign_folder_is_refused_before_the_work(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    monkeypatch.setattr("simcluster.cli.folder.write", lambda *_: pytest.fail("written"))
    assert simcluster("run", path, "--out", tmp_path / "out").code == 2


@pytest.mark.parametrize("where", ["small.yaml", "small.yaml/out", "/proc/out", "/dev/null/out"])
def test_an_unwritable_place_ends_with_two(where: str, path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    outcome = simcluster("run", path, "--out", tmp_path / where)
    assert (outcome.code, outcome.out) == (2, "")
    assert str(tmp_path / where) in outcome.err
    assert "Traceback" not in outcome.err
    assert path.read_bytes() == before


def test_mistakes_write_nothing(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, changed(("64 GB", "64")))
    assert simcluster("run", path, "--out", tmp_path / "out").code == 2
    assert neighbours(tmp_path / "out") == ["small.yaml"]


class Breaking:
    """A stand-in for a function that raises at its n-th call from now, and otherwise does what it did."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, call: int, error: BaseException
    ) -> None:
        self.original = getattr(owner, name)
        self.left = call
        self.error = error
        monkeypatch.setattr(owner, name, lambda *arguments, **options: self(*arguments, **options))

    def __call__(self, *arguments: object, **options: object) -> object:
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.original(*arguments, **options)


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("older", [False, True], ids=["new folder", "over an older run"])
@pytest.mark.parametrize(("error", "code"), [(FULL, 2), (KeyboardInterrupt(), 130)], ids=["disk full", "interrupt"])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_failure_at_any_file_leaves_all_as_it_was(
    call: int, error: BaseException, code: int, older: bool, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    if older:
        simcluster("run", path, "--out", out)
    before = contents(out) if older else None
    breaking = Breaking(monkeypatch, Path, "write_bytes", call, error)
    outcome = simcluster("run", path, "--out", out, "--set", "model.layers=4")
    assert breaking.left == 0, "the failure never came: files are written in another way now"
    assert outcome.code == code
    assert outcome.out == ""
    assert (contents(out) if out.exists() else None) == before
    assert neighbours(out) == (["out", "small.yaml"] if older else ["small.yaml"])
    if error is FULL:
        assert outcome.err == f"{out}: cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    "error", [OSError(16, "Device or resource busy"), KeyboardInterrupt()], ids=["busy", "interrupt"]
)
@pytest.mark.parametrize("older", [False, True], ids=["new folder", "over an older run"])
def test_a_failure_at_the_last_move_leaves_all_as_it_was(
    older: bool, error: BaseException, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    if older:
        simcluster("run", path, "--out", out)
    before = contents(out) if older else None
    failed: list[Path] = []

    def failing_once(move: Callable[..., None]) -> Callable[..., None]:
        def moved(source: Path, target: Path, **options: int) -> None:
            if Path(target) == out and not failed:
                failed.append(target)
                raise error
            move(source, target, **options)

        return moved

    monkeypatch.setattr(os, "rename", failing_once(os.rename))
    monkeypatch.setattr(os, "replace", failing_once(os.replace))
    outcome = simcluster("run", path, "--out", out, "--set", "model.layers=4")
    assert failed, "the failure never came: the folder is put in its place in another way now"
    assert outcome.code == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert (contents(out) if out.exists() else None) == before
    assert neighbours(out) == (["out", "small.yaml"] if older else ["small.yaml"])


def test_a_link_to_a_folder_is_written_through_or_refused(path: Path, tmp_path: Path) -> None:
    simcluster("run", path, "--out", tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    outcome = simcluster("run", path, "--out", tmp_path / "link", "--set", "model.layers=4")
    assert outcome.code in (0, 2)
    assert "None" not in outcome.err
    assert neighbours(tmp_path / "link") == ["link", "real", "small.yaml"]
    assert (tmp_path / "link").is_symlink()
    layers = load(tmp_path / "real" / "resolved.yaml").model.layers
    assert layers == (4 if outcome.code == 0 else 2)


def test_the_current_folder_is_written_or_refused_in_words(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    outcome = simcluster("run", path, "--out", ".")
    assert outcome.code in (0, 2)
    assert sorted(contents(here)) == (list(FILES) if outcome.code == 0 else [])
    assert neighbours(here) == ["here", "small.yaml"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (None, "cannot be read"),
        (b"PK\x03\x04" + bytes(1000), "is not a timeline"),
        (b"not a timeline at all", "is not a timeline"),
        (b"", "is not a timeline"),
        (npz(header=np.array("{}")), "is not a timeline"),
        (npz(header=np.array("not JSON")), "is not a timeline"),
        (npz(other=np.zeros(3)), "is not a timeline"),
    ],
    ids=["missing", "cut", "text", "empty", "bare header", "no JSON", "no header"],
)
def test_a_damaged_folder_is_refused_by_plot(damage: bytes | None, told: str, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    simcluster("run", path, "--out", out)
    file = out / "timeline.npz"
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    outcome = simcluster("plot", out, "-o", tmp_path / "figure.png")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"{file}: {told}")
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "figure.png").exists()


def test_a_folder_moved_elsewhere_still_plots(path: Path, tmp_path: Path) -> None:
    simcluster("run", path, "--out", tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    path.write_text(SMALL.replace("layers: 2", "layers: 4"))
    assert simcluster("plot", tmp_path / "elsewhere", "-o", tmp_path / "figure.svg").code == 0
