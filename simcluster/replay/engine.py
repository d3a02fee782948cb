"""The replay: every rank walks the program on two streams; a clock turns work into spans.

Streams are order edges: an operation starts when its predecessor on its stream and the operations it needs are done.
Kernels of a rank contend with nothing, so a rank's clock runs ahead through them and meets the event loop only where a
collective waits for it.  A collective starts when all members have arrived.
"""

from __future__ import annotations

from collections.abc import Generator

import simpy

from simcluster.cluster.routes import Routes
from simcluster.errors import BrokenLawError
from simcluster.program.program import Program
from simcluster.replay.network import Network
from simcluster.replay.recording import Recording
from simcluster.replay.schedule import Need, Schedule
from simcluster.timeline.timeline import Timeline

Stream = Generator[simpy.Event, object, None]


def replay(program: Program, routes: Routes) -> Timeline:
    """Run `program` on the cluster of `routes`; every layer of every rank gets its own spans."""
    run = _Run(Schedule(program, routes), routes)
    for rank in range(program.ranks):
        run.env.process(run.compute_stream(rank))
        run.env.process(run.communication_stream(rank))
    run.env.run()
    return run.timeline()


class _Meeting:
    """One group's members coming together for one collective; `done` fires with the time its transfer ends."""

    __slots__ = ("arrived", "done", "start_s")

    def __init__(self, env: simpy.Environment) -> None:
        self.arrived = 0
        self.start_s = 0.0
        self.done = env.event()


class _Run:
    """The state of one replay: the clock, the network, who has arrived where, and the spans so far.

    Kernels somebody waits for and meetings are kept by (step, index of the operation, rank or group).
    """

    def __init__(self, schedule: Schedule, routes: Routes) -> None:
        self.env = simpy.Environment()
        self.schedule, self.program = schedule, schedule.program
        self.network = Network(self.env, routes)
        self.recording = Recording()
        self.kernel_done: dict[tuple[int, int, int], simpy.Event] = {}
        self.meetings: dict[tuple[int, int, int], _Meeting] = {}

    def compute_stream(self, rank: int) -> Stream:
        """Kernels in program order, each after the collectives it needs."""
        clock = 0.0
        schedule = self.schedule
        seconds = {index: time.seconds for index, time in schedule.kernel_times.items()}
        for step in range(self.program.steps):
            for index in schedule.kernels:
                for need in schedule.needs[index]:
                    done = self._done(step, need, rank)
                    if done is not None:
                        if not done.processed:
                            yield done
                        ended = done.value
                        assert isinstance(ended, float)
                        clock = max(clock, ended)
                start, clock = clock, clock + seconds[index]
                self.recording.add(rank, step, index, start, start, clock)
                if index in schedule.awaited:
                    if clock > self.env.now:
                        yield self.env.timeout(clock - self.env.now)
                    clock = self.env.now
                    self._kernel_done(step, index, rank).succeed(clock)

    def communication_stream(self, rank: int) -> Stream:
        """Collectives in program order, each after the kernels it needs."""
        for step in range(self.program.steps):
            for index in self.schedule.collectives:
                for need in self.schedule.needs[index]:
                    done = self._done(step, need, rank)
                    if done is not None and not done.processed:
                        yield done
                arrive = self.env.now
                meeting = self._arrive(step, index, rank)
                yield meeting.done
                self.recording.add(rank, step, index, arrive, meeting.start_s, self.env.now)

    def _arrive(self, step: int, index: int, rank: int) -> _Meeting:
        """Join the meeting of this rank's group; the last to arrive starts the transfer."""
        collective = self.schedule.collective(index)
        group = self.schedule.group_of[collective.axis][rank]
        meeting = self._meeting(step, index, group)
        meeting.arrived += 1
        if meeting.arrived == len(self.program.groups[collective.axis][group]):
            meeting.start_s = self.env.now
            self.network.start(self.schedule.traffics[index][group], collective.payload_bytes, meeting.done)
        return meeting

    def _done(self, step: int, need: Need, rank: int) -> simpy.Event | None:
        """The event that ends the needed operation; None before the first step."""
        back, index = need
        if step < back:
            return None
        if index in self.schedule.kernel_times:
            return self._kernel_done(step - back, index, rank)
        axis = self.schedule.collective(index).axis
        return self._meeting(step - back, index, self.schedule.group_of[axis][rank]).done

    def _kernel_done(self, step: int, index: int, rank: int) -> simpy.Event:
        event = self.kernel_done.get((step, index, rank))
        if event is None:
            event = self.kernel_done[step, index, rank] = self.env.event()
        return event

    def _meeting(self, step: int, index: int, group: int) -> _Meeting:
        meeting = self.meetings.get((step, index, group))
        if meeting is None:
            meeting = self.meetings[step, index, group] = _Meeting(self.env)
        return meeting

    def timeline(self) -> Timeline:
        """The finished run; everything the program holds must have run, and every wire carried its bytes."""
        program = self.program
        if len(self.recording) != program.ranks * program.steps * len(program.operations):
            raise BrokenLawError(f"the replay stopped before the program's end; waiting: {self._waiting()}")
        links = self.network.loads()
        timeline = self.recording.timeline(
            operations=self.schedule.operations(),
            ranks=program.ranks,
            steps=program.steps,
            links=links,
            node_bytes=self.schedule.node_bytes() * program.steps,
            wiring=self.network.wiring(),
        )
        self.network.check_conservation(links, timeline.end_s)
        return timeline

    def _waiting(self) -> str:
        """The first few meetings that never ended, with the ranks of their groups."""
        stuck = [key for key, meeting in self.meetings.items() if not meeting.done.triggered]
        return "; ".join(
            f"{self.schedule.collective(index).name} of step {step} among ranks "
            f"{self.program.groups[self.schedule.collective(index).axis][group][:8]}"
            for step, index, group in stuck[:5]
        )
