"""One kernel as a user asks for it: a name and sizes become a noun of work, or one error with every mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import cast, get_args

from simcluster.errors import InputError, Mistake, nearest
from simcluster.kernels import (
    BYTES_PER_ELEMENT,
    Attention,
    ExpertLayer,
    Gemm,
    GroupedGemm,
    LatentAttention,
    Precision,
)
from simcluster.units import LARGEST

Size = float | int | bool | str | None

_REQUIRED: dict[str, tuple[str, ...]] = {
    "gemm": ("m", "n", "k"),
    "grouped_gemm": ("m", "n", "k", "groups"),
    "attention_prefill": ("batch", "sequence", "heads", "kv_heads", "head_dim"),
    "attention_decode": ("batch", "context", "heads", "kv_heads", "head_dim"),
    "mla_prefill": ("batch", "sequence", "heads"),
    "mla_decode": ("batch", "context", "heads"),
    "moe": ("tokens", "hidden", "inner", "experts", "top_k"),
}
_OPTIONAL: dict[str, dict[str, Size]] = {
    "gemm": {},
    "grouped_gemm": {},
    "attention_prefill": {"kv_dtype": None, "context": 0, "window": None},
    "attention_decode": {"kv_dtype": None, "sequence": 1, "window": None},
    "mla_prefill": {"kv_dtype": None, "context": 0},
    "mla_decode": {"kv_dtype": None, "sequence": 1},
    "moe": {"ep": 1, "tp": 1, "gated": True, "skew": None},
}
KERNELS = tuple(_REQUIRED)

SIZES = tuple(dict.fromkeys(name for kernel in KERNELS for name in (*_REQUIRED[kernel], *_OPTIONAL[kernel])))
"""The sizes and switches of all kernels."""

NOPE, ROPE, VALUE, RANK = 128, 64, 128, 512
"""DeepSeek-V3's sizes of latent attention (its config.json, 2024), which the mla kernels have."""


Shape = Gemm | Attention | LatentAttention | ExpertLayer
Asked = Shape | GroupedGemm


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A kernel to be timed; `skew` is the exponent of a power law of expert popularity, None for equal experts."""

    shape: Asked
    skew: float | None = None


def question(kernel: str, dtype: str, sizes: Mapping[str, Size]) -> Question:
    """The kernel `kernel` on numbers of type `dtype`; of `sizes` those that are None are not given.

    InputError lists every size that is missing, has no effect or cannot be.
    """
    if kernel not in KERNELS:
        raise InputError(Mistake(what=f"no kernel is called {kernel!r:.60}{nearest(str(kernel), KERNELS)}"))
    given = {name: value for name, value in sizes.items() if value is not None}
    mistakes = [*_unknown(kernel, given), *_types(dtype, given), *_sizes(kernel, given)]
    if mistakes:
        raise InputError(Mistake(what=what) for what in mistakes)
    compute = _precision(dtype)
    asked = {**_OPTIONAL[kernel], **given}
    skew = asked.get("skew")
    shape = _grouped(compute, asked) if kernel == "grouped_gemm" else shape_of(kernel, compute, asked)
    return Question(shape=shape, skew=None if skew is None else float(skew))


def _unknown(kernel: str, given: Mapping[str, Size]) -> list[str]:
    known = (*_REQUIRED[kernel], *_OPTIONAL[kernel])
    missing = [
        f"{name} is missing; {kernel} needs {', '.join(_REQUIRED[kernel])}"
        for name in _REQUIRED[kernel]
        if name not in given
    ]
    return missing + [f"{name} has no effect on {kernel}; leave it out" for name in given if name not in known]


def _types(dtype: str, given: Mapping[str, Size]) -> list[str]:
    types = get_args(Precision)
    asked = {"dtype": dtype, **({"kv_dtype": given["kv_dtype"]} if "kv_dtype" in given else {})}
    return [
        f"{key} {value!r:.40} is no number type{nearest(str(value), types)}"
        for key, value in asked.items()
        if value not in types
    ]


def _sizes(kernel: str, given: Mapping[str, Size]) -> list[str]:
    """Sizes are above 0 (context may be 0), heads and experts whole and dividing."""
    wrong = []
    for name, value in given.items():
        least = 0 if name == "context" and kernel.endswith("prefill") else 1
        if name == "kv_dtype":
            continue
        if name == "gated":
            wrong += [] if isinstance(value, bool) else [f"gated is {value!r:.40}; it must be True or False"]
        elif not _is_number(value) or not 0 <= cast(float, value) <= LARGEST:
            wrong.append(f"{name} is {value!r:.40}; it must be a number above 0")
        elif name == "skew" and value == 0:
            wrong.append("skew is 0; leave it out for equally popular experts")
        elif name != "skew" and _is_no_count(cast(float, value), least, whole=name != "tokens"):
            wrong.append(f"{name} is {value:g}; it must be a whole number of {least} or more")
    if wrong or any(name not in given for name in _REQUIRED[kernel]):
        return wrong
    pairs = {"attention": [("heads", "kv_heads")], "moe": [("experts", "ep"), ("inner", "tp")]}
    for whole, part in pairs.get(kernel.partition("_")[0], []):
        if part == "kv_heads" and float(str(given[part])) > float(str(given[whole])):
            wrong.append(f"kv_heads {given[part]} is more than the {given[whole]} heads")
        elif part in given and float(str(given[whole])) % float(str(given[part])):
            wrong.append(f"{part} {given[part]} does not divide {whole} {given[whole]}")
    if kernel == "moe" and float(str(given["top_k"])) > float(str(given["experts"])):
        wrong.append(f"top_k {given['top_k']} is more than the {given['experts']} experts")
    if kernel.endswith("decode") and given.get("sequence", 1) != 1:
        wrong.append(f"sequence is {given['sequence']}; a decode step runs 1 new token per sequence")
    return wrong


def _is_no_count(value: float, least: int, *, whole: bool) -> bool:
    return value < least or (whole and value != int(value))


def _is_number(value: object) -> bool:
    """A number as Python or numpy has it; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _precision(name: str) -> Precision:
    return next(precision for precision in BYTES_PER_ELEMENT if precision == name)


