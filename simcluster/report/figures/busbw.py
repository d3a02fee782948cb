"""Bus bandwidth of a collective against the size of its message, as nccl-tests counts both."""

from __future__ import annotations

from math import log2

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from simcluster.report.figures import style
from simcluster.timeline.table import Cell, Table
from simcluster.units import show_binary_bytes

_MOST_TICKS = 11


def draw(table: Table, look: style.Look = style.LIGHT) -> Figure:
    """A line per algorithm; where every size has one row, a thin line joins them across algorithms.

    The table has the columns `bytes`, `time_s`, `algbw_bytes_per_s`, `busbw_bytes_per_s` and `algorithm`; rows without
    a bus bandwidth are left out.
    """
    rows = sorted((_number(row["bytes"]), _number(row["busbw_bytes_per_s"]), str(row["algorithm"]))
                  for row in table.rows if row["busbw_bytes_per_s"] is not None)  # fmt: skip
    most = max((rate for _, rate, _ in rows), default=0.0)
    scale, unit = style.byte_unit(most)
    with style.canvas(look, 8.5, 4.8) as figure:
        style.heading(figure, table.title, "bus bandwidth against message size, both as nccl-tests counts them")
        axes = figure.subplots()
        sizes = [size for size, _, _ in rows]
        if len(set(sizes)) == len(sizes):
            axes.plot(sizes, [rate * scale for _, rate, _ in rows], color=look.grid, linewidth=2.5, zorder=1)
        for number, algorithm in enumerate(dict.fromkeys(name for _, _, name in rows)):
            points = [(size, rate * scale) for size, rate, name in rows if name == algorithm]
            turn = number % len(look.cycle)
            axes.plot(*zip(*points, strict=True), style.MARKERS[turn], linestyle="-" if _whole(rows, algorithm) else "",
                      color=look.cycle[turn], markersize=5, label=algorithm)  # fmt: skip
        if not rows:
            axes.text(0.5, 0.5, "no bus bandwidth is defined for this", ha="center", transform=axes.transAxes)
        else:
            _mark_sizes(axes, sizes)
            axes.legend(title="algorithm", loc="best", fontsize=9)
        axes.set_xlabel("message size")
        axes.set_ylabel(f"bus bandwidth ({unit}/s)")
        axes.set_ylim(0, 1.08 * most * scale or 1.0)
        style.quiet(axes, look)
    return figure


def _whole(rows: list[tuple[float, float, str]], algorithm: str) -> bool:
    """Whether the algorithm's sizes have no other algorithm's between them, so that a line does not skip one."""
    chosen = [name == algorithm for _, _, name in rows]
    first, last = chosen.index(True), len(chosen) - chosen[::-1].index(True)
    return all(chosen[first:last]) or len({size for size, _, _ in rows}) < len(rows)


def _mark_sizes(axes: Axes, sizes: list[float]) -> None:
    """A logarithmic axis with ticks at powers of two: every one, or every few."""
    axes.set_xscale("log", base=2)
    low, high = (round(log2(max(1.0, end))) for end in (min(sizes), max(sizes)))
    every = max(1, -(-(high - low) // _MOST_TICKS))
    ticks = [2.0**power for power in range(low, high + 1, every)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([show_binary_bytes(tick) for tick in ticks])


def _number(cell: Cell) -> float:
    return float(str(cell))
