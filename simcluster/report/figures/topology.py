"""The wiring: spines above leaves above NICs above GPUs, every cable coloured by how much of it was used."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from simcluster.report.figures import style
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Timeline, Wiring
from simcluster.units import plural

MOST_MACHINES = 16
"""Machines drawn one by one; of more, the first and the last are drawn and the rest counted."""

_HEIGHT = {"spine": 4.0, "leaf": 3.0, "nic": 1.75, "gpu": 1.15, "nvswitch": 0.55}
_MARKS = {
    "spine": ("s", 90, style.THIRD),
    "leaf": ("s", 70, style.SCATTER),
    "nic": ("d", 14, style.COMMUNICATING),
    "gpu": ("o", 16, style.COMPUTING),
    "nvswitch": ("s", 34, style.ATTENTION),
}
_TITLES = {"spine": "spine switch", "leaf": "leaf switch", "nic": "NIC", "gpu": "GPU", "nvswitch": "NVSwitch"}
_ROWS = {"spine": "spines", "leaf": "leaves", "nic": "NICs", "gpu": "GPUs", "nvswitch": "NVSwitches"}


def draw(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """Every machine of a small cluster, the first and last ones of a large one, all switches above them."""
    timeline = result.timeline
    assert timeline is not None
    wiring = timeline.wiring
    machines = max(wiring.owner) + 1
    shown = _shown_machines(machines)
    place = _places(wiring, shown)
    used = timeline.links.bytes_on_wires(timeline.end_s) / (timeline.links.capacity * timeline.end_s)
    with style.canvas(look, 13, 6.2) as figure:
        counts = {kind: wiring.kinds.count(kind) for kind in _HEIGHT}
        facts = ", ".join(plural(count, _TITLES[kind]) for kind, count in counts.items() if count)
        style.heading(figure, result.identity.scenario, f"{plural(machines, 'node')}: {facts}; mean use over the run")
        axes = figure.subplots()
        most = float(used.max(initial=0.0))
        scale = Normalize(0.0, max(most, 1e-9) * 100)
        colours = style.heat(look, style.ALL_TO_ALL)
        _draw_cables(axes, timeline, place, used * 100, ScalarMappable(scale, colours), look)
        _draw_marks(axes, wiring, place)
        _draw_machines(axes, wiring, shown, place, look)
        for kind, height in _HEIGHT.items():
            if counts[kind]:
                axes.text(-0.015, height, _ROWS[kind], transform=axes.get_yaxis_transform(), ha="right", va="center")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(0.0, 4.4 if counts["leaf"] else 2.1)
        axes.set_axis_off()
        if most > 0:
            bar = figure.colorbar(ScalarMappable(scale, colours), ax=axes, shrink=0.6, pad=0.01, fraction=0.03)
            bar.set_label("mean use of a wire (%)")
    return figure


def _shown_machines(machines: int) -> tuple[int, ...]:
    if machines <= MOST_MACHINES:
        return tuple(range(machines))
    half = MOST_MACHINES // 2
    return (*range(half), *range(machines - half, machines))


def _places(wiring: Wiring, shown: tuple[int, ...]) -> dict[int, tuple[float, float]]:
    """Where each drawn node of the graph stands: machines side by side, switches spread evenly over the width."""
    rows: dict[str, list[int]] = defaultdict(list)
    inside: dict[tuple[int, str], list[int]] = defaultdict(list)
    for index, (kind, owner) in enumerate(zip(wiring.kinds, wiring.owner, strict=True)):
        if owner >= 0:
            inside[owner, kind].append(index)
        else:
            rows[kind].append(index)
    place = {}
    for kind, members in rows.items():
        for number, index in enumerate(members):
            place[index] = ((number + 0.5) / len(members), _HEIGHT[kind])
    width = 1 / len(shown)
    for slot, machine in enumerate(shown):
        for kind in ("gpu", "nic", "nvswitch"):
            members = inside[machine, kind]
            for number, index in enumerate(members):
                offset = (number + 0.5) / len(members) * 0.8 + 0.1
                place[index] = ((slot + offset) * width, _HEIGHT[kind])
    return place


def _draw_cables(
    axes: Axes,
    timeline: Timeline,
    place: dict[int, tuple[float, float]],
    used: np.ndarray,
    colours: ScalarMappable,
    look: style.Look,
) -> None:
    """Plain connections in grey; each cable once, in the colour of its fuller direction."""
    plain = [(place[a], place[b]) for a, b in timeline.wiring.plain if a in place and b in place]
    axes.add_collection(LineCollection(plain, colors=look.grid, linewidths=0.5, zorder=1))
    fuller: dict[tuple[int, int], float] = {}
    for (tail, head), use in zip(timeline.wiring.cable.tolist(), used.tolist(), strict=True):
        if tail in place and head in place:
            ends = (min(tail, head), max(tail, head))
            fuller[ends] = max(fuller.get(ends, 0.0), use)
    ordered = sorted(fuller.items(), key=lambda item: item[1])
    lines = [(place[a], place[b]) for (a, b), _ in ordered]
    many = len(lines) > 200
    axes.add_collection(LineCollection(lines, colors=look.grid, linewidths=0.9 if many else 1.6, zorder=2))
    tints = colours.to_rgba(np.array([use for _, use in ordered]))
    axes.add_collection(LineCollection(lines, colors=list(tints), linewidths=0.6 if many else 1.3, zorder=3))


def _draw_marks(axes: Axes, wiring: Wiring, place: dict[int, tuple[float, float]]) -> None:
    for kind, (marker, size, colour) in _MARKS.items():
        points = [place[index] for index in place if wiring.kinds[index] == kind]
        if points:
            axes.scatter([x for x, _ in points], [y for _, y in points], s=size, marker=marker, color=colour, zorder=4)


def _draw_machines(
    axes: Axes, wiring: Wiring, shown: tuple[int, ...], place: dict[int, tuple[float, float]], look: style.Look
) -> None:
    """A box round each machine and its number; between first and last ones, how many are left out."""
    width = 1 / len(shown)
    for slot, machine in enumerate(shown):
        box = FancyBboxPatch(
            ((slot + 0.05) * width, 0.35), 0.9 * width, 1.6, boxstyle="round,pad=0,rounding_size=0.008",
            facecolor="none", edgecolor=look.grid, linewidth=1.0, zorder=0,
        )  # fmt: skip
        axes.add_patch(box)
        axes.text((slot + 0.5) * width, 0.14, f"node {machine}", ha="center", va="center", fontsize=8)
    left_out = max(wiring.owner) + 1 - len(shown)
    if left_out > 0:
        told = f"{left_out:,} nodes between\nnot drawn"
        ink = {"facecolor": look.paper, "edgecolor": look.ink, "pad": 3}
        axes.text(0.5, 2.35, told, ha="center", va="center", fontsize=9, bbox=ink, zorder=6)
