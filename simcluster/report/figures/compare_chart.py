"""What each column's latency is made of: a stacked bar of its critical path, column under column."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simcluster.report.figures import style
from simcluster.timeline.comparison import Compared
from simcluster.timeline.critical_path import PARTS, Part
from simcluster.units import plural, show_seconds

COLOURS: dict[Part, str] = {
    "compute": style.COMPUTING,
    "hbm": style.ATTENTION,
    "launch": style.QUIET,
    "nvlink": style.GATHER,
    "infiniband": style.ALL_TO_ALL,
    "pcie": style.SCATTER,
    "latency": style.COMMUNICATING,
    "waiting": style.WAITING,
    "bubble": "#CCCCCC",
    "host": style.THIRD,
}

_WIDE = 0.045
"""Share of the axis from which a part has its share of the bar written on it."""


def draw(columns: Sequence[Compared], look: style.Look = style.LIGHT) -> Figure:
    """One bar a column, the first on top; a column without numbers has its reason in place of a bar."""
    longest = max((one.latency_s for one in columns if one.ran), default=1.0)
    scale, unit = style.time_unit(longest)
    with style.canvas(look, 10, 2.1 + 0.55 * len(columns)) as figure:
        scenarios = list(dict.fromkeys(one.scenario for one in columns))
        title = scenarios[0] if len(scenarios) == 1 else f"{plural(len(scenarios), 'scenario')} compared"
        style.heading(figure, title, "critical path of a step: what the latency is made of")
        axes = figure.subplots()
        for place, one in enumerate(columns):
            if not one.ran:
                axes.text(0, place, f" {_cut(one.reason)}", va="center", fontsize=9, style="italic")
                continue
            left = 0.0
            for part, seconds in one.path.items():
                axes.barh(place, seconds * scale, left=left * scale, color=COLOURS[part], height=0.66)
                if seconds > _WIDE * longest:
                    told = f"{100 * seconds / one.latency_s:.0f} %"
                    axes.text((left + seconds / 2) * scale, place, told, ha="center", va="center", fontsize=8.5,
                              color=style.text_on(COLOURS[part]))  # fmt: skip
                left += seconds
            first = columns[0]
            times = f"  ({one.latency_s / first.latency_s:.2f} x)" if one is not first and first.ran else ""
            axes.text(left * scale, place, f" {show_seconds(one.latency_s)}{times}", va="center", fontsize=9)
        axes.set_yticks(range(len(columns)), [one.label for one in columns])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(columns) - 0.4, -0.6)
        axes.set_xlim(0, longest * scale * 1.22)
        axes.set_xlabel(f"latency of a step ({unit})")
        style.quiet(axes, look, "x")
        seen = [part for part in PARTS if any(one.path.get(part, 0) > 0 for one in columns)]
        handles = [Patch(color=COLOURS[part], label=PARTS[part]) for part in seen]
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), fontsize=9)
    return figure


def _cut(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:89]}…"
