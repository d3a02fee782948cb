"""The cluster of a document, alone or beside a plan that says how many nodes it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from simcluster.cluster.cluster import Cluster
from simcluster.errors import InputError, Mistake, nearest
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.profile_file import SUFFIX
from simcluster.scenario import build, catalogue, faults, network, override
from simcluster.scenario.document import Document, Value, read
from simcluster.scenario.graph import read_graph
from simcluster.scenario.hardware import ClusterForm, FaultForm, FaultsForm, GpuForm
from simcluster.scenario.sections import Sections, read_text
from simcluster.scenario.validation import validate


def load_cluster(source: str, gpus: int, overrides: Sequence[str] = (), per_node: int | None = None) -> Cluster:
    """A catalogue cluster with as many nodes as `gpus` need, or the cluster of the scenario file `source`.

    With `per_node`, every node gives only so many.

    InputError lists every mistake, and says if the cluster of a file has fewer GPUs.
    """
    for name, count, least in (("gpus", gpus, 2), ("per_node", per_node, 1)):
        if count is not None and (type(count) is not int or count < least):
            raise InputError(Mistake(what=f"{name} is {count!r}; it must be a whole number, {least} or more"))
    if source in catalogue.names("cluster"):
        document = Document(root={"cluster": source}, origin="--cluster")
    elif Path(source).suffix in (".yaml", ".yml") or (source and Path(source).exists()):
        document = read(read_text(source), source)
    else:
        known = nearest(source, catalogue.names("cluster"))
        what = f"no cluster is called {source!r:.60} in the catalogue{known} (a file's name ends in .yaml)"
        raise InputError(Mistake(what=what))
    for assignment in overrides:
        if assignment.split("=")[0].strip().split(".")[0] not in ("cluster", "faults", "seed"):
            what = "has no effect on a cluster alone; set a path such as cluster.nvlink.bandwidth"
            raise InputError(Mistake(what=what, origin=f"--set {assignment:.80}"))
        override.apply(document, assignment)
    sections = Sections(document)
    root = document.root if isinstance(document.root, dict) else {}
    if "cluster" not in root:
        sections.wrong("cluster", "missing; a scenario describes one")
    needed = gpus if per_node is None else -(-gpus // per_node) * _gpus_per_node(root)
    cluster = read_cluster(sections, {**root, "plan": {"dp": needed}})
    if cluster is not None and cluster.gpus < gpus:
        sections.wrong("cluster", f"has {cluster.gpus:,} GPUs, not {gpus:,}; ask for fewer or set cluster.nodes")
    if sections.mistakes or cluster is None:
        raise InputError(sections.told_once())
    return cluster


def load_gpu(name: str, measured: str | None = None) -> Gpu:
    """A GPU of the catalogue, with the profile `measured` in place of its own; InputError if either is unknown."""
    if not isinstance(name, str):
        raise InputError(Mistake(what=f"{name!r:.60} is no GPU; known: {', '.join(catalogue.names('gpu'))}"))
    return _gpu(name, measured)


@lru_cache(maxsize=64)
def _gpu(name: str, measured: str | None) -> Gpu:
    try:
        tree = catalogue.look_up("gpu", name)
    except ValueError as error:
        raise InputError(Mistake(what=str(error), origin="--gpu")) from None
    if measured is not None:
        tree["profile"] = measured
    form, mistakes = validate(Document(root=tree, origin="--gpu"), (), tree, GpuForm)
    if form is None or mistakes:
        raise InputError(mistakes)
    return build.gpu(form)


def read_cluster(sections: Sections, root: dict[str, Value]) -> Cluster | None:
    """The cluster; a GPU named from the catalogue is written out first."""
    tree, unknown = root.get("cluster"), False
    if isinstance(tree, dict) and isinstance(tree.get("gpu"), str):
        try:
            gpu = override.written_out(("cluster", "gpu"), tree["gpu"])
        except InputError as error:
            sections.wrong("cluster.gpu", error.mistakes[0].what)
            unknown, gpu = True, _any_gpu()  # so that the rest of the section is looked at, too
        tree = {**tree, "gpu": gpu}
    tree = _with_profile(sections, _with_graph(sections, tree))
    form = sections.section({**root, "cluster": tree} if "cluster" in root else root, "cluster", ClusterForm)
    damage = _faults(sections, root)
    if form is None:
        return None
    nodes = form.nodes or _nodes_needed(root, form.gpus_per_node)
    wrong = list(network.cluster_mistakes(form, nodes))
    sections.report(wrong)
    if wrong:
        return None
    cluster = network.cluster(form, nodes)
    streams, wrong = network.background(form, cluster)
    wrong += faults.fault_mistakes(damage, cluster)
    sections.report(wrong)
    slow = faults.slow_gpus(damage, cluster)
    jitter = faults.jitter(damage, sections.seed(root))
    cluster = replace(cluster, background=streams, faults=faults.wires(damage), slow_gpus=slow, jitter=jitter)
    return None if wrong or unknown else cluster


def _any_gpu() -> Value:
    return override.written_out(("cluster", "gpu"), catalogue.names("gpu")[0])


def _with_graph(sections: Sections, tree: Value) -> Value:
    """The cluster with a custom fabric's graph read from its file."""
    infiniband = tree.get("infiniband") if isinstance(tree, dict) else None
    name = infiniband.get("graph") if isinstance(infiniband, dict) else None
    if not isinstance(tree, dict) or not isinstance(infiniband, dict) or not isinstance(name, str):
        return tree
    try:
        graph = read_graph(name, sections.document.origin)
    except ValueError as error:
        sections.wrong("cluster.infiniband.graph", str(error))
        graph = None
    return {**tree, "infiniband": {**infiniband, "graph": graph}}


