"""Counters: live memory of each track, and GB/s on the fullest wire of each kind, as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simcluster.report.trace.columns import chosen, events, micro, whole
from simcluster.report.trace.lanes import CHUNK, STREAMS, Lanes
from simcluster.report.trace.slices import text
from simcluster.timeline.links import classes, in_words, mean_use
from simcluster.timeline.timeline import Floats, Ints, Timeline

_GIGA = 1e9

_AS_FULL = 1 - 1e-9
"""Wires whose mean use differs by less are equally full; the first of them is shown."""


def memory(lanes: Lanes, tracks: range, resident_bytes: Floats) -> Iterator[bytes]:
    """Memory of each track in GB wherever it changes: its `resident_bytes` that are there all the time, and the
    activations of the operation under way that needs most, from its arrival to its end."""
    live = np.array([operation.live_bytes for operation in lanes.timeline.operations])
    places = [place for stream in range(len(STREAMS)) if (place := lanes.place(stream, tracks)).stop > place.start]
    cuts = [lanes.finish_ns[place][CHUNK - 1 :: CHUNK] for place in places]
    ends = np.array([tracks.start * lanes.span_ns, tracks.stop * lanes.span_ns])
    edges = np.unique(np.concatenate([ends, *cuts]))
    held = -1.0
    for since, until in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        at, most = _live(lanes, places, live, since, until)
        value = (resident_bytes[at // lanes.span_ns] + most) / _GIGA
        changes = (np.append(held, value[:-1]) != value) | (at % lanes.span_ns == 0)
        held = float(value[-1])
        at, value = at[changes], value[changes]
        rank = whole(lanes.timeline.tracks.first[at // lanes.span_ns])
        yield from _counter(b'"memory","pid":', rank, at % lanes.span_ns, "GB", value)


def _live(lanes: Lanes, places: list[slice], live: Floats, since: int, until: int) -> tuple[Ints, Floats]:
    """Where the live bytes can change from `since` to before `until`, and what they are there."""
    spans = []
    for place in places:
        first = int(np.searchsorted(lanes.finish_ns[place], since, side="right"))
        last = int(np.searchsorted(lanes.start_ns[place], until)) + 1  # it may have arrived before
        part = slice(place.start + first, min(place.start + last, place.stop))
        if part.stop > part.start:
            operation = lanes.timeline.operation[lanes.row[part]]
            spans.append((lanes.arrive_ns(part), lanes.finish_ns[part], live[operation]))
    begins = np.arange(-(-since // lanes.span_ns), -(-until // lanes.span_ns)) * lanes.span_ns
    at = np.concatenate([[since], begins, *(one for span in spans for one in span[:2])])
    at = at[(at >= since) & (at < until)]
    at.sort(kind="stable")  # it is made of sorted pieces; np.unique takes longer
    at = at[np.append(True, np.diff(at) > 0)]
    most = np.zeros(len(at))
    for arrive, finish, held in spans:
        number = np.maximum(np.searchsorted(arrive, at, side="right") - 1, 0)
        under_way = (arrive[number] <= at) & (at < finish[number])
        most = np.maximum(most, np.where(under_way, held[number], 0.0))
    return at, most


def wires(timeline: Timeline, process: int) -> Iterator[bytes]:
    """GB/s wherever they change on the fullest wire over the run of each kind and direction."""
    links = timeline.links
    if len(links.time_s) == 0:
        return
    used = mean_use(timeline)
    at = np.append(np.rint(links.time_s * 1e9), np.rint(timeline.end_s * 1e9)).astype(np.int64)
    lasts = np.append(np.diff(at) > 0, True)
    for (kind, direction), mask in classes(links).items():
        columns = np.flatnonzero(mask)
        column = int(columns[np.argmax(used[columns] >= used[columns].max() * _AS_FULL)])
        rate = np.append(links.rates[links.state, column], 0.0)[lasts] / _GIGA
        changes = np.append(True, np.diff(rate) != 0)
        head = text(in_words(kind, direction)) + b',"pid":'
        yield from _counter(head, b"%d" % process, at[lasts][changes], "GB/s", rate[changes])


def _counter(head: bytes, process: bytes | np.ndarray, at: Ints, unit: str, value: Floats) -> Iterator[bytes]:
    """The events of one counter."""
    for first in range(0, len(at), CHUNK):
        part = slice(first, first + CHUNK)
        different, which = np.unique(value[part], return_inverse=True)
        shown = chosen([b"%.9g" % one for one in different.tolist()], which)
        yield events(
            len(which), b'{"ph":"C","name":' + head, process if isinstance(process, bytes) else process[part],
            b',"ts":', micro(at[part]), b',"args":{%b:' % text(unit), shown, b"}}",
        )  # fmt: skip
