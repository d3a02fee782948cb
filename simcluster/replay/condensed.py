"""The length of a pipelined program: what meets nothing on a wire is one kernel, and microbatches repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simcluster.gpu.gpu import KernelTime
from simcluster.kernels import ElementWise
from simcluster.program.program import Collective, Compute, Operation
from simcluster.replay.blocks import Block, Numbered, blocks
from simcluster.replay.engine import replay
from simcluster.replay.schedule import Schedule
from simcluster.timeline.timeline import Floats, Folding, Wiring

_ALIKE = 1e-9
"""Relative distance of periods that are the same."""

_SEEN = 3
"""Equal periods, one after another, from which on all that follow are taken to be equal, too."""


def condensed(schedule: Schedule) -> Schedule | None:
    """A schedule that ends when this one ends, with fewer operations; None where it cannot be told apart so.

    Blocks whose wires no other stage and no send loads take the time they take alone: neighbours of that kind become
    one kernel as long as all of them.
    """
    program = schedule.program
    if len(schedule.tracks) > program.stages or program.segments or program.stages == 1 or schedule.host_s:
        return None
    shared = _shared(schedule)
    operations: list[Operation] = []
    origin: list[int] = []
    seconds: dict[int, Floats] = {}
    sent: int | None = None
    for stage in range(program.stages):
        mine = [(i, one) for i, one in enumerate(program.operations) if one.stage == stage]
        sends = [(i, one) for i, one in mine if isinstance(one, Collective) and one.axis == "pp"]
        if len(sends) > 1 or (sends and sends[0] != mine[-1]):
            return None
        found = blocks(schedule, mine[: len(mine) - len(sends)])
        if found is None:
            return None
        before = () if sent is None else (sent,)
        for length, which in _runs(found, mine, shared):
            if which is None:
                kernel = Compute(name="kernels", layer=None, kernel=_NOTHING, after=before, live={}, stage=stage)
                seconds[len(operations)] = np.full(program.stages, length)
                operations.append(kernel)
            elif isinstance(which[1], Collective):
                operations.append(replace(which[1], after=before))
            else:
                return None
            origin.append(-1 if which is None else which[0])
            before = (len(operations) - 1,)
        if sends:
            operations.append(replace(sends[0][1], after=before))
            origin.append(sends[0][0])
            sent = len(operations) - 1
    times = {index: KernelTime(seconds=float(each[0]), bound="launch", provenance="datasheet")
             for index, each in seconds.items()}  # fmt: skip
    meetings = {new: schedule.meetings[old] for new, old in enumerate(origin) if old >= 0}
    return replace(
        schedule,
        program=replace(program, operations=tuple(operations)),
        kernels=times,
        seconds=seconds,
        meetings=meetings,
        node_bytes=None,
    )


def _shared(schedule: Schedule) -> frozenset[int]:
    """Wires that more than one stage's collectives, or a send and something else, load."""
    users: dict[int, object] = {}
    shared = set()
    for index, meetings in schedule.meetings.items():
        one = schedule.program.operations[index]
        user = (one.stage, schedule.collectives[index].axis == "pp")
        shared |= {wire for wire in meetings[0].wires if users.setdefault(wire, user) != user}
    return frozenset(shared)


def _runs(
    found: Sequence[Block], stage: Numbered, shared: frozenset[int]
) -> list[tuple[float, tuple[int, Operation] | None]]:
    """Neighbouring blocks that meet nothing, as their length, and the operations of others one by one."""
    runs: list[tuple[float, tuple[int, Operation] | None]] = []
    place, quiet = 0, 0.0
    for block in found:
        size = block.operations
        if not any(wires & shared for _, _, wires in block.transfers):
            quiet += block.seconds
        else:
            runs += [(quiet, None)] if quiet else []
            runs += [(0.0, one) for one in stage[place : place + size]]
            quiet = 0.0
        place += size
    return [*runs, (quiet, None)] if quiet else runs


_NOTHING = ElementWise(read_bytes=0.0, write_bytes=0.0)


def pipelined_s(schedule: Schedule) -> float:
    """Seconds to the end of a pipelined program of one step.

    Fewer microbatches are replayed first.  Once all stages have ended the last few of them at equal distances, the same
    in every stage, the pipeline repeats itself.  Where a stage is ahead of the next one, what waits between them grows,
    and the stage one day has no more to send that would meet the transfers of others: then all are replayed.
    """
    program = schedule.program
    count = program.stages + _SEEN + 1
    if 2 * count <= program.microbatches:  # where it does not repeat, this was in vain
        ends = _ends(replace(schedule, program=replace(program, microbatches=count)))
        periods = np.diff(ends)[:, -_SEEN:]
        if np.ptp(periods) <= _ALIKE * ends[-1, -1] / count:
            return float(ends[-1, -1] + (program.microbatches - count) * periods[-1, -1])
    return float(_ends(schedule)[-1, -1])


def _ends(schedule: Schedule) -> Floats:
    """When each stage has ended each microbatch, its kernels: shape (stages, microbatches)."""
    timeline = replay(schedule, Folding(ranks=1, tracks=1, wires=0, columns=0, split_by=()), _no_wiring)
    found = []
    for stage in range(schedule.program.stages):
        mine = (timeline.track == stage) & timeline.on_compute
        final = int(timeline.operation[mine].max())
        found.append(np.sort(timeline.finish_s[mine & (timeline.operation == final)]))
    return np.stack(found)


def _no_wiring() -> Wiring:
    raise AssertionError("this is not drawn")
