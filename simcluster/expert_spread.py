"""How far experts' unequal loads set ranks apart: times of their kernels, other seeds, redundant experts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import fmean

import numpy as np

from simcluster.gpu.gpu import Gpu
from simcluster.kernels import ElementWise, ExpertLayer
from simcluster.plan import balance, memory, redundancy
from simcluster.plan.share import Share
from simcluster.program.program import Compute, Program
from simcluster.timeline.parts import Floats
from simcluster.timeline.routing import OverSeeds, Redundant, Routing, Spread


def _expert_layers(program: Program) -> Counter[tuple[ExpertLayer, ...]]:
    """What each ep coordinate runs on the copies it receives, where that is not the same, and how often in a step."""
    layers: Counter[tuple[ExpertLayer, ...]] = Counter()
    for op, count in zip(program.operations, program.runs, strict=True):
        if isinstance(op, Compute) and op.kernels and isinstance(op.kernel, ElementWise):
            layers[tuple(one.within for one in op.kernels if isinstance(one, ElementWise) and one.within)] += count
    return layers


def _layer_seconds(layer: ExpertLayer, gpu: Gpu) -> float:
    """The kernels on received copies: up, activation, down."""
    return sum(gpu.kernel_time(kernel).seconds for kernel in (layer.up, layer.activation, layer.down))


def expert_seconds(program: Program, gpu: Gpu) -> list[float]:
    """Seconds that a healthy GPU of each ep coordinate spends in a step on received copies; 0 where all are alike."""
    layers = _expert_layers(program)
    return [
        sum(times * _layer_seconds(row[at], gpu) for row, times in layers.items())
        for at in range(len(program.shares) or 1)
    ]


def routing_of(share: Share, program: Program, gpu: Gpu) -> Routing | None:
    """Other seeds and redundant experts, where experts do not get equally many copies and ep ranks share them."""
    ep, redundant = share.degrees.ep, share.workload.redundant_experts
    if ep == 1 or len(set(share.expert_weights)) < 2:
        return None
    loads = np.array(balance.loads_over_seeds(share))
    rows = redundancy.table(share.expert_popularity, share.expert_weights, ep, redundant)
    return Routing(
        over_seeds=OverSeeds(
            seeds=len(loads),
            expert_load_max_over_mean=Spread.of((loads.max(axis=1) / loads.mean(axis=1)).tolist()),
            straggler_factor=Spread.of(_straggler_factors(loads, program, gpu)),
        ),
        redundancy=tuple(
            Redundant(
                redundant_experts=row.redundant_experts,
                experts_per_gpu=row.experts_per_rank,
                expert_load_max_over_mean=row.max_over_mean,
                extra_bytes=row.redundant_experts / ep * memory.expert_bytes(share),
            )
            for row in rows
        ),
    )


def _straggler_factors(loads: Floats, program: Program, gpu: Gpu) -> list[float]:
    """Slowest over mean time on received copies for each row of `loads`, which are over their mean.

    The time is computed at some of the loads and interpolated between them.
    """
    at = np.unique(np.percentile(loads, np.linspace(0, 100, _LOADS)))
    seconds = np.zeros(len(at))
    for row, times in _expert_layers(program).items():
        mean = fmean(layer.rows for layer in row)
        seconds += [times * _layer_seconds(replace(row[0], rows=mean * load), gpu) for load in at.tolist()]
    if not seconds.any():
        return [1.0] * len(loads)
    each = np.interp(loads, at, seconds)
    found: list[float] = (each.max(axis=1) / each.mean(axis=1)).tolist()
    return found


_LOADS = 33
"""Loads at which the time of experts is computed."""
