"""What fills a GPU's memory, component by component, each with its arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simcluster.model import parameters
from simcluster.model.transformer import Mlp, Moe
from simcluster.plan.share import Share
from simcluster.units import show_bytes, show_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One component: its bytes on the fullest GPU, how they come about in words and numbers, and its parts by name."""

    bytes: float
    formula: str
    parts: Mapping[str, float] = field(default_factory=dict)


def resident(share: Share) -> dict[str, Part]:
    """Weights and KV cache of one rank, in bytes by component name.

    Weights are stored in the `weights` precision.  The cache holds layers x sequences x positions x 2 (K and V) x
    kv_heads x head_dim elements in the `kv_cache` precision.
    """
    return {
        "attention_weights": _attention(share),
        "expert_weights": _experts(share),
        "other_weights": _other(share),
        "kv_cache": _kv_cache(share),
    }


def _attention(share: Share) -> Part:
    model, size = share.model, share.model.precision.bytes_of("weights")
    qkv = (share.heads + 2 * share.kv_heads) * model.head_dim
    out = share.heads * model.head_dim
    return Part(
        bytes=share.layers * model.hidden * (qkv + out) * size,
        formula=(
            f"{share.layers} layers x (QKV {model.hidden:,} x {qkv:,} + output {out:,} x {model.hidden:,}) "
            f"x {size:g} B, "
            f"{share.heads} of {model.heads} heads on each of tp {share.degrees.tp} ranks"
        ),
        parts={
            "the QKV projection": share.layers * model.hidden * qkv * size,
            "the output projection": share.layers * model.hidden * out * size,
        },
    )


def _experts(share: Share) -> Part:
    moe = share.model.moe
    if moe is None:
        return Part(bytes=0.0, formula="the model has no experts")
    model, size = share.model, share.model.precision.bytes_of("weights")
    inner = moe.expert.hidden // share.degrees.etp
    routed = share.layers * share.experts * moe.expert.matrices * model.hidden * inner * size
    formula = (
        f"{share.layers} layers x {share.experts} of {moe.experts} experts (ep {share.degrees.ep}) x "
        f"{moe.expert.matrices} matrices x {model.hidden:,} x {inner:,} (width {moe.expert.hidden:,} / etp "
        f"{share.degrees.etp}) x {size:g} B"
    )
    if moe.shared is None:
        return Part(bytes=routed, formula=formula)
    cut = 1 if share.degrees.splits_tokens else share.degrees.tp
    shared = share.layers * parameters.mlp(model, moe.shared) / cut * size
    return Part(
        bytes=routed + shared,
        formula=f"{formula} + shared experts {show_bytes(shared)}",
        parts={"routed experts": routed, "shared experts": shared},
    )


def _other(share: Share) -> Part:
    model, size = share.model, share.model.precision.bytes_of("weights")
    parts = {"norms": share.layers * parameters.norms(model)}
    match model.ffn:
        case Moe() as moe:
            parts["router"] = share.layers * parameters.router(model, moe)
        case Mlp() as dense:
            parts["MLP"] = share.layers * parameters.mlp(model, dense) // share.degrees.tp
    if model.vocab is not None:
        parts["final norm"] = model.hidden
        parts["embedding"] = share.vocab * model.hidden
        parts["head"] = 0 if model.tied_embeddings else share.vocab * model.hidden
    counted = " + ".join(f"{name} {show_count(count)}" for name, count in parts.items() if count)
    return Part(
        bytes=sum(parts.values()) * size,
        formula=f"({counted}) parameters x {size:g} B",
        parts={name: count * size for name, count in parts.items()},
    )


def _kv_cache(share: Share) -> Part:
    model, size = share.model, share.model.precision.bytes_of("kv_cache")
    positions = share.workload.cached_tokens / share.degrees.cp
    return Part(
        bytes=share.layers * share.sequences * positions * 2 * share.kv_heads * model.head_dim * size,
        formula=(
            f"{share.layers} layers x {share.sequences} sequences x {show_count(positions)} positions x 2 x "
            f"{share.kv_heads} KV heads x {model.head_dim} x {size:g} B"
        ),
    )
