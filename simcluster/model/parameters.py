"""Parameter counts of a transformer, part by part.  Biases are not counted."""

from __future__ import annotations

from collections.abc import Callable

from simcluster.model.transformer import Latent, Mlp, Model, Moe


def attention(model: Model) -> int:
    """Projections of one layer: hidden x (heads + 2 kv_heads)·head_dim, and heads·head_dim x hidden back.

    Latent: hidden x (q_rank + kv_rank + rope_dim) down, q_rank x heads·(nope + rope) and kv_rank x heads·(nope + value)
    up, heads·value x hidden back.
    """
    if model.latent is not None:
        return model.hidden * model.latent.compressed + latent_heads(model, model.latent, model.heads)
    return model.hidden * (model.query_width + 2 * model.kv_width) + model.query_width * model.hidden


def latent_heads(model: Model, latent: Latent, heads: int) -> int:
    """The parts of latent attention that belong to `heads` heads: both up-projections and the output."""
    queries = (latent.q_rank or model.hidden) * heads * latent.query_dim
    keys_values = latent.kv_rank * heads * (latent.nope_dim + latent.value_dim)
    return queries + keys_values + heads * latent.value_dim * model.hidden


def mlp(model: Model, part: Mlp) -> int:
    """hidden x inner for each of up, gate (if gated) and down."""
    return part.matrices * model.hidden * part.hidden


def experts(model: Model, moe: Moe) -> int:
    """All routed experts of one layer."""
    return moe.experts * mlp(model, moe.expert)


def router(model: Model, moe: Moe) -> int:
    return model.hidden * moe.experts


def norms(model: Model) -> int:
    """RMS norms of one layer: two with a scale per channel, those of latents, and one each of a query's and a key's
    head."""
    latent = model.latent
    latents = 0 if latent is None else (latent.q_rank or 0) + latent.kv_rank
    return 2 * model.hidden + latents + (2 * model.head_dim if model.qk_norm else 0)


def vocabulary(model: Model) -> int:
    """Embedding, head (unless tied) and the final norm; zero without a vocabulary."""
    if model.vocab is None:
        return 0
    return model.vocab * model.hidden * (1 if model.tied_embeddings else 2) + model.hidden


def total(model: Model) -> int:
    """Every parameter of the model, for comparison with the published count."""
    return _counted(model, lambda moe: experts(model, moe))


def active(model: Model) -> int:
    """Parameters that one token meets: top_k of the routed experts, and the embedding as a whole."""
    return _counted(model, lambda moe: moe.top_k * mlp(model, moe.expert))


def _counted(model: Model, routed: Callable[[Moe], int]) -> int:
    layers = model.layers * (attention(model) + norms(model))
    for layer in range(model.layers):
        match model.ffn_of(layer):
            case Mlp() as dense:
                layers += mlp(model, dense)
            case Moe() as moe:
                shared = mlp(model, moe.shared) if moe.shared is not None else 0
                layers += routed(moe) + router(model, moe) + shared
    return layers + vocabulary(model)
