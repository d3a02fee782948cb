"""The wiring: every cable coloured by how much of it was used, whatever the fabric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle

from simcluster.report.figures import style
from simcluster.report.figures.wiring import folded, grid, layers, ring
from simcluster.report.figures.wiring.sketch import Box, Points, Sketch, View
from simcluster.timeline.links import equally_full, fullest_wires, mean_use, thinner
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Timeline
from simcluster.units import plural, show_bytes_per_s, show_percent

_TOP_SWITCH = "#8470C2"
"""No other kind of symbol, and no shade of a used cable, is violet."""

_COLOURS = {
    "top": _TOP_SWITCH,
    "core": style.WAITING,
    "spine": style.THIRD,
    "leaf": style.SCATTER,
    "nic": style.COMMUNICATING,
    "pcie": style.GATHER,
    "gpu": style.COMPUTING,
    "nvswitch": style.ATTENTION,
    "node": style.QUIET,
}
_TITLES = {
    "top": "top switch", "core": "core switch", "spine": "spine switch", "leaf": "leaf switch", "nic": "NIC",
    "pcie": "PCIe root", "gpu": "GPU", "nvswitch": "NVSwitch", "node": "node",
}  # fmt: skip
_MARKERS = {"gpu": "o", "nic": "D"}

_TOP, _BOTTOM, _RIGHT, _SIDE = 0.75, 0.62, 1.15, 0.2
_LEAST_WIDTH = 9.0
_DASHES = (0, (3, 1.2))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cables:
    """Cables between symbols of a sketch: `ends` as pairs of them, and of the wires each stands for the fullest use
    over the run, and whether any is thinner than most of its class."""

    ends: np.ndarray
    use: np.ndarray
    thin: np.ndarray


def draw(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """The wiring of a result's cluster."""
    assert result.timeline is not None
    return draw_wiring(result.timeline, result.identity.scenario, look)


def draw_wiring(timeline: Timeline, title: str, look: style.Look = style.LIGHT) -> Figure:
    """All switches, and all machines of a small cluster; in a large one equal neighbours share a symbol, in a folded
    one all that are equal."""
    view = View(timeline)
    sketches = layout(view, timeline)
    used = mean_use(timeline)
    most = float(used.max(initial=0.0))
    width = sum(sketch.width for sketch in sketches) + 2 * _SIDE + (_RIGHT if most > 0 else 0.0)
    height = max(sketch.height for sketch in sketches) + _TOP + _BOTTOM
    left = _SIDE + max(0.0, _LEAST_WIDTH - width) / 2
    width = max(width, _LEAST_WIDTH)
    colours = ScalarMappable(
        Normalize(0.0, max(most, 1e-9) * 100), LinearSegmentedColormap.from_list("use", [look.grid, style.ALL_TO_ALL])
    )
    with style.canvas(look, width, height) as figure:
        figure.set_layout_engine("none")
        style.heading(figure, title, _facts(view))
        figure.texts[0].set_y(1 - 0.08 / height)
        for sketch in sketches:
            bottom = _BOTTOM + (height - _TOP - _BOTTOM - sketch.height) / 2
            place = (left / width, bottom / height, sketch.width / width, sketch.height / height)
            axes = figure.add_axes(place)
            axes.set(xlim=(0, sketch.width), ylim=(0, sketch.height))
            axes.set_axis_off()
            _draw_sketch(axes, sketch, timeline, used, colours, look)
            left += sketch.width
        if most > 0:
            tall = min(2.6, height - _TOP - _BOTTOM - 0.1)
            middle = _BOTTOM + (height - _TOP - _BOTTOM - tall) / 2
            scale = figure.add_axes(((width - 0.95) / width, middle / height, 0.16 / width, tall / height))
            figure.colorbar(colours, cax=scale).set_label("mean use of a wire\nover the run (%)")
        figure.text(0.01, 0.12 / height, _fullest(timeline, used) + _sharing(sketches), fontsize=9, va="bottom")
        if view.wiring.listed:
            _draw_legend(figure, view, sketches, bool(thinner(timeline.links).any()), look)
    return figure


