"""Random clusters of every shape, regular ones among them."""

from __future__ import annotations

import random
from dataclasses import replace

from simcluster.cluster.cluster import Cluster, Routing
from simcluster.cluster.link import Fabric, Pcie
from tests.physics_helpers import ideal_cluster

FABRICS: tuple[Fabric, ...] = ("single-switch", "rail-optimized", "leaf-spine", "fat-tree")
PCIE = Pcie(bytes_per_s=60e9, latency_s=0.0, efficiency=1.0, provenance="datasheet", source="tests")


def random_shape(rng: random.Random, *, even_nics: bool = False) -> Cluster:
    """A cluster without latencies; its nodes fit into its fabric, but may fill it unevenly."""
    per_node = rng.choice([1, 2, 3, 4, 4, 6, 8, 8, 12, 16])
    fits = [n for n in (1, 2, 3, 4, 6, 8, 12, 16) if n <= per_node and (per_node % n == 0 or not even_nics)]
    cluster = ideal_cluster(
        rng.choice([1, 2, 2, 3, 4, 4, 5, 6, 8, 8, 9, 12, 16, 18, 24, 27, 32, 48, 64]),
        per_node,
        nics_per_node=rng.choice(fits),
        fabric=rng.choice(FABRICS),
        leaf_ports=rng.choice([2, 3, 4, 4, 4, 5, 6, 8, 8, 10, 12, 16, 32]),
        oversubscription=rng.choice([1, 1, 1, 1.5, 2, 3, 4 / 3]),
    )
    assert cluster.infiniband is not None
    cluster = replace(cluster, nodes=min(cluster.nodes, cluster.infiniband.largest_nodes or cluster.nodes))
    inside = rng.random()
    if inside < 0.15:
        cluster = replace(cluster, nvlink=None, pcie=PCIE)
    elif inside < 0.3:
        cluster = replace(cluster, pcie=PCIE)
    elif inside < 0.5:
        nodes = rng.choice([part for part in range(1, cluster.nodes + 1) if cluster.nodes % part == 0])
        assert cluster.nvlink is not None
        cluster = replace(cluster, nvlink=replace(cluster.nvlink, domain_gpus=nodes * per_node))
    elif inside < 0.55:
        assert cluster.nvlink is not None
        cluster = replace(cluster, nvlink=replace(cluster.nvlink, topology="mesh"))
    return replace(cluster, routing=Routing(rail_forwarding=rng.random() < 0.3))


def said(cluster: Cluster) -> str:
    """The shape, for a message."""
    infiniband = cluster.infiniband
    assert infiniband is not None
    near = "PCIe" if cluster.nvlink is None else f"NVLink domains of {cluster.domain_gpus}"
    return (
        f"{cluster.nodes} nodes of {cluster.gpus_per_node} GPUs and {infiniband.nics_per_node} NICs, {near}, "
        f"{infiniband.fabric}, {infiniband.leaf_ports} ports, oversubscription {infiniband.oversubscription:g}"
    )
