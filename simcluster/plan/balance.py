"""How evenly a plan spreads experts, compute and memory.  Variances are dimensionless: variance / mean squared."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from simcluster.model import parameters
from simcluster.plan.layout import Layout
from simcluster.plan.share import Share


def balance(share: Share, memory_bytes: float) -> dict[str, float]:
    """Experts per GPU group, and the spread of load over experts and of expert work and memory over ranks.

    Routing is uniform, so every expert gets batch tokens x top_k / experts copies; a rank's expert work follows the
    experts its place holds, and so does its memory around the mean `memory_bytes`.
    """
    moe = share.model.moe
    if moe is None:
        return {
            "experts_per_gpu_group": 0,
            "expert_load_variance": 0.0,
            "expert_load_max_over_mean": 1.0,
            "compute_variance": 0.0,
            "memory_variance": 0.0,
        }
    layout = Layout(degrees=share.degrees, gpus_per_node=1)
    per_expert = share.workload.tokens * moe.top_k / moe.experts
    load = [per_expert] * moe.experts
    held = [
        len(layout.seat(rank, experts=moe.experts, layers=share.model.layers, nics_per_node=1).experts)
        for rank in range(share.degrees.gpus)
    ]
    work = [per_expert * count for count in held]
    weights = share.model.precision.bytes_of("weights") * share.layers / share.degrees.etp
    one_expert_bytes = parameters.mlp(share.model, moe.expert) * weights
    mean_held = fmean(held)
    memory = [memory_bytes + (count - mean_held) * one_expert_bytes for count in held]
    return {
        "experts_per_gpu_group": moe.experts / share.degrees.ep,
        "expert_load_variance": _variance(load),
        "expert_load_max_over_mean": max(load) / fmean(load),
        "compute_variance": _variance(work),
        "memory_variance": _variance(memory),
    }


def _variance(values: Sequence[float]) -> float:
    """Population variance / mean squared."""
    mean = fmean(values)
    return fmean([(value / mean - 1) ** 2 for value in values])
