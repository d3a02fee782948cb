"""From checked forms to the frozen values of the rooms, and the mistakes a form alone cannot see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import lcm

from simcluster.gpu import profile_file
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.power import Power
from simcluster.kernels import Precision
from simcluster.model.transformer import Latent, Mlp, Model, Moe, Precisions
from simcluster.model.workload import Workload
from simcluster.plan import name as plan_name
from simcluster.plan.execution import Execution
from simcluster.scenario.document import Value
from simcluster.scenario.hardware import GpuForm
from simcluster.scenario.scenario import BatchRule
from simcluster.scenario.schema import (
    ExecutionForm,
    ModelForm,
    MoeForm,
    PrecisionForm,
    WorkloadForm,
)

Wrong = Iterator[tuple[str, str]]
"""Mistakes as (scenario path, what is wrong; what would fit)."""


def gpus_asked_for(plan: Value, degrees: Mapping[str, int]) -> int:
    """The GPUs a plan needs at least: a name's own count (orthogonal first), or what its degrees multiply to."""
    if isinstance(plan, str):
        counts = plan_name.counts(plan_name.parse(plan))
        return counts.orthogonal or counts.folded or 1
    attention = degrees.get("tp", 1) * degrees.get("cp", 1) * degrees.get("dp", 1)
    experts = degrees.get("ep", 1) * degrees.get("etp", 1) * degrees.get("edp", 1)
    return max(1, degrees.get("pp", 1) * lcm(max(1, attention), max(1, experts)))


def gpu(form: GpuForm) -> Gpu:
    power = form.power
    return Gpu(
        name=form.name,
        memory_bytes=form.memory,
        memory_bytes_per_s=form.memory_bandwidth,
        peak_flops_per_s=form.peak,
        compute_efficiency=form.efficiency.compute,
        memory_efficiency=form.efficiency.memory,
        launch_overhead_s=form.launch_overhead,
        collective_overhead_s=form.collective_overhead,
        provenance=form.provenance,
        source=form.source,
        reserved_memory_bytes=form.reserved_memory,
        communication_buffer_bytes=form.communication_buffers,
        profile=None if form.profile is None else profile_file.load(form.profile),
        price_usd_per_h=form.price,
        power=None
        if power is None
        else Power(
            idle_w=power.idle,
            busy_w=power.busy,
            memory_w=power.memory,
            network_w=power.network,
            source=power.source,
        ),
    )


def model_mistakes(form: ModelForm) -> Wrong:
    yield from _layer_mistakes(form)
    if form.head_dim is None and form.latent is None and form.hidden % form.heads:
        what = f"{form.heads} heads do not divide the hidden size {form.hidden:,}; write head_dim, or other heads"
        yield "model.heads", what
    if form.kv_heads is not None and form.heads % form.kv_heads:
        yield (
            "model.kv_heads",
            f"{form.kv_heads} KV heads do not divide {form.heads} heads; each serves equally many",
        )
    if form.moe is not None and form.moe.top_k > form.moe.experts:
        yield "model.moe.top_k", f"top_k {form.moe.top_k} is more than the {form.moe.experts} experts"
    if form.moe is not None and form.moe.shared_hidden is not None and form.moe.shared_experts == 0:
        yield (
            "model.moe.shared_hidden",
            "has no effect without shared_experts; leave it out or write shared_experts",
        )
    if form.vocab is None and form.tied_embeddings:
        yield "model.tied_embeddings", "has no effect without vocab; leave it out or write vocab"


def _layer_mistakes(form: ModelForm) -> Wrong:
    """What layers are made of: an MLP or experts, or both where some layers of a mixture are dense."""
    dense = _dense_layers(form)
    if form.moe is None and dense:
        yield "model.dense_layers", "has no effect without moe; leave it out"
    elif form.moe is not None and form.mlp is None and dense:
        yield "model.mlp", f"missing; {len(dense)} dense layers need it"
    elif (form.mlp is None) == (form.moe is None) and not dense:
        yield (
            "model",
            "write mlp: {hidden, gated} for a dense model or moe: {experts, top_k, hidden} for experts, one of them; "
            "a mixture whose first N layers are dense has both and dense_layers: N",
        )
    if dense and (dense[-1] >= form.layers or len(dense) >= form.layers):
        yield "model.dense_layers", f"layers are 0 … {form.layers - 1}, and at least one of them has experts"
    if form.full_every and form.window is None:
        yield "model.full_every", "has no effect without window; leave it out or write window"
    if form.latent is not None:
        for key in ("kv_heads", "head_dim", "window"):
            if getattr(form, key) is not None:
                yield f"model.{key}", "has no effect with latent attention; leave it out"
        if form.qk_norm:
            yield "model.qk_norm", "has no effect with latent attention, whose latents are always normalised"


