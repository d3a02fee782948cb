"""What a replay needs to know before the clock starts: times of kernels, who meets whom, loads of collectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from simcluster.gpu.gpu import KernelTime
from simcluster.program.program import Axis, Collective, Compute, Program, live_bytes
from simcluster.timeline.timeline import Operation, Tracks
from simcluster.traffic.crossings import Floats, Ints
from simcluster.traffic.traffic import Traffic
from simcluster.traffic.wires import Wires

Need = tuple[int, int]
"""An operation of the other stream that must be done first, as (steps back, index)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parties:
    """Who meets for the collectives of one axis: `of_track` is each track's party, which stands for `count` groups and
    starts when all its `members` tracks have arrived; `name[p]` is the first few ranks of its first group."""

    of_track: Ints
    count: Ints
    members: Ints
    name: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(of_track: Ints, count: Ints, name: tuple[tuple[int, ...], ...]) -> Parties:
        return Parties(of_track=of_track, count=count, members=np.bincount(of_track, minlength=len(count)), name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One collective of one party: its load and its payload (bytes)."""

    traffic: Traffic
    payload_bytes: float

    @property
    def alone_s(self) -> float:
        return self.traffic.alone_s(self.payload_bytes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """A program priced for some tracks on some wires.

    By an operation's index: `kernels` holds a kernel's time on a healthy GPU and `seconds` on a GPU of each track,
    `meetings` a collective's load for each party of its axis.
    """

    program: Program
    wires: Wires
    tracks: Tracks
    kernels: Mapping[int, KernelTime]
    seconds: Mapping[int, Floats]
    parties: Mapping[Axis, Parties]
    meetings: Mapping[int, tuple[Meeting, ...]]
    node_bytes: Floats | None = field(repr=False)
    _transfers: dict[int, Operation] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def collectives(self) -> Mapping[int, Collective]:
        """The communication stream, by index in program order."""
        return {i: op for i, op in enumerate(self.program.operations) if isinstance(op, Collective)}

    @cached_property
    def host_s(self) -> Mapping[int, float]:
        """Seconds the compute stream stands idle before a kernel, where it does."""
        computes = {i: op for i, op in enumerate(self.program.operations) if isinstance(op, Compute)}
        return {i: op.host_s for i, op in computes.items() if op.host_s}

    @cached_property
    def needs(self) -> list[list[Need]]:
        """The waits across streams of each operation; order on the same stream needs no edge.

        An operation that needs nothing starts a step, and waits for both streams' last operation of the step before.
        """
        last = [max(stream) for stream in (self.kernels, self.collectives) if stream]
        needs: list[list[Need]] = []
        for index, operation in enumerate(self.program.operations):
            edges = [(0, need) for need in operation.after] or [(1, end) for end in last]
            on_compute = index in self.kernels
            needs.append([(back, need) for back, need in edges if (need in self.kernels) != on_compute])
        return needs

    @cached_property
    def awaited(self) -> frozenset[int]:
        """The kernels somebody waits for."""
        return frozenset(need for edges in self.needs for _, need in edges if need in self.kernels)

    def operations(self) -> tuple[Operation, ...]:
        """What the timeline keeps of every operation: work per GPU, time alone, and what bounds it."""
        return tuple(
            self._kernel(index, operation) if isinstance(operation, Compute) else self._transfer(index, operation)
            for index, operation in enumerate(self.program.operations)
        )

    def _kernel(self, index: int, compute: Compute) -> Operation:
        """Work is the mean over tracks, what bounds it that of the fullest."""
        kernels = compute.kernels or (compute.kernel,)
        return Operation(
            name=compute.name,
            kind="compute",
            algorithm=None,
            layer=compute.layer,
            flops=sum(kernel.flops for kernel in kernels) / len(kernels),
            bytes=sum(kernel.bytes for kernel in kernels) / len(kernels),
            bytes_nvlink=0.0,
            bytes_infiniband=0.0,
            live_bytes=live_bytes(compute),
            alone_s=self.tracks.mean(self.seconds[index]),
            bound=self.kernels[index].bound,
            fixed_s=self.kernels[index].launch_s,
            pace=self.kernels[index].pace,
            times=compute.times,
        )

    def _bound(self, meeting: Meeting) -> str:
        """What takes most of a lone transfer: its latency, or the kind of its fullest wire."""
        latency_s = meeting.traffic.latency_s
        return "latency" if latency_s > meeting.alone_s - latency_s else self._pace(meeting)

    def _pace(self, meeting: Meeting) -> str:
        """The kind of a lone transfer's fullest wire."""
        return self.wires.kind[meeting.traffic.slowest_leg(meeting.payload_bytes).full_wire]

    def _transfer(self, index: int, collective: Collective) -> Operation:
        """Bytes are means over groups; time and bound are those of the slowest group."""
        meetings = self.meetings[index]
        like = self._transfers.get(id(meetings))
        if like is None:
            count = self.parties[collective.axis].count
            slowest = max(meetings, key=lambda meeting: meeting.alone_s)
            share = [one.payload_bytes for one in meetings] * count / count.sum()
            each = list(zip((one.traffic for one in meetings), share.tolist(), strict=True))
            like = self._transfers[id(meetings)] = Operation(
                name=collective.name,
                kind=collective.kind,
                algorithm=slowest.traffic.algorithm,
                layer=collective.layer,
                flops=0.0,
                bytes=sum(traffic.sent_share * part for traffic, part in each),
                bytes_nvlink=sum(traffic.nvlink_share * part for traffic, part in each),
                bytes_infiniband=sum(traffic.infiniband_share * part for traffic, part in each),
                live_bytes=0.0,
                alone_s=slowest.alone_s,
                bound=self._bound(slowest),
                fixed_s=slowest.traffic.latency_s,
                pace=self._pace(slowest),
            )
        return replace(
            like,
            name=collective.name,
            layer=collective.layer,
            live_bytes=live_bytes(collective),
            times=collective.times,
        )
