"""The graph of the wires as plain columns, for those who draw it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
