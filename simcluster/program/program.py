"""A program: the operations of one step in program order, and the groups its collectives run in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from simcluster.kernels import Kernel
from simcluster.plan.layout import Axis, Group

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
    uniformly."""

    top_k: int
    experts: int
    token_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """One kernel, run by every rank on its compute stream.

    `layer` is None outside the layers.  `after` holds indices of earlier operations whose results it needs on the same
    rank.  `live` holds the activations alive while it runs, in bytes by name.
    """

    name: str
    layer: int | None
    kernel: Kernel
    after: tuple[int, ...]
    live: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """One collective, run on the communication stream by every group of `axis` (ranks that differ only there).

    `payload_bytes` is nccl-tests' size: the buffer of an all-reduce, the total output of an all-gather, each rank's
    whole input of a reduce-scatter, one rank's send buffer of an all-to-all.  `dtype` is what is added in an
    all-reduce; `copies` marks the all-to-alls of an expert layer, `back` the one that returns the tokens.
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


Operation = Compute | Collective


def live_bytes(operation: Operation) -> float:
    """Activation memory in use while the operation runs."""
    return sum(operation.live.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The operations of one step, repeated `steps` times back to back by `ranks` ranks.

    All ranks run the same operations; their order in the tuple is program order on both streams.  `tokens` is what one
    step of all ranks together processes (prefill) or generates (decode).
    """

    operations: tuple[Operation, ...]
    groups: Mapping[Axis, tuple[Group, ...]]
    ranks: int
    steps: int
    tokens: int

    @property
    def fullest(self) -> Operation:
        """The operation that needs most activation memory, the first of equals."""
        return max(self.operations, key=live_bytes)
