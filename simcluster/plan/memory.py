"""What fills a GPU's memory, component by component, each with its arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from simcluster.kernels import BYTES_PER_ELEMENT, Precision
from simcluster.model import parameters
from simcluster.model.transformer import Latent, Mlp
from simcluster.plan.share import Share
from simcluster.units import show_bytes, show_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One component: its bytes on the fullest GPU, how they come about in words and numbers, and its parts by name."""

    bytes: float
    formula: str
    parts: Mapping[str, float] = field(default_factory=dict)


def resident(share: Share) -> dict[str, Part]:
    """Weights and KV cache of one rank of a pipeline stage, in bytes by component name.

    Weights are stored in the `weights` precision, routed experts in `expert_weights`, embedding and head in
    `vocabulary`.  The cache holds sequences x positions x elements of every layer in the `kv_cache` precision: 2 (K and
    V) x kv_heads x head_dim elements, or a latent's kv_rank + rope_dim, which every tp rank holds.  A layer with a
    window keeps only so many positions; positions are kept in whole blocks.
    """
    return {
        "attention_weights": _attention(share),
        "expert_weights": _experts(share),
        "other_weights": _other(share),
        "kv_cache": _kv_cache(share),
    }


def _attention(share: Share) -> Part:
    model, size = share.model, share.model.precision.bytes_of("weights")
    if model.latent is not None:
        return _latent_attention(share, model.latent, size)
    layers = len(share.layers)
    qkv = (share.heads + 2 * share.kv_heads) * model.head_dim
    out = share.heads * model.head_dim
    return Part(
        bytes=layers * model.hidden * (qkv + out) * size,
        formula=(
            f"{layers} layers x (QKV {model.hidden:,} x {qkv:,} + output {out:,} x {model.hidden:,}) "
            f"x {size:g} B, "
            f"{share.heads} of {model.heads} heads on each of tp {share.degrees.tp} ranks"
        ),
        parts={
            "the QKV projection": layers * model.hidden * qkv * size,
            "the output projection": layers * model.hidden * out * size,
        },
    )


def _latent_attention(share: Share, latent: Latent, size: float) -> Part:
    """The down-projections are on every tp rank, the rest is cut by heads."""
    model, layers = share.model, len(share.layers)
    down = model.hidden * latent.compressed
    heads = parameters.latent_heads(model, latent, share.heads)
    return Part(
        bytes=layers * (down + heads) * size,
        formula=(
            f"{layers} layers x (down {model.hidden:,} x {latent.compressed:,} + {show_count(heads)} of "
            f"{share.heads} of {model.heads} heads on each of tp {share.degrees.tp} ranks) x {size:g} B"
        ),
        parts={
            "the down-projections": layers * down * size,
            "the projections of heads": layers * heads * size,
        },
    )


def _experts(share: Share) -> Part:
    moe = share.model.moe
    if moe is None:
        return Part(bytes=0.0, formula="the model has no experts")
    model, types = share.model, share.model.precision
    inner, layers = moe.expert.hidden // share.degrees.etp, share.moe_layers
    size, extra = types.bytes_of("expert_weights"), share.workload.redundant_experts
    routed = share.experts * expert_bytes(share)
    redundant = f" and {extra} redundant ones" if extra else ""
    formula = (
        f"{layers} layers x {share.experts} of {moe.experts} experts{redundant} (ep {share.degrees.ep}) x "
        f"{moe.expert.matrices} matrices x {model.hidden:,} x {inner:,} (width {moe.expert.hidden:,} / etp "
        f"{share.degrees.etp}) x {size:g} B"
    )
    if moe.shared is None:
        return Part(bytes=routed, formula=formula)
    cut = 1 if share.degrees.splits_tokens else share.degrees.tp
    shared = layers * parameters.mlp(model, moe.shared) / cut * types.bytes_of("weights")
    return Part(
        bytes=routed + shared,
        formula=f"{formula} + shared experts {show_bytes(shared)}",
        parts={"routed experts": routed, "shared experts": shared},
    )


def expert_bytes(share: Share) -> float:
    """What one more expert takes on a rank, in all its layers."""
    moe = share.model.moe
    if moe is None:
        return 0.0
    size = moe.expert.matrices * share.model.hidden * (moe.expert.hidden // share.degrees.etp)
    return share.moe_layers * size * share.model.precision.bytes_of("expert_weights")


def _other(share: Share) -> Part:
    model, types = share.model, share.model.precision
    counts: dict[str, tuple[float, Precision]] = {"norms": (len(share.layers) * parameters.norms(model), types.weights)}
    if model.moe is not None:
        counts["router"] = (share.moe_layers * parameters.router(model, model.moe), types.weights)
    dense = model.ffn if isinstance(model.ffn, Mlp) else model.dense
    if dense is not None:
        mlps = (len(share.layers) - share.moe_layers) * parameters.mlp(model, dense)
        counts["MLP"] = (mlps // share.degrees.tp, types.weights)
    if model.vocab is not None:
        table = share.vocab * model.hidden
        tied = model.tied_embeddings and share.is_first
        counts["final norm"] = (model.hidden if share.is_last else 0, types.weights)
        counts["embedding"] = (table if share.is_first else 0, types.vocabulary)
        counts["head"] = (table if share.is_last and not tied else 0, types.vocabulary)
    parts = {name: count * BYTES_PER_ELEMENT[precision] for name, (count, precision) in counts.items()}
    formula = []
    for precision in dict.fromkeys(precision for _, precision in counts.values()):
        alike = [f"{name} {show_count(count)}" for name, (count, one) in counts.items() if count and one == precision]
        formula.append(f"({' + '.join(alike)}) parameters x {BYTES_PER_ELEMENT[precision]:g} B")
    return Part(bytes=sum(parts.values()), formula=" + ".join(formula), parts=parts)


def _kv_cache(share: Share) -> Part:
    model, size = share.model, share.model.precision.bytes_of("kv_cache")
    if model.latent is None:
        elements, what = 2 * share.kv_heads * model.head_dim, f"2 x {share.kv_heads} KV heads x {model.head_dim}"
    else:
        elements, what = model.latent.cached, f"({model.latent.kv_rank} + {model.latent.rope_dim})"
    kept = Counter(share.cached_positions(layer) for layer in share.layers)
    held = " + ".join(f"{layers} layers x {show_count(positions)}" for positions, layers in kept.items())
    return Part(
        bytes=share.replica_sequences * elements * size * sum(positions * layers for positions, layers in kept.items()),
        formula=f"{share.replica_sequences} sequences x ({held} positions) x {what} x {size:g} B",
    )
