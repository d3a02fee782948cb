"""The replay: every rank walks the program on two streams; a clock turns work into spans.

Streams are order edges: an operation starts when its predecessor on its stream and the operations it needs are done.
Kernels of a rank contend with nothing, so a rank's clock runs ahead through them and meets the event loop only where a
collective waits for it.  A collective starts when all members have arrived.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator

import numpy as np
import simpy

from simcluster.cluster.routes import Routes
from simcluster.errors import BrokenLawError
from simcluster.program.program import Collective, Compute, Program
from simcluster.replay.network import Network
from simcluster.replay.traffic import Traffic, traffic
from simcluster.timeline.timeline import LinkLoads, Operation, Timeline

Process = Generator[simpy.Event, float, None]


def replay(program: Program, routes: Routes) -> Timeline:
    """Run `program` on the cluster of `routes`; every layer of every rank gets its own spans."""
    run = _Run(program, routes)
    for rank in range(program.ranks):
        run.env.process(run.compute_stream(rank))
        run.env.process(run.communication_stream(rank))
    run.env.run()
    return run.timeline()


class _Rendezvous:
    """The meeting of one group's members for one collective; `done` fires when the transfer has ended."""

    __slots__ = ("arrived", "done", "start_s")

    def __init__(self, env: simpy.Environment) -> None:
        self.arrived = 0
        self.start_s = 0.0
        self.done = env.event()


