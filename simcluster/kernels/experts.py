"""The kernels of an expert layer on one GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simcluster.kernels.element_wise import ElementWise
from simcluster.kernels.precision import Precision
from simcluster.units import show_count


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedGemm:
    """The products of several experts in one kernel: `rows` token copies in all, `groups` weight matrices of (k, n).

    FLOPs = 2·rows·n·k; bytes = rows·k input + min(groups, rows)·k·n weights + rows·n output: an expert that no copy
    reaches is not read, and evenly routed copies reach min(groups, rows) experts.  `within` is the expert layer it is a
    part of.  `as_dense`: it has the efficiency of a dense product of as many rows.
    """

    rows: float
    n: float
    k: float
    groups: float
    compute: Precision
    input_bytes: float
    weight_bytes: float
    output_bytes: float
    within: ExpertLayer | None = None
    as_dense: bool = False

    @property
    def flops(self) -> float:
        return 2 * self.rows * self.n * self.k

    @property
    def arithmetic(self) -> str:
        """Its FLOPs as factors."""
        return f"2 x {show_count(self.rows)} x {show_count(self.n)} x {show_count(self.k)}"

    @property
    def bytes(self) -> float:
        weights = min(self.groups, self.rows) * self.k * self.n * self.weight_bytes
        return self.rows * self.k * self.input_bytes + weights + self.rows * self.n * self.output_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertLayer:
    """What one GPU runs of a layer of experts: permute, up (and gate), activation, down, permute back.

    `rows` token copies reach the `groups` experts it holds, of `experts` in all, of which each token chose `top_k`; the
    inner width is cut to `width` of `inner`.  `skew` is the exponent of the power law that the popularity of experts
    was measured with, "" for equal ones; `rows` are then the mean over GPUs, and the time is that of the slowest.  No
    token chooses `unread` of its experts.

    Where `fused`, engines run it as one operation, and it is measured as one; else its products are kernels of their
    own, as fast as dense ones of as many rows, as DeepGEMM's published times are (README, 2025).
    """

    rows: float
    hidden: int
    inner: int
    width: int
    groups: int
    experts: int
    top_k: int
    gated: bool
    compute: Precision
    input_bytes: float
    compute_bytes: float
    weight_bytes: float
    output_bytes: float
    skew: str = ""
    fused: bool = True
    unread: int = 0

    PARTS: ClassVar[int] = 5
    """How many kernels `parts` has."""

    @property
    def ep(self) -> float:
        return self.experts / self.groups

    @property
    def tp(self) -> float:
        return self.inner / self.width

    @property
    def tokens(self) -> float:
        """Tokens of the whole expert-parallel group, were its copies spread evenly."""
        return self.rows * self.ep / self.top_k

    @property
    def up(self) -> GroupedGemm:
        return self._product(n=(2 if self.gated else 1) * self.width, k=self.hidden, rises=True)

    @property
    def down(self) -> GroupedGemm:
        return self._product(n=self.hidden, k=self.width, rises=False)

    def _product(self, *, n: int, k: int, rises: bool) -> GroupedGemm:
        """Up reads dispatched tokens and writes the compute type; down reads that and writes what is added up."""
        return GroupedGemm(
            rows=self.rows,
            n=n,
            k=k,
            groups=max(1, self.groups - self.unread),
            compute=self.compute,
            input_bytes=self.input_bytes if rises else self.compute_bytes,
            weight_bytes=self.weight_bytes,
            output_bytes=self.compute_bytes if rises else self.output_bytes,
            within=self,
            as_dense=not self.fused,
        )

    @property
    def activation(self) -> ElementWise:
        """It reads the inner width (twice if gated) and writes it in the compute type."""
        narrow = self.rows * self.width * self.compute_bytes
        return ElementWise(read_bytes=narrow * (2 if self.gated else 1), write_bytes=narrow, within=self)

    @property
    def permute(self) -> tuple[ElementWise, ElementWise]:
        """Before the experts each token is read once and its copies written; afterwards the other way round."""
        copies, token = self.rows * self.hidden, self.rows / self.top_k * self.hidden
        there = ElementWise(read_bytes=token * self.compute_bytes, write_bytes=copies * self.input_bytes, within=self)
        back = ElementWise(read_bytes=copies * self.output_bytes, write_bytes=token * self.output_bytes, within=self)
        return there, back

    @property
    def parts(self) -> tuple[ElementWise | GroupedGemm, ...]:
        """All its kernels."""
        there, back = self.permute
        return there, self.up, self.activation, self.down, back

    @property
    def flops(self) -> float:
        return self.up.flops + self.down.flops

    @property
    def arithmetic(self) -> str:
        """Its FLOPs as factors."""
        return f"{self.up.arithmetic} + {self.down.arithmetic}"

    @property
    def bytes(self) -> float:
        return sum(part.bytes for part in self.parts)
