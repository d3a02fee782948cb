"""`simcluster catalog` against the catalogue's own files."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from simcluster import units
from simcluster.scenario import catalogue, library
from simcluster.scenario.compile import compile_text
from tests.edge_helpers import simcluster

SECTIONS: tuple[catalogue.Section, ...] = ("gpu", "cluster", "model")


def raw(section: catalogue.Section, name: str) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(catalogue.text(section, name))
    return tree


def test_everything_is_listed_once_and_aligned() -> None:
    outcome = simcluster("catalog")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    for section in SECTIONS:
        for name in catalogue.names(section):
            assert any(line.split()[:1] == [name] for line in lines), name
    assert max(map(len, lines)) <= 120
    header = next(line for line in lines if line.startswith("name") and "peak bf16" in line)
    end = header.index("peak bf16") + len("peak bf16")
    assert all(
        line[end - 5 : end] == "FLOPS"
        for line in lines
        if line.startswith(("h100-sxm  ", "l40s  ")) and "FLOPS" in line
    )


def test_the_numbers_of_gpus_are_those_of_their_files() -> None:
    found = {row["name"]: row for row in simcluster("catalog", "gpus", "--json").json()["gpu"]}
    assert sorted(found) == list(catalogue.names("gpu"))
    for name, row in found.items():
        tree = raw("gpu", name)
        assert row["memory"] == units.parse(tree["memory"], "bytes")
        assert row["memory_bandwidth"] == units.parse(tree["memory_bandwidth"], "bytes/s")
        assert row["peak_bf16"] == units.parse(tree["peak"]["bf16"], "FLOP/s")
        assert row["source"] == tree["source"]


def test_the_numbers_of_clusters_and_models_are_those_of_their_files() -> None:
    clusters = {row["name"]: row for row in simcluster("catalog", "cluster", "--json").json()["cluster"]}
    assert sorted(clusters) == list(catalogue.names("cluster"))
    for name, row in clusters.items():
        tree = raw("cluster", name)
        assert row["gpus_per_node"] == tree["gpus_per_node"]
        assert row["nvlink"] == units.parse(tree["nvlink"]["bandwidth"], "bytes/s")
        assert tree["nvlink"]["source"] in row["source"]
    models = {row["name"]: row for row in simcluster("catalog", "model", "--json").json()["model"]}
    assert sorted(models) == list(catalogue.names("model"))
    assert models["mixtral-8x7b"]["parameters"] == pytest.approx(46.7e9, rel=1e-3)
    assert models["mixtral-8x7b"]["experts"] == "2 of 8"
    assert all(row["source"] and row["active"] <= row["parameters"] for row in models.values())


@pytest.mark.parametrize("section", SECTIONS)
def test_an_entry_in_full_can_be_pasted(section: catalogue.Section) -> None:
    for name in catalogue.names(section):
        outcome = simcluster("catalog", section, name)
        assert yaml.safe_load(outcome.out) == {section: raw(section, name)}, name
        assert outcome.out.startswith("# "), name
        assert simcluster("catalog", section, name, "--json").json() == catalogue.look_up(section, name)


def test_a_pasted_scenario_loads() -> None:
    cluster, model = (simcluster("catalog", *one).out for one in (("cluster", "dgx-h100"), ("model", "llama-3.1-8b")))
    text = f"{cluster}{model}plan: TP8\nworkload: {{phase: prefill, batch: 1, sequence: 128}}\n"
    named = "cluster: dgx-h100\nmodel: llama-3.1-8b\nplan: TP8\nworkload: {phase: prefill, batch: 1, sequence: 128}\n"
    assert compile_text(text, "pasted.yaml") == compile_text(named, "pasted.yaml")


@pytest.mark.parametrize("kind", ["library", "profile"])
def test_libraries_and_profiles_are_shown_with_their_sources(kind: str) -> None:
    names = [row["name"] for row in simcluster("catalog", kind, "--json").json()[kind]]
    assert names == list(library.names()) if kind == "library" else names
    for name in names:
        assert "aiconfigurator" in simcluster("catalog", kind, name).out
        assert simcluster("catalog", kind, name, "--json").code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("gup",), "did you mean gpu?"),
        (("gpu", "h100"), "did you mean h100-sxm?"),
        (("model", "../gpu/h100-sxm"), "no model is called"),
        (("\x1b[31m",), "no kind is called"),
    ],
)
def test_unknown_names_are_refused_with_a_suggestion(arguments: tuple[str, ...], told: str) -> None:
    outcome = simcluster("catalog", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert told in outcome.err
    assert "\x1b" not in outcome.err
