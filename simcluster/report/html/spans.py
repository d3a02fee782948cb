"""The spans of a timeline as a page's script reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from simcluster.report.html.blocks import Chart
from simcluster.report.html.curves import curves
from simcluster.timeline.limit import LIMITS
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Operation, Timeline
from simcluster.units import plural, show_bytes, show_flop, show_seconds

MOST_TRACKS = 8
"""Classes of ranks shown."""

MOST_SPANS = 50_000
"""Spans shown; a page stays below three megabytes."""

SHOWN = 400
"""Spans of a lane in the window that a page opens with."""

LANES = ("compute", "communication", "exchange", "send")

HUES = {
    "compute": ("computing", "kernels"),
    "all_to_all": ("exchange", "all-to-all"),
    "all_reduce": ("communicating", "all-reduce"),
    "all_gather": ("gather", "all-gather"),
    "reduce_scatter": ("scatter", "reduce-scatter"),
    "send_recv": ("send", "send"),
    "broadcast": ("other", "broadcast"),
}
"""Colour in page.css and name of each kind of operation."""


def chart(result: Result) -> Chart:
    """What the first ranks of a few classes run: their first step, as far as it can be shown; below it, how full GPUs
    and wires are meanwhile."""
    timeline = result.timeline
    assert timeline is not None
    tracks = _shown(timeline)
    chosen = np.flatnonzero(np.isin(timeline.track, tracks) & (timeline.step == 0))
    order = chosen[np.argsort(timeline.start_s[chosen], kind="stable")][:MOST_SPANS]
    lanes = [lane for track in tracks for lane in _lanes(timeline, track, order)]
    kinds = dict.fromkeys(operation.kind for operation in timeline.operations)
    ends = [lane["start"][min(SHOWN, len(lane["start"])) - 1] for lane in lanes]
    end_s = max(lane["start"][-1] + lane["length"][-1] for lane in lanes)
    data = {
        "end_s": end_s,
        "window": [0, max(max(ends), end_s / 50) if ends else end_s],
        "lanes": lanes,
        "curves": curves(timeline, end_s),
        "operations": [_operation(one) for one in timeline.operations],
        "legend": [[HUES[kind][1], HUES[kind][0]] for kind in kinds],
    }
    classes = ", ".join(f"rank {timeline.tracks.first[track]} for {timeline.tracks.count[track]:,}" for track in tracks)
    told = [f"Equal ranks are drawn once ({classes}).", "Curves are means over all GPUs, or all wires of a kind."]
    if len(timeline.tracks) > len(tracks):
        left = len(timeline.tracks) - len(tracks)
        told.append(
            f"Of {left + len(tracks):,} kinds of ranks {left:,} are not drawn, whose kernels take times between."
        )
    if timeline.steps > 1:
        told.append(f"The first of {timeline.steps} steps.")
    if len(chosen) > len(order):
        told.append(f"The first {len(order):,} of {len(chosen):,} spans.")
    if any(operation.times > 1 for operation in timeline.operations):
        told.append("A decode step is drawn as long as all the steps that it stands for.")
    if data["window"][1] < end_s:
        told.append(f"The first {show_seconds(data['window'][1])} of {show_seconds(end_s)} are shown; 0 shows all.")
    told.append("Drag to move; the wheel zooms once the timeline has the focus.")
    label = f"Timeline of {plural(len(lanes), 'stream')}, {show_seconds(end_s)} long"
    return Chart(title="Timeline", chart="timeline", data=data, label=label, note=" ".join(told))


def _shown(timeline: Timeline) -> list[int]:
    """All tracks, or of many a few, evenly from the one whose kernels take longest to the one whose take least."""
    count = len(timeline.tracks)
    if count <= MOST_TRACKS:
        return list(range(count))
    own = timeline.on_compute
    lasting = timeline.finish_s[own] - timeline.start_s[own]
    busy = np.bincount(timeline.track[own], weights=lasting, minlength=count)
    order = np.argsort(-busy, kind="stable")
    return sorted(order[np.linspace(0, count - 1, MOST_TRACKS).round().astype(int)].tolist())


def _lanes(timeline: Timeline, track: int, rows: np.ndarray[Any, np.dtype[np.int64]]) -> list[dict[str, Any]]:
    mine = rows[timeline.track[rows] == track]
    lane_of = np.array([LANES.index(_lane(operation)) for operation in timeline.operations])[timeline.operation[mine]]
    found: list[dict[str, Any]] = []
    for number, name in enumerate(LANES):
        own = mine[lane_of == number]
        if len(own):
            start, finish = timeline.start_s[own], timeline.finish_s[own]
            found.append(
                {
                    "name": f"rank {timeline.tracks.first[track]} {name}",
                    "start": [float(f"{value:.9g}") for value in start],
                    "length": [float(f"{value:.6g}") for value in finish - start],
                    "operation": timeline.operation[own].tolist(),
                }
            )
    return found


def _lane(operation: Operation) -> str:
    if operation.kind == "compute":
        return "compute"
    return {"ep": "exchange", "pp": "send"}.get(operation.axis or "", "communication")


def _operation(one: Operation) -> dict[str, object]:
    sent = "HBM" if one.kind == "compute" else "sent"
    facts = [f"{show_flop(one.flops)}" if one.flops else "", f"{show_bytes(one.bytes)} {sent}" if one.bytes else ""]
    facts += [f"{one.times:,} steps drawn as one, FLOPs and bytes of one"] if one.times > 1 else []
    facts += [f"{HUES[one.kind][1]}, {one.algorithm}" if one.algorithm else "", f"limited by {LIMITS[one.bound]}"]
    return {"name": one.name, "layer": one.layer, "hue": HUES[one.kind][0], "facts": [fact for fact in facts if fact]}
