"""The catalogue as text: aligned tables, sources below them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from simcluster.report.layout import grid, section
from simcluster.timeline.table import Cell, Table
from simcluster.units import show_bytes, show_bytes_per_s, show_flop_per_s, show_watts

_NOTES = {
    "active": "active: parameters that a token meets, embedding and head among them; some sources leave these out."
}
"""Below a table with such a column."""

WIDTH = 110
"""Characters of a line of sources."""


def shelves(tables: Sequence[Table]) -> str:
    """Each kind's table with the sources of its entries."""
    return "\n\n".join(_shelf(table) for table in tables)


def _shelf(shown: Table) -> str:
    columns = [column for column in shown.columns if column.name != "source"]
    rows = [tuple(_heading(column.name) for column in columns)]
    rows += [tuple(_cell(row[column.name], column.measure) for column in columns) for row in shown.rows]
    right = tuple(index for index, column in enumerate(columns) if column.measure)
    told = [_NOTES[name] for name in _NOTES if name in shown.rows[0]] if shown.rows else []
    return "\n\n".join((section(shown.title, grid(rows, right=right)), *told, _sources(shown)))


def _heading(name: str) -> str:
    return name.replace("_", " ").replace("gpus", "GPUs").replace("nics", "NICs")


def _cell(value: Cell, measure: str) -> str:
    if value is None:
        return ""
    match measure:
        case "bytes":
            return show_bytes(float(value))
        case "bytes/s":
            return show_bytes_per_s(float(value))
        case "FLOP/s":
            return show_flop_per_s(float(value))
        case "watts":
            return show_watts(float(value))
        case "number":
            return f"{float(value) / 1e9:,.2f} B"
        case "count":
            return f"{value:,}"
        case _:
            return str(value)


def _sources(shown: Table) -> str:
    """A line or more for every entry; entries of one source together."""
    named: dict[str, list[str]] = {}
    for row in shown.rows:
        named.setdefault(str(row["source"]), []).append(str(row["name"]))
    return "\n".join(
        textwrap.fill(f"{', '.join(names)}: {source}", width=WIDTH, initial_indent="  ", subsequent_indent="    ")
        for source, names in named.items()
    )
