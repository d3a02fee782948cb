"""Predicted against measured times: on the diagonal where both are equal, above it where we predict too long."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from simcluster.report.figures import style
from simcluster.timeline.table import Cell, Table
from simcluster.units import show_percent, show_seconds

BAND = 0.15
_PANELS = (("no", "collectives"), ("yes", "whole runs"))
_MOST_TICKS = 8

Row = tuple[str, bool, float, float]
"""Group, in the fit or not, measured and predicted seconds."""


def draw(table: Table, look: style.Look = style.LIGHT) -> Figure:
    """Collectives as thin points, whole runs as marks, hollow where they took part in the fit; a colour per group.

    The table has the columns `group`, `whole_run` and `fitted` (yes or no), `measured_s` and `predicted_s`.
    """
    panels = {title: [_row(row) for row in table.rows if row["whole_run"] == whole] for whole, title in _PANELS}
    panels = {title: rows for title, rows in panels.items() if rows} or {"nothing was scored": []}
    colours = dict(zip(dict.fromkeys(row[0] for rows in panels.values() for row in rows), _cycle(look), strict=False))
    with style.canvas(look, 1.2 + 5.6 * len(panels), 6.6) as figure:
        style.heading(figure, table.title, f"grey: within {BAND:.0%} of the measured time; above the line we are too slow")
        for place, (title, rows) in enumerate(panels.items(), start=1):
            axes = figure.add_subplot(1, len(panels), place)
            axes.set_title(f"{title} ({len(rows):,})")
            _ground(axes, [value for row in rows for value in row[2:]], look)
            for number, group in enumerate(dict.fromkeys(row[0] for row in rows)):
                _group(axes, [row for row in rows if row[0] == group], colours[group], number, title)
            axes.set_xlabel("measured time")
            axes.set_ylabel("predicted time")
            if rows:
                axes.legend(title="mean absolute error", loc="upper left", fontsize=9, handletextpad=0.3)
    return figure


def _row(row: object) -> Row:
    raise NotImplementedError
