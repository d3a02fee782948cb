"""Whole all-to-alls and rings on our own fabrics, against SimGrid sending every message of them."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from simcluster.cluster.cluster import Cluster, Routing
from simcluster.cluster.link import Fabric
from simcluster.cluster.routes import Routes
from simcluster.traffic.rings import ring_orders
from tests.physics_helpers import ideal_cluster, run_transfers, traffic
from tests.replay.simgrid_helpers import (
    MISSING,
    RATE,
    Flow,
    ask_simgrid,
    our_ends,
    simgrid_ends,
    simgrid_is_here,
    ways,
)

SIZE = 10**6
"""Bytes of every message: of 16 GPUs the last one arrives after 15 seconds."""

NVLINK_S, NIC_S = 0.0625, 0.125


@pytest.fixture(autouse=True)
def _needs_simgrid() -> None:
    if not simgrid_is_here():
        pytest.skip(MISSING)


def machine(fabric: Fabric, nodes: int, gpus_per_node: int, seed: int, *, latency: bool) -> Cluster:
    """Nodes whose NVLink is eight times a NIC, on a fabric of small switches with one hashed way for every pair."""
    cluster = ideal_cluster(
        nodes,
        gpus_per_node,
        fabric=fabric,
        nvlink=8 * RATE,
        nic=RATE,
        nvlink_latency_s=NVLINK_S if latency else 0.0,
        infiniband_latency_s=NIC_S if latency else 0.0,
        leaf_ports=16,
        oversubscription=2.0,
    )
    return replace(cluster, routing=Routing(seed=seed), sharing="flow")


def links_and_routes(routes: Routes, pairs: list[tuple[int, int]]) -> dict[str, object]:
    found = ways(routes, pairs)
    return {
        "hosts": routes.cluster.gpus,
        "links": routes.capacity.tolist(),
        "routes": [
            {"pair": pair, "latency_s": way.latency_s, "links": way.wires}
            for pair, way in zip(pairs, found, strict=True)
        ],
    }


def all_to_all_ends(cluster: Cluster) -> tuple[float, float]:
    """When a direct all-to-all ends, here and in SimGrid (s)."""
    n, routes = cluster.gpus, Routes(cluster)
    group = tuple(range(n))
    (ours,), network = run_transfers(routes, [(0.0, traffic("all_to_all", group, routes), float(n * SIZE))])
    network.check_conservation(network.loads(), ours)
    pairs = [(a, b) for a in group for b in group if a != b]
    return ours, ask_simgrid("simgrid_collectives.py", {**links_and_routes(routes, pairs), "bytes": SIZE})


def ring_ends(cluster: Cluster) -> tuple[float, float]:
    """When a ring all-reduce ends, here as one pipelined flow a hop and in SimGrid chunk after chunk (s)."""
    n, routes = cluster.gpus, Routes(cluster)
    group = tuple(range(n))
    rings = ring_orders(group, cluster.domain_gpus).tolist()
    payload = n * len(rings) * SIZE
    (ours,), _ = run_transfers(routes, [(0.0, traffic("all_reduce", group, routes), float(payload))])
    hops = sorted({hop for order in rings for hop in pairwise((*order, order[0]))})
    case = {**links_and_routes(routes, hops), "rings": rings, "steps": 2 * (n - 1), "chunk_bytes": SIZE}
    return ours, ask_simgrid("simgrid_collectives.py", case)


SMALL: list[tuple[Fabric, int, int]] = [
    ("single-switch", 16, 1),
    ("rail-optimized", 4, 4),
    ("leaf-spine", 16, 1),
    ("torus-2d", 8, 2),
    ("dragonfly", 16, 1),
    ("single-switch", 64, 1),
]
LARGE: list[tuple[Fabric, int, int]] = [
    ("rail-optimized", 16, 4),
    ("fat-tree", 64, 1),
    ("torus-3d", 64, 1),
    ("dragonfly", 64, 1),
    ("single-switch", 128, 1),
    ("fat-tree", 128, 1),
]
"""Fabric, nodes, GPUs a node."""


@pytest.mark.simgrid
@pytest.mark.parametrize(("fabric", "nodes", "gpus_per_node"), SMALL)
def test_an_all_to_all_of_flows_ends_when_simgrid_says(fabric: Fabric, nodes: int, gpus_per_node: int) -> None:
    ours, theirs = all_to_all_ends(machine(fabric, nodes, gpus_per_node, nodes, latency=False))
    assert ours == pytest.approx(theirs, rel=1e-9, abs=0)


@pytest.mark.simgrid
@pytest.mark.exhaustive
@pytest.mark.parametrize(("fabric", "nodes", "gpus_per_node"), LARGE)
def test_an_all_to_all_of_flows_on_a_large_fabric_ends_when_simgrid_says(
    fabric: Fabric, nodes: int, gpus_per_node: int
) -> None:
    ours, theirs = all_to_all_ends(machine(fabric, nodes, gpus_per_node, nodes, latency=False))
    assert ours == pytest.approx(theirs, rel=1e-9, abs=0)


@pytest.mark.simgrid
@pytest.mark.parametrize("fabric", ["leaf-spine", "torus-2d", "dragonfly"])
def test_each_message_of_an_all_to_all_ends_when_simgrid_says(fabric: Fabric) -> None:
    """Sixteen GPUs, every message a transfer of its own, sizes drawn."""
    rng = random.Random(7)
    routes = Routes(machine(fabric, 16, 1, 3, latency=True))
    pairs = [(a, b) for a in range(16) for b in range(16) if a != b]
    flows = [Flow(sender=a, receiver=b, start=0.0, bytes=rng.randint(SIZE // 2, 2 * SIZE)) for a, b in pairs]
    found = ways(routes, pairs)
    expected = simgrid_ends(routes.capacity.tolist(), found, flows)
    assert our_ends(routes, found, flows) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.simgrid
@pytest.mark.parametrize(
    ("fabric", "nodes", "gpus_per_node"),
    [("single-switch", 16, 1), ("single-switch", 64, 1), ("rail-optimized", 4, 4), ("rail-optimized", 2, 8)],
)
def test_a_ring_takes_as_long_as_its_chunks_sent_one_after_another(
    fabric: Fabric, nodes: int, gpus_per_node: int
) -> None:
    ours, theirs = ring_ends(machine(fabric, nodes, gpus_per_node, nodes, latency=True))
    assert ours == pytest.approx(theirs, rel=1e-9, abs=0)


@pytest.mark.simgrid
@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("fabric", "nodes", "gpus_per_node"),
    [("single-switch", 128, 1), ("torus-2d", 64, 1), ("rail-optimized", 16, 4)],
)
def test_a_large_ring_takes_as_long_as_its_chunks_sent_one_after_another(
    fabric: Fabric, nodes: int, gpus_per_node: int
) -> None:
    ours, theirs = ring_ends(machine(fabric, nodes, gpus_per_node, nodes, latency=True))
    assert ours == pytest.approx(theirs, rel=1e-9, abs=0)
