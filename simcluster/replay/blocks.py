"""Operations of a stage as blocks that follow one another: what is in a block may overlap, what is not cannot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simcluster.program.program import Collective, Compute, Operation
from simcluster.replay.engine import replay
from simcluster.replay.schedule import Meeting, Parties, Place, Schedule
from simcluster.timeline.timeline import Folding, Tracks, Wiring

Numbered = list[tuple[int, Operation]]

Transfer = tuple[float, float, frozenset[int]]
"""Start and end, from the begin of the block, and the wires it loads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Operations, by index, that are all done before the next block begins: how long they take alone, and their
    transfers."""

    operations: range
    seconds: float
    transfers: tuple[Transfer, ...]


def blocks(schedule: Schedule, stage: Numbered) -> list[Block] | None:
    """The blocks of a stage's operations; None where the last one does not wait for all others, or some transfer has
    several flows, whose time alone takes a replay to know.

    A block ends before an operation that needs, directly or not, everything before it.  Equal blocks, such as those of
    equal layers, are replayed once.
    """
    if any(leg.flows.count > 1 for index, one in stage if isinstance(one, Collective)
           for leg in schedule.meetings[index][0].traffic.legs):  # fmt: skip
        return None
    known: dict[tuple[object, ...], Block] = {}
    found = []
    block: Numbered = []
    for block in _cut(stage):
        first = block[0][0]
        key = tuple((tuple(need - first for need in one.after if need >= first), *_like(schedule, index, one))
                    for index, one in block)  # fmt: skip
        if key not in known:
            known[key] = _alone(schedule, block)
        found.append(replace(known[key], operations=range(first, first + len(block))))
    return found if found and joins(block) else None


def _cut(stage: Numbered) -> list[Numbered]:
    """The operations in blocks."""
    found: list[Numbered] = []
    before: dict[int, int] = {}  # the block's operations that each of them needs, as bits
    for index, one in stage:
        needed = _needed(one, before)
        if not before or needed == (1 << len(before)) - 1:
            found.append([])
            before, needed = {}, 0
        before[index] = needed | 1 << len(before)
        found[-1].append((index, one))
    return found


def _needed(one: Operation, before: dict[int, int]) -> int:
    needed = 0
    for need in one.after:
        needed |= before.get(need, 0)
    return needed


def joins(block: Numbered) -> bool:
    """Whether the last operation of a block needs all others of it."""
    before: dict[int, int] = {}
    for index, one in block:
        before[index] = _needed(one, before) | 1 << len(before)
    return before[block[-1][0]] == (1 << len(before)) - 1


def _like(schedule: Schedule, index: int, one: Operation) -> tuple[object, ...]:
    """What makes two operations take the same time in the same way."""
    if isinstance(one, Compute):
        return (float(schedule.seconds[index][one.stage]), schedule.host_s.get(index, 0.0))
    return (one.axis, id(schedule.meetings[index]))


def _alone(schedule: Schedule, block: Numbered) -> Block:
    """A block by itself: of one operation its time, of several as a replay of them finds."""
    index, one = block[0]
    if len(block) > 1:
        return _replayed(schedule, block)
    if isinstance(one, Compute):
        seconds = float(schedule.seconds[index][one.stage]) + schedule.host_s.get(index, 0.0)
        return Block(operations=range(index, index + 1), seconds=seconds, transfers=())
    seconds = together_s(schedule, index)
    alone = (0.0, seconds, schedule.meetings[index][0].wires)
    return Block(operations=range(index, index + 1), seconds=seconds, transfers=(alone,))


def together_s(schedule: Schedule, index: int) -> float:
    """How long a collective of one flow takes in all groups at once, which may share wires, and nothing beside them.

    Its party stands for all groups of a stage, and its flow uses wires as they do together: latency + bytes of progress
    / the smallest of capacity / use.
    """
    meeting, capacity, found = schedule.meetings[index][0], schedule.wires.capacity, 0.0
    for leg in meeting.traffic.legs:
        found += leg.latency_s
        if leg.flows.count:
            found += float(leg.progress_bytes(meeting.payload_bytes)[0]) / leg.lone_rate(capacity)
    return found


def _replayed(schedule: Schedule, block: Numbered) -> Block:
    first, stage = block[0][0], block[0][1].stage
    inside = {index for index, _ in block}
    operations = tuple(
        one._replace(stage=0, after=tuple(need - first for need in one.after if need in inside)) for _, one in block
    )
    nobody = np.zeros(1, dtype=np.int64)
    parties: dict[Place, Parties] = {}
    meetings: dict[int, tuple[Meeting, ...]] = {}
    for index, one in block:
        if isinstance(one, Collective):
            name = schedule.parties[one.axis, stage].name
            parties[one.axis, 0] = Parties.of(nobody, np.ones(1, dtype=np.int64), name)
            meetings[index - first] = schedule.meetings[index]
    small = replace(
        schedule,
        program=replace(schedule.program, operations=operations, stages=1, microbatches=1, steps=1),
        tracks=Tracks.one(1),
        stage=nobody,
        last_track=nobody,
        kernels={index - first: schedule.kernels[index] for index, one in block if isinstance(one, Compute)},
        seconds={i - first: schedule.seconds[i][[stage]] for i, one in block if isinstance(one, Compute)},
        parties=parties,
        meetings=meetings,
        node_bytes=None,
    )
    timeline = replay(small, _ONE, _no_wiring)
    rows = np.flatnonzero(~timeline.on_compute)
    transfers = tuple(
        (float(timeline.start_s[row]), float(timeline.finish_s[row]), meetings[int(timeline.operation[row])][0].wires)
        for row in rows
    )
    return Block(operations=range(first, first + len(block)), seconds=timeline.end_s, transfers=transfers)


_ONE = Folding(ranks=1, tracks=1, wires=0, columns=0, split_by=())


def _no_wiring() -> Wiring:
    raise AssertionError("a block is not drawn")
