"""A pipeline over a step: when each stage works on each microbatch, and where it stands idle."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simcluster.report.figures import style
from simcluster.report.figures.ranks import all_named
from simcluster.timeline import metric
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Floats, Ints, Timeline

MOST_STAGES = 16
"""Stages that are drawn; of more, the first and the last ones."""

_NUMBERED = 0.012
"""A microbatch at least this share of the width carries its number."""


def is_pipeline(timeline: Timeline) -> bool:
    """Whether stages send to each other."""
    return any(operation.name == "pipeline.send" for operation in timeline.operations)


def draw(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """A row a stage, of its first rank: bars from the first kernel of each microbatch to its last one, and below them
    its sends.  Blank is idle: the bubble."""
    timeline = result.timeline
    assert timeline is not None
    tracks = _stages(timeline)
    scale, unit = style.time_unit(timeline.end_s)
    with style.canvas(look, 12, 1.7 + 0.55 * len(tracks)) as figure:
        count = len(_rounds(timeline, tracks[0])[0]) // timeline.steps
        facts = f"{count} microbatches, {metric.show('idle', result.metrics['idle'])} of the time idle"
        style.heading(figure, result.identity.scenario, f"{result.identity.plan}: {facts}")
        axes = figure.subplots()
        for place, track in enumerate(tracks):
            _row(axes, timeline, track, place, (scale, count), look)
        axes.set_ylim(len(tracks) - 0.1, -0.15)
        axes.set_xlim(0, timeline.end_s * scale)
        names = [f"stage {_stage(timeline, track)}  ({all_named(timeline, track)})" for track in tracks]
        axes.set_yticks([place + 0.3 for place in range(len(tracks))], names, fontsize=9)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"time ({unit})")
        parts = (("a microbatch", style.COMPUTING), ("the next one", style.ATTENTION))
        handles = [Patch(color=colour, label=label) for label, colour in (*parts, style.KINDS["send_recv"])]
        axes.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, fontsize=9, borderaxespad=0.2,
            handlelength=1.4, handletextpad=0.5, columnspacing=1.4,
        )  # fmt: skip
    return figure


def _stages(timeline: Timeline) -> list[int]:
    """The track of the first rank of each stage, which runs other operations than those of other stages."""
    first: dict[int, int] = {}
    for track in range(len(timeline.tracks)):
        first.setdefault(_first_operation(timeline, track), track)
    tracks = [first[operation] for operation in sorted(first)]
    half = MOST_STAGES // 2
    return tracks if len(tracks) <= MOST_STAGES else tracks[:half] + tracks[-half:]


def _stage(timeline: Timeline, track: int) -> int:
    firsts = sorted({_first_operation(timeline, each) for each in range(len(timeline.tracks))})
    return firsts.index(_first_operation(timeline, track))


def _first_operation(timeline: Timeline, track: int) -> int:
    return int(timeline.operation[timeline.track == track].min())


def _rounds(timeline: Timeline, track: int) -> tuple[Floats, Floats]:
    """Start and end of each microbatch on a track: from its first kernel to its last."""
    rows: Ints = np.flatnonzero((timeline.track == track) & timeline.on_compute)
    opening = np.flatnonzero(timeline.operation[rows] == _first_operation(timeline, track))
    last = np.append(opening[1:], len(rows)) - 1
    return timeline.start_s[rows[opening]], timeline.finish_s[rows[last]]


def _row(axes: Axes, timeline: Timeline, track: int, place: int, shape: tuple[float, int], look: style.Look) -> None:
    (scale, count), width = shape, timeline.end_s
    for number, (start, finish) in enumerate(zip(*_rounds(timeline, track), strict=True)):
        colour = (style.COMPUTING, style.ATTENTION)[number % 2]
        bar = [(start * scale, (finish - start) * scale)]
        axes.broken_barh(bar, (place, 0.5), facecolors=colour, edgecolor=look.paper, linewidth=0.4)
        if finish - start >= _NUMBERED * width:
            middle, ink = (start + finish) / 2 * scale, style.text_on(colour)
            axes.text(middle, place + 0.25, f"{number % count + 1}", ha="center", va="center", fontsize=8, color=ink)
    sends = [index for index, operation in enumerate(timeline.operations) if operation.name == "pipeline.send"]
    rows = np.flatnonzero((timeline.track == track) & np.isin(timeline.operation, sends))
    bars = [(timeline.start_s[row] * scale, (timeline.finish_s[row] - timeline.start_s[row]) * scale) for row in rows]
    axes.broken_barh(bars, (place + 0.54, 0.12), facecolors=style.KINDS["send_recv"][1])
