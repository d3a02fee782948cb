"""Point-to-point flows on a star and on two switches with a trunk, against SimGrid's fluid model."""

from __future__ import annotations

import json
import math
import random
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from simcluster.cluster import topology
from simcluster.cluster.cluster import Cluster
from simcluster.cluster.routes import Routes
from tests.physics_helpers import Start, count_kinds, ideal_cluster, one_message, run_transfers

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).parent / "simgrid_flows.py"
RATE = 1e6
"""Bytes/s of a NIC: slow, so that ends are seconds and SimGrid's precision of 1e-12 s is far below 1e-9 of them."""


@cache
def simgrid_is_here() -> bool:
    try:
        return subprocess.run([PYTHON, "-c", "import simgrid"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _needs_simgrid() -> None:
    if not simgrid_is_here():
        pytest.skip(f"{PYTHON} has no simgrid; on Debian: apt-get install python3-simgrid")


@dataclass(frozen=True)
class Flow:
    sender: int
    receiver: int
    start: float
    bytes: int


def random_flows(rng: random.Random, hosts: int) -> list[Flow]:
    """Up to 40 flows, half of them from the start, between random hosts."""
    flows = []
    for _ in range(rng.randint(2, 40)):
        sender, receiver = rng.sample(range(hosts), 2)
        start = rng.choice([0.0, rng.uniform(0, 5)])
        flows.append(Flow(sender=sender, receiver=receiver, start=start, bytes=rng.randint(1, 10**7)))
    return flows


def simgrid_ends(links: list[float], routes: list[list[int]], flows: list[Flow], latency_s: float) -> list[float]:
    """When SimGrid ends each flow over its links (s)."""
    case = {
        "links": links,
        "latency_s": latency_s,
        "flows": [
            {"start": flow.start, "bytes": flow.bytes, "links": route}
            for flow, route in zip(flows, routes, strict=True)
        ],
    }
    done = subprocess.run(
        [PYTHON, str(SCRIPT)], input=json.dumps(case), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert isinstance(ends, list)
    return ends


def our_ends(cluster: Cluster, flows: list[Flow]) -> list[float]:
    routes = Routes(cluster)
    starts: list[Start] = [
        (flow.start, one_message(routes, flow.sender, flow.receiver), float(flow.bytes)) for flow in flows
    ]
    return run_transfers(routes, starts)[0]


@pytest.mark.simgrid
@pytest.mark.parametrize("seed", range(10))
def test_flows_on_a_star_end_when_simgrid_says(seed: int) -> None:
    rng = random.Random(seed)
    hosts, latency_s = rng.randint(2, 12), rng.choice([0.0, 0.125])
    flows = random_flows(rng, hosts)
    routes = [[flow.sender, hosts + flow.receiver] for flow in flows]
    cluster = ideal_cluster(hosts, 1, fabric="single-switch", nic=RATE, infiniband_latency_s=latency_s)
    expected = simgrid_ends([RATE] * (2 * hosts), routes, flows, latency_s)
    assert our_ends(cluster, flows) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.simgrid
@pytest.mark.parametrize("seed", range(100, 112))
def test_flows_over_a_narrow_trunk_end_when_simgrid_says(seed: int) -> None:
    """Two leaves of four hosts, one spine between them; each trunk has the rate of 4 / oversubscription NICs."""
    rng = random.Random(seed)
    oversubscription, latency_s = rng.choice([2.0, 3.0, 4.0]), rng.choice([0.0, 0.125])
    leaf_ports = math.ceil(4 + 4 / oversubscription)
    cluster = ideal_cluster(
        8, 1, nic=RATE, infiniband_latency_s=latency_s, leaf_ports=leaf_ports, oversubscription=oversubscription
    )
    assert count_kinds(topology.build(cluster))["spine"] == 1
    flows = random_flows(rng, 8)
    trunk = 4 * RATE / oversubscription
    links = [RATE] * 16 + [trunk] * 4
    routes = [[flow.sender, *crossing(flow), 8 + flow.receiver] for flow in flows]
    expected = simgrid_ends(links, routes, flows, latency_s)
    assert our_ends(cluster, flows) == pytest.approx(expected, rel=1e-9, abs=0)


def crossing(flow: Flow) -> list[int]:
    """The trunks between the leaves of hosts 0-3 and 4-7: up from one, down to the other."""
    tail, head = flow.sender // 4, flow.receiver // 4
    return [] if tail == head else [16 + tail, 18 + head]
