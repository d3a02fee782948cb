"""The page of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from simcluster.report.html.blocks import Bar, Bars, Block, Cell, Grid, Page, Prose
from simcluster.report.html.spent import STATE_COLOURS
from simcluster.report.states import STATES
from simcluster.timeline import metric
from simcluster.timeline.comparison import Compared, difference, signed
from simcluster.timeline.critical_path import PARTS
from simcluster.units import show_percent, show_seconds

ROUNDING = 1e-12
"""Share of the latency below which a difference is rounding."""


def compared(columns: Sequence[Compared]) -> Page:
    """Columns side by side, the first the one that others are measured by."""
    ran = [one for one in columns if one.ran]
    blocks: list[Block] = []
    for one in ran:
        bars = [
            Bar(
                name=name,
                value=show_seconds(one.states[path]),
                percent=show_percent(one.states[path] / one.latency_s),
                share=one.states[path] / max(each.latency_s for each in ran),
                colour=STATE_COLOURS[path],
            )
            for path, name in STATES
        ]
        note = f"Bars of all plans have one scale: the longest latency, {show_seconds(max(x.latency_s for x in ran))}."
        blocks.append(
            Bars(title=f"{one.label}: {show_seconds(one.latency_s)}", bars=tuple(bars), note="" if blocks else note)
        )
    if ran:
        blocks += [
            _seconds("Critical path", ran, lambda one: {PARTS[part]: value for part, value in one.path.items()}),
            _seconds("Operations", ran, lambda one: one.operations),
        ]
    unfit = tuple(f"{one.label}: {one.reason}." for one in columns if one.reason)
    if unfit:
        blocks.append(Prose(title="Plans without numbers", paragraphs=unfit))
    why = tuple(difference(columns[0], one) for one in columns[1:])
    return Page(
        title=" against ".join(one.label for one in columns[:3]) + (" and others" if len(columns) > 3 else ""),
        subtitle=", ".join(dict.fromkeys(one.scenario for one in columns)),
        verdict=why or (f"{columns[0].label} alone; name another plan to compare it with.",),
        cards=(),
        claims=(),
        blocks=(_side_by_side(columns), *blocks),
    )


def _side_by_side(columns: Sequence[Compared]) -> Grid:
    paths = (
        ("latency_s", "latency"),
        ("throughput_tokens_per_s", "throughput"),
        ("mfu", "MFU"),
        ("exposed_communication", "exposed communication"),
        ("memory.fraction", "memory"),
        ("gpus", "GPUs"),
    )
    rows = []
    for one in columns:
        values = [one.metric(path) for path, _ in paths]
        shown = [
            "–" if value is None else metric.show(path, value) for (path, _), value in zip(paths, values, strict=True)
        ]
        rows.append(
            (Cell(text=one.label), *(Cell(text=text, order=value) for text, value in zip(shown, values, strict=True)))
        )
    header = ("plan", *(name for _, name in paths))
    return Grid(title="Side by side", header=header, rows=tuple(rows), numbers=frozenset(range(1, len(header))))


def _seconds(title: str, columns: Sequence[Compared], of: Callable[[Compared], Mapping[str, float]]) -> Grid:
    """Seconds by name, the longest first, with differences to the first column."""
    found, rounding_s = [of(one) for one in columns], ROUNDING * columns[0].latency_s
    most = {key: max(one.get(key, 0.0) for one in found) for values in found for key in values}
    keys = sorted((key for key, value in most.items() if value), key=lambda key: -most[key])
    header = ["", columns[0].label]
    for column in columns[1:]:
        header += [column.label, "difference"]
    rows = []
    for key in keys:
        first = found[0].get(key, 0.0)
        row = [Cell(text=key), Cell(text=show_seconds(first) if first else "", order=first)]
        for one in found[1:]:
            value = one.get(key, 0.0)
            row += [
                Cell(text=show_seconds(value) if value else "", order=value),
                Cell(text="same" if abs(value - first) <= rounding_s else signed(value - first), order=value - first),
            ]
        rows.append(tuple(row))
    return Grid(title=title, header=tuple(header), rows=tuple(rows), numbers=frozenset(range(1, len(header))))
