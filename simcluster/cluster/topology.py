"""The wiring as a directed graph: GPUs, NVSwitches, PCIe roots, NICs and the switches between them.

Every edge is one direction of a cable.  An edge with a `capacity` (usable bytes/s) is a *wire*: it is shared by the
messages that cross it.  An edge without one only connects: a GPU or PCIe root to its NIC, where a scenario states no
bandwidth.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

from simcluster.cluster import fabrics, wiring
from simcluster.cluster.cluster import Cluster, Fault
from simcluster.cluster.wiring import WireClass, gpu, join, nic, nvswitch, pcie_root

if TYPE_CHECKING:
    import networkx as nx

    from simcluster.cluster.wiring import Graph


def build(cluster: Cluster) -> Graph:
    """The graph of `cluster`; edges that are wires have `capacity` (bytes/s), `wire_class` and `latency` (s, None)."""
    graph = wiring.empty()
    for node in range(cluster.nodes):
        _add_node(graph, cluster, node)
    if cluster.uses_nics:
        fabrics.add(graph, cluster)
    for fault in cluster.faults:
        _damage(graph, fault)
    return graph


def _add_node(graph: Graph, cluster: Cluster, node: int) -> None:
    gpus = [gpu(node, index) for index in range(cluster.gpus_per_node)]
    for index, name in enumerate(gpus):
        graph.add_node(name, kind="gpu", node=node)
        if cluster.nvlink is not None and cluster.nvlink.topology == "nvswitch":
            switch = nvswitch(cluster, node)
            if switch not in graph:
                graph.add_node(switch, kind="nvswitch", node=node)
            join(graph, name, switch, cluster.nvlink.usable_bytes_per_s, "nvlink", ("out", "in"))
        if cluster.pcie is not None:
            graph.add_node(pcie_root(node), kind="pcie", node=node)
            join(graph, name, pcie_root(node), cluster.pcie.usable_bytes_per_s, "pcie", ("out", "in"))
        if cluster.uses_nics:
            own_nic = nic(node, cluster.nic_of_gpu(index))
            graph.add_node(own_nic, kind="nic", node=node)
            near = name if cluster.pcie is None else pcie_root(node)
            graph.add_edge(near, own_nic)
            graph.add_edge(own_nic, near)
    if cluster.nvlink is not None and cluster.nvlink.topology == "mesh" and len(gpus) > 1:
        each = cluster.nvlink.usable_bytes_per_s / (len(gpus) - 1)
        for one, other in combinations(gpus, 2):
            join(graph, one, other, each, "nvlink", ("out", "out"))


def _damage(graph: Graph, fault: Fault) -> None:
    """Both directions of a cable, or every wire of a NIC, keep `factor` of their capacity; dead ones are taken out."""
    if len(fault.ends) == 1:
        (end,) = fault.ends
        cables = [*graph.out_edges(end), *graph.in_edges(end)]
        edges = [edge for edge in cables if "capacity" in graph.edges[edge]]
    else:
        edges = [edge for edge in (fault.ends, fault.ends[::-1]) if graph.has_edge(*edge)]
    for edge in edges:
        if fault.factor == 0:
            graph.remove_edge(*edge)
        else:
            graph.edges[edge]["capacity"] *= fault.factor


def mutually_reachable(name: str, cables: Iterable[tuple[str, str]], ends: Collection[str]) -> set[str]:
    """What one can go to from `name`, and come back from, along directed cables; `ends` pass nothing on."""
    import networkx as nx

    listed = list(cables)
    there: nx.DiGraph[Any] = nx.DiGraph([cable for cable in listed if cable[0] == name or cable[0] not in ends])
    back: nx.DiGraph[Any] = nx.DiGraph([cable for cable in listed if cable[1] == name or cable[1] not in ends])
    for graph in (there, back):
        graph.add_node(name)
    return {name} | (nx.descendants(there, name) & nx.ancestors(back, name))


def wires(graph: Graph) -> Iterator[tuple[str, str, float, WireClass]]:
    """Every wire as (from, to, capacity in bytes/s, class), in the order the graph was built."""
    for tail, head, data in graph.edges(data=True):
        if "capacity" in data:
            yield tail, head, data["capacity"], data["wire_class"]
