"""What the model is asked to do in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["prefill", "decode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """`batch` sequences over the whole deployment.

    Prefill runs `length` tokens of each; decode generates one token for each, whose cache holds `length` tokens.  The
    step is repeated `steps` times back to back.  `expert_load` holds the relative popularity of experts by index, 1 for
    those not named: each token's copies go to expert e with the share w_e / sum(w).  The KV cache is handed out in
    blocks of `kv_block` positions.
    """

    phase: Phase
    batch: int
    length: int
    steps: int
    kv_block: int = 1
    expert_load: Mapping[int, float] = field(default_factory=dict, hash=False)

    @property
    def tokens_per_sequence(self) -> int:
        """Tokens each sequence puts through the layers in one step."""
        return self.length if self.phase == "prefill" else 1

    @property
    def tokens(self) -> int:
        """Tokens processed (prefill) or generated (decode) by one step of the whole deployment."""
        return self.batch * self.tokens_per_sequence

    @property
    def cached_tokens(self) -> int:
        """Positions of the KV cache each sequence holds at the end of a step."""
        return self.length
