"""Passes over tensors that count no FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simcluster.kernels.experts import ExpertLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementWise:
    """A memory-bound pass over tensors: norm, residual, rotary, activation, permutation, embedding.

    It costs its HBM traffic and no counted FLOPs.  `within` is the expert layer it is a part of.
    """

    read_bytes: float
    write_bytes: float
    within: ExpertLayer | None = None

    @property
    def flops(self) -> float:
        return 0.0

    @property
    def arithmetic(self) -> str:
        """Nothing is counted."""
        return "0"

    @property
    def bytes(self) -> float:
        return self.read_bytes + self.write_bytes
