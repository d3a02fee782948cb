"""Machines side by side in boxes, several in one box where a cluster is large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from simcluster.report.figures.wiring.sketch import SWITCHES, Box, Label, Mark, View, fitting, span
from simcluster.units import plural

MOST_SINGLE = 20
"""Machines drawn one by one; of more, neighbours share a box."""

MOST_BOXES = 16
MOST_SYMBOLS = 160
"""GPUs drawn side by side; of more, neighbours share a symbol."""

WIDTH = 13.0
LEFT = 0.95
"""Inches left of the boxes, for the titles of rows."""

LABELS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Floor:
    """The machines of a sketch from x = LEFT to `right`, and from y = 0 to `top`.

    `bounds` are each box's left and right end; `titles` is the height of each row by kind.
    """

    machines: list[list[int]]
    bounds: list[tuple[float, float]]
    marks: list[Mark]
    mark_of: np.ndarray
    boxes: list[Box]
    labels: list[Label]
    titles: dict[str, float]
    right: float
    top: float


def grouped(view: View, most_single: int = MOST_SINGLE, most: int = MOST_BOXES) -> list[list[int]]:
    """Which machines share a box: those under the same switches first, never across a pod while that is possible."""
    if view.machines <= most_single:
        return [[machine] for machine in range(view.machines)]
    domain = {machine: switch for switch, machines in view.domains.items() for machine in machines}
    for height in range(1, len(SWITCHES)):
        part = view.machine_part(view.joined(SWITCHES[:height]))
        runs = [
            list(run)
            for _, run in groupby(range(view.machines), key=lambda m, part=part: (part[m], domain.get(m)))  # type: ignore[misc]
        ]
        if len(runs) <= most:
            return [piece for run in runs for piece in _cut(run, most // len(runs))]
    return _cut(list(range(view.machines)), most)


def _cut(run: list[int], most: int) -> list[list[int]]:
    """At most so many pieces of a run, all of one size if a number of two or more divides it."""
    even = max(pieces for pieces in range(1, most + 1) if len(run) % pieces == 0)
    pieces = even if even > 1 else min(most, len(run))
    return [piece.tolist() for piece in np.array_split(np.array(run), pieces)]


def arc(reach: float) -> float:
    """How far below its GPUs a cable of a mesh that spans `reach` inches goes."""
    return min(0.75, 0.08 + 0.24 * reach)


def floor(view: View, machines: Sequence[list[int]]) -> Floor:
    """Every box with its GPUs and NICs side by side, switches inside a machine as bars, shared NVSwitches below."""
    sample = view.inside[machines[0][0]]
    most = max(1, MOST_SYMBOLS // len(machines))
    slots = min(most, max(len(sample["gpu"]), len(sample["nic"])))
    pitch = min(WIDTH / len(machines), max(0.9, 0.36 * slots + 0.5))
    inner = 0.82 * pitch
    size = min(0.15, 0.78 * inner / slots)
    bounds = [(LEFT + number * pitch, LEFT + (number + 1) * pitch) for number in range(len(machines))]
    heights, bottom, top = _heights(view, sample, arc(inner))
    made = Floor(
        machines=list(machines), bounds=bounds, marks=[], mark_of=np.full(len(view.kinds), -1, dtype=np.int64),
        boxes=[], labels=[], titles=heights, right=LEFT + pitch * len(machines), top=top,
    )  # fmt: skip
    for group, (left, right) in zip(machines, bounds, strict=True):
        middle = (left + right) / 2
        for kind in ("gpu", "nic"):
            count = min(most, len(sample[kind]))
            first = len(made.marks)
            for slot in range(count):
                x = middle + inner * ((slot + 0.5) / count - 0.5)
                made.marks.append(Mark(kind=kind, x=x, y=heights[kind], width=size, height=size))
            for machine in group:
                members = view.inside[machine][kind]
                for number, index in enumerate(members):
                    made.mark_of[index] = first + number * count // len(members)
        for kind in ("nvswitch", "pcie"):
            for machine in group:
                made.mark_of[view.inside[machine][kind]] = len(made.marks)
            if sample[kind]:
                made.marks.append(Mark(kind=kind, x=middle, y=heights[kind], width=inner, height=0.11))
        made.boxes.append(
            Box(x=left + 0.05 * pitch, y=bottom, width=0.9 * pitch, height=top - bottom, stacked=len(group) > 1)
        )
        text = span(group) if pitch > 1.05 or len(group) == 1 else span(group).removeprefix("node ")
        each = f"\n{plural(len(sample['gpu']), 'GPU')} each" if len(group) > 1 else ""
        made.labels.append(Label(x=middle, y=0.22, text=text + each, size=8.0 if pitch > 0.62 else 7.0))
    if not made.labels[-1].text.startswith("node"):
        made.titles["node"] = made.labels[-1].y
    if view.domains:
        _add_domains(view, made)
    return made


def _heights(view: View, sample: dict[str, list[int]], deepest: float) -> tuple[dict[str, float], float, float]:
    """The height of every row, and where boxes begin and end."""
    heights, bottom = {}, LABELS
    if view.domains:
        heights["nvswitch"] = bottom + 0.1
        bottom += 0.48
    meshed = not view.domains and not sample["nvswitch"] and "nvlink" in view.cable_kind
    y = bottom + 0.24
    if sample["nvswitch"]:
        heights["nvswitch"] = y
        y += 0.6
    elif meshed:
        y += deepest
    heights["gpu"] = y
    for kind in ("pcie", "nic"):
        if sample[kind]:
            y += 0.5
            heights[kind] = y
    return heights, bottom, y + 0.24


def _add_domains(view: View, made: Floor) -> None:
    """A bar under the machines that an NVSwitch joins; those of one box share a bar."""
    box_of = {machine: number for number, group in enumerate(made.machines) for machine in group}
    below: dict[tuple[int, int], list[int]] = {}
    for switch, machines in view.domains.items():
        drawn = [box_of[machine] for machine in machines if machine in box_of]
        if drawn:
            below.setdefault((min(drawn), max(drawn)), []).append(switch)
    for (first, last), switches in below.items():
        left, right = made.bounds[first][0], made.bounds[last][1]
        width = right - left - 0.12
        name = view.wiring.names[switches[0]]
        one = (f"{name}, {plural(len(view.domains[switches[0]]), 'node')}", name, "NVSwitch")
        text = fitting(width, *one) if len(switches) == 1 else fitting(width, f"{len(switches)} NVSwitches")
        made.mark_of[switches] = len(made.marks)
        y = made.titles["nvswitch"]
        made.marks.append(Mark(kind="nvswitch", x=(left + right) / 2, y=y, width=width, height=0.2, text=text))
