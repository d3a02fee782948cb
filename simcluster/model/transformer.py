"""The shape of a transformer."""

from __future__ import annotations

from dataclasses import dataclass

from simcluster.kernels import BYTES_PER_ELEMENT, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Precisions:
    """The number type of each part of the work.

    `weights` as stored, `compute` of the GEMMs, `attention` of the attention core, `kv_cache`, `dispatch` of tokens
    sent to experts, and `communication`: the residual stream, reductions, combine, token gathers and pipeline sends.
    `expert_weights` and `expert_compute` are those of the routed experts, `vocabulary` that of embedding and head.
    """

    weights: Precision
    compute: Precision
    attention: Precision
    kv_cache: Precision
    dispatch: Precision
    communication: Precision
    expert_weights: Precision
    expert_compute: Precision
    vocabulary: Precision

    def bytes_of(self, part: str) -> float:
        """Bytes of one element of `part`, a field name of this class."""
        precision: Precision = getattr(self, part)
        return BYTES_PER_ELEMENT[precision]

    @property
    def head_compute(self) -> Precision:
        """The head computes in the type it is stored in where that differs from the other weights'."""
        return self.compute if self.vocabulary == self.weights else self.vocabulary


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
class Latent:
    """Multi-head latent attention (DeepSeek-V2, 2024): keys and values of all heads come from one latent of `kv_rank`
    channels per position, cached together with `rope_dim` rotated ones.

    Each head's query and key have `nope_dim` + `rope_dim` channels, its value `value_dim`.  Queries too come from a
    latent of `q_rank` channels; None projects them directly.
    """

    q_rank: int | None
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int

    @property
    def query_dim(self) -> int:
        return self.nope_dim + self.rope_dim

    @property
    def cached(self) -> int:
        """Elements of the cache per position and layer."""
        return self.kv_rank + self.rope_dim

    @property
    def compressed(self) -> int:
        """Channels of the down-projections: both latents and the shared rotated key."""
        return (self.q_rank or 0) + self.cached


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A decoder of `layers` layers: attention, then a feed-forward part.

    `ffn` is that of every layer, but of the `dense_layers` of a mixture of experts, which have `dense`.  Attention is
    `latent`, or of `heads` query and `kv_heads` key heads; a layer with a `window` sees so many positions back, and
    every `full_every`-th layer none the less all (0: none does).  `qk_norm` normalises queries and keys head by head.
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
    dense: Mlp | None = None
    dense_layers: tuple[int, ...] = ()
    latent: Latent | None = None
    window: int | None = None
    full_every: int = 0
    qk_norm: bool = False

    @property
    def moe(self) -> Moe | None:
        return self.ffn if isinstance(self.ffn, Moe) else None

    @property
    def moe_layers(self) -> int:
        return 0 if self.moe is None else self.layers - len(self.dense_layers)

    @property
    def query_width(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_dim

    def ffn_of(self, layer: int) -> Mlp | Moe:
        """The feed-forward part of a layer."""
        if self.dense is not None and layer in self.dense_layers:
            return self.dense
        return self.ffn

    def window_of(self, layer: int) -> int | None:
        """The positions a layer's queries see, None for all before them."""
        full = self.full_every and layer % self.full_every == self.full_every - 1
        return None if full else self.window
