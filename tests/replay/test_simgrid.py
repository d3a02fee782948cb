"""Point-to-point flows on our own fabrics, against SimGrid's fluid model."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from simcluster.cluster import topology
from simcluster.cluster.routes import Routes
from tests.physics_helpers import count_kinds, ideal_cluster
from tests.replay.simgrid_helpers import (
    KINDS,
    MISSING,
    RATE,
    Flow,
    Way,
    our_ends,
    random_case,
    random_flows,
    simgrid_ends,
    simgrid_is_here,
    ways,
)

ALL = 200
"""Random topologies; a tenth of every kind is asked by default."""


@pytest.fixture(autouse=True)
def _needs_simgrid() -> None:
    if not simgrid_is_here():
        pytest.skip(MISSING)


def check_ends(seed: int) -> None:
    routes, found, flows = random_case(seed)
    expected = simgrid_ends(routes.capacity.tolist(), found, flows)
    assert our_ends(routes, found, flows) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.simgrid
@pytest.mark.parametrize("seed", range(ALL // 10))
def test_flows_on_a_random_fabric_end_when_simgrid_says(seed: int) -> None:
    check_ends(seed)


@pytest.mark.simgrid
@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(ALL))
def test_flows_on_every_random_fabric_end_when_simgrid_says(seed: int) -> None:
    check_ends(seed)


def test_the_random_fabrics_are_of_every_kind_and_have_from_few_to_six_hundred_flows() -> None:
    assert len(random_case(25)[2]) == 600
    cases = [random_case(seed) for seed in range(ALL // 10)]
    fabrics = Counter(routes.cluster.infiniband.fabric for routes, _, _ in cases if routes.cluster.infiniband)
    assert {"single-switch", "rail-optimized", "dragonfly"} <= set(fabrics)
    assert len(KINDS) == 5 <= len(fabrics)
    counts = [len(flows) for _, _, flows in cases]
    assert min(counts) < 10
    assert 100 < max(counts) <= 600
    trunks = [sum(not routes.is_port[wire] for way in found for wire in way.wires) for routes, found, _ in cases]
    assert sum(count > 0 for count in trunks) >= ALL // 10 * 3 // 5, "flows that cross no trunk test ports only"


@pytest.mark.simgrid
@pytest.mark.parametrize("seed", range(5))
def test_flows_on_a_star_end_when_simgrid_says(seed: int) -> None:
    """The wires of every flow written out by hand: up from its sender, down to its receiver."""
    rng = random.Random(seed)
    hosts, latency_s = rng.randint(2, 12), rng.choice([0.0, 0.125])
    flows = random_flows(rng, hosts, rng.randint(2, 40))
    by_hand = [Way([flow.sender, hosts + flow.receiver], latency_s) for flow in flows]
    routes = Routes(ideal_cluster(hosts, 1, fabric="single-switch", nic=RATE, infiniband_latency_s=latency_s))
    expected = simgrid_ends([RATE] * (2 * hosts), by_hand, flows)
    found = ways(routes, [(flow.sender, flow.receiver) for flow in flows])
    assert our_ends(routes, found, flows) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.simgrid
@pytest.mark.parametrize("seed", range(100, 106))
def test_flows_over_a_narrow_trunk_end_when_simgrid_says(seed: int) -> None:
    """Two leaves of four hosts, one spine between them; each trunk has the rate of 4 / oversubscription NICs."""
    rng = random.Random(seed)
    oversubscription, latency_s = rng.choice([2.0, 3.0, 4.0]), rng.choice([0.0, 0.125])
    leaf_ports = math.ceil(4 + 4 / oversubscription)
    cluster = ideal_cluster(
        8, 1, nic=RATE, infiniband_latency_s=latency_s, leaf_ports=leaf_ports, oversubscription=oversubscription
    )
    assert count_kinds(topology.build(cluster))["spine"] == 1
    flows = random_flows(rng, 8, rng.randint(2, 40))
    links = [RATE] * 16 + [4 * RATE / oversubscription] * 4
    by_hand = [Way([flow.sender, *trunks(flow), 8 + flow.receiver], latency_s) for flow in flows]
    routes = Routes(cluster)
    found = ways(routes, [(flow.sender, flow.receiver) for flow in flows])
    expected = simgrid_ends(links, by_hand, flows)
    assert our_ends(routes, found, flows) == pytest.approx(expected, rel=1e-9, abs=0)


def trunks(flow: Flow) -> list[int]:
    """The trunks between the leaves of hosts 0-3 and 4-7: up from one, down to the other."""
    tail, head = flow.sender // 4, flow.receiver // 4
    return [] if tail == head else [16 + tail, 18 + head]
