"""The wires: utilization of each class over time, and the traffic between nodes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import GridSpec

from simcluster.report.figures import style
from simcluster.timeline.links import link_rows, link_utilization
from simcluster.timeline.result import Result
from simcluster.units import show_bytes, show_percent

COLUMNS = 500

_NAMES = {"nvlink": "NVLink", "nic": "NICs", "leaf": "leaf to spine"}


def draw(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """A row per kind of wire, one direction of the two; beside them the matrix of bytes between nodes."""
    timeline = result.timeline
    assert timeline is not None
    scale, unit = style.time_unit(timeline.end_s)
    edges = np.linspace(0.0, timeline.end_s, COLUMNS + 1)
    used = link_utilization(timeline, edges)
    rows = [row for row in link_rows(timeline) if row["direction"] in ("out", "up")]
    with style.canvas(look, 12, max(3.4, 1.2 + 1.35 * len(rows))) as figure:
        facts = "mean use of usable bandwidth over all wires of a kind"
        style.heading(figure, result.identity.scenario, f"{result.identity.plan}: {facts}")
        several = len(timeline.node_bytes) > 1
        grid = GridSpec(1, 2 if several else 1, figure, width_ratios=(2.1, 1) if several else (1,))
        left = figure.add_subfigure(grid[0, 0])
        panels = np.atleast_1d(left.subplots(max(1, len(rows)), 1, sharex=True))
        centres = (edges[:-1] + edges[1:]) / 2 * scale
        for axes, row in zip(panels, rows, strict=False):
            values = used[f"{row['kind']} {row['direction']}"] * 100
            axes.fill_between(centres, values, step="mid", color=style.COMMUNICATING, linewidth=0)
            mean, peak = float(row["utilization_mean"]), float(row["utilization_peak"])
            axes.set_title(
                f"{_NAMES[str(row['kind'])]}: {row['count']} wires a direction, mean {show_percent(mean)}, "
                f"fullest {show_percent(peak)}"
            )
            most = float(values.max(initial=0.0))
            axes.set_ylim(0, 105 if most > 20 else max(1.25 * most, 1e-3))
            axes.set_ylabel("used (%)")
            style.quiet(axes, look)
        if not rows:
            panels[0].text(0.5, 0.5, "one GPU: no wires", ha="center", transform=panels[0].transAxes)
        panels[-1].set_xlim(0, timeline.end_s * scale)
        panels[-1].set_xlabel(f"time ({unit})")
        if several:
            _draw_matrix(figure.add_subfigure(grid[0, 1]), result, look)
    return figure


def _draw_matrix(figure: SubFigure, result: Result, look: style.Look) -> None:
    """Bytes from node to node in a step; what stays inside a node is told, not coloured, as it would hide the rest."""
    timeline = result.timeline
    assert timeline is not None
    matrix = timeline.node_bytes / timeline.steps
    inside = float(matrix.trace()) / len(matrix)
    between = np.where(np.eye(len(matrix), dtype=np.bool_), np.nan, matrix)
    axes = figure.subplots()
    axes.set_facecolor(look.idle)
    most = float(np.nan_to_num(between).max())
    factor, size = style.byte_unit(most)
    top = max(most * factor, 1e-9)
    image = axes.imshow(between * factor, cmap=style.heat(look, style.ALL_TO_ALL), vmin=0, vmax=top)
    axes.set_title(f"bytes between nodes, a step\n(inside a node: {show_bytes(inside)})")
    axes.set_xlabel("to node")
    axes.set_ylabel("from node")
    for axis in (axes.xaxis, axes.yaxis):
        style.whole_numbers(axis)
    bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
    bar.set_label(f"bytes ({size})")
