"""A layout in layers: machines below, above them leaves, spines, cores and tops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

import numpy as np

from simcluster.report.figures.wiring import boxes
from simcluster.report.figures.wiring.boxes import Floor
from simcluster.report.figures.wiring.sketch import SWITCHES, Label, Mark, Points, Sketch, View, straight, text_width

MOST_LINES = 400
"""Cables between two rows; of more, switches that stand for the same neighbours share a symbol."""

_LEAST_PITCH = 0.2
_GAP = 1.35

_BARS = ("nvswitch", "pcie")

_Spans = dict[tuple[int, int], list[int]]
"""Switches of a row by the first and the last box below them."""


def sketch(view: View, machines: Sequence[list[int]] | None = None) -> Sketch:
    """All of the wiring, or the given machines and the switches they are plugged into."""
    made = boxes.floor(view, machines if machines is not None else boxes.grouped(view))
    y = made.top
    for level, kind in enumerate(SWITCHES):
        switches = view.switches(kind)
        if machines is not None:
            switches = [s for s in switches if any(view.kinds[n] == "nic" for n in _drawn(view, made, s))]
        if switches:
            y += _GAP
            made.titles[kind] = y
            _add_row(view, made, kind, _containers(view, made, switches, SWITCHES[: level + 1]))
    ends = view.kinds[view.wiring.cable]
    arched = bool((np.isin(ends, SWITCHES).all(axis=1) & (ends[:, 0] == ends[:, 1])).any())
    titles = [
        Label(x=boxes.LEFT - 0.1, y=height, text=view.many(kind), size=9, align="right")
        for kind, height in made.titles.items()
    ]
    return Sketch(
        width=made.right + 0.1,
        height=y + (0.75 if arched else 0.3),
        marks=tuple(made.marks),
        mark_of=made.mark_of,
        boxes=tuple(made.boxes),
        labels=(*made.labels, *titles),
        path=path,
    )


def path(a: Mark, b: Mark) -> list[Points]:
    """Straight, at right angles to a bar, or an arc between two symbols of a row: below GPUs, above switches."""
    if abs(a.y - b.y) < 1e-9:
        reach = abs(b.x - a.x)
        depth = -boxes.arc(reach) if a.kind == "gpu" else min(0.6, 0.12 + 0.08 * reach)
        angle = np.linspace(np.pi, 0.0, 24)
        x = (a.x + b.x) / 2 + (b.x - a.x) / 2 * np.cos(angle)
        return [np.stack([x, a.y + depth * np.sin(angle)], axis=1)]
    bar, other = (a, b) if a.kind in _BARS else (b, a)
    if bar.kind in _BARS:
        foot = float(np.clip(other.x, bar.x - bar.width / 2, bar.x + bar.width / 2))
        return [np.array([[foot, other.y], [foot, bar.y]])]
    return straight(a, b)


def _drawn(view: View, made: Floor, switch: int) -> list[int]:
    """The neighbours of a switch that have a symbol already."""
    return [index for index in view.neighbours[switch] if made.mark_of[index] >= 0]


def _containers(view: View, made: Floor, switches: list[int], kinds: Sequence[str]) -> _Spans:
    """The switches of a row by the boxes of the machines that switches up to this row join them with."""
    last = len(made.machines) - 1
    part = view.joined(kinds)
    of_machine = view.machine_part(part)
    below: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(made.machines):
        for machine in group:
            below[of_machine[machine]].append(number)
    spans: _Spans = defaultdict(list)
    for switch in switches:
        joined = below.get(int(part[switch]), [0, last])
        spans[min(joined), max(joined)].append(switch)
    ordered = sorted(spans)
    apart = all(one[1] < other[0] for one, other in pairwise(ordered))
    return {one: spans[one] for one in ordered} if apart else {(0, last): switches}


def _add_row(view: View, made: Floor, kind: str, spans: _Spans) -> None:
    """One row of switches, each above the boxes it joins, near its neighbours below."""
    y, merged = made.titles[kind], _merged(view, made, spans)
    texts = {group: _texts(view, kind, group) for groups in merged.values() for group in groups}
    room = min(0.9 * _pitch(made, *where, len(groups)) for where, groups in merged.items())
    needed = [max(text_width(text[level]) for text in texts.values()) for level in range(2)]
    level = next((level for level in range(2) if needed[level] <= room), 2)
    for (first, last), groups in merged.items():
        left, pitch = made.bounds[first][0], _pitch(made, first, last, len(groups))
        centre = {group: np.mean([made.marks[made.mark_of[n]].x for s in group for n in _drawn(view, made, s)] or [0])
                  for group in groups}  # fmt: skip
        width = max(min(0.9 * pitch, 0.2), needed[level]) if level < 2 else min(0.65 * pitch, 0.2)
        for number, group in enumerate(sorted(groups, key=lambda group: (round(float(centre[group]), 6), group))):
            made.mark_of[list(group)] = len(made.marks)
            x = left + (number + 0.5) * pitch
            text = texts[group][level] if level < 2 else ""
            made.marks.append(Mark(kind=kind, x=x, y=y, width=width, height=0.2, text=text))


def _pitch(made: Floor, first: int, last: int, count: int) -> float:
    """Inches from symbol to symbol of so many above these boxes."""
    return (made.bounds[last][1] - made.bounds[first][0]) / count


def _texts(view: View, kind: str, group: tuple[int, ...]) -> tuple[str, ...]:
    if len(group) > 1:
        return (f"{len(group)} {view.many(kind)}", f"×{len(group)}")
    name = view.wiring.names[group[0]]
    return (name, name.removeprefix(kind))


def _merged(view: View, made: Floor, spans: _Spans) -> dict[tuple[int, int], list[tuple[int, ...]]]:
    """Which switches share a symbol: none, those with the same neighbours below, or all above the same boxes."""

    def machines(switch: int) -> Hashable:
        return frozenset(int(view.owner[n]) if view.owner[n] >= 0 else -1 - n for n in _drawn(view, made, switch))

    def symbols(switch: int) -> Hashable:
        return frozenset(made.mark_of[_drawn(view, made, switch)].tolist())

    keys: tuple[Callable[[int], Hashable], ...] = (lambda switch: switch, machines, symbols, lambda _: None)
    found: dict[tuple[int, int], list[tuple[int, ...]]] = {}
    for key in keys:
        found, lines = {}, 0
        for where, switches in spans.items():
            alike: dict[Hashable, list[int]] = defaultdict(list)
            for switch in switches:
                alike[key(switch)].append(switch)
            found[where] = [tuple(group) for group in alike.values()]
            lines += sum(len({int(made.mark_of[n]) for s in group for n in _drawn(view, made, s)})
                         for group in found[where])  # fmt: skip
        pitch = min(_pitch(made, *where, len(groups)) for where, groups in found.items())
        if pitch >= _LEAST_PITCH and lines <= MOST_LINES:
            break
    return found
