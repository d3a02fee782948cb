"""How evenly a plan spreads experts, compute and memory.  Variances are dimensionless: variance / mean squared."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from simcluster.plan.share import Share


def balance(share: Share, *, flops: Sequence[float], memory_bytes: Sequence[float]) -> dict[str, float]:
    """Experts per GPU group, and the spread of token copies over groups and of work and memory over ranks.

    A GPU group is the ranks of one ep coordinate j; it gets P_j of all token copies, ep·P_j times the mean
    (`Share.expert_loads`).  `flops` and `memory_bytes` are those of a rank of each coordinate, or one number where all
    are equal; every coordinate has equally many ranks.  Where experts are not equally popular, `hottest_gpu_group` is
    the coordinate that gets most copies, the first of equals.
    """
    moe, loads, load = share.model.moe, share.expert_loads, share.workload.expert_load
    popular = {load.get(expert, 1.0) for expert in range(moe.experts)} if moe is not None else set()
    found = {
        "experts_per_gpu_group": 0 if moe is None else moe.experts / share.degrees.ep,
        "expert_load_variance": _variance(loads),
        "expert_load_max_over_mean": max(loads) / fmean(loads),
        "compute_variance": _variance(flops),
        "memory_variance": _variance(memory_bytes),
    }
    return found | ({"hottest_gpu_group": loads.index(max(loads))} if len(popular) > 1 else {})


def _variance(values: Sequence[float]) -> float:
    """Population variance / mean squared; 0 of nothing but zeros."""
    mean = fmean(values)
    return fmean([(value / mean - 1) ** 2 for value in values]) if mean else 0.0
