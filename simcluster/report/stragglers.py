"""Waiting and faults as text: whom the others wait for, and what the scenario would do without its faults."""

from __future__ import annotations

from simcluster.report.layout import grid, section
from simcluster.timeline.slowdown import WithoutFaults
from simcluster.timeline.stragglers import Straggler
from simcluster.units import show_percent, show_seconds

SHOWN = 8
"""Classes of ranks that are listed."""


def waited_for(stragglers: tuple[Straggler, ...]) -> str:
    """The ranks that others wait for, longest first."""
    rows = [("rank", "GPU", "", "the mean GPU waits", "of latency")]
    for one in stragglers[:SHOWN]:
        alike = f"and {one.count - 1:,} like it" if one.count > 1 else ""
        rows.append((f"{one.rank:,}", one.gpu, alike, show_seconds(one.seconds), show_percent(one.fraction)))
    rest = stragglers[SHOWN:]
    if rest:
        seconds, fraction = sum(one.seconds for one in rest), sum(one.fraction for one in rest)
        ranks = sum(one.count for one in rest)
        rows.append(("", f"{ranks:,} others", "", show_seconds(seconds), show_percent(fraction)))
    return section("Whom the others wait for (in collectives, per step)", grid(rows, right=(0, 3, 4)))


def faults(found: WithoutFaults) -> str:
    """The change against the scenario without its faults, in a line."""
    slower = found.slowdown - 1
    if abs(slower) < 5e-7:
        said = "makes no difference"
    else:
        said = f"{show_percent(abs(slower))} {'slower' if slower > 0 else 'faster'} than without faults"
    return f"{said} ({show_seconds(found.latency_s)}, {found.throughput_tokens_per_s:,.0f} tokens/s)"
