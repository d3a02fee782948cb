"""How long a program takes whose transfers never share a wire at the same time: sums and maxima, without a clock."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from simcluster.program.program import Collective
from simcluster.replay.blocks import Block, blocks, together_s
from simcluster.replay.schedule import Schedule
from simcluster.traffic.crossings import Floats


def sequence_s(schedule: Schedule) -> float | None:
    """Seconds from the first operation's start to the last one's end; None where that takes a replay.

    Every pipeline stage has one track and runs blocks of operations one after another, each as long as it is alone.  So
    a microbatch k takes a fixed time T_s in stage s and its send D_s: with A the arrival and E the end of a microbatch
    in a stage, and S of a send,

        E_s(k) = max(A_s(k), E_s(k-1)) + T_s,    S_s(k) = max(E_s(k), S_s(k-1)) + D_s,    A_s+1(k) = S_s(k).

    A chained program's first stage also waits for its microbatch to leave the last stage in the step before.  Where two
    transfers under way at the same time would share a wire, this is not how it goes: None.
    """
    program = schedule.program
    if len(schedule.tracks) > program.stages or program.segments or schedule.wires.background.count:
        return None
    if schedule.host_s and program.microbatches > 1:  # the first of a step is longer
        return None
    parts: list[list[Block]] = []
    sending: list[float] = []
    for stage in range(program.stages):
        mine = [(i, one) for i, one in enumerate(program.operations) if one.stage == stage]
        sends = [i for i, one in mine if isinstance(one, Collective) and one.axis == "pp"]
        if len(sends) > 1 or (sends and sends[0] != mine[-1][0]):
            return None
        found = blocks(schedule, mine[: len(mine) - len(sends)])
        if found is None:
            return None
        parts.append(found)
        sending.append(together_s(schedule, sends[0]) if sends else 0.0)
    rounds = program.steps * program.microbatches
    if program.stages == 1:
        return rounds * sum(block.seconds for block in parts[0])
    begins, sent = _pipelined(schedule, [sum(block.seconds for block in each) for each in parts], sending)
    if _meet(schedule, parts, begins, sent, sending):
        return None
    return float(begins[-1, -1]) + sum(block.seconds for block in parts[-1])


def _pipelined(schedule: Schedule, lasting: list[float], sending: list[float]) -> tuple[Floats, Floats]:
    """When each stage begins each microbatch, and when each send begins: shape (stages, rounds)."""
    program = schedule.program
    stages, each = program.stages, program.microbatches
    rounds = program.steps * each
    begins, sends = np.zeros((stages, rounds)), np.zeros((stages, rounds))
    ends, sent, left = [0.0] * stages, [0.0] * stages, [0.0] * rounds
    for number in range(rounds):
        at = left[number - each] if program.chained and number >= each else 0.0
        for stage in range(stages):
            begins[stage, number] = max(at, ends[stage])
            ends[stage] = begins[stage, number] + lasting[stage]
            sends[stage, number] = max(ends[stage], sent[stage])
            at = sent[stage] = sends[stage, number] + sending[stage]
        left[number] = ends[-1]
    return begins, sends


def _meet(schedule: Schedule, parts: list[list[Block]], begins: Floats, sends: Floats, sending: list[float]) -> bool:
    """Whether two transfers of different stages, or a send and another transfer, are on a wire at the same time."""
    users = [*_collectives(parts, begins), *_sends(schedule, sends, sending)]
    for (one, mine), (other, theirs) in combinations(users, 2):
        shared = one & other
        if shared and _overlap(mine(shared), theirs(shared)):
            return True
    return False


class _Times:
    """When the transfers of one user of the wires are under way."""

    def __init__(self, wires: list[frozenset[int]], start: Floats, finish: Floats) -> None:
        self._wires, self._start, self._finish = wires, start, finish

    def __call__(self, shared: frozenset[int]) -> tuple[Floats, Floats]:
        """Starts and ends of those that load any of some wires, ascending."""
        chosen = np.array([bool(wires & shared) for wires in self._wires])
        start, finish = self._start[chosen].ravel(), self._finish[chosen].ravel()
        order = np.argsort(start)
        return start[order], finish[order]


def _collectives(parts: list[list[Block]], begins: Floats) -> Iterator[tuple[frozenset[int], _Times]]:
    for stage, each in enumerate(parts):
        offsets = np.cumsum([0.0, *(block.seconds for block in each)])
        timed = [
            (offset + start, offset + finish, wires)
            for offset, block in zip(offsets, each, strict=False)
            for start, finish, wires in block.transfers
        ]
        if timed:
            start, finish = (np.array([one[end] for one in timed])[:, None] + begins[stage] for end in (0, 1))
            wires = [one[2] for one in timed]
            yield frozenset[int]().union(*wires), _Times(wires, start, finish)


def _sends(schedule: Schedule, sends: Floats, sending: list[float]) -> Iterator[tuple[frozenset[int], _Times]]:
    for index, one in enumerate(schedule.program.operations):
        if isinstance(one, Collective) and one.axis == "pp":
            wires = schedule.meetings[index][0].wires
            start = sends[one.stage][None, :]
            yield wires, _Times([wires], start, start + sending[one.stage])


def _overlap(mine: tuple[Floats, Floats], theirs: tuple[Floats, Floats]) -> bool:
    """Whether any interval of one list lies over one of the other, by more than rounding."""
    (start, finish), (begin, end) = mine, theirs
    slack = 1e-9 * float(max(finish.max(initial=0.0), end.max(initial=0.0)))
    first = np.searchsorted(np.maximum.accumulate(finish), begin + slack, side="right")
    there = first < len(start)
    return bool((start[first[there]] < end[there] - slack).any())
