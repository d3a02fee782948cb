"""What a run costs in energy and money: seconds of a GPU in each state times the watts it draws there, and its rent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simcluster.gpu.power import Power
from simcluster.timeline.states import States
from simcluster.timeline.timeline import Floats, Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One state of a GPU: its seconds over the whole run, mean over ranks, and the watts drawn in it."""

    state: str
    seconds: float
    watts: float

    @property
    def joules(self) -> float:
        return self.seconds * self.watts


def by_state(timeline: Timeline, states: States, power: Power) -> tuple[Drawn, ...]:
    """The states of a GPU, whose seconds add up to the run and whose joules to the energy of one GPU:

        energy = sum over kernels of seconds * watts(bound) + exposed communication * network_w
                 + (waiting + idle) * idle_w

    A kernel bound by its launch counts as idle: for most of its time nothing of the GPU works.  Communication hidden
    behind a kernel adds nothing to that kernel's watts.
    """
    kernels = timeline.on_compute
    share: Floats = (timeline.tracks.count / timeline.ranks)[timeline.track[kernels]]
    lasting = (timeline.finish_s[kernels] - timeline.start_s[kernels]) * share
    each = np.bincount(timeline.operation[kernels], lasting, minlength=len(timeline.operations)).tolist()
    by_bound: dict[str, float] = {}
    for operation, seconds in zip(timeline.operations, each, strict=True):
        by_bound[operation.bound] = by_bound.get(operation.bound, 0.0) + seconds
    mean = timeline.tracks.mean
    found = (
        ("kernels bound by computing", by_bound.get("compute", 0.0), power.busy_w),
        ("kernels bound by memory", by_bound.get("memory", 0.0), power.memory_w),
        ("kernels bound by their launch", by_bound.get("launch", 0.0), power.idle_w),
        ("only communicating", mean(states.communicating), power.network_w),
        ("waiting or idle", mean(states.waiting + states.idle), power.idle_w),
    )
    return tuple(Drawn(state=state, seconds=seconds, watts=watts) for state, seconds, watts in found)


def mean_power_w(timeline: Timeline, states: States, power: Power) -> float:
    """Watts of a GPU, mean over the run and over ranks."""
    return sum(one.joules for one in by_state(timeline, states, power)) / timeline.end_s


def energy_per_token_j(power_w: float, gpus: int, step_s: float, tokens: int) -> float:
    """Joules for a token of a step, of which the run has one every `step_s`: mean power x gpus x step / tokens."""
    return power_w * gpus * step_s / tokens


def cost_per_million_tokens(price_usd_per_h: float, gpus: int, step_s: float, tokens: int) -> float:
    """USD for a million tokens of a step, of which the run has one every `step_s`: price x gpus x step / tokens x 1e6,
    every GPU of the plan rented all the time."""
    return price_usd_per_h / 3600 * gpus * step_s / tokens * 1e6
