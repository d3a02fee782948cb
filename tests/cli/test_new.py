"""`simcluster new`: a starter that is valid, runs, teaches, and never costs a user a file."""

from __future__ import annotations

import json
import random
import re
from itertools import product
from pathlib import Path

import pytest
import yaml

from simcluster.pipeline import memory_fraction, simulate
from simcluster.scenario import catalogue
from simcluster.scenario.compile import compile_text
from tests.edge_helpers import simcluster

PHASES = ("prefill", "decode", "generate")
PAIRS = list(product(catalogue.names("model"), PHASES))
DRAWN = random.Random(8).sample([pair for pair in PAIRS if pair[1] != "generate"], 5)


@pytest.mark.parametrize(("model", "phase"), PAIRS, ids=str)
def test_every_model_in_every_phase_gives_a_scenario_that_loads_and_fits(model: str, phase: str) -> None:
    outcome = simcluster("new", "--model", model, "--phase", phase, "--cluster", "dgx-h200")
    assert (outcome.code, outcome.err) == (0, "")
    scenario = compile_text(outcome.out, "starter.yaml")
    assert (scenario.model.name, scenario.workload.phase) == (model, phase)
    assert scenario.cluster.gpu.name == "h200-sxm"
    assert memory_fraction(scenario) <= 1


@pytest.mark.parametrize(("model", "phase"), DRAWN, ids=str)
def test_what_it_claims_holds_when_it_is_simulated(model: str, phase: str) -> None:
    outcome = simcluster("new", "--model", model, "--phase", phase)
    result = simulate(compile_text(outcome.out, "starter.yaml"))
    assert result.fits
    assert [check.name for check in result.checks if not check.passed] == []


@pytest.mark.parametrize("cluster", catalogue.names("cluster"))
def test_every_cluster_is_written_out_as_the_catalogue_has_it(cluster: str) -> None:
    outcome = simcluster("new", "--model", "llama-3.1-8b", "--cluster", cluster)
    assert outcome.code == 0
    written = yaml.safe_load(outcome.out)["cluster"]
    known = yaml.safe_load(catalogue.text("cluster", cluster))
    assert written.pop("nodes") == 1
    for link in ("nvlink", "infiniband"):
        assert written[link].pop("source") == f"as {cluster} of the catalogue has it"
        del known[link]["source"]
    assert written == known


def test_it_runs_as_it_stands_and_checks(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "mine.yaml"
    outcome = simcluster("new", path)
    assert (outcome.code, outcome.out) == (0, "")
    assert f"simcluster run {path}" in outcome.err
    assert simcluster("check", path).code == 0
    assert [entry.name for entry in path.parent.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize("phase", PHASES)
def test_every_section_is_explained_and_no_line_is_long(phase: str) -> None:
    text = simcluster("new", "--phase", phase).out
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    for section in ("cluster", "model", "plan", "workload", "expect"):
        at = lines.index(next(line for line in lines if line.startswith(f"{section}:")))
        assert lines[at - 1].startswith("# "), section
    assert sum("#" in line for line in lines) > 60
    assert "None" not in text


def test_what_stands_in_comments_is_valid_too() -> None:
    """Taking the comment marks off the alternatives gives scenarios that load."""
    text = simcluster("new", "--model", "llama-3.1-8b", "--gpus", "8", "--plan", "TP2_PP2").out
    for other in re.findall(r"^# (workload: .*)$", text, re.MULTILINE):
        changed = re.sub(r"^workload:\n(  .*\n)+", f"{other}\n", text, flags=re.MULTILINE)
        phase = compile_text(changed, "starter.yaml").workload.phase
        assert phase in other
    execution = yaml.safe_load("\n".join(line[2:] for line in _block(text, "# execution:")))["execution"]
    changed = f"{text}execution: {json.dumps(execution)}\n"
    assert compile_text(changed, "starter.yaml").execution == compile_text(text, "starter.yaml").execution
    model = "\n".join(line[2:] for line in _block(text, "# model:"))
    changed = text.replace("\nmodel: llama-3.1-8b\n", f"\n{model}\n")
    assert compile_text(changed, "starter.yaml").model == compile_text(text, "starter.yaml").model
    more = "\n".join(line[2:] for line in text.splitlines()[-4:])
    assert compile_text(f"{text}{more}\n", "starter.yaml").seed == 1


def _block(text: str, first: str) -> list[str]:
    """The commented lines from `first` to the next empty line."""
    lines = text.splitlines()
    found = lines[lines.index(first) :]
    return found[: found.index("")]


def test_the_options_change_what_is_written() -> None:
    outcome = simcluster("new", "--model", "llama-3.1-70b", "--gpus", "16", "--plan", "TP4_PP2", "--phase", "decode")
    scenario = compile_text(outcome.out, "starter.yaml")
    assert (scenario.cluster.nodes, scenario.cluster.gpus) == (2, 16)
    assert (scenario.plan.degrees.tp, scenario.plan.degrees.pp, scenario.plan.degrees.dp) == (4, 2, 2)
    part = compile_text(simcluster("new", "--model", "llama-3.1-8b", "--gpus", "2").out, "starter.yaml")
    assert (part.cluster.nodes, part.cluster.gpus_per_node) == (1, 2)
    assert compile_text(simcluster("new", "--plan", "EP8_TP2").out, "starter.yaml").cluster.gpus == 16


def test_a_file_that_is_there_stays_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("precious")
    outcome = simcluster("new", path)
    assert (outcome.code, outcome.out) == (2, "")
    assert "is there already" in outcome.err
    assert "--force" in outcome.err
    assert path.read_text() == "precious"
    assert simcluster("new", path, "--force", "--quiet").err == ""
    assert compile_text(path.read_text(), "mine.yaml").plan.name == "EP8"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--model", "mixtral"), "did you mean mixtral-8x7b?"),
        (("--cluster", "dgx-h10"), "did you mean dgx-h100?"),
        (("--gpus", "12"), "use 8 or 16"),
        (("--plan", "EP8_XP2"), "write it like EP64_TP2_PP1"),
        (("--plan", "TP16", "--gpus", "8"), "16 GPUs"),
        (("--plan", "EP16"), "experts"),
        (("--model", "deepseek-v3", "--cluster", "dgx-a100"), "no peak for fp8_block"),
        (("--model", "llama-3.1-405b", "--gpus", "8"), "no plan for 8 GPUs of dgx-h100 holds llama-3.1-405b"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_and_nothing_is_written(options: tuple[str, ...], told: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    outcome = simcluster("new", path, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert told in outcome.err
    assert not list(tmp_path.iterdir())


def test_a_plan_that_does_not_fit_is_written_with_a_note() -> None:
    outcome = simcluster("new", "--model", "llama-3.1-70b", "--plan", "TP1")
    assert outcome.code == 0
    assert "does not fit" in outcome.err
    assert compile_text(outcome.out, "starter.yaml").plan.degrees.tp == 1
