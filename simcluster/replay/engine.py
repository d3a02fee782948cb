"""The replay: every track walks the program on two streams; a clock turns work into spans.

Streams are order edges: an operation starts when its predecessor on its stream and the operations it needs are done.
Kernels of a rank contend with nothing, so a track's clock runs ahead through them and meets the event loop only where a
collective waits for it.  A collective starts when all members have arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import simpy

from simcluster.errors import BrokenLawError
from simcluster.replay.network import Network
from simcluster.replay.recording import Recording
from simcluster.replay.schedule import Need, Schedule
from simcluster.timeline.timeline import Folding, Timeline, Wiring

Stream = Generator[simpy.Event, object, None]


def replay(schedule: Schedule, folding: Folding, wired: Callable[[], Wiring]) -> Timeline:
    """Run `schedule`; every layer of every track gets its own spans."""
    run = _Run(schedule)
    for track in range(len(schedule.tracks)):
        run.env.process(run.compute_stream(track))
        run.env.process(run.communication_stream(track))
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

    Kernels somebody waits for and encounters are kept by (step, index of the operation, track or party).  At each
    `boundary`, the first kernel of a segment of a generation, all ranks meet: a step starts when the one before it has
    ended everywhere.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.env = simpy.Environment()
        self.schedule, self.program = schedule, schedule.program
        self.network = Network(self.env, schedule.wires)
        self.recording = Recording()
        self.party_of = {axis: parties.of_track.tolist() for axis, parties in schedule.parties.items()}
        self.members = {axis: parties.members.tolist() for axis, parties in schedule.parties.items()}
        self.kernel_done: dict[tuple[int, int, int], simpy.Event] = {}
        self.encounters: dict[tuple[int, int, int], _Encounter] = {}
        self.boundary = {segment.first: _Encounter(self.env) for segment in self.program.segments[1:]}

    def compute_stream(self, track: int) -> Stream:
        """Kernels in program order, each after the collectives it needs."""
        clock = 0.0
        schedule = self.schedule
        seconds = {index: float(each[track]) for index, each in schedule.seconds.items()}
        idle = schedule.host_s
        for step in range(self.program.steps):
            for index in schedule.kernels:
                if index in self.boundary:
                    if clock > self.env.now:
                        yield self.env.timeout(clock - self.env.now)
                    yield self._all_meet(index)
                    clock = self.env.now
                for need in schedule.needs[index]:
                    done = self._done(step, need, track)
                    if done is not None:
                        if not done.processed:
                            yield done
                        ended = done.value
                        assert isinstance(ended, float)
                        clock = max(clock, ended)
                start = clock + idle.get(index, 0.0)
                clock = start + seconds[index]
                self.recording.add(track, step, index, start, start, clock)
                if index in schedule.awaited:
                    if clock > self.env.now:
                        yield self.env.timeout(clock - self.env.now)
                    clock = self.env.now
                    self._kernel_done(step, index, track).succeed(clock)

    def communication_stream(self, track: int) -> Stream:
        """Collectives in program order, each after the kernels it needs."""
        waiting = list(self.boundary)
        for step in range(self.program.steps):
            for index, collective in self.schedule.collectives.items():
                while waiting and index > waiting[0]:
                    yield self._all_meet(waiting.pop(0))
                for need in self.schedule.needs[index]:
                    done = self._done(step, need, track)
                    if done is not None and not done.processed:
                        yield done
                arrive = self.env.now
                party = self.party_of[collective.axis][track]
                encounter = self._encounter(step, index, party)
                encounter.arrived += 1
                if encounter.arrived == self.members[collective.axis][party]:
                    encounter.start_s = arrive
                    meeting = self.schedule.meetings[index][party]
                    self.network.start(meeting.traffic, meeting.payload_bytes, encounter.done)
                yield encounter.done
                self.recording.add(track, step, index, arrive, encounter.start_s, self.env.now)
        for first in waiting:
            yield self._all_meet(first)

    def _all_meet(self, first: int) -> simpy.Event:
        """The event that fires when both streams of every track have come to the operation `first`."""
        meeting = self.boundary[first]
        meeting.arrived += 1
        if meeting.arrived == 2 * len(self.schedule.tracks):
            meeting.done.succeed()
        return meeting.done

    def _done(self, step: int, need: Need, track: int) -> simpy.Event | None:
        """The event that ends the needed operation; None before the first step."""
        back, index = need
        if step < back:
            return None
        if index in self.schedule.kernels:
            return self._kernel_done(step - back, index, track)
        axis = self.schedule.collectives[index].axis
        return self._encounter(step - back, index, self.party_of[axis][track]).done

    def _kernel_done(self, step: int, index: int, track: int) -> simpy.Event:
        event = self.kernel_done.get((step, index, track))
        if event is None:
            event = self.kernel_done[step, index, track] = self.env.event()
        return event

    def _encounter(self, step: int, index: int, party: int) -> _Encounter:
        encounter = self.encounters.get((step, index, party))
        if encounter is None:
            encounter = self.encounters[step, index, party] = _Encounter(self.env)
        return encounter

    def timeline(self, folding: Folding, wired: Callable[[], Wiring]) -> Timeline:
        """The finished run; everything the program holds must have run, and every wire carried its bytes."""
        program, schedule = self.program, self.schedule
        if len(self.recording) != len(schedule.tracks) * program.steps * len(program.operations):
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
        return replace(timeline, parties={axis: parties.of_track for axis, parties in schedule.parties.items()})

    def _waiting(self) -> str:
        """The first few encounters that never ended, with the ranks of their groups."""
        stuck = [key for key, encounter in self.encounters.items() if not encounter.done.triggered]
        return "; ".join(
            f"{self.schedule.collectives[index].name} of step {step} among ranks "
            f"{self.schedule.parties[self.schedule.collectives[index].axis].name[party]}"
            for step, index, party in stuck[:5]
        )
