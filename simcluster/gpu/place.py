"""Which table of a profile knows a kernel, and where in it the kernel stands.

| table | axes |
|---|---|
| gemm/COMPUTE | m, n, k |
| attention_prefill/COMPUTE/KV/HEAD_DIM | heads, kv_heads, batch, sequence (new tokens) |
| attention_decode/COMPUTE/KV/HEAD_DIM | heads, kv_heads, batch, context (cached positions) |
| mla_prefill/COMPUTE/KV | heads, batch, sequence |
| mla_decode/COMPUTE/KV | heads, batch, context |
| moe/COMPUTE/HIDDENxINNERxTOP_KxEXPERTS[/plain] | tp, ep, tokens of the expert-parallel group |

Skewed routing has tables of its own, moe-SKEW/…, where SKEW is the exponent of the power law.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import log
from typing import assert_never

from simcluster.gpu.profile import Profile
from simcluster.kernels import BYTES_PER_ELEMENT, Attention, ExpertLayer, Gemm, GroupedGemm, LatentAttention, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A point of a table; `exact` unless the table is of a neighbouring kind."""

    table: str
    point: tuple[float, ...]
    exact: bool


Shape = Gemm | Attention | LatentAttention | ExpertLayer
"""What a table holds."""


ALIKE: dict[Precision, Precision] = {"fp16": "bf16"}
"""Number types whose products take the same time on every GPU that has both."""


def own(shape: Shape) -> tuple[str, tuple[float, ...]]:
    """The name of the table that holds such kernels, and the kernel's point there."""
    match shape:
        case Gemm():
            return f"gemm/{shape.compute}", (shape.m, shape.n, shape.k)
        case Attention():
            head, length = ("prefill", shape.queries) if shape.causal else ("decode", shape.keys)
            table = f"attention_{head}/{shape.compute}/{shape.kv_cache}/{shape.head_dim:g}"
            return table, (shape.heads, shape.kv_heads, shape.batch, length)
        case LatentAttention():
            head, length = ("decode", shape.keys) if shape.absorbed else ("prefill", shape.queries)
            return f"mla_{head}/{shape.compute}/{shape.kv_cache}", (shape.heads, shape.batch, length)
        case ExpertLayer():
            head = f"moe-{shape.skew}" if shape.skew else "moe"
            sizes = f"{shape.hidden}x{shape.inner}x{shape.top_k}x{shape.experts}{'' if shape.gated else '/plain'}"
            return f"{head}/{shape.compute}/{sizes}", (shape.tp, shape.ep, shape.tokens)
        case _:
            assert_never(shape)


def plain(shape: Shape) -> bool:
    """Whether it is of the kind that tables are measured with: operands of the compute type, no window, no cached
    prefix before a prefill."""
    match shape:
        case Gemm():
            return shape.weight_bytes == BYTES_PER_ELEMENT[shape.compute]
        case Attention():
            return shape.window is None and (not shape.causal or shape.keys == shape.queries)
        case LatentAttention():
            return shape.absorbed or shape.keys == shape.queries
        case ExpertLayer():
            return True
        case _:
            assert_never(shape)


def place(shape: Shape | GroupedGemm, profile: Profile) -> Place | None:
    """Where the profile knows the kernel; None where it has no table of its kind.

    A GEMM that only stores its weights narrower has the efficiency of equal types, and a grouped one that is as fast as
    a dense one that of the GEMM of all its rows.
    """
    if isinstance(shape, GroupedGemm):
        found = place(_dense(shape), profile) if shape.as_dense else None
        return None if found is None else replace(found, exact=False)
    if isinstance(shape, ExpertLayer):
        return _experts(shape, profile)
    table, point = own(shape)
    if isinstance(shape, Gemm):
        like = table if table in profile.tables else f"gemm/{ALIKE.get(shape.compute, '')}"
        exact = plain(shape) and like == table
        return Place(table=like, point=point, exact=exact) if like in profile.tables else None
    nearest = _nearest_table(profile, table)
    return None if nearest is None else Place(table=nearest, point=point, exact=plain(shape) and nearest == table)


def _dense(grouped: GroupedGemm) -> Gemm:
    return Gemm(
        m=grouped.rows,
        n=grouped.n,
        k=grouped.k,
        compute=grouped.compute,
        input_bytes=grouped.input_bytes,
        weight_bytes=grouped.weight_bytes,
        output_bytes=grouped.output_bytes,
    )


@lru_cache(maxsize=1024)
def _nearest_table(profile: Profile, wanted: str) -> str | None:
    """The table of that name, or of its kind the one that differs in the fewest parts; the nearest head size of
    several."""
    head, *kinds = wanted.split("/")

    def distance(table: str) -> tuple[int, float]:
        parts = table.split("/")[1:]
        differing = sum(part != kind for part, kind in zip(parts, kinds, strict=True))
        return differing, abs(log(float(parts[-1]) / float(kinds[-1]))) if parts[-1].isdigit() else 0.0

    return min(profile.family(head), key=distance, default=None)


def _experts(layer: ExpertLayer, profile: Profile) -> Place | None:
    """The table of the layer's model, or of the nearest one, there at the same work per GPU.

    Near means alike in hidden size, inner width, copies per token and experts.  In a neighbour's table the point is
    that of equal width per GPU, experts per GPU and tokens per expert.
    """
    table, point = own(layer)
    if table in profile.tables:
        return Place(table=table, point=point, exact=True)
    nearest = _nearest_experts(profile, table)
    if nearest is None:
        return None
    _, inner, top_k, experts = _sizes(nearest)
    tokens = layer.rows / layer.groups * experts / top_k
    return Place(table=nearest, point=(inner / layer.width, experts / layer.groups, tokens), exact=False)


@lru_cache(maxsize=1024)
def _nearest_experts(profile: Profile, wanted: str) -> str | None:
    """The table of the nearest model, alike in skew, number type and gate."""
    head, compute, _, *gate = wanted.split("/")
    alike = [table for table in profile.family(head) if table.split("/")[1] == compute and table.split("/")[3:] == gate]
    sizes = _sizes(wanted)

    def distance(table: str) -> float:
        return sum(abs(log(a / b)) for a, b in zip(_sizes(table), sizes, strict=True))

    return min(alike, key=distance, default=None)


def _sizes(table: str) -> tuple[int, ...]:
    """Hidden size, inner width, copies per token and experts, from the name of a table of experts."""
    return tuple(int(size) for size in table.split("/")[2].split("x"))
