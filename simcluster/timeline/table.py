"""A table of named, unit-bearing columns: what a study returns and a report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`name` as in files and scripts; `measure` as in `timeline.metric`, or "" for plain text and swept values."""

    name: str
    measure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under columns; a cell is None where a row has no such value.

    `swept` names the columns that were varied, the first of them along a figure's axis; `reading` is how the base
    scenario's plan name was read, where there is one.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    swept: tuple[str, ...]
    reading: str | None = None

    def column(self, name: str) -> tuple[Cell, ...]:
        """One column's cells, top to bottom."""
        return tuple(row[name] for row in self.rows)
