"""The keys of a Hugging Face config.json that say what a model is made of, family by family.

A key without a default here is one whose absence means something else from one version of transformers to the next, so
that a file must write it; where `None` is allowed, null is an answer.  Every other key of a file is passed over.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from simcluster.scenario.forms import Count, Form

LayerType = Literal["full_attention", "sliding_attention"]
Layers = Annotated[int, Field(ge=1, le=10_000)]
Index = Annotated[int, Field(ge=0, le=10_000)]
LayerTypes = Annotated[list[LayerType], Field(max_length=10_000)]


class Decoder(Form):
    """What every family writes."""

    model_config = ConfigDict(extra="ignore")

    num_hidden_layers: Layers
    hidden_size: Count
    num_attention_heads: Count
    vocab_size: Count
    tie_word_embeddings: bool | None = None


class Heads(Decoder):
    """Attention by heads: `head_dim` left out is hidden / heads, KV heads written as null are as many as heads."""

    num_key_value_heads: Count | None
    head_dim: Count | None = None
    sliding_window: Count | None = None
    layer_types: LayerTypes | None = None


class Dense(Heads):
    intermediate_size: Count


class Llama(Dense):
    """Llama reads no window; its first version wrote no KV heads."""

    num_key_value_heads: Count | None = None


class Mistral(Dense):
    """Every layer has the window; left out it would be 4096 to some readers and none to others."""

    sliding_window: Count | None


class Phi3(Dense):
    num_key_value_heads: Count | None = None


class Qwen(Heads):
    """A window counts only with `use_sliding_window`, and from layer `max_window_layers` on."""

    use_sliding_window: bool | None = None
    max_window_layers: Annotated[int, Field(ge=0)] | None = None


class Qwen2(Qwen):
    intermediate_size: Count


class Qwen3(Qwen2):
    head_dim: Count | None


class Experts(Heads):
    """Experts by their number under either of its names."""

    num_local_experts: Count | None = None
    num_experts: Count | None = None
    num_experts_per_tok: Count


class Mixtral(Experts):
    """`intermediate_size` is the width of an expert."""

    intermediate_size: Count


class GptOss(Mixtral):
    """As Mixtral, with a window on the layers listed."""

    head_dim: Count
    sliding_window: Count | None
    layer_types: LayerTypes


class Mixed(Decoder):
    """Some layers may have an MLP of `intermediate_size` in place of experts."""

    moe_intermediate_size: Count
    intermediate_size: Count | None = None


class QwenExperts(Qwen, Experts, Mixed):
    """Every `decoder_sparse_step`-th layer has experts, but `mlp_only_layers` have not."""

    decoder_sparse_step: Layers | None = None
    mlp_only_layers: Annotated[list[Index], Field(max_length=10_000)] | None = None


class Qwen2Experts(QwenExperts):
    """Beside its experts a layer has a shared one of a width of its own."""

    shared_expert_intermediate_size: Count


class Qwen3Experts(QwenExperts):
    head_dim: Count | None


class DeepSeek(Mixed):
    """Latent attention, whose `head_dim`, where it is written, is the rotated part alone and not read.

    Layers from `first_k_dense_replace` on have experts, of these every `moe_layer_freq`-th by index.
    """

    q_lora_rank: Count | None
    kv_lora_rank: Count
    qk_nope_head_dim: Count
    qk_rope_head_dim: Count
    v_head_dim: Count
    n_routed_experts: Count
    n_shared_experts: Annotated[int, Field(ge=0, le=1024)] | None
    num_experts_per_tok: Count
    first_k_dense_replace: Index
    moe_layer_freq: Layers | None = None


FAMILIES: dict[str, type[Decoder]] = {
    "deepseek_v2": DeepSeek,
    "deepseek_v3": DeepSeek,
    "gpt_oss": GptOss,
    "kimi_k2": DeepSeek,
    "llama": Llama,
    "mistral": Mistral,
    "mixtral": Mixtral,
    "phi3": Phi3,
    "qwen2": Qwen2,
    "qwen2_moe": Qwen2Experts,
    "qwen3": Qwen3,
    "qwen3_moe": Qwen3Experts,
}
"""The form of each `model_type` that can be imported."""
