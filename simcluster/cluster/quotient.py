"""The folded graph of a regular cluster: one node for each kind of node, one edge for each class of wires."""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING

from simcluster.cluster import fabrics, wiring
from simcluster.cluster.clos import Clos

if TYPE_CHECKING:
    from simcluster.cluster.wiring import Graph


def folded_graph(clos: Clos) -> Graph:
    """Nodes and edges carry `stands_for`, how many they stand for, and the names of the first of these.

    Nodes come in the order in which topology.build comes upon the first of their kind, and wires in that of
    `clos.families`.
    """
    cluster, infiniband = clos.cluster, clos.cluster.infiniband
    graph = wiring.empty()
    gpu, nic = wiring.gpu(0, 0), wiring.nic(0, 0)
    graph.add_node(gpu, kind="gpu", node=0, stands_for=cluster.gpus)
    if cluster.nvlink is not None and cluster.nvlink.topology == "nvswitch":
        switch = wiring.nvswitch(cluster, 0)
        graph.add_node(switch, kind="nvswitch", node=0, stands_for=ceil(cluster.gpus / cluster.domain_gpus))
        _join(graph, gpu, switch, clos, "nvlink")
    if cluster.pcie is not None:
        graph.add_node(wiring.pcie_root(0), kind="pcie", node=0, stands_for=cluster.nodes)
        _join(graph, gpu, wiring.pcie_root(0), clos, "pcie")
    if not cluster.uses_nics or infiniband is None:
        return graph
    near = gpu if cluster.pcie is None else wiring.pcie_root(0)
    graph.add_node(nic, kind="nic", node=0, stands_for=cluster.nodes * infiniband.nics_per_node)
    graph.add_edges_from([(near, nic), (nic, near)])
    below = {"single-switch": "switch", "rail-optimized": "leaf0.0"}.get(infiniband.fabric, "leaf0")
    graph.add_node(below, kind="leaf", stands_for=clos.leaves)
    _join(graph, nic, below, clos, "nic")
    kinds = fabrics.levels(infiniband)
    for height, level in enumerate(clos.levels):
        last = height == len(clos.levels) - 1
        above = kinds[height + 1] + "0." * height + ("0" if last else "0.0")
        planes = prod(one.fan for one in clos.levels[: height + 1])
        graph.add_node(above, kind=kinds[height + 1], stands_for=planes * (1 if last else clos.leaves // level.pod))
        _join(graph, below, above, clos, level.kind)
        below = above
    return graph


def _join(graph: Graph, lower: str, upper: str, clos: Clos, kind: str) -> None:
    """Both directions of a class of cables."""
    out, back = (family for family in clos.families if family.wire_class.kind == kind)
    for tail, head, family in ((lower, upper, out), (upper, lower, back)):
        graph.add_edge(
            tail, head, capacity=family.capacity, wire_class=family.wire_class, latency=None, stands_for=family.count
        )
