"""The reference pages are what the code says today, and leave nothing out."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import simcluster
import simcluster.scenario
from simcluster.cli.main import COMMANDS
from simcluster.report.machine import result_json
from simcluster.scenario.forms import Form
from simcluster.study.capacity import capacity
from simcluster.study.slowdown import slowdown
from simcluster.study.uncertainty import intervals
from simcluster.timeline.metric import METRICS
from tests.docs.pages import ROOT
from tools.reference import scenario
from tools.reference.__main__ import FOLDER, PAGES

ELSEWHERE = {"FaultsForm", "TierForm", "SmForm", "ProtocolForm", "LibraryForm"}
"""Forms that no key of a scenario is: a list of faults, and files of the catalogue."""


def _page(name: str) -> str:
    return (ROOT / FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(name: str) -> None:
    assert _page(name) == PAGES[name](), f"{name} is out of date: python -m tools.reference"


def _forms() -> set[type[Form]]:
    """Every form in the modules of simcluster/scenario, those of Hugging Face configs aside."""
    found = set()
    for module in iter_modules(simcluster.scenario.__path__):
        if not module.ispkg:
            members = vars(import_module(f"simcluster.scenario.{module.name}")).values()
            found |= {one for one in members if inspect.isclass(one) and issubclass(one, Form) and one is not Form}
    return {form for form in found if form.__name__ not in ELSEWHERE and form.model_fields}


def test_every_key_of_every_form_is_a_row_with_value_default_and_meaning() -> None:
    listed = {(form, field) for _, form, field in scenario.every_key()}
    page = _page("scenario.md")
    for form in _forms():
        for name, field in form.model_fields.items():
            assert (form, name) in listed, f"{form.__name__}.{name} is in no section"
            rows = re.findall(rf"^\| `{field.alias or name}` \| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
            assert rows, f"{form.__name__}.{name} has no row"
            assert all(cell.strip() for row in rows for cell in row)


def test_rows_say_unit_bounds_choices_and_default() -> None:
    page = _page("scenario.md")
    for row in (
        "| `launch_overhead` | a time, such as `3 us` | `3 us` |",
        "| `gpus_per_node` | a whole number from 1 to 1,024 | required |",
        "| `topology` | `nvswitch`, `mesh` | `nvswitch` |",
        "| `memory` | a number above 0 to 1 | `0.82` |",
        "| `communication_sms` | a number from 0 below 1 | `0.0` |",
        "| `in_switch_reduction` | `true` or `false` | `false` |",
    ):
        assert row in page


def test_every_command_and_option_is_there() -> None:
    page = _page("commands.md")
    for name in COMMANDS:
        assert f"\n## {name}\n" in page
        for option in import_module(f"simcluster.cli.{name}").command.params:
            for spelling in option.opts if option.param_type_name == "option" else ():
                assert f"`{spelling}" in page or f", {spelling}" in page, (name, spelling)


def _leaves(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        rows = [row for row in value if isinstance(row, dict)]
        for row in rows:
            yield from _leaves(row, f"{path}[]")
        if not rows and value:
            yield f"{path}[]"
    else:
        yield path


RUNS: tuple[tuple[str, list[str], int], ...] = (
    (
        "ep64_tp2_pp1",
        ["cluster.nodes=2", "model.moe.experts=8", "plan=EP8_TP2_PP1", "workload.batch=16", "expect=[]",
         "faults=[{gpu: node1.gpu2, factor: 0.5}]", "cluster.gpu.price=2.50 USD/h",
         "workload.expert_load={zipf: 0.8}"],
        3,
    ),
    ("mixtral_decode", [], 0),
    ("llama_3_70b", ["workload={phase: generate, batch: 8, sequence: 256, output: 8}"], 0),
)  # fmt: skip
"""Runs that between them have every key: faults, price, uneven experts, draws; a cache; a generation."""


@pytest.mark.parametrize(("name", "overrides", "draws"), RUNS, ids=[run[0] for run in RUNS])
def test_every_leaf_of_run_json_is_there(name: str, overrides: list[str], draws: int) -> None:
    compiled = simcluster.load(ROOT / "scenarios" / f"{name}.yaml", overrides)
    result = simcluster.simulate(compiled)
    spread = intervals(compiled, result, draws) if draws else None
    tree = json.loads(result_json(result, capacity(compiled), spread, slowdown(compiled, result)))
    keys = re.findall(r"^\| `(\S+?(?: DIRECTION\[\])?)` \|", _page("metrics.md"), re.MULTILINE)
    patterns = [re.sub(r"[A-Z]{4,}", r"[a-z0-9_+-]+", re.escape(key).replace(r"\ ", " ")) for key in keys]
    known = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    assert [leaf for leaf in _leaves(tree) if not known.fullmatch(leaf)] == []


def test_every_metric_is_there_with_its_unit() -> None:
    page = _page("metrics.md")
    for path, measure in METRICS.items():
        assert f"| `{path}` | {measure} | " in page


def test_the_python_page_names_every_public_function() -> None:
    page = _page("python.md")
    assert set(re.findall(r"^\| `(\w+)\(", page, re.MULTILINE)) == set(simcluster.__all__)


def test_writing_the_pages_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.reference.__main__ import main

    monkeypatch.chdir(tmp_path)
    main()
    for name in PAGES:
        assert (tmp_path / FOLDER / name).read_text(encoding="utf-8") == _page(name)
