"""The wiring as a directed graph: GPUs, NVSwitches, NICs, leaf and spine switches.

Every edge is one direction of a cable.  An edge with a `capacity` (usable bytes/s) is a *wire*: it is shared by the
messages that cross it.  An edge without one (a GPU to its own NIC, whose PCIe bandwidth a scenario does not state)
only connects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from simcluster.cluster.cluster import Cluster

if TYPE_CHECKING:
    Graph = nx.DiGraph[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireClass:
    """A family of wires that a report sums over: `kind` is nvlink, nic or leaf, seen in one `direction`.

    nvlink out/in: GPU to NVSwitch and back.  nic out/in: NIC to its switch and back.  leaf up/down: leaf switch to
    spine and back.
    """

    kind: str
    direction: str


def build(cluster: Cluster) -> Graph:
    """The graph of `cluster`; edge attributes `capacity` (bytes/s) and `wire_class` where the edge is a wire."""
    graph: Graph = nx.DiGraph()
    for node in range(cluster.nodes):
        _add_node(graph, cluster, node)
    if cluster.infiniband is not None and cluster.nodes > 1:
        _add_fabric(graph, cluster)
    return graph


def gpu(node: int, index: int) -> str:
    return f"node{node}.gpu{index}"


def nvswitch(node: int) -> str:
    return f"node{node}.nvswitch"


def nic(node: int, index: int) -> str:
    return f"node{node}.nic{index}"


def _add_node(graph: Graph, cluster: Cluster, node: int) -> None:
    for index in range(cluster.gpus_per_node):
        graph.add_node(gpu(node, index), kind="gpu", node=node)
        if cluster.nvlink is not None:
            graph.add_node(nvswitch(node), kind="nvswitch", node=node)
            _join(
                graph,
                gpu(node, index),
                nvswitch(node),
                cluster.nvlink.usable_bytes_per_s,
                "nvlink",
                ("out", "in"),
            )
        if cluster.infiniband is not None and cluster.nodes > 1:
            own_nic = nic(node, cluster.nic_of_gpu(index))
            graph.add_node(own_nic, kind="nic", node=node)
            graph.add_edge(gpu(node, index), own_nic)
            graph.add_edge(own_nic, gpu(node, index))


def _add_fabric(graph: Graph, cluster: Cluster) -> None:
    infiniband = cluster.infiniband
    assert infiniband is not None
    match infiniband.fabric:
        case "single-switch":
            graph.add_node("switch", kind="leaf")
            for node in range(cluster.nodes):
                for rail in range(infiniband.nics_per_node):
                    _join(graph, nic(node, rail), "switch", infiniband.usable_bytes_per_s, "nic", ("out", "in"))
        case "rail-optimized":
            _add_rails(graph, cluster)


def _add_rails(graph: Graph, cluster: Cluster) -> None:
    """Each NIC index (rail) of a pod of nodes has a leaf of its own; spines join all leaves.

    A leaf's bandwidth towards the spines is that of its NICs divided by the oversubscription, spread evenly over as
    many spines as their ports ask for; a trunk between a leaf and a spine is one wire.
    """
    infiniband = cluster.infiniband
    assert infiniband is not None
    pod_of = [node // infiniband.nodes_per_leaf for node in range(cluster.nodes)]
    rails = infiniband.nics_per_node
    leaves = [(pod, rail) for pod in range(pod_of[-1] + 1) for rail in range(rails)]
    uplinks = sum(pod_of.count(pod) for pod, _ in leaves) / infiniband.oversubscription
    spines = max(1, -int(-uplinks // infiniband.leaf_ports))
    graph.add_nodes_from((f"leaf{pod}.{rail}" for pod, rail in leaves), kind="leaf")
    for node, pod in enumerate(pod_of):
        for rail in range(rails):
            _join(
                graph,
                nic(node, rail),
                f"leaf{pod}.{rail}",
                infiniband.usable_bytes_per_s,
                "nic",
                ("out", "in"),
            )
    if len(leaves) == 1:
        return
    graph.add_nodes_from((f"spine{spine}" for spine in range(spines)), kind="spine")
    for pod, rail in leaves:
        upward = pod_of.count(pod) * infiniband.usable_bytes_per_s / infiniband.oversubscription
        for spine in range(spines):
            _join(graph, f"leaf{pod}.{rail}", f"spine{spine}", upward / spines, "leaf", ("up", "down"))


def _join(graph: Graph, lower: str, upper: str, capacity: float, kind: str, directions: tuple[str, str]) -> None:
    graph.add_edge(lower, upper, capacity=capacity, wire_class=WireClass(kind=kind, direction=directions[0]))
    graph.add_edge(upper, lower, capacity=capacity, wire_class=WireClass(kind=kind, direction=directions[1]))


def wires(graph: Graph) -> Iterator[tuple[str, str, float, WireClass]]:
    """Every wire as (from, to, capacity in bytes/s, class), in the order the graph was built."""
    for tail, head, data in graph.edges(data=True):
        if "capacity" in data:
            yield tail, head, data["capacity"], data["wire_class"]
