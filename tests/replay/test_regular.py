"""Folding before building, against the same program with every rank, group and wire listed."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest

import simcluster.machine
from simcluster.cluster.clos import Clos, IrregularError
from simcluster.cluster.cluster import Cluster
from simcluster.cluster.routes import Routes
from simcluster.collective import Exchange, Question, exchange_seconds, measure
from simcluster.errors import InputError
from simcluster.plan.layout import Groups
from simcluster.program.program import ALGORITHMS, Program
from simcluster.replay.engine import replay
from simcluster.replay.folding import folded
from simcluster.replay.listed import listed
from simcluster.replay.regular import regular
from simcluster.replay.run import run
from simcluster.replay.wiring import wiring
from simcluster.scenario.cluster_section import load_cluster
from simcluster.timeline.timeline import Folding, Timeline
from tests.cluster.clos_helpers import said
from tests.edge_helpers import refusal
from tests.physics_helpers import a_collective, a_kernel, ideal_cluster
from tests.replay.folding_helpers import Apart, compare_timelines, spans
from tests.replay.regular_helpers import Case, compare_schedules, named_alike, random_case

ALL = 3000
"""Random programs; a tenth is asked by default."""
MOST_OF_RUNS = 32
"""GPUs up to which the whole timeline is compared with that of every rank."""

FAR = 1e-9


# ----------------------------------------------------------------------------------------------------- random programs


def refined_timeline(case: Case) -> Timeline:
    """The timeline of the classes that are found after everything has been listed."""
    routes = Routes(case.cluster)
    whole = listed(case.program, routes)
    small = folded(whole)
    counts = Folding(
        ranks=case.program.ranks, tracks=len(small.schedule.tracks), wires=len(whole.wires),
        columns=len(small.schedule.wires), split_by=(),
    )  # fmt: skip
    return replay(small.schedule, counts, partial(wiring, routes.graph, small.column))


def check_case(seed: int) -> str:
    """What became of a case: folded and compared, refused in the same words both ways, or not regular."""
    case = random_case(seed)
    clos = Clos(case.cluster)
    where = f"seed {seed}: {said(case.cluster)}"
    try:
        refused = refusal(partial(regular, case.program, clos))
    except IrregularError:
        return "irregular"
    routes = Routes(case.cluster)
    if refused is not None:
        assert str(refusal(partial(listed, case.program, routes))) == str(refused)
        return "refused"
    apart = compare_schedules(regular(case.program, clos), listed(case.program, routes), routes, clos)
    assert apart.worst <= FAR, f"{where}: {apart.what} {apart.worst}"
    if case.cluster.gpus > MOST_OF_RUNS:
        return "schedules"
    auto, whole, refined = (
        run(case.program, case.cluster),
        run(case.program, case.cluster, "off"),
        refined_timeline(case),
    )
    assert (auto.folding.tracks, auto.folding.split_by) == (1, ())
    differs = Apart()
    compare_timelines(differs, named_alike(auto, whole, apart.tied), whole)
    assert max(differs.found.values()) <= FAR, f"{where}: {differs.worst}"
    assert auto.end_s == pytest.approx(refined.end_s, rel=FAR, abs=0)
    assert len(refined.tracks) == 1, "refinement finds no coarser classes than one, and no finer where all are alike"
    assert spans(auto) == pytest.approx(spans(refined), rel=FAR, abs=FAR * whole.end_s)
    return "timelines"


@pytest.mark.parametrize("part", range(10))
def test_random_programs_are_folded_as_if_listed(part: int) -> None:
    found = Counter(check_case(seed) for seed in range(part * ALL // 100, (part + 1) * ALL // 100))
    assert found["timelines"] >= 4


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(100))
def test_all_random_programs_are_folded_as_if_listed(part: int) -> None:
    for seed in range(part * ALL // 100, (part + 1) * ALL // 100):
        check_case(seed)


def test_the_random_programs_that_fold_use_every_kind_and_cross_every_kind_of_wire() -> None:
    kinds: Counter[tuple[str, str]] = Counter()
    wires: Counter[str] = Counter()
    for seed in range(ALL // 10):
        case = random_case(seed)
        try:
            mine = regular(case.program, Clos(case.cluster))
        except (IrregularError, InputError):
            continue
        kinds.update((case.cluster.sharing, mine.collectives[index].kind) for index in mine.meetings)
        legs = [leg for (meeting,) in mine.meetings.values() for leg in meeting.traffic.legs]
        wires.update({mine.wires.kind[wire] for leg in legs for wire in leg.flows.wire.tolist()})
    assert {kind for _, kind in kinds} == set(ALGORITHMS) - {"broadcast"}
    assert {sharing for sharing, _ in kinds} == {"activity", "flow"}
    assert min(wires[kind] for kind in ("nvlink", "pcie", "nic", "leaf", "spine")) >= 5, wires
    assert wires["core"] >= 1, wires


@pytest.mark.parametrize("kind", ["all_reduce", "all_gather", "all_to_all"])
@pytest.mark.parametrize("sharing", ["activity", "flow"])
@pytest.mark.parametrize(("stride", "size"), [(1, 2), (1, 8), (2, 4), (4, 8), (1, 32), (16, 2), (2, 16)])
def test_four_levels_of_switches(kind: str, sharing: str, stride: int, size: int) -> None:
    """Groups under one leaf, one pod, one pod of pods, and across all; neighbours, and strides over each level."""
    cluster = replace(ideal_cluster(32, 1, fabric="fat-tree", leaf_ports=4, oversubscription=1.0), sharing=sharing)  # type: ignore[arg-type]
    clos = Clos(cluster)
    assert [level.pod for level in clos.levels] == [2, 4, 16]
    program = _program(cluster, kind, stride=stride, size=size)
    if kind == "all_to_all":
        assert len(regular(program, clos).tracks) == 1
    check_program(program, cluster)


# --------------------------------------------------------------------------------------------------- shapes one by one


def _program(cluster: Cluster, kind: str, *, stride: int, size: int, payload: float = 1e6, steps: int = 1) -> Program:
    groups = Groups(ranks=cluster.gpus, stride=stride, size=size)
    operations = (a_kernel("kernel", 1e-4), a_collective("collective", payload, 0, kind=kind))  # type: ignore[arg-type]
    return Program(operations=operations, groups={"tp": groups}, ranks=cluster.gpus, steps=steps, tokens=1)


def check_program(program: Program, cluster: Cluster) -> None:
    """Folded or not, the same timeline."""
    auto, whole = run(program, cluster), run(program, cluster, "off")
    differs = Apart()
    compare_timelines(differs, auto, whole)
    assert max(differs.found.values()) <= FAR, differs.worst


SHAPES = [
    ideal_cluster(4, 4),
    ideal_cluster(8, 2, fabric="fat-tree", leaf_ports=4),
    ideal_cluster(8, 4, nics_per_node=2, fabric="leaf-spine", leaf_ports=8, oversubscription=3),
    ideal_cluster(6, 4, nics_per_node=1, fabric="single-switch"),
    ideal_cluster(3, 12, nics_per_node=4, leaf_ports=16, oversubscription=1.5),
    ideal_cluster(4, 6, nics_per_node=2, leaf_ports=4),
    ideal_cluster(2, 16, nics_per_node=4, fabric="leaf-spine", leaf_ports=4),
    ideal_cluster(16, 1, leaf_ports=4, fabric="fat-tree"),
    ideal_cluster(5, 2, leaf_ports=16),
    ideal_cluster(8, 4, leaf_ports=4),
]


@pytest.mark.parametrize("cluster", SHAPES, ids=said)
@pytest.mark.parametrize("kind", ["all_reduce", "all_gather", "all_to_all", "send_recv"])
@pytest.mark.parametrize("sharing", ["activity", "flow"])
def test_groups_of_every_stride_and_size_that_fits(cluster: Cluster, kind: str, sharing: str) -> None:
    """Blocks and strides of 1, 2, 3, 4, 6, 12 ranks, inside a node, across nodes, straddling nodes, leaves and pods."""
    shared = replace(cluster, sharing=sharing)  # type: ignore[arg-type]
    rng = random.Random(f"{said(cluster)} {kind} {sharing}")
    fits = [
        (stride, size)
        for stride in (1, 2, 3, 4, 6, 8, 12)
        for size in (2, 3, 4, 5, 6, 8, 12, 16)
        if cluster.gpus % (stride * size) == 0
    ]
    for stride, size in rng.sample(fits, min(2, len(fits))):
        check_program(_program(shared, kind, stride=stride, size=size, steps=rng.choice([1, 2])), shared)


def test_a_ring_of_an_odd_number_of_nodes_with_two_members_each() -> None:
    """The closing hop changes rail: evenly loaded all the same where a collective is one activity."""
    cluster = ideal_cluster(3, 2)
    program = _program(cluster, "all_reduce", stride=1, size=6)
    assert len(regular(program, Clos(cluster)).tracks) == 1
    check_program(program, cluster)
    check_program(program, replace(cluster, sharing="flow"))


def test_messages_of_two_sizes_on_the_same_ways() -> None:
    """Dispatch with node-dedup sends unequal messages over the same wires, each with a fair share of its own."""
    cluster = replace(ideal_cluster(4, 4), sharing="flow", algorithms={"all_to_all": "hierarchical"})
    check_program(_program(cluster, "all_to_all", stride=1, size=16), cluster)
    check_program(_program(cluster, "all_to_all", stride=2, size=8), cluster)


def test_sums_in_nvswitches_and_the_trees_between_them_are_one_flow() -> None:
    cluster = ideal_cluster(2, 4)
    assert cluster.nvlink is not None
    nvlink = replace(cluster.nvlink, in_switch_reduction=True)
    shared = replace(cluster, sharing="flow", nvlink=nvlink, algorithms={"all_reduce": "in-switch-tree"})
    program = _program(shared, "all_reduce", stride=1, size=8)
    ((meeting,),) = regular(program, Clos(shared)).meetings.values()
    assert [leg.flows.count for leg in meeting.traffic.legs] == [1]
    check_program(program, shared)


def test_gpus_that_the_plan_leaves_out_are_irregular() -> None:
    program = _program(ideal_cluster(2, 4), "all_reduce", stride=1, size=8)
    with pytest.raises(IrregularError, match="GPUs that the plan leaves out"):
        regular(program, Clos(ideal_cluster(4, 4)))


def test_a_broadcast_is_irregular_because_its_places_are() -> None:
    cluster = ideal_cluster(2, 4)
    with pytest.raises(IrregularError, match="places in a ring 8 ranks long"):
        regular(_program(cluster, "broadcast", stride=1, size=8), Clos(cluster))
    check_program(_program(cluster, "broadcast", stride=1, size=8), cluster)


def test_of_two_kinds_of_wires_that_are_equally_full_both_ways_name_the_same() -> None:
    cluster = ideal_cluster(2, 6, fabric="leaf-spine", leaf_ports=6)
    program = _program(cluster, "all_gather", stride=1, size=12)
    one, other = run(program, cluster), run(program, cluster, "off")
    assert [each.bound for each in one.operations] == [each.bound for each in other.operations]


def test_a_group_of_one_has_nobody_to_talk_to() -> None:
    cluster = ideal_cluster(2, 2)
    check_program(_program(cluster, "all_reduce", stride=1, size=1), cluster)


# ------------------------------------------------------------------------------------------------ one collective alone


@contextmanager
def nothing_regular(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(cluster: Cluster) -> None:
        raise IrregularError("asked to list")

    with monkeypatch.context() as patched:
        patched.setattr(simcluster.machine, "Clos", refuse)
        yield


SIZES = (0.0, 1e3, 1e6, 1e9, 1.23e10)


def check_measure(question: Question, monkeypatch: pytest.MonkeyPatch, sizes: Sequence[float] = SIZES) -> float:
    """How far the two ways are apart; refused in the same words, -1."""
    ask = partial(measure, question, sizes)
    refused = refusal(ask)
    if refused is not None:
        with nothing_regular(monkeypatch):
            assert str(refusal(ask)) == str(refused)
        return -1.0
    mine = ask()
    with nothing_regular(monkeypatch):
        whole = ask()
    worst = 0.0
    for one, other in zip(mine.rows, whole.rows, strict=True):
        assert one["algorithm"] == other["algorithm"]
        for name in ("time_s", "algbw_bytes_per_s", "busbw_bytes_per_s"):
            a, b = one[name], other[name]
            assert (a is None) == (b is None)
            if isinstance(a, float) and isinstance(b, float) and a != b:
                worst = max(worst, abs(a - b) / max(abs(a), abs(b)))
        if one["limited_by"] != other["limited_by"]:
            assert {one["limited_by"], other["limited_by"]} <= {"nic", "leaf", "spine", "core"}, question
    assert worst <= FAR, f"{question.kind} by {question.algorithm} on {said(question.cluster)}: {worst}"
    return worst


MACHINES = [("dgx-h100", 8), ("dgx-h100", 16), ("dgx-b200", 16)]
MORE_MACHINES = [("dgx-h100", 48), ("dgx-a100", 32), ("dgx-h100", 64), ("gb200-nvl72", 72)]


@pytest.mark.parametrize(("name", "gpus"), MACHINES)
@pytest.mark.parametrize("measured", [True, False])
def test_every_kind_and_algorithm_of_a_machine(
    name: str, gpus: int, measured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_machine(name, gpus, measured, monkeypatch)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "gpus"), MORE_MACHINES)
@pytest.mark.parametrize("measured", [True, False])
def test_every_kind_and_algorithm_of_more_machines(
    name: str, gpus: int, measured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_machine(name, gpus, measured, monkeypatch)


def check_machine(name: str, gpus: int, measured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = load_cluster(name, gpus, per_node=None)
    Clos(cluster).check(())
    machine = cluster if measured else replace(cluster, library=None)
    answered = 0
    for kind, algorithms in ALGORITHMS.items():
        for algorithm in ("auto", *algorithms):
            question = Question(cluster=machine, kind=kind, gpus=gpus, algorithm=algorithm)
            answered += check_measure(question, monkeypatch) >= 0
    assert answered >= 15


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("all_reduce", "ring"),
        ("all_reduce", "hierarchical"),
        ("all_reduce", "halving-doubling"),
        ("all_gather", "ring"),
        ("reduce_scatter", "hierarchical"),
        ("all_to_all", "direct"),
        ("all_to_all", "hierarchical"),
    ],
)
def test_what_loads_all_alike_is_never_listed(kind: str, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 4,096 GPUs under three levels of switches."""

    def fail(cluster: Cluster) -> None:
        raise AssertionError("listed")

    monkeypatch.setattr(simcluster.machine, "Routes", fail)
    cluster = ideal_cluster(512, 8, leaf_ports=16)
    assert len(Clos(cluster).levels) == 3
    question = Question(cluster=cluster, kind=kind, gpus=4096, algorithm=algorithm)  # type: ignore[arg-type]
    assert len(measure(question, [1e9]).rows) == 1


