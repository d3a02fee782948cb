"""`sweep`: a row a point, whatever becomes of it; the same rows however they were computed."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from simcluster.api import load, simulate, sweep
from simcluster.report.figures import sweep_chart
from simcluster.study import sweep as sweep_module
from simcluster.study.state import Row
from simcluster.study.sweep import Point, simulate_point
from simcluster.timeline.metric import METRICS
from simcluster.timeline.table import Table
from tests.edge_helpers import Outcome, changed, program_file, scenario_file, simcluster

PER_GPU = changed(("batch: 8", "batch: {per_gpu: 1}"))
"""SMALL with a batch that follows the cluster, so that every number of nodes divides."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return scenario_file(tmp_path)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def swept(path: Path, *over: str, out: Path | None = None, workers: int = 1, json_too: bool = False) -> Outcome:
    axes = [word for axis in over for word in ("--over", axis)]
    more = [*(["--out", out] if out else []), *(["--json"] if json_too else [])]
    return simcluster("sweep", path, *axes, *more, "--workers", workers)


def test_a_row_a_point_with_the_swept_paths_and_every_metric(path: Path, tmp_path: Path) -> None:
    outcome = swept(path, "workload.batch=8,16", "model.layers=1..3", out=tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    rows = rows_of(tmp_path / "out")
    points = [(row["workload.batch"], row["model.layers"]) for row in rows]
    assert points == [("8", "1"), ("8", "2"), ("8", "3"), ("16", "1"), ("16", "2"), ("16", "3")]
    assert list(rows[0])[:4] == ["workload.batch", "model.layers", "convention", "reason"]
    assert set(METRICS) <= set(rows[0])
    assert {row["convention"] for row in rows} == {"orthogonal"}
    assert {row["reason"] for row in rows} == {""}


def test_a_row_holds_what_run_gives_to_the_last_digit(path: Path, tmp_path: Path) -> None:
    swept(path, "cluster.infiniband.bandwidth=200 Gbit/s,400 Gbit/s", out=tmp_path / "out")
    for row in rows_of(tmp_path / "out"):
        option = f"cluster.infiniband.bandwidth={row['cluster.infiniband.bandwidth']}"
        document = simcluster("run", path, "--json", "--set", option).json()
        assert float(row["latency_s"]) == document["latency_s"]
        assert float(row["mfu"]) == document["mfu"]
        assert float(row["memory.total"]) == document["memory"]["total"]
        assert int(row["degrees.etp"]) == document["degrees"]["etp"]


def test_json_is_one_object_with_every_row(path: Path) -> None:
    outcome = swept(path, "model.layers=1,nothing", json_too=True)
    assert (outcome.code, outcome.err) == (0, "")
    document = outcome.json()
    assert document["swept"] == ["model.layers"]
    assert [row["model.layers"] for row in document["rows"]] == ["1", "nothing"]
    assert document["rows"][1]["latency_s"] is None
    assert document["rows"][1]["reason"].startswith("model.layers: expected a whole number")


def test_points_that_are_no_scenario_or_do_not_fit_are_rows_with_a_reason(path: Path, tmp_path: Path) -> None:
    outcome = swept(path, "cluster.gpu.memory=1 MB,64 GB,64", "workload.batch=8,9", out=tmp_path / "out")
    assert (outcome.code, outcome.err) == (0, "")
    rows = rows_of(tmp_path / "out")
    assert [row["reason"] == "" for row in rows] == [False, False, True, False, False, False]
    assert rows[0]["reason"].startswith("does not fit: ")
    assert "1 MB" in rows[0]["reason"]
    assert rows[0]["latency_s"] == ""
    assert float(rows[0]["memory.fraction"]) > 1
    assert rows[3]["reason"] == "workload.batch: 9 sequences do not divide over dp 4 replicas; use 8 or 12"
    assert rows[3]["gpus"] == ""
    assert "has no unit" in rows[5]["reason"]
    assert "9 sequences do not divide" in rows[5]["reason"]


@pytest.mark.parametrize(
    "over", ["cluster.gpu.memory=1 kB,2 kB", "plan=EP3,EP5", "no.such.path=1,2", "plan=null,~", "name=7"]
)
def test_only_a_sweep_without_any_valid_point_ends_with_two(over: str, path: Path, tmp_path: Path) -> None:
    outcome = swept(path, over, out=tmp_path / "out")
    assert outcome.code == 2
    assert all(row["reason"] for row in rows_of(tmp_path / "out"))


def test_no_figure_is_drawn_of_no_point(path: Path, tmp_path: Path) -> None:
    outcome = simcluster("sweep", path, "--over", "plan=EP3", "--plot", tmp_path / "figure.png", "--workers", 1)
    assert outcome.code == 2
    assert not (tmp_path / "figure.png").exists()


def test_overrides_come_before_the_swept_values(path: Path) -> None:
    outcome = simcluster(
        "sweep", path, "--set", "model.layers=7", "--set", "workload.batch=16", "--over", "model.layers=1,2", "--json",
        "--workers", 1,
    )  # fmt: skip
    assert [row["tokens"] for row in outcome.json()["rows"]] == [2048, 2048]
    alone = [simulate(load(path, ["workload.batch=16", f"model.layers={layers}"])).as_dict() for layers in (1, 2)]
    assert [row["latency_s"] for row in outcome.json()["rows"]] == [result["latency_s"] for result in alone]


def test_one_worker_and_two_give_the_same_file(path: Path, tmp_path: Path) -> None:
    over = ("cluster.infiniband.bandwidth=100 Gbit/s,200 Gbit/s,1 furlong", "workload.batch=8,9,16")
    for workers in (1, 2):
        assert swept(path, *over, out=tmp_path / f"out{workers}", workers=workers).code == 0
    first, second = ((tmp_path / f"out{workers}" / "results.csv").read_bytes() for workers in (1, 2))
    assert first == second
    assert len(rows_of(tmp_path / "out1")) == 9


def test_the_library_gives_the_same_rows(path: Path, tmp_path: Path) -> None:
    swept(path, "model.layers=1..3", out=tmp_path / "out")
    table = sweep(path, {"model.layers": range(1, 4)}, workers=1)
    assert [str(latency) for latency in table.column("latency_s")] == [
        row["latency_s"] for row in rows_of(tmp_path / "out")
    ]


def test_the_reading_of_the_base_is_kept_over_other_numbers_of_nodes(tmp_path: Path) -> None:
    """At one node EP4_TP2 is folded (4 GPUs). At two its orthogonal count would win, were it a scenario of its own."""
    path = scenario_file(tmp_path, PER_GPU.replace("nodes: 2", "nodes: 1"))
    assert load(path).plan.convention == "folded"
    assert load(path, ["cluster.nodes=2"]).plan.convention == "orthogonal"
    rows = swept(path, "cluster.nodes=1,2,4", json_too=True).json()["rows"]
    assert [row["convention"] for row in rows] == ["folded"] * 3
    assert [row["degrees.etp"] for row in rows] == [1, 1, 1]


def test_a_point_where_that_reading_is_impossible_says_the_other(tmp_path: Path) -> None:
    path = scenario_file(tmp_path, PER_GPU)
    assert load(path).plan.convention == "orthogonal"
    table = sweep(path, {"cluster.nodes": [2, 1, 4, 8]}, workers=1)
    assert table.column("convention") == ("orthogonal", "folded", "orthogonal", "orthogonal")
    assert hollow(table) == [1.0]


def test_the_reading_is_that_of_the_base_and_not_of_the_first_point(tmp_path: Path) -> None:
    """The base has 8 GPUs and is orthogonal; the first point, with 4, can only be folded."""
    table = sweep(scenario_file(tmp_path, PER_GPU), {"cluster.nodes": [1, 4]}, workers=1)
    assert table.column("convention") == ("folded", "orthogonal")
    assert hollow(table) == [1.0]


def hollow(table: Table) -> list[float]:
    """Where along the axis the figure marks a point as read under another convention than the base."""
    lines = sweep_chart.draw(table).axes[0].get_lines()
    marked = [line for line in lines if to_rgba(line.get_markerfacecolor()) != to_rgba(line.get_markeredgecolor())]
    return sorted(float(place) for line in marked for place in np.asarray(line.get_xdata(), dtype=float))


# ------------------------------------------------------------------------------------------------ folders and resuming


class Counting:
    """Counts the points that are simulated in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.points: list[str] = []
        monkeypatch.setattr(sweep_module, "simulate_point", self)

    def __call__(self, point: Point) -> Row:
        self.points.append(point.key)
        return simulate_point(point)


def test_the_same_folder_goes_on_and_adds_points(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    swept(path, "model.layers=1,2", out=tmp_path / "out")
    assert len(counting.points) == 2
    first = rows_of(tmp_path / "out")
    assert swept(path, "model.layers=1,2", out=tmp_path / "out").code == 0
    assert len(counting.points) == 2
    assert rows_of(tmp_path / "out") == first
    assert swept(path, "model.layers=1..3", out=tmp_path / "out").code == 0
    assert len(counting.points) == 3
    assert rows_of(tmp_path / "out")[:2] == first


def test_points_with_a_reason_are_kept_too(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    for _ in range(2):
        assert swept(path, "workload.batch=8,9", out=tmp_path / "out").code == 0
    assert len(counting.points) == 2
    assert [bool(row["reason"]) for row in rows_of(tmp_path / "out")] == [False, True]


@pytest.mark.parametrize("other", ["another scenario", "other --set values", "another --fold"])
def test_the_folder_of_another_sweep_is_refused_and_kept(other: str, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    swept(path, "model.layers=1,2", out=out)
    before = (out / "results.csv").read_bytes()
    if other == "another scenario":
        path = scenario_file(tmp_path, changed(("64 GB", "80 GB")), "other.yaml")
        outcome = swept(path, "model.layers=1,2", out=out)
    else:
        option = ("--fold", "off") if other == "another --fold" else ("--set", "workload.batch=16")
        outcome = simcluster("sweep", path, "--over", "model.layers=1,2", *option, "--out", out)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"{out}: holds a sweep of another scenario")
    assert (out / "results.csv").read_bytes() == before


def test_a_state_that_is_none_is_refused(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "state.sqlite").write_text("this is a text of the user's, long enough to be looked at by SQLite" * 20)
    outcome = swept(path, "model.layers=1,2", out=out)
    assert (outcome.code, outcome.out) == (2, "")
    assert "state.sqlite: is not a sweep's state" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("where", ["small.yaml", "small.yaml/out", "/proc/out", "/dev/null/out"])
def test_an_unwritable_folder_ends_with_two(where: str, path: Path, tmp_path: Path) -> None:
    outcome = swept(path, "model.layers=1,2", out=tmp_path / where)
    assert (outcome.code, outcome.out) == (2, "")
    assert str(tmp_path / where) in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("where", ["small.yaml/figure.png", "/proc/figure.png", "figure.gif"])
def test_an_unwritable_figure_ends_with_two_before_the_work(
    where: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    outcome = simcluster("sweep", path, "--over", "model.layers=1,2", "--plot", tmp_path / where, "--workers", 1)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Traceback" not in outcome.err
    assert counting.points == []


def test_mistakes_in_the_command_leave_no_folder(path: Path, tmp_path: Path) -> None:
    for arguments in (
        (path, "--over", "model.layers"),
        (path, "--over", "model.layers=1", "--over", "model.layers=2"),
        (tmp_path / "nothing.yaml", "--over", "model.layers=1"),
    ):
        outcome = simcluster("sweep", *arguments, "--out", tmp_path / "out")
        assert (outcome.code, outcome.out) == (2, "")
        assert not (tmp_path / "out").exists(), arguments


def test_an_interrupted_sweep_ends_with_130_and_goes_on(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupting(point: Point) -> Row:
        if '"3"' in point.key:
            raise KeyboardInterrupt
        return simulate_point(point)

    monkeypatch.setattr(sweep_module, "simulate_point", interrupting)
    outcome = swept(path, "model.layers=1..4", out=tmp_path / "out")
    assert (outcome.code, outcome.out) == (130, "")
    assert f"run the same command again to go on with what {tmp_path / 'out'} holds" in outcome.err
    assert not (tmp_path / "out" / "results.csv").exists()
    counting = Counting(monkeypatch)
    assert swept(path, "model.layers=1..4", out=tmp_path / "out").code == 0
    assert len(counting.points) == 2
    outcome = swept(path, "model.layers=1..4")
    assert [row["model.layers"] for row in rows_of(tmp_path / "out")] == ["1", "2", "3", "4"]


def test_a_killed_sweep_goes_on_and_ends_as_if_never_killed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL to the sweep and its workers in the middle; what was kept is not simulated again."""
    points = 120
    over = "cluster.infiniband.latency=" + ",".join(f"{latency} ns" for latency in range(points))
    command = [program_file(), "sweep", str(path), "--over", over, "--out", str(tmp_path / "out"), "--workers", "2"]
    running = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        while len(kept(tmp_path / "out")) < 5 and running.poll() is None:
            time.sleep(0.01)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        _, err = running.communicate(timeout=60)
    assert running.returncode == -signal.SIGKILL, f"ended by itself: {err.decode()}"
    before = kept(tmp_path / "out")
    assert 5 <= len(before) < points
    assert not (tmp_path / "out" / "results.csv").exists()

    counting = Counting(monkeypatch)
    assert swept(path, over, out=tmp_path / "out").code == 0
    assert len(counting.points) == points - len(before)
    assert not set(counting.points) & set(before)
    monkeypatch.undo()
    assert swept(path, over, out=tmp_path / "whole", workers=2).code == 0
    assert (tmp_path / "out" / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()


def kept(folder: Path) -> list[str]:
    """Keys of the points a sweep has kept so far."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'state.sqlite'}?mode=ro", uri=True)) as connection:
            return [key for (key,) in connection.execute("SELECT key FROM points")]
    except sqlite3.Error:
        return []


def test_a_failure_while_the_results_are_written_keeps_the_older_ones(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    swept(path, "model.layers=1,2", out=out)
    before = (out / "results.csv").read_bytes()

    def full(file: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    names = sorted(one.name for one in out.iterdir())
    monkeypatch.setattr(Path, "replace", full)
    outcome = swept(path, "model.layers=1..3", out=out)
    assert (out / "results.csv").read_bytes() == before
    assert sorted(one.name for one in out.iterdir()) == names
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert "Traceback" not in outcome.err


def test_values_with_commas_and_quotes_survive_the_csv(path: Path, tmp_path: Path) -> None:
    names = ["[a, b]", '"x y"', "'it''s'", "{tp: 2, ep: 4}", "=1+1", "ü"]
    assert swept(path, "name=" + ",".join(names), out=tmp_path / "out").code == 0
    rows = rows_of(tmp_path / "out")
    assert [row["name"] for row in rows] == names
    assert [row["reason"] == "" for row in rows] == [False, True, True, False, True, True]
    assert {json.loads(key)[0][1] for key in kept(tmp_path / "out")} == set(names)
