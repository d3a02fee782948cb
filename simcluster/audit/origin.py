"""Where a refuted figure can have come from: units confused, a factor left out, other claims added up.

A general search, not a table of known documents: the computed value, its parts and what remains without a part are
multiplied and divided by the scales of the scenario (layers, tp, tokens …) and by the ratios of units people confuse;
what lands on the claimed figure within its printed digits is an origin, the simplest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from simcluster.audit.expectation import Expectation
from simcluster.timeline.metric import METRICS, Measure
from simcluster.timeline.result import Result
from simcluster.units import show_count

MOST_CLAIMS = 10
"""Claims of one measure whose sums are tried: 2^10 subsets."""

FINEST = 0.005
"""Half of the last printed digit, relative to the figure, up to which a match is taken for more than chance."""

_WORK = ("layers", "tp", "tokens of a replica", "tokens of the batch", "sequences of a replica", "the sequence length")
_EXPERT_WORK = (*_WORK, "ep", "experts", "top_k", "matrices")

_SCALES: dict[str, tuple[str, ...]] = {
    "memory.attention_weights": ("layers", "tp", "heads", "bytes of a weight"),
    "memory.expert_weights": ("layers", "tp", "ep", "experts", "matrices", "bytes of a weight"),
    "memory.other_weights": ("layers", "tp", "bytes of a weight"),
    "memory.kv_cache": ("layers", "tp", "heads", "sequences of a replica", "the sequence length", "bytes of a weight"),
    "memory.activations": ("tp", "top_k", "tokens of a replica", "sequences of a replica", "bytes of a weight"),
    "memory.total": ("layers", "tp"),
    "flops_per_gpu.attention": (*_WORK, "heads"),
    "flops_per_gpu.experts": _EXPERT_WORK,
    "flops_per_gpu.other": _EXPERT_WORK,
    "flops_per_gpu.total": _EXPERT_WORK,
    "traffic.nvlink": ("layers", "GPUs"),
    "traffic.infiniband": ("layers", "GPUs"),
    "modules.expert.gpus_per_module": ("tp",),
    "modules.layer.gpus_per_module": ("layers",),
    "balance.experts_per_gpu_group": ("tp",),
}
"""The scales that a metric's own formula contains: only what it is made of can have been left out of it."""

