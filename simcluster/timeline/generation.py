"""Questions about a generation: its first token, the tokens after it, and each phase by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simcluster.timeline.parts import Ints
from simcluster.timeline.states import state_seconds
from simcluster.timeline.timeline import Floats, Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTotal:
    """One phase: `steps` steps in `seconds`, the fractions of that in each state (mean over GPUs)."""

    phase: str
    steps: int
    seconds: float
    compute_busy: float
    exposed_communication: float
    waiting: float
    idle: float


def ttft_s(timeline: Timeline) -> float:
    """Time to first token: the end of the prefill."""
    return timeline.segments[0].end_s


def tpot_s(timeline: Timeline) -> float | None:
    """Time per output token after the first, the mean of all decode steps; None where there is none."""
    steps = sum(segment.times for segment in timeline.segments[1:])
    return (timeline.end_s - ttft_s(timeline)) / steps if steps else None


def sampled_steps(timeline: Timeline) -> tuple[Floats, Ints]:
    """Seconds of each decode step that was simulated, and how many steps it stands for.

    In a pipeline without those that stand for themselves beside another, where there are others.
    """
    decode, steps = timeline.parts.latency_s[1:], timeline.parts.steps[1:]
    several = steps > 1
    if timeline.gets_from is None or several.sum() < 2:
        return decode, steps
    return decode[several], steps[several]


def error_bound(timeline: Timeline) -> float:
    """By how much the latency may be off, as a fraction, because decode steps were simulated at some contexts only.

    Where a step never gets shorter as its cache grows, a block of n steps takes between n times its first and n times
    its last step, and the midpoint lies between them: blocks together err by at most half the sum of n·(last - first).
    First and last are taken halfway to the neighbouring midpoints.
    """
    if not timeline.segments:
        return 0.0
    decode, steps = sampled_steps(timeline)
    if len(decode) < 2 or steps.max() == 1:
        return 0.0
    growth = np.abs(np.diff(decode))
    inside = np.append(growth, growth[-1]) / 2 + np.append(growth[0], growth) / 2
    return float((steps * inside).sum() / 2 / timeline.end_s)


def phase_totals(timeline: Timeline) -> tuple[PhaseTotal, ...]:
    """Prefill and decode; empty where nothing is generated."""
    if not timeline.segments:
        return ()
    cuts = np.array([ttft_s(timeline), timeline.end_s])
    share = timeline.tracks.count / timeline.ranks
    spent: Floats = np.tensordot(share, state_seconds(timeline, cuts), axes=1)
    spent = np.diff(spent, axis=1, prepend=0.0)
    lasting = np.diff(cuts, prepend=0.0)
    steps = (1, sum(segment.times for segment in timeline.segments[1:]))
    return tuple(
        PhaseTotal(
            phase=name,
            steps=count,
            seconds=float(seconds),
            compute_busy=float(states[0] / seconds),
            exposed_communication=float(states[1] / seconds),
            waiting=float(states[2] / seconds),
            idle=float(states[3] / seconds),
        )
        for name, count, seconds, states in zip(("prefill", "decode"), steps, lasting, spent.T, strict=True)
        if count
    )
