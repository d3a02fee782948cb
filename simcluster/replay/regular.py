"""Folding before building: the schedule of a regular cluster and plan, straight from their radix.

Every rank can be shifted onto every other (see cluster/clos.py), so there is one track, one party for each axis, and
one column for each class of wires.
"""

from __future__ import annotations

import numpy as np

from simcluster.cluster.clos import Clos, IrregularError
from simcluster.program.program import Collective, Compute, Groups, Program
from simcluster.replay.listed import each_pattern, kernel_times, meeting, node_bytes
from simcluster.replay.schedule import Meeting, Parties, Schedule
from simcluster.timeline.timeline import Tracks
from simcluster.traffic.roads import Roads
from simcluster.traffic.wires import Wires


def regular(program: Program, clos: Clos) -> Schedule:
    """The folded schedule; IrregularError says what sets ranks or wires apart."""
    cluster = clos.cluster
    if program.ranks != cluster.gpus:
        raise IrregularError("GPUs that the plan leaves out")
    if any(type(groups) is not Groups for groups in program.groups.values()):
        raise IrregularError("groups that follow no stride")
    if program.stages > 1:
        raise IrregularError("pipeline stages")
    if unevenly_loaded(program):
        raise IrregularError(UNEVEN)
    clos.check(block for groups in program.groups.values() for block in (groups.stride, groups.stride * groups.size))
    roads = {axis: Roads(clos, groups) for axis, groups in program.groups.items()}

    def price(op: Collective) -> tuple[Meeting, ...]:
        first = program.groups[op.axis][0]
        return (meeting(roads[op.axis].pricing, cluster, op, first, op.payload_bytes),)

    meetings = each_pattern(program, price)
    kernels = kernel_times(program, cluster.gpu)
    return Schedule(
        program=program,
        wires=Wires.folded(clos),
        tracks=Tracks.one(program.ranks),
        stage=np.zeros(1, dtype=np.int64),
        last_track=np.zeros(1, dtype=np.int64),
        kernels=kernels,
        seconds={index: np.array([time.seconds]) for index, time in kernels.items()},
        parties={(axis, 0): _party(groups) for axis, groups in program.groups.items()},
        meetings=meetings,
        node_bytes=node_bytes(cluster, program, meetings),
    )


UNEVEN = "unevenly popular experts"


def unevenly_loaded(program: Program) -> bool:
    """Whether ranks run unequal kernels or send unequal shares."""
    return any(op.kernels if isinstance(op, Compute) else op.shares for op in program.operations)


def _party(groups: Groups) -> Parties:
    return Parties.of(np.zeros(1, dtype=np.int64), np.array([len(groups)]), (groups[0][:8],))