class _Run:
    """The state of one replay: the clock, the network, who has arrived where, and the spans so far."""

    def __init__(self, program: Program, routes: Routes) -> None:
        self.env = simpy.Environment()
        self.program, self.routes = program, routes
        self.network = Network(self.env, routes.capacity)
        operations = program.operations
        self.kernels = [index for index, op in enumerate(operations) if isinstance(op, Compute)]
        self.collectives = [index for index, op in enumerate(operations) if isinstance(op, Collective)]
        gpu = routes.cluster.gpu
        times = {op.kernel: gpu.kernel_time(op.kernel) for op in operations if isinstance(op, Compute)}
        self.kernel_time = [times[op.kernel] if isinstance(op, Compute) else None for op in operations]
        self.group_of = {
            axis: {rank: number for number, group in enumerate(groups) for rank in group}
            for axis, groups in program.groups.items()
        }
        self.patterns: dict[tuple[str, str], list[Traffic]] = {}
        for op in operations:
            if isinstance(op, Collective) and (op.kind, op.axis) not in self.patterns:
                groups = program.groups[op.axis]
                self.patterns[op.kind, op.axis] = [traffic(op.kind, group, routes) for group in groups]
        self.needs, self.awaited = _cross_stream_needs(program)
        self.events: dict[tuple[int, int, int], simpy.Event] = {}
        self.meetings: dict[tuple[int, int, int], _Rendezvous] = {}
        self.whole = {name: array("q") for name in ("rank", "step", "operation")}
        self.times = {name: array("d") for name in ("arrive_s", "start_s", "finish_s")}

    def compute_stream(self, rank: int) -> Process:
        """Kernels in program order, each after the collectives it needs."""
        clock = 0.0
        for step in range(self.program.steps):
            for index in self.kernels:
                for need in self.needs[index]:
                    done = self._done(step, need, rank)
                    if done is not None:
                        if not done.processed:
                            yield done
                        clock = max(clock, done.value)
                kernel_time = self.kernel_time[index]
                assert kernel_time is not None
                start, clock = clock, clock + kernel_time.seconds
                self._record(rank, step, index, start, start, clock)
                if index in self.awaited:
                    if clock > self.env.now:
                        yield self.env.timeout(clock - self.env.now)
                    clock = self.env.now
                    self._event(step, index, rank).succeed(clock)

    def communication_stream(self, rank: int) -> Process:
        """Collectives in program order, each after the kernels it needs."""
        for step in range(self.program.steps):
            for index in self.collectives:
                arrive = self.env.now
                for need in self.needs[index]:
                    done = self._done(step, need, rank)
                    if done is not None and not done.processed:
                        yield done
                        arrive = self.env.now
                meeting = self._arrive(step, index, rank)
                if not meeting.done.processed:
                    yield meeting.done
                self._record(rank, step, index, arrive, meeting.start_s, meeting.done.value)

    def _arrive(self, step: int, index: int, rank: int) -> _Rendezvous:
        """Join the meeting of this rank's group; the last to arrive starts the transfer."""
        collective = self.program.operations[index]
        assert isinstance(collective, Collective)
        number = self.group_of[collective.axis][rank]
        meeting = self._meeting(step, index, number)
        meeting.arrived += 1
        if meeting.arrived == len(self.program.groups[collective.axis][number]):
            meeting.start_s = self.env.now
            shape = self.patterns[collective.kind, collective.axis][number]
            self.network.start(shape, collective.payload_bytes, meeting.done)
        return meeting

    def _done(self, step: int, need: tuple[int, int], rank: int) -> simpy.Event | None:
        """The event that ends the needed operation, `need` = (steps back, index); None before the first step."""
        back, index = need
        if step < back:
            return None
        operation = self.program.operations[index]
        if isinstance(operation, Compute):
            return self._event(step - back, index, rank)
        return self._meeting(step - back, index, self.group_of[operation.axis][rank]).done

    def _meeting(self, step: int, index: int, group: int) -> _Rendezvous:
        meeting = self.meetings.get((step, index, group))
        if meeting is None:
            meeting = self.meetings[step, index, group] = _Rendezvous(self.env)
        return meeting

    def _event(self, step: int, index: int, rank: int) -> simpy.Event:
        event = self.events.get((step, index, rank))
        if event is None:
            event = self.events[step, index, rank] = self.env.event()
        return event

    def _record(self, rank: int, step: int, index: int, arrive: float, start: float, finish: float) -> None:
        self.whole["rank"].append(rank)
        self.whole["step"].append(step)
        self.whole["operation"].append(index)
        self.times["arrive_s"].append(arrive)
        self.times["start_s"].append(start)
        self.times["finish_s"].append(finish)

    def timeline(self) -> Timeline:
        """The finished run as columns; everything that could have started must have ended."""
        spans = self.program.ranks * self.program.steps * len(self.program.operations)
        if len(self.whole["rank"]) != spans:
            raise BrokenLawError(self._stuck())
        history = self.network.history
        links = LinkLoads(
            time_s=np.array([time for time, _ in history]),
            state=np.array([state for _, state in history], dtype=np.int64),
            rates=np.array(self.network.rates).reshape(-1, len(self.routes.capacity)),
            capacity=self.routes.capacity,
            kind=tuple(wire.kind for wire in self.routes.wire_class),
            direction=tuple(wire.direction for wire in self.routes.wire_class),
        )
        timeline = Timeline(
            operations=tuple(self._operation(index) for index in range(len(self.program.operations))),
            ranks=self.program.ranks,
            steps=self.program.steps,
            **{name: np.array(column, dtype=np.int64) for name, column in self.whole.items()},
            **{name: np.array(column, dtype=np.float64) for name, column in self.times.items()},
            links=links,
        )
        self.network.check_conservation(links.bytes_on_wires(timeline.end_s))
        return timeline

    def _operation(self, index: int) -> Operation:
        """What the timeline keeps of an operation: work per GPU, time alone, and what bounds it."""
        operation, kernel_time = self.program.operations[index], self.kernel_time[index]
        if isinstance(operation, Compute):
            assert kernel_time is not None
            return Operation(
                name=operation.name,
                kind="compute",
                layer=operation.layer,
                flops=operation.kernel.flops,
                bytes=operation.kernel.bytes,
                bytes_nvlink=0.0,
                bytes_infiniband=0.0,
                live_bytes=operation.live_bytes,
                alone_s=kernel_time.seconds,
                bound=kernel_time.bound,
            )
        shapes, payload = self.patterns[operation.kind, operation.axis], operation.payload_bytes
        slowest = max(shapes, key=lambda shape: shape.alone_s(payload))
        mean = payload / len(shapes)
        return Operation(
            name=operation.name,
            kind=operation.kind,
            layer=operation.layer,
            flops=0.0,
            bytes=mean * sum(shape.sent_share for shape in shapes),
            bytes_nvlink=mean * sum(shape.nvlink_share for shape in shapes),
            bytes_infiniband=mean * sum(shape.infiniband_share for shape in shapes),
            live_bytes=operation.live_bytes,
            alone_s=slowest.alone_s(payload),
            bound=self.routes.wire_class[slowest.full_wire].kind,
        )

    def _stuck(self) -> str:
        waiting = [
            f"{self.program.operations[index].name} of group {number} (step {step}): {meeting.arrived} arrived"
            for (step, index, number), meeting in self.meetings.items()
            if not meeting.done.triggered
        ]
        return f"the replay stopped before the program's end; waiting: {'; '.join(waiting[:5])}"


def _cross_stream_needs(program: Program) -> tuple[list[list[tuple[int, int]]], frozenset[int]]:
    """Per operation, the operations of the other stream it waits for, as (steps back, index); and the awaited kernels.

    Order on the same stream needs no edge.  An operation that needs nothing starts a step and waits for both streams'
    last operation of the step before.
    """
    operations = program.operations
    on_compute = [isinstance(operation, Compute) for operation in operations]
    last = {stream: index for index, stream in enumerate(on_compute)}
    needs: list[list[tuple[int, int]]] = []
    for index, operation in enumerate(operations):
        edges = [(0, need) for need in operation.after] or [(1, end) for end in last.values()]
        needs.append([(back, need) for back, need in edges if on_compute[need] != on_compute[index]])
    awaited = frozenset(need for edges in needs for _, need in edges if on_compute[need])
    return needs, awaited
