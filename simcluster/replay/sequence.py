"""How long a program takes whose collectives never meet on a wire: sums and maxima, without a clock."""

from __future__ import annotations

from itertools import pairwise
from math import fsum

from simcluster.program.program import Collective, Operation
from simcluster.replay.schedule import Schedule


def sequence_s(schedule: Schedule) -> float | None:
    """Seconds from the first operation's start to the last one's end; None where transfers may share a wire.

    Every pipeline stage has one track, which runs a chain of operations, each of which needs the one before it, and the
    wires of a stage's collectives and of each send are loaded by nothing else.  So a microbatch k takes a fixed time
    T_s in stage s and its send D_s: with A the arrival and E the end of a microbatch in a stage, and S of a send,

        E_s(k) = max(A_s(k), E_s(k-1)) + T_s,    S_s(k) = max(E_s(k), S_s(k-1)) + D_s,    A_s+1(k) = S_s(k).

    A chained program's first stage also waits for its microbatch to leave the last stage in the step before.
    """
    program = schedule.program
    stages = [[(i, one) for i, one in enumerate(program.operations) if one.stage == s] for s in range(program.stages)]
    if len(schedule.tracks) > program.stages or program.segments or schedule.wires.background.count:
        return None
    if not all(map(_is_chain, stages)) or not _apart(schedule):
        return None
    lasting, sending = [], []
    for mine in stages:
        sends = [i for i, one in mine if _is_send(one)]
        sending.append(schedule.meetings[sends[0]][0].alone_s if sends else 0.0)
        seconds = [_seconds(schedule, i) + schedule.host_s.get(i, 0.0) for i, one in mine if not _is_send(one)]
        lasting.append(fsum(seconds))
    rounds, each = program.steps * program.microbatches, program.microbatches
    if program.stages == 1:
        return rounds * lasting[0]
    ends, sent, left = [0.0] * program.stages, [0.0] * program.stages, [0.0] * rounds
    for number in range(rounds):
        at = left[number - each] if program.chained and number >= each else 0.0
        for stage in range(program.stages):
            ends[stage] = max(at, ends[stage]) + lasting[stage]
            at = sent[stage] = max(ends[stage], sent[stage]) + sending[stage]
        left[number] = ends[-1]
    return left[-1]


def _seconds(schedule: Schedule, index: int) -> float:
    """An operation's time on the track of its stage."""
    if index in schedule.seconds:
        return float(schedule.seconds[index][schedule.program.operations[index].stage])
    return schedule.meetings[index][0].alone_s


def _is_send(operation: Operation) -> bool:
    return isinstance(operation, Collective) and operation.axis == "pp"


def _is_chain(stage: list[tuple[int, Operation]]) -> bool:
    """Whether each operation of a stage needs the one before it and nothing else, and at most the last is a send."""
    links = pairwise(stage)
    return all(one.after == (before,) for (before, _), (_, one) in links) and not any(
        _is_send(one) for _, one in stage[:-1]
    )


def _apart(schedule: Schedule) -> bool:
    """Whether no wire is loaded by two stages, or by a send and anything else, and every leg is one flow."""
    users: dict[int, object] = {}
    for index, parties in schedule.meetings.items():
        operation = schedule.program.operations[index]
        user = (operation.stage, _is_send(operation))
        for leg in parties[0].traffic.legs:
            if leg.flows.count > 1:
                return False
            if any(users.setdefault(wire, user) != user for wire in leg.flows.wire.tolist()):
                return False
    return True