def layout(view: View, timeline: Timeline) -> tuple[Sketch, ...]:
    """A torus as a grid and a dragonfly as a ring, each beside the machine with the fullest wire; else layers.

    A folded wiring is drawn as it is.
    """
    if not view.wiring.listed:
        return (folded.sketch(view, timeline),)
    if not view.routed:
        return (layers.sketch(view),)
    shape = grid.shape(view)
    owner = view.owner[timeline.wiring.cable].max(axis=1)
    used = mean_use(timeline)[timeline.wiring.column].round(9)
    machine = int(owner[np.argmax(np.where(owner >= 0, used, -1.0))])
    return layers.sketch(view, [[machine]]), ring.sketch(view) if shape is None else grid.sketch(view, shape)


def cables(timeline: Timeline, sketch: Sketch, used: np.ndarray) -> Cables:
    """The cables a sketch shows, least used first; both directions of one, and all between two symbols, are one.

    `used` is the use of a wire of each column.
    """
    column = timeline.wiring.column
    ends = np.sort(sketch.mark_of[timeline.wiring.cable], axis=1).reshape(-1, 2)
    shown = (ends[:, 0] >= 0) & (ends[:, 0] != ends[:, 1])
    pairs, which = np.unique(ends[shown], axis=0, return_inverse=True)
    use, thin = np.zeros(len(pairs)), np.zeros(len(pairs), dtype=np.bool_)
    np.maximum.at(use, which.ravel(), used[column][shown])
    np.logical_or.at(thin, which.ravel(), thinner(timeline.links)[column][shown])
    order = np.argsort(use, kind="stable")
    return Cables(ends=pairs[order], use=use[order], thin=thin[order])


def _facts(view: View) -> str:
    stands_for = np.array(view.wiring.stands_for)
    counts = {kind: int(stands_for[view.kinds == kind].sum()) for kind in reversed(_TITLES)}
    if not view.wiring.listed:
        return f"{plural(counts['gpu'], 'GPU')}; a box stands for all that are equal"
    told = [plural(count, _title(view, kind)) for kind, count in counts.items() if count]
    return f"{plural(view.machines, 'node')}: {', '.join(told)}"


def _title(view: View, kind: str) -> str:
    return "router" if kind == "leaf" and view.routed else _TITLES[kind]


def _fullest(timeline: Timeline, used: np.ndarray) -> str:
    """Names the fullest wire of the run."""
    if not used.any():
        return "no wire carries anything" if len(used) else ""
    (fullest,) = fullest_wires(timeline, 1)
    column = fullest.column
    tail, head = (timeline.wiring.names[end] for end in timeline.wiring.cable[fullest.wire].tolist())
    others = equally_full(timeline, column) - 1
    more = f"; {plural(others, 'other wire')} as full" if others else ""
    share = f"{show_percent(float(used[column]))} of {show_bytes_per_s(float(timeline.links.capacity[column]))}"
    return f"fullest wire (outlined): {tail} → {head}, {share}{more}"


def _sharing(sketches: Sequence[Sketch]) -> str:
    shared = any(box.stacked for sketch in sketches for box in sketch.boxes) or any(
        mark.kind == "node" and mark.text for sketch in sketches for mark in sketch.marks
    )
    return "; a cable of several shows its fullest" if shared else ""


