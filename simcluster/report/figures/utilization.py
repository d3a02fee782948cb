"""GPU utilization over time: a heat map over ranks, the mean of all ranks above it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from simcluster.report.figures import ranks, style
from simcluster.timeline import metric
from simcluster.timeline.coverage import covered_s, rows_by_track
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Floats, Timeline

COLUMNS = 600
"""Time bins of the heat map: about one per pixel of its width."""

MOST_ROWS = 256
"""Ranks that have a row each; more than this are drawn as bands of equal ranks, or averaged, never dropped."""

MOST_BANDS = 40

_BLOCK = 512
"""Tracks whose time bins are held at once."""

_BAND = 0.17
"""Inches of the band of a single rank: room for its name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The rows of the heat map: each is the mean over tracks with the weights in its row of `weights`.

    Row i reaches from `ends[i]` to `ends[i+1]`; `names` are the rows' own, None where the ends count ranks.
    """

    weights: Floats
    ends: Floats
    names: tuple[str, ...] | None


def busy_rows(timeline: Timeline, weights: Floats, bins: int) -> Floats:
    """Fraction of each of `bins` equal time bins in which the ranks of each row of `weights` compute, on average.

    Exact: a kernel that covers part of a bin counts with that part, so a row's mean is its ranks' compute busy.
    """
    edges = np.linspace(0.0, timeline.end_s, bins + 1)
    kernels, by_track = timeline.on_compute, rows_by_track(timeline)
    found = np.zeros((len(weights), bins))
    for start in range(0, len(by_track), _BLOCK):
        chosen = [rows[kernels[rows]] for rows in by_track[start : start + _BLOCK]]
        seconds = [np.diff(covered_s(timeline.start_s[rows], timeline.finish_s[rows], edges)) for rows in chosen]
        found += weights[:, start : start + _BLOCK] @ np.array(seconds)
    return found / (timeline.end_s / bins)


def heat_rows(timeline: Timeline) -> Rows:
    """A row per rank; of many ranks a band per track, or where the tracks are many, too, rows of as many ranks each."""
    tracks, count = timeline.tracks, timeline.ranks
    if count > MOST_ROWS and len(tracks) <= MOST_BANDS:
        # affine in the share of ranks: a larger class has a higher band, and a single rank still one
        room = max(3.0 - _BAND * len(tracks), 1.0)
        heights = _BAND + room * tracks.count / count
        names = tuple(ranks.all_named(timeline, track) for track in range(len(tracks)))
        return Rows(weights=np.eye(len(tracks)), ends=np.append(0.0, heights.cumsum()), names=names)
    each = -(-count // MOST_ROWS)
    row = np.arange(count) // each
    rows = int(row[-1]) + 1
    weights = np.bincount(row * len(tracks) + tracks.of_rank, minlength=rows * len(tracks)).reshape(rows, -1)
    ends = np.append(np.arange(rows) * each, count) - 0.5
    return Rows(weights=weights / weights.sum(axis=1, keepdims=True), ends=ends, names=None)


def draw(result: Result, look: style.Look = style.LIGHT) -> Figure:
    """Mean compute busy over time above, compute busy of every rank below."""
    timeline = result.timeline
    assert timeline is not None
    scale, unit = style.time_unit(timeline.end_s)
    shown = heat_rows(timeline)
    mean = timeline.tracks.count[None, :] / timeline.ranks
    busy = busy_rows(timeline, np.concatenate([shown.weights, mean]), COLUMNS)
    end = timeline.end_s * scale
    facts = ", ".join(
        f"{name} {metric.show(path, result.metrics[path])}"
        for path, name in (("latency_s", "latency"), ("compute_busy", "compute busy"), ("mfu", "MFU"))
    )
    tall = max(3.0, float(shown.ends[-1])) if shown.names is not None else 3.0
    with style.canvas(look, 10, 2.6 + tall) as figure:
        style.heading(figure, result.identity.scenario, f"{result.identity.plan}: {facts}")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2.6 * tall / 3.0))
        _draw_mean(above, busy[-1], end, look)
        image = _draw_heat(below, busy[:-1], shown, end, look)
        if shown.names is None:
            each = -(-timeline.ranks // MOST_ROWS)
            averaged = "" if each == 1 else f", {each:,} to a row"
            below.set_ylabel(f"rank (of {timeline.ranks:,}{averaged})")
        elif len(shown.names) > 1:
            below.set_ylabel("equal ranks (not to scale)")
        below.set_xlabel(f"time ({unit})")
        bar = figure.colorbar(image, ax=(above, below), pad=0.01, fraction=0.03, shrink=0.7, anchor=(0, 0))
        bar.set_label("computing (%)")
    return figure


def _draw_mean(axes: Axes, busy: Floats, end: float, look: style.Look) -> None:
    centres = (np.arange(len(busy)) + 0.5) * end / len(busy)
    axes.fill_between(centres, busy * 100, step="mid", color=style.COMPUTING, linewidth=0)
    overall = float(busy.mean()) * 100
    axes.axhline(overall, color=look.ink, linewidth=0.9, linestyle="--")
    axes.annotate(
        f"mean {overall:.1f} %", (1.0, overall), xycoords=("axes fraction", "data"), xytext=(-4, 0),
        textcoords="offset points", va="center", ha="right", fontsize=9,
        bbox={"facecolor": look.paper, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip
    axes.set_ylim(0, 105)
    axes.set_ylabel("GPUs computing\n(%)")
    style.quiet(axes, look)


def _draw_heat(axes: Axes, busy: Floats, shown: Rows, end: float, look: style.Look) -> QuadMesh:
    edges = np.linspace(0.0, end, busy.shape[1] + 1)
    image = axes.pcolormesh(edges, shown.ends, busy * 100, cmap=style.heat(look), vmin=0, vmax=100, rasterized=True)
    axes.set_xlim(0, end)
    axes.set_ylim(float(shown.ends[-1]), float(shown.ends[0]))
    if shown.names is None:
        style.whole_numbers(axes.yaxis)
        return image
    axes.hlines(shown.ends[1:-1], 0, end, colors=look.ink, linewidth=0.5)
    axes.set_yticks((shown.ends[:-1] + shown.ends[1:]) / 2, shown.names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    return image
