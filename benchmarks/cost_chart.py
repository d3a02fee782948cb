"""CPU time and peak memory of commands against the GPUs they simulate, in the style of the package's own figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from benchmarks.cost import Cost
from simcluster.report.figures import style

Points = Sequence[tuple[int, Cost]]

TICKS = {8: "8", 128: "128", 2048: "2,048", 32768: "32,768", 2**20: "1,048,576"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How a curve is drawn, and on which side of its last mark the label stands."""

    label: str
    colour: str
    thin: bool = False
    side: Literal["right", "upper right", "lower right", "left", "above"] = "right"


LINES = {
    "every GPU replayed": Line(label="every GPU replayed\n(--fold off)", colour=style.ALL_TO_ALL, side="left"),
    "one GPU slow": Line(label="one GPU slow", colour=style.COMMUNICATING, side="above"),
    "all GPUs equal": Line(label="all GPUs equal", colour=style.COMPUTING, side="lower right"),
    "one all-reduce": Line(label="one all-reduce\namong them all", colour=style.WAITING, thin=True),
    "one all-to-all": Line(label="one all-to-all\namong them all", colour=style.THIRD, thin=True, side="upper right"),
}

_SIDES: dict[str, tuple[tuple[int, int], Literal["left", "right", "center"]]] = {
    "right": ((7, 0), "left"),
    "upper right": ((7, 8), "left"),
    "lower right": ((7, -7), "left"),
    "left": ((-7, 9), "right"),
    "above": ((0, 10), "center"),
}
"""Points from the mark to the label, and which edge of the label is there."""


def write(found: Mapping[str, Points], where: str, path: Path) -> None:
    """Draw the (GPUs, cost) of every curve by name and save the figure; `where` names the machine."""
    style.save(draw(found, where), path)


def draw(found: Mapping[str, Points], where: str, look: style.Look = style.LIGHT) -> Figure:
    """Two panels, both axes logarithmic; the labels stand at the ends of the lines."""
    with style.canvas(look, 11, 4.8) as figure:
        subtitle = (
            "whole processes: run scenarios/ep64_tp2_pp1.yaml, one sequence per GPU (thick); collective alone (dashed)"
        )
        style.heading(figure, "What a command costs against the size of the cluster", subtitle)
        panels: list[Axes] = list(figure.subplots(1, 2))
        for name, points in found.items():
            gpus = [one for one, _ in points]
            _line(panels[0], LINES[name], gpus, [cost.cpu_s for _, cost in points])
            _line(panels[1], LINES[name], gpus, [cost.peak_mb for _, cost in points])
        _mark(panels[0], "CPU time (s)", [0.5, 1, 2, 5, 10, 20, 50], look)
        _mark(panels[1], "peak memory (MB)", [20, 50, 100, 200, 500, 1000, 2000], look)
        figure.supxlabel(f"measured on {where}", x=0.99, ha="right", fontsize=7.5, color=style.WAITING)
    return figure


def _line(axes: Axes, line: Line, gpus: list[int], values: list[float]) -> None:
    width, size, dashes = (1.2, 2.5, "--") if line.thin else (2.0, 4.5, "-")
    axes.plot(gpus, values, marker="o", color=line.colour, linewidth=width, markersize=size, linestyle=dashes)
    (across, up), where = _SIDES[line.side]
    axes.annotate(
        line.label, (gpus[-1], values[-1]), (across, up), textcoords="offset points",
        color=line.colour, ha=where, va="center", fontsize=9, linespacing=1.05,
        bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 0.5},
    )  # fmt: skip


def _mark(axes: Axes, label: str, values: list[float], look: style.Look) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(5, 6e7)
    axes.set_ylim(values[0], values[-1])
    axes.minorticks_off()
    axes.xaxis.set_major_locator(FixedLocator(list(TICKS)))
    axes.set_xticklabels(list(TICKS.values()))
    axes.yaxis.set_major_locator(FixedLocator(values))
    style.plain_numbers(axes.yaxis)
    axes.set_xlabel("GPUs")
    axes.set_title(label)
    style.quiet(axes, look)
