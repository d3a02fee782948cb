"""A program: the operations of one step in program order, and the groups its collectives run in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from typing import Literal

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
    "all_to_all": ("direct", "pairwise", "hierarchical", "node-dedup"),
    "send_recv": ("direct",),
}
"""What a scenario or a user may choose by kind; the first is what `auto` takes where nothing speaks for another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """How the tokens of an all-to-all are copied: each, of `token_bytes`, to `top_k` of `experts` experts, chosen
    uniformly unless the collective has `shares`."""

    top_k: int
    experts: int
    token_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """One kernel, run by every rank on its compute stream.

    `layer` is None outside the layers.  `after` holds indices of earlier operations whose results it needs on the same
    rank.  `live` holds the activations alive while it runs, in bytes by name, of the most loaded ranks; `received` is
    how many of these bytes are received token copies or made of them.

    It stands for `times` runs in `times` steps.  The stream stands idle for `host_s` seconds before it.

    Where experts are unevenly popular, a kernel whose size depends on received copies has one of `kernels` for each
    coordinate on the ep axis, in order, and `kernel` is that of the most loaded one.  Empty: every rank runs `kernel`.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """One collective, run on the communication stream by every group of `axis` (ranks that differ only there).

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


Operation = Compute | Collective


def live_bytes(operation: Operation) -> float:
    """Activation memory in use while the operation runs, on the most loaded ranks."""
    return sum(operation.live.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A step of a generation that stands for `times` such steps: the operations from index `first` to the next
    segment's; `length` is the prefill's sequence or the decode step's context."""

    name: Literal["prefill", "decode"]
    first: int
    times: int
    length: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The operations of one step, repeated `steps` times back to back by `ranks` ranks.

    All ranks run the same operations; their order in the tuple is program order on both streams.  `tokens` is what one
    step of all ranks together processes (prefill) or generates (decode).  `shares` holds each ep coordinate's part of
    all token copies; empty: even.  `segments` are the steps of a generation; empty: all operations are one step.
    """

    operations: tuple[Operation, ...]
    groups: Mapping[Axis, Groups]
    ranks: int
    steps: int
    tokens: int
    shares: tuple[float, ...] = ()
    segments: tuple[Segment, ...] = ()

    @property
    def fullest(self) -> Operation:
        """The operation that needs most activation memory, the first of equals."""
        return max(self.operations, key=live_bytes)

    @property
    def flops(self) -> tuple[float, ...]:
        """Counted FLOPs of one step on a rank of each ep coordinate; one number where all are equal."""
        counted = [operation for operation in self.operations if isinstance(operation, Compute)]
        same = fsum(op.times * op.kernel.flops for op in counted if not op.kernels)
        uneven = [op for op in counted if op.kernels]
        return tuple(
            same + fsum(op.times * op.kernels[at].flops for op in uneven) for at in range(len(self.shares) or 1)
        )

    @property
    def activation_bytes(self) -> tuple[float, ...]:
        """Most activation memory on a rank of each ep coordinate; one number where all are equal.

        A rank has P_j / max(P) of the received copies' bytes that the most loaded has.
        """
        moments = {(live_bytes(operation), operation.received) for operation in self.operations}
        missing = [1 - share / max(self.shares) for share in self.shares] or [0.0]
        return tuple(max(live - part * received for live, received in moments) for part in missing)
