"""Random programs on random regular clusters, and every number of a schedule that is folded before it is built."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import numpy as np

from simcluster.cluster.clos import Clos, IrregularError
from simcluster.cluster.cluster import Cluster
from simcluster.cluster.messages import Floats, Ints
from simcluster.cluster.routes import Routes
from simcluster.plan.degrees import Degrees
from simcluster.plan.layout import Axis, Layout
from simcluster.program.program import ALGORITHMS, Collective, Copies, Operation, Program
from simcluster.replay.schedule import Schedule
from simcluster.timeline.timeline import Timeline
from simcluster.traffic.traffic import Leg
from tests.cluster.clos_helpers import random_shape
from tests.physics_helpers import a_kernel

MOST_GPUS = 128
MOST_OF_FLOWS = 40
"""GPUs up to which every message may get a fair share of its own."""

AXES: tuple[Axis, ...] = ("tp", "dp", "etp", "ep", "edp")

# ---------------------------------------------------------------------------------------------------- random programs


@dataclass(frozen=True, slots=True)
class Case:
    """A program on a cluster that is regular by itself; the two may not fit together."""

    cluster: Cluster
    program: Program


def random_case(seed: int) -> Case:
    """Every third case gives each message a fair share of its own."""
    rng = random.Random(seed)
    cluster = _regular_cluster(rng, flow=seed % 3 == 0)
    program = _program(rng, cluster)
    chosen: dict[str, str] = {kind: rng.choice(names) for kind, names in ALGORITHMS.items() if rng.random() < 0.7}
    return Case(replace(cluster, algorithms=chosen), program)


def _regular_cluster(rng: random.Random, *, flow: bool) -> Cluster:
    while True:
        cluster = random_shape(rng)
        if not 2 <= cluster.gpus <= (MOST_OF_FLOWS if flow else MOST_GPUS):
            continue
        try:
            Clos(cluster)
        except IrregularError:
            continue
        return _with_times(rng, replace(cluster, sharing="flow" if flow else "activity"))


def _with_times(rng: random.Random, cluster: Cluster) -> Cluster:
    """Latencies, overheads and switches that add."""
    assert cluster.infiniband is not None
    overhead_s = rng.choice([0.0, 5e-6])
    cluster = replace(
        cluster,
        infiniband=replace(cluster.infiniband, latency_s=3e-6, in_network_reduction=rng.random() < 0.15),
        gpu=replace(cluster.gpu, collective_overhead_s=overhead_s),
    )
    if cluster.pcie is not None:
        cluster = replace(cluster, pcie=replace(cluster.pcie, latency_s=2e-6))
    if cluster.nvlink is not None:
        adds = rng.random() < 0.4
        cluster = replace(cluster, nvlink=replace(cluster.nvlink, latency_s=1e-6, in_switch_reduction=adds))
    return cluster


def divisors(number: int) -> list[int]:
    return [one for one in range(1, number + 1) if number % one == 0]


def _program(rng: random.Random, cluster: Cluster) -> Program:
    """Up to six kernels and collectives over the axes of random degrees: etp = tp (orthogonal) or any (folded)."""
    gpus = cluster.gpus
    tp = rng.choice(divisors(gpus))
    etp = rng.choice([tp, *divisors(gpus)[:4]])
    ep = rng.choice(divisors(gpus // etp))
    degrees = Degrees(tp=tp, pp=1, dp=gpus // tp, cp=1, ep=ep, etp=etp, edp=gpus // etp // ep)
    layout = Layout(degrees=degrees, gpus_per_node=cluster.gpus_per_node)
    axes = [axis for axis in AXES if getattr(degrees, axis) > 1]
    operations: list[Operation] = []
    for index in range(rng.randint(1, 6)):
        after = tuple(sorted(rng.sample(range(index), min(index, rng.randint(0, 2)))))
        if index and rng.random() < 0.3:
            operations.append(a_kernel(f"kernel{index}", rng.choice([1e-4, 1e-3]), *after))
        else:
            operations.append(_collective(rng, index, rng.choice(axes), after))
    used = dict.fromkeys(one.axis for one in operations if isinstance(one, Collective))
    return Program(
        operations=tuple(operations),
        groups={axis: layout.groups(axis) for axis in used},
        ranks=gpus,
        steps=rng.choice([1, 1, 2]),
        tokens=gpus,
    )


def _collective(rng: random.Random, index: int, axis: Axis, after: tuple[int, ...]) -> Collective:
    kind = rng.choice(list(ALGORITHMS))
    copied = kind == "all_to_all" and rng.random() < 0.6
    return Collective(
        name=f"collective{index}",
        layer=0,
        kind=kind,
        axis=axis,
        payload_bytes=rng.choice([1e3, 1e6, 3.3e7]),
        after=after,
        live={},
        copies=Copies(top_k=rng.choice([1, 2, 4]), experts=64, token_bytes=1024.0) if copied else None,
        back=copied and rng.random() < 0.5,
    )


# --------------------------------------------------------------------------------------------- how far two are apart


@dataclass(slots=True)
class Distance:
    """The largest relative difference found, and where."""

    worst: float = 0.0
    what: str = ""
    tied: set[int] = field(default_factory=set)

    def add(self, what: str, mine: float, theirs: float) -> None:
        if mine != theirs:
            self._note(what, abs(mine - theirs) / max(abs(mine), abs(theirs)))

    def add_all(self, what: str, mine: Floats, theirs: Floats) -> None:
        assert mine.shape == theirs.shape, what
        size = np.maximum(np.abs(mine), np.abs(theirs))
        off = np.where(mine == theirs, 0.0, np.abs(mine - theirs) / np.where(size > 0, size, 1.0))
        self._note(what, float(off.max(initial=0.0)))

    def _note(self, what: str, off: float) -> None:
        assert off == off, f"{what} is not a number"
        if off > self.worst:
            self.worst, self.what = off, what


def compare_schedules(mine: Schedule, whole: Schedule, routes: Routes, clos: Clos) -> Distance:
    """Every number of a schedule from the radix against that of every rank, group and wire."""
    apart = Distance()
    assert len(mine.tracks) == 1
    assert mine.tracks.ranks == len(whole.tracks)
    families = [family.wire_class for family in clos.families]
    column = np.array([families.index(one) for one in routes.wire_class], dtype=np.int64)
    assert np.bincount(column, minlength=len(families)).tolist() == mine.wires.count.tolist()
    apart.add_all("capacity", mine.wires.capacity[column], whole.wires.capacity)
    for index, each in whole.seconds.items():
        apart.add_all("seconds of a kernel", np.full(len(each), mine.seconds[index][0]), each)
    for axis, parties in whole.parties.items():
        assert mine.parties[axis].count.tolist() == [int(parties.count.sum())]
        assert mine.parties[axis].name == parties.name[:1]
    for index, meetings in whole.meetings.items():
        (one,) = mine.meetings[index]
        for other in meetings:
            assert (one.payload_bytes, one.traffic.algorithm) == (other.payload_bytes, other.traffic.algorithm)
            for fact in ("sent_share", "nvlink_share", "infiniband_share"):
                apart.add(fact, getattr(one.traffic, fact), getattr(other.traffic, fact))
            legs = zip(one.traffic.legs, other.traffic.legs, strict=True)
            if any([_compare_legs(apart, *pair, mine, whole) for pair in legs]):
                apart.tied.add(index)
        for place, leg in enumerate(one.traffic.legs):
            theirs = [other.traffic.legs[place] for other in meetings]
            _compare_flows(apart, leg, theirs, column)
    if whole.node_bytes is None:
        assert mine.node_bytes is None
    else:
        assert mine.node_bytes is not None
        apart.add_all("bytes between nodes", mine.node_bytes, whole.node_bytes)
    return apart


def _compare_legs(apart: Distance, one: Leg, other: Leg, mine: Schedule, whole: Schedule) -> bool:
    """Whether the wires that limit the leg are of two kinds that are equally full."""
    for fact in ("latency_s", "port_share", "alone_rate", "limit"):
        apart.add(fact, getattr(one, fact), getattr(other, fact))
    if other.full_wire < 0:
        assert one.full_wire < 0
        return False
    return mine.wires.kind[one.full_wire] != whole.wires.kind[other.full_wire]


def _compare_flows(apart: Distance, one: Leg, others: list[Leg], column: Ints) -> None:
    """Flows that go as far over the same classes of wires put as much on every single wire, those of all groups
    together."""
    mine = _by_classes([one], np.arange(int(column.max(initial=-1)) + 1))
    theirs = _by_classes(others, column)
    assert set(mine) == set(theirs)
    for classes, shares in theirs.items():
        ours = mine[classes]
        assert len(ours) == len(shares), f"{len(ours)} and {len(shares)} sizes of flows over {classes}"
        for (far, use), (other_far, other_use) in zip(ours, shares, strict=True):
            apart.add("how far a flow goes", far, other_far)
            apart.add_all("use of a wire", use[column], other_use)


def _by_classes(legs: list[Leg], column: Ints) -> dict[tuple[int, ...], list[tuple[float, Floats]]]:
    """Of flows over the same classes of wires: how far they go, ascending, and the sum of their uses of every wire."""
    found: dict[tuple[int, ...], dict[float, tuple[float, Floats]]] = {}
    for leg in legs:
        order = np.argsort(leg.flows.flow, kind="stable")
        wires, uses = leg.flows.wire[order], leg.flows.use[order]
        cuts = np.searchsorted(leg.flows.flow[order], np.arange(leg.flows.count + 1)).tolist()
        for flow, far in enumerate(leg.flow_share.tolist()):
            wire, use = wires[cuts[flow] : cuts[flow + 1]], uses[cuts[flow] : cuts[flow + 1]]
            classes = tuple(np.unique(column[wire]).tolist())
            rounded = float(f"{far:.9e}")
            near = found.setdefault(classes, {})
            if rounded not in near:
                near[rounded] = (far, np.zeros(len(column)))
            np.add.at(near[rounded][1], wire, use)
    return {classes: [near[far] for far in sorted(near)] for classes, near in found.items()}


def named_alike(mine: Timeline, whole: Timeline, tied: set[int]) -> Timeline:
    """`mine` with the other's word for what bounds those operations that two kinds of wires bound equally."""
    far = {"nic", "leaf", "spine", "core"}
    operations = [
        replace(one, bound=other.bound) if index in tied and {one.bound, other.bound} <= far else one
        for index, (one, other) in enumerate(zip(mine.operations, whole.operations, strict=True))
    ]
    return replace(mine, operations=tuple(operations))
