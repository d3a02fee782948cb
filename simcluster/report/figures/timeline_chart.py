"""The operations timeline: what chosen ranks run on both streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simcluster.report.figures import style
from simcluster.report.figures.ranks import like_first
from simcluster.timeline import metric
from simcluster.timeline.result import Result
from simcluster.timeline.states import States
from simcluster.timeline.stretch import one_step
from simcluster.timeline.timeline import Ints, Timeline

_NAMED = 0.035
"""A span at least this share of the window carries its name."""

_LETTERS = 150
"""Letters of a name that fit across the whole window."""

MOST_TRACKS = 4
"""Tracks drawn where no ranks are chosen."""

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
    once = np.zeros(len(timeline.operation), dtype=np.bool_)
    once[np.unique(timeline.track * len(timeline.operations) + timeline.operation, return_index=True)[1]] = True
    rows = np.array([op.layer in chosen for op in timeline.operations])[timeline.operation] & once
    return float(timeline.arrive_s[rows].min()), float(timeline.finish_s[rows].max())


def draw(result: Result, ranks: Sequence[int] | None = None, layers: int = 2, look: style.Look = style.LIGHT) -> Figure:
    """Two lanes a rank, compute above communication, for `layers` layers from the middle of the first step, or of a
    decode step half-way through a generation.

    Without `ranks`: the first rank of each track, or of the few that differ most where there are many, told with how
    many ranks are like it.
    """
    timeline, states = result.timeline, result.states
    assert timeline is not None
    assert states is not None
    whole = _whole(timeline)
    if timeline.segments:
        timeline = one_step(timeline, len(timeline.segments) // 2)
    tracks = [] if ranks is not None else most_different(timeline, states)
    shown = tuple(ranks) if ranks is not None else tuple(int(timeline.tracks.first[track]) for track in tracks)
    others = [like_first(timeline, track) for track in tracks] or [""] * len(shown)
    since, until = window(timeline, layers)
    scale, unit = style.time_unit(until - since)
    with style.canvas(look, 12, 1.9 + 1.05 * len(shown)) as figure:
        span = f"{metric.show('latency_s', until - since)} of the {metric.show('latency_s', timeline.end_s)} of {whole}"
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
                _lane(axes, timeline, spans.row, (since, until, scale), place + offset, used, look)
        axes.set_ylim(len(shown) - 0.05, -0.15)
        axes.set_xlim(since * scale, until * scale)
        ticks = [(place + offset + 0.19, f"{name}") for place in range(len(shown)) for offset, name in _LANES]
        axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks], fontsize=8)
        for place, (rank, more) in enumerate(zip(shown, others, strict=True)):
            for text, rise, weight in ((f"rank {rank:,}", 6 if more else 0, "bold"), (more, -6, "normal")):
                axes.annotate(
                    text, (0, place + 0.4), xycoords=("axes fraction", "data"), xytext=(-84, rise), fontweight=weight,
                    fontsize=10 if weight == "bold" else 9, textcoords="offset points", va="center", ha="right",
                    annotation_clip=False,
                )  # fmt: skip
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"time ({unit})")
        axes.legend(
            handles=[Patch(color=colour, label=label) for label, colour in used.items()],
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(used), fontsize=9, borderaxespad=0.2,
            handlelength=1.4, handletextpad=0.5, columnspacing=1.4,
        )  # fmt: skip
    return figure


_LANES = ((0.0, "compute"), (0.42, "communication"))


def _whole(timeline: Timeline) -> str:
    """What is drawn a part of."""
    if not timeline.segments:
        return "a step" if timeline.steps == 1 else f"{timeline.steps} steps"
    segment = timeline.segments[len(timeline.segments) // 2]
    return f"a {segment.name} step at context {segment.length:,.0f}" if segment.name == "decode" else "the prefill"


def _layers_named(timeline: Timeline, layers: int) -> str:
    numbers = sorted({op.layer for op in timeline.operations if op.layer is not None})
    first = len(numbers) // 2 if len(numbers) > layers else 0
    chosen = numbers[first : first + layers]
    return f"layers {chosen[0]} to {chosen[-1]} of {len(numbers)}" if chosen else "the whole step"


def most_different(timeline: Timeline, states: States) -> list[int]:
    """Tracks in the order of ranks, at most MOST_TRACKS: the one with the most ranks, then always the one whose time in
    the four states is farthest from that of all chosen ones."""
    spent = np.stack([states.computing, states.communicating, states.waiting, states.idle], axis=1)
    spent = np.round(spent / spent.sum(axis=1).max(), 9)  # sums in another order differ in the last digits
    chosen = [int(np.argmax(timeline.tracks.count))]
    while len(chosen) < min(MOST_TRACKS, len(spent)):
        away = np.abs(spent[:, None] - spent[chosen]).max(axis=2).min(axis=1)
        away[chosen] = -1.0
        chosen.append(int(np.argmax(away)))
    return sorted(chosen, key=lambda track: int(timeline.tracks.first[track]))


def _lane(
    axes: Axes, timeline: Timeline, rows: Ints, frame: Frame, y: float, used: dict[str, str], look: style.Look
) -> None:
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
        axes.broken_barh(bar, (y, 0.38), facecolors=colour, edgecolor=look.paper, linewidth=0.4)
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
