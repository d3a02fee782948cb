"""A layout of a dragonfly: groups on a circle, the routers of a group on a small one, machines outside."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from simcluster.report.figures.wiring.sketch import Label, Mark, Points, Sketch, View, components, fitting, span

MOST_ROUTERS = 640
"""Routers drawn one by one; of more, those of a group share a symbol."""

MOST_GROUPS = 72
"""Groups on the circle; of more, neighbours share a place."""

MOST_MACHINES = 72
_MACHINE = 0.24
"""Inches from one machine of a group to the next."""

_ROOM = (1.15, 0.6)
"""Inches right and left, and above and below the outermost symbols, for labels."""


def sketch(view: View) -> Sketch:
    """Groups are what local cables join; a machine stands outside the group of its first NIC."""
    groups = _groups(view)
    apart = len(groups) <= MOST_GROUPS and sum(map(len, groups)) <= MOST_ROUTERS
    if len(groups) > MOST_GROUPS:
        places = np.array_split(np.arange(len(groups)), MOST_GROUPS)
        groups = [[switch for place in some for switch in groups[place]] for some in places]
    machines = _machines(view, groups)
    each = view.machines <= MOST_MACHINES
    size, least = (0.15, 0.75) if len(groups) <= 4 else (0.14, 0.3) if len(groups) <= 16 else (0.1, 0.2)
    inner = max(least, max(map(len, groups)) * 1.65 * size / (2 * np.pi)) if apart else 0.0
    most = max(map(len, machines)) if each else 1
    widest = 2 * np.pi * (1 - 1 / most) if len(groups) == 1 else 0.8 * np.pi
    outer = max(inner + 0.36, _MACHINE * most / (widest or 1.0))
    fan = min(widest, (most - 1) * max(_MACHINE, 0.8 * size) / outer)
    if len(groups) == 1:
        fan = widest
    room = max(2 * inner + 0.24, 2 * outer * np.sin(min(fan, np.pi) / 2) + 0.34, 0.5)
    radius = 0.0 if len(groups) == 1 else 1.2 * room / (2 * np.sin(np.pi / len(groups)))
    half = radius + outer
    centre = np.array([half + _ROOM[0], half + _ROOM[1]])
    made = _Made(view=view, size=size, marks=[], labels=[], mark_of=np.full(len(view.kinds), -1, dtype=np.int64))
    for number, (group, owned) in enumerate(zip(groups, machines, strict=True)):
        angle = np.pi / 2 - 2 * np.pi * number / len(groups)
        middle = centre + radius * np.array([np.cos(angle), np.sin(angle)])
        made.add_routers(group, middle, angle, inner, mirrored=len(groups) == 2 and number == 1)
        made.add_machines(owned, middle, angle, outer, fan if len(owned) > 1 else 0.0, each)
        name = f"group {number}" if apart and len(groups) > 1 else ""
        made.add_label(name, owned, middle, angle, outer)
    return Sketch(
        width=2 * centre[0],
        height=2 * centre[1],
        marks=tuple(made.marks),
        mark_of=made.mark_of,
        labels=tuple(made.labels),
        path=lambda a, b: _path(a, b, centre, 2 * inner + 1e-6),
    )


class _Made:
    """Symbols and labels so far."""

    def __init__(self, *, view: View, size: float, marks: list[Mark], labels: list[Label], mark_of: np.ndarray) -> None:
        self.view, self.size, self.marks, self.labels, self.mark_of = view, size, marks, labels, mark_of

    def add_routers(self, group: list[int], middle: np.ndarray, angle: float, inner: float, *, mirrored: bool) -> None:
        """On a circle, the first one outermost; all in one symbol if the circle has no size.

        Of two groups one is mirrored, so that their cables do not all cross in the middle.
        """
        if inner == 0.0 or len(group) == 1:
            self.mark_of[group] = len(self.marks)
            text = fitting(0.3, str(len(group))) if len(group) > 1 else ""
            self.marks.append(Mark(kind="leaf", x=middle[0], y=middle[1], width=0.26, height=0.18, text=text))
            return
        for number, switch in enumerate(group):
            turn = angle + (-1 if mirrored else 1) * 2 * np.pi * (number + 0.5) / len(group)
            self.mark_of[switch] = len(self.marks)
            x, y = middle + inner * np.array([np.cos(turn), np.sin(turn)])
            self.marks.append(Mark(kind="leaf", x=x, y=y, width=self.size, height=self.size))

    def add_machines(
        self, owned: list[int], middle: np.ndarray, angle: float, outer: float, fan: float, each: bool
    ) -> None:
        """On an arc outside the group, or all in one symbol."""
        places = [[machine] for machine in owned] if each else [owned] if owned else []
        for number, some in enumerate(places):
            turn = angle - fan * (number / max(1, len(places) - 1) - 0.5)
            x, y = middle + outer * np.array([np.cos(turn), np.sin(turn)])
            for machine in some:
                for members in self.view.inside[machine].values():
                    self.mark_of[members] = len(self.marks)
            text = fitting(0.4, str(len(some))) if len(some) > 1 else ""
            self.marks.append(Mark(kind="node", x=x, y=y, width=0.3 if text else 0.13, height=0.16, text=text))

    def add_label(self, name: str, owned: list[int], middle: np.ndarray, angle: float, outer: float) -> None:
        """The group's name and machines, outside them."""
        lines = [name] if name else []
        if owned:
            lines.append(span(owned))
        across, up = np.cos(angle), np.sin(angle)
        x, y = middle + np.array([(outer + 0.22) * across, (outer + 0.2 + 0.12 * abs(up)) * up])
        align = "left" if across > 0.2 else "right" if across < -0.2 else "center"
        self.labels.append(Label(x=float(x), y=float(y), text="\n".join(lines), size=7.5, align=align))


def _groups(view: View) -> list[list[int]]:
    """Routers by the group that local cables join them in."""
    part = components(len(view.kinds), view.wiring.cable[view.direction == "local"].tolist())
    found: dict[int, list[int]] = defaultdict(list)
    for switch in view.switches("leaf"):
        found[int(part[switch])].append(switch)
    return list(found.values())


def _machines(view: View, groups: list[list[int]]) -> list[list[int]]:
    """The machines of every group: those whose first plugged NIC leads there."""
    group_of = {switch: number for number, group in enumerate(groups) for switch in group}
    found: list[list[int]] = [[] for _ in groups]
    for machine, kinds in enumerate(view.inside):
        leads = [group_of[s] for n in kinds.get("nic", []) for s in view.neighbours[n] if s in group_of]
        found[leads[0] if leads else 0].append(machine)
    return found


def _path(a: Mark, b: Mark, centre: np.ndarray, near: float) -> list[Points]:
    """Straight inside a group and to machines; between groups bent towards the centre of the circle."""
    start, end = np.array([a.x, a.y]), np.array([b.x, b.y])
    if "node" in (a.kind, b.kind) or np.hypot(*(end - start)) <= near:
        return [np.stack([start, end])]
    pull = centre + 0.35 * ((start + end) / 2 - centre)
    t = np.linspace(0.0, 1.0, 20)[:, None]
    return [(1 - t) ** 2 * start + 2 * t * (1 - t) * pull + t**2 * end]
