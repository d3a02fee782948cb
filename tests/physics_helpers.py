"""Hardware with round numbers, lone collectives and whole runs, for tests that compare with arithmetic on paper."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import simpy
from hypothesis import HealthCheck, settings

from simcluster.cluster.cluster import Cluster
from simcluster.cluster.link import Fabric, InfiniBand, NvLink
from simcluster.cluster.messages import Ints, Messages
from simcluster.cluster.routes import Routes
from simcluster.gpu.gpu import Gpu
from simcluster.kernels import ElementWise
from simcluster.pipeline import simulate
from simcluster.plan.layout import Axis, Group, Groups
from simcluster.program.program import Collective, CollectiveKind, Compute, Copies, Operation, Program
from simcluster.replay.network import Network
from simcluster.replay.run import run
from simcluster.scenario.compile import compile_text
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Timeline
from simcluster.timeline.totals import OperationTotal
from simcluster.traffic.algorithms import pattern
from simcluster.traffic.crossings import Crossings
from simcluster.traffic.traffic import Traffic, routed
from simcluster.traffic.wires import Wires

if TYPE_CHECKING:
    import networkx as nx

    Graph = nx.DiGraph[str]

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


def law(max_examples: int) -> settings:
    """Settings of a property: the same examples every time, and no clock in the verdict."""
    return settings(
        derandomize=True, deadline=None, max_examples=max_examples, suppress_health_check=[HealthCheck.too_slow]
    )


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


def able(cluster: Cluster) -> Cluster:
    """The same with switches that add."""
    assert cluster.nvlink is not None
    assert cluster.infiniband is not None
    return replace(
        cluster,
        nvlink=replace(cluster.nvlink, in_switch_reduction=True),
        infiniband=replace(cluster.infiniband, in_network_reduction=True),
    )


def count_kinds(graph: Graph) -> Counter[str]:
    """How many nodes of each kind a cluster's graph has."""
    return Counter(data["kind"] for _, data in graph.nodes(data=True))


def traffic(
    kind: CollectiveKind, group: Group, routes: Routes, algorithm: str = "auto", copies: Copies | None = None
) -> Traffic:
    """One collective of a group put on its routes, at the pace of the wires."""
    return routed(pattern(kind, group, routes.cluster, algorithm, copies), group, routes)


def one_flow(wire: Sequence[int], use: Sequence[float]) -> Crossings:
    """A single flow that puts use[i] bytes on wire[i] per byte of its progress."""
    return Crossings(
        flow=np.zeros(len(wire), dtype=np.int64),
        wire=np.array(wire, dtype=np.int64),
        use=np.array(use, dtype=np.float64),
        count=1,
    )


def one_message(routes: Routes, sender: int, receiver: int) -> Traffic:
    """A point-to-point message as traffic whose progress is its bytes."""
    message = Messages(sender=np.array([sender]), receiver=np.array([receiver]), bytes=np.array([1.0]))
    load = routes.load(message)
    whole = traffic("all_gather", (sender, receiver), routes)
    leg = replace(
        whole.legs[0],
        latency_s=load.latency_s,
        port_share=1.0,
        flows=one_flow(load.wire.tolist(), load.bytes.tolist()),
        flow_share=np.ones(1),
        alone_rate=float((routes.capacity[load.wire] / load.bytes).min()),
    )
    return replace(whole, legs=(leg,))


Start = tuple[float, Traffic, float]
"""A transfer to post: when (s), what, and how many bytes of payload."""


def run_transfers(routes: Routes, starts: Sequence[Start]) -> tuple[list[float], Network]:
    """When each transfer ends (s), all of them posted on one network, and the network afterwards."""
    env = simpy.Environment()
    network = Network(env, Wires.listed(routes))
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


def a_kernel(name: str, seconds: float, *after: int) -> Compute:
    """A kernel of so many seconds on the ideal GPU (1 TB/s)."""
    work = ElementWise(read_bytes=seconds * 1e12, write_bytes=0.0)
    return Compute(name=name, layer=0, kernel=work, after=after, live={})


def a_collective(
    name: str, payload_bytes: float, *after: int, axis: Axis = "tp", kind: CollectiveKind = "all_to_all"
) -> Collective:
    """A collective with this payload over the groups of `axis`."""
    return Collective(name=name, layer=0, kind=kind, axis=axis, payload_bytes=payload_bytes, after=after, live={})


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand(Groups):
    """Groups written out one by one, in any order, of equal size or not."""

    members: tuple[Group, ...]

    def __len__(self) -> int:
        return len(self.members)

    @overload
    def __getitem__(self, index: int) -> Group: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Group, ...]: ...
    def __getitem__(self, index: int | slice) -> Group | tuple[Group, ...]:
        return self.members[index]

    def first_of(self, group: int) -> int:
        return min(self.members[group])

    def of_rank(self, rank: Ints) -> Ints:
        number = {one: index for index, group in enumerate(self.members) for one in group}
        return np.array([number[one] for one in rank.tolist()], dtype=np.int64)

    def place_of(self, rank: Ints) -> Ints:
        place = {one: index for group in self.members for index, one in enumerate(group)}
        return np.array([place[one] for one in rank.tolist()], dtype=np.int64)


def by_hand(*members: Group) -> ByHand:
    """These groups, which must hold every rank once."""
    ranks = sum(map(len, members))
    assert sorted(rank for group in members for rank in group) == list(range(ranks))
    return ByHand(ranks=ranks, stride=1, size=len(members[0]), members=members)


def run_program(
    operations: Sequence[Operation],
    groups: Mapping[Axis, tuple[Group, ...]],
    cluster: Cluster,
    steps: int = 1,
) -> Timeline:
    """The operations, run by every GPU of the cluster; track r is rank r."""
    program = Program(
        operations=tuple(operations),
        groups={axis: by_hand(*members) for axis, members in groups.items()},
        ranks=cluster.gpus,
        steps=steps,
        tokens=cluster.gpus,
    )
    return run(program, cluster, fold="off")


def random_program(rng: random.Random) -> tuple[Program, Cluster]:
    """A random program of kernels and collectives on three nodes, its groups inside, across and askew of them."""
    cluster = ideal_cluster(3, 4, nics_per_node=rng.choice([1, 2, 4]), infiniband_latency_s=0.5e-3)
    groups: dict[Axis, Groups] = {
        "tp": Groups(ranks=12, stride=1, size=3),
        "etp": Groups(ranks=12, stride=1, size=2),
        "ep": Groups(ranks=12, stride=3, size=4),
    }
    operations: list[Operation] = []
    for index in range(rng.randint(1, 12)):
        after = tuple(sorted(rng.sample(range(index), min(index, rng.randint(0, 2)))))
        if rng.random() < 0.5:
            operations.append(a_kernel(f"kernel{index}", rng.choice([0.0, 1e-3, 2.5e-3]), *after))
        else:
            axis = rng.choice(list(groups))
            operations.append(a_collective(f"collective{index}", rng.uniform(1, 100e6), *after, axis=axis))
    steps = rng.randint(1, 3)
    return Program(operations=tuple(operations), groups=groups, ranks=12, steps=steps, tokens=12), cluster


def random_timeline(rng: random.Random) -> Timeline:
    """The timeline of a random program; track r is rank r."""
    program, cluster = random_program(rng)
    return run(program, cluster, fold="off")


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
