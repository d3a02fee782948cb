"""How the ranks of a plan go about their work: in which batches and stages, where they sit, what overlaps what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AttentionAxis = Literal["tp", "cp", "dp", "pp"]
ContextAttention = Literal["ring", "all-gather"]
Overlap = Literal["none", "two-batch"]
ExpertKernels = Literal["fused", "grouped-gemm"]

PLACEMENT: tuple[AttentionAxis, ...] = ("tp", "cp", "dp", "pp")
"""Innermost first: tensor ranks are neighbours, pipeline stages farthest apart."""

FILL = 4
"""Microbatches for each pipeline stage from which on the bubble is small: (p - 1)/(4p + p - 1) < 1/5 (GPipe, 2019)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a plan is run, beside its degrees.

    A replica's sequences pass its pipeline stages in `microbatches` equal parts (None: as many as `Share.microbatches`
    says).  `stage_layers` are the layers of each stage (empty: equally many).  `placement` names the attention axes,
    innermost first, by which ranks are laid on GPUs.

    `sequence_parallel` cuts norms and the residual stream over tp, too (Korthikanti et al., 2022).  Context ranks
    share keys and values by an all-gather before the core, or in a `ring` beside it.

    `overlap` two-batch runs the halves of a microbatch in turns, one computing while the other communicates;
    `overlap_shared_experts` runs shared experts during dispatch; `dispatch_chunks` cuts dispatch, experts and combine
    into so many parts, each of which is under way while others compute.  Kernels that run beside communication keep
    1 - `communication_sms` of the GPU's compute and 1 - `communication_memory` of its HBM bandwidth.

    `expert_kernels` fused are an engine's one operation for a layer of experts, as it was measured; with grouped-gemm
    the experts' products are kernels of their own, as fast as dense products of as many rows.
    """

    microbatches: int | None = None
    stage_layers: tuple[int, ...] = ()
    placement: tuple[AttentionAxis, ...] = PLACEMENT
    sequence_parallel: bool = False
    context_attention: ContextAttention = "all-gather"
    overlap: Overlap = "none"
    overlap_shared_experts: bool = False
    dispatch_chunks: int = 1
    communication_sms: float = 0.0
    communication_memory: float = 0.0
    expert_kernels: ExpertKernels = "fused"

    @property
    def halves(self) -> int:
        """Parts of a microbatch that are run in turns."""
        return 2 if self.overlap == "two-batch" else 1


PLAIN = Execution()
"""One microbatch at a time, nothing beside it."""
