"""The shape of a transformer."""

from __future__ import annotations

from dataclasses import dataclass

from simcluster.kernels import BYTES_PER_ELEMENT, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Precisions:
    """The number type of each part of the work.

    `weights` as stored, `compute` of the GEMMs, `attention` of the attention core, `kv_cache`, `dispatch` of tokens
    sent to experts, and `communication`: the residual stream, reductions, combine, token gathers and pipeline sends.
    """

    weights: Precision
    compute: Precision
    attention: Precision
    kv_cache: Precision
    dispatch: Precision
    communication: Precision

    def bytes_of(self, part: str) -> float:
        """Bytes of one element of `part`, a field name of this class."""
        precision: Precision = getattr(self, part)
        return BYTES_PER_ELEMENT[precision]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlp:
    """A feed-forward part of inner width `hidden`: up (and gate, if `gated`) and down projections."""

    hidden: int
    gated: bool

    @property
    def up_matrices(self) -> int:
        return 2 if self.gated else 1

    @property
    def matrices(self) -> int:
        return self.up_matrices + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Moe:
    """A mixture of `experts` MLPs of which a router picks `top_k` per token, beside `shared` that every token visits.

    `shared` is all shared experts as one MLP of their summed width.
    """

    experts: int
    top_k: int
    expert: Mlp
    shared: Mlp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A decoder of `layers` equal layers: attention, then `ffn` (a dense MLP or a mixture of experts).

    `vocab` None leaves out embedding and head.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: Mlp | Moe
    vocab: int | None
    tied_embeddings: bool
    precision: Precisions

    @property
    def moe(self) -> Moe | None:
        return self.ffn if isinstance(self.ffn, Moe) else None

    @property
    def query_width(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_dim
