"""docs/reference/scenario.md: every key of a scenario, from the forms that read it."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from inspect import getdoc
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from simcluster.kernels import BYTES_PER_ELEMENT, Precision
from simcluster.program.program import ALGORITHMS
from simcluster.scenario import catalogue, forms, library, schema
from simcluster.scenario.forms import Form
from simcluster.scenario.hardware import ClusterForm, FaultForm
from simcluster.scenario.schema import ExecutionForm, ModelForm, PlanForm, WorkloadForm
from simcluster.scenario.uncertainty import UncertaintyForm
from simcluster.scenario.whole import ScenarioForm
from simcluster.units import Dimension, format_exact
from tools.reference.table import cell, table

SECTIONS: Mapping[str, type[Form]] = {
    "cluster": ClusterForm,
    "model": ModelForm,
    "plan": PlanForm,
    "execution": ExecutionForm,
    "workload": WorkloadForm,
    "faults[]": FaultForm,
    "uncertainty": UncertaintyForm,
}
"""The sections that are forms, in the order of the page."""

QUANTITIES: tuple[tuple[Any, str], ...] = (
    (forms.Bytes, "a size, such as `64 GB` or `60 GiB`"),
    (forms.PositiveBytes, "a size above 0, such as `64 GB` or `60 GiB`"),
    (forms.Seconds, "a time, such as `3 us`"),
    (forms.Bandwidth, "a rate above 0, such as `450 GB/s` or `400 Gbit/s`"),
    (forms.Peak, "a rate above 0, such as `400 TFLOPS`"),
    (forms.Watts, "a power, such as `100 W`"),
    (forms.PositiveWatts, "a power above 0, such as `700 W`"),
    (forms.Price, "a price above 0, such as `2.50 USD/h`"),
    (schema.ExpertIndex, "an expert's index"),
    (schema.DenseLayers, "a whole number from 0, or a list of them"),
    (schema.Placement, "a list of `tp`, `cp`, `dp`, `pp`, each once"),
)
"""Types whose values are read by a function of their own, and how such a value is written."""

COLUMNS = ("key", "value", "default", "meaning")

VALUES: dict[str, str] = {
    "ScenarioForm.cluster": "a name of the [catalogue](#names-of-the-catalogue) or a mapping",
    "ScenarioForm.model": "a name of the [catalogue](#names-of-the-catalogue), `{hf: config.json}` or a mapping",
    "ScenarioForm.plan": "a name such as `EP8_TP2_PP1`, or a mapping",
    "ScenarioForm.expect": "a list of `METRIC OPERATOR VALUE`, the operator one of `==`, `<=`, `>=`, `<`, `>`",
    "ClusterForm.gpu": "a catalogue name or a mapping",
    "ClusterForm.library": "a name of the [catalogue](#names-of-the-catalogue)",
    "InfiniBandForm.graph": "a file's name or a mapping",
    "EfficiencyForm.compute": "a number above 0 to 1, or a mapping from number types to such numbers",
    "ModelForm.precision": "a [number type](#number-types) or a mapping",
    "WorkloadForm.batch": "a whole number from 1 or a mapping",
    "WorkloadForm.expert_load": "`uniform` or a mapping",
}
"""How a value is written, where a form also takes something shorter than itself."""

DEFAULTS: dict[str, str] = {
    "ScenarioForm.uncertainty": "by hardware",
    "GpuForm.efficiency": "all defaults",
    "EfficiencyForm.compute": "`0.75`",
    "FaultForm.factor": "required, not beside `jitter`",
}
"""Defaults that a form fills in by itself."""

FRONT = """# Every key of a scenario

A scenario is one YAML file. `simcluster show FILE` prints it with every default filled in, and that output is a
scenario with the same result. `--set PATH=VALUE` changes one value by its path, such as `--set cluster.nodes=8`;
items of a list are counted from 0 (`faults.0.factor`).

Every dimensional value carries its unit: sizes in `B`, `kB` … `EB` or `KiB` … `EiB`; times in `s`, `ms`, `us`, `ns`;
bandwidths in bytes (`GB/s`) or bits (`Gbit/s`) per second; peaks in `TFLOPS`; power in `W`; prices in `USD/h`. A bare
number where a unit is needed is a mistake, and the message shows how to write it. Unknown keys are mistakes, too; all
mistakes of a file are told at once, with line and column.

This page is written by `python -m tools.reference` from the forms in `simcluster/scenario/`.

