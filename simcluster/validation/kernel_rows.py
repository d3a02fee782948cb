"""Rows of the raw kernel tables of aiconfigurator-core as nouns of work, each with its measured time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import inf
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.gpu.fitting import Measured
from simcluster.gpu.place import Shape
from simcluster.kernels import BYTES_PER_ELEMENT, Attention, ExpertLayer, Gemm, LatentAttention, Precision

COMPUTE: Mapping[str, Precision] = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "nvfp4"}
"""The tables' names of number types."""

WIDE = BYTES_PER_ELEMENT["bf16"]
"""Bytes of an element that a kernel writes, and of a query unless it computes in fp8."""


Read = Callable[[Mapping[str, str]], Shape]


def files(folder: Path, gpu: str) -> dict[Path, Read]:
    """The raw tables of a catalogue GPU (`h100-sxm`) that the folder holds, and how a row of each is read."""
    stem = gpu.replace("-", "_")
    known = {f"{kind}_trtllm": read for kind, read in _ATTENTION.items()}
    for dtype, compute in COMPUTE.items():
        known[f"gemm_trtllm_{dtype}"] = partial(_gemm, compute)
        known[f"moe_trtllm_{dtype}"] = partial(_experts, compute)
    paths = {folder / f"{stem}_{kind}.csv": read for kind, read in known.items()}
    return {path: read for path, read in paths.items() if path.is_file()}


def rows(folder: Path, gpu: str) -> Iterator[Measured]:
    """All kernel rows of a catalogue GPU from a folder of raw tables; InputError names the line that cannot be read."""
    for path, read in files(folder, gpu).items():
        for number, line in enumerate(_lines(path), start=2):
            try:
                seconds = float(line["latency_us"]) * 1e-6
                if not 0 < seconds < inf:
                    raise ValueError(f"latency_us is {line['latency_us']!r:.40}; it must be a number above 0")
                yield Measured(shape=read(line), seconds=seconds)
            except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
                what = f"is no row of such a table: {error}"
                raise InputError(Mistake(what=what, origin=f"{path.name}:{number}")) from None


def _lines(path: Path) -> Iterator[Mapping[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(Mistake(what=f"cannot be read: {error}", origin=str(path))) from None


def _gemm(compute: Precision, line: Mapping[str, str]) -> Gemm:
    m, n, k = (float(line[name]) for name in "mnk")
    size = BYTES_PER_ELEMENT[compute]
    return Gemm(m=m, n=n, k=k, compute=compute, input_bytes=size, weight_bytes=size, output_bytes=WIDE)


def _attention(line: Mapping[str, str], *, causal: bool) -> Attention:
    compute, cache = COMPUTE[line["attn_dtype"]], COMPUTE[line["kv_cache_dtype"]]
    batch, length = float(line["batch_size"]), float(line["isl"]) + float(line["step"])
    heads, kv_heads, head_dim = (float(line[name]) for name in ("num_heads", "num_key_value_heads", "head_dim"))
    return Attention(
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


def _latent(line: Mapping[str, str], *, absorbed: bool) -> LatentAttention:
    """Sizes of DeepSeek-V3, the only model these tables have."""
    compute, cache = COMPUTE[line["mla_dtype"]], COMPUTE[line["kv_cache_dtype"]]
    batch, heads = float(line["batch_size"]), float(line["num_heads"])
    length = float(line["isl"]) + float(line["step"])
    return LatentAttention(
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


def _experts(compute: Precision, line: Mapping[str, str]) -> ExpertLayer:
    hidden, inner, top_k, experts, tp, ep = (
        int(line[name]) for name in ("hidden", "inter", "topk", "experts", "tp", "ep")
    )
    tokens, gated, size = float(line["tokens"]), line["kern"] != "_nongated", BYTES_PER_ELEMENT[compute]
    if inner % tp or experts % ep:
        raise ValueError(f"tp {tp} must divide {inner}, ep {ep} must divide {experts}")
    return ExpertLayer(
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
        skew="" if line["dist"] == "balanced" else line["dist"].removeprefix("power_law_"),
    )


_ATTENTION: Mapping[str, Read] = {
    "context_attention": lambda line: _attention(line, causal=True),
    "generation_attention": lambda line: _attention(line, causal=False),
    "context_mla": lambda line: _latent(line, absorbed=False),
    "generation_mla": lambda line: _latent(line, absorbed=True),
}
