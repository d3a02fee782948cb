"""The wires: use of each class and of the fullest wires over time, and the traffic between nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import GridSpec

from simcluster.report.figures import style
from simcluster.timeline.links import (
    Alike,
    fullest_wires,
    in_words,
    link_rows,
    link_utilization,
    mean_use,
    relative_capacity,
    thinner,
    wire_utilization,
)
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Timeline
from simcluster.units import show_bytes, show_bytes_per_s, show_percent

COLUMNS = 500
MOST_WIRES = 12
"""Groups of equally loaded wires that are told."""

_BACK = {"out": "in", "up": "down", "x+": "x-", "y+": "y-", "z+": "z-"}
"""The direction that shares a panel with another one."""


def draw(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """A panel per class of wires, the fullest wires below, equals told once; beside them the matrix of bytes between
    nodes, where the nodes are not too many for one."""
    timeline = result.timeline
    assert timeline is not None
    scale, unit = style.time_unit(timeline.end_s)
    edges = np.linspace(0.0, timeline.end_s, COLUMNS + 1)
    rows = {(str(row["kind"]), str(row["direction"])): row for row in link_rows(timeline)}
    shown = [one for one in rows if one[1] not in _BACK.values()]
    used_at_all = mean_use(timeline) > 0
    wires = [one for one in fullest_wires(timeline, MOST_WIRES) if used_at_all[one.column]]
    heights = [1.35] * max(1, len(shown)) + ([0.5 + 0.2 * len(wires)] if wires else [])
    several = timeline.node_bytes is not None and len(timeline.node_bytes) > 1
    with style.canvas(look, 14 if several else 11, max(3.4, 1.3 + sum(heights))) as figure:
        facts = "use of usable bandwidth, mean over all wires of a kind"
        style.heading(figure, result.identity.scenario, f"{result.identity.plan}: {facts}")
        grid = GridSpec(1, 2 if several else 1, figure, width_ratios=(2.3, 1) if several else (1,))
        left = figure.add_subfigure(grid[0, 0])
        panels = np.atleast_1d(left.subplots(len(heights), 1, sharex=True, height_ratios=heights))
        used = {name: values * 100 for name, values in link_utilization(timeline, edges).items()}
        for axes, (kind, direction) in zip(panels, shown, strict=False):
            _draw_class(axes, edges * scale, used, kind, direction, look)
            row = rows[kind, direction]
            mean, peak = float(row["utilization_mean"]), float(row["utilization_peak"])
            each = " a direction" if (kind, _BACK.get(direction)) in rows else ""
            axes.set_title(
                f"{_panel(kind, direction)}: {row['count']:,} wires{each}, mean {show_percent(mean)}, "
                f"fullest {show_percent(peak)}"
            )
        if not shown:
            panels[0].text(0.5, 0.5, "one GPU: no wires", ha="center", transform=panels[0].transAxes)
        if wires:
            _draw_wires(panels[-1], timeline, edges * scale, wires, look)
        panels[-1].set_xlim(0, timeline.end_s * scale)
        panels[-1].set_xlabel(f"time ({unit})")
        if several:
            _draw_matrix(figure.add_subfigure(grid[0, 1]), timeline, look)
    return figure


def _panel(kind: str, direction: str) -> str:
    """What a panel shows: a class in words, without its direction where that is one of two."""
    words = in_words(kind, direction)
    return words.split(",")[0] if direction == "out" else words


def _draw_class(
    axes: Axes, edges: np.ndarray, used: dict[str, np.ndarray], kind: str, direction: str, look: style.Look
) -> None:
    """Filled: this direction; a line: the way back, where it differs."""
    values = used.get(f"{kind} {direction}", np.zeros(len(edges) - 1))
    axes.stairs(values, edges, fill=True, color=style.COMMUNICATING, label=in_words(kind, direction))
    opposite = _BACK.get(direction, "")
    back = used.get(f"{kind} {opposite}", values)
    if np.abs(back - values).max(initial=0.0) > 0.5:
        axes.stairs(back, edges, color=look.cycle[0], linewidth=0.9, label=in_words(kind, opposite))
        axes.legend(loc="upper right", fontsize=8, ncols=2, framealpha=0.8, frameon=True, facecolor=look.paper,
                    edgecolor="none")  # fmt: skip
    most = float(max(values.max(initial=0.0), back.max(initial=0.0)))
    axes.set_ylim(0, 105 if most > 20 or most == 0 else max(1.25 * most, 1e-3))
    axes.set_ylabel("used (%)")
    style.quiet(axes, look)


def _draw_wires(axes: Axes, timeline: Timeline, edges: np.ndarray, wires: Sequence[Alike], look: style.Look) -> None:
    """A row per group of equally loaded wires, fullest first; those with less capacity than the largest of their class
    are marked."""
    columns = np.array([one.column for one in wires])
    over_time = wire_utilization(timeline, np.linspace(0.0, timeline.end_s, COLUMNS + 1), columns) * 100
    axes.pcolormesh(edges, np.arange(len(wires) + 1), over_time, cmap=style.heat(look, style.ALL_TO_ALL), vmin=0,
                    vmax=100, rasterized=True)  # fmt: skip
    used, capacity = mean_use(timeline), timeline.links.capacity
    relative, thin = relative_capacity(timeline.links), thinner(timeline.links)
    for row, column in enumerate(columns.tolist()):
        told = f" {show_percent(float(used[column]))} of {show_bytes_per_s(float(capacity[column]))}"
        if thin[column]:
            told += f", not {show_bytes_per_s(float(capacity[column] / relative[column]))}"
        axes.text(1.0, row + 0.5, told, transform=axes.get_yaxis_transform(), va="center", fontsize=8,
                  fontweight="bold" if thin[column] else "normal")  # fmt: skip
    names = [_named(timeline, one) for one in wires]
    axes.set_yticks(np.arange(len(wires)) + 0.5, names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(wires), 0)
    axes.set_title("the fullest wires (full colour: 100 %) and their mean use")


def _named(timeline: Timeline, wires: Alike) -> str:
    """`node0.nic0 → leaf0.0 and 127 like it`."""
    ends = " → ".join(timeline.wiring.names[end] for end in timeline.wiring.cable[wires.wire].tolist())
    return f"{ends} and {wires.count - 1:,} like it" if wires.count > 1 else ends


def _draw_matrix(figure: SubFigure, timeline: Timeline, look: style.Look) -> None:
    """Bytes from node to node in a step; what stays inside a node is told, not coloured, as it would hide the rest."""
    assert timeline.node_bytes is not None
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
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.9, pad=0.02)
    bar.set_label(f"bytes ({size})")
