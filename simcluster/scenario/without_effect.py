"""What a scenario writes that cannot matter, because something else it says leaves nothing for it to act on."""

from __future__ import annotations

from collections.abc import Iterator

from simcluster.scenario.scenario import Scenario


def without_effect(scenario: Scenario) -> Iterator[str]:
    """A sentence for each key that could be left out.

    They are no mistakes: a search or a sweep changes degrees beneath them.
    """
    model, degrees, execution = scenario.model, scenario.plan.degrees, scenario.execution
    shared = model.moe is not None and model.moe.shared is not None
    exchanged = model.moe is not None and degrees.ep > 1
    windowed = model.window is not None and not model.full_every
    gathers = windowed or model.latent is not None
    ring = execution.context_attention == "ring" and degrees.cp > 1 and scenario.workload.phase != "decode"
    beside = (
        execution.overlap == "two-batch"
        or (execution.overlap_shared_experts and shared and exchanged)
        or (execution.dispatch_chunks > 1 and exchanged)
        or (ring and not gathers)
    )
    for key in ("communication_sms", "communication_memory"):
        if getattr(execution, key) and not beside:
            yield f"execution.{key}: nothing computes beside communication"
    if execution.overlap_shared_experts and not shared:
        yield "execution.overlap_shared_experts: the model has no shared experts"
    elif execution.overlap_shared_experts and not exchanged:
        yield "execution.overlap_shared_experts: ep is 1, so nothing is dispatched"
    if execution.dispatch_chunks > 1 and not exchanged:
        yield "execution.dispatch_chunks: ep is 1, so nothing is dispatched"
    if execution.sequence_parallel and degrees.tp == 1:
        yield "execution.sequence_parallel: tp is 1"
    if execution.context_attention == "ring" and not ring:
        why = "decode has no keys to pass on" if degrees.cp > 1 else "cp is 1"
        yield f"execution.context_attention: {why}"
    elif ring and gathers:
        what = "every layer has a window" if windowed else "latent attention"
        yield f"execution.context_attention: {what}, whose keys are gathered"
    if execution.expert_kernels == "grouped-gemm" and (model.moe is None or scenario.cluster.gpu.profile is None):
        why = "the model has no experts" if model.moe is None else "the GPU has no measured kernels"
        yield f"execution.expert_kernels: {why}"
    if scenario.workload.kv_reads == "per_query_head" and scenario.workload.phase == "prefill":
        yield "workload.kv_reads: a prefill reads no cache"
