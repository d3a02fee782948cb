"""Attention cores: scores, softmax and the weighted sum of values."""

from __future__ import annotations

from dataclasses import dataclass

from simcluster.kernels.precision import Precision
from simcluster.units import show_count


def attended_pairs(queries: float, keys: float, *, causal: bool, window: int | None) -> float:
    """Pairs of a query and a key it attends to, of one sequence whose last `queries` of `keys` positions are new.

    Not causal: queries·keys.  Causal: queries·(keys - queries) over the positions before them, and half the square
    among themselves (Dao, FlashAttention-2, 2023, section 4.1, counts q²/2).  With a window no query attends to more
    than `window` positions, so that the first `window` queries of a sequence see fewer.
    """
    before = keys - queries
    if not causal:
        return queries * (keys if window is None else min(keys, window))
    if window is None or window >= keys:
        return queries * before + queries**2 / 2
    growing = max(0.0, window - before)
    return growing * before + growing**2 / 2 + (queries - growing) * window


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """The attention core of `batch` sequences on one GPU.

    `queries` new tokens per sequence attend over `keys` positions, the new ones included; `causal` if each sees only
    what came before it (a prefill).  FLOPs = 4·batch·pairs·heads·head_dim with the pairs of `attended_pairs`.  Bytes =
    queries read, keys and values read once per KV head (a fused kernel keeps the scores on chip), outputs written.
    """

    batch: float
    queries: float
    keys: float
    heads: float
    kv_heads: float
    head_dim: float
    causal: bool
    compute: Precision
    kv_cache: Precision
    query_bytes: float
    kv_bytes: float
    output_bytes: float
    window: int | None = None

    @property
    def pairs(self) -> float:
        return attended_pairs(self.queries, self.keys, causal=self.causal, window=self.window)

    @property
    def flops(self) -> float:
        return 4 * self.batch * self.pairs * self.heads * self.head_dim

    @property
    def arithmetic(self) -> str:
        """Its FLOPs as factors."""
        whole = self.pairs == self.queries * self.keys / (2 if self.causal else 1)
        square = (self.queries, self.keys) if whole else (self.pairs,)
        factors = (4, self.batch, *square, self.heads, self.head_dim)
        return " x ".join(map(show_count, factors)) + (" / 2 (causal)" if whole and self.causal else "")

    @property
    def bytes(self) -> float:
        read = self.keys if self.window is None else min(self.keys, self.window + self.queries - 1)
        per_query = self.heads * self.head_dim * (self.query_bytes + self.output_bytes)
        per_key = 2 * self.kv_heads * self.head_dim * self.kv_bytes
        return self.batch * (self.queries * per_query + read * per_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """The core of multi-head latent attention (DeepSeek-V2, 2024, section 2.1), which caches one latent per position.

    A query and a key have `nope_dim` + `rope_dim` channels, a value `value_dim`; the cache holds `kv_rank` + `rope_dim`
    elements per position for all heads.  `absorbed` (decode): the up-projections of keys and values are folded into
    queries and outputs, and every head attends to the latents themselves.

    FLOPs = 2·batch·pairs·heads·(width of scores + width of values): nope + rope and value, or absorbed kv_rank + rope
    and kv_rank.  Bytes = queries read, outputs written; keys and values of every head read once, or absorbed the
    latents once.
    """

    batch: float
    queries: float
    keys: float
    heads: float
    nope_dim: int
    rope_dim: int
    value_dim: int
    kv_rank: int
    absorbed: bool
    compute: Precision
    kv_cache: Precision
    query_bytes: float
    kv_bytes: float
    output_bytes: float

    @property
    def pairs(self) -> float:
        return attended_pairs(self.queries, self.keys, causal=not self.absorbed, window=None)

    @property
    def widths(self) -> tuple[int, int]:
        """Channels of a score's dot product and of what is summed."""
        if self.absorbed:
            return self.kv_rank + self.rope_dim, self.kv_rank
        return self.nope_dim + self.rope_dim, self.value_dim

    @property
    def flops(self) -> float:
        return 2 * self.batch * self.pairs * self.heads * sum(self.widths)

    @property
    def arithmetic(self) -> str:
        """Its FLOPs as factors."""
        return " x ".join(map(show_count, (2, self.batch, self.pairs, self.heads, sum(self.widths))))

    @property
    def bytes(self) -> float:
        score, value = self.widths
        per_query = self.heads * (score * self.query_bytes + value * self.output_bytes)
        per_key = score * self.kv_bytes if self.absorbed else self.heads * (score + value) * self.query_bytes
        return self.batch * (self.queries * per_query + self.keys * per_key)