def _dense_layers(form: ModelForm) -> tuple[int, ...]:
    layers = form.dense_layers
    return tuple(range(min(layers, form.layers))) if isinstance(layers, int) else tuple(sorted(set(layers)))


def model(form: ModelForm) -> Model:
    ffn = _moe(form.moe) if form.moe is not None else None
    dense = Mlp(hidden=form.mlp.hidden, gated=form.mlp.gated) if form.mlp is not None else None
    chosen = ffn or dense
    assert chosen is not None
    latent = None if form.latent is None else Latent(**form.latent.model_dump())
    return Model(
        name=form.name,
        layers=form.layers,
        hidden=form.hidden,
        heads=form.heads,
        kv_heads=form.kv_heads or form.heads,
        head_dim=latent.query_dim if latent is not None else form.head_dim or form.hidden // form.heads,
        ffn=chosen,
        vocab=form.vocab,
        tied_embeddings=form.tied_embeddings,
        precision=_precisions(form.precision),
        dense=dense if ffn is not None else None,
        dense_layers=_dense_layers(form),
        latent=latent,
        window=form.window,
        full_every=form.full_every,
        qk_norm=form.qk_norm,
    )


def _precisions(form: PrecisionForm) -> Precisions:
    return Precisions(
        weights=form.weights,
        compute=form.compute,
        attention=form.attention,
        kv_cache=form.kv_cache,
        dispatch=form.dispatch,
        communication=form.communication,
        expert_weights=form.expert_weights or form.weights,
        expert_compute=form.expert_compute or form.compute,
        vocabulary=form.vocabulary or form.weights,
    )


def _moe(form: MoeForm) -> Moe:
    """Shared experts as one MLP of their summed width; each is as wide as a routed one unless the form says."""
    width = form.shared_experts * (form.shared_hidden or form.hidden)
    return Moe(
        experts=form.experts,
        top_k=form.top_k,
        expert=Mlp(hidden=form.hidden, gated=form.gated),
        shared=Mlp(hidden=width, gated=form.gated) if width else None,
    )


def missing_peaks(model: Model, gpu: Gpu) -> Wrong:
    """Compute types the model uses and the GPU has no peak for."""
    parts = ["compute", "attention"]
    parts += ["expert_compute"] if model.moe is not None else []
    parts += ["head_compute"] if model.vocab is not None else []
    asked: dict[Precision, str] = {}
    for part in parts:
        asked.setdefault(getattr(model.precision, part), part)
    for precision, part in asked.items():
        if not gpu.has_peak(precision):
            known = ", ".join(gpu.peak_flops_per_s)
            key = "vocabulary" if part == "head_compute" else part
            what = f"no peak for {precision}, which model.precision.{key} asks for; there is {known}"
            yield "cluster.gpu.peak", what


def workload_mistakes(form: WorkloadForm) -> Wrong:
    wanted = {"prefill": ("sequence",), "decode": ("context",), "generate": ("sequence", "output")}[form.phase]
    for key in ("sequence", "context", "output"):
        if key in wanted and getattr(form, key) is None:
            yield "workload", f"{key} is missing; {form.phase} needs it"
        if key not in wanted and getattr(form, key) is not None:
            yield f"workload.{key}", f"has no effect in {form.phase}; use {' and '.join(wanted)}"
    if form.phase == "generate" and form.steps > 1:
        yield "workload.steps", "has no effect in generate, whose steps are its output tokens; leave it out"


def kv_reads_mistakes(form: WorkloadForm, model: Model) -> Wrong:
    if model.latent is not None and form.kv_reads != "per_kv_head":
        yield "workload.kv_reads", "has no effect with latent attention, whose cache all heads share; leave it out"


def execution(form: ExecutionForm) -> Execution:
    written = form.model_dump(exclude={"stage_layers", "placement"})
    return Execution(stage_layers=tuple(form.stage_layers), placement=tuple(form.placement), **written)


def batch_rule(form: WorkloadForm) -> BatchRule:
    batch = form.batch
    if batch.total is not None:
        return BatchRule(per="total", count=batch.total)
    if batch.per_gpu is not None:
        return BatchRule(per="per_gpu", count=batch.per_gpu)
    assert batch.per_replica is not None
    return BatchRule(per="per_replica", count=batch.per_replica)


def workload(form: WorkloadForm, sequences: int) -> Workload:
    length = form.context if form.phase == "decode" else form.sequence
    assert length is not None
    return Workload(
        phase=form.phase,
        batch=sequences,
        length=length,
        steps=form.steps,
        output=form.output or 1,
        host_overhead_s=form.host_overhead,
        kv_block=form.kv_block,
        kv_reads=form.kv_reads,
        redundant_experts=form.redundant_experts,
    )
