"""What uncertain hardware makes of a run's numbers."""

from __future__ import annotations

from collections.abc import Iterator

from simcluster.report.html import cells
from simcluster.report.html.blocks import Block, Cell, Grid
from simcluster.report.uncertainty import LABELS, in_words, mover
from simcluster.timeline import metric
from simcluster.timeline.interval import Uncertainty
from simcluster.units import plural


def doubt(found: Uncertainty) -> Iterator[Block]:
    """An interval for each metric, and the uncertain inputs by what they do to the latency."""
    rows = []
    for name, one in found.intervals.items():
        values = [Cell(text=metric.show(name, value), order=value) for value in (one.p5, one.p50, one.p95, one.nominal)]
        rows.append((Cell(text=LABELS[name]), *values, Cell(text=mover(one))))
    yield Grid(
        title="Uncertainty",
        header=("", "5 %", "median", "95 %", "as stated", "most moved by (share, rank correlation)"),
        rows=tuple(rows),
        numbers=frozenset({1, 2, 3, 4}),
        note=f"{plural(found.draws, 'draw')} of the hardware, seed {found.seed}.",
    )
    latency = found.intervals["latency_s"]
    ranges = sorted(found.ranges.items(), key=lambda item: -latency.share[item[0]])
    inputs = tuple(
        (
            Cell(text=in_words(name)),
            Cell(text=f"{one.factor:g}" if one.factor > 1 else "1 (certain)", order=one.factor),
            Cell(text=f"{latency.correlation[name]:+.2f}", order=latency.correlation[name]),
            cells.share(latency.share[name]),
            Cell(text=one.source),
        )
        for name, one in ranges
    )
    header = ("input", "within a factor of", "rank correlation", "share", "why that factor")
    title = "What is uncertain (log-uniform), and what it does to the latency"
    yield Grid(title=title, header=header, rows=inputs, numbers=frozenset({1, 2, 3}))
