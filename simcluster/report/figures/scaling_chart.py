"""How a plan family scales: a sweep over `cluster.nodes` as throughput, efficiency, latency, exposed communication."""

from __future__ import annotations

from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from simcluster.report.figures import style
from simcluster.report.figures.lines import Line, left_out, lines
from simcluster.timeline.table import Table


def comparable(line: Line) -> list[int]:
    """Which of the line's points are the same plan: those of the base reading, or all where none is."""
    same = [index for index, hollow in enumerate(line.hollow) if not hollow]
    return same or list(range(len(line.at)))


def efficiency(line: Line) -> list[float]:
    """Throughput per GPU relative to the smallest comparable cluster; not a number for points of another reading.

    With work that follows the GPUs that is weak-scaling efficiency, T(n0)/T(n); with fixed work strong-scaling
    efficiency, (T(n0)/T(n)) / (n/n0).
    """
    per_gpu, same = line.values("throughput_tokens_per_s_per_gpu"), comparable(line)
    return [value / per_gpu[same[0]] if index in same else nan for index, value in enumerate(per_gpu)]


def regime(line: Line) -> str:
    """Whether the line's work stays the same (strong), follows its GPUs (weak), or neither (mixed)."""
    tokens, gpus = line.values("tokens"), line.values("gpus")
    if len(set(tokens)) == 1 and len(tokens) > 1:
        return "strong"
    return "weak" if len({count / size for count, size in zip(tokens, gpus, strict=True)}) == 1 else "mixed"


def draw(table: Table, look: style.Look = style.LIGHT) -> Figure:
    """Against the number of GPUs, both on logarithmic axes where the ideal is a straight line."""
    places = [float(str(row["gpus"] or 1)) for row in table.rows]
    drawn = lines(table, places, look)
    scale, word = style.token_unit(max((max(line.values("throughput_tokens_per_s")) for line in drawn), default=0.0))
    with style.canvas(look, 11, 7.6) as figure:
        style.heading(figure, "Scaling over the number of nodes", f"{table.title}{left_out(table, drawn)}")
        rate, scaled, latency, exposed = figure.subplots(2, 2, sharex=True).flat
        for line in drawn:
            through, first = line.values("throughput_tokens_per_s", scale), comparable(line)[0]
            ideal = [through[first] * place / line.at[first] for place in line.at[first:]]
            rate.plot(line.at[first:], ideal, linestyle=":", color=line.colour, linewidth=1)
            line.draw(rate, through, look)
            line.draw(scaled, [100 * value for value in efficiency(line)], look)
            line.draw(latency, line.values("latency_s", 1e3), look)
            line.draw(exposed, line.values("exposed_communication", 100), look)
        rate.set_yscale("log")
        style.plain_numbers(rate.yaxis)
        rate.set_ylabel(f"throughput ({word}tokens/s; dotted: ideal)")
        scaled.set_ylabel("scaling efficiency (%)")
        latency.set_ylabel("latency (ms)")
        exposed.set_ylabel("exposed communication (%)")
        for axes in (scaled, latency, exposed):
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        scaled.set_ylim(top=max(105.0, scaled.get_ylim()[1]))
        for axes in (rate, scaled, latency, exposed):
            style.quiet(axes, look)
            _mark_gpus(axes, sorted({place for line in drawn for place in line.at}))
        for axes in (latency, exposed):
            axes.set_xlabel("GPUs")
        handles = [Line2D([], [], color=line.colour, marker=line.marker) for line in drawn]
        labels = [f"{line.label or 'all points'} ({regime(line)})" for line in drawn]
        title = f"{', '.join(table.swept[1:])} (scaling)" if table.swept[1:] else "scaling"
        figure.legend(handles, labels, title=title, loc="outside right upper", fontsize=9)
    return figure


def _mark_gpus(axes: Axes, places: list[float]) -> None:
    axes.set_xscale("log", base=2)
    if len(places) <= 12:
        axes.xaxis.set_major_locator(FixedLocator(places))
        axes.set_xticklabels([f"{place:,.0f}" for place in places])
    axes.xaxis.set_minor_locator(NullLocator())
