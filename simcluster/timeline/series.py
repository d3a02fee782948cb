"""A run over time: what a monitoring system would have drawn, in equal bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simcluster.timeline.links import link_utilization, overlap_s
from simcluster.timeline.parts import Floats, Parts
from simcluster.timeline.states import state_seconds
from simcluster.timeline.timeline import Timeline

BINS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Arrays over bins; `t_s` is each bin's middle.

    Fractions are means over ranks and the bin, so their mean over bins is the run's.  `memory_bytes` is the most any
    rank holds in the bin.  `tokens_done` counts finished steps at the bin's end.  `step_latency_s` and
    `throughput_tokens_per_s` are of the steps that run in the bin, weighted by their time in it: throughput x bin width
    adds up to all tokens.  `link_utilization` is the mean use of each class of wires, by `kind direction`.
    """

    t_s: Floats
    compute_busy: Floats
    exposed_communication: Floats
    memory_bytes: Floats
    expert_load_max_over_mean: Floats
    tokens_done: Floats
    step_latency_s: Floats
    throughput_tokens_per_s: Floats
    link_utilization: dict[str, Floats]

    def as_dict(self) -> dict[str, object]:
        lists = {name: getattr(self, name).tolist() for name in self.__slots__ if name != "link_utilization"}
        return {**lists, "link_utilization": {name: used.tolist() for name, used in self.link_utilization.items()}}


def series(timeline: Timeline, *, tokens: int, resident_bytes: Floats, expert_load: float, bins: int = BINS) -> Series:
    """The run in `bins` bins.

    `tokens` are those of one step (of a generation, of all of it), `resident_bytes` the memory of each track
    beside activations, `expert_load` fullest over mean.
    """
    edges = np.linspace(0.0, timeline.end_s, bins + 1)
    width = timeline.end_s / bins
    weight = timeline.tracks.count / timeline.ranks
    busy = np.tensordot(weight, np.diff(state_seconds(timeline, edges), axis=2), axes=1) / width
    parts = timeline.parts
    share = overlap_s(np.append(0.0, parts.end_s), edges) / width
    each = tokens * timeline.steps / parts.steps.sum()
    return Series(
        t_s=(edges[:-1] + edges[1:]) / 2,
        compute_busy=busy[0],
        exposed_communication=busy[1],
        memory_bytes=held_bytes(timeline, edges, resident_bytes),
        expert_load_max_over_mean=np.full(bins, expert_load),
        tokens_done=each * _steps_done(parts, edges[1:]),
        step_latency_s=share @ parts.latency_s,
        throughput_tokens_per_s=share @ (each / parts.period_s),
        link_utilization=link_utilization(timeline, edges),
    )


def _steps_done(parts: Parts, at: Floats) -> Floats:
    """How many steps have ended at each instant of `at`; the steps of a part are equally long."""
    begin = np.append(0.0, parts.end_s[:-1])
    run = (at[:, None] * (1 + 1e-12) - begin) / parts.period_s
    return np.asarray(np.floor(np.clip(run, 0, parts.steps)).sum(axis=1))


def held_bytes(timeline: Timeline, edges: Floats, resident_bytes: Floats) -> Floats:
    """The most memory of any rank in each bin: what its track holds all the time, and an operation's activations from
    its arrival to its end."""
    bins = len(edges) - 1
    live = np.array([operation.live_bytes for operation in timeline.operations])[timeline.operation]
    live = live + resident_bytes[timeline.track]
    first = np.clip(np.searchsorted(edges, timeline.arrive_s, side="right") - 1, 0, bins - 1)
    last = np.clip(np.searchsorted(edges, timeline.finish_s, side="left") - 1, first, bins - 1)
    most = np.full(bins, resident_bytes.max())
    for step in range(int((last - first).max()) + 1):
        reaching = first + step <= last
        np.maximum.at(most, first[reaching] + step, live[reaching])
    return most