def _grouped(compute: Precision, asked: Mapping[str, Size]) -> GroupedGemm:
    m, n, k, groups = (float(cast(float, asked[name])) for name in ("m", "n", "k", "groups"))
    narrow = BYTES_PER_ELEMENT[compute]
    return GroupedGemm(
        rows=m * groups, n=n, k=k, groups=groups, compute=compute,
        input_bytes=narrow, weight_bytes=narrow, output_bytes=2, as_dense=True,
    )  # fmt: skip


def shape_of(kernel: str, compute: Precision, asked: Mapping[str, Size]) -> Shape:
    """The noun of a kernel that tables hold, whose sizes are all given and known to be right.

    Operands are of the compute type, the cache of kv_dtype (the compute type unless given); outputs are bf16.
    """
    size = {name: float(cast(float, value)) for name, value in asked.items() if _is_number(value)}
    cache = _precision(str(asked.get("kv_dtype") or compute))
    narrow, decode = BYTES_PER_ELEMENT[compute], kernel.endswith("decode")
    match kernel:
        case "gemm":
            return Gemm(
                m=size["m"], n=size["n"], k=size["k"], compute=compute,
                input_bytes=narrow, weight_bytes=narrow, output_bytes=2,
            )  # fmt: skip
        case "attention_prefill" | "attention_decode":
            queries = 1.0 if decode else size["sequence"]
            keys = size["context"] if decode else size["sequence"] + size["context"]
            window = asked["window"]
            return Attention(
                batch=size["batch"], queries=queries, keys=keys, heads=size["heads"], kv_heads=size["kv_heads"],
                head_dim=size["head_dim"], causal=not decode, compute=compute, kv_cache=cache,
                query_bytes=narrow, kv_bytes=BYTES_PER_ELEMENT[cache], output_bytes=2,
                window=int(size["window"]) if window is not None and size["window"] < keys else None,
            )  # fmt: skip
        case "mla_prefill" | "mla_decode":
            queries = 1.0 if decode else size["sequence"]
            keys = size["context"] if decode else size["sequence"] + size["context"]
            return LatentAttention(
                batch=size["batch"], queries=queries, keys=keys, heads=size["heads"], nope_dim=NOPE, rope_dim=ROPE,
                value_dim=VALUE, kv_rank=RANK, absorbed=decode, compute=compute, kv_cache=cache,
                query_bytes=narrow, kv_bytes=BYTES_PER_ELEMENT[cache], output_bytes=2,
            )  # fmt: skip
        case _:
            return ExpertLayer(
                rows=size["tokens"] * size["top_k"] / size["ep"], hidden=int(size["hidden"]), inner=int(size["inner"]),
                width=int(size["inner"] / size["tp"]), groups=int(size["experts"] / size["ep"]),
                experts=int(size["experts"]), top_k=int(size["top_k"]), gated=bool(asked["gated"]), compute=compute,
                input_bytes=narrow, compute_bytes=narrow, weight_bytes=narrow, output_bytes=2,
            )  # fmt: skip