def _with_profile(sections: Sections, tree: Value) -> Value:
    """The cluster with the file of its GPU's profile found beside the scenario's."""
    gpu = tree.get("gpu") if isinstance(tree, dict) else None
    name = gpu.get("profile") if isinstance(gpu, dict) else None
    if not isinstance(tree, dict) or not isinstance(gpu, dict) or not isinstance(name, str):
        return tree
    if not name.endswith(SUFFIX):
        return tree
    return {**tree, "gpu": {**gpu, "profile": str((Path(sections.document.origin).parent / name).absolute())}}


def _faults(sections: Sections, root: dict[str, Value]) -> list[FaultForm]:
    form, mistakes = validate(sections.document, (), {"faults": root.get("faults") or []}, FaultsForm)
    sections.mistakes += mistakes
    return [] if form is None else form.faults


def _nodes_needed(root: dict[str, Value], gpus_per_node: int) -> int:
    """Nodes for the GPUs the plan asks for, where the cluster does not say."""
    try:
        plan = override.written_out(("plan",), root.get("plan"))
    except InputError:
        return 1
    degrees = {key: value for key, value in plan.items() if isinstance(value, int)} if isinstance(plan, dict) else {}
    return -(-build.gpus_asked_for(root.get("plan"), degrees) // gpus_per_node)


def gpus_as_written(root: dict[str, Value]) -> int | None:
    """The GPU count of a cluster section that has mistakes elsewhere, so that the plan can still be checked."""
    tree = root.get("cluster")
    if not isinstance(tree, dict):
        return None
    nodes, per_node = tree.get("nodes"), tree.get("gpus_per_node")
    if type(nodes) is int and type(per_node) is int and 0 < nodes <= 10**7 and 0 < per_node <= 1024:
        return nodes * per_node
    return None


def _gpus_per_node(root: dict[str, Value]) -> int:
    """Of a cluster section that may be a name; 1 where it does not say."""
    try:
        tree = override.written_out(("cluster",), root.get("cluster"))
    except InputError:
        return 1
    count = tree.get("gpus_per_node") if isinstance(tree, dict) else None
    return count if isinstance(count, int) else 1
