"""How evenly a plan spreads experts, compute and memory.  Variances are dimensionless: variance / mean squared."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from simcluster.plan import routing
from simcluster.plan.share import Share


def balance(
    share: Share, *, flops: Sequence[float], memory_bytes: Sequence[float], expert_seconds: Sequence[float]
) -> dict[str, float]:
    """Experts per GPU group, and the spread of token copies over groups and of work and memory over ranks.

    A GPU group is the ranks of one ep coordinate j; it gets P_j of all token copies, ep·P_j times the mean
    (`Share.expert_loads`).  `flops` and `memory_bytes` are those of a rank of each coordinate, or one number where all
    are equal; every coordinate has equally many ranks.  `expert_seconds` is the time of the kernels that work on
    received copies, and the straggler factor their longest over their mean.  Where experts do not get equally many
    copies, `hottest_gpu_group` is the coordinate that gets most, the first of equals; `redundant_experts` are those
    there are.
    """
    moe, loads, redundant = share.model.moe, share.expert_loads, share.workload.redundant_experts
    found = {
        "experts_per_gpu_group": 0 if moe is None else (moe.experts + redundant) / share.degrees.ep,
        "expert_load_variance": _variance(loads),
        "expert_load_max_over_mean": max(loads) / fmean(loads),
        "straggler_factor": max(expert_seconds) / fmean(expert_seconds) if any(expert_seconds) else 1.0,
        "compute_variance": _variance(flops),
        "memory_variance": _variance(memory_bytes),
    }
    if len(set(share.expert_weights)) > 1:
        found["hottest_gpu_group"] = loads.index(max(loads))
    return found | ({"redundant_experts": redundant} if redundant else {})


def loads_over_seeds(share: Share) -> tuple[tuple[float, ...], ...]:
    """Each GPU group's copies over the mean for the seeds 0 … 99; once where no seed matters.

    Each seed hands the same popularity to other experts, and draws other copies where they are drawn.  Redundant
    experts are placed by popularity, so that only what is drawn differs then.
    """
    moe, workload, places = share.model.moe, share.workload, share.expert_places
    assert moe is not None
    drawn, redundant = workload.drawn_by is not None, bool(workload.redundant_experts)
    found = []
    for seed in range(routing.SEEDS if drawn or not redundant else 1):
        weights = share.expert_popularity if redundant else routing.permuted(share.expert_popularity, seed)
        if drawn:
            weights = routing.drawn(weights, share.routed_tokens, moe.top_k, seed)
        found.append(tuple(share.degrees.ep * part for part in routing.held(weights, places)))
    return tuple(found)


def _variance(values: Sequence[float]) -> float:
    """Population variance / mean squared; 0 of nothing but zeros."""
    mean = fmean(values)
    return fmean([(value / mean - 1) ** 2 for value in values]) if mean else 0.0
