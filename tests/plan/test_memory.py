"""Memory by part: weights are the model's parameters, as often as they are held, and caches are as published."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from simcluster.model import parameters
from simcluster.plan.memory import Part, resident
from simcluster.plan.share import Share
from simcluster.scenario.compile import compile_text
from tests.physics_helpers import as_text

WEIGHTS = ("attention_weights", "expert_weights", "other_weights")
PEAKS = dict.fromkeys(("bf16", "fp8", "fp8_block", "int8", "int4", "mxfp4", "nvfp4"), "1 PFLOPS")


def _share(model: object, plan: str, *overrides: str, **workload: object) -> Share:
    """One sequence of 4,096 cached tokens for each of 8 replicas, unless `workload` says."""
    cluster = {
        "nodes": 1,
        "gpus_per_node": 8,
        "gpu": {"memory": "100 TB", "memory_bandwidth": "1 TB/s", "peak": PEAKS},
        "nvlink": {"bandwidth": "450 GB/s"},
    }
    work = {"phase": "decode", "batch": {"per_replica": 1}, "context": 4096, **workload}
    text = as_text({"cluster": cluster, "model": model, "plan": plan, "workload": work})
    scenario = compile_text(text, "x.yaml", overrides)
    return Share(model=scenario.model, degrees=scenario.plan.degrees, workload=scenario.workload)


def _weights(parts: Mapping[str, Part]) -> float:
    return sum(parts[name].bytes for name in WEIGHTS)


@pytest.mark.parametrize(
    ("model", "gigabytes", "within"),
    [
        ("llama-2-7b", 13.48, 0.001),
        ("llama-2-70b", 137.95, 0.001),
        ("llama-3.1-8b", 16.06, 0.001),
        ("llama-3.1-70b", 141.1, 0.001),
        ("llama-3.1-405b", 811.7, 0.001),
        ("mixtral-8x7b", 93.4, 0.001),
        ("qwen3-235b-a22b", 470.2, 0.001),
        ("deepseek-v3", 671.03 + 129280 * 7168 * 2e-9, 0.001),
        ("gpt-oss-120b", 60.8 * 2**30 * 1e-9, 0.005),
        ("gpt-oss-20b", 12.8 * 2**30 * 1e-9, 0.005),
    ],
)
def test_weights_of_one_gpu_are_the_published_checkpoint(model: str, gigabytes: float, within: float) -> None:
    """Parameters of the model cards in their stored type; DeepSeek-V3's fp8 with embedding and head in 16 bits."""
    assert _weights(resident(_share(model, "TP1"))) == pytest.approx(gigabytes * 1e9, rel=within)


@pytest.mark.parametrize("model", ["llama-3.1-70b", "mixtral-8x7b", "qwen3-30b-a3b", "deepseek-v2-lite"])
def test_weights_of_one_gpu_are_every_parameter_once(model: str) -> None:
    share = _share(model, "TP1", "model.precision=bf16")
    assert _weights(resident(share)) == 2 * parameters.total(share.model)


@pytest.mark.parametrize(
    ("model", "plan"),
    [
        ("llama-3.1-70b", "TP2"),
        ("llama-3.1-70b", "TP8"),
        ("llama-2-7b", "TP4"),
        ("mixtral-8x7b", "EP8"),
        ("mixtral-8x7b", "TP2_EP4"),
        ("mixtral-8x7b", "TP8"),
        ("qwen3-30b-a3b", "TP4_EP2"),
        ("gpt-oss-120b", "TP2_EP4"),
        ("deepseek-v3", "EP8"),
        ("deepseek-v3", "TP8"),
        ("deepseek-v3", "TP2_EP4"),
        ("deepseek-v2-lite", "TP4_EP2"),
    ],
)
def test_ranks_hold_every_parameter_and_some_several_times(model: str, plan: str) -> None:
    """All GPUs together: parameters, and beside them each part that ranks of a group hold alike.

    Attention, dense layers and vocabulary are cut over tp and copied over dp; norms, router and a latent's
    down-projections are on every rank.  Routed experts are cut over ep and etp; shared ones over tp only where tokens
    are not split over its lanes.
    """
    share = _share(model, plan, "model.precision=bf16")
    shape, degrees = share.model, share.degrees
    latent, moe = shape.latent, shape.moe
    everywhere = shape.layers * parameters.norms(shape) + shape.hidden
    everywhere += 0 if latent is None else shape.layers * shape.hidden * latent.compressed
    routed = shared = 0
    if moe is not None:
        everywhere += shape.moe_layers * parameters.router(shape, moe)
        routed = shape.moe_layers * parameters.experts(shape, moe)
        shared = 0 if moe.shared is None else shape.moe_layers * parameters.mlp(shape, moe.shared)
    cut = parameters.total(shape) - everywhere - routed - shared
    shared *= degrees.gpus if degrees.splits_tokens else degrees.dp
    wanted = degrees.gpus * everywhere + degrees.dp * cut + degrees.edp * routed + shared
    assert degrees.gpus * _weights(resident(share)) == pytest.approx(2 * wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "plan", "bytes_per_token"),
    [
        ("llama-2-7b", "TP1", 524_288),
        ("llama-2-70b", "TP1", 327_680),
        ("llama-3.1-70b", "TP1", 327_680),
        ("llama-3.1-70b", "TP8", 327_680 / 8),
        ("llama-3.1-8b", "TP1", 131_072),
        ("deepseek-v3", "TP1", 70_272),
        ("deepseek-v3", "TP8", 70_272),
        ("mistral-7b", "TP1", 131_072),
    ],
)
def test_a_cached_token_takes_what_is_published(model: str, plan: str, bytes_per_token: float) -> None:
    """2 x layers x kv_heads x head_dim x 2 B, or layers x (kv_rank + rope_dim) x 2 B, which no tp cuts."""
    assert resident(_share(model, plan))["kv_cache"].bytes == 4096 * bytes_per_token


