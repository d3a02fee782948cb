"""Number types of a config.json: its dtype, and what each quantisation method stores and computes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario.hf_configs import CONFIGS, Config
from tests.scenario.hf_helpers import SMALL, imported, refused


def _groups(weights: Config, inputs: Config | None = None) -> Config:
    groups = {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": inputs}}
    return {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ["lm_head"]}


FLOAT_8, FLOAT_4 = {"num_bits": 8, "type": "float"}, {"num_bits": 4, "type": "float", "group_size": 16}
INT_8, INT_4 = {"num_bits": 8, "type": "int"}, {"num_bits": 4, "type": "int", "group_size": 32}
BLOCK = {**FLOAT_8, "strategy": "block"}
EXPERTS_ONLY = ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"]
PRECISIONS: list[tuple[Config, list[str]]] = [
    ({"quant_method": "fp8", "weight_block_size": [128, 128]}, ["fp8_block", "fp8_block", "bf16", "fp8"]),
    ({"quant_method": "fp8", "weight_block_size": None}, ["fp8", "fp8", "bf16", "fp8"]),
    ({"quant_method": "gptq", "bits": 4}, ["int4", "bf16", "bf16", "bf16"]),
    ({"quant_method": "gptq", "bits": 8}, ["int8", "bf16", "bf16", "bf16"]),
    ({"quant_method": "awq", "bits": 4}, ["int4", "bf16", "bf16", "bf16"]),
    ({"quant_method": "modelopt", "quant_algo": "FP8"}, ["fp8", "fp8", "bf16", "fp8"]),
    ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"},
     ["nvfp4", "nvfp4", "fp8", "bf16"]),
    ({**_groups(FLOAT_4, FLOAT_4), "quant_method": "modelopt"}, ["nvfp4", "nvfp4", "bf16", "bf16"]),
    (_groups(FLOAT_4, FLOAT_4), ["nvfp4", "nvfp4", "bf16", "bf16"]),
    (_groups(FLOAT_8, FLOAT_8), ["fp8", "fp8", "bf16", "fp8"]),
    (_groups(BLOCK, FLOAT_8), ["fp8_block", "fp8_block", "bf16", "fp8"]),
    ({**_groups(FLOAT_8), "kv_cache_scheme": FLOAT_8}, ["fp8", "bf16", "fp8", "bf16"]),
    (_groups(INT_8, INT_8), ["int8", "int8", "bf16", "bf16"]),
    (_groups(INT_4), ["int4", "bf16", "bf16", "bf16"]),
    (_groups(INT_4, FLOAT_8), ["int4", "fp8", "bf16", "fp8"]),
]  # fmt: skip


@pytest.mark.parametrize(("quantization", "expected"), PRECISIONS)
def test_a_quantised_file(tmp_path: Path, quantization: Config, expected: list[str]) -> None:
    """Weights, compute, cache and dispatch; attention, embedding and head stay as they were."""
    types = imported(tmp_path, {**SMALL, "quantization_config": quantization}).precision
    assert [types.weights, types.compute, types.kv_cache, types.dispatch] == expected
    assert (types.attention, types.vocabulary, types.communication) == ("bf16", "bf16", "bf16")
    assert (types.expert_weights, types.expert_compute) == (types.weights, types.compute)


def test_experts_alone_are_quantised(tmp_path: Path) -> None:
    quantization = {**_groups(INT_4), "ignore": EXPERTS_ONLY}
    types = imported(tmp_path, {**SMALL, "quantization_config": quantization}).precision
    assert (types.weights, types.expert_weights, types.expert_compute) == ("bf16", "int4", "bf16")


def test_experts_alone_are_left_as_they_were(tmp_path: Path) -> None:
    quantization = {"quant_method": "fp8", "modules_to_not_convert": ["model.layers.*.mlp.experts"]}
    types = imported(tmp_path, {**SMALL, "quantization_config": quantization}).precision
    assert (types.weights, types.compute) == ("fp8", "fp8")
    assert (types.expert_weights, types.expert_compute, types.dispatch) == ("bf16", "bf16", "bf16")


def test_attention_of_a_vision_tower_does_not_count(tmp_path: Path) -> None:
    quantization = {"quant_method": "fp8", "modules_to_not_convert": ["visual.blocks.0.attn", "lm_head"]}
    assert imported(tmp_path, {**SMALL, "quantization_config": quantization}).precision.weights == "fp8"


@pytest.mark.parametrize(("key", "written"), [("dtype", "float16"), ("torch_dtype", "torch.float16")])
def test_the_dtype_under_either_name(tmp_path: Path, key: str, written: str) -> None:
    config = {name: value for name, value in SMALL.items() if name != "torch_dtype"}
    assert imported(tmp_path, {**config, key: written}).precision.weights == "fp16"
    assert imported(tmp_path, config).precision.weights == "bf16"


def test_a_dense_model_without_quantised_attention(tmp_path: Path) -> None:
    quantization = {"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.self_attn"]}
    config = {**CONFIGS["llama-2-7b"], "quantization_config": quantization}
    assert "leaves attention out and the model has no experts" in refused(tmp_path, config)[0]
    assert imported(tmp_path, config, precision="bf16").precision.weights == "bf16"
