"""`--set PATH=VALUE`: one value of a document replaced, sections known by name written out on the way."""

from __future__ import annotations

from simcluster.errors import InputError, Mistake
from simcluster.plan import name as plan_name
from simcluster.scenario import catalogue
from simcluster.scenario.document import DEEPEST, Document, Path, Value, dotted, read
from simcluster.scenario.hardware import DEFAULT_COMPUTE_EFFICIENCY
from simcluster.scenario.schema import PRECISION_PARTS

REPLACING_PROFILE = (("efficiency",), ("launch_overhead",))
"""Keys of a GPU that say themselves what its measured profile says; another value takes the profile away."""

LISTS: tuple[Path, ...] = (("faults",), ("expect",), ("cluster", "background"))
"""What is a list, which a path into it may begin."""

LONGEST_PATH = 200
"""Characters of the longest path that is looked at."""


def apply(document: Document, assignment: str) -> None:
    """Set `PATH=VALUE` in the document; VALUE is read as YAML.  InputError if it is no assignment or leads nowhere."""
    origin = f"--set {assignment}" if len(assignment) <= 80 else f"--set {assignment:.77}…"
    written, equals, text = assignment.partition("=")
    path: Path = tuple(written.strip().split("."))
    if not equals or not all(path) or len(path) > DEEPEST or len(written) > LONGEST_PATH:
        raise InputError(Mistake(what="expected PATH=VALUE, such as plan=EP8_TP1_PP1", origin=origin))
    found = read(text, origin)
    if found.mistakes:
        raise InputError(Mistake(what=mistake.what, path=dotted(path), origin=origin) for mistake in found.mistakes)
    if not isinstance(document.root, dict):
        return
    node: dict[str, Value] | list[Value] = document.root
    for depth in range(1, len(path)):
        key = path[depth - 1]
        try:
            child = _opened(path, depth, _part(node, key), document.origin)
        except InputError as error:
            told = ((tuple(mistake.path.split(".")), mistake.what) for mistake in error.mistakes)
            raise InputError(document.mistake(place, what) for place, what in told) from None
        if path[:depth] == ("cluster", "gpu", "efficiency", "compute") and not isinstance(child, dict):
            child = _per_precision(document.root, child)
        if child is None:
            child = [] if path[:depth] in LISTS else {}
            document.places[path[:depth]] = origin
        if isinstance(child, list):
            path = (*path[:depth], _index(child, path, depth, origin), *path[depth + 1 :])
        elif not isinstance(child, dict):
            what = f"{dotted(path[:depth])} is {child!r:.40}, which has no part {path[depth]}"
            raise InputError(Mistake(what=what, path=dotted(path), origin=origin))
        _put(node, key, child)
        node = child
    if path[0] == "plan" and len(path) == 2 and isinstance(node, dict):
        node.pop("name", None)
    if path[:2] == ("cluster", "gpu") and path[2:3] in REPLACING_PROFILE and _part(node, path[-1]) != found.root:
        _gpu_tree(document.root).pop("profile", None)
    _put(node, path[-1], found.root)
    document.places = {place: where for place, where in document.places.items() if place[: len(path)] != path}
    document.places[path] = origin


def _part(node: dict[str, Value] | list[Value], key: str | int) -> Value:
    """What stands there, None where nothing does."""
    if isinstance(node, list):
        return node[int(key)] if int(key) < len(node) else None
    return node.get(str(key))


def _put(node: dict[str, Value] | list[Value], key: str | int, value: Value) -> None:
    if isinstance(node, dict):
        node[str(key)] = value
    elif int(key) < len(node):
        node[int(key)] = value
    else:
        node.append(value)


def _index(items: list[Value], path: Path, depth: int, origin: str) -> int:
    """The part of the path that counts a list's entries from 0; the one after the last is a new one."""
    text, name = str(path[depth]), dotted(path[:depth])
    if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= len(items):
        return int(text)
    there = f"0 to {len(items) - 1}, or {len(items)} for a new one" if items else "0 for a new one"
    what = f"{name} is a list, which has no entry {text:.40}; count its entries from 0: {there}"
    raise InputError(Mistake(what=what, path=dotted(path), origin=origin))


def _opened(path: Path, depth: int, value: Value, origin: str) -> Value:
    """What stands at `path[:depth]`, written out; but another file to import from replaces what was imported."""
    if path == ("model", "hf"):
        return value if isinstance(value, dict) else {}
    return written_out(path[:depth], value, origin)


def _gpu_tree(root: dict[str, Value]) -> dict[str, Value]:
    """The GPU's mapping, which is there once a part of it was set."""
    cluster = root["cluster"]
    gpu = cluster["gpu"] if isinstance(cluster, dict) else None
    assert isinstance(gpu, dict)
    return gpu


def _per_precision(root: dict[str, Value], compute: Value) -> Value:
    """One compute efficiency, or the default, as one for each precision that has a peak."""
    cluster = root.get("cluster")
    gpu = cluster.get("gpu") if isinstance(cluster, dict) else None
    peak = gpu.get("peak") if isinstance(gpu, dict) else None
    if not isinstance(peak, dict):
        return compute
    return dict.fromkeys(peak, DEFAULT_COMPUTE_EFFICIENCY if compute is None else compute)


def written_out(path: Path, value: Value, origin: str = "") -> Value:
    """A catalogue name, plan name, imported model or precision shorthand as the mapping it stands for, so that its
    parts can be set.

    A file to import is looked for beside the file `origin`.  A plan name's DP is left out: it counts replicas in one
    reading and attention ranks in the other, and follows from the other degrees in both.
    """
    if path == ("model",) and isinstance(value, dict) and "hf" in value:
        from simcluster.scenario.hf.config import import_model  # its forms take 50 ms, and few scenarios have one

        return import_model(value, origin)
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
                parts = plan_name.parse(value)
                return {part.lower(): degree for part, degree in parts.items() if part != "DP"}
            case ("workload", "expert_load"):
                return {} if value == "uniform" else value
            case ("model", "precision"):
                return dict.fromkeys(PRECISION_PARTS, value)
            case _:
                return value
    except ValueError as error:
        raise InputError(Mistake(what=str(error), path=dotted(path))) from None
