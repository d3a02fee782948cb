"""The energy a run takes: the seconds a GPU spends in each state times the watts it draws there."""

from __future__ import annotations

import numpy as np

from simcluster.gpu.power import Power
from simcluster.timeline.states import States
from simcluster.timeline.timeline import Floats, Timeline


def energy_j(timeline: Timeline, states: States, power: Power) -> Floats:
    """Joules that a rank of each track takes over the whole run, shape (tracks,).

        energy = sum over kernels of seconds * watts(bound) + exposed communication * network_w
                 + (waiting + idle) * idle_w

    A kernel bound by its launch counts as idle: for most of its time nothing of the GPU works.  Communication hidden
    behind a kernel adds nothing to that kernel's watts.
    """
    watts = np.array([power.of_kernel(operation.bound) for operation in timeline.operations])
    kernels = timeline.on_compute
    lasting = timeline.finish_s[kernels] - timeline.start_s[kernels]
    spent: Floats = np.bincount(
        timeline.track[kernels], lasting * watts[timeline.operation[kernels]], minlength=len(timeline.tracks)
    ).astype(np.float64)
    resting = states.waiting + states.idle
    return np.asarray(spent + states.communicating * power.network_w + resting * power.idle_w)


def mean_power_w(timeline: Timeline, states: States, power: Power) -> float:
    """Watts of a GPU, mean over the run and over ranks."""
    return timeline.tracks.mean(energy_j(timeline, states, power)) / timeline.end_s


def cost_per_million_tokens(price_usd_per_h: float, gpus: int, latency_s: float, tokens: int) -> float:
    """USD for a million tokens of a step: price x gpus x latency / tokens x 1e6, every GPU of the plan rented as long
    as the step takes."""
    return price_usd_per_h / 3600 * gpus * latency_s / tokens * 1e6