def _draw_sketch(
    axes: Axes, sketch: Sketch, timeline: Timeline, used: np.ndarray, colours: ScalarMappable, look: style.Look
) -> None:
    for box in sketch.boxes:
        _draw_box(axes, box, look)
    plain = np.unique(np.sort(sketch.mark_of[timeline.wiring.plain], axis=1).reshape(-1, 2), axis=0)
    joins = [line for a, b in plain.tolist() if a >= 0 and a != b for line in _lines(sketch, a, b)]
    axes.add_collection(LineCollection(joins, colors=style.WAITING, linewidths=0.8, linestyles=(0, (1, 1.5)), zorder=1))
    shown = cables(timeline, sketch, used)
    thick = 1.5 if len(shown.ends) < 100 else 1.1 if len(shown.ends) < 400 else 0.7
    tints = colours.to_rgba(shown.use * 100)
    for chosen, dashes in ((~shown.thin, "solid"), (shown.thin, _DASHES)):
        lines, tinted = [], []
        for index in np.flatnonzero(chosen).tolist():
            drawn = _lines(sketch, *shown.ends[index].tolist())
            lines += drawn
            tinted += [tints[index]] * len(drawn)
        axes.add_collection(LineCollection(lines, colors=tinted, linewidths=thick, linestyles=dashes, zorder=2))
    if used.any():
        (fullest,) = fullest_wires(timeline, 1)
        a, b = sketch.mark_of[timeline.wiring.cable[fullest.wire]].tolist()
        if a >= 0 and b >= 0 and a != b:
            lines = _lines(sketch, a, b)
            axes.add_collection(LineCollection(lines, colors=look.ink, linewidths=thick + 2.4, zorder=2.1))
            tint = colours.to_rgba(np.array([used[fullest.column] * 100]))
            axes.add_collection(LineCollection(lines, colors=tint, linewidths=thick + 0.4, zorder=2.2))
    _draw_marks(axes, sketch, look)
    for label in sketch.labels:
        back = {"facecolor": look.paper, "edgecolor": "none", "pad": 1.0} if label.backed else None
        axes.text(label.x, label.y, label.text, ha=label.align, va="center", fontsize=label.size, linespacing=1.15,
                  bbox=back, zorder=5)  # fmt: skip


def _lines(sketch: Sketch, a: int, b: int) -> list[Points]:
    return sketch.path(sketch.marks[a], sketch.marks[b])


def _draw_box(axes: Axes, box: Box, look: style.Look) -> None:
    for depth in (2, 1, 0) if box.stacked else (0,):
        axes.add_patch(
            FancyBboxPatch(
                (box.x + 0.035 * depth, box.y + 0.035 * depth), box.width, box.height,
                boxstyle="round,pad=0,rounding_size=0.06", facecolor=look.paper, edgecolor=look.grid, linewidth=1.0,
                zorder=0.5 - 0.1 * depth,
            )
        )  # fmt: skip


def _draw_marks(axes: Axes, sketch: Sketch, look: style.Look) -> None:
    for kind in dict.fromkeys(mark.kind for mark in sketch.marks):
        alike = [mark for mark in sketch.marks if mark.kind == kind]
        colour = _COLOURS[kind]
        if kind in _MARKERS and not any(mark.text for mark in alike):
            side = 0.7 if _MARKERS[kind] == "D" else 1.0
            sizes = [(72 * mark.width * side) ** 2 for mark in alike]
            axes.scatter([mark.x for mark in alike], [mark.y for mark in alike], s=sizes, marker=_MARKERS[kind],
                         color=colour, linewidths=0, zorder=4)  # fmt: skip
            continue
        for mark in alike:
            corner = (mark.x - mark.width / 2, mark.y - mark.height / 2)
            axes.add_patch(Rectangle(corner, mark.width, mark.height, color=colour, linewidth=0, zorder=4))
            if mark.text:
                ink = style.text_on(colour)
                middle = "center" if "\n" in mark.text else "center_baseline"
                axes.text(mark.x, mark.y, mark.text, ha="center", va=middle, fontsize=mark.size, color=ink, zorder=5)


def _draw_legend(figure: Figure, view: View, sketches: Sequence[Sketch], dashed: bool, look: style.Look) -> None:
    kinds = {mark.kind for sketch in sketches for mark in sketch.marks}
    handles = [
        Line2D([], [], linestyle="", marker=_MARKERS.get(kind, "s"), markersize=6, color=_COLOURS[kind],
               label=_title(view, kind))
        for kind in reversed(_TITLES) if kind in kinds
    ]  # fmt: skip
    if dashed:
        handles.append(
            Line2D([], [], color=look.ink, linestyle=(0, (3, 1.2)), label="less capacity than others of its kind")
        )
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.008, 0.3 / figure.get_figheight()), ncols=8,
                  fontsize=9, handletextpad=0.4, columnspacing=1.4, borderaxespad=0.0, borderpad=0.1)  # fmt: skip
