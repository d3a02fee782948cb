"""What the model is asked to do in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Phase = Literal["prefill", "decode", "generate"]
KvReads = Literal["per_kv_head", "per_query_head"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """`batch` sequences over the whole deployment.

    Prefill runs `length` tokens of each; decode generates one token for each, whose cache holds `length` tokens;
    generate runs `length` tokens of each and then generates `output` tokens, the first of them with the prefill.  The
    step is repeated `steps` times back to back, and the GPUs stand idle for `host_overhead_s` before each.

    `expert_load` holds the relative popularity of experts by index: each token's copies go to expert e with the share
    w_e / sum(w).  Those not named have 1, or what a power law of (exponent, seed) gives them, which depends on how many
    tokens there are.  With `drawn_by` they go there by chance, drawn with that seed, the same in
    every layer and step.  `redundant_experts` more replicas of experts are spread over the ranks.  The KV cache is
    handed out in blocks of `kv_block` positions; a decode kernel reads it once for each KV head, or, as kernels did
    that knew no grouped queries, once for each query head.
    """

    phase: Phase
    batch: int
    length: float
    steps: int
    output: int = 1
    host_overhead_s: float = 0.0
    kv_block: int = 1
    kv_reads: KvReads = "per_kv_head"
    expert_load: Mapping[int, float] = field(default_factory=dict, hash=False)
    power_law: tuple[float, int] | None = None
    drawn_by: int | None = None
    redundant_experts: int = 0

    @property
    def tokens_per_sequence(self) -> int:
        """Tokens each sequence puts through the layers in one step; of a generation, in its prefill."""
        return 1 if self.phase == "decode" else int(self.length)

    @property
    def tokens(self) -> int:
        """Tokens that the whole deployment processes in one prefill, or generates in one decode step or generation."""
        return self.batch * (self.output if self.phase == "generate" else self.tokens_per_sequence)

    @property
    def cached_tokens(self) -> float:
        """Positions of the KV cache each sequence holds at the end of a step; the last token is never cached."""
        return self.length + (self.output - 1 if self.phase == "generate" else 0)

    def prefill(self) -> Workload:
        """The first step of a generation."""
        return replace(self, phase="prefill", output=1)

    def decode(self, context: float) -> Workload:
        """A later step, which attends over `context` positions, its own token's included.

        The mean of several steps' contexts may be no whole number.
        """
        return replace(self, phase="decode", output=1, length=context)