def check_collectives(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = replace(random_case(seed * 3 + 1).cluster, algorithms={})
    if cluster.gpus > 64:
        return
    for kind, algorithms in ALGORITHMS.items():
        for algorithm in algorithms:
            question = Question(cluster=cluster, kind=kind, gpus=cluster.gpus, algorithm=algorithm)
            check_measure(question, monkeypatch, (1e3, 1e9))


@pytest.mark.parametrize("seed", range(8))
def test_every_kind_and_algorithm_on_random_clusters(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check_collectives(seed, monkeypatch)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(80))
def test_every_kind_and_algorithm_on_all_random_clusters(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check_collectives(seed, monkeypatch)


@pytest.mark.parametrize("gpus", [8, 16, 32])
@pytest.mark.parametrize("measured", [True, False])
def test_dispatch_and_combine_in_both_modes(gpus: int, measured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = load_cluster("dgx-h100", gpus, per_node=None)
    machine = cluster if measured else replace(cluster, library=None)
    asked = [
        Exchange(
            question=Question(cluster=machine, kind="all_to_all", gpus=gpus), back=back, mode=mode, tokens=tokens,
            hidden=7168, top_k=8, experts=256,
        )
        for back in (False, True)
        for mode in ("normal", "low_latency")
        for tokens in (128.0, 4096.0)
    ]  # fmt: skip
    mine = exchange_seconds(asked)
    with nothing_regular(monkeypatch):
        assert mine == pytest.approx(exchange_seconds(asked), rel=FAR, abs=0)


# ---------------------------------------------------------------------------------------------------------- no listing


def test_a_million_gpus_take_no_memory_per_rank() -> None:
    """Groups of 64 ranks: nothing is made for each of 2^20 GPUs."""
    cluster = ideal_cluster(2**17, 8)
    program = _program(cluster, "all_to_all", stride=2, size=64)
    tracemalloc.start()
    try:
        timeline = run(program, cluster)
        assert timeline.tracks.ranks == 2**20
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
    groups = timeline.tracks.ranks // 64
    sent = dict(zip(zip(timeline.links.kind, timeline.links.direction, strict=True),
                    timeline.links.bytes_on_wires(timeline.end_s) * timeline.links.count, strict=True))  # fmt: skip
    # Of 64 members four are in each of 16 nodes: a rank sends 3/64 of its buffer over NVLink and 60/64 through its NIC.
    assert sent["nvlink", "out"] == pytest.approx(groups * 64 * 1e6 * 3 / 64, rel=FAR, abs=0)
    assert sent["nic", "out"] == pytest.approx(groups * 64 * 1e6 * 60 / 64, rel=FAR, abs=0)
    assert timeline.links.count[:4].tolist() == [2**20] * 4
