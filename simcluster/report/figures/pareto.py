"""A search as a cloud: throughput per GPU against latency, the front as a numbered line, the asked-for plan marked."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
from matplotlib.transforms import Bbox

from simcluster.report.figures import style
from simcluster.timeline.ranking import Ranked, Ranking
from simcluster.units import plural

Place = tuple[float, float]

MOST_NAMED = 20
"""Plans of the front that are named, evenly along it, both ends among them."""

_ABOVE: tuple[Place, ...] = ((-5, 5), (0, 9), (-9, 0), (-12, 12), (0, 19), (-19, 0))
"""Where a plan's number may stand, in points from it, the nearest first: above and to the left no plan can be."""

_WIDE = 8.0
"""Ratio of largest to smallest value from which an axis is logarithmic."""


def draw(found: Ranking, look: style.Look = style.LIGHT) -> Figure:
    """All feasible plans; `found` has at least one."""
    rows = found.plans[: found.feasible]
    time, unit = style.time_unit(max(row.latency_s or 0.0 for row in rows))
    rate, word = style.token_unit(max(row.throughput_tokens_per_s_per_gpu or 0.0 for row in rows))

    def place(row: Ranked) -> Place:
        assert row.latency_s is not None
        assert row.throughput_tokens_per_s_per_gpu is not None
        return row.latency_s * time, row.throughput_tokens_per_s_per_gpu * rate

    everywhere, best = [place(row) for row in rows], [place(row) for row in found.front]
    with style.canvas(look, 11, 6.2) as figure:
        counted = f"{plural(found.feasible, 'feasible plan')} of {found.considered:,} considered"
        under = f" under {', '.join(found.constraints)}" if found.constraints else ""
        style.heading(figure, f"Plans of {found.scenario}", f"{counted}{under}; up and to the left is better")
        axes = figure.add_subplot()
        axes.plot(*zip(*everywhere, strict=True), "o", color=style.QUIET, markersize=4.5, alpha=0.55,
                  markeredgewidth=0, label="feasible plan")  # fmt: skip
        axes.plot(*zip(*best, strict=True), "o-", color=look.cycle[3], markersize=6.5, linewidth=1.6,
                  drawstyle="steps-post", label="Pareto front")  # fmt: skip
        if found.asked.fits:
            axes.plot(*place(found.asked), "D", color="none", markeredgecolor=look.cycle[0], markeredgewidth=2,
                      markersize=10, label=f"asked for: {found.asked.label}")  # fmt: skip
        _frame(axes, everywhere, look)
        axes.set_xlabel(f"latency ({unit})")
        axes.set_ylabel(f"throughput per GPU ({word}tokens/s)")
        named = _named(found.front)
        _key(figure, axes, [f"{number}  {row.label}" for number, row in named])
        _number(figure, axes, [(str(number), place(row)) for number, row in named], look)
    return figure


def _named(front: Sequence[Ranked]) -> list[tuple[int, Ranked]]:
    """The plans of the front that are named, with their numbers along it."""
    step = max(1.0, (len(front) - 1) / (MOST_NAMED - 1))
    places = [round(number * step) for number in range(min(len(front), MOST_NAMED))]
    return [(place + 1, front[place]) for place in places]


def _key(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    """What the marks mean and which plans the numbers are, beside the axes."""
    handles, labels = axes.get_legend_handles_labels()
    nothing = Line2D([], [], linestyle="none")
    figure.legend(
        [*handles, nothing, *(nothing for _ in names)],
        [*labels, "front, by rising latency:", *names],
        loc="outside right upper",
        fontsize=9,
    )


def _frame(axes: Axes, places: Sequence[Place], look: style.Look) -> None:
    """A pale grid; logarithmic axes where values are far apart."""
    for axis, values, scale in (
        (axes.xaxis, [x for x, _ in places], axes.set_xscale),
        (axes.yaxis, [y for _, y in places], axes.set_yscale),
    ):
        if max(values) >= _WIDE * min(values):
            scale("log")
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            style.plain_numbers(axis)
    axes.margins(x=0.05, y=0.08)
    style.quiet(axes, look)


def _number(figure: Figure, axes: Axes, numbers: Sequence[tuple[str, Place]], look: style.Look) -> None:
    """Each number beside its plan where it covers no other; left out where there is no room for it."""
    figure.draw_without_rendering()  # settles the layout, so that boxes can be compared in pixels
    renderer: RendererBase = RendererAgg(figure.bbox.width, figure.bbox.height, figure.dpi)  # type: ignore[no-untyped-call]
    taken: list[Bbox] = []
    for number, spot in numbers:
        for offset in _ABOVE:
            note = axes.annotate(number, spot, xytext=offset, textcoords="offset points", fontsize=9, color=look.ink,
                                 ha="right" if offset[0] < 0 else "center", va="bottom")  # fmt: skip
            note.set_in_layout(False)
            box = note.get_window_extent(renderer)
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            note.remove()
