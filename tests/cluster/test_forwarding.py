"""Rail forwarding: a message to a GPU of another rail crosses NVLink first, to its node's GPU on that rail."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from simcluster.cluster.cluster import Cluster, Fault, Routing
from simcluster.cluster.messages import Load, Messages
from simcluster.cluster.routes import Routes
from simcluster.program.program import CollectiveKind
from tests.physics_helpers import NIC, NVLINK, ideal_cluster, traffic

NVLINK_S, NIC_S = 1e-6, 4e-6


def rails(nodes: int, gpus: int, nics: int | None = None, *, forwarding: bool, seed: int | None = None) -> Cluster:
    """A rail-optimized cluster whose spines are 32 times too narrow, so that what crosses them shows."""
    cluster = ideal_cluster(
        nodes,
        gpus,
        nics_per_node=nics,
        oversubscription=32,
        nvlink_latency_s=NVLINK_S,
        infiniband_latency_s=NIC_S,
    )
    return replace(cluster, routing=Routing(rail_forwarding=forwarding, seed=seed))


def pair_load(routes: Routes, *pairs: tuple[int, int]) -> Load:
    sender, receiver = (np.array(ends, dtype=np.int64) for ends in zip(*pairs, strict=True))
    return routes.load(Messages(sender=sender, receiver=receiver, bytes=np.ones(len(pairs))))


def by_kind(routes: Routes, found: Load) -> dict[str, float]:
    """Bytes on all wires of each kind, one direction."""
    total: dict[str, float] = defaultdict(float)
    for wire, size in zip(found.wire.tolist(), found.bytes.tolist(), strict=True):
        if routes.wire_class[wire].direction in ("out", "up"):
            total[routes.wire_class[wire].kind] += size
    return dict(total)


def ends_of(routes: Routes, found: Load) -> list[tuple[str, str]]:
    return sorted(routes.wires[wire] for wire in found.wire.tolist())


@pytest.mark.parametrize("seed", [None, 7])
def test_a_forwarded_message_crosses_nvlink_to_the_receiver_s_rail_and_stays_on_it(seed: int | None) -> None:
    routes = Routes(rails(2, 4, forwarding=True, seed=seed))
    found = pair_load(routes, (1, 6))
    assert ends_of(routes, found) == [
        ("leaf0.2", "node1.nic2"),
        ("node0.gpu1", "node0.nvswitch"),
        ("node0.nic2", "leaf0.2"),
        ("node0.nvswitch", "node0.gpu2"),
    ]
    assert found.bytes.tolist() == [1.0] * 4
    assert (found.nvlink_bytes, found.infiniband_bytes) == (1.0, 1.0)
    assert found.latency_s == pytest.approx(NVLINK_S + NIC_S, rel=1e-12, abs=0)


def test_a_message_on_its_rail_or_inside_its_node_is_as_without_forwarding() -> None:
    on, off = (Routes(rails(2, 4, forwarding=forwarding)) for forwarding in (True, False))
    for pair in ((1, 5), (1, 2)):
        one, other = pair_load(on, pair), pair_load(off, pair)
        assert ends_of(on, one) == ends_of(off, other)
        assert (one.latency_s, one.nvlink_bytes, one.infiniband_bytes) == (
            other.latency_s,
            other.nvlink_bytes,
            other.infiniband_bytes,
        )


@pytest.mark.parametrize(("nodes", "gpus"), [(2, 2), (3, 4), (4, 8), (32, 4)])
def test_an_all_to_all_in_a_pod_sends_nothing_over_spines_and_the_same_through_every_nic(nodes: int, gpus: int) -> None:
    n = nodes * gpus
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    on, off = (Routes(rails(nodes, gpus, forwarding=forwarding)) for forwarding in (True, False))
    one, other = pair_load(on, *pairs), pair_load(off, *pairs)
    assert "leaf" not in by_kind(on, one)
    assert by_kind(off, other)["leaf"] == pytest.approx(nodes * (nodes - 1) * gpus * (gpus - 1), rel=1e-9, abs=0)
    assert nic_bytes(on, one) == pytest.approx(nic_bytes(off, other), rel=1e-12, abs=0)
    assert set(nic_bytes(on, one).values()) == {float(n - gpus) * gpus / gpus}


def nic_bytes(routes: Routes, found: Load) -> dict[tuple[str, str], float]:
    return {
        routes.wires[wire]: size
        for wire, size in zip(found.wire.tolist(), found.bytes.tolist(), strict=True)
        if routes.wire_class[wire].kind == "nic"
    }


@pytest.mark.parametrize(("nodes", "gpus"), [(2, 2), (3, 4), (4, 8)])
def test_forwarding_is_charged_on_nvlink_once_for_every_message_that_changes_rail(nodes: int, gpus: int) -> None:
    """n(g-1) messages stay inside; of those that leave, all but 1/g change rail."""
    n = nodes * gpus
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    routes = Routes(rails(nodes, gpus, forwarding=True))
    found = pair_load(routes, *pairs)
    forwarded = n * (n - gpus) * (gpus - 1) // gpus
    assert found.nvlink_bytes == n * (gpus - 1) + forwarded
    assert found.infiniband_bytes == n * (n - gpus)
    assert by_kind(routes, found)["nvlink"] == pytest.approx(found.nvlink_bytes, rel=1e-12, abs=0)


@pytest.mark.parametrize(("nodes", "gpus"), [(2, 4), (4, 8), (32, 4)])
def test_an_all_to_all_with_forwarding_takes_its_nic_s_time_and_both_latencies(nodes: int, gpus: int) -> None:
    n, size = nodes * gpus, 64e6
    group = tuple(range(n))
    on, off = (
        traffic("all_to_all", group, Routes(rails(nodes, gpus, forwarding=forwarding))) for forwarding in (True, False)
    )
    inside = ((gpus - 1) + (n - gpus) * (gpus - 1) / gpus) / n
    expected = max((n - gpus) / n / NIC, inside / NVLINK) * size
    assert on.alone_s(size) == pytest.approx(NVLINK_S + NIC_S + expected, rel=1e-9, abs=0)
    over_spines = (nodes - 1) * (gpus - 1) / n * size / (NIC / 32)
    assert off.alone_s(size) == pytest.approx(NIC_S + over_spines, rel=1e-9, abs=0)


@pytest.mark.parametrize("kind", ["all_reduce", "all_gather", "reduce_scatter"])
def test_rings_that_keep_to_their_rails_do_not_change(kind: CollectiveKind) -> None:
    on, off = (
        traffic(kind, tuple(range(32)), Routes(rails(4, 8, forwarding=forwarding))) for forwarding in (True, False)
    )
    assert on.alone_s(1e9) == off.alone_s(1e9)
    assert (on.nvlink_share, on.infiniband_share) == (off.nvlink_share, off.infiniband_share)


@pytest.mark.parametrize(("gpus", "nics"), [(4, 1), (4, 2), (8, 2), (8, 4)])
def test_gpus_that_share_a_nic_forward_to_the_gpu_at_their_place_on_the_other_nic(gpus: int, nics: int) -> None:
    routes, per_nic = Routes(rails(2, gpus, nics, forwarding=True)), gpus // nics
    for sender, receiver in product(range(gpus), range(gpus, 2 * gpus)):
        found = pair_load(routes, (sender, receiver))
        rail = (receiver - gpus) // per_nic
        changes = sender // per_nic != rail
        assert found.nvlink_bytes == changes
        ways = set(ends_of(routes, found))
        assert {(f"node0.nic{rail}", f"leaf0.{rail}"), (f"leaf0.{rail}", f"node1.nic{rail}")} <= ways
        assert len(ways) == (4 if changes else 2)
        if changes:
            assert ("node0.nvswitch", f"node0.gpu{rail * per_nic + sender % per_nic}") in ways


@pytest.mark.parametrize(("gpus", "nics"), [(4, 1), (4, 2), (8, 2), (8, 4)])
def test_an_all_to_all_over_shared_nics_crosses_no_spine_either(gpus: int, nics: int) -> None:
    n, routes = 4 * gpus, Routes(rails(4, gpus, nics, forwarding=True))
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    found = pair_load(routes, *pairs)
    assert "leaf" not in by_kind(routes, found)
    assert set(nic_bytes(routes, found).values()) == {float((n - gpus) * gpus // nics)}
    received: dict[str, float] = defaultdict(float)
    for wire, size in zip(found.wire.tolist(), found.bytes.tolist(), strict=True):
        tail, head = routes.wires[wire]
        if tail.endswith("nvswitch"):
            received[head] += size
    assert len(set(received.values())) == 1, "no GPU forwards more than its share"


def dead(cluster: Cluster, *nics: str) -> Routes:
    return Routes(replace(cluster, faults=tuple(Fault(ends=(name,), factor=0.0) for name in nics)))


def test_a_message_to_a_node_with_a_dead_nic_goes_to_the_rail_that_its_receiver_uses_instead() -> None:
    routes = dead(rails(2, 4, forwarding=True), "node1.nic1")
    found = pair_load(routes, (0, 5))
    assert ends_of(routes, found) == [
        ("leaf0.2", "node1.nic2"),
        ("node0.gpu0", "node0.nvswitch"),
        ("node0.nic2", "leaf0.2"),
        ("node0.nvswitch", "node0.gpu2"),
    ]


def test_a_message_from_a_node_without_that_rail_crosses_the_spines_from_its_own_nic() -> None:
    routes = dead(rails(2, 4, forwarding=True), "node0.nic2")
    found = pair_load(routes, (0, 6))
    assert ends_of(routes, found) == [
        ("leaf0.0", "spine0"),
        ("leaf0.2", "node1.nic2"),
        ("node0.nic0", "leaf0.0"),
        ("spine0", "leaf0.2"),
    ]
    assert (found.nvlink_bytes, found.latency_s) == (0.0, NIC_S)


def test_a_sender_whose_own_nic_is_dead_still_reaches_every_rail_of_its_node() -> None:
    """GPU 1 of node 0 uses NIC 2; what it sends to rails 0, 2 and 3 leaves by these, to rail 1 over the spines."""
    routes = dead(rails(2, 4, forwarding=True), "node0.nic1")
    for receiver, rail in ((4, 0), (6, 2), (7, 3)):
        ways = ends_of(routes, pair_load(routes, (1, receiver)))
        assert (f"node0.nic{rail}", f"leaf0.{rail}") in ways
        assert not any("spine" in end for wire in ways for end in wire)
    ways = ends_of(routes, pair_load(routes, (1, 5)))
    assert ("node0.nic2", "leaf0.2") in ways
    assert ("leaf0.2", "spine0") in ways


def test_between_pods_a_forwarded_message_still_crosses_the_spines_once_on_its_rail() -> None:
    cluster = replace(ideal_cluster(6, 2, leaf_ports=8), routing=Routing(rail_forwarding=True))
    routes = Routes(cluster)
    found = pair_load(routes, (0, 11))
    ways = ends_of(routes, found)
    assert ("node0.nvswitch", "node0.gpu1") in ways
    assert {wire[0] for wire in ways if wire[1].startswith("spine")} == {"leaf0.1"}
    assert {wire[1] for wire in ways if wire[0].startswith("spine")} == {"leaf1.1"}
    assert by_kind(routes, found) == pytest.approx({"nvlink": 1.0, "nic": 1.0, "leaf": 1.0}, rel=1e-12, abs=0)
