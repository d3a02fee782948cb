"""The shape of an imported model: its config.json's form as the mapping of a scenario, and what contradicts itself."""

from __future__ import annotations

from simcluster.scenario.build import Wrong
from simcluster.scenario.document import Value
from simcluster.scenario.hf.forms import (
    Decoder,
    DeepSeek,
    Dense,
    Experts,
    Heads,
    Mixed,
    Mixtral,
    Qwen2,
    Qwen2Experts,
    Qwen3,
    Qwen3Experts,
    QwenExperts,
)
from simcluster.scenario.hf.window import window, window_mistakes

Tree = dict[str, Value]


def shape(form: Decoder) -> Tree:
    """A form without mistakes as `layers`, `hidden` and so on, without its precision."""
    tree: Tree = {"layers": form.num_hidden_layers, "hidden": form.hidden_size, "heads": form.num_attention_heads}
    if isinstance(form, DeepSeek):
        tree["latent"] = _latent(form)
    if isinstance(form, Heads):
        tree["kv_heads"] = form.num_key_value_heads or form.num_attention_heads
        tree["head_dim"] = form.head_dim or form.hidden_size // form.num_attention_heads
        tree |= window(form)
    return {**tree, **_feed_forward(form), "vocab": form.vocab_size, "tied_embeddings": bool(form.tie_word_embeddings)}


def _latent(form: DeepSeek) -> Tree:
    rank: Tree = {} if form.q_lora_rank is None else {"q_rank": form.q_lora_rank}
    return {
        **rank,
        "kv_rank": form.kv_lora_rank,
        "nope_dim": form.qk_nope_head_dim,
        "rope_dim": form.qk_rope_head_dim,
        "value_dim": form.v_head_dim,
    }


def _feed_forward(form: Decoder) -> Tree:
    """`mlp`, or `moe` with the layers that have `mlp` instead."""
    tree: Tree = {"qk_norm": True} if isinstance(form, Qwen3 | Qwen3Experts) else {}
    if isinstance(form, Dense | Qwen2):
        tree["mlp"] = _mlp(form.intermediate_size)
    if isinstance(form, Mixtral | QwenExperts | DeepSeek):
        tree["moe"] = _moe(form)
    dense = dense_layers(form)
    if dense and isinstance(form, Mixed):
        leading = dense == list(range(len(dense)))
        tree |= {"mlp": _mlp(form.intermediate_size), "dense_layers": len(dense) if leading else [*dense]}
    return tree


def _mlp(width: int | None) -> Tree:
    return {"hidden": width, "gated": True}


def _moe(form: Mixtral | QwenExperts | DeepSeek) -> Tree:
    width = form.intermediate_size if isinstance(form, Mixtral) else form.moe_intermediate_size
    tree: Tree = {"experts": experts(form), "top_k": form.num_experts_per_tok, "hidden": width, "gated": True}
    if isinstance(form, Qwen2Experts):
        tree |= {"shared_experts": 1, "shared_hidden": form.shared_expert_intermediate_size}
    if isinstance(form, DeepSeek):
        tree["shared_experts"] = form.n_shared_experts or 0
    return tree


def experts(form: Experts | DeepSeek) -> int | None:
    """Routed experts of a layer, None where an `Experts` does not say."""
    return form.n_routed_experts if isinstance(form, DeepSeek) else form.num_local_experts or form.num_experts


def dense_layers(form: Decoder) -> list[int]:
    """The layers of a mixture of experts that have an MLP instead."""
    match form:
        case QwenExperts():
            step, listed = form.decoder_sparse_step or 1, set(form.mlp_only_layers or ())
            return [layer for layer in range(form.num_hidden_layers) if layer in listed or (layer + 1) % step]
        case DeepSeek():
            first, every = form.first_k_dense_replace, form.moe_layer_freq or 1
            return [layer for layer in range(form.num_hidden_layers) if layer < first or layer % every]
        case _:
            return []


def shape_mistakes(form: Decoder) -> Wrong:
    """Fields that contradict each other, by their key in the file."""
    if isinstance(form, Heads):
        yield from _head_mistakes(form)
        yield from window_mistakes(form)
    if isinstance(form, Experts | DeepSeek):
        yield from _expert_mistakes(form)


def _head_mistakes(form: Heads) -> Wrong:
    heads, kv_heads = form.num_attention_heads, form.num_key_value_heads
    if form.head_dim is None and form.hidden_size % heads:
        what = f"{heads} heads do not divide hidden_size {form.hidden_size:,}, and head_dim is not written"
        yield "num_attention_heads", what
    if kv_heads is not None and heads % kv_heads:
        yield "num_key_value_heads", f"{kv_heads} KV heads do not divide {heads} heads; each serves equally many"


def _expert_mistakes(form: Experts | DeepSeek) -> Wrong:
    number, top_k = experts(form), form.num_experts_per_tok
    if isinstance(form, Experts):
        names = {form.num_local_experts, form.num_experts} - {None}
        if len(names) > 1:
            what = f"num_experts says {form.num_experts} and this {form.num_local_experts}; keep the one that is right"
            yield "num_local_experts", what
        if number is None:
            yield "num_experts", "missing, and so is num_local_experts; one of them is needed"
    if number is not None and top_k > number:
        yield "num_experts_per_tok", f"{top_k} is more than the {number} experts"
    dense = dense_layers(form)
    if isinstance(form, QwenExperts):
        beyond = [layer for layer in form.mlp_only_layers or () if layer >= form.num_hidden_layers]
        if beyond:
            yield "mlp_only_layers", f"there is no layer {beyond[0]}; layers are 0 … {form.num_hidden_layers - 1}"
    if len(dense) == form.num_hidden_layers:
        what = f"leaves none of {form.num_hidden_layers} layers to the experts"
        yield "first_k_dense_replace" if isinstance(form, DeepSeek) else "decoder_sparse_step", what
    elif dense and isinstance(form, Mixed) and form.intermediate_size is None:
        yield "intermediate_size", f"missing; {len(dense)} layers without experts need it"
