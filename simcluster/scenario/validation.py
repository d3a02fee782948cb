"""Checking one section of a document against its form, with every mistake told in a colleague's words."""

from __future__ import annotations

import types
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from simcluster.errors import Mistake, nearest
from simcluster.scenario.document import Document, Path, Value
from simcluster.scenario.forms import Form

F = TypeVar("F", bound=Form)

_EXAMPLES = {"peak": "{fp8: 400 TFLOPS}", "expert_load": "{5: 4, 9: 2}"}
"""Mappings whose keys a form does not list, by their own key."""


def validate(document: Document, path: Path, tree: Value, form: type[F]) -> tuple[F | None, list[Mistake]]:
    """The section as its form, or None, with the mistakes found.

    Unknown keys alone do not hide the section: it is read without them, so that later checks can report too.
    """
    if not isinstance(tree, dict):
        what = f"expected a mapping with {', '.join(form.model_fields)}; got {_shown(tree)}"
        return None, [document.mistake(path, what)]
    try:
        return form.model_validate(tree), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    mistakes = {_mistake(document, path, tree, form, detail): None for detail in details}
    if any(detail["type"] != "extra_forbidden" for detail in details):
        return None, list(mistakes)
    for detail in details:
        tree = _without(tree, _real_path(detail, tree))
    return validate(document, path, tree, form)[0], list(mistakes)


def _mistake(document: Document, base: Path, tree: Value, form: type[Form], detail: ErrorDetails) -> Mistake:
    path = (*base, *_real_path(detail, tree))
    return document.mistake(path, _what(form, detail))


def _real_path(detail: ErrorDetails, tree: Value) -> Path:
    """The error's place as written: parts that pydantic or a shorthand added are left out."""
    path: list[str | int] = []
    node: Value = tree
    last = detail["loc"][-1] if detail["loc"] else None
    for key in detail["loc"]:
        if isinstance(node, dict) and key in node:
            node = node[str(key)]
            path.append(key)
        elif isinstance(node, list) and isinstance(key, int):
            node = node[key]
            path.append(key)
        elif detail["type"] == "missing" and key == last:
            path.append(key)
    return tuple(path)


def _what(form: type[Form], detail: ErrorDetails) -> str:
    got, context = _shown(detail["input"]), detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            known = _keys_at(form, detail["loc"][:-1])
            return f"unknown key{nearest(str(detail['loc'][-1]), known)}"
        case "missing":
            return "missing; it has no default"
        case "value_error":
            return str(context["error"])
        case "int_type" | "int_from_float":
            value = detail["input"]
            if isinstance(value, float) and value.is_integer():
                return f"{got} is not a whole number as written; write {int(value)}"
            return f"expected a whole number, got {got}"
        case "float_type":
            return f"expected a number, got {got}"
        case "bool_type":
            return f"expected true or false, got {got}"
        case "string_type":
            return f"expected text, got {got}; put it in quotes if it is a name"
        case "dict_type" | "model_type":
            for key in detail["loc"][-1:]:
                if key in _EXAMPLES:
                    return f"expected a mapping such as {_EXAMPLES[str(key)]}; got {got}"
            known = _keys_at(form, detail["loc"])
            return f"expected a mapping{' with ' + ', '.join(known) if known else ''}; got {got}"
        case "literal_error":
            return f"{got} is not one of {str(context['expected']).replace(' or ', ', ')}"
        case "greater_than_equal":
            return f"{got} is too small; it must be at least {context['ge']}"
        case "greater_than":
            return f"{got} is too small; it must be more than {context['gt']}"
        case "less_than_equal":
            return f"{got} is too large; it must be at most {context['le']:,}"
        case "less_than":
            return f"{got} is too large; it must be less than {context['lt']}"
        case "list_type":
            return f"expected a list, such as - … or [a, b]; got {got}"
        case "string_too_short" | "too_short":
            return "is empty; write something"
        case _:
            return f"{detail['msg']}, got {got}"


def _keys_at(form: type[BaseModel], path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys the form allows at `path`; empty where it is no mapping of known keys."""
    for key in path:
        if isinstance(key, int):
            continue
        field = form.model_fields.get(str(key))
        inner = _inner_form(field.annotation) if field is not None else None
        if inner is None:
            return ()
        form = inner
    return tuple(field.alias or name for name, field in form.model_fields.items())


def _inner_form(annotation: Any) -> type[BaseModel] | None:
    """The form an annotation stands for, alone, as an option or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inside = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType, list) else ()
    return next((found for option in inside if (found := _inner_form(option)) is not None), None)


def _without(tree: Value, path: Path) -> Value:
    if isinstance(tree, list):
        return [_without(value, path[1:]) if index == path[0] else value for index, value in enumerate(tree)]
    if not isinstance(tree, dict) or not path:
        return tree
    head, rest = str(path[0]), path[1:]
    if not rest:
        return {key: value for key, value in tree.items() if key != head}
    return {key: _without(value, rest) if key == head else value for key, value in tree.items()}


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else text[:37] + "…"
