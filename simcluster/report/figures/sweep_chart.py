"""A sweep as panels against the first swept path: latency, throughput, MFU and exposed communication, and where GPUs
have a price or stated power, cost and energy."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from simcluster import units
from simcluster.report.figures import style
from simcluster.report.figures.lines import left_out, lines
from simcluster.timeline.table import Table

_PANELS = (
    ("latency_s", "latency (ms)", 1e3),
    ("mfu", "MFU (%)", 100.0),
    ("exposed_communication", "exposed communication (%)", 100.0),
)

_COSTS = (
    ("cost_per_million_tokens", "cost (USD per million tokens)", 1.0),
    ("energy_per_token_j", "energy (mJ a token)", 1e3),
)

_SCALES: tuple[tuple[units.Dimension, float, str], ...] = (
    ("bytes/s", 1e-9, "GB/s"),
    ("seconds", 1e6, "us"),
    ("bytes", 1e-9, "GB"),
    ("FLOP/s", 1e-12, "TFLOPS"),
    ("USD/h", 1.0, "USD/h"),
    ("watts", 1.0, "W"),
)


def draw(table: Table, look: style.Look = style.LIGHT) -> Figure:
    """One line per value of the other swept paths; points read under another convention are drawn hollow."""
    along, others = table.swept[0], table.swept[1:]
    places, unit, ticks = _axis([str(value) for value in table.column(along)])
    drawn = lines(table, places, look)
    rate, word = style.token_unit(max((max(line.values("throughput_tokens_per_s")) for line in drawn), default=0.0))
    throughput = ("throughput_tokens_per_s", f"throughput ({word}tokens/s)", rate)
    costs = [panel for panel in _COSTS if drawn and all(None not in line.cells(panel[0]) for line in drawn)]
    columns = 3 if costs else 2
    with style.canvas(look, 11 if columns == 2 else 14.5, 7.6) as figure:
        style.heading(figure, f"Sweep over {', '.join(table.swept)}", f"{table.title}{left_out(table, drawn)}")
        panels: list[Axes] = list(figure.subplots(2, columns, sharex=True).flat)
        for axes in panels[4 + len(costs) :]:
            axes.set_axis_off()
        shown = (_PANELS[0], throughput, *_PANELS[1:], *costs)
        for axes, (name, label, scale) in zip(panels, shown, strict=False):
            for line in drawn:
                line.draw(axes, line.values(name, scale), look)
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
            style.quiet(axes, look)
            _mark_axis(axes, places, ticks)
        for axes in panels[4 + len(costs) - columns : 4 + len(costs)]:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(f"{along}{f' ({unit})' if unit else ''}")
        if others:
            handles, labels = panels[0].get_legend_handles_labels()
            figure.legend(handles, labels, title=", ".join(others), loc="outside right upper", fontsize=9)
    return figure


def _axis(values: list[str]) -> tuple[list[float], str, dict[float, str]]:
    """Where each value stands, the unit, and tick labels by place: numbers to scale, anything else evenly spaced."""
    for dimension, scale, unit in _SCALES:
        try:
            places = [units.parse(value, dimension) * scale for value in values]
        except ValueError:
            continue
        return places, unit, {place: f"{place:g}" for place in sorted(places)}
    try:
        places = [float(value) for value in values]
    except ValueError:
        order = list(dict.fromkeys(values))
        places = [float(order.index(value)) for value in values]
        return places, "", {float(index): value for index, value in enumerate(order)}
    return places, "", {place: f"{place:g}" for place in sorted(places)}


def _mark_axis(axes: Axes, places: list[float], ticks: dict[float, str]) -> None:
    """Logarithmic where values span a factor of eight or more; a tick at each value while they are few."""
    if min(places) > 0 and max(places) / min(places) >= 8:
        axes.set_xscale("log")
        style.plain_numbers(axes.xaxis)
    if len(ticks) <= 12:
        axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels(list(ticks.values()), rotation=0 if max(map(len, ticks.values())) <= 8 else 30)
