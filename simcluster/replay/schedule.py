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
"""An operation of another stream that must be done first, as (rounds back, index).

A round is one microbatch's run of the operations of its part of the program.
"""

Place = tuple[Axis, int]
"""An axis and a pipeline stage."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parties:
    """Who meets for the collectives of one axis in one stage: `of_track` is each track's party, -1 for tracks of other
    stages.  A party stands for `count` groups and starts when all its `members` tracks have arrived; `name[p]` is the
    first few ranks of its first group.

    On the axis pp a party is a sender, and `to_track` says for each track of the next stage from which party it gets.
    """

    of_track: Ints
    count: Ints
    members: Ints
    name: tuple[tuple[int, ...], ...]
    to_track: Ints

    @staticmethod
    def of(of_track: Ints, count: Ints, name: tuple[tuple[int, ...], ...], to_track: Ints | None = None) -> Parties:
        members = np.bincount(of_track[of_track >= 0], minlength=len(count))
        nobody = np.full(len(of_track), -1) if to_track is None else to_track
        return Parties(of_track=of_track, count=count, members=members, name=name, to_track=nobody)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One collective of one party: its load and its payload (bytes)."""

    traffic: Traffic
    payload_bytes: float

    @property
    def alone_s(self) -> float:
        return self.traffic.alone_s(self.payload_bytes)

    @property
    def wires(self) -> frozenset[int]:
        """The columns of wires it loads."""
        return frozenset(wire for leg in self.traffic.legs for wire in leg.flows.wire.tolist())


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """A program priced for some tracks on some wires.

    `stage` is each track's pipeline stage, `last_track` the one at its place in the last stage.  By an operation's
    index: `kernels` holds a kernel's time on a healthy GPU and `seconds` on a GPU of each track, `meetings` a
    collective's load for each party of its axis and stage.
    """

    program: Program
    wires: Wires
    tracks: Tracks
    stage: Ints
    last_track: Ints
    kernels: Mapping[int, KernelTime]
    seconds: Mapping[int, Floats]
    parties: Mapping[Place, Parties]
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
        """The waits across streams of each operation; order on the same stream of the same stage needs no edge.

        An operation that needs nothing starts a round.  Without pipeline stages it waits for the last operation of all
        streams in the round before.  In a pipeline the first stage goes on as its streams are free, or where the
        program is chained when the last stage is through with the same microbatch of the step before, which may be a
        part of its own.
        """
        program, needs = self.program, list[list[Need]]()
        before: list[int] = []
        for part in program.parts:
            last = [index for index in part.operations if program.operations[index].stage == program.stages - 1]
            ends = list({self._stream(index): index for index in last}.values())
            back = 1 if program.stages == 1 else part.microbatches
            starts = [(back, end) for end in ends] if program.stages == 1 or program.chained else []
            if part.chained:
                starts = [(0, end) for end in before]
            before = ends
            for index in part.operations:
                operation = program.operations[index]
                edges = [(0, need) for need in operation.after] or starts
                needs.append([edge for edge in edges if self._stream(edge[1]) != self._stream(index)])
        return needs

    def _stream(self, index: int) -> tuple[int, str]:
        """The stage and the stream that an operation runs on."""
        operation = self.program.operations[index]
        if isinstance(operation, Compute):
            return operation.stage, "compute"
        return operation.stage, {"pp": "send", "ep": "exchange"}.get(operation.axis, "communication")

    def streams(self, stage: int, stream: str) -> list[list[int]]:
        """A stage's operations on one stream, in program order, by part of the program."""
        mine = (stage, stream)
        return [[index for index in part.operations if self._stream(index) == mine] for part in self.program.parts]

    def party(self, index: int, track: int) -> int:
        """The party of a collective that a track meets in, or gets a send from."""
        collective = self.collectives[index]
        parties = self.parties[collective.axis, collective.stage]
        found = parties.of_track if self.stage[track] == collective.stage else parties.to_track
        return int(found[track])

    def party_of_track(self) -> dict[str, Ints]:
        """The number of each track's party by axis, those of all stages numbered one after another."""
        found: dict[str, Ints] = {}
        for (axis, _), parties in self.parties.items():
            before = found.get(axis, np.full(len(self.tracks), -1, dtype=np.int64))
            mine = parties.of_track >= 0
            found[axis] = np.where(mine, before.max(initial=-1) + 1 + parties.of_track, before)
        return found

    def gets_from(self) -> Ints | None:
        """The track of the stage before whose sends each track gets, -1 in the first stage; None without stages."""
        if self.program.stages == 1:
            return None
        found = np.full(len(self.tracks), -1, dtype=np.int64)
        for (axis, _), parties in self.parties.items():
            if axis == "pp":
                party, first = np.unique(parties.of_track, return_index=True)
                sender = first[np.searchsorted(party, parties.to_track)]
                found = np.where(parties.to_track >= 0, sender, found)
        return found

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
        mine = self.stage == compute.stage
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
            alone_s=float(np.average(self.seconds[index][mine], weights=self.tracks.count[mine])),
            bound=self.kernels[index].bound,
            fixed_s=self.kernels[index].launch_s,
            pace=self.kernels[index].pace,
            times=compute.times,
            sender=next((i for i in compute.after if self.program.operations[i].stage != compute.stage), None),
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
            count = self.parties[collective.axis, collective.stage].count
            slowest = max(meetings, key=lambda meeting: meeting.alone_s)
            share = [one.payload_bytes for one in meetings] * count / count.sum()
            if collective.axis == "pp":
                share = share * 2  # one of the pair sends, and only it has a row
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
            axis=collective.axis,
        )
