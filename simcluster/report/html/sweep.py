"""The page of a sweep."""

from __future__ import annotations

import math

from simcluster import units
from simcluster.report.html.blocks import Block, Cell, Chart, Grid, Page, ends
from simcluster.timeline import metric
from simcluster.timeline.table import Table

DIMENSIONS: tuple[units.Dimension, ...] = ("bytes/s", "seconds", "bytes", "FLOP/s", "USD/h", "watts")

NAMED = {"seconds": "", "fraction": "", "USD": "USD", "joules": "J"}
"""What stands above an axis: nothing where every mark has its unit."""

MOST_LINES = 12
"""Lines that a chart of a sweep has."""

SWEPT = {
    "latency_s": "Latency",
    "throughput_tokens_per_s": "Throughput",
    "mfu": "MFU",
    "exposed_communication": "Exposed communication",
    "cost_per_million_tokens": "Cost of a million tokens",
    "energy_per_token_j": "Energy of a token",
}
"""Metrics that a sweep's page draws, and their titles."""


NAMES = {**{name: title.lower() for name, title in SWEPT.items()}, "mfu": "MFU", "memory.fraction": "memory"}
"""Columns of the table."""


def swept(table: Table) -> Page:
    """Charts of a few metrics against the first swept path, a line for each value of the others, and the table."""
    columns = [
        column.name for column in table.columns if any(cell not in (None, "") for cell in table.column(column.name))
    ]
    blocks: list[Block] = [_lines(table, path) for path in SWEPT if path in columns]
    wanted = [
        name for name in columns if name in (*table.swept, "reason") or name in SWEPT or name == "memory.fraction"
    ]
    rows = tuple(tuple(_cell(name, row[name]) for name in wanted) for row in table.rows)
    numbers = frozenset(at for at, name in enumerate(wanted) if name in metric.METRICS)
    header = tuple(NAMES.get(name, name) for name in wanted)
    blocks.append(Grid(title="All points", header=header, rows=rows, numbers=numbers))
    known = [row for row in table.rows if row["reason"] is None]
    told = f"{units.plural(len(table.rows), 'point')} simulated, {len(known):,} with numbers."
    if known:
        best = min(known, key=lambda row: float(str(row["latency_s"])))
        where = ", ".join(f"{path} {best[path]}" for path in table.swept)
        told += f" The shortest latency, {metric.show('latency_s', float(str(best['latency_s'])))}, is at {where}."
    title = f"Sweep over {', '.join(table.swept)}"
    return Page(title=title, subtitle=table.title, verdict=(told,), cards=(), claims=(), blocks=tuple(blocks))


def _cell(name: str, value: object) -> Cell:
    if value is None:
        return Cell(text="")
    if name in metric.METRICS:
        return Cell(text=metric.show(name, float(str(value))), order=float(str(value)))
    return Cell(text=str(value), order=_place(str(value)))


def _lines(table: Table, path: str) -> Chart:
    along, others = table.swept[0], table.swept[1:]
    texts = list(dict.fromkeys(str(value) for value in table.column(along)))
    found = [_quantity(text) for text in texts]
    known = [number for number, _ in found if number is not None]
    apart = len(known) < len(texts)
    places = dict(zip(texts, range(len(texts)) if apart else known, strict=True))
    groups: dict[str, list[dict[str, object]]] = {}
    for row in table.rows:
        name = ", ".join(str(row[other]) for other in others)
        value = None if row[path] is None else float(str(row[path]))
        where = f"{along} {row[along]}" + (f", {name}" if name else "")
        point: dict[str, object] = {
            "x": places[str(row[along])],
            "y": value,
            "text": f"{where}\n{metric.show(path, value)}",
        }
        groups.setdefault(name, []).append(point)
    shown = list(groups.items())[:MOST_LINES]
    heights = [float(str(one["y"])) for _, line in shown for one in line if one["y"] is not None]
    wide = not apart and min(known) > 0 and max(known) / min(known) > 20
    measure = metric.METRICS[path]
    across = {
        "name": along,
        "measure": found[0][1],
        "log": wide,
        **ends([float(place) for place in places.values()]),
        **({"names": texts} if apart else {}),
    }
    up = {
        "name": NAMED.get(measure, measure),
        "measure": measure,
        "log": False,
        "zero": True,
        **ends(heights or [0.0, 1.0]),
    }
    left = f"The first {MOST_LINES} of {len(groups)} lines." if len(groups) > len(shown) else ""
    data = {"lines": [{"name": name, "points": line} for name, line in shown], "x": across, "y": up}
    title = SWEPT[path]
    return Chart(title=title, chart="lines", data=data, label=f"{title} against {along}", note=left)


def _place(text: str) -> float | None:
    """A number, or a quantity in SI units; None for a word."""
    return _quantity(text)[0]


def _quantity(text: str) -> tuple[float | None, str]:
    """A number and the dimension it is of, "number" without a unit; None for a word."""
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        return (number if math.isfinite(number) else None), "number"
    for dimension in DIMENSIONS:
        try:
            return units.parse(text, dimension), dimension
        except (ValueError, TypeError):
            continue
    return None, "number"
