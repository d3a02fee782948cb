"""Where the time of a step goes: the four states, then every operation, exposed communication apart."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simcluster.report.figures import style
from simcluster.timeline import metric
from simcluster.timeline.result import Result
from simcluster.units import show_percent, show_seconds

_STATES = (
    ("compute_busy", "computing", style.COMPUTING),
    ("exposed_communication", "communicating, exposed", style.ALL_TO_ALL),
    ("waiting", "waiting", style.WAITING),
    ("idle", "idle", "#CCCCCC"),
)


def draw(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """A bar of the four states above; below, a bar per operation with the part hidden behind kernels hatched."""
    rows = sorted(result.by_operation, key=lambda row: row.seconds)
    latency_s = result.metrics["latency_s"] or 0.0
    scale, unit = style.time_unit(latency_s)
    with style.canvas(look, 10, 2.4 + 0.27 * len(rows)) as figure:
        facts = f"latency {show_seconds(latency_s)}, mean per GPU and step"
        style.heading(figure, result.identity.scenario, f"{result.identity.plan}: {facts}")
        above, below = figure.subplots(2, 1, height_ratios=(1, 0.5 * len(rows)))
        _draw_states(above, result, latency_s * scale, unit)
        for place, row in enumerate(rows):
            colour = style.KINDS[row.kind][1]
            exposed = row.seconds if row.kind == "compute" else row.exposed_seconds
            below.barh(place, exposed * scale, color=colour, height=0.72)
            below.barh(place, (row.seconds - exposed) * scale, left=exposed * scale, height=0.72, facecolor=look.paper,
                       edgecolor=colour, hatch="////", linewidth=0.8)  # fmt: skip
            told = f" {show_seconds(row.seconds)}  {show_percent(row.seconds / latency_s)}"
            below.text(row.seconds * scale, place, told, va="center", fontsize=8.5)
        below.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=9)
        below.set_xlim(0, max(row.seconds for row in rows) * scale * 1.2)
        below.set_ylim(-0.6, len(rows) - 0.4)
        below.set_xlabel(f"time per GPU and step ({unit})")
        below.tick_params(axis="y", length=0)
        style.quiet(below, look, "x")
        kinds = [kind for kind in style.KINDS if any(row.kind == kind for row in rows)]
        handles = [Patch(color=style.KINDS[kind][1], label=style.KINDS[kind][0]) for kind in kinds]
        if any(row.exposed_seconds < row.seconds * (1 - 1e-9) for row in rows if row.kind != "compute"):
            handles.append(Patch(facecolor=look.paper, edgecolor=look.ink, hatch="////", label="hidden behind kernels"))
        below.legend(handles=handles, loc="lower right", fontsize=9)
    return figure


def _draw_states(axes: Axes, result: Result, latency: float, unit: str) -> None:
    left = 0.0
    for path, name, colour in _STATES:
        share = result.metrics[path] or 0.0
        if share < 1e-9:
            continue
        axes.barh(0, share * latency, left=left, color=colour, height=0.8)
        if share > 0.12:
            told = f"{name}\n{metric.show(path, share)}"
            middle = left + share * latency / 2
            axes.text(middle, 0, told, ha="center", va="center", fontsize=9, color=style.text_on(colour))
        left += share * latency
    axes.set_xlim(0, latency)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"the step ({unit})")
