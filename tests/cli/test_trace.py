"""`run --trace`: where it writes, and what it refuses before anything is simulated."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.edge_helpers import DOES_NOT_FIT, scenario_file, simcluster
from tests.report.trace_helpers import read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return scenario_file(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def never(*_: object, **__: object) -> None:
    raise AssertionError("simulated before the complaint")


@pytest.mark.parametrize("name", ["t.json", "t.json.gz", "new/folders/t.json", "ä 日本.json.gz", "-dash.json"])
def test_a_trace_is_written_beside_the_usual_output(name: str, path: Path, out: Path) -> None:
    plain = simcluster("run", path, "--json")
    outcome = simcluster("run", path, "--json", "--trace", out / name)
    assert (outcome.code, outcome.err, outcome.out) == (0, f"trace: {out / name}\n", plain.out)
    processes = {event["pid"] for event in read(out / name).slices()}
    assert processes == {0}
    assert [one.name for one in out.rglob("*") if one.is_file()] == [Path(name).name]


def test_every_rank_is_a_process_where_nothing_is_folded(path: Path, out: Path) -> None:
    simcluster("run", path, "--json", "--fold", "off", "--trace", out / "t.json")
    simcluster("run", path, "--json", "--fold", "off", "--trace", out / "each")
    assert {event["pid"] for event in read(out / "t.json").slices()} == set(range(8))
    assert sorted(one.name for one in (out / "each").iterdir()) == [f"rank-{rank}.json.gz" for rank in range(8)]


def _foreign(out: Path) -> Path:
    (out / "notes.md").write_text("mine")
    return out


def _file(out: Path) -> Path:
    (out / "kept").write_text("mine")
    return out / "kept"


def _below_a_file(out: Path) -> Path:
    return _file(out) / "t.json"


def _folder_named_like_a_file(out: Path) -> Path:
    (out / "t.json").mkdir()
    return out / "t.json"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (lambda out: out / "t.txt", "the ending must be .json or .json.gz"),
        (lambda out: out / "t.gz", "the ending must be .json or .json.gz"),
        (lambda out: out / "t.JSON", "the ending must be .json or .json.gz"),
        (_foreign, "holds notes.md, which no trace wrote"),
        (_file, "is a file; a trace without an ending is a folder"),
        (_below_a_file, "is not a folder"),
        (_folder_named_like_a_file, "is a folder; name a file"),
        (lambda _: Path("-"), "a trace is not written to standard output"),
        (lambda _: Path("/proc/t.json"), "no permission to write in /proc"),
        (lambda _: Path("/proc/t"), "no permission to write in /proc"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    place: Callable[[Path], Path], said: str, path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simcluster.pipeline.simulate", never)
    where = place(out)
    before = sorted(out.rglob("*"))
    outcome = simcluster("run", path, "--trace", where)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(str(where))
    assert said in outcome.err
    assert sorted(out.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_one_may_not_write_in_is_refused(path: Path, out: Path) -> None:
    out.chmod(0o500)
    assert "no permission" in simcluster("run", path, "--trace", out / "t.json").err


def test_a_plan_that_does_not_fit_leaves_no_trace_and_ends_with_one(path: Path, out: Path) -> None:
    outcome = simcluster("run", path, "--trace", out / "t.json", "--set", DOES_NOT_FIT)
    assert outcome.code == 1
    assert "does not fit" in outcome.out
    assert outcome.err == f"no trace in {out / 't.json'}: the plan does not fit in memory, so there is no timeline\n"
    assert not list(out.iterdir())


@pytest.mark.parametrize(("error", "code"), [(OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130)])
@pytest.mark.parametrize("name", ["t.json.gz", "each"])
def test_a_failure_leaves_what_was_there(
    name: str, error: BaseException, code: int, path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert simcluster("run", path, "--json", "--trace", out / name).code == 0
    before = {one: one.read_bytes() for one in out.rglob("*") if one.is_file()}

    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("simcluster.report.trace.counters.memory", full)
    outcome = simcluster("run", path, "--json", "--trace", out / name)
    assert (outcome.code, outcome.out) == (code, "")
    assert "Traceback" not in outcome.err
    if code == 2:
        assert f"{out / name}: cannot be written: No space left on device" in outcome.err
    assert {one: one.read_bytes() for one in out.rglob("*") if one.is_file()} == before
