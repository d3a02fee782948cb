"""The JSON Schema of a scenario: whole, in words, and of one mind with the loader about a file's structure."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from simcluster import units
from simcluster.errors import InputError
from simcluster.scenario import catalogue, json_schema
from simcluster.scenario.compile import REQUIRED, SECTIONS, compile_text
from simcluster.scenario.document import read
from simcluster.scenario.sections import read_text
from tests.edge_helpers import SMALL

ROOT = Path(__file__).parent.parent.parent
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
SCHEMA: Any = json_schema()
EDITOR = jsonschema.Draft202012Validator(SCHEMA)
DIMENSIONS: tuple[units.Dimension, ...] = ("bytes", "seconds", "bytes/s", "FLOP/s", "watts", "USD/h")


def written() -> dict[str, Any]:
    """SMALL as a tree that may be changed."""
    tree: dict[str, Any] = yaml.safe_load(SMALL)
    return tree


def loads(tree: dict[str, Any]) -> bool:
    try:
        compile_text(json.dumps(tree), "mutated.yaml")
    except InputError:
        return False
    return True


def test_it_is_a_schema_and_has_the_sections_of_a_scenario() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert tuple(SCHEMA["properties"]) == (
        "name", "cluster", "model", "plan", "execution", "workload", "expect", "faults", "seed", "uncertainty"
    )  # fmt: skip
    assert set(SCHEMA["properties"]) == set(SECTIONS)
    assert set(SCHEMA["required"]) == set(REQUIRED)


def forms() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "Scenario", SCHEMA
    yield from SCHEMA["$defs"].items()


@pytest.mark.parametrize(("name", "form"), list(forms()), ids=lambda one: one if isinstance(one, str) else "")
def test_every_form_refuses_unknown_keys_and_says_what_each_of_its_keys_means(name: str, form: dict[str, Any]) -> None:
    assert form["additionalProperties"] is False
    assert len(form["description"]) > 10, name
    for key, field in form["properties"].items():
        assert len(field["description"]) > 10, f"{name}.{key}"
        assert field["description"].endswith("."), f"{name}.{key}"
        assert field["title"] == key.replace("_", " ") or key in ("hf", "links"), f"{name}.{key}"


def test_every_default_is_what_the_schema_itself_takes() -> None:
    seen = 0
    for name, form in forms():
        for key, field in form["properties"].items():
            if "default" in field:
                checker = jsonschema.Draft202012Validator({**field, "$defs": SCHEMA["$defs"]})
                assert not list(checker.iter_errors(field["default"])), f"{name}.{key}"
                seen += 1
    assert seen > 40
    assert SCHEMA["$defs"]["Gpu"]["properties"]["launch_overhead"]["default"] == "3 us"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_shipped_scenario_is_valid(path: Path) -> None:
    assert [error.message for error in EDITOR.iter_errors(read(read_text(path), str(path)).root)] == []


@pytest.mark.parametrize("section", ["cluster", "gpu", "model"])
def test_every_catalogue_entry_is_valid_by_name_and_written_out(section: catalogue.Section) -> None:
    for name in catalogue.names(section):
        for value in (name, catalogue.look_up(section, name)):
            tree = written()
            (tree["cluster"] if section == "gpu" else tree)[section] = value
            assert [error.message for error in EDITOR.iter_errors(tree)] == [], name


RIGHT: list[tuple[str, Any]] = [
    ("plan", {"tp": 2, "ep": 4}),
    ("plan", {"tp": 2, "ep": 4, "dp": None}),
    (
        "model.precision",
        {"weights": "fp8", "compute": "fp8", "attention": "fp8", "kv_cache": "fp8", "dispatch": "fp8"},
    ),
    ("workload.batch", {"per_gpu": 2}),
    ("workload.expert_load", "uniform"),
    ("workload.expert_load", {"zipf": 1.1, "drawn": True}),
    ("workload.expert_load", {"5": 4, "0": 2}),
    ("workload.host_overhead", "1_000 us"),
    ("cluster.gpu.efficiency", {"compute": 0.6}),
    ("cluster.gpu.efficiency", {"compute": {"fp8": 0.6}, "memory": 0.9}),
    ("cluster.gpu.memory", "60GiB"),
    ("cluster.infiniband.bandwidth", "4e2 Gbit/s"),
    ("cluster.background", [{"from": "node0", "to": ["node1.gpu0", "node1.gpu1"], "bandwidth": "1 GB/s"}]),
    ("faults", [{"gpu": "node0.gpu1", "factor": 0.5}, {"jitter": 0.05}]),
    ("faults", None),
    ("expect", ["mfu >= 0.1", "traffic.infiniband > 0 B"]),
    ("uncertainty", {"nvlink_latency": 1}),
    ("execution", {"placement": ["dp", "tp", "cp", "pp"], "microbatches": 1}),
    ("seed", 7),
]

WRONG: list[tuple[str, Any]] = [
    ("claster", 1),
    ("name", 5),
    ("name", ""),
    ("cluster", "dgx-h1000"),
    ("cluster.gpus_per_nod", 8),
    ("cluster.gpus_per_node", 0),
    ("cluster.gpus_per_node", "8"),
    ("cluster.gpus_per_node", True),
    ("cluster.gpu", "h100"),
    ("cluster.gpu.memory", "64"),
    ("cluster.gpu.memory", 64),
    ("cluster.gpu.memory", "64 gb"),
    ("cluster.gpu.memory", "-64 GB"),
    ("cluster.gpu.memory", "64 GB/s"),
    ("cluster.gpu.peak", {}),
    ("cluster.gpu.peak", {"fp9": "400 TFLOPS"}),
    ("cluster.gpu.efficiency", {"compute": 1.5}),
    ("cluster.gpu.price", "2.50 EUR/h"),
    ("cluster.nvlink.bandwidth", "450 GBps"),
    ("cluster.nvlink.topology", "ring"),
    ("cluster.nvlink.domain", "8"),
    ("cluster.infiniband.fabric", "hypercube"),
    ("cluster.infiniband.oversubscription", 0.5),
    ("cluster.infiniband.latency", "3 m"),
    ("cluster.library", "h1000"),
    ("cluster.algorithms", {"all_reduced": "ring"}),
    ("cluster.background", [{"from": "node0", "bandwidth": "1 GB/s"}]),
    ("model", "mixtral"),
    ("model.layers", 2.5),
    ("model.hidden", None),
    ("model.moe", {"experts": 8, "top_k": 2}),
    ("model.moe", []),
    ("model.precision", "fp9"),
    ("model.precision", {"weights": "fp8"}),
    ("model.qk_norm", "yes"),
    ("plan", "EP4_XP2"),
    ("plan", {"tp": 0}),
    ("plan", {"convention": "megatron"}),
    ("plan", 8),
    ("execution", {"overlap": "three-batch"}),
    ("execution", {"communication_sms": 1}),
    ("execution", {"placement": "tp"}),
    ("workload.phase", "training"),
    ("workload.batch", 0),
    ("workload.batch", "8"),
    ("workload.batch", {"per_gpu": 2, "total": 8}),
    ("workload.batch", {}),
    ("workload.host_overhead", 5),
    ("workload.expert_load", {"first": 4}),
    ("workload.expert_load", "skewed"),
    ("faults", [{"gpu": "node0.gpu1"}]),
    ("faults", [{"jitter": 0.1, "factor": 0.5}]),
    ("faults", [{"gpu": "node0.gpu1", "node": 0, "factor": 0.5}]),
    ("faults", {"jitter": 0.1}),
    ("expect", "mfu >= 0.1"),
    ("expect", ["mfu is high"]),
    ("seed", -1),
    ("seed", 2**63),
    ("uncertainty", {"nvlink_latency": 0.5}),
    ("uncertainty", {"clock": 1.5}),
]


def mutated(path: str, value: Any) -> dict[str, Any]:
    tree = written()
    *before, last = path.split(".")
    node = tree
    for key in before:
        node = node[key]
    node[last] = copy.deepcopy(value)
    return tree


@pytest.mark.parametrize(("path", "value"), RIGHT, ids=str)
def test_what_the_loader_takes_the_schema_takes(path: str, value: Any) -> None:
    tree = mutated(path, value)
    assert [error.message for error in EDITOR.iter_errors(tree)] == []
    assert loads(tree)


@pytest.mark.parametrize(("path", "value"), WRONG, ids=str)
def test_both_refuse_a_mistake_of_structure(path: str, value: Any) -> None:
    tree = mutated(path, value)
    assert not EDITOR.is_valid(tree)
    assert not loads(tree)


@pytest.mark.parametrize("key", REQUIRED)
def test_both_refuse_a_missing_section(key: str) -> None:
    tree = written()
    del tree[key]
    assert not EDITOR.is_valid(tree)
    assert not loads(tree)


def test_an_imported_model_needs_nothing_but_its_file() -> None:
    assert EDITOR.is_valid(mutated("model", {"hf": "config.json"}))
    assert EDITOR.is_valid(mutated("model", {"hf": "config.json", "layers": 4, "precision": "fp8"}))
    assert not EDITOR.is_valid(mutated("model", {"hf": "config.json", "layer": 4}))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_pattern_takes_what_the_reader_of_quantities_takes(dimension: units.Dimension) -> None:
    pattern = re.compile(units.pattern(dimension))
    for example in units.examples(dimension):
        assert pattern.search(example)
        assert units.parse(example, dimension) > 0
        number, unit = example.split()
        for text in (
            number + unit,
            f" {number}  {unit} ",
            f"+{number} {unit}",
            f"1e3 {unit}",
            f".5{unit}",
            f"1_0 {unit}",
        ):
            assert pattern.search(text), text
            assert units.parse(text, dimension) > 0
        for text in (number, unit, f"-{number} {unit}", f"{number} {unit}x", f"1__0 {unit}", f"e3 {unit}", ""):
            assert not pattern.search(text), text
            with pytest.raises(ValueError, match=r"."):
                units.parse(text, dimension)
