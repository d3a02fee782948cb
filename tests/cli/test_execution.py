"""Stages, context ranks, placements and overlap from the command line: set, swept, shown, drawn and told."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.edge_helpers import SMALL, scenario_file, simcluster

STAGED = ("--set", "plan=EP2_TP2_PP2")
KINDS = ("utilization", "timeline", "breakdown", "memory", "links", "topology", "throughput", "latency")


def test_a_plan_with_stages_runs_and_tells_its_sends_and_its_bubble(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    told = simcluster("run", path, *STAGED)
    assert told.code == 0
    assert "pipeline.send" in told.out
    result = simcluster("run", path, *STAGED, "--json").json()
    assert result["degrees"]["pp"] == 2
    assert result["idle"] > 0
    sends = next(row for row in result["by_operation"] if row["name"] == "pipeline.send")
    assert sends["kind"] == "send_recv"
    states = ("compute_busy", "exposed_communication", "waiting", "idle")
    assert sum(result[name] for name in states) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_of_a_plan_with_stages_is_drawn(kind: str, tmp_path: Path) -> None:
    figure = tmp_path / "figure.svg"
    told = simcluster("plot", scenario_file(tmp_path), *STAGED, "--kind", kind, "-o", figure)
    assert (told.code, told.err) == (0, "")
    assert figure.read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize("setting", ["context_attention=ring", "context_attention=all-gather"])
def test_context_ranks_tell_what_they_share(setting: str, tmp_path: Path) -> None:
    told = simcluster(
        "run", scenario_file(tmp_path), "--set", "plan=EP2_TP2_CP2", "--set", f"execution.{setting}", "--json"
    )
    names = {row["name"] for row in told.json()["by_operation"]}
    ring = setting.endswith("ring")
    assert ("attention.ring_send" in names, "attention.kv_all_gather" in names) == (ring, not ring)


def test_placements_and_microbatches_can_be_swept(tmp_path: Path) -> None:
    """A number of microbatches that does not divide is a row with its reason."""
    told = simcluster(
        "sweep", scenario_file(tmp_path), *STAGED, "--out", tmp_path / "out", "--workers", 1,
        "--over", "execution.placement=[tp,cp,dp,pp],[pp,tp,cp,dp]", "--over", "execution.microbatches=1,2,3",
    )  # fmt: skip
    assert told.code == 0, told.err
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert [bool(row["reason"]) for row in rows] == [row["execution.microbatches"] == "3" for row in rows]
    assert len({row["latency_s"] for row in rows if row["latency_s"]}) > 1


def test_the_placement_shown_follows_the_axes_named(tmp_path: Path) -> None:
    told = simcluster(
        "show", scenario_file(tmp_path), *STAGED, "--set", "execution.placement=[pp,tp,dp,cp]", "--placement", "--json"
    )
    rows = told.json()["placement"]
    assert [(row["pp"], row["tp"], row["dp"]) for row in rows] == [
        (rank % 2, rank // 2 % 2, rank // 4) for rank in range(8)
    ]
    assert [row["layers"] for row in rows] == [[rank % 2] for rank in range(8)]


def test_show_writes_the_execution_whole(tmp_path: Path) -> None:
    shown = simcluster("show", scenario_file(tmp_path), "--json").json()["execution"]
    assert shown["placement"] == ["tp", "cp", "dp", "pp"]
    assert (shown["overlap"], shown["dispatch_chunks"], shown["communication_sms"]) == ("none", 1, 0)
    assert "execution" not in SMALL


@pytest.mark.parametrize("fold", ["auto", "off"])
def test_check_and_expectations_work_on_stages(fold: str, tmp_path: Path) -> None:
    told = simcluster("run", scenario_file(tmp_path), *STAGED, "--fold", fold, "--set", "expect=[idle <= 1]", "--json")
    checks = {row["name"]: row["passed"] for row in told.json()["checks"]}
    assert checks["gpu_count"]
    assert checks["module_division"]
    assert checks["idle <= 1"]
