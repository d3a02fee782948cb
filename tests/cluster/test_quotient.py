"""The folded graph of a regular cluster, against the listed one."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from simcluster.cluster.clos import Clos, IrregularError
from simcluster.cluster.quotient import folded_graph
from simcluster.cluster.routes import Routes
from tests.cluster.clos_helpers import random_shape, said
from tests.physics_helpers import ideal_cluster

ALL = 1500
"""Random shapes; a tenth is asked by default."""
MOST_GPUS = 768


def check_graph(seed: int) -> bool:
    """Whether the shape is regular; where it is, its folded graph is compared with the listed one."""
    cluster = random_shape(random.Random(seed), even_nics=True)
    if cluster.gpus > MOST_GPUS:
        return False
    try:
        clos = Clos(cluster)
    except IrregularError:
        return False
    listed, folded = Routes(cluster).graph, folded_graph(clos)
    first: dict[str, str] = {}
    counts = Counter(data["kind"] for _, data in listed.nodes(data=True))
    for name, data in listed.nodes(data=True):
        first.setdefault(data["kind"], name)
    found = [(name, data["kind"], data["stands_for"]) for name, data in folded.nodes(data=True)]
    assert found == [(name, kind, counts[kind]) for kind, name in first.items()], said(cluster)
    for name, data in folded.nodes(data=True):
        assert data.get("node") == listed.nodes[name].get("node")
    wires = [((tail, head), data) for tail, head, data in listed.edges(data=True) if "capacity" in data]
    number = Counter(data["wire_class"] for _, data in wires)
    leading = {data["wire_class"]: edge for edge, data in reversed(wires)}
    folded_wires = {
        data["wire_class"]: ((tail, head), data) for tail, head, data in folded.edges(data=True) if "capacity" in data
    }
    assert set(folded_wires) == set(number)
    for wire_class, (edge, data) in folded_wires.items():
        assert edge == leading[wire_class], said(cluster)
        assert data["stands_for"] == number[wire_class]
        assert data["capacity"] == pytest.approx(listed.edges[edge]["capacity"], rel=1e-12, abs=0)
        assert data["latency"] is None
    plain = [(tail, head) for tail, head, data in folded.edges(data=True) if "capacity" not in data]
    assert all(listed.has_edge(*edge) and "capacity" not in listed.edges[edge] for edge in plain)
    assert bool(plain) == any("capacity" not in data for *_, data in listed.edges(data=True))
    assert [data["wire_class"] for _, data in folded_wires.values()] == [one.wire_class for one in clos.families]
    return True


@pytest.mark.parametrize("part", range(10))
def test_the_folded_graph_of_random_shapes_names_and_counts_the_listed_one(part: int) -> None:
    found = [check_graph(seed) for seed in range(part * ALL // 100, (part + 1) * ALL // 100)]
    assert sum(found) >= 4


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(100))
def test_the_folded_graph_of_every_random_shape_names_and_counts_the_listed_one(part: int) -> None:
    for seed in range(part * ALL // 100, (part + 1) * ALL // 100):
        check_graph(seed)


def test_a_lone_gpu_in_a_mesh_has_no_nvswitch() -> None:
    cluster = ideal_cluster(2, 1)
    assert cluster.nvlink is not None
    mesh = replace(cluster, nvlink=replace(cluster.nvlink, topology="mesh"))
    assert set(folded_graph(Clos(mesh))) == set(Routes(mesh).graph) - {"node1.gpu0", "node1.nic0"}


def test_four_million_gpus_are_a_node_of_each_kind() -> None:
    graph = folded_graph(Clos(ideal_cluster(2**19, 8, leaf_ports=128)))
    assert list(graph) == [
        "node0.gpu0", "node0.nvswitch", "node0.nic0", "leaf0.0", "spine0.0", "core0.0.0", "top0.0.0",
    ]  # fmt: skip
    assert graph.nodes["node0.gpu0"]["stands_for"] == 2**22
