"""Predicted against measured times: on the diagonal where both are equal, above it where the prediction is too long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil, floor, log10

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from simcluster.report.figures import style
from simcluster.timeline.table import Cell, Table
from simcluster.units import show_percent, show_seconds

BAND = 0.15
_MOST_TICKS = 7

Rows = Sequence[Mapping[str, Cell]]


def draw(table: Table, look: style.Look = style.LIGHT) -> Figure:
    """Collectives and kernels as thin points beside whole runs as marks, hollow where they took part in the fit.

    The table has the columns `group`, which gives the colour, `whole_run` and `fitted` (yes or no), `measured_s`,
    `predicted_s` and `error`.
    """
    parts = {whole: [row for row in table.rows if row["whole_run"] == whole] for whole in ("no", "yes")}
    shown = {whole: rows for whole, rows in parts.items() if rows}
    with style.canvas(look, 1.0 + 5.6 * max(1, len(shown)), 6.4) as figure:
        hollow = "; hollow marks took part in the fit" if "yes" in shown else ""
        subtitle = (
            f"in the grey band the error is at most {100 * BAND:.0f} %; above it the prediction is too long{hollow}"
        )
        style.heading(figure, table.title, subtitle)
        for place, (whole, rows) in enumerate(shown.items(), start=1):
            axes = figure.add_subplot(1, len(shown), place)
            what = "published whole runs" if whole == "yes" else "collectives and kernels"
            axes.set_title(f"{what} ({len(rows):,})")
            _frame(axes, rows, look)
            for number, (group, count) in enumerate(Counter(str(row["group"]) for row in rows).most_common()):
                members = [row for row in rows if row["group"] == group]
                colour, marker = look.cycle[number % len(look.cycle)], style.MARKERS[number % len(style.MARKERS)]
                label = f"{group}: {show_percent(_mean_error(members))} ({count:,})"
                if whole == "yes":
                    _marks(axes, members, colour, marker, label)
                else:
                    _cloud(axes, members, colour, label)
            axes.legend(title="mean absolute error (rows)", loc="upper left", fontsize=9, alignment="left",
                        frameon=True, facecolor=look.paper, edgecolor="none", framealpha=0.9)  # fmt: skip
        if not shown:
            figure.text(0.5, 0.5, "nothing could be predicted", ha="center")
    return figure


def _frame(axes: Axes, rows: Rows, look: style.Look) -> None:
    """The same whole decades on both axes, the diagonal, and the band around it."""
    times = [time_s for name in ("measured_s", "predicted_s") for time_s in _column(rows, name)]
    low, high = floor(log10(min(times))), ceil(log10(max(times)))
    ends = (10.0**low, 10.0 ** max(high, low + 1))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")
    axes.fill_between(ends, [end * (1 - BAND) for end in ends], [end * (1 + BAND) for end in ends],
                      color=look.grid, linewidth=0, zorder=0.5)  # fmt: skip
    axes.plot(ends, ends, color=look.ink, linewidth=0.8, zorder=1)
    powers = range(low, max(high, low + 1) + 1, max(1, -(-(high - low) // _MOST_TICKS)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([10.0**power for power in powers]))
        axis.set_minor_locator(NullLocator())
        axis.set_ticklabels([show_seconds(10.0**power) for power in powers])
    axes.grid(color=look.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("measured time")
    axes.set_ylabel("predicted time")


def _cloud(axes: Axes, rows: Rows, colour: str, label: str) -> None:
    """Thousands of points, as one picture also in a drawing of lines; the legend's point is large enough to see."""
    axes.plot(_column(rows, "measured_s"), _column(rows, "predicted_s"), ".", color=colour, markersize=2.6, alpha=0.5,
              markeredgewidth=0, rasterized=True)  # fmt: skip
    axes.plot([], [], "o", color=colour, markersize=6, label=label)


def _marks(axes: Axes, rows: Rows, colour: str, marker: str, label: str) -> None:
    """One mark a run; a group wholly of the fit still has its legend entry."""
    for fitted, fill in (("no", colour), ("yes", "none")):
        chosen = [row for row in rows if row["fitted"] == fitted]
        axes.plot(_column(chosen, "measured_s"), _column(chosen, "predicted_s"), marker, color=colour,
                  markerfacecolor=fill, markersize=7.5, markeredgewidth=1.4)  # fmt: skip
    axes.plot([], [], marker, color=colour, markersize=7.5, label=label)


def _mean_error(rows: Rows) -> float:
    errors = [abs(error) for error in _column(rows, "error")]
    return sum(errors) / len(errors)


def _column(rows: Rows, name: str) -> list[float]:
    return [float(str(row[name])) for row in rows]
