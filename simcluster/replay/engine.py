"""The replay: every track walks its stage of the program on its streams; a clock turns work into spans.

Streams are order edges: an operation starts when its predecessor on its stream and the operations it needs are done.
Kernels of a rank contend with nothing, so a track's clock runs ahead through them and meets the event loop only where a
collective waits for it.  A collective starts when all members have arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

import numpy as np
import simpy

from simcluster.errors import BrokenLawError
from simcluster.replay.network import Network
from simcluster.replay.recording import Recording
from simcluster.replay.schedule import Need, Schedule
from simcluster.timeline.timeline import Folding, Timeline, Wiring

Stream = Generator[simpy.Event, object, None]

STREAMS = ("compute", "communication", "exchange", "send")
"""Kernels, collectives inside a replica, exchanges of tokens between experts, sends to the next stage."""


def replay(schedule: Schedule, folding: Folding, wired: Callable[[], Wiring]) -> Timeline:
    """Run `schedule`; every layer of every track gets its own spans."""
    run = _Run(schedule)
    run.start()
    run.env.run()
    return run.timeline(folding, wired)


class _Encounter:
    """One party's members coming together for one collective; `done` fires with the time its transfer ends."""

    __slots__ = ("arrived", "done", "start_s")

    def __init__(self, env: simpy.Environment) -> None:
        self.arrived = 0
        self.start_s = 0.0
        self.done = env.event()


