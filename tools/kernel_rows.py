"""Rows of the raw kernel tables as the package's own nouns, each with its measured time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from simcluster.kernels import BYTES_PER_ELEMENT, Attention, ExpertLayer, Gemm, LatentAttention, Precision

Noun = Gemm | Attention | LatentAttention | ExpertLayer

COMPUTE: Mapping[str, Precision] = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "nvfp4"}
"""The tables' names of number types."""

WIDE = BYTES_PER_ELEMENT["bf16"]
"""Bytes of an element that a kernel writes, and of a query unless it computes in fp8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement: the kernel, its seconds, the profile's table it belongs to, its point there and the exponent of
    its routing's power law ("" if balanced)."""

    noun: Noun
    seconds: float
    table: str
    point: tuple[float, ...]
    skew: str = ""


Read = Callable[[Mapping[str, str]], Row]


def rows(folder: Path, gpu: str) -> Iterator[Row]:
    """All kernel rows of a catalogue GPU (`h100-sxm`) from a folder of raw tables."""
    stem = gpu.replace("-", "_")
    for kind, read in _ATTENTION.items():
        yield from map(read, _lines(folder / f"{stem}_{kind}_trtllm.csv"))
    for dtype, compute in COMPUTE.items():
        for family, reader in (("gemm", _gemm), ("moe", _experts)):
            path = folder / f"{stem}_{family}_trtllm_{dtype}.csv"
            if path.exists():
                yield from (reader(line, compute) for line in _lines(path))


def _lines(path: Path) -> Iterable[Mapping[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _seconds(line: Mapping[str, str]) -> float:
    return float(line["latency_us"]) * 1e-6


def _gemm(line: Mapping[str, str], compute: Precision) -> Row:
    m, n, k = (float(line[name]) for name in "mnk")
    size = BYTES_PER_ELEMENT[compute]
    noun = Gemm(m=m, n=n, k=k, compute=compute, input_bytes=size, weight_bytes=size, output_bytes=WIDE)
    return Row(noun=noun, seconds=_seconds(line), table=f"gemm/{compute}", point=(m, n, k))


def _attention(line: Mapping[str, str], *, causal: bool) -> Row:
    compute, cache = COMPUTE[line["attn_dtype"]], COMPUTE[line["kv_cache_dtype"]]
    batch, length = float(line["batch_size"]), float(line["isl"]) + float(line["step"])
    heads, kv_heads, head_dim = (float(line[name]) for name in ("num_heads", "num_key_value_heads", "head_dim"))
    noun = Attention(
        batch=batch,
        queries=length if causal else 1,
        keys=length,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        causal=causal,
        compute=compute,
        kv_cache=cache,
        query_bytes=BYTES_PER_ELEMENT[compute],
        kv_bytes=BYTES_PER_ELEMENT[cache],
        output_bytes=WIDE,
    )
    head = "attention_prefill" if causal else "attention_decode"
    point = (heads, kv_heads, batch, length)
    return Row(noun=noun, seconds=_seconds(line), table=f"{head}/{compute}/{cache}/{head_dim:g}", point=point)


def _latent(line: Mapping[str, str], *, absorbed: bool) -> Row:
    """Sizes of DeepSeek-V3, the only model these tables have."""
    compute, cache = COMPUTE[line["mla_dtype"]], COMPUTE[line["kv_cache_dtype"]]
    batch, heads = float(line["batch_size"]), float(line["num_heads"])
    length = float(line["isl"]) + float(line["step"])
    noun = LatentAttention(
        batch=batch,
        queries=1 if absorbed else length,
        keys=length,
        heads=heads,
        nope_dim=128,
        rope_dim=64,
        value_dim=128,
        kv_rank=512,
        absorbed=absorbed,
        compute=compute,
        kv_cache=cache,
        query_bytes=BYTES_PER_ELEMENT[compute],
        kv_bytes=BYTES_PER_ELEMENT[cache],
        output_bytes=WIDE,
    )
    table = f"{'mla_decode' if absorbed else 'mla_prefill'}/{compute}/{cache}"
    return Row(noun=noun, seconds=_seconds(line), table=table, point=(heads, batch, length))


def _experts(line: Mapping[str, str], compute: Precision) -> Row:
    hidden, inner, top_k, experts, tp, ep = (
        int(line[name]) for name in ("hidden", "inter", "topk", "experts", "tp", "ep")
    )
    tokens, gated, size = float(line["tokens"]), line["kern"] != "_nongated", BYTES_PER_ELEMENT[compute]
    assert inner % tp == 0
    assert experts % ep == 0
    noun = ExpertLayer(
        rows=tokens * top_k / ep,
        hidden=hidden,
        inner=inner,
        width=inner // tp,
        groups=experts // ep,
        experts=experts,
        top_k=top_k,
        gated=gated,
        compute=compute,
        input_bytes=size,
        compute_bytes=size,
        weight_bytes=size,
        output_bytes=WIDE,
    )
    skew = line["dist"].removeprefix("power_law_") if line["dist"] != "balanced" else ""
    table = (
        f"{f'moe-{skew}' if skew else 'moe'}/{compute}/{hidden}x{inner}x{top_k}x{experts}{'' if gated else '/plain'}"
    )
    return Row(noun=noun, seconds=_seconds(line), table=table, point=(float(tp), float(ep), tokens), skew=skew)


_ATTENTION: Mapping[str, Read] = {
    "context_attention": lambda line: _attention(line, causal=True),
    "generation_attention": lambda line: _attention(line, causal=False),
    "context_mla": lambda line: _latent(line, absorbed=False),
    "generation_mla": lambda line: _latent(line, absorbed=True),
}

AXES: Mapping[str, tuple[str, ...]] = {
    "gemm": ("m", "n", "k"),
    "attention_prefill": ("heads", "kv_heads", "batch", "sequence"),
    "attention_decode": ("heads", "kv_heads", "batch", "context"),
    "mla_prefill": ("heads", "batch", "sequence"),
    "mla_decode": ("heads", "batch", "context"),
    "moe": ("tp", "ep", "tokens"),
}
"""The axes of a table, by the first part of its name up to a hyphen."""
