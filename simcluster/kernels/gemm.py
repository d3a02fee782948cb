"""Matrix products."""

from __future__ import annotations

from dataclasses import dataclass

from simcluster.kernels.precision import Precision
from simcluster.units import show_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Gemm:
    """A matrix product (m, k) x (k, n) -> (m, n).

    FLOPs = 2·m·n·k; bytes = m·k input + k·n weights + m·n output, each once (the roofline's compulsory traffic,
    Williams, Waterman & Patterson 2009).
    """

    m: float
    n: float
    k: float
    compute: Precision
    input_bytes: float
    weight_bytes: float
    output_bytes: float

    @property
    def flops(self) -> float:
        return 2 * self.m * self.n * self.k

    @property
    def arithmetic(self) -> str:
        """Its FLOPs as factors."""
        return f"2 x {show_count(self.m)} x {show_count(self.n)} x {show_count(self.k)}"

    @property
    def bytes(self) -> float:
        return (
            self.m * self.k * self.input_bytes
            + self.k * self.n * self.weight_bytes
            + self.m * self.n * self.output_bytes
        )
