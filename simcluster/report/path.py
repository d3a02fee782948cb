"""The critical path of a result in words: what the time between its first start and its last end was spent on."""

from __future__ import annotations

from simcluster.report.layout import grid, section
from simcluster.timeline.critical_path import PARTS
from simcluster.timeline.result import Result
from simcluster.units import show_percent, show_seconds

_BAR = 30

_NAMED = 3
"""Operations that take most of the path and are named."""


def critical(result: Result) -> str:
    """Each part of the path with its share of the latency, and the operations that take most of it."""
    path = result.critical_path
    assert path is not None
    latency_s = path.period_s or 1.0
    rows = [
        (PARTS[part], show_seconds(seconds), show_percent(seconds / latency_s), "█" * round(seconds / latency_s * _BAR))
        for part, seconds in path.split.items()
        if seconds > 0
    ]
    longest = sorted(path.by_operation.items(), key=lambda item: -item[1])[:_NAMED]
    told = ", ".join(f"{name} {show_percent(seconds / latency_s)}" for name, seconds in longest)
    title = "Critical path (what the latency is made of)"
    if path.period_s < (result.metrics["latency_s"] or 0.0) * (1 - 1e-9):
        title = "Critical path (what the time from one step's end to the next is made of; steps overlap)"
    return section(title, f"{grid(rows, right=(1, 2))}\n\nMost of it: {told}.")
