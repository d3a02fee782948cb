"""A timeline: one row per operation that a rank ran, kept as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simcluster.timeline.parts import Floats as Floats
from simcluster.timeline.parts import Ints as Ints
from simcluster.timeline.parts import Parts, Segment

Stream = Literal["compute", "communication"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a row ran: the facts that are equal for all ranks, per GPU and run.

    `kind` is compute or the collective's kind, `algorithm` how that was done.  `bytes` is HBM traffic of a kernel, or
    the payload one GPU sends in a collective (mean over the group); `bytes_nvlink` and `bytes_infiniband` as in
    `run --json`.  `alone_s` is the time it takes with the wires to itself; `bound` what takes most of it (compute,
    memory, launch, latency, or the kind of the fullest wire).  `fixed_s` of it is launch overhead or latency, and
    `pace` what sets the pace of the rest: compute, memory, or the kind of the fullest wire.  It stands for `times` such
    runs of a step.  A collective runs in the groups of an `axis` of the plan.  `sender` is the index of the send of the
    pipeline stage before that a kernel needs.
    """

    name: str
    kind: str
    algorithm: str | None
    layer: int | None
    flops: float
    bytes: float
    bytes_nvlink: float
    bytes_infiniband: float
    live_bytes: float
    alone_s: float
    bound: str
    fixed_s: float = 0.0
    pace: str = ""
    times: int = 1
    axis: str | None = None
    sender: int | None = None

    @property
    def stream(self) -> Stream:
        return "compute" if self.kind == "compute" else "communication"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks:
    """What a track of a timeline stands for: ranks whose timelines are equal.

    Track t stands for `count[t]` ranks, the first of which is `first[t]`; `of_rank[r]` is the track of rank r.
    """

    of_rank: Ints
    count: Ints
    first: Ints

    def __len__(self) -> int:
        return len(self.count)

    @property
    def ranks(self) -> int:
        return len(self.of_rank)

    def mean(self, values: Floats) -> float:
        """The mean over ranks of a value that each track has."""
        return float(values @ self.count) / self.ranks

    @staticmethod
    def each(ranks: int) -> Tracks:
        """A track for every rank."""
        every = np.arange(ranks)
        return Tracks(of_rank=every, count=np.ones(ranks, dtype=np.int64), first=every)

    @staticmethod
    def one(ranks: int) -> Tracks:
        """A single track for all ranks; takes no memory per rank."""
        nothing = np.zeros(1, dtype=np.int64)
        return Tracks(of_rank=np.broadcast_to(nothing, (ranks,)), count=np.array([ranks]), first=nothing)

    @staticmethod
    def blocks(ranks: int, count: int) -> Tracks:
        """A track for each of `count` equal blocks of neighbouring ranks."""
        if count == 1:
            return Tracks.one(ranks)
        first = np.arange(count) * (ranks // count)
        return Tracks(of_rank=np.arange(ranks) // (ranks // count), count=np.full(count, ranks // count), first=first)

    @staticmethod
    def classes(of_rank: Ints) -> Tracks:
        """Tracks from the number of each rank's class."""
        _, first = np.unique(of_rank, return_index=True)
        return Tracks(of_rank=of_rank, count=np.bincount(of_rank), first=first)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkLoads:
    """Bytes/s on every wire over time: from `time_s[i]` to `time_s[i+1]` the rates are `rates[state[i]]`.

    `rates` has one row per distinct set of concurrent transfers and one column per class of wires that are loaded
    equally; column j stands for `count[j]` wires, each of `capacity[j]` usable bytes/s, of a `kind` and `direction`.
    """

    time_s: Floats
    state: Ints
    rates: Floats
    capacity: Floats
    count: Ints
    kind: tuple[str, ...]
    direction: tuple[str, ...]

    def bytes_on_wires(self, end_s: float) -> Floats:
        """Bytes that each wire of a column carried until `end_s`, the integral of its rate."""
        lasting = np.diff(np.append(self.time_s, end_s))
        per_state = np.bincount(self.state, weights=lasting, minlength=len(self.rates))
        carried: Floats = per_state @ self.rates
        return carried


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wiring:
    """The graph the wires belong to: `names` and `kinds` of its nodes, and the cables as pairs of indices into them.

    `owner` is the machine a node of the graph sits in, -1 for a switch between machines.  `cable[i]` is wire i as
    (from, to), whose load is column `column[i]`; `plain` holds the connections that are no wires.  `stands_for[i]` is
    how many equal nodes the graph's node i stands for: 1 where the graph is listed, more where it is folded.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    owner: tuple[int, ...]
    stands_for: tuple[int, ...]
    cable: Ints
    column: Ints
    plain: Ints

    @property
    def listed(self) -> bool:
        """Whether every node and wire of the cluster is there."""
        return max(self.stands_for, default=1) == 1


MOST_NODES = 64
"""Nodes up to which the bytes between each two of them are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """How much of a run was replayed: `tracks` classes of `ranks`, `columns` classes of `wires`, and in words what sets
    equal ones apart."""

    ranks: int
    tracks: int
    wires: int
    columns: int
    split_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Timeline:
    """Spans of all tracks as parallel columns, in the order they ended on each track.

    Row i: every rank of track `track[i]` ran `operations[operation[i]]` in step `step[i]`; it was ready at
    `arrive_s[i]`, all members of its collective had arrived (or the kernel started) at `start_s[i]`, and it ended at
    `finish_s[i]`, in seconds.  `node_bytes[a, b]` is what the GPUs of node a sent to GPUs of node b in the whole run,
    inside the node where a == b; None for more than MOST_NODES nodes.  `wired` makes the wiring when it is asked for.

    `segments` are the parts of a generation, each as long as all the steps it stands for; empty: every step is drawn.
    `parties[axis]` is each track's group, or class of equal groups, on an axis of the plan; `gets_from[t]` the track of
    the stage before whose sends track t gets, -1 in the first stage, None where there are no stages.
    """

    operations: tuple[Operation, ...]
    tracks: Tracks
    steps: int
    track: Ints
    step: Ints
    operation: Ints
    arrive_s: Floats
    start_s: Floats
    finish_s: Floats
    links: LinkLoads
    node_bytes: Floats | None
    folding: Folding
    wired: Callable[[], Wiring] = field(repr=False)
    segments: tuple[Segment, ...] = ()
    parties: Mapping[str, Ints] = field(default_factory=dict, repr=False)
    gets_from: Ints | None = field(default=None, repr=False)

    @cached_property
    def wiring(self) -> Wiring:
        """The graph of the wires."""
        return self.wired()

    @property
    def ranks(self) -> int:
        return self.tracks.ranks

    @property
    def end_s(self) -> float:
        """When the slowest rank ended its last operation."""
        return float(self.finish_s.max())

    @property
    def on_compute(self) -> NDArray[np.bool_]:
        """Which rows ran on the compute stream."""
        computes = np.array([operation.stream == "compute" for operation in self.operations])
        return np.asarray(computes[self.operation])

    @property
    def stage_of_track(self) -> Ints:
        """The pipeline stage of each track: one more than that of the track whose sends it gets."""
        stage = np.zeros(len(self.tracks), dtype=np.int64)
        if self.gets_from is not None:
            sender = self.gets_from
            while (sender >= 0).any():
                stage += sender >= 0
                sender = np.where(sender >= 0, self.gets_from[sender], -1)
        return stage

    def of(self, *, rank: int | None = None, stream: Stream | None = None, name: str | None = None) -> Spans:
        """The rows of one rank (those of its track), stream or operation name, or of any mix of these."""
        chosen = np.ones(len(self.track), dtype=np.bool_)
        if rank is not None:
            chosen &= self.track == self.tracks.of_rank[rank]
        if stream is not None:
            chosen &= self.on_compute == (stream == "compute")
        if name is not None:
            chosen &= np.array([operation.name == name for operation in self.operations])[self.operation]
        return Spans(timeline=self, row=np.flatnonzero(chosen))

    @cached_property
    def parts(self) -> Parts:
        """The run cut into its steps, or the segments of a generation."""
        if self.segments:
            ends = np.array([segment.end_s for segment in self.segments])
            steps = np.array([segment.times for segment in self.segments])
            return Parts(begin_s=np.append(0.0, ends[:-1]), end_s=ends, steps=steps)
        ends, begins = np.zeros(self.steps), np.full(self.steps, np.inf)
        np.maximum.at(ends, self.step, self.finish_s)
        np.minimum.at(begins, self.step, self.arrive_s)
        begins = np.minimum(begins, np.append(0.0, ends[:-1]))  # what a host does before a step belongs to it
        return Parts(begin_s=begins, end_s=ends, steps=np.ones(self.steps, dtype=np.int64))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spans:
    """Some rows of a timeline."""

    timeline: Timeline
    row: Ints

    def __len__(self) -> int:
        return len(self.row)

    def busy_s(self) -> float:
        """Sum of the rows' durations, waiting excluded."""
        return float((self.timeline.finish_s[self.row] - self.timeline.start_s[self.row]).sum())

    def waiting_s(self) -> float:
        """Sum of the rows' waits for other members of their collectives."""
        return float((self.timeline.start_s[self.row] - self.timeline.arrive_s[self.row]).sum())
