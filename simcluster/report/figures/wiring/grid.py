"""A layout of a torus: routers on a grid, those along a third dimension on the diagonal of each cell."""

from __future__ import annotations

from math import prod

import numpy as np

from simcluster.report.figures.wiring.sketch import Label, Mark, Points, Sketch, View

_WIDTH, _HEIGHT = 11.0, 7.5
_LARGEST_PITCH = 1.15
_LEAST_NODE = 0.05
"""Inches of the smallest machine drawn beside its router; smaller ones are left to the router."""


def shape(view: View) -> tuple[int, ...] | None:
    """The sides of the torus, from the steps that its cables take in the order of routers; None if there is none."""
    routers = view.switches("leaf")
    number = np.zeros(len(view.kinds), dtype=np.int64)
    number[routers] = np.arange(len(routers))
    strides = []
    for axis in "xyz":
        ends = number[view.wiring.cable[view.direction == f"{axis}+"]].reshape(-1, 2)
        steps = ends[:, 1] - ends[:, 0]
        if (steps > 0).any():
            strides.append(int(np.bincount(steps[steps > 0]).argmax()))
    if not strides:
        return None
    sides = [high // low for high, low in zip([len(routers), *strides], strides, strict=False)]
    return tuple(sides) if prod(sides) == len(routers) and min(sides) > 1 else None


def sketch(view: View, sides: tuple[int, ...]) -> Sketch:
    """Routers at their coordinates, each with its machine below to the right; cables around end in stubs."""
    x_side, y_side, z_side = (*sides, 1, 1)[:3]
    pitch = min(_WIDTH / x_side, _HEIGHT / y_side, _LARGEST_PITCH * (1 + 0.35 * (z_side - 1)))
    step = pitch if z_side == 1 else 0.88 * pitch / z_side
    size = min(0.18, 0.34 * step)
    node = 0.8 * size if 0.8 * size >= _LEAST_NODE else 0.0
    step_away = 0.95 * size
    left, bottom = 0.45 * pitch + 0.4, 0.45 * pitch + 0.35
    routers = view.switches("leaf")
    machine_of = {s: int(view.owner[n]) for s in routers for n in view.neighbours[s] if view.owner[n] >= 0}
    marks: list[Mark] = []
    labels: list[Label] = []
    mark_of = np.full(len(view.kinds), -1, dtype=np.int64)
    machine_mark = np.full(view.machines, -1, dtype=np.int64)
    for place, switch in enumerate(routers):
        i, j, k = np.unravel_index(place, (x_side, y_side, z_side))
        x, y = left + float(i) * pitch + float(k) * step, bottom + float(j) * pitch + float(k) * step
        mark_of[switch] = len(marks)
        marks.append(Mark(kind="leaf", x=x, y=y, width=size, height=size))
        machine = machine_of.get(switch)
        if machine is None:
            continue
        machine_mark[machine] = mark_of[switch]
        if node:
            machine_mark[machine] = len(marks)
            marks.append(Mark(kind="node", x=x + step_away, y=y - step_away, width=node, height=node))
        if step >= 0.36:
            labels.append(
                Label(x=x + step_away + node / 2 + 0.03, y=y - step_away - 0.02, text=str(machine), size=7.5,
                      align="left")
            )  # fmt: skip
    owned = view.owner >= 0
    mark_of[owned] = machine_mark[view.owner[owned]]
    width = left + (x_side - 1) * pitch + (z_side - 1) * step + 0.45 * pitch + 0.25
    height = bottom + (y_side - 1) * pitch + (z_side - 1) * step + 0.45 * pitch + 0.1
    named = " × ".join(f"{axis} {side}" for axis, side in zip("xyz", sides, strict=False))
    around = "; stubs lead around" if max(sides) > 2 else ""
    labels.append(Label(x=width / 2, y=0.14, text=f"torus {named}{around}", size=8.5))
    return Sketch(
        width=width,
        height=height,
        marks=tuple(marks),
        mark_of=mark_of,
        labels=tuple(labels),
        path=lambda a, b: _path(a, b, pitch, step if z_side > 1 else 0.0),
    )


def _path(a: Mark, b: Mark, pitch: float, step: float) -> list[Points]:
    """Straight to a neighbour; around the torus a stub at either end."""
    start, end = np.array([a.x, a.y]), np.array([b.x, b.y])
    way = end - start
    diagonal = bool(np.all(np.abs(way) > 1e-9))
    near = np.sqrt(2) * step if diagonal else pitch
    if "node" in (a.kind, b.kind) or np.hypot(*way) < near + 1e-6:
        return [np.stack([start, end])]
    out = way / np.hypot(*way) * (0.62 * near if diagonal else 0.42 * pitch)
    return [np.stack([start, start - out]), np.stack([end, end + out])]
