"""The operations timeline: what chosen ranks run on both streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simcluster.report.figures import style
from simcluster.timeline import metric
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Ints, Timeline

_NAMED = 0.035
"""A span at least this share of the window carries its name."""

_LETTERS = 150
"""Letters of a name that fit across the whole window."""

Frame = tuple[float, float, float]
"""The window drawn, in seconds, and the scale from seconds to the axis' unit."""

_GROUPS = (
    ("attention.", "attention", style.ATTENTION),
    ("moe.", "experts", style.COMPUTING),
    ("mlp.", "MLP", style.COMPUTING),
    ("", "norm, residual, rest", style.QUIET),
)


def window(timeline: Timeline, layers: int) -> tuple[float, float]:
    """The time in which `layers` layers from the middle of the model run, from first start to last end, in seconds."""
    numbers = sorted({op.layer for op in timeline.operations if op.layer is not None})
    if not numbers:
        return 0.0, timeline.end_s
    first = len(numbers) // 2 if len(numbers) > layers else 0
    chosen = set(numbers[first : first + layers])
    rows = np.array([op.layer in chosen for op in timeline.operations])[timeline.operation] & (timeline.step == 0)
    return float(timeline.arrive_s[rows].min()), float(timeline.finish_s[rows].max())


def draw(result: Result, ranks: Sequence[int] | None = None, layers: int = 2, look: style.Look = style.LIGHT) -> Figure:
    """Two lanes a rank, compute above communication, for `layers` layers from the middle of the first step.

    Without `ranks`: the first rank, its neighbour, and the first rank of the next node's worth of ranks.
    """
    timeline = result.timeline
    assert timeline is not None
    shown = tuple(ranks) if ranks is not None else _default_ranks(timeline.ranks)
    since, until = window(timeline, layers)
    scale, unit = style.time_unit(until - since)
    with style.canvas(look, 12, 1.9 + 1.05 * len(shown)) as figure:
        span = f"{metric.show('latency_s', until - since)} of {metric.show('latency_s', timeline.end_s)}"
        style.heading(
            figure,
            result.identity.scenario,
            f"{result.identity.plan}: {_layers_named(timeline, layers)}, {span}",
        )
        axes = figure.subplots()
        used: dict[str, str] = {}
        for place, rank in enumerate(shown):
            for stream, offset in (("compute", 0.0), ("communication", 0.42)):
                spans = timeline.of(rank=rank, stream="compute" if stream == "compute" else "communication")
                _lane(axes, timeline, spans.row, (since, until, scale), place + offset, used)
        axes.set_ylim(len(shown) - 0.05, -0.15)
        axes.set_xlim(since * scale, until * scale)
        ticks = [(place + offset + 0.19, f"{name}") for place in range(len(shown)) for offset, name in _LANES]
        axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks], fontsize=8)
        for place, rank in enumerate(shown):
            axes.annotate(
                f"rank {rank}", (0, place + 0.4), xycoords=("axes fraction", "data"), xytext=(-92, 0),
                textcoords="offset points", va="center", ha="left", fontweight="bold", annotation_clip=False,
            )  # fmt: skip
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"time ({unit})")
        axes.legend(
            handles=[Patch(color=colour, label=label) for label, colour in used.items()],
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(used), fontsize=9, borderaxespad=0.2,
        )  # fmt: skip
    return figure


_LANES = ((0.0, "compute"), (0.42, "communication"))


def _layers_named(timeline: Timeline, layers: int) -> str:
    numbers = sorted({op.layer for op in timeline.operations if op.layer is not None})
    first = len(numbers) // 2 if len(numbers) > layers else 0
    chosen = numbers[first : first + layers]
    return f"layers {chosen[0]} to {chosen[-1]} of {len(numbers)}" if chosen else "the whole step"


def _default_ranks(ranks: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys(rank for rank in (0, 1, ranks // 2, ranks - 1) if rank < ranks))


def _lane(axes: Axes, timeline: Timeline, rows: Ints, frame: Frame, y: float, used: dict[str, str]) -> None:
    """The spans of one stream: a bar each, a grey bar while it waits, its name where there is room."""
    since, until, scale = frame
    for row in rows:
        arrive, start = float(timeline.arrive_s[row]), float(timeline.start_s[row])
        finish = float(timeline.finish_s[row])
        if finish < since or arrive > until:
            continue
        operation = timeline.operations[timeline.operation[row]]
        label, colour = _look(operation.name, operation.kind)
        used.setdefault(label, colour)
        if start > arrive:
            used.setdefault("waiting", style.WAITING)
            axes.broken_barh([(arrive * scale, (start - arrive) * scale)], (y, 0.38), facecolors=style.WAITING)
        bar = [(start * scale, (finish - start) * scale)]
        axes.broken_barh(bar, (y, 0.38), facecolors=colour, edgecolor="white", linewidth=0.4)
        share = (finish - start) / (until - since)
        name = operation.name.split(".")[-1].replace("_", "-")
        if share >= _NAMED and len(name) <= _LETTERS * share and start >= since and finish <= until:
            middle = (start + finish) / 2 * scale
            ink = style.text_on(colour)
            axes.text(middle, y + 0.19, name, ha="center", va="center", fontsize=8, color=ink, clip_on=True)


def _look(name: str, kind: str) -> tuple[str, str]:
    """Legend label and colour of an operation."""
    if kind != "compute":
        return style.KINDS[kind]
    return next((label, colour) for prefix, label, colour in _GROUPS if name.startswith(prefix))
