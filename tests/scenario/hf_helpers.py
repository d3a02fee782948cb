"""Importing a config.json that a test wrote, and a small one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simcluster.errors import InputError
from simcluster.model.transformer import Model
from simcluster.scenario import build, override
from simcluster.scenario.document import Value
from simcluster.scenario.schema import ModelForm
from tests.edge_helpers import changed, scenario_file
from tests.scenario.hf_configs import Config

MODEL = """\
model:
  layers: 2
  hidden: 256
  heads: 8
  moe: {experts: 8, top_k: 2, hidden: 512, gated: false}
  precision: fp8
"""
SMALL: Config = {
    "model_type": "qwen3_moe",
    "num_hidden_layers": 4,
    "hidden_size": 256,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": 1000,
    "intermediate_size": 1024,
    "moe_intermediate_size": 512,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "torch_dtype": "bfloat16",
}


def form_of(folder: Path, config: Any, **beside: Value) -> ModelForm:
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text, encoding="utf-8")
    tree = override.written_out(("model",), {"hf": "config.json", **beside}, str(folder / "scenario.yaml"))
    return ModelForm.model_validate(tree)


def imported(folder: Path, config: Any, **beside: Value) -> Model:
    form = form_of(folder, config, **beside)
    assert list(build.model_mistakes(form)) == []
    return build.model(form)


def refused(folder: Path, config: Any, **beside: Value) -> list[str]:
    with pytest.raises(InputError) as raised:
        form_of(folder, config, **beside)
    assert all(mistake.path == "model.hf" for mistake in raised.value.mistakes)
    return [mistake.what for mistake in raised.value.mistakes]


def scenario(folder: Path, config: Any = SMALL, model: str = "{hf: config.json, precision: fp8}") -> Path:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return scenario_file(folder, changed((MODEL, f"model: {model}\n")))
