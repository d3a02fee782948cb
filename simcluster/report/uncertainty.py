"""Uncertainty as text: an interval for each metric, and what moves the latency."""

from __future__ import annotations

from simcluster.report.layout import grid, section
from simcluster.timeline import metric
from simcluster.timeline.interval import Interval, Uncertainty
from simcluster.units import plural, show_percent

LABELS = {
    "latency_s": "latency",
    "ttft_s": "first token",
    "tpot_s": "per token",
    "throughput_tokens_per_s": "throughput",
    "mfu": "MFU",
    "cost_per_million_tokens": "cost of a million tokens",
    "energy_per_token_j": "energy of a token",
}

_WEAK = 0.005
"""A share of the squared correlations below which nothing is named."""


def uncertainty(found: Uncertainty) -> str:
    """Two tables: 5 %, 50 % and 95 % quantiles, and the uncertain inputs by what they do to the latency."""
    rows: list[tuple[str, ...]] = [
        ("", "5 %", "median", "95 %", "as stated", "most moved by (share, rank correlation)")
    ]
    for name, one in found.intervals.items():
        values = (metric.show(name, value) for value in (one.p5, one.p50, one.p95, one.nominal))
        rows.append((LABELS[name], *values, mover(one)))
    title = f"Uncertainty ({plural(found.draws, 'draw')} of the hardware, seed {found.seed})"
    return "\n\n".join((section(title, grid(rows, right=(1, 2, 3, 4))), _inputs(found)))


def in_a_line(found: Uncertainty) -> str:
    """Latency and throughput between their 5 % and 95 % quantiles."""
    told = []
    for name in ("latency_s", "throughput_tokens_per_s"):
        one = found.intervals[name]
        told.append(f"{LABELS[name]} {metric.show(name, one.p5)} to {metric.show(name, one.p95)}")
    return f"In 90 % of {plural(found.draws, 'draw')} of the hardware: {', '.join(told)}."


def mover(one: Interval) -> str:
    """The input that moves a metric most."""
    share = one.share
    name = max(share, key=lambda name: share[name], default=None)
    if name is None or share[name] < _WEAK:
        return "nothing"
    return f"{in_words(name)} ({show_percent(share[name])}, {one.correlation[name]:+.2f})"


def _inputs(found: Uncertainty) -> str:
    latency = found.intervals["latency_s"]
    share = latency.share
    rows: list[tuple[str, ...]] = [("input", "within a factor of", "rank correlation", "share", "why that factor")]
    for name in sorted(found.ranges, key=lambda name: -share[name]):
        one = found.ranges[name]
        factor = f"{one.factor:g}" if one.factor > 1 else "1 (certain)"
        rows.append(
            (in_words(name), factor, f"{latency.correlation[name]:+.2f}", show_percent(share[name]), one.source)
        )
    title = "What is uncertain (log-uniform), and what it does to the latency"
    return section(title, grid(rows, right=(1, 2, 3)))


def in_words(name: str) -> str:
    """An uncertain input as a text calls it."""
    names = {"nvlink": "NVLink", "pcie": "PCIe", "infiniband": "InfiniBand"}
    head, _, rest = name.partition("_")
    return f"{names.get(head, head)} {rest}"
