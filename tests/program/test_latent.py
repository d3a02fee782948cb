"""Multi-head latent attention by hand: every operation's FLOPs and bytes, and what its weights and cache take.

Sizes are DeepSeek-V3's: hidden 7168, 128 heads, latents of 1536 and 512, 128 + 64 channels of queries and keys, 128 of
values.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from simcluster.kernels import ElementWise, GroupedGemm, LatentAttention
from simcluster.model import parameters
from simcluster.model.transformer import Model
from simcluster.model.workload import Phase, Workload
from simcluster.plan.degrees import Degrees
from simcluster.plan.layout import Layout
from simcluster.plan.memory import resident
from simcluster.plan.share import Share
from simcluster.program.lower import lower
from simcluster.program.program import Compute
from simcluster.scenario import build, catalogue
from simcluster.scenario.schema import ModelForm

Rows = list[tuple[str, float, float]]
"""Name, FLOPs and bytes of each operation."""


def named(name: str, **changes: object) -> Model:
    return build.model(ModelForm.model_validate({**catalogue.look_up("model", name), **changes}))


DEEPSEEK_BF16 = named("deepseek-v3", precision="bf16")


def degrees(tp: int, dp: int = 1, ep: int = 1, etp: int | None = None) -> Degrees:
    etp = tp * dp // ep if etp is None else etp
    return Degrees(tp=tp, pp=1, dp=dp, cp=1, ep=ep, etp=etp, edp=tp * dp // (ep * etp))


def share_of(model: Model, plan: Degrees, phase: Phase, batch: int, length: int) -> Share:
    return Share(model=model, degrees=plan, workload=Workload(phase=phase, batch=batch, length=length, steps=1))


def computes(share: Share, layer: int = 0) -> list[Compute]:
    program = lower(share, Layout(degrees=share.degrees, gpus_per_node=8))
    return [op for op in program.operations if isinstance(op, Compute) and op.layer == layer]


def attention(share: Share) -> Rows:
    """From the layer's first norm to the attention's output."""
    rows = [(op.name, op.kernel.flops, op.kernel.bytes) for op in computes(share)]
    return rows[: [name for name, _, _ in rows].index("attention.output") + 1]


def gemm(name: str, m: int, n: int, k: int) -> tuple[str, float, float]:
    """All three matrices in bf16."""
    return name, 2.0 * m * n * k, 2.0 * (m * k + k * n + m * n)


def test_a_prefill_layer_by_hand() -> None:
    """3 sequences of 1000 tokens on tp 4: 32 heads a rank, the down-projection whole on each."""
    tokens, heads = 3000, 32
    queries, keys_values = heads * (128 + 64), heads * (128 + 128)
    core_flops = 2 * 3 * (1000**2 / 2) * heads * (192 + 128)
    core_bytes = 2 * 3 * 1000 * heads * ((192 + 128) + (192 + 128))
    assert attention(share_of(DEEPSEEK_BF16, degrees(4), "prefill", 3, 1000)) == [
        ("norm", 0, 2 * 2 * tokens * 7168),
        gemm("attention.qkv", tokens, 1536 + 512 + 64, 7168),
        ("norm", 0, 2 * 2 * tokens * (1536 + 512)),
        gemm("attention.qkv", tokens, queries, 1536),
        gemm("attention.qkv", tokens, keys_values, 512),
        ("attention.rotary", 0, 2 * 2 * tokens * (heads + 1) * 64),
        ("attention.core", core_flops, core_bytes),
        gemm("attention.output", tokens, 7168, heads * 128),
    ]


def test_a_decode_layer_by_hand() -> None:
    """5 sequences with 2000 positions cached, on tp 4: the cache is read once for all 32 heads of the rank."""
    tokens, heads, cached = 5, 32, 2000
    absorb = 2.0 * tokens * heads * 128 * 512
    absorb_bytes = 2.0 * (tokens * heads * (128 + 512) + heads * 128 * 512)
    core_flops = 2.0 * tokens * cached * heads * (576 + 512)
    core_bytes = 2.0 * (tokens * heads * (576 + 512) + tokens * cached * 576)
    assert attention(share_of(DEEPSEEK_BF16, degrees(4), "decode", 5, 2000)) == [
        ("norm", 0, 2 * 2 * tokens * 7168),
        gemm("attention.qkv", tokens, 1536 + 512 + 64, 7168),
        ("norm", 0, 2 * 2 * tokens * (1536 + 512)),
        gemm("attention.qkv", tokens, heads * 192, 1536),
        ("attention.rotary", 0, 2 * 2 * tokens * (heads + 1) * 64),
        ("attention.absorb", absorb, absorb_bytes),
        ("attention.core", core_flops, core_bytes),
        ("attention.absorb", absorb, absorb_bytes),
        gemm("attention.output", tokens, 7168, heads * 128),
    ]


def test_queries_without_a_latent() -> None:
    """DeepSeek-V2-Lite: 16 heads on one GPU, queries straight from the 2048 channels, one latent to normalise."""
    rows = attention(share_of(named("deepseek-v2-lite"), degrees(1), "prefill", 1, 64))
    assert rows[1:4] == [
        gemm("attention.qkv", 64, 512 + 64, 2048),
        ("norm", 0, 2 * 2 * 64 * 512),
        gemm("attention.qkv", 64, 16 * 192, 2048),
    ]


def test_number_types_of_deepseek_v3() -> None:
    """Projections read and write fp8; the core and what absorbs its projections read bf16, weights stay fp8; the output
    goes to the bf16 stream."""
    rows = attention(share_of(named("deepseek-v3"), degrees(128), "decode", 1, 1000))
    by_name = {name: moved for name, _, moved in rows}
    assert by_name["attention.core"] == 2 * 576 + 512 + 1000 * 576 * 2
    assert by_name["attention.output"] == 128 + 128 * 7168 + 7168 * 2
    assert by_name["attention.absorb"] == 2 * 128 + 128 * 512 + 2 * 512


@pytest.mark.parametrize("keys", [1, 64, 4096])
def test_absorption_changes_the_work_and_not_the_answer(keys: int) -> None:
    """One query: scores and sums over latents cost (576 + 512) in place of (192 + 128) a key, and read 576 elements
    in place of 128 heads x 320; the projections of all keys and values, which the other way needs, are left out."""
    either = LatentAttention(
        batch=1, queries=1, keys=keys, heads=128, nope_dim=128, rope_dim=64, value_dim=128, kv_rank=512,
        absorbed=True, compute="bf16", kv_cache="bf16", query_bytes=2, kv_bytes=2, output_bytes=2,
    )  # fmt: skip
    plain = replace(either, absorbed=False)
    assert either.flops == 2 * keys * 128 * (576 + 512)
    assert plain.flops == 2 * (keys - 0.5) * 128 * (192 + 128)
    assert either.bytes == 2 * (128 * (576 + 512) + keys * 576)
    assert plain.bytes == 2 * (128 * (192 + 128) + keys * 128 * (192 + 128))


def test_work_that_is_cut_by_heads_and_work_that_is_not() -> None:
    """Twice the tp halves the FLOPs of all but the down-projection, which every rank does whole."""
    one, two = (attention(share_of(DEEPSEEK_BF16, degrees(tp), "decode", 2, 500)) for tp in (1, 2))
    for (name, whole, _), (_, half, _) in zip(one[2:], two[2:], strict=True):
        assert half == whole / 2, name
    assert one[1] == two[1]


@pytest.mark.parametrize("tp", [1, 8])
def test_the_cache_of_deepseek_v3(tp: int) -> None:
    """61 layers x (512 + 64) elements x 2 B = 70,272 B a token on every tp rank (DeepSeek-V3, 2024: about 70 KB)."""
    plan = degrees(tp, ep=tp, etp=1)
    part = resident(share_of(named("deepseek-v3"), plan, "decode", 3, 1000))["kv_cache"]
    assert part.bytes == 3 * 1000 * 61 * 576 * 2
    assert part.bytes / 3000 == 70_272


def test_llama_needs_fourteen_times_as_much() -> None:
    """Llama-3.1-405B: 126 layers x 2 x 8 KV heads x 128 x 2 B = 516,096 B a token (DeepSeek-V3, 2024: 516 KB)."""
    assert resident(share_of(named("llama-3.1-405b"), degrees(1), "decode", 1, 1))["kv_cache"].bytes == 516_096


SMALL = {
    "layers": 5, "hidden": 256, "heads": 8, "mlp": {"hidden": 1024}, "dense_layers": 2, "vocab": 1024,
    "moe": {"experts": 8, "top_k": 2, "hidden": 128, "shared_experts": 1},
    "latent": {"q_rank": 96, "kv_rank": 64, "nope_dim": 32, "rope_dim": 16, "value_dim": 24},
    "precision": {"weights": "fp8", "compute": "fp8", "attention": "bf16", "kv_cache": "bf16", "dispatch": "fp8",
                  "expert_weights": "nvfp4", "vocabulary": "bf16"},
}  # fmt: skip


@pytest.mark.parametrize("plan", [degrees(1), degrees(2, dp=4, ep=8), degrees(1, dp=8, ep=8), degrees(4, dp=2, ep=4)])
def test_the_weights_of_all_ranks_are_the_models(plan: Degrees) -> None:
    """Routed experts, heads, dense MLPs and the vocabulary are cut; what every rank has whole is counted apart."""
    model = build.model(ModelForm.model_validate(SMALL))
    moe, dense, latent = model.moe, model.dense, model.latent
    assert moe is not None
    assert dense is not None
    assert latent is not None
    parts = resident(share_of(model, plan, "prefill", plan.dp, 16))
    heads = parameters.attention(model) - model.hidden * latent.compressed
    assert parts["attention_weights"].bytes == 5 * (model.hidden * latent.compressed + heads / plan.tp)
    nvfp4 = 0.5 + 1 / 16
    copies = plan.tp * plan.dp / (plan.ep * plan.etp)
    routed = 3 * parameters.experts(model, moe) * nvfp4
    assert moe.shared is not None
    shared = 3 * parameters.mlp(model, moe.shared) / (1 if plan.splits_tokens else plan.tp)
    assert parts["expert_weights"].bytes == routed * copies / plan.gpus + shared
    other = 5 * parameters.norms(model) + 3 * parameters.router(model, moe) + 2 * parameters.mlp(model, dense) / plan.tp
    vocabulary = 2 * 2 * 1024 * 256 / plan.tp
    assert parts["other_weights"].bytes == other + model.hidden + vocabulary


def test_one_gpu_holds_every_parameter() -> None:
    model = named("deepseek-v2-lite")
    parts = resident(share_of(model, degrees(1), "prefill", 1, 1))
    weights = sum(part.bytes for name, part in parts.items() if name.endswith("_weights"))
    assert weights == 2 * parameters.total(model)


@pytest.mark.parametrize("plan", [degrees(1), degrees(8)])
def test_dense_layers_come_first(plan: Degrees) -> None:
    share = share_of(build.model(ModelForm.model_validate(SMALL)), plan, "prefill", 1, 16)
    for layer in range(5):
        operations = {op.name for op in computes(share, layer)}
        assert ("mlp.up" in operations, "moe.experts" in operations) == (layer < 2, layer >= 2)


def test_experts_and_head_compute_in_types_of_their_own() -> None:
    share = share_of(build.model(ModelForm.model_validate(SMALL)), degrees(1), "prefill", 1, 16)
    program = lower(share, Layout(degrees=share.degrees, gpus_per_node=8))
    kernels = [(op.name, op.kernel) for op in program.operations if isinstance(op, Compute)]
    head = next(kernel for name, kernel in kernels if name == "lm_head")
    assert head.flops == 2 * 1 * 1024 * 256
    assert head.bytes == 2 * (256 + 1024 * 256 + 1024)
    up = next(kernel for name, kernel in kernels if name == "moe.experts")
    assert isinstance(up, GroupedGemm)
    assert up.bytes == 32 * 256 + 8 * 256 * 256 * (0.5 + 1 / 16) + 32 * 256
    assert all(kernel.flops == 0 for name, kernel in kernels if isinstance(kernel, ElementWise))
