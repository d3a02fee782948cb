"""A program: the operations of one step in program order, and the groups its collectives run in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from typing import Literal, NamedTuple

from simcluster.kernels import Kernel
from simcluster.plan.layout import Axis as Axis
from simcluster.plan.layout import Groups as Groups

CollectiveKind = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv"]

ALGORITHMS: dict[CollectiveKind, tuple[str, ...]] = {
    "all_reduce": (
        "ring",
        "tree",
        "halving-doubling",
        "hierarchical",
        "in-switch",
        "in-switch-tree",
        "in-network",
        "one-shot",
        "two-shot",
    ),
    "all_gather": ("ring", "direct", "halving-doubling", "hierarchical"),
    "reduce_scatter": ("ring", "direct", "halving-doubling", "hierarchical"),
    "broadcast": ("ring", "tree"),
    "all_to_all": ("direct", "pairwise", "hierarchical", "node-dedup", "low-latency"),
    "send_recv": ("direct",),
}
"""What a scenario or a user may choose by kind; the first is what `auto` takes where nothing speaks for another."""

ONE_WAY = "one-way"
"""How a pipeline's stage sends to the next: from the first of a pair to the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """How the tokens of an all-to-all are copied: each, of `token_bytes`, to `top_k` of `experts` experts, chosen
    uniformly unless the collective has `shares`."""

    top_k: int
    experts: int
    token_bytes: float


class Compute(NamedTuple):
    """One kernel, run by every rank of its pipeline `stage` on the compute stream.

    `layer` is None outside the layers.  `after` holds indices of earlier operations whose results it needs on the same
    rank, or of the send of the stage before.  `live` holds the activations alive while it runs, in bytes by name, of
    the most loaded ranks; `received` is how many of these bytes are received token copies or made of them.  A kernel
    that is meant to run `beside` communication shares the GPU with it.

    It stands for `times` runs in `times` steps.  The stream stands idle for `host_s` seconds before it.

    Where experts are unevenly popular, a kernel whose size depends on received copies has one of `kernels` for each
    coordinate on the ep axis, in order, and `kernel` is that of the most loaded one.  Empty: every rank runs `kernel`.

    A tuple, like a collective: a search makes millions of them, and a dataclass takes four times as long to make.
    """

    name: str
    layer: int | None
    kernel: Kernel
    after: tuple[int, ...]
    live: Mapping[str, float]
    kernels: tuple[Kernel, ...] = ()
    received: float = 0.0
    times: int = 1
    host_s: float = 0.0
    stage: int = 0
    beside: bool = False


class Collective(NamedTuple):
    """One collective, run on a communication stream by every group of `axis` (ranks that differ only there) in its
    pipeline `stage`.

    Exchanges of tokens over `ep` have a stream of their own, as they have communicators.  So have sends, on the axis
    `pp`: every rank of the stage sends to the rank at the same place of the next one.

    `payload_bytes` is nccl-tests' size: the buffer of an all-reduce, the total output of an all-gather, each rank's
    whole input of a reduce-scatter, one rank's send buffer of an all-to-all.  `dtype` is what is added in an
    all-reduce; `copies` marks the all-to-alls of an expert layer, `back` the one that returns the tokens.  `live`,
    `received` and `times` are a `Compute`'s.

    `shares` holds each ep coordinate's part of all token copies, adding up to 1; empty: even.  `payload_bytes` is then
    the mean.  On the axis `ep` every member sends shares[j] · payload_bytes to member j, or with `back` member i sends
    shares[i] · payload_bytes to each; on another axis the group at ep coordinate j has ep · shares[j] · payload_bytes.
    """

    name: str
    layer: int | None
    kind: CollectiveKind
    axis: Axis
    payload_bytes: float
    after: tuple[int, ...]
    live: Mapping[str, float]
    dtype: str = "bf16"
    copies: Copies | None = None
    back: bool = False
    shares: tuple[float, ...] = ()
    received: float = 0.0
    times: int = 1
    stage: int = 0


Operation = Compute | Collective


def live_bytes(operation: Operation) -> float:
    """Activation memory in use while the operation runs, on the most loaded ranks."""
    return sum(operation.live.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A step of a generation that stands for `times` such steps: the operations from index `first` to the next
    segment's, run for each of its `microbatches`; `length` is the prefill's sequence or the decode step's context."""

    name: Literal["prefill", "decode"]
    first: int
    times: int
    length: float
    microbatches: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Operations, by index, that are run one microbatch after another.

    A part that is `chained` follows the one before it closely: each of its microbatches begins when the same one has
    left the last stage there.  Any other waits until all ranks are through.
    """

    operations: range
    microbatches: int
    chained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The operations of one step, repeated `steps` times back to back by `ranks` ranks.

    All ranks of a pipeline stage run the same operations, once for each of `microbatches`; their order in the tuple is
    program order on every stream.  `tokens` is what one step of all ranks together processes (prefill) or generates
    (decode).  `shares` holds each ep coordinate's part of all token copies; empty: even.  `segments` are the steps of a
    generation; empty: all operations are one step.

    Where `chained`, a microbatch needs what its last stage made of it in the step before, as decoding does.  Kernels
    beside communication keep 1 - `communication_sms` of the compute and 1 - `communication_memory` of the bandwidth.

    Where equal layers of a stage are listed once, their operations' `times` counts them and `sequence` has the ranges
    of operations in the order they run, stage after stage.  Such a program is for sums and lengths; it has no timeline.
    """

    operations: tuple[Operation, ...]
    groups: Mapping[Axis, Groups]
    ranks: int
    steps: int
    tokens: int
    shares: tuple[float, ...] = ()
    segments: tuple[Segment, ...] = ()
    stages: int = 1
    microbatches: int = 1
    chained: bool = False
    communication_sms: float = 0.0
    communication_memory: float = 0.0
    sequence: tuple[range, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The operations of each segment, or of the one step, and how often a step runs them."""
        if not self.segments:
            return (Part(operations=range(len(self.operations)), microbatches=self.microbatches),)
        ends = [segment.first for segment in self.segments[1:]] + [len(self.operations)]
        before = [None, *self.segments]
        return tuple(
            Part(
                operations=range(segment.first, end),
                microbatches=segment.microbatches,
                chained=self.stages > 1 and last is not None and last.name == segment.name == "decode",
            )
            for last, segment, end in zip(before, self.segments, ends, strict=False)
        )

    @property
    def everyone(self) -> Groups:
        """Each rank for itself, stage by stage."""
        return self.groups["pp"] if "pp" in self.groups else Groups(ranks=self.ranks, stride=1, size=1)

    @property
    def runs(self) -> tuple[int, ...]:
        """How often a rank of its stage runs each operation in a step: once for each microbatch and step it stands
        for."""
        return tuple(
            part.microbatches * self.operations[index].times for part in self.parts for index in part.operations
        )

    def fullest(self, stage: int) -> Operation:
        """The operation of a stage that needs most activation memory, the first of equals."""
        return max((one for one in self.operations if one.stage == stage), key=live_bytes)

    @property
    def flops(self) -> tuple[tuple[float, ...], ...]:
        """Counted FLOPs of one step by stage, on a rank of each ep coordinate; one number where all are equal."""
        return tuple(self._flops(stage) for stage in range(self.stages))

    def _flops(self, stage: int) -> tuple[float, ...]:
        mine = [(one, count) for one, count in zip(self.operations, self.runs, strict=True) if one.stage == stage]
        counted = [(one, count) for one, count in mine if isinstance(one, Compute)]
        same = fsum(count * op.kernel.flops for op, count in counted if not op.kernels)
        uneven = [(op.kernels, count) for op, count in counted if op.kernels]
        return tuple(
            same + fsum(count * kernels[at].flops for kernels, count in uneven) for at in range(len(self.shares) or 1)
        )

    def activation_bytes(self, stage: int) -> tuple[float, ...]:
        """Most activation memory on a stage's rank of each ep coordinate; one number where all are equal.

        A rank has P_j / max(P) of the received copies' bytes that the most loaded has.
        """
        moments = {(live_bytes(one), one.received) for one in self.operations if one.stage == stage}
        missing = [1 - share / max(self.shares) for share in self.shares] or [0.0]
        return tuple(max(live - part * received for live, received in moments) for part in missing)
