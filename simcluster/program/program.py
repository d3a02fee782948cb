"""A program: the operations of one step in program order, and the groups its collectives run in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from simcluster.kernels import Kernel
from simcluster.plan.layout import Axis, Group

CollectiveKind = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """One kernel, run by every rank on its compute stream.

    `layer` is None outside the layers.  `after` holds indices of earlier operations whose results it needs on the same
    rank.  `live_bytes` is the activation memory live while it runs.
    """

    name: str
    layer: int | None
    kernel: Kernel
    after: tuple[int, ...]
    live_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """One collective, run on the communication stream by every group of `axis` (ranks that differ only there).

    `payload_bytes` is nccl-tests' size: the buffer of an all-reduce, the total output of an all-gather, each rank's
    whole input of a reduce-scatter, one rank's send buffer of an all-to-all.
    """

    name: str
    layer: int | None
    kind: CollectiveKind
    axis: Axis
    payload_bytes: float
    after: tuple[int, ...]
    live_bytes: float


Operation = Compute | Collective


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
    def peak_live_bytes(self) -> float:
        """The most activation memory any operation needs."""
        return max((operation.live_bytes for operation in self.operations), default=0.0)
