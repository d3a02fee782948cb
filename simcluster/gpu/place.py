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

from dataclasses import dataclass
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


Shape = Gemm | GroupedGemm | Attention | LatentAttention | ExpertLayer


def place(shape: Shape, profile: Profile) -> Place | None:
    """Where the profile knows the kernel; None where it has no table of its kind."""
    match shape:
        case Gemm():
            return _gemm(profile, shape)
        case Attention(causal=True):
            plain = shape.window is None and shape.keys == shape.queries
            return _attention(profile, "attention_prefill", shape, shape.queries, plain)
        case Attention():
            return _attention(profile, "attention_decode", shape, shape.keys, shape.window is None)
        case LatentAttention(absorbed=True):
            return _latent(profile, "mla_decode", shape, shape.keys, True)
        case LatentAttention():
            return _latent(profile, "mla_prefill", shape, shape.queries, shape.keys == shape.queries)
        case ExpertLayer():
            return expert_place(shape, profile, shape.skew or None)
        case GroupedGemm():
            return None
        case _:
            assert_never(shape)


def _gemm(profile: Profile, shape: Gemm) -> Place | None:
    """Measured are products of equal types; one that only stores its weights narrower has their efficiency."""
    table = f"gemm/{shape.compute}"
    if table not in profile.tables:
        return None
    alike = shape.weight_bytes == BYTES_PER_ELEMENT[shape.compute]
    return Place(table=table, point=(shape.m, shape.n, shape.k), exact=alike)


def _attention(profile: Profile, head: str, shape: Attention, length: float, plain: bool) -> Place | None:
    """`plain` unless windows or a cached prefix make it another kernel than the measured one."""
    point = (shape.heads, shape.kv_heads, shape.batch, length)
    return _nearest(profile, head, (shape.compute, shape.kv_cache, f"{shape.head_dim:g}"), point, plain)


def _latent(profile: Profile, head: str, shape: LatentAttention, length: float, plain: bool) -> Place | None:
    return _nearest(profile, head, (shape.compute, shape.kv_cache), (shape.heads, shape.batch, length), plain)


def _nearest(
    profile: Profile, head: str, kinds: tuple[str, ...], point: tuple[float, ...], plain: bool
) -> Place | None:
    """The point in the table of these kinds, or in the nearest one."""
    table, alike = _nearest_table(profile, head, kinds)
    return None if table is None else Place(table=table, point=point, exact=plain and alike)


@lru_cache(maxsize=1024)
def _nearest_table(profile: Profile, head: str, kinds: tuple[str, ...]) -> tuple[str | None, bool]:
    """The table of these kinds, or the one that differs in the fewest, and whether none does; the nearest head size of
    several."""

    def distance(table: str) -> tuple[int, float]:
        parts = table.split("/")[1:]
        differing = sum(part != kind for part, kind in zip(parts, kinds, strict=True))
        last = abs(log(float(parts[-1]) / float(kinds[-1]))) if parts[-1].isdigit() else 0.0
        return differing, last

    best = min(profile.family(head), key=distance, default=None)
    return best, best is not None and distance(best) == (0, 0.0)


def expert_place(layer: ExpertLayer, profile: Profile, skew: str | None) -> Place | None:
    """The table of the layer's model, or of the nearest one, there at the same work per GPU.

    Near means alike in hidden size, inner width, copies per token and experts.  In a neighbour's table the point is
    that of equal width per GPU, experts per GPU and tokens per expert.
    """
    wanted = (layer.hidden, layer.inner, layer.top_k, layer.experts)
    head = "moe" if skew is None else f"moe-{skew}"
    found = _nearest_experts(profile, head, layer.compute, layer.gated, wanted)
    if found is None:
        return None
    sizes, table = found
    _, inner, top_k, experts = sizes
    tp, ep = inner / layer.width, experts / layer.groups
    tokens = layer.rows / layer.groups * experts / top_k
    return Place(table=table, point=(tp, ep, tokens), exact=sizes == wanted)


@lru_cache(maxsize=1024)
def _nearest_experts(
    profile: Profile, head: str, compute: Precision, gated: bool, wanted: tuple[int, ...]
) -> tuple[tuple[int, ...], str] | None:
    """Sizes and name of the table of the nearest model."""
    tables = [
        (tuple(int(size) for size in table.split("/")[2].split("x")), table)
        for table in profile.family(head)
        if table.split("/")[1] == compute and table.endswith("/plain") != gated
    ]
    return min(tables, key=lambda one: sum(abs(log(a / b)) for a, b in zip(one[0], wanted, strict=True)), default=None)
