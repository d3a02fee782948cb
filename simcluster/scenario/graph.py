"""A custom fabric: its node-link JSON file, what is wrong with it, and its cables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from simcluster.cluster import topology
from simcluster.cluster.link import Cable
from simcluster.errors import shortened
from simcluster.scenario.build import Wrong
from simcluster.scenario.document import Value
from simcluster.scenario.hardware import GraphForm

LARGEST_FILE = 50_000_000
"""Bytes of a graph file that is read."""


_PART = re.compile(r"(node|domain)\d+\.(gpu\d+|nic\d+|nvswitch|pcie)")


def read_graph(name: str, origin: str) -> Value:
    """The graph in the file `name`, relative to the scenario's file; ValueError if it cannot be read."""
    path = Path(origin).parent / name
    try:
        if not path.is_file():
            raise ValueError(f"{name:.100} is no file that can be read")
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{name} is larger than {LARGEST_FILE:,} bytes")
        tree = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise ValueError(f"{name:.100} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise ValueError(f"{name} is no graph; networkx.node_link_data writes one")
    return tree


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a finite number")


def graph_mistakes(form: GraphForm, nics_per_node: int, nodes: int) -> Wrong:
    """Names that do not exist, cables twice, NICs without a cable, parts that no cable joins."""
    path = "cluster.infiniband.graph"
    nics = [f"node{node}.nic{index}" for node in range(nodes) for index in range(nics_per_node)]
    switches = [node.id for node in form.nodes if node.kind != "nic"]
    if form.multigraph:
        yield f"{path}.multigraph", "parallel cables are not told apart; add their capacities up and write false"
    for name in sorted({name for name in switches if switches.count(name) > 1}):
        yield f"{path}.nodes", f"{name} is there twice"
    for name in sorted(name for name in set(switches) - set(nics) if _PART.fullmatch(name)):
        yield f"{path}.nodes", f"{name} is a part of a node of the cluster; give the switch another name"
    for name in sorted(set(switches) & set(nics)):
        yield f"{path}.nodes", f"{name} is a NIC of the cluster; write kind: nic, or leave it out"
    known = {*nics, *switches}
    for node in form.nodes:
        if node.kind == "nic" and node.id not in known:
            yield f"{path}.nodes", f"{node.id} is no NIC of this cluster; they are {shortened(nics)}"
    seen: set[tuple[str, str]] = set()
    for index, edge in enumerate(form.edges):
        place = f"{path}.edges.{index}"
        for end in dict.fromkeys((edge.source, edge.target)):
            if end not in known:
                yield place, f"{end} is neither a node of the graph nor a NIC; NICs are {shortened(nics)}"
        pairs = [(edge.source, edge.target)] + ([] if form.directed else [(edge.target, edge.source)])
        if edge.source == edge.target:
            yield place, f"joins {edge.source} to itself"
        elif any(pair in seen for pair in pairs):
            yield place, f"{edge.source} and {edge.target} are joined twice; add the capacities up"
        seen.update(pairs)
    plugged = {end for pair in seen for end in pair}
    bare = [name for name in nics if name not in plugged]
    if bare:
        yield path, f"no cable leads to {shortened(bare)}; every NIC of the cluster needs one"
        return
    joined = topology.mutually_reachable(nics[0], seen, frozenset(nics))
    lost = [name for name in nics if name not in joined]
    if lost:
        yield path, f"no cables lead from {nics[0]} to {shortened(lost)} and back; join the parts"


def cables(graph: GraphForm) -> Iterator[Cable]:
    for edge in graph.edges:
        ends = [(edge.source, edge.target)] + ([] if graph.directed else [(edge.target, edge.source)])
        for tail, head in ends:
            yield Cable(tail=tail, head=head, bytes_per_s=edge.capacity, latency_s=edge.latency)
