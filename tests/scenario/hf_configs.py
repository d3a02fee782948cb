"""What the published config.json of a catalogue model says of its shape, with keys beside it that are not read."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

FP8: Config = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}
MXFP4: Config = {
    "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"],
    "quant_method": "mxfp4",
}


def _shape(kind: str, layers: int, hidden: int, heads: int, kv_heads: int, vocab: int, **further: Any) -> Config:
    return {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocab,
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": False,
        "rope_theta": 10000.0,
        "architectures": ["SomethingForCausalLM"],
        **further,
    }


def _deepseek(
    kind: str, layers: int, hidden: int, heads: int, vocab: int, *, q_rank: int | None, **further: Any
) -> Config:
    latent = {"q_lora_rank": q_rank, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64}
    return _shape(kind, layers, hidden, heads, heads, vocab, **latent, v_head_dim=128, moe_layer_freq=1, **further)


def _gpt_oss(layers: int, experts: int) -> Config:
    return _shape(
        "gpt_oss", layers, 2880, 64, 8, 201088,
        head_dim=64, intermediate_size=2880, num_local_experts=experts, num_experts_per_tok=4, sliding_window=128,
        layer_types=["sliding_attention", "full_attention"] * (layers // 2), quantization_config=MXFP4,
        torch_dtype=None,
    )  # fmt: skip


QWEN_MOE = {
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "head_dim": 128,
}
NO_WINDOW = {"use_sliding_window": False, "sliding_window": 131072, "max_window_layers": 28}

CONFIGS: dict[str, Config] = {
    "llama-2-7b": _shape("llama", 32, 4096, 32, 32, 32000, intermediate_size=11008),
    "llama-2-70b": _shape("llama", 80, 8192, 64, 8, 32000, intermediate_size=28672),
    "llama-3.1-8b": _shape("llama", 32, 4096, 32, 8, 128256, intermediate_size=14336, head_dim=None),
    "llama-3.1-405b": _shape("llama", 126, 16384, 128, 8, 128256, intermediate_size=53248),
    "mistral-7b": _shape("mistral", 32, 4096, 32, 8, 32000, intermediate_size=14336, sliding_window=4096),
    "mixtral-8x7b": _shape(
        "mixtral", 32, 4096, 32, 8, 32000,
        intermediate_size=14336, num_local_experts=8, num_experts_per_tok=2, sliding_window=None,
    ),
    "qwen2.5-7b": _shape("qwen2", 28, 3584, 28, 4, 152064, intermediate_size=18944, **NO_WINDOW),
    "qwen2.5-72b": _shape("qwen2", 80, 8192, 64, 8, 152064, intermediate_size=29568, **NO_WINDOW),
    "qwen3-8b": _shape(
        "qwen3", 36, 4096, 32, 8, 151936,
        intermediate_size=12288, head_dim=128, sliding_window=None, layer_types=["full_attention"] * 36,
    ),
    "qwen3-32b": _shape("qwen3", 64, 5120, 64, 8, 151936, intermediate_size=25600, head_dim=128),
    "qwen3-30b-a3b": _shape(
        "qwen3_moe", 48, 2048, 32, 4, 151936, intermediate_size=6144, moe_intermediate_size=768, **QWEN_MOE
    ),
    "qwen3-235b-a22b": _shape(
        "qwen3_moe", 94, 4096, 64, 4, 151936, intermediate_size=12288, moe_intermediate_size=1536, **QWEN_MOE
    ),
    "deepseek-v2-lite": _deepseek(
        "deepseek_v2", 27, 2048, 16, 102400, q_rank=None, intermediate_size=10944, moe_intermediate_size=1408,
        n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1,
    ),
    "deepseek-v2": _deepseek(
        "deepseek_v2", 60, 5120, 128, 102400, q_rank=1536, intermediate_size=12288, moe_intermediate_size=1536,
        n_routed_experts=160, n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1,
    ),
    "deepseek-v3": _deepseek(
        "deepseek_v3", 61, 7168, 128, 129280, q_rank=1536, intermediate_size=18432, moe_intermediate_size=2048,
        n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8, first_k_dense_replace=3,
        num_nextn_predict_layers=1, head_dim=64, quantization_config=FP8,
    ),
    "kimi-k2": _deepseek(
        "kimi_k2", 61, 7168, 64, 163840, q_rank=1536, intermediate_size=18432, moe_intermediate_size=2048,
        n_routed_experts=384, n_shared_experts=1, num_experts_per_tok=8, first_k_dense_replace=1,
        quantization_config=FP8,
    ),
    "gpt-oss-20b": _gpt_oss(24, 32),
    "gpt-oss-120b": _gpt_oss(36, 128),
}  # fmt: skip

PHI_3 = _shape("phi3", 32, 3072, 32, 32, 32064, intermediate_size=8192, sliding_window=2047)
"""Phi-3-mini-4k-instruct."""

QWEN_1_5_MOE = _shape(
    "qwen2_moe", 24, 2048, 16, 16, 151936,
    intermediate_size=5632, moe_intermediate_size=1408, shared_expert_intermediate_size=5632, num_experts=60,
    num_experts_per_tok=4, decoder_sparse_step=1, **NO_WINDOW,
)  # fmt: skip
"""Qwen1.5-MoE-A2.7B: 14.3 B parameters."""
