"""Hardware with round numbers, lone collectives and whole runs, for tests that compare with arithmetic on paper."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import simpy

from simcluster.cluster.cluster import Cluster
from simcluster.cluster.gpu import Gpu
from simcluster.cluster.link import Fabric, InfiniBand, NvLink
from simcluster.cluster.routes import Messages, Routes
from simcluster.pipeline import simulate
from simcluster.plan.layout import Group
from simcluster.program.program import CollectiveKind
from simcluster.replay.network import Network
from simcluster.replay.traffic import Traffic, traffic
from simcluster.scenario.compile import compile_text
from simcluster.timeline.result import OperationTotal, Result

EXAMPLE = (Path(__file__).parents[1] / "scenarios" / "ep64_tp2_pp1.yaml").read_text(encoding="utf-8")

NVLINK = 400e9
NIC = 50e9
"""Usable bytes/s per direction of a GPU's NVLink and of a NIC in `ideal_cluster`."""

IDEAL = (
    "cluster.gpu.efficiency={compute: 1, memory: 1}",
    "cluster.gpu.launch_overhead=0 s",
    "cluster.nvlink.efficiency=1",
    "cluster.nvlink.latency=0 s",
    "cluster.infiniband.efficiency=1",
    "cluster.infiniband.latency=0 s",
)
"""Overrides that leave nothing but closed forms: efficiencies 1, overheads and latencies 0."""


def ideal_gpu() -> Gpu:
    """100 TFLOPS of bf16, 1 TB/s of HBM, no overheads."""
    return Gpu(
        name="ideal",
        memory_bytes=1e12,
        memory_bytes_per_s=1e12,
        peak_flops_per_s={"bf16": 100e12},
        compute_efficiency={"bf16": 1.0},
        memory_efficiency=1.0,
        launch_overhead_s=0.0,
        collective_overhead_s=0.0,
        provenance="datasheet",
        source="tests",
    )


def ideal_cluster(
    nodes: int,
    gpus_per_node: int,
    *,
    nics_per_node: int | None = None,
    fabric: Fabric = "rail-optimized",
    nvlink_latency_s: float = 0.0,
    infiniband_latency_s: float = 0.0,
    nvlink: float = NVLINK,
    nic: float = NIC,
    leaf_ports: int = 64,
    oversubscription: float = 1.0,
) -> Cluster:
    """A cluster whose every wire is usable in full."""
    return Cluster(
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        gpu=ideal_gpu(),
        nvlink=NvLink(
            bytes_per_s=nvlink, latency_s=nvlink_latency_s, efficiency=1.0, provenance="datasheet", source="tests"
        ),
        infiniband=InfiniBand(
            bytes_per_s=nic,
            latency_s=infiniband_latency_s,
            efficiency=1.0,
            nics_per_node=nics_per_node or gpus_per_node,
            fabric=fabric,
            leaf_ports=leaf_ports,
            oversubscription=oversubscription,
            provenance="datasheet",
            source="tests",
        ),
    )


def one_message(routes: Routes, sender: int, receiver: int) -> Traffic:
    """A point-to-point message as traffic whose progress is its bytes."""
    message = Messages(sender=np.array([sender]), receiver=np.array([receiver]), bytes=np.array([1.0]))
    load = routes.load(message)
    drain = routes.capacity[load.wire] / load.bytes
    return Traffic(
        algorithm="message",
        latency_s=load.latency_s,
        port_share=1.0,
        wire=load.wire,
        use=load.bytes,
        sent_share=0.5,
        nvlink_share=load.nvlink_bytes / 2,
        infiniband_share=load.infiniband_bytes / 2,
        alone_rate=float(drain.min()),
        full_wire=int(load.wire[np.argmin(drain)]),
    )


Start = tuple[float, Traffic, float]
"""A transfer to post: when (s), what, and how many bytes of payload."""


def run_transfers(routes: Routes, starts: Sequence[Start]) -> tuple[list[float], Network]:
    """When each transfer ends (s), all of them posted on one network, and the network afterwards."""
    env = simpy.Environment()
    network = Network(env, routes)
    ends = [float("nan")] * len(starts)

    def post(index: int, start: Start) -> Generator[simpy.Event, object, None]:
        start_s, what, payload_bytes = start
        yield env.timeout(start_s)
        done = env.event()
        network.start(what, payload_bytes, done)
        yield done
        ends[index] = env.now

    for index, start in enumerate(starts):
        env.process(post(index, start))
    env.run()
    return ends, network


def seconds_alone(kind: CollectiveKind, group: Group, payload_bytes: float, cluster: Cluster) -> float:
    """How long one collective takes with the cluster to itself, as the network's clock has it."""
    routes = Routes(cluster)
    ends, _ = run_transfers(routes, [(0.0, traffic(kind, group, routes), payload_bytes)])
    return ends[0]


def as_text(tree: Mapping[str, object]) -> str:
    """A scenario's tree as text: JSON is YAML."""
    return json.dumps(tree)


@cache
def run_text(text: str, *overrides: str) -> Result:
    """The result of a scenario's text under overrides, simulated once per test run."""
    return simulate(compile_text(text, "x.yaml", overrides))


def answer(result: Result, path: str) -> Any:
    """What `run --json` says under a dotted path."""
    node: Any = result.as_dict()
    for key in path.split("."):
        node = node[key]
    return node


def row(result: Result, name: str) -> OperationTotal:
    """The row of `by_operation` with this name."""
    (found,) = (total for total in result.by_operation if total.name == name)
    return found