"""


def page() -> str:
    """The whole page."""
    parts = [FRONT, table(COLUMNS, (_row(ScenarioForm, name, name) for name in ScenarioForm.model_fields))]
    for path, form in SECTIONS.items():
        parts += _section(path, form, 2)
    return "\n".join([*parts, *_choices()]).rstrip() + "\n"


def _choices() -> Iterator[str]:
    """Names that several keys share: number types, algorithms, the catalogue."""
    sizes = [(f"`{name}`", f"{size:g} B") for name, size in BYTES_PER_ELEMENT.items()]
    yield f"\n## Number types\n\nStorage of an element, scales of blocks included.\n\n{table(('type', 'bytes'), sizes)}"
    kinds = [(f"`{kind}`", _listed(names)) for kind, names in ALGORITHMS.items()]
    words = (
        "Left out or `auto`: what the library's tuner takes where the cluster has a `library`; else switches that add, "
        "or the first of the row."
    )
    yield f"\n## Algorithms\n\n{words}\n\n{table(('collective', 'algorithms'), kinds)}"
    sections: tuple[catalogue.Section, ...] = ("gpu", "cluster", "model")
    known = [*((section, catalogue.names(section)) for section in sections), ("library", library.names())]
    named = [(section, _listed(names)) for section, names in known]
    yield f"\n## Names of the catalogue\n\n{table(('section', 'names'), named)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def every_key() -> Iterator[tuple[str, type[Form], str]]:
    """Every key as (path, form, field)."""
    yield from ((name, ScenarioForm, name) for name in ScenarioForm.model_fields)
    for path, form in SECTIONS.items():
        yield from _keys(path, form)


def _keys(path: str, form: type[Form]) -> Iterator[tuple[str, type[Form], str]]:
    for name, field in form.model_fields.items():
        place = f"{path}.{field.alias or name}"
        yield place, form, name
        inner, suffix = _inner(field)
        if inner is not None:
            yield from _keys(place + suffix, inner)


def _section(path: str, form: type[Form], level: int) -> Iterator[str]:
    """The heading, the form's own words, a table of its keys; then the forms inside it."""
    title = path.removesuffix("[]") if level == 2 else f"`{path}`"
    yield f"\n{'#' * level} {title}\n"
    words = " ".join((getdoc(form) or "").split()) if "__doc__" in vars(form) and form.__doc__ else ""
    if words:
        yield f"{words.split('; see ')[0].rstrip('.')}.\n"
    if path == "uncertainty":
        yield "A factor f says that the true value lies between value / f and value x f, log-uniform; 1 is certain.\n"
    yield table(
        COLUMNS, (_row(form, name, f"{path}.{field.alias or name}") for name, field in form.model_fields.items())
    )
    for name, field in form.model_fields.items():
        inner, suffix = _inner(field)
        if inner is not None:
            yield from _section(f"{path}.{field.alias or name}{suffix}", inner, 3)


def _row(form: type[Form], name: str, path: str) -> tuple[str, ...]:
    """A key's row, with the way to the section of the form that it holds."""
    field, place = form.model_fields[name], f"{form.__name__}.{name}"
    inner, suffix = _inner(field)
    value = VALUES.get(place) or _value(field.annotation, tuple(field.metadata))
    more = "" if inner is None else f" See [{path.replace('[]', '')}](#{_anchor(path + suffix)})."
    meaning = cell(f"{field.description or ''}{more}")
    return f"`{field.alias or name}`", value, DEFAULTS.get(place) or _default(field), meaning


def _anchor(path: str) -> str:
    """The heading's id, as Python-Markdown makes it."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "_-")


def _inner(field: FieldInfo) -> tuple[type[Form] | None, str]:
    """The form that a key's value is, or is a list of."""
    for option in _options(field.annotation):
        if isinstance(option, type) and issubclass(option, Form):
            return option, ""
        if get_origin(option) is list:
            (one,) = get_args(option)
            if isinstance(one, type) and issubclass(one, Form):
                return one, "[]"
    return None, ""


def _options(annotation: Any) -> tuple[Any, ...]:
    """The members of a union without None, or the type itself."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(one for one in get_args(annotation) if one is not types.NoneType)
    return (annotation,)


def _value(annotation: Any, bounds: tuple[Any, ...] = ()) -> str:
    """How a value is written, in words."""
    quantity = _quantity(bounds)
    if quantity:
        return quantity
    return " or ".join(dict.fromkeys(_one(option, bounds) for option in _options(annotation)))


def _one(kind: Any, bounds: tuple[Any, ...]) -> str:
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        return _value(inner, tuple(more))
    if get_origin(kind) is Literal:
        known = get_args(kind)
        return (
            "a [number type](#number-types)" if known == get_args(Precision) else ", ".join(f"`{one}`" for one in known)
        )
    if get_origin(kind) is list:
        return f"a list; each {_value(*get_args(kind))}"
    if get_origin(kind) is dict:
        key, value = get_args(kind)
        if set(get_args(key)) == set(ALGORITHMS):
            return "a mapping from a kind of collective to " + _value(value)
        return f"a mapping from {_value(key)} to {_value(value)}"
    if isinstance(kind, type) and issubclass(kind, Form):
        return "a mapping"
    words = {bool: "`true` or `false`", str: "one line of text", object: "anything"}
    return words[kind] if kind in words else _number(kind, bounds)


def _quantity(bounds: tuple[Any, ...]) -> str:
    for known, words in QUANTITIES:
        if bounds and known.__metadata__[0] is bounds[0]:
            return words
    return ""


def _number(kind: type, bounds: tuple[Any, ...]) -> str:
    """A number between its bounds, which pydantic keeps in nested lists."""
    limits = [one for bound in bounds for one in getattr(bound, "metadata", [bound])]
    told = ["a whole number" if kind is int else "a number"]
    for bound in limits:
        match bound:
            case Ge(ge=least):
                told.append(f"from {least:,}")
            case Gt(gt=least):
                told.append(f"above {least:,}")
            case Le(le=most):
                told.append(f"to {most:,.10g}")
            case Lt(lt=most):
                told.append("below 2^63" if most == 2**63 else f"below {most:,}")
            case _:
                continue  # lengths of texts and lists
    return " ".join(told)


def _default(field: FieldInfo) -> str:
    """The default as a file would have it."""
    if field.is_required():
        return "required"
    default: Any = field.get_default(call_default_factory=True)
    match default:
        case None:
            return "left out"
        case bool():
            return f"`{str(default).lower()}`"
        case Form():
            return "all defaults"
        case [] | {}:
            return "none"
        case list():
            return f"`[{', '.join(map(str, default))}]`"
        case _:
            return f"`{_with_unit(default, field)}`"


def _with_unit(default: Any, field: FieldInfo) -> str:
    """A time or a size with its unit; another value as it is."""
    known: tuple[tuple[Any, Dimension], ...] = ((forms.Seconds, "seconds"), (forms.Bytes, "bytes"))
    for kind, dimension in known:
        if field.metadata and kind.__metadata__[0] is field.metadata[0]:
            return format_exact(default, dimension)
    return str(default)
