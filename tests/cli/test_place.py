"""Places that outputs of one command share, and names that files may have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simcluster.cli.place import write_text
from simcluster.errors import InputError
from tests.edge_helpers import scenario_file, simcluster


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--out", "r.json", "--trace", "r.json"), "is the place of --out, too"),
        (("--out", "both", "--trace", "both"), "is the place of --out, too"),
        (("--out", "kept", "--html", "kept/p.html"), "lies in the folder of --out"),
        (("--out", "kept", "--trace", "kept/t.json"), "lies in the folder of --out"),
        (("--trace", "kept", "--out", "kept/run"), "lies in the folder of --trace"),
        (("--trace", "kept", "--html", "kept/deep/p.html"), "lies in the folder of --trace"),
    ],
)
def test_outputs_that_would_replace_each_other_are_refused(
    options: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scenario = scenario_file(tmp_path)
    outcome = simcluster("run", scenario, *options)
    assert outcome.code == 2
    assert said in outcome.err
    assert [one.name for one in tmp_path.iterdir()] == [scenario.name]


def test_a_scenario_is_not_overwritten(tmp_path: Path) -> None:
    scenario = scenario_file(tmp_path, name="small.json")
    before = scenario.read_text()
    outcome = simcluster("run", scenario, "--trace", tmp_path / "." / "small.json")
    assert outcome.code == 2
    assert "is the place of the scenario, too" in outcome.err
    assert scenario.read_text() == before


@pytest.mark.parametrize("name", ["-", ""])
def test_a_dash_is_no_file(name: str) -> None:
    outcome = simcluster("run", name)
    assert outcome.code == 2
    assert "is no file's name" in outcome.err
    assert simcluster("new", "-").code == 2


def test_outputs_side_by_side_can_be_written_again(tmp_path: Path) -> None:
    places = ("--out", tmp_path / "run", "--trace", tmp_path / "t.json", "--html", tmp_path / "p.html")
    for _ in range(2):
        assert simcluster("run", scenario_file(tmp_path), "--quiet", *places).code == 0
    names = sorted(one.name for one in tmp_path.iterdir())
    assert {"run", "t.json", "p.html"} < set(names)
    assert not [name for name in names if name.startswith(".")]


def test_a_name_as_long_as_may_be(tmp_path: Path) -> None:
    name = "x" * 250 + ".html"
    write_text(tmp_path / name, "kept")
    assert (tmp_path / name).read_text() == "kept"
    with pytest.raises(InputError, match="too long"):
        write_text(tmp_path / ("y" + name), "lost")
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_text_that_is_no_text_and_the_usual_permissions(tmp_path: Path) -> None:
    """A file's name may hold bytes of no encoding."""
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "bad\udcff")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").read_text() == "bad?"
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
