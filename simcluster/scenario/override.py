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
    node: dict[str, Value] = document.root
    for depth, key in enumerate(path[:-1], start=1):
        try:
            child = _opened(path, depth, node.get(str(key)), document.origin)
        except InputError as error:
            told = ((tuple(mistake.path.split(".")), mistake.what) for mistake in error.mistakes)
            raise InputError(document.mistake(place, what) for place, what in told) from None
        if path[:depth] == ("cluster", "gpu", "efficiency", "compute") and not isinstance(child, dict):
            child = _per_precision(document.root, child)
        if child is None:
            child = {}
            document.places[path[:depth]] = origin
        if not isinstance(child, dict):
            what = f"{dotted(path[:depth])} is {child!r:.40}, which has no part {path[depth]}"
            raise InputError(Mistake(what=what, path=dotted(path), origin=origin))
        node[str(key)] = child
        node = child
    if path[0] == "plan" and len(path) == 2:
        node.pop("name", None)
    if path[:2] == ("cluster", "gpu") and path[2:3] in REPLACING_PROFILE and node.get(str(path[-1])) != found.root:
        _gpu_tree(document.root).pop("profile", None)
    node[str(path[-1])] = found.root
    document.places = {place: where for place, where in document.places.items() if place[: len(path)] != path}
    document.places[path] = origin


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