class _Run:
    """The state of one replay: the clock, the network, who has arrived where, and the spans so far.

    Kernels somebody waits for and encounters are kept by (round, index of the operation, track or party).  Before each
    part of the program but the first, a segment of a generation, all tracks meet, unless it is chained to the one
    before: a step starts when the one before it has ended everywhere.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.env = simpy.Environment()
        self.schedule, self.program = schedule, schedule.program
        self.network = Network(self.env, schedule.wires)
        self.recording = Recording()
        self.members = {place: parties.members.tolist() for place, parties in schedule.parties.items()}
        self.kernel_done: dict[tuple[int, int, int], simpy.Event] = {}
        self.encounters: dict[tuple[int, int, int], _Encounter] = {}
        self.stages = range(self.program.stages)
        self.streams = {name: [schedule.streams(stage, name) for stage in self.stages] for name in STREAMS}
        tracks, count = len(schedule.tracks), sum(any(map(any, streams)) for streams in self.streams.values())
        self.meets = [number > 0 and not part.chained for number, part in enumerate(self.program.parts)]
        self.meetings = [_Encounter(self.env) for _ in self.meets]
        self.expected = tracks * count

    def start(self) -> None:
        """One process for each stream of each track."""
        for track, stage in enumerate(self.schedule.stage.tolist()):
            self.env.process(self.compute_stream(track, self.streams["compute"][stage]))
            for name in STREAMS[1:]:
                if any(map(any, self.streams[name])):
                    self.env.process(self.communication_stream(track, self.streams[name][stage]))

    def compute_stream(self, track: int, parts: list[list[int]]) -> Stream:
        """Kernels in program order, each after the collectives it needs."""
        clock = 0.0
        schedule = self.schedule
        seconds = {index: float(schedule.seconds[index][track]) for part in parts for index in part}
        idle = schedule.host_s
        for number, kernels in enumerate(parts):
            each = self.program.parts[number].microbatches
            if self.meets[number]:
                if clock > self.env.now:
                    yield self.env.timeout(clock - self.env.now)
                yield self._all_meet(number)
                clock = self.env.now
            for step, turn in self._rounds(number):
                for index in kernels:
                    for need in schedule.needs[index]:
                        done = self._done(turn, need, track)
                        if done is not None:
                            if not done.processed:
                                yield done
                            ended = done.value
                            assert isinstance(ended, float)
                            clock = max(clock, ended)
                    start = clock + (idle.get(index, 0.0) if turn % each == 0 else 0.0)
                    clock = start + seconds[index]
                    self.recording.add(track, step, index, start, start, clock)
                    if index in schedule.awaited:
                        if clock > self.env.now:
                            yield self.env.timeout(clock - self.env.now)
                        clock = self.env.now
                        self._kernel_done(turn, index, track).succeed(clock)

    def communication_stream(self, track: int, parts: list[list[int]]) -> Stream:
        """Collectives, or sends, in program order, each after the kernels it needs."""
        collectives = self.schedule.collectives
        party_of = {index: self.schedule.party(index, track) for part in parts for index in part}
        for number, part in enumerate(parts):
            if self.meets[number]:
                yield self._all_meet(number)
            for step, turn in self._rounds(number):
                for index in part:
                    collective, party = collectives[index], party_of[index]
                    for need in self.schedule.needs[index]:
                        done = self._done(turn, need, track)
                        if done is not None and not done.processed:
                            yield done
                    arrive = self.env.now
                    encounter = self._encounter(turn, index, party)
                    encounter.arrived += 1
                    if encounter.arrived == self.members[collective.axis, collective.stage][party]:
                        encounter.start_s = arrive
                        meeting = self.schedule.meetings[index][party]
                        self.network.start(meeting.traffic, meeting.payload_bytes, encounter.done)
                    yield encounter.done
                    self.recording.add(track, step, index, arrive, encounter.start_s, self.env.now)

    def _rounds(self, part: int) -> Iterator[tuple[int, int]]:
        """The step and the number of each round of a part."""
        each = self.program.parts[part].microbatches
        return ((turn // each, turn) for turn in range(self.program.steps * each))

    def _all_meet(self, part: int) -> simpy.Event:
        """The event that fires when all streams of every track have come to a part of the program."""
        meeting = self.meetings[part]
        meeting.arrived += 1
        if meeting.arrived == self.expected:
            meeting.done.succeed()
        return meeting.done

    def _done(self, turn: int, need: Need, track: int) -> simpy.Event | None:
        """The event that ends the needed operation; None before the first round."""
        back, index = need
        if turn < back:
            return None
        last, mine = self.program.stages - 1, self.schedule.stage[track]
        runner = int(self.schedule.last_track[track]) if self.program.operations[index].stage == last != mine else track
        if index in self.schedule.kernels:
            return self._kernel_done(turn - back, index, runner)
        return self._encounter(turn - back, index, self.schedule.party(index, runner)).done

    def _kernel_done(self, turn: int, index: int, track: int) -> simpy.Event:
        event = self.kernel_done.get((turn, index, track))
        if event is None:
            event = self.kernel_done[turn, index, track] = self.env.event()
        return event

    def _encounter(self, turn: int, index: int, party: int) -> _Encounter:
        encounter = self.encounters.get((turn, index, party))
        if encounter is None:
            encounter = self.encounters[turn, index, party] = _Encounter(self.env)
        return encounter

    def timeline(self, folding: Folding, wired: Callable[[], Wiring]) -> Timeline:
        """The finished run; everything the program holds must have run, and every wire carried its bytes."""
        program, schedule = self.program, self.schedule
        tracks = np.bincount(schedule.stage, minlength=program.stages)
        rows = sum(
            int(tracks[program.operations[index].stage]) * part.microbatches
            for part in program.parts
            for index in part.operations
        )
        if len(self.recording) != program.steps * rows:
            raise BrokenLawError(f"the replay stopped before the program's end; waiting: {self._waiting()}")
        links = self.network.loads()
        timeline = self.recording.timeline(
            operations=schedule.operations(),
            tracks=schedule.tracks,
            steps=program.steps,
            links=links,
            node_bytes=None if schedule.node_bytes is None else schedule.node_bytes * program.steps,
            folding=folding,
            wired=wired,
        )
        self.network.check_conservation(links, timeline.end_s)
        return replace(timeline, parties=schedule.party_of_track(), gets_from=schedule.gets_from())

    def _waiting(self) -> str:
        """The first few encounters that never ended, with the ranks of their groups."""
        stuck = [key for key, encounter in self.encounters.items() if not encounter.done.triggered]
        found = []
        for turn, index, party in stuck[:5]:
            one = self.schedule.collectives[index]
            found.append(
                f"{one.name}, run {turn}, among ranks {self.schedule.parties[one.axis, one.stage].name[party]}"
            )
        return "; ".join(found)
