"""Rows of the raw kernel tables of aiconfigurator-core as nouns of work, each with its measured time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.gpu.fitting import Measured
from simcluster.gpu.place import Shape
from simcluster.gpu.question import Size, shape_of
from simcluster.kernels import ExpertLayer, Precision

COMPUTE: Mapping[str, Precision] = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "nvfp4"}
"""The tables' names of number types."""

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


def _gemm(compute: Precision, line: Mapping[str, str]) -> Shape:
    return shape_of("gemm", compute, {name: float(line[name]) for name in "mnk"})


def _attention(head: str, dtype: str, line: Mapping[str, str]) -> Shape:
    """Attention of either kind; MLA has no KV heads, and DeepSeek-V3's sizes, the only model these tables have."""
    length = float(line["isl"]) + float(line["step"])
    prefill = head.endswith("prefill")
    sizes: dict[str, Size] = {
        "kv_dtype": COMPUTE[line["kv_cache_dtype"]],
        "batch": float(line["batch_size"]),
        "sequence": length if prefill else 1,
        "context": 0 if prefill else length,
        "heads": float(line["num_heads"]),
    }
    if head.startswith("attention"):
        kv_heads, head_dim = float(line["num_key_value_heads"]), float(line["head_dim"])
        sizes |= {"kv_heads": kv_heads, "head_dim": head_dim, "window": None}
    return shape_of(head, COMPUTE[line[dtype]], sizes)


def _experts(compute: Precision, line: Mapping[str, str]) -> Shape:
    names = {"hidden": "hidden", "inner": "inter", "top_k": "topk", "experts": "experts", "tp": "tp", "ep": "ep"}
    whole = {name: int(line[column]) for name, column in names.items()}
    if whole["inner"] % whole["tp"] or whole["experts"] % whole["ep"]:
        raise ValueError("tp {tp} must divide {inner}, ep {ep} must divide {experts}".format(**whole))
    sizes: dict[str, Size] = {**whole, "tokens": float(line["tokens"]), "gated": line["kern"] != "_nongated"}
    layer = shape_of("moe", compute, sizes)
    assert isinstance(layer, ExpertLayer)
    skew = "" if line["dist"] == "balanced" else line["dist"].removeprefix("power_law_")
    return replace(layer, skew=skew)


_ATTENTION: Mapping[str, Read] = {
    "context_attention": partial(_attention, "attention_prefill", "attn_dtype"),
    "generation_attention": partial(_attention, "attention_decode", "attn_dtype"),
    "context_mla": partial(_attention, "mla_prefill", "mla_dtype"),
    "generation_mla": partial(_attention, "mla_decode", "mla_dtype"),
}
