"""Models from Hugging Face's config.json: the catalogue's again, families' traits, and number types."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from simcluster.model.parameters import total
from simcluster.model.transformer import Moe
from simcluster.scenario import build, catalogue
from simcluster.scenario.compile import compile_text, load
from simcluster.scenario.hf.forms import FAMILIES
from simcluster.scenario.render import render
from simcluster.scenario.schema import ModelForm
from tests.edge_helpers import changed, simcluster
from tests.scenario.hf_configs import CONFIGS, PHI_3, QWEN_1_5_MOE, Config
from tests.scenario.hf_helpers import MODEL, SMALL, imported, refused, scenario


@pytest.mark.parametrize("name", CONFIGS)
def test_an_imported_model_is_the_catalogues(tmp_path: Path, name: str) -> None:
    expected = build.model(ModelForm.model_validate(catalogue.look_up("model", name)))
    assert asdict(imported(tmp_path, CONFIGS[name], name=name)) == asdict(expected)


def test_every_family_is_tried() -> None:
    tried = {config["model_type"] for config in (*CONFIGS.values(), PHI_3, QWEN_1_5_MOE)}
    assert tried == set(FAMILIES)


def test_phi_3_has_its_window_in_every_layer(tmp_path: Path) -> None:
    model = imported(tmp_path, PHI_3)
    assert {model.window_of(layer) for layer in range(model.layers)} == {2047}
    assert total(model) == pytest.approx(3.82e9, rel=0.01)  # its model card: 3.8 B


def test_a_shared_expert_of_its_own_width(tmp_path: Path) -> None:
    model = imported(tmp_path, QWEN_1_5_MOE)
    assert model.moe is not None
    assert model.moe.shared is not None
    assert (model.moe.expert.hidden, model.moe.shared.hidden) == (1408, 5632)
    assert total(model) == pytest.approx(14.3e9, rel=0.01)  # its model card


def test_the_name_is_the_type_unless_written(tmp_path: Path) -> None:
    assert imported(tmp_path, SMALL).name == "qwen3_moe"
    assert imported(tmp_path, SMALL, name="mine").name == "mine"


def test_what_stands_beside_the_file_wins(tmp_path: Path) -> None:
    model = imported(tmp_path, SMALL, layers=7, vocab=None, precision="fp8")
    assert (model.layers, model.vocab, model.precision.weights) == (7, None, "fp8")


def test_a_multimodal_file_nests_its_decoder(tmp_path: Path) -> None:
    inner = {key: value for key, value in CONFIGS["kimi-k2"].items() if key != "torch_dtype"}
    outer = {"model_type": "kimi_k25", "vision_config": {"hidden_size": 3}, "dtype": "bfloat16", "text_config": inner}
    assert imported(tmp_path, outer) == imported(tmp_path, CONFIGS["kimi-k2"])
    del inner["hidden_size"]
    assert refused(tmp_path, outer) == ["config.json: text_config.hidden_size: missing; it has no default"]


@pytest.mark.parametrize(
    ("further", "dense"),
    [
        ({"decoder_sparse_step": 2}, (0, 2)),
        ({"mlp_only_layers": [0, 1]}, (0, 1)),
        ({"mlp_only_layers": [3], "decoder_sparse_step": 2}, (0, 2, 3)),
        ({}, ()),
    ],
)
def test_layers_without_experts(tmp_path: Path, further: Config, dense: tuple[int, ...]) -> None:
    model = imported(tmp_path, {**SMALL, **further})
    assert tuple(layer for layer in range(4) if not isinstance(model.ffn_of(layer), Moe)) == dense


def test_deepseek_with_experts_in_every_second_layer(tmp_path: Path) -> None:
    model = imported(tmp_path, {**CONFIGS["deepseek-v2-lite"], "num_hidden_layers": 8, "moe_layer_freq": 2})
    assert model.dense_layers == (0, 1, 3, 5, 7)


@pytest.mark.parametrize(
    ("further", "windows"),
    [
        ({"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 0}, [9, 9, 9, 9]),
        ({"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 4}, [None] * 4),
        ({"use_sliding_window": False, "sliding_window": 9, "max_window_layers": 0}, [None] * 4),
        ({"sliding_window": 9}, [None] * 4),
    ],
)
def test_a_window_of_qwen(tmp_path: Path, further: Config, windows: list[int | None]) -> None:
    model = imported(tmp_path, {**SMALL, **further})
    assert [model.window_of(layer) for layer in range(4)] == windows


@pytest.mark.parametrize("every", [2, 3, 4])
def test_every_kth_layer_without_a_window(tmp_path: Path, every: int) -> None:
    kinds = ["full_attention" if layer % every == every - 1 else "sliding_attention" for layer in range(24)]
    model = imported(tmp_path, {**CONFIGS["gpt-oss-20b"], "layer_types": kinds})
    assert [model.window_of(layer) is None for layer in range(24)] == [kind == "full_attention" for kind in kinds]


def test_show_prints_the_plain_mapping(tmp_path: Path) -> None:
    path = scenario(tmp_path)
    shown = simcluster("show", path)
    assert (shown.code, shown.err) == (0, "")
    assert "hf" not in shown.out
    (tmp_path / "config.json").unlink()
    assert compile_text(shown.out, "elsewhere.yaml").model.vocab == 1000


def test_the_file_is_found_beside_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    path = scenario(folder)
    monkeypatch.chdir(tmp_path)
    assert load(path) == load(Path("deep") / path.name)


def test_parts_of_an_imported_model_can_be_set(tmp_path: Path) -> None:
    path = scenario(tmp_path)
    changes = ["model.layers=6", "model.moe.top_k=1", "model.precision.kv_cache=bf16"]
    model = load(path, changes).model
    assert model.moe is not None
    assert (model.layers, model.moe.top_k, model.precision.kv_cache) == (6, 1, "bf16")
    assert render(load(path, ["model.layers=4"])) == render(load(path))


def test_another_file_can_be_set(tmp_path: Path) -> None:
    path = scenario(tmp_path)
    (tmp_path / "other.json").write_text(json.dumps({**SMALL, "num_hidden_layers": 9}), encoding="utf-8")
    assert load(path, ["model.hf=other.json"]).model.layers == 9
    assert load(path, ["model.layers=2", "model={hf: other.json, precision: fp8}"]).model.layers == 9
    named = changed((MODEL, "model: mixtral-8x7b\n"))
    again = compile_text(named, str(path), ["model.hf=other.json", "model.precision=fp8"])
    assert (again.model.layers, again.model.name) == (9, "qwen3_moe")
