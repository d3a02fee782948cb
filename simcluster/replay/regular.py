"""Folding before building: the schedule of a regular cluster and plan, straight from their radix.

Every rank of a pipeline stage can be shifted onto every other (see cluster/clos.py), so a stage has one track, one
party for each axis, and one column for each class of wires.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simcluster.cluster.clos import Clos, IrregularError
from simcluster.program.program import Axis, Collective, Compute, Groups, Program
from simcluster.replay.listed import each_pattern, kernel_times, meeting, node_bytes
from simcluster.replay.schedule import Meeting, Parties, Schedule
from simcluster.timeline.timeline import Tracks
from simcluster.traffic.roads import roads
from simcluster.traffic.stages import stage_wires


def regular(program: Program, clos: Clos) -> Schedule:
    """The folded schedule; IrregularError says what sets ranks or wires apart."""
    cluster = clos.cluster
    if program.ranks != cluster.gpus:
        raise IrregularError("GPUs that the plan leaves out")
    if any(type(groups) is not Groups for groups in program.groups.values()):
        raise IrregularError("groups that follow no stride")
    if unevenly_loaded(program):
        raise IrregularError(UNEVEN)
    everyone = program.everyone
    blocks = [groups.blocks for groups in (everyone, *program.groups.values())]
    if None in blocks:
        raise IrregularError("groups that follow no stride")
    clos.check(block for each in blocks if each is not None for block in each)
    wires = stage_wires(clos, everyone)
    first: dict[tuple[object, ...], Meeting] = {}

    def price(op: Collective) -> tuple[Meeting, ...]:
        if op.axis == "pp":
            sends = roads(clos, everyone, everyone, op.stage)
            pair = (op.stage * everyone.per_stage, (op.stage + 1) * everyone.per_stage)
            return (meeting(sends.pricing, cluster, op, pair, op.payload_bytes),)
        key = (op.kind, op.axis, op.payload_bytes, op.dtype, op.copies, op.back)
        if key not in first:
            group = program.groups[op.axis][0]
            pricing = roads(clos, program.groups[op.axis], everyone).pricing
            first[key] = meeting(pricing, cluster, op, group, op.payload_bytes)
        one = first[key]
        return (replace(one, traffic=wires.moved(one.traffic, op.stage)),)

    meetings = each_pattern(program, price)
    kernels = kernel_times(program, cluster.gpu)
    seconds = {each: np.full(program.stages, each) for each in {time.seconds for time in kernels.values()}}
    stages = np.arange(program.stages)
    used = dict.fromkeys((op.axis, op.stage) for op in program.operations if isinstance(op, Collective))
    return Schedule(
        program=program,
        wires=wires.wires,
        tracks=Tracks.blocks(program.ranks, program.stages),
        stage=stages,
        last_track=np.full(program.stages, program.stages - 1),
        kernels=kernels,
        seconds={index: seconds[time.seconds] for index, time in kernels.items()},
        parties={(axis, stage): _party(program.groups[axis], axis, stage) for axis, stage in used},
        meetings=meetings,
        node_bytes=node_bytes(cluster, program, meetings),
    )


UNEVEN = "unevenly popular experts"


def unevenly_loaded(program: Program) -> bool:
    """Whether ranks run unequal kernels or send unequal shares."""
    return any(op.kernels if isinstance(op, Compute) else op.shares for op in program.operations)


def _party(groups: Groups, axis: Axis, stage: int) -> Parties:
    """The one party of a stage's track, and of pp the next one's, which it sends to."""
    stages = np.arange(groups.stages)
    gets = np.where((stages == stage + 1) & (axis == "pp"), 0, -1)
    name = (groups[stage * groups.per_stage][:8],)
    return Parties.of(np.where(stages == stage, 0, -1), np.array([groups.per_stage]), name, gets)