def test_more_tensor_ranks_than_kv_heads_hold_heads_several_times() -> None:
    shape = {"layers": 2, "hidden": 1024, "heads": 16, "kv_heads": 2, "mlp": {"hidden": 4096}, "precision": "bf16"}
    two, eight = (resident(_share(shape, plan))["kv_cache"].bytes for plan in ("TP2", "TP8"))
    assert two == eight == 4096 * 2 * 2 * 1 * 64 * 2


@pytest.mark.parametrize(("context", "kept"), [(64, 64), (128, 128), (4096, 128)])
def test_a_window_keeps_so_many_positions_on_every_other_layer(context: int, kept: int) -> None:
    """gpt-oss-120b: 18 of 36 layers see 128 positions back; 8 KV heads of 64 channels in 16 bits."""
    held = resident(_share("gpt-oss-120b", "TP1", context=context))["kv_cache"].bytes
    assert held == 18 * (context + kept) * 2 * 8 * 64 * 2


@pytest.mark.parametrize(("context", "blocks"), [(1, 1), (63, 1), (64, 1), (65, 2), (4096, 64), (4097, 65)])
def test_the_cache_is_kept_in_whole_blocks(context: int, blocks: int) -> None:
    held = resident(_share("llama-3.1-8b", "TP1", context=context, kv_block=64))["kv_cache"].bytes
    assert held == blocks * 64 * 131_072


@pytest.mark.parametrize("output", [1, 2, 17])
def test_a_generation_caches_every_token_but_the_last(output: int) -> None:
    work = {"batch": {"per_replica": 3}, "sequence": 100, "output": output}
    share = _share("llama-3.1-8b", "TP1", f"workload={{phase: generate, {str(work)[1:-1]}}}".replace("'", ""))
    assert resident(share)["kv_cache"].bytes == 3 * (100 + output - 1) * 131_072


@pytest.mark.parametrize(("precision", "size"), [("bf16", 2), ("fp8", 1), ("int4", 0.5), ("mxfp4", 17 / 32)])
def test_narrower_weights_take_their_share(precision: str, size: float) -> None:
    """Four bits, and with mxfp4 a scale of 8 bits for every 32 of them."""
    share = _share("qwen3-30b-a3b", "TP1", "model.precision=bf16", f"model.precision.weights={precision}")
    parts = resident(share)
    assert _weights(parts) == pytest.approx(size * parameters.total(share.model), rel=1e-12)


def test_experts_and_vocabulary_may_have_types_of_their_own() -> None:
    overrides = ("model.precision=bf16", "model.precision.expert_weights=fp8", "model.precision.vocabulary=int4")
    share, plain = _share("mixtral-8x7b", "TP1", *overrides), _share("mixtral-8x7b", "TP1")
    mixed, wide = resident(share), resident(plain)
    assert mixed["attention_weights"].bytes == wide["attention_weights"].bytes
    assert mixed["expert_weights"].bytes == wide["expert_weights"].bytes / 2
    for name, quarter in (("embedding", 4), ("head", 4), ("router", 1), ("norms", 1)):
        assert mixed["other_weights"].parts[name] == wide["other_weights"].parts[name] / quarter


@pytest.mark.parametrize("model", ["llama-3.1-70b", "mixtral-8x7b", "deepseek-v3", "gpt-oss-120b"])
@pytest.mark.parametrize("plan", ["TP1", "TP8"])
def test_parts_add_up_to_their_component(model: str, plan: str) -> None:
    for part in resident(_share(model, plan)).values():
        assert not part.parts or sum(part.parts.values()) == pytest.approx(part.bytes, rel=1e-12)
