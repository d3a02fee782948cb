"""Catalogue models have as many parameters as their makers publish, all of them and those a token meets."""

from __future__ import annotations

import pytest

from simcluster.model import parameters
from simcluster.model.transformer import Model
from simcluster.scenario.build import model
from simcluster.scenario.catalogue import look_up, names
from simcluster.scenario.schema import ModelForm

PUBLISHED_BILLIONS = {
    "llama-2-7b": 6.74,  # these three: Touvron et al., Llama 2, 2023, and the checkpoints' tensors
    "llama-2-13b": 13.02,
    "llama-2-70b": 68.98,
    "llama-3.1-8b": 8.03,  # these three: model cards of Llama 3.1, 2024
    "llama-3.1-70b": 70.55,
    "llama-3.1-405b": 405.85,
    "mistral-7b": 7.24,  # model card of Mistral-7B-v0.1, 2023
    "mixtral-8x7b": 46.70,  # Jiang et al., Mixtral of Experts, 2024: 47 B; the model card: 46.7 B
    "mixtral-8x22b": 140.6,  # model card of Mixtral-8x22B-v0.1, 2024: 141 B
    "qwen2.5-7b": 7.61,  # these two: model cards of Qwen2.5, 2024; biases of queries, keys and values are not counted
    "qwen2.5-72b": 72.7,
    "qwen3-8b": 8.2,  # these four: model cards of Qwen3, 2025
    "qwen3-32b": 32.8,
    "qwen3-30b-a3b": 30.5,
    "qwen3-235b-a22b": 235,
    "deepseek-v2-lite": 15.7,  # DeepSeek-V2, 2024, appendix B
    "deepseek-v2": 236,  # DeepSeek-V2, 2024, section 1
    "deepseek-v3": 671,  # DeepSeek-V3's README_WEIGHTS.md, 2024: the main model, without multi-token prediction
    "gpt-oss-20b": 20.91,  # these two: gpt-oss model card, 2025, table 1; biases and sinks are not counted here
    "gpt-oss-120b": 116.83,
    "kimi-k2": 1040,  # Kimi K2, 2025; the model card: 1 T
}
TOTALS_WITHIN = {"kimi-k2": 0.015}
"""1 % if not named here.  The shape in Kimi-K2's config.json has 1.026 T, between its two published counts."""

WITHOUT_EMBEDDING = {
    "deepseek-v2-lite": 2.4,  # DeepSeek-V2, 2024, appendix B
    "deepseek-v2": 21.0,  # DeepSeek-V2, 2024, section 1
    "deepseek-v3": 36.6,  # DeepSeek-V3's README_WEIGHTS.md: "including 0.9B for the output Head"
    "gpt-oss-20b": 3.61,  # gpt-oss model card: the unembedding counts, the embedding does not
    "gpt-oss-120b": 5.13,
}
WITH_EMBEDDING = {
    "mixtral-8x7b": 12.9,  # Jiang et al., 2024: 13 B; the announcement: 12.9 B
    "mixtral-8x22b": 39.0,  # the announcement of Mixtral 8x22B, 2024
    "qwen3-30b-a3b": 3.3,  # model cards of Qwen3, 2025
    "qwen3-235b-a22b": 22.0,
    "kimi-k2": 32.6,  # Kimi K2, 2025: 32.6 B, the model card 32 B
}
TOLERANCE = 0.025
"""Active parameters are published with two or three digits (2.4, 3.3, 21): up to 2 % of rounding."""


def of(name: str) -> Model:
    return model(ModelForm.model_validate(look_up("model", name)))


def test_every_catalogue_model_has_a_published_count() -> None:
    assert set(PUBLISHED_BILLIONS) == set(names("model"))
    mixtures = {name for name in names("model") if of(name).moe is not None}
    assert mixtures == {*WITH_EMBEDDING, *WITHOUT_EMBEDDING}


@pytest.mark.parametrize("name", names("model"))
def test_a_catalogue_model_has_its_published_parameters(name: str) -> None:
    published = PUBLISHED_BILLIONS[name] * 1e9
    assert parameters.total(of(name)) == pytest.approx(published, rel=TOTALS_WITHIN.get(name, 0.01))
    assert of(name).name == name


@pytest.mark.parametrize("name", WITH_EMBEDDING)
def test_active_parameters_with_the_embedding(name: str) -> None:
    assert parameters.active(of(name)) == pytest.approx(WITH_EMBEDDING[name] * 1e9, rel=TOLERANCE)


@pytest.mark.parametrize("name", WITHOUT_EMBEDDING)
def test_active_parameters_without_the_embedding(name: str) -> None:
    """These makers leave the table out, of which a token reads one row, and count the head."""
    found = of(name)
    assert found.vocab is not None
    active = parameters.active(found) - found.vocab * found.hidden
    assert active == pytest.approx(WITHOUT_EMBEDDING[name] * 1e9, rel=TOLERANCE)


@pytest.mark.parametrize("name", [name for name in names("model") if of(name).moe is None])
def test_a_dense_model_meets_every_parameter(name: str) -> None:
    assert parameters.active(of(name)) == parameters.total(of(name))


def test_a_latent_layer_by_hand() -> None:
    """DeepSeek-V3: 7168 x (1536 + 576) down, 1536 x 128·192 and 512 x 128·256 up, 128·128 x 7168 back."""
    down, queries, keys_values, output = 15_138_816, 37_748_736, 16_777_216, 117_440_512
    assert parameters.attention(of("deepseek-v3")) == down + queries + keys_values + output
    assert parameters.norms(of("deepseek-v3")) == 2 * 7168 + 1536 + 512


def test_queries_projected_directly() -> None:
    """DeepSeek-V2-Lite: 2048 x 576 down, 2048 x 16·192 for queries, 512 x 16·256 up, 16·128 x 2048 back."""
    assert parameters.attention(of("deepseek-v2-lite")) == 1_179_648 + 6_291_456 + 2_097_152 + 4_194_304


def test_norms_of_queries_and_keys() -> None:
    assert parameters.norms(of("qwen3-8b")) == 2 * 4096 + 2 * 128
