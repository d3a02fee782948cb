"""A trace as a stream of text: what the file is about, then its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from simcluster.report.figures.ranks import all_named
from simcluster.report.trace import counters
from simcluster.report.trace.flows import flows
from simcluster.report.trace.lanes import STREAMS, Lanes
from simcluster.report.trace.slices import Slices, fields, text
from simcluster.timeline.result import Result
from simcluster.timeline.timeline import Timeline


def pieces(result: Result, slices: Slices, tracks: range) -> Iterator[bytes]:
    """The trace of some tracks, in pieces of a few megabytes at most.

    Arrows are there where all tracks are, the wires, which are everyone's, with the first track.
    """
    lanes = slices.lanes
    timeline = lanes.timeline
    events = chain(
        [_named(lanes, track) for track in tracks],
        slices.of(tracks),
        counters.memory(lanes, tracks, result.resident_of_tracks(timeline)),
        flows(lanes) if len(tracks) == len(timeline.tracks) else (),
        _wires(timeline) if 0 in tracks else (),
    )
    yield _head(result, timeline, tracks)
    yield next(events)
    for event in events:
        yield b",\n"
        yield event
    yield b"\n]}\n"


def _head(result: Result, timeline: Timeline, tracks: range) -> bytes:
    """The facts of the file, a line each: HolisticTraceAnalysis looks for a line with `"rank": N`."""
    identity = result.identity
    rank = int(timeline.tracks.first[tracks[0]])
    about = {
        "source": "simcluster",
        "scenario": identity.scenario,
        "plan": identity.plan,
        "convention": identity.convention,
        "gpus": identity.gpus,
        "replayed_classes": len(timeline.tracks),
    }
    return (
        b'{"schemaVersion": 1,\n"displayTimeUnit": "ns",\n'
        b'"distributedInfo": {"backend": "nccl", "rank": %d, "world_size": %d},\n'
        b'"simcluster": {%b},\n"traceEvents": [\n' % (rank, timeline.ranks, fields(about))
    )


def _wires(timeline: Timeline) -> Iterator[bytes]:
    """The counters of wires, in a process whose number no rank has."""
    number = timeline.ranks
    return chain([_process(number, "the fullest wire of each kind", number)], counters.wires(timeline, number))


def _named(lanes: Lanes, track: int) -> bytes:
    """The names of a track's process and of the threads on which it runs anything."""
    pid = int(lanes.timeline.tracks.first[track])
    lines = [_process(pid, all_named(lanes.timeline, track), pid)]
    for number, stream in enumerate(STREAMS):
        place = lanes.place(number, range(track, track + 1))
        if place.stop > place.start:
            tid = number + 1
            lines.append(_metadata("thread_name", pid, {"name": stream}, tid))
            lines.append(_metadata("thread_sort_index", pid, {"sort_index": tid}, tid))
    return b",\n".join(lines)


def _process(pid: int, name: str, order: int) -> bytes:
    return b",\n".join(
        [
            _metadata("process_name", pid, {"name": name}),
            _metadata("process_sort_index", pid, {"sort_index": order}),
        ]
    )


def _metadata(what: str, pid: int, value: Mapping[str, object], tid: int = 0) -> bytes:
    return text({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": value})
