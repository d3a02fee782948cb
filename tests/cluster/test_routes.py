"""Routes: which wires a message crosses and what share of it each carries."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.cluster.link import Fabric
from simcluster.cluster.messages import Load, Messages
from simcluster.cluster.routes import Routes
from tests.physics_helpers import ideal_cluster, law

Message = tuple[int, int, float]
"""(sender, receiver, bytes)."""


def load(routes: Routes, *messages: Message) -> Load:
    sender, receiver, size = zip(*messages, strict=True)
    return routes.load(
        Messages(sender=np.array(sender), receiver=np.array(receiver), bytes=np.array(size, dtype=np.float64))
    )


def by_class(routes: Routes, found: Load) -> dict[tuple[str, str], list[float]]:
    """Bytes of the wires crossed, by kind and direction."""
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    for wire, size in zip(found.wire, found.bytes, strict=True):
        wire_class = routes.wire_class[wire]
        shares[wire_class.kind, wire_class.direction].append(float(size))
    return dict(shares)


def test_inside_a_node_a_message_leaves_one_nvlink_and_enters_another() -> None:
    routes = Routes(ideal_cluster(2, 8, nvlink_latency_s=1e-6, infiniband_latency_s=3e-6))
    found = load(routes, (9, 14, 100.0))
    assert by_class(routes, found) == {("nvlink", "out"): [100.0], ("nvlink", "in"): [100.0]}
    assert (found.nvlink_bytes, found.infiniband_bytes, found.latency_s) == (100.0, 0.0, 1e-6)


def test_on_one_rail_a_message_crosses_two_nics_and_no_spine() -> None:
    routes = Routes(ideal_cluster(2, 8, nvlink_latency_s=1e-6, infiniband_latency_s=3e-6))
    found = load(routes, (1, 9, 100.0))
    assert by_class(routes, found) == {("nic", "out"): [100.0], ("nic", "in"): [100.0]}
    assert (found.nvlink_bytes, found.infiniband_bytes, found.latency_s) == (0.0, 100.0, 3e-6)


@pytest.mark.parametrize(("nodes", "spines"), [(2, 1), (16, 2), (32, 4), (40, 5)])
def test_between_rails_a_message_is_split_evenly_over_all_spines(nodes: int, spines: int) -> None:
    routes = Routes(ideal_cluster(nodes, 8))
    found = by_class(routes, load(routes, (1, 8 * (nodes - 1) + 2, 100.0)))
    assert found["nic", "out"] == found["nic", "in"] == [100.0]
    for direction in ("up", "down"):
        assert found["leaf", direction] == pytest.approx([100.0 / spines] * spines, rel=1e-12)


def test_between_pods_a_message_of_one_rail_crosses_the_spines() -> None:
    routes = Routes(ideal_cluster(33, 4))
    assert ("leaf", "up") not in by_class(routes, load(routes, (0, 4 * 31, 1.0)))
    assert sum(by_class(routes, load(routes, (0, 4 * 32, 1.0)))["leaf", "up"]) == pytest.approx(1.0, rel=1e-12)


def test_a_single_switch_has_no_trunk() -> None:
    routes = Routes(ideal_cluster(40, 8, fabric="single-switch"))
    assert by_class(routes, load(routes, (1, 200, 5.0))) == {("nic", "out"): [5.0], ("nic", "in"): [5.0]}


def test_the_latency_of_messages_is_the_slowest_one_s() -> None:
    routes = Routes(ideal_cluster(2, 2, nvlink_latency_s=5e-6, infiniband_latency_s=3e-6))
    assert load(routes, (0, 2, 1.0), (0, 1, 1.0)).latency_s == 5e-6


clusters = st.tuples(
    st.integers(2, 9),
    st.sampled_from([1, 2, 4]),
    st.sampled_from(["rail-optimized", "single-switch"]),
    st.sampled_from([4, 6, 64]),
)


@st.composite
def loaded(draw: st.DrawFn) -> tuple[Routes, list[Message]]:
    nodes, nics, fabric, leaf_ports = draw(clusters)
    kind: Fabric = "single-switch" if fabric == "single-switch" else "rail-optimized"
    routes = Routes(ideal_cluster(nodes, 4, nics_per_node=nics, fabric=kind, leaf_ports=leaf_ports))
    rank = st.integers(0, 4 * nodes - 1)
    pairs = st.tuples(rank, rank).filter(lambda pair: pair[0] != pair[1])
    message = st.tuples(pairs, st.floats(1.0, 1e9)).map(lambda drawn: (*drawn[0], drawn[1]))
    return routes, draw(st.lists(message, min_size=1, max_size=12))


@law(80)
@given(case=loaded())
def test_what_leaves_arrives_tier_by_tier(case: tuple[Routes, list[Message]]) -> None:
    """NVLink and NICs carry each message once each way; what goes up to spines comes down."""
    routes, messages = case
    found = load(routes, *messages)
    shares = by_class(routes, found)
    inside = sum(size for sender, receiver, size in messages if sender // 4 == receiver // 4)
    outside = sum(size for sender, receiver, size in messages if sender // 4 != receiver // 4)
    assert found.nvlink_bytes == pytest.approx(inside, rel=1e-9)
    assert found.infiniband_bytes == pytest.approx(outside, rel=1e-9)
    for kind, total in (("nvlink", inside), ("nic", outside)):
        for direction in ("out", "in"):
            assert sum(shares.get((kind, direction), [])) == pytest.approx(total, rel=1e-9)
    up, down = (sum(shares.get(("leaf", direction), [])) for direction in ("up", "down"))
    assert up == pytest.approx(down, rel=1e-9)
    assert up <= outside * (1 + 1e-9)


@law(80)
@given(case=loaded())
def test_the_load_of_messages_together_is_the_sum_of_their_loads(case: tuple[Routes, list[Message]]) -> None:
    routes, messages = case
    total = np.zeros(len(routes.capacity))
    for message in messages:
        alone = load(routes, message)
        total[alone.wire] += alone.bytes
    together = load(routes, *messages)
    assert np.flatnonzero(total).tolist() == together.wire.tolist()
    assert total[together.wire] == pytest.approx(together.bytes, rel=1e-9)


@law(80)
@given(case=loaded())
def test_a_message_enters_every_switch_on_its_way_as_often_as_it_leaves(case: tuple[Routes, list[Message]]) -> None:
    """Flow conservation at every switch, wire by wire on the graph."""
    routes, messages = case
    found = load(routes, messages[0])
    ends = [(tail, head) for tail, head, data in routes.graph.edges(data=True) if "capacity" in data]
    surplus: dict[str, float] = defaultdict(float)
    for wire, size in zip(found.wire, found.bytes, strict=True):
        tail, head = ends[wire]
        surplus[tail] -= size
        surplus[head] += size
    for name, left in surplus.items():
        if routes.graph.nodes[name]["kind"] in ("nvswitch", "leaf", "spine"):
            assert left == pytest.approx(0.0, abs=1e-6 * messages[0][2])
