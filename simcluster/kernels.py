"""The nouns of work: what one GPU kernel computes and moves, in shapes, never in time.

Each noun answers `flops` (counted floating-point operations, a multiply-add is two) and `bytes` (HBM traffic: every
input read once, every output written once).  A GPU turns them into seconds (`simcluster.cluster.gpu`).
Rows may be fractions, because evenly spread tokens are an average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simcluster.units import show_count

Precision = Literal["fp32", "bf16", "fp16", "fp8", "int8", "nvfp4", "fp4", "int4"]

BYTES_PER_ELEMENT: dict[Precision, float] = {
    "fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "nvfp4": 0.5, "fp4": 0.5, "int4": 0.5,
}  # fmt: skip
"""Storage of one element; the scales of block formats are not counted yet."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedGemm:
    """The products of several experts in one kernel: `rows` token copies in all, `groups` weight matrices of (k, n).

    FLOPs = 2·rows·n·k; bytes = rows·k input + min(groups, rows)·k·n weights + rows·n output: an expert that no copy
    reaches is not read, and evenly routed copies reach min(groups, rows) experts.
    """

    rows: float
    n: float
    k: float
    groups: float
    compute: Precision
    input_bytes: float
    weight_bytes: float
    output_bytes: float

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
class Attention:
    """The attention core of `batch` sequences on one GPU: scores, softmax and the weighted sum of values.

    `queries` new tokens per sequence attend over `keys` positions; `causal` halves the square (a prefill, where
    queries == keys).  FLOPs = 4·batch·queries·keys·heads·head_dim, halved if causal (Dao, FlashAttention-2, 2023,
    section 4.1).  Bytes = queries read, keys and values read once per KV head (a fused kernel keeps the scores on
    chip), outputs written.
    """

    batch: float
    queries: float
    keys: float
    heads: float
    kv_heads: float
    head_dim: float
    causal: bool
    compute: Precision
    query_bytes: float
    kv_bytes: float
    output_bytes: float

    @property
    def flops(self) -> float:
        square = self.queries * self.keys / (2 if self.causal else 1)
        return 4 * self.batch * square * self.heads * self.head_dim

    @property
    def arithmetic(self) -> str:
        """Its FLOPs as factors."""
        half = " / 2 (causal)" if self.causal else ""
        factors = (self.batch, self.queries, self.keys, self.heads, self.head_dim)
        return " x ".join(("4", *map(show_count, factors))) + half

    @property
    def bytes(self) -> float:
        per_query = self.heads * self.head_dim * (self.query_bytes + self.output_bytes)
        per_key = 2 * self.kv_heads * self.head_dim * self.kv_bytes
        return self.batch * (self.queries * per_query + self.keys * per_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementWise:
    """A memory-bound pass over tensors: norm, residual, rotary, activation, permutation, embedding.

    It costs its HBM traffic and no counted FLOPs.
    """

    read_bytes: float
    write_bytes: float

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


Kernel = Gemm | GroupedGemm | Attention | ElementWise
