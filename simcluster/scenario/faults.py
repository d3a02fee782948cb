"""The faults of a scenario: wires that lost bandwidth, GPUs that lost speed, jitter, and names of nothing."""

from __future__ import annotations

from collections.abc import Sequence

from simcluster.cluster import topology, wiring
from simcluster.cluster.cluster import Cluster, Fault, Jitter
from simcluster.cluster.wiring import Graph
from simcluster.errors import nearest, shortened
from simcluster.scenario.build import Wrong
from simcluster.scenario.hardware import LEAST_SPEED, FaultForm

Tree = dict[str, object]


def fault_mistakes(forms: Sequence[FaultForm], cluster: Cluster) -> Wrong:
    """Faults that name what the cluster does not have, or what has a fault above already."""
    graph = topology.build(cluster) if any(form.on_wires for form in forms) else None
    named = [(form.on_wires, frozenset(_names(form))) for form in forms]
    for index, form in enumerate(forms):
        wrong = list(
            _wire_mistakes(form, graph)
            if graph is not None and form.on_wires
            else _slow_mistakes(form, cluster)
            if form.jitter is None
            else ()
        )
        if named[index] in named[:index]:
            wrong.insert(0, f"{'–'.join(_names(form))} has a fault above already; write one")
        yield from ((f"faults.{index}", what) for what in wrong)
    for gpu, share in slow_gpus(forms, cluster).items():
        if share < LEAST_SPEED:
            name = wiring.gpu(*divmod(gpu, cluster.gpus_per_node))
            yield "faults", f"{name} keeps {share:g} of its speed in all; it must be at least {LEAST_SPEED:g}"
            return


def wires(forms: Sequence[FaultForm]) -> tuple[Fault, ...]:
    """Cables and NICs that keep a part of their bandwidth."""
    return tuple(Fault(ends=_names(form), factor=form.factor) for form in forms if form.on_wires)


def slow_gpus(forms: Sequence[FaultForm], cluster: Cluster) -> dict[int, float]:
    """GPU number -> share of its speed it keeps, the product of its own factor and its node's; full speed left out."""
    kept: dict[int, float] = {}
    for form in forms:
        if not form.on_wires and form.jitter is None:
            for gpu in _gpus(form, cluster):
                kept[gpu] = kept.get(gpu, 1.0) * form.factor
    return {gpu: share for gpu, share in sorted(kept.items()) if share < 1}


def jitter(forms: Sequence[FaultForm], seed: int) -> Jitter | None:
    """How kernels' times scatter, by the fault's own seed or else `seed`; None where they do not."""
    for form in forms:
        if form.jitter:
            return Jitter(relative=form.jitter, seed=seed if form.seed is None else form.seed)
    return None


def as_tree(cluster: Cluster) -> list[Tree]:
    """The faults as a scenario writes them; equally slow GPUs of a whole node are written as the node."""
    found = [_wire_tree(fault) for fault in cluster.faults]
    slow, per_node = cluster.slow_gpus, cluster.gpus_per_node
    for node in sorted({gpu // per_node for gpu in slow}):
        shares = [slow.get(node * per_node + index, 1.0) for index in range(per_node)]
        if len(set(shares)) == 1:
            found.append({"node": node, "factor": shares[0]})
            continue
        found += [{"gpu": wiring.gpu(node, index), "factor": share} for index, share in enumerate(shares) if share < 1]
    if cluster.jitter is not None:
        found.append({"jitter": cluster.jitter.relative, "seed": cluster.jitter.seed})
    return found


def _wire_tree(fault: Fault) -> Tree:
    end: Tree = {"nic": fault.ends[0]} if len(fault.ends) == 1 else {"link": list(fault.ends)}
    return {**end, "factor": fault.factor}


def _names(form: FaultForm) -> tuple[str, ...]:
    """What a fault is about, in words."""
    if form.node is not None:
        return (f"node {form.node}",)
    if form.jitter is not None:
        return ("jitter",)
    return tuple(form.link or [str(form.gpu if form.nic is None else form.nic)])


def _gpus(form: FaultForm, cluster: Cluster) -> list[int]:
    """The GPUs that a fault slows down; none where its name means none."""
    per_node = cluster.gpus_per_node
    if form.node is not None:
        return list(range(form.node * per_node, (form.node + 1) * per_node)) if form.node < cluster.nodes else []
    node, _, index = str(form.gpu).removeprefix("node").partition(".gpu")
    if not (node.isdecimal() and index.isdecimal()) or wiring.gpu(int(node), int(index)) != form.gpu:
        return []
    inside = int(node) < cluster.nodes and int(index) < per_node
    return [int(node) * per_node + int(index)] if inside else []


def _slow_mistakes(form: FaultForm, cluster: Cluster) -> list[str]:
    if _gpus(form, cluster):
        return []
    if form.node is not None:
        return [f"there is no node {form.node}; {_range('node', '0', str(cluster.nodes - 1))}"]
    last = wiring.gpu(cluster.nodes - 1, cluster.gpus_per_node - 1)
    return [f"there is no GPU {form.gpu!r:.60}; {_range('GPU', wiring.gpu(0, 0), last)}"]


def _range(what: str, first: str, last: str) -> str:
    return f"the {what}s are {first} … {last}" if first != last else f"the only {what} is {first}"


def _wire_mistakes(form: FaultForm, graph: Graph) -> list[str]:
    wrong = [
        f"there is no {name!r:.60}{nearest(name, _alike(graph, name))}" for name in _names(form) if name not in graph
    ]
    if form.nic is not None and form.nic in graph and graph.nodes[form.nic]["kind"] != "nic":
        wrong.append(f"{form.nic} is no NIC; name a cable by its two ends, as in link: [node0.gpu0, …]")
    if form.link is not None and not wrong:
        tail, head = form.link
        if not (graph.has_edge(tail, head) and "capacity" in graph.edges[tail, head]):
            joined = [other for other in graph.successors(tail) if "capacity" in graph.edges[tail, other]]
            wrong.append(f"no cable joins {tail} and {head}; {tail} is joined to {shortened(joined)}")
    return wrong


def _alike(graph: Graph, name: str) -> list[str]:
    """Names of the graph that a wrong one may have meant: those that start alike, or one of every kind."""
    alike = [other for other in graph if other[:4] == name[:4]][:100]
    kinds: dict[str, str] = {}
    for other, data in graph.nodes(data=True):
        kinds.setdefault(data["kind"], other)
    return alike or list(kinds.values())
