"""How long a program takes, found without a timeline: stages are servers in a row, what meets nobody is a wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simcluster.program.program import Collective, Program
from simcluster.replay.blocks import Block, blocks, joins
from simcluster.replay.schedule import Meeting, Schedule
from simcluster.replay.tandem import Step, end_s


def length_s(schedule: Schedule) -> float | None:
    """Seconds from the first operation's start to the last one's end; None where that takes a replay.

    Every pipeline stage must have one track and run blocks of operations one after another.  A block whose wires no
    other stage and no send loads takes the time it takes alone; of others, every operation is a step of its own.
    """
    program = schedule.program
    if len(schedule.tracks) > program.stages or program.segments or schedule.wires.background.count:
        return None
    if schedule.host_s and program.microbatches > 1:  # the first of a step is longer
        return None
    shared = _shared(schedule)
    servers: list[list[Step]] = []
    for stage in range(program.stages):
        mine = [(i, one) for i, one in enumerate(program.operations) if one.stage == stage]
        sends = [i for i, one in mine if isinstance(one, Collective) and one.axis == "pp"]
        if len(sends) > 1 or (sends and sends[0] != mine[-1][0]):
            return None
        found = blocks(schedule, mine[: len(mine) - len(sends)])
        ordered = None if found is None else _in_sequence(program, stage, found)
        if found is None or ordered is None:
            return None
        steps: dict[int, list[Step]] = {}
        for block in found:
            apart = not any(wires & shared for _, _, wires in block.transfers)
            if not apart and len(block.operations) > 1:
                return None
            first = block.operations.start
            steps[first] = [Step(block.seconds, None, 0.0)] if apart else _legs(schedule.meetings[first][0])
        servers.append(_merged(step for block in ordered for step in steps[block.operations.start]))
        servers += [_merged(_legs(schedule.meetings[index][0])) for index in sends]
    lap = program.microbatches if program.chained else None
    return end_s(servers, schedule.wires, program.steps * program.microbatches, lap)


def _shared(schedule: Schedule) -> frozenset[int]:
    """Wires that more than one stage's collectives, or a send and something else, load."""
    users: dict[int, object] = {}
    shared = set()
    for index, meetings in schedule.meetings.items():
        one = schedule.program.operations[index]
        user = (one.stage, schedule.collectives[index].axis == "pp")
        shared |= {wire for wire in meetings[0].wires if users.setdefault(wire, user) != user}
    return frozenset(shared)


def _in_sequence(program: Program, stage: int, found: Sequence[Block]) -> Sequence[Block] | None:
    """A stage's blocks as they run, those of equal layers again and again; None where a block goes over into the next
    layer."""
    if not program.sequence:
        return found
    begins = {block.operations.start: number for number, block in enumerate(found)}
    ordered: list[Block] = []
    for places in program.sequence:
        first = program.operations[places.start]
        if first.stage != stage or (isinstance(first, Collective) and first.axis == "pp"):
            continue
        if places.start not in begins or len(first.after) > 1:
            return None
        mine = found[begins[places.start] : begins.get(places.stop, len(found))]
        if not joins([(index, program.operations[index]) for index in mine[-1].operations]):
            return None
        ordered += mine
    return ordered


def _legs(meeting: Meeting) -> list[Step]:
    """A collective: each leg's latency, then its transfer."""
    steps = []
    for leg in meeting.traffic.legs:
        left = float(leg.progress_bytes(meeting.payload_bytes)[0]) if leg.flows.count else 0.0
        steps.append(Step(leg.latency_s, leg if left else None, left))
    return steps


def _merged(steps: Iterable[Step]) -> list[Step]:
    """Waits that follow one another as one."""
    merged: list[Step] = []
    wait_s = 0.0
    for step in steps:
        wait_s += step.wait_s
        if step.leg is not None:
            merged.append(step._replace(wait_s=wait_s))
            wait_s = 0.0
    return [*merged, Step(wait_s, None, 0.0)]
