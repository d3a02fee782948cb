"""A program priced rank by rank: every rank a track, every group a party, every wire for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from simcluster.cluster.cluster import Cluster
from simcluster.cluster.routes import CutOffError, Routes
from simcluster.errors import InputError, Mistake, shortened
from simcluster.gpu.gpu import Gpu, KernelTime
from simcluster.kernels import Kernel
from simcluster.program.program import Axis, Collective, Compute, Groups, Program
from simcluster.replay.jitter import jittered
from simcluster.replay.schedule import Meeting, Parties, Schedule
from simcluster.timeline.timeline import MOST_NODES, Tracks
from simcluster.traffic.crossings import Floats, Ints
from simcluster.traffic.pattern import Group
from simcluster.traffic.pricing import Pricing
from simcluster.traffic.traffic import routed
from simcluster.traffic.wires import Wires


def listed(program: Program, routes: Routes) -> Schedule:
    """The schedule of every rank on every wire of `routes`.

    InputError names the operation whose groups cannot use an algorithm, or that can never complete.
    """
    cluster = routes.cluster
    pricing = Pricing(cluster, lambda shape, group: routed(shape, group, routes))
    meetings = each_pattern(program, lambda op: _meetings(pricing, routes, program, op))
    kernels = kernel_times(program, cluster.gpu)
    ranks = np.arange(program.ranks)
    stage, last = np.zeros_like(ranks), ranks
    if "pp" in program.groups:
        senders = program.groups["pp"]
        stage = senders.stage_of(ranks)
        last = senders.firsts()[(program.stages - 1) * senders.per_stage + senders.of_rank(ranks) % senders.per_stage]
    used = dict.fromkeys((op.axis, op.stage) for op in program.operations if isinstance(op, Collective))
    return Schedule(
        program=program,
        wires=Wires.listed(routes),
        tracks=Tracks.each(program.ranks),
        stage=stage,
        last_track=last,
        kernels=kernels,
        seconds=_seconds(program, cluster, kernels),
        parties={(axis, number): _parties(program, axis, number) for axis, number in used},
        meetings=meetings,
        node_bytes=node_bytes(cluster, program, meetings),
    )


def each_pattern(
    program: Program, price: Callable[[Collective], tuple[Meeting, ...]]
) -> dict[int, tuple[Meeting, ...]]:
    """The meetings of every collective by index, priced once for all collectives that have the same load."""
    found: dict[tuple[object, ...], tuple[Meeting, ...]] = {}
    meetings = {}
    for index, op in enumerate(program.operations):
        if isinstance(op, Collective):
            key = (op.kind, op.axis, op.stage, op.payload_bytes, op.dtype, op.copies, op.back, op.shares)
            if key not in found:
                found[key] = price(op)
            meetings[index] = found[key]
    return meetings


def payload_bytes(program: Program, op: Collective, rank: int) -> float:
    """The payload of the group of `rank`: where experts are unevenly chosen, what is gathered or added inside an expert
    is in proportion to its copies."""
    if not op.shares or op.axis == "ep":
        return op.payload_bytes
    place = int(program.groups["ep"].place_of(np.array(rank)))
    return op.payload_bytes * len(op.shares) * op.shares[place]


def kernel_times(program: Program, gpu: Gpu) -> dict[int, KernelTime]:
    """Every kernel's time on a healthy GPU, by index; of unequal ones that of the fullest rank."""
    computes = {i: op for i, op in enumerate(program.operations) if isinstance(op, Compute)}
    different = dict.fromkeys((op.kernel, op.beside) for op in computes.values())
    times = {(kernel, beside): _time(program, gpu, kernel, beside=beside) for kernel, beside in different}
    return {i: times[op.kernel, op.beside] for i, op in computes.items()}


def _time(program: Program, gpu: Gpu, kernel: Kernel, *, beside: bool) -> KernelTime:
    """A kernel's time; one that runs beside communication has what that leaves it of the SMs and of HBM."""
    time = gpu.kernel_time(kernel)
    return time.beside(program.communication_sms, program.communication_memory) if beside else time


def _seconds(program: Program, cluster: Cluster, kernels: dict[int, KernelTime]) -> dict[int, Floats]:
    """Every kernel's time on each rank, by index: unequal kernels by place on the ep axis, slow GPUs longer,
    and all with jitter."""
    slowness = np.ones(program.ranks)
    for rank, share in cluster.slow_gpus.items():
        if rank < program.ranks:
            slowness[rank] /= share
    found: dict[int, Floats] = {}
    by_work: dict[object, Floats] = {}
    for index, time in kernels.items():
        op = program.operations[index]
        assert isinstance(op, Compute)
        work = op.kernels or op.kernel, op.beside
        if work not in by_work:
            each = np.full(program.ranks, time.seconds)
            if op.kernels:
                place: Ints = program.groups["ep"].place_of(np.arange(program.ranks))
                times = [_time(program, cluster.gpu, kernel, beside=op.beside) for kernel in op.kernels]
                each = np.array([one.seconds for one in times])[place]
            by_work[work] = each * slowness
        found[index] = by_work[work] if cluster.jitter is None else jittered(by_work[work], cluster.jitter, index)
    return found


