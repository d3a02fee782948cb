"""A config.json that contradicts itself, is hostile, or is no file: refused with the file and the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simcluster.errors import InputError
from simcluster.scenario import build, override
from simcluster.scenario.document import Value
from tests.edge_helpers import refusal, simcluster
from tests.scenario.hf_configs import CONFIGS, Config
from tests.scenario.hf_helpers import SMALL, form_of, refused, scenario

INT_8: Config = {"num_bits": 8, "type": "int"}


def _groups(weights: Config) -> Config:
    groups = {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": None}}
    return {"quant_method": "compressed-tensors", "config_groups": groups}


@pytest.mark.parametrize("overrides", [[], ["model.layers=3"]])
def test_mistakes_are_told_once_with_the_file_and_the_key(tmp_path: Path, overrides: list[str]) -> None:
    path = scenario(tmp_path, {**SMALL, "hidden_size": 0, "num_experts_per_tok": 9.5}, "{hf: config.json}")
    sets = [part for change in overrides for part in ("--set", change)]
    outcome = simcluster("run", path, *sets)
    assert (outcome.code, outcome.out) == (2, "")
    start = f"{path}:11:9: model.hf: config.json: "
    assert outcome.err.splitlines() == [
        f"{start}hidden_size: 0 is too small; it must be at least 1",
        f"{start}num_experts_per_tok: expected a whole number, got 9.5",
    ]


WRONG: list[tuple[Config, str]] = [
    ({"model_type": "mamba"}, "model_type: 'mamba' cannot be imported; known: deepseek_v2, deepseek_v3, gpt_oss, "),
    ({"model_type": None}, "model_type: missing; known: "),
    ({"model_type": ["llama"]}, "model_type: ['llama'] cannot be imported"),
    ({"num_hidden_layers": 10**12}, "num_hidden_layers: 1000000000000 is too large; it must be at most 10,000"),
    ({"num_hidden_layers": -1}, "num_hidden_layers: -1 is too small"),
    ({"hidden_size": "256"}, "hidden_size: expected a whole number, got 256"),
    ({"hidden_size": 256.0}, "hidden_size: 256.0 is not a whole number as written; write 256"),
    ({"hidden_size": True}, "hidden_size: expected a whole number, got true"),
    ({"hidden_size": None}, "hidden_size: expected a whole number, got nothing"),
    ({"hidden_size": 10**60}, "hidden_size: 1000"),
    ({"tie_word_embeddings": 1}, "tie_word_embeddings: expected true or false, got 1"),
    ({"head_dim": None, "hidden_size": 250}, "num_attention_heads: 8 heads do not divide hidden_size 250"),
    ({"num_key_value_heads": 3}, "num_key_value_heads: 3 KV heads do not divide 8 heads"),
    ({"num_experts_per_tok": 9}, "num_experts_per_tok: 9 is more than the 8 experts"),
    ({"num_experts": None}, "num_experts: missing, and so is num_local_experts"),
    ({"num_local_experts": 9}, "num_local_experts: num_experts says 8 and this 9"),
    ({"mlp_only_layers": [4]}, "mlp_only_layers: there is no layer 4; layers are 0 … 3"),
    ({"mlp_only_layers": [0, 1, 2, 3]}, "decoder_sparse_step: leaves none of 4 layers to the experts"),
    ({"decoder_sparse_step": 2, "intermediate_size": None}, "intermediate_size: missing; 2 layers without experts"),
    ({"layer_types": ["full_attention"]}, "layer_types: lists 1 layers, and num_hidden_layers is 4"),
    ({"layer_types": ["linear_attention", *["full_attention"] * 3]}, "layer_types.0: linear_attention is not one of"),
    ({"layer_types": ["sliding_attention"] * 4}, "layer_types: lists sliding_attention, and use_sliding_window is not"),
    ({"use_sliding_window": True, "max_window_layers": 0}, "sliding_window: missing; there are layers with a window"),
    ({"use_sliding_window": True, "sliding_window": 9}, "max_window_layers: missing; use_sliding_window is true"),
    ({"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 2}, "max_window_layers: layers with and"),
    ({"torch_dtype": "float8"}, "torch_dtype: 'float8' is not one of bfloat16, float16, float32; or write"),
    ({"dtype": 16}, "dtype: 16 is not one of"),
    ({"quantization_config": []}, "quantization_config: expected a mapping with quant_method"),
    ({"quantization_config": {}}, "quantization_config.quant_method: missing"),
    ({"quantization_config": {"quant_method": "hqq"}}, "quantization_config.quant_method: 'hqq' is not known; known: "),
    ({"quantization_config": {"quant_method": "gptq", "bits": 3}}, "quantization_config.bits: says nothing that is"),
    ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "X"}}, "quantization_config.quant_algo: says"),
    ({"quantization_config": {"quant_method": "compressed-tensors"}}, "quantization_config.config_groups: says"),
    ({"quantization_config": _groups({"num_bits": 3})}, "quantization_config.config_groups: says nothing"),
    ({"quantization_config": {**_groups(INT_8), "kv_cache_scheme": {"num_bits": 5}}}, "quantization_config.kv_cache_"),
    ({"compression_config": {"quant_method": "x"}}, "compression_config.quant_method: 'x' is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("further", "told"), WRONG)
def test_a_wrong_file_is_refused_with_its_key(tmp_path: Path, further: Config, told: str) -> None:
    wrong = refused(tmp_path, {**SMALL, **further})
    assert len(wrong) == 1
    assert wrong[0].startswith(f"config.json: {told}")


@pytest.mark.parametrize("name", ["gpt-oss-20b", "qwen3-8b"])
def test_windows_without_a_size(tmp_path: Path, name: str) -> None:
    kinds = ["sliding_attention"] * CONFIGS[name]["num_hidden_layers"]
    config = {**CONFIGS[name], "use_sliding_window": True, "sliding_window": None, "layer_types": kinds}
    assert refused(tmp_path, config) == ["config.json: sliding_window: missing; there are layers with a window"]


@pytest.mark.parametrize("name", ["mistral-7b", "gpt-oss-20b", "deepseek-v3", "qwen3-8b", "mixtral-8x7b", "qwen2.5-7b"])
def test_every_missing_key_that_matters_is_named(tmp_path: Path, name: str) -> None:
    wrong = refused(tmp_path, {"model_type": CONFIGS[name]["model_type"]})
    missing = {line.split(": ")[1] for line in wrong}
    assert all(line.endswith("missing; it has no default") for line in wrong)
    assert {"num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"} < missing
    further = {"mistral-7b": "sliding_window", "gpt-oss-20b": "layer_types", "deepseek-v3": "q_lora_rank"}
    assert further.get(name, "num_key_value_heads") in missing


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"model_type": "llama", ', "is not JSON: "),
        ("", "is not JSON: "),
        ("[1]", "is no JSON object with model_type"),
        ('"llama"', "is no JSON object"),
        ('{"hidden_size": 1, "hidden_size": 2}', "hidden_size: written twice; keep one"),
        ('{"a": {"b": 1, "b": 2}}', "b: written twice; keep one"),
        ('{"hidden_size": NaN}', "NaN is not a finite number"),
        ('{"hidden_size": -Infinity}', "-Infinity is not a finite number"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "99999999999999999999… has 5,000 digits"),
        ("[" * 100_000, "is nested too deep"),
        (" " * 4_000_001, "is larger than 4,000,000 bytes"),
        ("\x00", "is not JSON: "),
    ],
)
def test_a_hostile_file_is_refused(tmp_path: Path, text: str, told: str) -> None:
    assert refused(tmp_path, text)[0].startswith(f"config.json: {told}")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xe9")
    cases: list[tuple[Value, str]] = [
        ("folder", "folder: is a folder; write folder/config.json"),
        ("absent.json", "absent.json: is no file that can be read"),
        ("/dev/zero", "/dev/zero: is no file that can be read"),
        ("a\0b", "a\0b: is no file that can be read"),
        ("x" * 5000, "xxx"),
        ("latin", "latin: is not UTF-8 text"),
        (5, "expected the path of a config.json, got 5"),
        (None, "expected the path of a config.json, got None"),
    ]
    for name, told in cases:
        with pytest.raises(InputError) as raised:
            override.written_out(("model",), {"hf": name}, str(tmp_path / "scenario.yaml"))
        assert raised.value.mistakes[0].what.startswith(told), name


def test_a_file_full_of_mistakes_is_told_in_part(tmp_path: Path) -> None:
    wrong = refused(tmp_path, {**SMALL, "layer_types": ["x"] * 500})
    assert len(wrong) == 21
    assert wrong[-1] == "config.json: and 480 more mistakes"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
KNOWN = st.sampled_from(sorted({key for config in CONFIGS.values() for key in config}))
SIZE = st.integers(-2, 300)


@settings(max_examples=100, deadline=None)
@given(root=JSON)
def test_any_json_is_imported_or_refused(tmp_path_factory: pytest.TempPathFactory, root: Any) -> None:
    refusal(lambda: form_of(tmp_path_factory.getbasetemp(), root))


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(CONFIGS)), further=st.dictionaries(KNOWN, JSON | SIZE, min_size=1, max_size=4))
def test_any_change_to_a_file_is_imported_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, further: Config
) -> None:
    """What is imported has no mistakes left: the reader sees contradictions itself and names their keys."""
    folder, found = tmp_path_factory.getbasetemp(), []
    refusal(lambda: found.append(form_of(folder, {**CONFIGS[name], **further})))
    for form in found:
        assert list(build.model_mistakes(form)) == []
        build.model(form)
