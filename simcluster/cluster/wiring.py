"""The words of the wiring: names of its nodes, classes of its wires, and the cable that joins two nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from simcluster.cluster.cluster import Cluster

if TYPE_CHECKING:
    import networkx as nx

Graph: TypeAlias = "nx.DiGraph[str]"


def empty() -> Graph:
    """A graph without nodes.  networkx takes a fifth of a second to import, and a folded run draws no graph."""
    import networkx as nx

    return nx.DiGraph()


@dataclass(frozen=True, slots=True, kw_only=True)
class WireClass:
    """A family of wires that a report sums over: `kind` is nvlink, pcie, nic, leaf, spine or core, seen in one
    `direction`.

    nvlink out/in: GPU to NVSwitch and back, or GPU to GPU of a mesh (out).  pcie out/in: GPU to the PCIe root and back.
    nic out/in: NIC to its switch and back.  leaf: leaf to spine (up) and back (down), a dragonfly's cables inside a
    group (local), a torus' cables (x+, x-, …).  spine: spine to core and back, a dragonfly's cables between groups
    (global).  core: core to top and back.
    """

    kind: str
    direction: str


def gpu(node: int, index: int) -> str:
    return f"node{node}.gpu{index}"


def nvswitch(cluster: Cluster, node: int) -> str:
    """The NVSwitch of a node, or of the domain of several nodes that it belongs to."""
    if cluster.domain_gpus == cluster.gpus_per_node:
        return f"node{node}.nvswitch"
    return f"domain{node * cluster.gpus_per_node // cluster.domain_gpus}.nvswitch"


def pcie_root(node: int) -> str:
    return f"node{node}.pcie"


def nic(node: int, index: int) -> str:
    return f"node{node}.nic{index}"


def join(
    graph: Graph,
    lower: str,
    upper: str,
    capacity: float,
    kind: str,
    directions: tuple[str, str],
    latency_s: float | None = None,
) -> None:
    """Both directions of a cable; where the two are joined already, the capacities add up."""
    for tail, head, direction in ((lower, upper, directions[0]), (upper, lower, directions[1])):
        before = graph.edges[tail, head]["capacity"] if graph.has_edge(tail, head) else 0.0
        wire_class = WireClass(kind=kind, direction=direction)
        graph.add_edge(tail, head, capacity=before + capacity, wire_class=wire_class, latency=latency_s)
