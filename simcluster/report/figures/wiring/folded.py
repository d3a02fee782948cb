"""A layout of a folded wiring: a box for each kind of equal nodes, one above the other, each cable with its numbers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from simcluster.report.figures.wiring.sketch import SWITCHES, Label, Mark, Points, Sketch, View
from simcluster.timeline.links import mean_use
from simcluster.timeline.timeline import Ints, Timeline
from simcluster.units import show_bytes_per_s, show_percent

_ROWS = ("nvswitch", "gpu", "pcie", "nic", *SWITCHES)
"""Kinds of nodes, from the bottom up."""

_WIDTH, _HEIGHT = 1.9, 0.46
_APART = 0.6
"""Inches between boxes of a row."""

_SLOT = 0.24
"""Inches that a cable's numbers take; those between two rows stand one below the other, so that none overlap."""

_LETTER = 0.072
"""Inches of a letter of those numbers, and a little more."""


def sketch(view: View, timeline: Timeline) -> Sketch:
    """Rows of boxes, and between them how many cables there are, their capacity and their use."""
    rows = [found for kind in _ROWS if (found := np.flatnonzero(view.kinds == kind).tolist())]
    row_of = {node: number for number, row in enumerate(rows) for node in row}
    told = _told(view, timeline)
    above: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for a, b in told:
        above[min(row_of[a], row_of[b])].append((a, b))
    most = max(len(row) for row in rows)
    middle = most * (_WIDTH + _APART) / 2
    marks: list[Mark] = []
    mark_of = np.full(len(view.kinds), -1, dtype=np.int64)
    labels: list[Label] = []
    y, tops = 0.1 + _HEIGHT / 2, []
    for number, row in enumerate(rows):
        for place, node in enumerate(row):
            x = middle + (place - (len(row) - 1) / 2) * (_WIDTH + _APART)
            mark_of[node] = len(marks)
            marks.append(Mark(kind=view.wiring.kinds[node], x=x, y=y, width=_WIDTH, height=_HEIGHT,
                              text=_named(view, node), size=8.5))  # fmt: skip
        tops.append(y + _HEIGHT / 2)
        y += _HEIGHT + 0.34 + _SLOT * len(above[number])
    for number, pairs in above.items():
        for place, (a, b) in enumerate(pairs):
            low, high = marks[mark_of[a]], marks[mark_of[b]]
            height = tops[number] + 0.17 + _SLOT * (place + 0.5)
            x = low.x + (high.x - low.x) * (height - low.y) / (high.y - low.y)
            labels.append(Label(x=x + 0.12, y=height, text=told[a, b], size=9, align="left", backed=True))
    ends = [label.x + _LETTER * len(label.text) for label in labels]
    width = max(most * (_WIDTH + _APART), *ends)
    return Sketch(width=width, height=tops[-1] + 0.1, marks=tuple(marks), mark_of=mark_of, labels=tuple(labels),
                  path=_path)  # fmt: skip


def _named(view: View, node: int) -> str:
    """The first of the equal nodes, and how many they are."""
    count, name = view.wiring.stands_for[node], view.wiring.names[node]
    return f"{name}\n× {count:,} {view.many(view.wiring.kinds[node])}" if count > 1 else name


def _told(view: View, timeline: Timeline) -> dict[tuple[int, int], str]:
    """For each two nodes with a cable: how many there are, what one carries at most, and how much of that it did."""
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for (tail, head), column in zip(view.wiring.cable.tolist(), view.wiring.column.tolist(), strict=True):
        found[min(tail, head), max(tail, head)].append(column)
    return {pair: _numbers(timeline, np.array(columns)) for pair, columns in found.items()}


def _numbers(timeline: Timeline, columns: Ints) -> str:
    """`1,024 × 45 GB/s each way, 46.5 % used`, or each direction for itself where they differ."""
    links, used = timeline.links, mean_use(timeline)
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for column in columns.tolist():
        cables = f"{links.count[column]:,} × {show_bytes_per_s(float(links.capacity[column]))}"
        found[cables][show_percent(float(used[column]))].append(links.direction[column])
    told = []
    for cables, uses in found.items():
        ways = [name for names in uses.values() for name in names]
        each = " each way" if len(ways) > 1 else "" if len(columns) == 1 else f" {ways[0]}"
        shares = list(uses) if len(uses) == 1 else [f"{' and '.join(names)} {share}" for share, names in uses.items()]
        told.append(f"{cables}{each}, {', '.join(shares)} used")
    return "; ".join(told)


def _path(a: Mark, b: Mark) -> list[Points]:
    """From the edge of one box to that of the other."""
    low, high = sorted((a, b), key=lambda mark: mark.y)
    return [np.array([[low.x, low.y + low.height / 2], [high.x, high.y - high.height / 2]])]