_UNITS: dict[Measure, tuple[tuple[float, str], ...]] = {
    "bytes": (
        (1e6 / 2**20, "in MiB under the name MB"),
        (1e9 / 2**30, "in GiB under the name GB"),
        (1e3 / 2**10, "in KiB under the name kB"),
        (2**20 / 1e6, "in MB under the name MiB"),
        (8.0, "in bits under the name bytes"),
        (1 / 8, "in bytes under the name bits"),
    ),
    "FLOP": (
        (1e3, "with a prefix a thousand times too large"),
        (1e6, "with a prefix a million times too large (MFLOP as TFLOP)"),
        (1e-3, "with a prefix a thousand times too small"),
        (0.5, "a multiply-add counted as one"),
    ),
    "seconds": ((1e3, "in ms under the name s"), (1e-3, "in us under the name ms")),
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Origin:
    """One way to arrive at a figure; `cost` counts what has to be assumed."""

    cost: float
    text: str


def origin(result: Result, claim: Expectation, claims: Sequence[Expectation]) -> str:
    """The simplest one or two origins of a refuted figure, as a sentence; empty if none is found.

    Sums and quotients of other claims are tried for every relation, scaled values only for equalities.
    """
    if claim.value <= 0 or claim.resolution == 0:
        return ""
    found = sorted({*_sums(claim, claims), *_quotients(result, claim, claims)})
    found = found or sorted(set(_scaled(result, claim)))
    simplest = [item.text for item in found if item.cost <= found[0].cost + 0.5][:2]
    return f"{claim.figure} can come from {', or '.join(simplest)}" if simplest else ""


def _scaled(result: Result, claim: Expectation) -> Iterator[_Origin]:
    """The value, a part or the rest without one, times or over at most two scales, in at most one wrong unit.

    Only for figures said to be equal, in measures whose scales are known, printed finely enough that a match means
    something.
    """
    fine = claim.resolution <= FINEST * abs(claim.numeral)
    if claim.relation != "==" or not fine or claim.path not in _SCALES:
        return
    scales = _distinct_scales(result, _SCALES[claim.path])
    factors: list[tuple[float, float, str]] = [(0.0, 1.0, "")]
    factors += [(1.0, 1 / value, f" / {_named(name, value)}") for value, name in scales]
    factors += [(1.0, value, f" x {_named(name, value)}") for value, name in scales]
    factors += [
        (2.0, 1 / (first * second), f" / {_named(one, first)} / {_named(other, second)}")
        for (first, one), (second, other) in combinations(scales, 2)
    ]
    confused = [(0.0, 1.0, ""), *((1.0, ratio, f", {text}") for ratio, text in _UNITS.get(METRICS[claim.path], ()))]
    for base_cost, base, base_text in _bases(result, claim.path):
        for factor_cost, factor, factor_text in factors:
            for unit_cost, ratio, unit_text in confused:
                cost = base_cost + factor_cost + unit_cost
                if 0 < cost <= 2.5 and claim.prints(base * factor * ratio):
                    yield _Origin(cost=cost, text=f"{base_text}{factor_text}{unit_text}")


def _bases(result: Result, path: str) -> Iterator[tuple[float, float, str]]:
    """(cost, value, name) of the metric, of each of its parts, and of what remains without one."""
    whole = result.metrics[path]
    if not whole:
        return
    yield 0.0, whole, path
    parts = _parts(result, path)
    for name, part in parts.items():
        if 0 < part < whole:
            yield 0.5, part, f"{name} alone"
            if len(parts) > 2:
                yield 0.5, whole - part, f"{path} without {name}"


def _distinct_scales(result: Result, names: Sequence[str]) -> list[tuple[float, str]]:
    """Scales above one; those of equal value share a line, `layers or heads`."""
    named: dict[float, list[str]] = {}
    for name in names:
        value = result.scales.get(name, 1.0)
        if value > 1:
            named.setdefault(value, []).append(name)
    return [(value, " or ".join(names)) for value, names in named.items()]


def _parts(result: Result, path: str) -> Mapping[str, float]:
    head, _, leaf = path.rpartition(".")
    if path == "memory.total":
        return {name: part.bytes for name, part in result.memory.items() if part.bytes}
    if head == "memory" and leaf in result.memory:
        return result.memory[leaf].parts
    if head == "flops_per_gpu":
        prefix = "" if leaf == "total" else {"attention": "attention.", "experts": "moe."}.get(leaf, "")
        return {row.name: row.flops for row in result.by_operation if row.flops and row.name.startswith(prefix)}
    return {}


def _sums(claim: Expectation, claims: Sequence[Expectation]) -> Iterator[_Origin]:
    """Printed figures of other claims of the same measure added up, whatever their units."""
    for subset, total in _subsets(claim, claims, METRICS[claim.path]):
        if len(subset) > 1 and claim.prints_figure(total):
            units = {other.unit for other in subset}
            mixed = f", which adds {' to '.join(sorted(units))}" if len(units) > 1 else ""
            added = " + ".join(other.figure_alone for other in subset)
            yield _Origin(cost=0.5, text=f"{added}, the claims on {_listed(subset)} added up{mixed}")


def _quotients(result: Result, claim: Expectation, claims: Sequence[Expectation]) -> Iterator[_Origin]:
    """A fraction as printed figures of other claims over the peak in TFLOPS or the capacity in GB or MB."""
    if METRICS[claim.path] != "fraction":
        return
    peak, capacity = result.peak_flops_per_s, result.memory_capacity_bytes
    for measure, divisors in (
        ("FLOP", ((peak / 1e12, "the peak in TFLOPS"),)),
        ("bytes", ((capacity / 1e9, "the memory in GB"), (capacity / 1e6, "the memory in MB"))),
    ):
        for subset, total in _subsets(claim, claims, measure):
            for divisor, name in divisors:
                if claim.prints_figure(total / divisor):
                    added = " + ".join(other.figure_alone for other in subset)
                    added = f"({added})" if len(subset) > 1 else added
                    text = f"{added} / {show_count(divisor)}, the claims on {_listed(subset)} over {name}"
                    yield _Origin(cost=0.5 * len(subset), text=text)


def _subsets(
    claim: Expectation, claims: Sequence[Expectation], measure: str
) -> Iterator[tuple[tuple[Expectation, ...], float]]:
    others = [other for other in claims if METRICS[other.path] == measure and other.value > 0]
    others = [other for other in others if other.path != claim.path][:MOST_CLAIMS]
    for size in range(1, len(others) + 1):
        for subset in combinations(others, size):
            yield subset, sum(other.numeral for other in subset)


def _named(name: str, value: float) -> str:
    return f"{name} ({show_count(value)})"


def _listed(claims: Sequence[Expectation]) -> str:
    return " and ".join(claim.path for claim in claims)
