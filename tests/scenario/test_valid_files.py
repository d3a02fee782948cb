"""Each file in valid/ compiles; what `show` prints of it compiles to an equal scenario with the same result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simcluster.api import simulate
from simcluster.report.machine import result_json
from simcluster.scenario.compile import compile_text, load
from simcluster.scenario.document import read
from simcluster.scenario.render import as_tree, render
from tests.edge_helpers import changed, named, refusal, simcluster

VALID = sorted((Path(__file__).parent / "valid").glob("*.yaml"))
each_file = pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)


def test_there_are_valid_files() -> None:
    assert len(VALID) >= 14


@each_file
def test_show_prints_an_equal_scenario(path: Path) -> None:
    shown = simcluster("show", path)
    assert (shown.code, shown.err) == (0, "")
    assert compile_text(shown.out, "shown.yaml") == load(path)


@each_file
def test_the_scenario_shown_has_the_same_result(path: Path) -> None:
    shown = compile_text(render(load(path)), "shown.yaml")
    assert result_json(simulate(shown)) == result_json(simulate(load(path)))


@each_file
def test_showing_what_was_shown_changes_nothing(path: Path) -> None:
    once = render(load(path))
    assert render(compile_text(once, "shown.yaml")) == once


@each_file
def test_show_json_is_the_same_tree_as_the_yaml(path: Path) -> None:
    assert simcluster("show", path, "--json").json() == read(render(load(path)), "shown.yaml").root


@each_file
def test_show_writes_all_seven_degrees_and_the_convention(path: Path) -> None:
    plan = simcluster("show", path, "--json").json()["plan"]
    assert {"tp", "pp", "dp", "cp", "ep", "etp", "edp", "convention"} <= set(plan)
    assert plan["tp"] * plan["cp"] * plan["dp"] == plan["etp"] * plan["ep"] * plan["edp"]


@each_file
def test_setting_what_is_already_so_changes_nothing(path: Path) -> None:
    """`--set` takes the paths of the resolved scenario, so each of its values set again gives the same scenario."""
    scenario = load(path)
    for dotted, value in _leaves(as_tree(scenario)):
        again = load(path, [f"{dotted}={json.dumps(value, ensure_ascii=False)}"])
        if dotted.startswith("plan."):
            assert (again.plan.degrees, again.plan.convention) == (scenario.plan.degrees, scenario.plan.convention)
        else:
            assert again == scenario, dotted


def _leaves(tree: dict[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Paths and values; a plan's label and shared experts, which are written in another form, left out."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        elif f"{above}{key}" != "plan.name" and not str(key).startswith("shared_"):
            yield f"{above}{key}", value


PLANS = (
    "EP4_TP2_PP1", "EP8", "EP8_TP8", "EP2_TP2", "EP2_TP2_DP2", "EP2_TP2_DP4", "TP4_EP2_ETP2", "TP8", "DP8", "EP1",
    "{}", "{tp: 8}", "{ep: 8}", "{tp: 2, ep: 4}", "{tp: 4, ep: 4}", "{tp: 8, ep: 8}", "{tp: 2, ep: 4, etp: 1}",
    "{tp: 2, ep: 2, etp: 4}", "{tp: 2, ep: 2, edp: 2}", "{ep: 2, etp: 2}", "{tp: 2, convention: folded}",
    "{name: EP4_TP2_PP1, tp: 2, ep: 4}",
)  # fmt: skip


@pytest.mark.parametrize("plan", PLANS)
def test_every_way_to_write_a_plan_survives_show(plan: str) -> None:
    scenario = compile_text(changed(("plan: EP4_TP2_PP1", f"plan: {plan}")), "small.yaml")
    assert compile_text(render(scenario), "shown.yaml") == scenario


NAMES = (
    "yes", "no", "on", "null", "~", "1e3", "010", "12:30:45", "0x10", "1_000", ".nan", "=", "<<", "2024-01-01", "-",
    "?", "a: b", "# x", "a #b", "- a", "'", '"', "\\", "\\n", "{}", "[]", "%s", "{0}", "$x_2$", "${HOME}", "!tag",
    "&a", "*a", "|", ">", "@", "`", "%TAG", "---", "...", " before", "after ", "a  b", "</script>", "日本語 🎉",
    "x" * 200, "é" * 200,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_name_survives_show(name: str) -> None:
    scenario = compile_text(named(name), "small.yaml")
    assert scenario.name == name
    assert compile_text(render(scenario), "shown.yaml") == scenario


@pytest.mark.parametrize(
    "text", ["two\nlines", "tab\there", "\x1b[31mred", "\x00", "\x85", "\u2028", "a: b", "1e3", "'"]
)
def test_every_hardware_name_that_is_taken_survives_show(text: str) -> None:
    given = changed(("    memory: 64 GB", f"    name: {json.dumps(text)}\n    memory: 64 GB"))
    if refusal(lambda: compile_text(given, "small.yaml")) is None:
        scenario = compile_text(given, "small.yaml")
        assert compile_text(render(scenario), "shown.yaml") == scenario
