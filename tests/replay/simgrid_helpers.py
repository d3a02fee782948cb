"""SimGrid as a subprocess of Debian's own Python, and random clusters and flows to give it."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from simcluster.cluster.cluster import Cluster, Fault, Routing
from simcluster.cluster.link import Fabric
from simcluster.cluster.messages import Ints, Messages
from simcluster.cluster.routes import Routes
from simcluster.traffic.traffic import Leg, Traffic
from tests.physics_helpers import Start, ideal_cluster, one_flow, run_transfers, traffic

PYTHON = "/usr/bin/python3"
HERE = Path(__file__).parent
MISSING = f"{PYTHON} has no simgrid; on Debian: apt-get install python3-simgrid"

RATE = 1e6
"""Bytes/s of a NIC: slow, so that ends are seconds and SimGrid's precision of 1e-12 s is far below 1e-9 of them."""


@cache
def simgrid_is_here() -> bool:
    try:
        return subprocess.run([PYTHON, "-c", "import simgrid"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def ask_simgrid(script: str, case: Mapping[str, object]) -> Any:
    """What one of the scripts beside this file answers."""
    done = subprocess.run(
        [PYTHON, str(HERE / script)], input=json.dumps(case), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Flow:
    sender: int
    receiver: int
    start: float
    bytes: int


@dataclass(frozen=True)
class Way:
    """The wires of one message and its latency."""

    wires: list[int]
    latency_s: float


def ways(routes: Routes, pairs: Sequence[tuple[int, int]]) -> list[Way]:
    """The one way of every (sender, receiver); each must put all of its bytes on every wire that it crosses."""
    sender, receiver = (np.array(ends, dtype=np.int64) for ends in zip(*pairs, strict=True))
    crossing = routes.crossing(Messages(sender=sender, receiver=receiver, bytes=np.ones(len(pairs))))
    assert (crossing.share == 1.0).all(), "a message is split"
    wires: list[list[int]] = [[] for _ in pairs]
    for message, wire in zip(crossing.message.tolist(), crossing.wire.tolist(), strict=True):
        wires[message].append(wire)
    return [Way(wires[i], _latency_s(routes, sender[[i]], receiver[[i]])) for i in range(len(pairs))]


def _latency_s(routes: Routes, sender: Ints, receiver: Ints) -> float:
    infiniband = routes.cluster.infiniband
    if routes.inside_latency_s == 0 and (infiniband is None or infiniband.latency_s == 0):
        return 0.0
    return routes.load(Messages(sender=sender, receiver=receiver, bytes=np.ones(1))).latency_s


def simgrid_ends(links: Sequence[float], routes: Sequence[Way], flows: Sequence[Flow]) -> list[float]:
    """When SimGrid ends each flow over its links (s).

    SimGrid's CM02 shares a link in proportion to 1 / latency, as TCP does; so where latencies differ, flows start later
    by them instead.
    """
    equal = len({way.latency_s for way in routes}) == 1
    case = {
        "links": list(links),
        "flows": [
            {
                "start": flow.start + (0 if equal else way.latency_s),
                "latency_s": way.latency_s if equal else 0,
                "bytes": flow.bytes,
                "links": way.wires,
            }
            for flow, way in zip(flows, routes, strict=True)
        ],
    }
    ends = ask_simgrid("simgrid_flows.py", case)
    assert isinstance(ends, list)
    return ends


def as_traffic(routes: Routes, way: Way) -> Traffic:
    """A message on its way, as traffic whose progress is its bytes."""
    leg = Leg(
        latency_s=way.latency_s,
        port_share=1.0,
        alone_rate=float(routes.capacity[way.wires].min()),
        full_wire=way.wires[0],
        flows=one_flow(way.wires, [1.0] * len(way.wires)),
        flow_share=np.ones(1),
    )
    return replace(any_traffic(routes), legs=(leg,))


def any_traffic(routes: Routes) -> Traffic:
    return traffic("send_recv", (0, 1), routes)


def our_ends(routes: Routes, found: Sequence[Way], flows: Sequence[Flow]) -> list[float]:
    """When the network ends each flow, every one a transfer of its own."""
    whole = any_traffic(routes)
    starts: list[Start] = [
        (flow.start, replace(whole, legs=as_traffic(routes, way).legs), float(flow.bytes))
        for flow, way in zip(flows, found, strict=True)
    ]
    return run_transfers(routes, starts)[0]


def random_flows(rng: random.Random, gpus: int, count: int) -> list[Flow]:
    """Flows between random GPUs, half of them from the start; the shortest takes a tenth of a second alone."""
    flows = []
    for _ in range(count):
        sender, receiver = rng.sample(range(gpus), 2)
        start = rng.choice([0.0, rng.uniform(0, 10)])
        flows.append(Flow(sender=sender, receiver=receiver, start=start, bytes=rng.randint(10**6, 10**7)))
    return flows


FAT_TREES: list[tuple[Fabric, int, int]] = [("leaf-spine", 1, 16), ("fat-tree", 1, 8), ("fat-tree", 2, 12)]
KINDS = ("star", "fat tree", "rails", "torus", "dragonfly")


def random_cluster(rng: random.Random, kind: str) -> Cluster:
    """A cluster of up to 64 nodes with one hashed way for every pair of ranks, some of its cables degraded."""
    gpus, ports, nodes = rng.choice([1, 1, 2, 4]), 64, rng.randint(2, 64)
    fabric: Fabric = "single-switch"
    if kind == "fat tree":
        fabric, gpus, ports = rng.choice(FAT_TREES)
    elif kind == "rails":
        fabric, gpus, ports, nodes = "rail-optimized", rng.choice([2, 4]), rng.choice([8, 16]), rng.randint(2, 32)
    elif kind == "torus":
        fabric = rng.choice(["torus-2d", "torus-3d"])
    elif kind == "dragonfly":
        fabric, gpus, ports = "dragonfly", rng.choice([1, 2]), rng.choice([4, 7, 11])
    cluster = ideal_cluster(
        1,
        gpus,
        nics_per_node=rng.choice([n for n in (1, 2, 4) if gpus % n == 0]),
        fabric=fabric,
        nvlink=rng.choice([2, 4.5, 8]) * RATE,
        nic=RATE,
        nvlink_latency_s=rng.choice([0.0, 0.0625]),
        infiniband_latency_s=rng.choice([0.0, 0.125]),
        leaf_ports=ports,
        oversubscription=rng.choice([1.0, 2.0, 3.0]),
    )
    assert cluster.infiniband is not None
    cluster = replace(
        cluster,
        nodes=min(nodes, cluster.infiniband.largest_nodes or nodes),
        routing=Routing(seed=rng.randint(0, 10**6), rail_forwarding=kind == "rails" and rng.random() < 0.5),
    )
    if rng.random() < 0.5:
        cables = Routes(cluster).wires
        hurt = rng.sample(cables, min(len(cables), 8))
        cluster = replace(cluster, faults=tuple(Fault(ends=ends, factor=rng.uniform(0.3, 0.9)) for ends in hurt))
    return cluster


def random_case(seed: int) -> tuple[Routes, list[Way], list[Flow]]:
    """A random cluster of the kind that the seed says, and 2 to 600 flows on it: mostly up to 200, for time's sake."""
    rng = random.Random(seed)
    routes = Routes(random_cluster(rng, KINDS[seed % len(KINDS)]))
    count = 600 if seed % 39 == 25 else round(2 * 100 ** rng.random())
    flows = random_flows(rng, routes.cluster.gpus, count)
    return routes, ways(routes, [(flow.sender, flow.receiver) for flow in flows]), flows
