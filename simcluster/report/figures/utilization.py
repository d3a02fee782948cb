"""GPU utilization over time: a heat map over ranks, the mean of all ranks above it."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from simcluster.report.figures import style
from simcluster.timeline import metric
from simcluster.timeline.coverage import covered_s, rows_by_rank
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Floats, Timeline

COLUMNS = 600
"""Time bins of the heat map: about one per pixel of its width."""

MOST_ROWS = 256
"""Rows of the heat map; more ranks than this are averaged, never dropped."""


def busy_by_rank(timeline: Timeline, bins: int) -> Floats:
    """Fraction of each of `bins` equal time bins in which each rank computes, shape (ranks, bins).

    Exact: a kernel that covers part of a bin counts with that part, so a row's mean is the rank's compute busy.
    """
    edges = np.linspace(0.0, timeline.end_s, bins + 1)
    kernels = timeline.on_compute
    busy = np.zeros((timeline.ranks, bins))
    for rank, rows in enumerate(rows_by_rank(timeline)):
        mine = rows[kernels[rows]]
        busy[rank] = np.diff(covered_s(timeline.start_s[mine], timeline.finish_s[mine], edges))
    return busy / (timeline.end_s / bins)


def draw(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """Mean compute busy over time above, compute busy of every rank below."""
    timeline = result.timeline
    assert timeline is not None
    scale, unit = style.time_unit(timeline.end_s)
    busy = busy_by_rank(timeline, COLUMNS)
    per_row = -(-timeline.ranks // MOST_ROWS)
    pad = np.full((-timeline.ranks % per_row, COLUMNS), np.nan)
    rows = np.nanmean(np.concatenate([busy, pad]).reshape(-1, per_row, COLUMNS), axis=1)
    end = timeline.end_s * scale
    shown = {name: metric.show(name, result.metrics[name]) for name in ("latency_s", "mfu", "compute_busy")}
    facts = f"latency {shown['latency_s']}, compute busy {shown['compute_busy']}, MFU {shown['mfu']}"
    with style.canvas(look, 10, 5.6) as figure:
        style.heading(figure, result.identity.scenario, f"{result.identity.plan}: {facts}")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2.6))
        centres = (np.arange(COLUMNS) + 0.5) * end / COLUMNS
        above.fill_between(centres, busy.mean(axis=0) * 100, step="mid", color=style.COMPUTING, linewidth=0)
        overall = float(busy.mean()) * 100
        above.axhline(overall, color=look.ink, linewidth=0.9, linestyle="--")
        above.annotate(
            f"mean {overall:.1f} %", (1.0, overall), xycoords=("axes fraction", "data"), xytext=(-4, 0),
            textcoords="offset points", va="center", ha="right", fontsize=9,
            bbox={"facecolor": look.paper, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
        above.set_ylim(0, 105)
        above.set_ylabel("GPUs computing\n(%)")
        style.quiet(above, look)
        image = below.imshow(
            rows * 100, aspect="auto", origin="upper", interpolation="nearest", cmap=style.heat(look), vmin=0, vmax=100,
            extent=(0, end, timeline.ranks - 0.5, -0.5),
        )  # fmt: skip
        averaged = "" if per_row == 1 else f", {per_row} to a row"
        below.set_ylabel(f"rank (of {timeline.ranks:,}{averaged})")
        style.whole_numbers(below.yaxis)
        below.set_xlabel(f"time ({unit})")
        bar = figure.colorbar(image, ax=(above, below), pad=0.01, fraction=0.03, shrink=0.7, anchor=(0, 0))
        bar.set_label("computing (%)")
    return figure
