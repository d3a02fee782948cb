"""The rows of a sweep as lines: one per combination of the values that are not along the axis."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes

from simcluster.report.figures import style
from simcluster.timeline.table import Cell, Table

MOST_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: its label, colour and marker, and its rows by place along the axis, left to right.

    `hollow` marks rows whose plan was read under another convention than the base scenario's.
    """

    label: str
    colour: str
    marker: str
    at: tuple[float, ...]
    rows: tuple[dict[str, Cell], ...]
    hollow: tuple[bool, ...]

    def draw(self, axes: Axes, values: list[float], look: style.Look) -> None:
        """The line through `values`, one for each row, hollow points where the convention differs."""
        axes.plot(self.at, values, self.marker, linestyle="-", color=self.colour, label=self.label, markersize=5)
        other = [(x, y) for x, y, hollow in zip(self.at, values, self.hollow, strict=True) if hollow]
        axes.plot(
            [x for x, _ in other], [y for _, y in other], self.marker, color=self.colour, markerfacecolor=look.paper
        )

    def cells(self, name: str) -> list[Cell]:
        return [row[name] for row in self.rows]

    def values(self, name: str, scale: float = 1.0) -> list[float]:
        return [float(str(row[name])) * scale for row in self.rows]


def lines(table: Table, places: list[float], look: style.Look) -> list[Line]:
    """The first lines of a table (at most eight), of rows that have a latency; `places` is each row's place."""
    others = table.swept[1:]
    first = next((cell for cell in table.column("convention") if cell is not None), None)
    usual = table.reading or first
    grouped: dict[tuple[str, ...], list[tuple[float, dict[str, Cell]]]] = {}
    for place, row in zip(places, table.rows, strict=True):
        if row["latency_s"] is not None:
            grouped.setdefault(tuple(str(row[name]) for name in others), []).append((place, dict(row)))
    found = []
    for number, (values, members) in enumerate(list(grouped.items())[:MOST_LINES]):
        members = sorted(members, key=lambda member: member[0])
        found.append(
            Line(
                label=_label(values),
                colour=look.cycle[number],
                marker=style.MARKERS[number],
                at=tuple(place for place, _ in members),
                rows=tuple(row for _, row in members),
                hollow=tuple(row["convention"] != usual for _, row in members),
            )
        )
    return found


def _label(values: tuple[str, ...]) -> str:
    """The values of a line; matplotlib leaves labels that begin with an underscore out of legends."""
    text = ", ".join(values)
    return f" {text}" if text.startswith("_") else text


def left_out(table: Table, drawn: list[Line]) -> str:
    """What the figure does not show, for its subtitle."""
    others = {tuple(str(row[name]) for name in table.swept[1:]) for row in table.rows if row["latency_s"] is not None}
    without = sum(row["latency_s"] is None for row in table.rows)
    more = [f"{len(others) - len(drawn)} more lines are in results.csv"] if len(others) > len(drawn) else []
    more += ["hollow: the plan's name read the other way"] if any(any(line.hollow) for line in drawn) else []
    more += [f"{without} points have no valid plan or do not fit"] if without else []
    return f" ({'; '.join(more)})" if more else ""
