"""The network in time: transfers that share wires, against closed forms and an exact fluid model."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from simcluster.cluster.link import Fabric
from simcluster.cluster.routes import Routes
from simcluster.replay.network import Network
from simcluster.traffic.traffic import Traffic
from simcluster.traffic.wires import Wires
from tests.physics_helpers import (
    NIC,
    NVLINK,
    Start,
    ideal_cluster,
    law,
    one_flow,
    one_message,
    run_transfers,
    traffic,
)
from tests.replay.exact import Flow, flow_ends

MIB = 2.0**20


@pytest.fixture
def two_on_a_nic() -> tuple[Routes, Traffic, Traffic]:
    """Two nodes of two GPUs on one NIC each: all-to-alls among GPUs {0, 2} and {1, 3}, half a payload on each NIC."""
    routes = Routes(ideal_cluster(2, 2, nics_per_node=1))
    return routes, traffic("all_to_all", (0, 2), routes), traffic("all_to_all", (1, 3), routes)


def test_a_lone_transfer_takes_its_bytes_over_its_wire(two_on_a_nic: tuple[Routes, Traffic, Traffic]) -> None:
    routes, first, _ = two_on_a_nic
    ends, _ = run_transfers(routes, [(0.0, first, 2 * MIB)])
    assert ends == pytest.approx([MIB / NIC], rel=1e-9)


def test_two_equal_collectives_on_one_nic_each_take_twice_as_long(
    two_on_a_nic: tuple[Routes, Traffic, Traffic],
) -> None:
    routes, first, second = two_on_a_nic
    ends, _ = run_transfers(routes, [(0.0, first, 2 * MIB), (0.0, second, 2 * MIB)])
    assert ends == pytest.approx([2 * MIB / NIC, 2 * MIB / NIC], rel=1e-9)


sizes = st.floats(1.0, 1e12, allow_subnormal=False)


@law(60)
@given(one=sizes, other=sizes)
def test_of_two_collectives_the_smaller_ends_at_twice_its_time_and_the_larger_when_all_bytes_have_passed(
    one: float, other: float
) -> None:
    small, large = sorted((one, other))
    routes = Routes(ideal_cluster(2, 2, nics_per_node=1))
    first, second = (traffic("all_to_all", group, routes) for group in ((0, 2), (1, 3)))
    ends, _ = run_transfers(routes, [(0.0, first, 2 * large), (0.0, second, 2 * small)])
    assert ends == pytest.approx([(small + large) / NIC, 2 * small / NIC], rel=1e-9)


@pytest.mark.parametrize("late", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("size", [0.05, 1.0, 3.0])
def test_a_late_collective_shares_only_what_is_left(
    two_on_a_nic: tuple[Routes, Traffic, Traffic], late: float, size: float
) -> None:
    """The first needs 1 s alone; at `late` the second comes with `size` seconds of its own."""
    routes, first, second = two_on_a_nic
    ends, _ = run_transfers(routes, [(0.0, first, 2 * NIC), (late, second, 2 * size * NIC)])
    left = 1 - late
    expected = [late + 2 * left, 1 + size] if left <= size else [1 + size, late + 2 * size]
    assert ends == pytest.approx(expected, rel=1e-9)


def test_a_collective_after_the_other_has_ended_has_the_wires_to_itself(
    two_on_a_nic: tuple[Routes, Traffic, Traffic],
) -> None:
    routes, first, second = two_on_a_nic
    ends, _ = run_transfers(routes, [(0.0, first, 2 * NIC), (1.5, second, 2 * NIC)])
    assert ends == pytest.approx([1.0, 2.5], rel=1e-9)


def test_three_collectives_on_one_nic_share_it_in_thirds() -> None:
    routes = Routes(ideal_cluster(2, 3, nics_per_node=1))
    groups = ((0, 3), (1, 4), (2, 5))
    starts: list[Start] = [
        (0.0, traffic("all_to_all", group, routes), 2 * size * NIC)
        for group, size in zip(groups, (1, 2, 3), strict=True)
    ]
    ends, _ = run_transfers(routes, starts)
    assert ends == pytest.approx([3, 5, 6], rel=1e-9)


def test_a_transfer_uses_no_wire_before_its_latency_has_passed() -> None:
    """The second is posted before the first has ended, and its latency passes just as the first ends."""
    routes = Routes(ideal_cluster(2, 2, nics_per_node=1, infiniband_latency_s=2e-6))
    first, second = (traffic("all_to_all", group, routes) for group in ((0, 2), (1, 3)))
    ends, _ = run_transfers(routes, [(0.0, first, 2 * MIB), (2e-6 + MIB / NIC, second, 2 * MIB)])
    assert ends == pytest.approx([2e-6 + MIB / NIC, 4e-6 + 2 * MIB / NIC], rel=1e-9)


def test_directions_of_a_cable_do_not_share() -> None:
    routes = Routes(ideal_cluster(2, 1))
    there, back = one_message(routes, 0, 1), one_message(routes, 1, 0)
    ends, _ = run_transfers(routes, [(0.0, there, NIC), (0.0, back, NIC)])
    assert ends == pytest.approx([1.0, 1.0], rel=1e-9)


def test_messages_to_one_receiver_share_its_port() -> None:
    routes = Routes(ideal_cluster(1, 4))
    ends, _ = run_transfers(routes, [(0.0, one_message(routes, sender, 3), NVLINK) for sender in range(3)])
    assert ends == pytest.approx([3.0, 3.0, 3.0], rel=1e-9)


def test_nvlink_and_infiniband_do_not_share() -> None:
    routes = Routes(ideal_cluster(2, 2))
    inside, outside = one_message(routes, 0, 1), one_message(routes, 0, 2)
    ends, _ = run_transfers(routes, [(0.0, inside, NVLINK), (0.0, outside, NIC)])
    assert ends == pytest.approx([1.0, 1.0], rel=1e-9)


def test_an_empty_transfer_ends_after_its_latency() -> None:
    routes = Routes(ideal_cluster(1, 2, nvlink_latency_s=3e-6))
    ends, _ = run_transfers(routes, [(1.0, one_message(routes, 0, 1), 0.0)])
    assert ends == pytest.approx([1.0 + 3e-6], rel=1e-12)


def test_order_of_posting_does_not_matter() -> None:
    routes = Routes(ideal_cluster(4, 1))
    rng = random.Random(5)
    starts: list[Start] = [
        (0.0, one_message(routes, *rng.sample(range(4), 2)), rng.randint(1, 9) * 1e9) for _ in range(12)
    ]
    order = rng.sample(range(12), 12)
    ends, _ = run_transfers(routes, starts)
    shuffled, _ = run_transfers(routes, [starts[number] for number in order])
    assert shuffled == pytest.approx([ends[number] for number in order], rel=1e-12)


def test_every_wire_carries_the_bytes_put_on_it(two_on_a_nic: tuple[Routes, Traffic, Traffic]) -> None:
    routes, first, second = two_on_a_nic
    ends, network = run_transfers(routes, [(0.0, first, 2 * MIB), (1e-5, second, 6 * MIB)])
    carried = network.loads().bytes_on_wires(max(ends))
    on_nics = [bytes_ for bytes_, wire in zip(carried, routes.wire_class, strict=True) if wire.kind == "nic"]
    assert on_nics == pytest.approx([4 * MIB] * 4, rel=1e-9)
    network.check_conservation(network.loads(), max(ends))


def test_a_missing_byte_is_a_broken_law(two_on_a_nic: tuple[Routes, Traffic, Traffic]) -> None:
    routes, first, _ = two_on_a_nic
    ends, network = run_transfers(routes, [(0.0, first, 2 * MIB)])
    links = network.loads()
    with pytest.raises(AssertionError, match="carried"):
        network.check_conservation(replace(links, rates=links.rates * 0.999), max(ends))


def test_rates_are_remembered_by_traffic_and_not_by_where_it_lay_in_memory() -> None:
    """Traffic dropped after its transfer must not lend its rates to another that Python puts in the same place."""
    routes = Routes(ideal_cluster(2, 8))
    env = simpy.Environment()
    network = Network(env, Wires.listed(routes))
    inside, outside = one_message(routes, 0, 1), one_message(routes, 0, 9)
    first = replace(inside)
    place = id(first)
    network.start(first, NVLINK, env.event())
    env.run()
    assert env.now == pytest.approx(1.0, rel=1e-9)
    del first
    others: list[Traffic] = []
    while len(others) < 300_000 and not (others and id(others[-1]) == place):
        others.append(replace(outside))
    network.start(others[-1], NIC, env.event())
    env.run()
    assert env.now == pytest.approx(2.0, rel=1e-9)


def random_flows(routes: Routes, rng: random.Random) -> list[Flow]:
    """Messages between random GPUs with sizes and starts that are exact in binary and in decimal."""
    flows = []
    for _ in range(rng.randint(2, 14)):
        sender, receiver = rng.sample(range(routes.cluster.gpus), 2)
        wires = one_message(routes, sender, receiver).legs[0].flows.wire.tolist()
        start = Fraction(rng.choice([0, 0, rng.randint(1, 64)]), 64)
        flows.append(Flow(start, Fraction(rng.randint(1, 10**9)), {wire: Fraction(1) for wire in wires}))
    return flows


def as_traffic(flow: Flow, routes: Routes) -> Traffic:
    """The flow on its wires; what traffic holds beside them does not matter to the network."""
    wires = sorted(flow.uses)
    flows = one_flow(wires, [float(flow.uses[wire]) for wire in wires])
    whole = one_message(routes, 0, 1)
    return replace(whole, legs=(replace(whole.legs[0], flows=flows),))


def test_random_flows_end_when_an_exact_fluid_model_says() -> None:
    """Stars and fabrics with one spine, capacities redrawn wire by wire, late starts: sixty cases in fractions."""
    rng = random.Random(20261102)
    for number in range(60):
        nodes = rng.randint(2, 6)
        fabric: Fabric = "single-switch" if number % 2 else "rail-optimized"
        routes = Routes(ideal_cluster(nodes, 1, fabric=fabric, leaf_ports=4))
        capacity = [Fraction(rng.randint(1, 100) * 10**7) for _ in routes.capacity]
        routes.capacity[:] = [float(room) for room in capacity]
        flows = random_flows(routes, rng)
        exact = [float(end) for end in flow_ends(flows, capacity)]
        starts: list[Start] = [(float(flow.start), as_traffic(flow, routes), float(flow.size)) for flow in flows]
        ends, _ = run_transfers(routes, starts)
        assert ends == pytest.approx(exact, rel=1e-9, abs=0), f"case {number}"