def _parties(program: Program, axis: Axis, stage: int) -> Parties:
    """The groups of a stage; of pp its senders, and who of the next stage gets what they send."""
    groups, ranks = program.groups[axis], np.arange(program.ranks)
    each, mine = groups.per_stage, groups.stage_of(ranks)
    number = groups.of_rank(ranks) % each
    names = tuple(group[:8] for group in groups[stage * each : (stage + 1) * each])
    receives = np.where(mine == stage + 1, number, -1) if axis == "pp" else None
    return Parties.of(np.where(mine == stage, number, -1), np.ones(each, dtype=np.int64), names, receives)


def _meetings(pricing: Pricing, routes: Routes, program: Program, op: Collective) -> tuple[Meeting, ...]:
    """Every group's collective.

    In a large cluster most groups are small and lie inside a domain.  Where their ports are as wide as those of the
    first group, each loads its own ports as the first one does.  (Large: the bytes between nodes, which would differ
    from group to group, are not kept.)
    """
    whole, cluster = program.groups[op.axis], routes.cluster
    mine = slice(op.stage * whole.per_stage, (op.stage + 1) * whole.per_stage)
    groups = whole[mine]
    if op.axis == "pp":
        after = whole[mine.stop : mine.stop + whole.per_stage]
        groups = tuple((*sender, *receiver) for sender, receiver in zip(groups, after, strict=True))

    def priced(group: Group) -> Meeting:
        return meeting(pricing, cluster, op, group, payload_bytes(program, op, group[0]))

    inside = cluster.domain_gpus % (whole.stride * whole.size) == 0 and cluster.nodes > MOST_NODES
    if op.shares or not inside or op.axis == "pp" or whole.stages > 1 or type(whole) is not Groups:
        return tuple(priced(group) for group in groups)
    first = priced(groups[0])
    ports = routes.near_ports(whole.firsts()[:, None] + np.arange(whole.size) * whole.stride)
    used = np.unique(np.concatenate([leg.flows.wire for leg in first.traffic.legs]))
    if ports is None or not np.isin(used, ports[0]).all():
        return tuple(priced(group) for group in groups)
    as_wide = (ports >= 0).all(axis=1) & (routes.capacity[ports] == routes.capacity[ports[0]]).all(axis=1)
    order = np.argsort(ports[0])
    places = [order[np.searchsorted(ports[0], leg.flows.wire, sorter=order)] for leg in first.traffic.legs]
    fullest = [int(np.argmax(ports[0] == leg.full_wire)) for leg in first.traffic.legs]

    def moved(to: Ints) -> Meeting:
        legs = tuple(
            replace(leg, flows=replace(leg.flows, wire=to[place]), full_wire=int(to[full]) if leg.flows.count else -1)
            for leg, place, full in zip(first.traffic.legs, places, fullest, strict=True)
        )
        return replace(first, traffic=replace(first.traffic, legs=legs))

    return tuple(
        moved(to) if alike else priced(group) for group, to, alike in zip(groups, ports, as_wide.tolist(), strict=True)
    )


def meeting(pricing: Pricing, cluster: Cluster, op: Collective, group: Group, payload: float) -> Meeting:
    """One group's collective on the wires, or InputError that says who waits for what."""
    try:
        return Meeting(traffic=pricing.of(op, group, payload), payload_bytes=payload)
    except ValueError as error:
        raise InputError(Mistake(path=f"cluster.algorithms.{op.kind}", what=f"{op.name}: {error}")) from None
    except CutOffError as error:
        what = (
            f"{op.name} can never complete: rank {error.sender} cannot reach rank {error.receiver}, {error.where}; "
            f"ranks {shortened(group)} wait"
        )
        raise InputError(Mistake(path="faults" if cluster.faults else "cluster", what=what)) from None


def node_bytes(cluster: Cluster, program: Program, meetings: Mapping[int, tuple[Meeting, ...]]) -> Floats | None:
    """Bytes that the GPUs of each node send to those of each node in one step, shape (nodes, nodes); None for more than
    MOST_NODES nodes."""
    if cluster.nodes > MOST_NODES:
        return None
    total = np.zeros(cluster.nodes * cluster.nodes)
    for index, parties in meetings.items():
        for one in parties:
            sent = one.traffic.node_share * one.payload_bytes
            total[one.traffic.node_pair] += program.operations[index].times * sent
    return total.reshape(cluster.nodes, cluster.nodes)
