"""`--set PATH=VALUE`: one value of a document replaced, sections known by name written out on the way."""

from __future__ import annotations

from simcluster.errors import InputError, Mistake
from simcluster.plan import name as plan_name
from simcluster.scenario import catalogue
from simcluster.scenario.document import Document, Path, Value, dotted, read


def apply(document: Document, assignment: str) -> None:
    """Set `PATH=VALUE` in the document; VALUE is read as YAML.  InputError if it is no assignment or leads nowhere."""
    origin = f"--set {assignment:.80}"
    written, equals, text = assignment.partition("=")
    path: Path = tuple(written.strip().split("."))
    if not equals or not all(path):
        raise InputError(Mistake(what="expected PATH=VALUE, such as plan=EP8_TP1_PP1", origin=origin))
    value = read(text, origin).root
    if not isinstance(document.root, dict):
        return
    node: dict[str, Value] = document.root
    for depth, key in enumerate(path[:-1], start=1):
        child = written_out(path[:depth], node.get(str(key), {}))
        if not isinstance(child, dict):
            what = f"{dotted(path[:depth])} is {child!r:.40}, which has no part {path[depth]}"
            raise InputError(Mistake(what=what, path=dotted(path), origin=origin))
        node[str(key)] = child
        node = child
    if path[0] == "plan" and len(path) == 2:
        node.pop("name", None)
    node[str(path[-1])] = value
    document.places = {place: where for place, where in document.places.items() if place[: len(path)] != path}
    document.places[path] = origin


def written_out(path: Path, value: Value) -> Value:
    """A catalogue name, plan name or precision shorthand as the mapping it stands for, so that its parts can be set."""
    if not isinstance(value, str):
        return value
    try:
        match path:
            case ("cluster",):
                return catalogue.look_up("cluster", value)
            case ("cluster", "gpu"):
                return catalogue.look_up("gpu", value)
            case ("model",):
                return catalogue.look_up("model", value)
            case ("plan",):
                return {part.lower(): degree for part, degree in plan_name.parse(value).items()}
            case ("model", "precision"):
                parts = ("weights", "compute", "attention", "kv_cache", "dispatch")
                return dict.fromkeys(parts, value)
            case _:
                return value
    except ValueError as error:
        raise InputError(Mistake(what=str(error), path=dotted(path))) from None
