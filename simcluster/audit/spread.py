"""Sentences on how experts, token copies, work and memory spread over GPUs."""

from __future__ import annotations

from simcluster.timeline.result import Result
from simcluster.units import plural, show_bytes, show_count

_STAGES = 8
"""Of a pipeline's stages, that many are told with their memory."""

NO_EXPERTS = "the model has no experts"


def balance(result: Result, leaf: str) -> str:
    """The arithmetic of one number of `balance`."""
    value = result.balance[leaf]
    pp = result.identity.degrees["pp"]
    if leaf in ("compute_variance", "memory_variance") and pp > 1 and value > 0:
        held = ", ".join(show_bytes(size) for size in result.resident_bytes[:_STAGES])
        more = ", …" if pp > _STAGES else ""
        what = "work" if leaf == "compute_variance" else f"memory (beside activations {held}{more})"
        return f"the {pp} pipeline stages have unequal {what}: {value:.4g}"
    if not result.balance["experts_per_gpu_group"]:
        return f"{NO_EXPERTS}, and every GPU runs the same kernels on equal shards, so it is {value:.4g}"
    per_group = show_count(result.balance["experts_per_gpu_group"])
    uneven = result.balance["expert_load_max_over_mean"] > 1
    match leaf:
        case "experts_per_gpu_group":
            ep = result.identity.degrees["ep"]
            redundant = ", redundant ones included," if result.balance.get("redundant_experts") else ""
            return f"{show_count(value * ep)} experts{redundant} / ep {ep} = {per_group}, held by {group(result)}"
        case "expert_load_variance" | "expert_load_max_over_mean":
            return f"{expert_load(result)}, so it is {value:.4g}"
        case "straggler_factor" if uneven:
            slowest = "the slowest GPU's kernels on received copies over the mean GPU's"
            return f"{slowest}; {expert_load(result)}: {value:.4g}"
        case "straggler_factor":
            return f"every GPU's experts work equally long, so it is {value:.4g}"
        case "compute_variance" if uneven:
            return f"every GPU runs its experts' kernels on the copies they get, and {expert_load(result)}: {value:.4g}"
        case "compute_variance":
            return f"every GPU runs the same kernels on {per_group} of the experts, so it is {value:.4g}"
        case _ if uneven:
            return f"activations follow the copies a GPU's experts get, and {expert_load(result)}: {value:.4g}"
        case _:
            return f"every GPU holds the same shards, {per_group} of the experts among them, so it is {value:.4g}"


def expert_load(result: Result) -> str:
    """How token copies spread over experts, or, where experts are not equally popular, over GPU groups."""
    hottest, ep = result.balance.get("hottest_gpu_group"), result.identity.degrees["ep"]
    if hottest is None:
        return "uniform routing gives every expert the same number of token copies"
    ratio, held = result.balance["expert_load_max_over_mean"], int(result.balance["experts_per_gpu_group"])
    if ratio <= 1:
        same = "holds all of them" if ep == 1 else f"of {ep} gets the same number of copies"
        return f"experts are not equally popular, but every GPU group {same}"
    if result.balance.get("redundant_experts"):
        return f"of {plural(ep, 'GPU group')}, group {int(hottest)} gets most token copies, {ratio:.4g} x the mean"
    first = int(hottest) * held
    experts = f"expert {first}" if held == 1 else f"experts {first} to {first + held - 1}"
    groups = plural(ep, "GPU group")
    return f"of {groups}, group {int(hottest)} with {experts} gets most token copies, {ratio:.4g} x the mean"


def group(result: Result) -> str:
    """A GPU group: the ranks that hold one part of the experts together."""
    etp, edp = result.identity.degrees["etp"], result.identity.degrees["edp"]
    ranks = f"{etp} GPUs (etp {etp})" if etp > 1 else "one GPU"
    return f"{ranks}, {edp} such groups hold the same expert" if edp > 1 else ranks
