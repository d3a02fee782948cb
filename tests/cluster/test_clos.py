"""The radix of a regular cluster, against its graph: classes of wires, and the way of every pair of ranks."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from simcluster.cluster.clos import Clos, IrregularError, Ways
from simcluster.cluster.cluster import Cluster, Fault, Routing, Stream
from simcluster.cluster.messages import Crossing, Ints, Messages
from simcluster.cluster.routes import Routes
from simcluster.cluster.wiring import WireClass
from tests.cluster.clos_helpers import random_shape, said
from tests.physics_helpers import ideal_cluster

ALL = 1500
"""Random shapes; a tenth is asked by default."""
MOST_GPUS = 768
MOST_OF_PAIRS = 96

# --------------------------------------------------------------------------------------------------- against the graph


def check_shape(seed: int) -> tuple[str, int]:
    """What became of a shape, and how many levels its fabric has."""
    cluster = random_shape(random.Random(seed))
    if cluster.gpus > MOST_GPUS:
        return "left out", 0
    try:
        clos = Clos(cluster)
    except IrregularError:
        return "irregular", 0
    check_families(clos)
    if cluster.gpus <= MOST_OF_PAIRS:
        check_ways(clos)
    return "regular", len(clos.levels)


def check_families(clos: Clos) -> None:
    """Classes in their order, how many wires each has, and the capacity of every one of them."""
    routes = Routes(clos.cluster)
    listed: dict[WireClass, list[float]] = {}
    for wire_class, capacity in zip(routes.wire_class, routes.capacity.tolist(), strict=True):
        listed.setdefault(wire_class, []).append(capacity)
    found = [(family.wire_class, family.count) for family in clos.families]
    assert found == [(one, len(each)) for one, each in listed.items()], said(clos.cluster)
    for family in clos.families:
        assert listed[family.wire_class] == pytest.approx([family.capacity] * family.count, rel=1e-12, abs=0)


def check_ways(clos: Clos) -> None:
    """The way of every pair of ranks: classes of wires, the wires at its ends, and how it spreads over trunks."""
    routes, where = Routes(clos.cluster), said(clos.cluster)
    ranks = np.arange(clos.cluster.gpus)
    sender, receiver = (ends.ravel() for ends in np.meshgrid(ranks, ranks, indexing="ij"))
    apart = sender != receiver
    sender, receiver = sender[apart], receiver[apart]
    ways = clos.ways(sender, receiver)
    crossing = routes.crossing(Messages(sender=sender, receiver=receiver, bytes=np.ones(len(sender))))
    families = [family.wire_class for family in clos.families]
    column = np.array([families.index(one) for one in routes.wire_class], dtype=np.int64)
    carried, wires = np.zeros((2, len(sender), len(families)))
    np.add.at(carried, (crossing.message, column[crossing.wire]), crossing.share)
    np.add.at(wires, (crossing.message, column[crossing.wire]), 1)
    for at, one in enumerate(families):
        crosses = _crosses(clos, one, sender, ways)
        np.testing.assert_allclose(carried[:, at], crosses.astype(np.float64), rtol=1e-12, atol=0, err_msg=where)
        mine = column[crossing.wire] == at
        if one.kind in _LEVELS:
            height = _LEVELS.index(one.kind)
            cables = int(np.prod([level.fan for level in clos.levels[: height + 1]]))
            assert (wires[crosses, at] == cables).all(), where
            np.testing.assert_allclose(crossing.share[mine], 1 / cables, rtol=1e-12, atol=0, err_msg=where)
            if height:
                _check_pod(clos, crossing, mine, one, ways)
        if one.kind not in _LEVELS[1:]:
            expected = _end(clos, one, sender, receiver, ways)
            ends = _numbers(routes, one)
            assert (ends[crossing.wire[mine]] == expected[crossing.message[mine]]).all(), f"{where}: {one}"


_LEVELS = ("leaf", "spine", "core")


def _crosses(clos: Clos, one: WireClass, sender: Ints, ways: Ways) -> NDArray[np.bool_]:
    """Which messages cross a class of wires."""
    inside, moved = ways.climb < 0, ways.gate != sender
    if one.kind == "nvlink":
        return np.asarray(inside | moved)
    if one.kind == "pcie":
        return np.asarray(~inside | (clos.cluster.nvlink is None))
    return np.asarray(~inside if one.kind == "nic" else ways.climb > _LEVELS.index(one.kind))


def _end(clos: Clos, one: WireClass, sender: Ints, receiver: Ints, ways: Ways) -> Ints:
    """The number of the rank, NIC or leaf whose wire of a class each message crosses."""
    per_nic = clos.gpus_per_nic
    match one.kind, one.direction:
        case "nvlink", "out":
            return sender
        case "nvlink", _:
            return np.where(ways.gate != sender, ways.gate, receiver)
        case "pcie", "out":
            return ways.gate
        case "pcie", _:
            return receiver
        case "nic", "out":
            return ways.gate // per_nic
        case "nic", _:
            return receiver // per_nic
        case _, "up":
            return ways.out_leaf
        case _:
            return ways.in_leaf


def _numbers(routes: Routes, one: WireClass) -> Ints:
    """The number of the rank, NIC or leaf at the lower end of each wire of a class, by its name; -1 elsewhere."""
    leaves = [name for name, data in routes.graph.nodes(data=True) if data["kind"] == "leaf"]
    leaf = {name: number for number, name in enumerate(leaves)}
    infiniband = routes.cluster.infiniband
    assert infiniband is not None
    found = np.full(len(routes.wires), -1, dtype=np.int64)
    for wire, (ends, wire_class) in enumerate(zip(routes.wires, routes.wire_class, strict=True)):
        if wire_class != one:
            continue
        name = ends[0 if one.direction in ("out", "up") else 1]
        if one.kind == "leaf":
            found[wire] = leaf[name]
            continue
        node, port = name.removeprefix("node").split(".")
        if one.kind == "nic":
            found[wire] = int(node) * infiniband.nics_per_node + int(port.removeprefix("nic"))
        else:
            found[wire] = int(node) * routes.cluster.gpus_per_node + int(port.removeprefix("gpu"))
    return found


def _check_pod(clos: Clos, crossing: Crossing, mine: NDArray[np.bool_], one: WireClass, ways: Ways) -> None:
    """Every wire between higher levels serves the leaves of one pod."""
    leaf = ways.out_leaf if one.direction == "up" else ways.in_leaf
    pod = leaf[crossing.message[mine]] // clos.levels[_LEVELS.index(one.kind) - 1].pod
    pairs = np.unique(np.stack([crossing.wire[mine], pod]), axis=1)
    assert len(np.unique(pairs[0])) == len(pairs[0]), said(clos.cluster)


@pytest.mark.parametrize("part", range(10))
def test_classes_and_ways_of_random_shapes_are_those_of_the_graph(part: int) -> None:
    for seed in range(part * ALL // 100, (part + 1) * ALL // 100):
        check_shape(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(100))
def test_classes_and_ways_of_every_random_shape_are_those_of_the_graph(part: int) -> None:
    for seed in range(part * ALL // 100, (part + 1) * ALL // 100):
        check_shape(seed)


def test_the_random_shapes_have_every_number_of_levels() -> None:
    levels = Counter(check_families_only(seed) for seed in range(ALL // 10))
    assert min(levels[height] for height in (0, 1, 2, 3)) >= 3, levels
    assert levels["irregular"] >= 30


def check_families_only(seed: int) -> int | str:
    cluster = random_shape(random.Random(seed))
    if cluster.gpus > MOST_GPUS:
        return "left out"
    try:
        return len(Clos(cluster).levels)
    except IrregularError:
        return "irregular"


# -------------------------------------------------------------------------------------- what is wrongly called regular


# A node of 6 NICs under leaves of 4 has 4 on one leaf and 2 on the next.
UNEVEN_LEAVES = (
    partial(ideal_cluster, 2, 6, fabric="leaf-spine", leaf_ports=8),
    partial(ideal_cluster, 2, 4, fabric="leaf-spine", leaf_ports=5, oversubscription=3),
    partial(ideal_cluster, 4, 8, fabric="fat-tree", leaf_ports=10),
    partial(ideal_cluster, 27, 8, fabric="fat-tree", leaf_ports=12),
)


@pytest.mark.parametrize("make", UNEVEN_LEAVES)
def test_leaves_that_hold_unequal_parts_of_a_node_are_irregular_or_told_apart(make: partial[Cluster]) -> None:
    _holds(make())


def test_a_lone_gpu_in_a_mesh_has_no_nvlink() -> None:
    cluster = ideal_cluster(2, 1)
    assert cluster.nvlink is not None
    _holds(replace(cluster, nvlink=replace(cluster.nvlink, topology="mesh")))


def _holds(cluster: Cluster) -> None:
    """Either irregular, or as the graph has it."""
    try:
        clos = Clos(cluster)
    except IrregularError:
        return
    check_families(clos)


# --------------------------------------------------------------------------------------------------- what is irregular


def _causes(cluster: Cluster) -> tuple[str, ...]:
    with pytest.raises(IrregularError) as error:
        Clos(cluster)
    return error.value.causes


def test_whatever_singles_a_gpu_or_wire_out_is_named_and_all_of_it_at_once() -> None:
    cluster = replace(
        ideal_cluster(2, 4),
        faults=(Fault(ends=("node0.nic0", "leaf0.0"), factor=0.5),),
        slow_gpus={5: 0.5},
        background=(Stream(senders=(0,), receivers=(4,), bytes_per_s=1e9),),
        routing=Routing(seed=1),
    )
    assert _causes(cluster) == (
        "fault at node0.nic0–leaf0.0",
        "slow GPU node1.gpu1",
        "background traffic",
        "hashed routing",
    )


def test_fabrics_without_levels_and_meshes_are_irregular() -> None:
    for fabric in ("dragonfly", "torus-2d", "torus-3d"):
        assert _causes(ideal_cluster(4, 1, fabric=fabric)) == (f"the {fabric} fabric",)
    mesh = ideal_cluster(2, 4)
    assert mesh.nvlink is not None
    assert "mesh" in _causes(replace(mesh, nvlink=replace(mesh.nvlink, topology="mesh")))[0]


def test_one_node_is_regular_whatever_its_network_would_be() -> None:
    """A single node uses no NIC, so neither the fabric nor the routing singles anything out."""
    for fabric in ("dragonfly", "torus-2d"):
        cluster = replace(ideal_cluster(1, 8, nics_per_node=3, fabric=fabric), routing=Routing(seed=7))
        check_families(Clos(cluster))


@pytest.mark.parametrize(
    ("cluster", "cause"),
    [
        (ideal_cluster(2, 4, nics_per_node=3), "NICs of a node unevenly"),
        (ideal_cluster(33, 1, leaf_ports=64), "33 nodes, 32 to a leaf"),
        (ideal_cluster(20, 1, fabric="fat-tree", leaf_ports=4), "partly filled pods: 5 spine switches, 2 to a pod"),
    ],
)
def test_what_is_partly_filled_or_unevenly_shared_is_named(cluster: Cluster, cause: str) -> None:
    assert cause in _causes(cluster)[0]


# ---------------------------------------------------------------------------------------------------- blocks and radix


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_powers_of_two_fit_into_a_radix_of_powers_of_two(stride: int) -> None:
    Clos(ideal_cluster(32, 8, leaf_ports=16)).check([stride])


@pytest.mark.parametrize(
    ("nodes", "per_node", "stride", "cause"),
    [
        (4, 8, 3, "blocks of 3 ranks in blocks of 8"),
        (3, 4, 6, "blocks of 4 ranks in blocks of 6"),
        (3, 4, 3, "blocks of 3 ranks in blocks of 4"),
        (2, 6, 4, "blocks of 4 ranks in blocks of 6"),
        (4, 6, 9, "blocks of 6 ranks in blocks of 9"),
    ],
)
def test_blocks_that_straddle_a_node_are_named(nodes: int, per_node: int, stride: int, cause: str) -> None:
    clos = Clos(ideal_cluster(nodes, per_node, nics_per_node=1, fabric="single-switch"))
    with pytest.raises(IrregularError) as error:
        clos.check([stride])
    assert error.value.causes == (cause,)


@pytest.mark.parametrize(
    ("cluster", "stride", "cause"),
    [
        (ideal_cluster(12, 1, leaf_ports=8), 3, "blocks of 3 ranks in blocks of 4"),
        (ideal_cluster(24, 1, fabric="fat-tree", leaf_ports=4), 6, "blocks of 4 ranks in blocks of 6"),
        (ideal_cluster(2, 12, leaf_ports=4), 3, "blocks of 2 ranks in blocks of 3"),
        (ideal_cluster(4, 6, fabric="leaf-spine", leaf_ports=6), 2, "blocks of 2 ranks in blocks of 3"),
        (ideal_cluster(4, 6, nics_per_node=2, fabric="single-switch"), 2, "blocks of 2 ranks in blocks of 3"),
    ],
    ids=["leaf", "pod", "rails of a pod", "leaf's part of a node", "NIC"],
)
def test_blocks_that_straddle_what_is_inside_or_above_a_node_are_named(
    cluster: Cluster, stride: int, cause: str
) -> None:
    with pytest.raises(IrregularError) as error:
        Clos(cluster).check([stride])
    assert error.value.causes == (cause,)


@pytest.mark.parametrize("domain", [8, 16])
@pytest.mark.parametrize("nics", [1, 2, 4])
def test_forwarded_messages_leave_by_the_gpu_at_the_senders_place(nics: int, domain: int) -> None:
    cluster = ideal_cluster(4, 8, nics_per_node=nics, leaf_ports=4)
    assert cluster.nvlink is not None
    nvlink = replace(cluster.nvlink, domain_gpus=domain)
    check_ways(Clos(replace(cluster, nvlink=nvlink, routing=Routing(rail_forwarding=True))))


def test_two_axes_must_fit_into_each_other() -> None:
    clos = Clos(ideal_cluster(4, 6, nics_per_node=1, fabric="single-switch"))
    clos.check([2])
    clos.check([3])
    with pytest.raises(IrregularError, match="blocks of 2 ranks in blocks of 3"):
        clos.check([2, 3])


def test_blocks_beyond_the_cluster_say_nothing() -> None:
    Clos(ideal_cluster(4, 4)).check([16, 17, 1000])


def test_a_domain_of_three_nodes_does_not_fit_under_leaves_of_four() -> None:
    cluster = ideal_cluster(12, 2, leaf_ports=8)
    assert cluster.nvlink is not None
    clos = Clos(replace(cluster, nvlink=replace(cluster.nvlink, domain_gpus=6)))
    with pytest.raises(IrregularError, match="blocks of 6 ranks in blocks of 8"):
        clos.check(())


def test_four_million_gpus_have_a_radix_of_a_dozen_numbers() -> None:
    clos = Clos(ideal_cluster(2**19, 8, leaf_ports=128))
    clos.check([2, 64, 1024])
    assert [level.kind for level in clos.levels] == ["leaf", "spine", "core"]
    assert clos.leaves == 2**22 // 64
    assert [family.count for family in clos.families] == [2**22] * 8 + [2**19] * 2, "eight cables' worth to each top"
