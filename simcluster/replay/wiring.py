"""The graph of the wires as plain columns, for those who draw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simcluster.cluster.cluster import Cluster
from simcluster.cluster.wiring import gpu
from simcluster.timeline.timeline import Wiring
from simcluster.traffic.crossings import Ints

if TYPE_CHECKING:
    from simcluster.cluster.wiring import Graph


def wiring(graph: Graph, column: Ints) -> Wiring:
    """The graph; its wires, in the graph's order, have their loads in the columns `column`."""
    number = {name: index for index, name in enumerate(graph)}
    edges = [(number[a], number[b], "capacity" in data) for a, b, data in graph.edges(data=True)]
    nodes = [data for _, data in graph.nodes(data=True)]
    return Wiring(
        names=tuple(number),
        kinds=tuple(data["kind"] for data in nodes),
        owner=tuple(data.get("node", -1) for data in nodes),
        stands_for=tuple(data.get("stands_for", 1) for data in nodes),
        cable=np.array([(a, b) for a, b, wire in edges if wire], dtype=np.int64).reshape(-1, 2),
        column=column,
        plain=np.array([(a, b) for a, b, wire in edges if not wire], dtype=np.int64).reshape(-1, 2),
    )


def lowest_ranks(graph: Graph, cluster: Cluster) -> dict[str, int]:
    """The first rank below each node of the graph of a Clos fabric: of those that reach it going upwards only."""
    found: dict[str, int] = {}
    for rank in range(cluster.gpus):
        above = [gpu(*divmod(rank, cluster.gpus_per_node))]
        while above:
            name = above.pop()
            if name not in found:
                found[name] = rank
                above += [head for head, data in graph[name].items() if _upward(graph, head, data)]
    return found


def _upward(graph: Graph, head: str, data: dict[str, Any]) -> bool:
    """Whether an edge leads away from the GPUs: a cable that does, or the plain connection to a NIC."""
    if "capacity" in data:
        return str(data["wire_class"].direction) in ("out", "up")
    return bool(graph.nodes[head]["kind"] == "nic")
