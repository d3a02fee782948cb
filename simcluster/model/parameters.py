"""Parameter counts of a transformer, part by part."""

from __future__ import annotations

from simcluster.model.transformer import Mlp, Model, Moe


def attention(model: Model) -> int:
    """Projections of one layer: hidden x (heads + 2 kv_heads)·head_dim, and heads·head_dim x hidden back."""
    return model.hidden * (model.query_width + 2 * model.kv_width) + model.query_width * model.hidden


def mlp(model: Model, part: Mlp) -> int:
    """hidden x inner for each of up, gate (if gated) and down."""
    return part.matrices * model.hidden * part.hidden


def experts(model: Model, moe: Moe) -> int:
    """All routed experts of one layer."""
    return moe.experts * mlp(model, moe.expert)


def router(model: Model, moe: Moe) -> int:
    return model.hidden * moe.experts


def norms(model: Model) -> int:
    """Two RMS norms of one layer, one scale per channel each."""
    return 2 * model.hidden


def vocabulary(model: Model) -> int:
    """Embedding, head (unless tied) and the final norm; zero without a vocabulary."""
    if model.vocab is None:
        return 0
    return model.vocab * model.hidden * (1 if model.tied_embeddings else 2) + model.hidden


def total(model: Model) -> int:
    """Every parameter of the model, for comparison with the published count."""
    layer = attention(model) + norms(model)
    match model.ffn:
        case Mlp() as dense:
            layer += mlp(model, dense)
        case Moe() as moe:
            layer += experts(model, moe) + router(model, moe)
            layer += mlp(model, moe.shared) if moe.shared is not None else 0
    return model.layers * layer + vocabulary(model)
