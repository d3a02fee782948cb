"""The whole document as one form: what an editor is told of a scenario file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args

from pydantic import Field, StringConstraints

from simcluster import units
from simcluster.audit.expectation import LONGEST
from simcluster.kernels import Precision
from simcluster.plan.name import PARTS
from simcluster.scenario import catalogue, library
from simcluster.scenario.forms import Form, Name
from simcluster.scenario.hardware import ClusterForm, FaultForm
from simcluster.scenario.schema import ExecutionForm, ModelForm, PlanForm, WorkloadForm
from simcluster.scenario.sections import SEEDS
from simcluster.scenario.uncertainty import UncertaintyForm

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Tree = dict[str, Any]
Claim = Annotated[str, StringConstraints(max_length=LONGEST, pattern=r"^\s*[A-Za-z_][\w.]*\s*(==|<=|>=|<|>)\s*\S.*$")]


class ScenarioForm(Form):
    """A scenario of simcluster: a cluster, a model, a plan and a workload, and what somebody claims about them."""

    name: Name = Field("scenario", description="What tables and figures call it.")
    cluster: ClusterForm = Field(description="The machine: a cluster of the catalogue by name, or written out.")
    model: ModelForm = Field(description="A model of the catalogue by name, written out, or {hf: config.json}.")
    plan: PlanForm = Field(description="How the model is cut: a name such as EP64_TP2_PP1, or degrees.")
    execution: ExecutionForm = Field(ExecutionForm(), description="How the plan is run.")
    workload: WorkloadForm = Field(description="What the model is asked to do.")
    expect: list[Claim] | None = Field(
        None, description="Claims such as mfu >= 0.4, each confirmed or refuted by `check`.", examples=[["mfu >= 0.4"]]
    )
    faults: list[FaultForm] | None = Field(None, description="Slow GPUs, degraded wires, jitter.")
    seed: Annotated[int, Field(ge=0, lt=SEEDS)] = Field(0, description="Of everything drawn at random.")
    uncertainty: UncertaintyForm = Field(UncertaintyForm(), description="How far inputs may be off.")


def schema() -> Tree:
    """The JSON Schema of a file, short forms included; titles, descriptions and defaults as a user writes them."""
    tree: Tree = ScenarioForm.model_json_schema()
    forms: Tree = {name.removesuffix("Form"): form for name, form in tree.pop("$defs").items()}
    forms["ImportedModel"] = _imported(forms["Model"])
    for form in [tree, *forms.values()]:
        form["description"] = " ".join(inspect.cleandoc(form.get("description", "")).split())
        for key, field in form["properties"].items():
            field["title"] = key.replace("_", " ")
            _show_default(field)
    tree["title"] = "simcluster scenario"
    for name, form in forms.items():
        form["title"] = name
    whole = {"Scenario": tree, **forms}
    for (form_name, key), short in _SHORT.items():
        field = whole[form_name]["properties"][key]
        written = {name: field.pop(name) for name in ("$ref", "anyOf", "type", "additionalProperties") if name in field}
        field["anyOf"] = [*short(), *written.pop("anyOf", []), *([written] if written else [])]
    forms["Cluster"]["properties"]["library"]["anyOf"] = [{"enum": list(library.names())}, {"type": "null"}]
    forms["ExpertLoad"]["patternProperties"] = {"^(0|[1-9][0-9]{0,19})$": {"type": "number", "minimum": 0}}
    for node in _nodes({**tree, "$defs": forms}):
        if "$ref" in node:
            node["$ref"] = node["$ref"].removesuffix("Form")
    return {"$schema": DIALECT, **tree, "$defs": forms}


def _imported(model: Tree) -> Tree:
    """A model from a Hugging Face config.json; every other key stands in place of the file's."""
    file = {"type": "string", "minLength": 1, "description": "The config.json, relative to the scenario's folder."}
    properties = {"hf": file, **{key: dict(field) for key, field in model["properties"].items()}}
    about = "A model from a Hugging Face config.json; keys beside `hf` stand in place of the file's."
    return {**model, "description": about, "properties": properties, "required": ["hf"]}


def _names(section: catalogue.Section) -> Callable[[], list[Tree]]:
    return lambda: [{"enum": list(catalogue.names(section))}]


def _precisions() -> list[Tree]:
    return [{"enum": list(get_args(Precision))}]


def _plan_names() -> list[Tree]:
    part = f"({'|'.join(PARTS)})[0-9]{{1,8}}"
    return [{"type": "string", "pattern": f"^{part}(_{part})*$", "examples": ["EP64_TP2_PP1", "TP8_PP4"]}]


def _efficiency() -> list[Tree]:
    return [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}]


_SHORT: dict[tuple[str, str], Callable[[], list[Tree]]] = {
    ("Scenario", "cluster"): _names("cluster"),
    ("Cluster", "gpu"): _names("gpu"),
    ("Scenario", "model"): lambda: [*_names("model")(), {"$ref": "#/$defs/ImportedModel"}],
    ("Scenario", "plan"): _plan_names,
    ("Model", "precision"): _precisions,
    ("ImportedModel", "precision"): _precisions,
    ("Efficiency", "compute"): _efficiency,
    ("Workload", "batch"): lambda: [{"type": "integer", "minimum": 1, "maximum": 10_000_000}],
    ("Workload", "expert_load"): lambda: [{"const": "uniform"}],
    ("InfiniBand", "graph"): lambda: [{"type": "string", "minLength": 1}],
}
"""Short forms, by form and key, of what a form has written out; the loader writes them out before it checks."""


def _show_default(field: Tree) -> None:
    """A default as a file has it: a quantity with its unit, and nothing where leaving it out means something else."""
    default = field.get("default")
    kinds = [field, *field.get("anyOf", [])]
    dimension = next((_DIMENSIONS[kind["pattern"]] for kind in kinds if kind.get("pattern") in _DIMENSIONS), None)
    if dimension is not None and isinstance(default, float):
        field["default"] = units.format_exact(default, dimension)
    elif default is None:
        field.pop("default", None)
    elif isinstance(default, dict):
        field["default"] = {key: value for key, value in default.items() if value not in (None, [])}


_DIMENSIONS: dict[str, units.Dimension] = {
    units.pattern(dimension): dimension for dimension in ("bytes", "seconds", "bytes/s", "FLOP/s", "watts", "USD/h")
}


def _nodes(node: object) -> Iterator[Tree]:
    """Every mapping in a tree."""
    if isinstance(node, dict):
        yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _nodes(child)
