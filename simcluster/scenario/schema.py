"""The forms of a model, a plan and a workload: their keys, types and defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from simcluster import units
from simcluster.kernels import Precision
from simcluster.plan.execution import PLACEMENT, AttentionAxis, ContextAttention, ExpertKernels, Overlap
from simcluster.scenario.forms import Count, Form, Line, Name, Seconds

Kept = Annotated[float, Field(ge=0, lt=1)]
"""A part of a GPU that communication kernels keep for themselves."""

PRECISION_PARTS = ("weights", "compute", "attention", "kv_cache", "dispatch")
"""What `precision: fp8` sets; the residual stream, reductions and combine stay bf16."""


class MlpForm(Form):
    hidden: Count
    gated: bool = True


class MoeForm(Form):
    experts: Count
    top_k: Count
    hidden: Count
    gated: bool = True
    shared_experts: Annotated[int, Field(ge=0, le=1024)] = 0
    shared_hidden: Count | None = None


class LatentForm(Form):
    """Multi-head latent attention; without `q_rank` queries are projected directly."""

    q_rank: Count | None = None
    kv_rank: Count
    nope_dim: Count
    rope_dim: Count
    value_dim: Count


class PrecisionForm(Form):
    """Experts and vocabulary have the type of the other weights and GEMMs unless they say."""

    weights: Precision
    compute: Precision
    attention: Precision
    kv_cache: Precision
    dispatch: Precision
    communication: Precision = "bf16"
    expert_weights: Precision | None = None
    expert_compute: Precision | None = None
    vocabulary: Precision | None = None


def _layers(value: object) -> object:
    """One message for both ways of writing it."""
    listed = value if isinstance(value, list) else [value]
    if any(type(one) is not int or one < 0 for one in listed):
        raise ValueError("expected how many layers lead, such as 3, or their indices, such as [0, 2]")
    return value


DenseLayers = Annotated[int | list[int], BeforeValidator(_layers)]


class ModelForm(Form):
    """A model; with `moe`, the first `dense_layers` layers (or those listed) have `mlp` instead."""

    name: Name = "model"
    layers: Annotated[int, Field(ge=1, le=10_000)]
    hidden: Count
    heads: Count
    kv_heads: Count | None = None
    head_dim: Count | None = None
    mlp: MlpForm | None = None
    moe: MoeForm | None = None
    dense_layers: DenseLayers = 0
    latent: LatentForm | None = None
    window: Count | None = None
    full_every: Annotated[int, Field(ge=0)] = 0
    qk_norm: bool = False
    vocab: Count | None = None
    tied_embeddings: bool = False
    precision: PrecisionForm

    @model_validator(mode="before")
    @classmethod
    def _spread_precision(cls, tree: object) -> object:
        """`precision: fp8` sets weights, GEMMs, attention, KV cache and dispatch; the rest stays bf16."""
        if not isinstance(tree, dict) or not isinstance(tree.get("precision"), str):
            return tree
        return {**tree, "precision": dict.fromkeys(PRECISION_PARTS, tree["precision"])}


class PlanForm(Form):
    """Degrees; those left out follow from the law."""

    name: Name | None = None
    tp: Count = 1
    pp: Count = 1
    dp: Count | None = None
    cp: Count = 1
    ep: Count = 1
    etp: Count | None = None
    edp: Count | None = None
    convention: Literal["orthogonal", "folded"] | None = None


def _every_axis_once(placement: list[AttentionAxis]) -> list[AttentionAxis]:
    if sorted(placement) != sorted(PLACEMENT):
        raise ValueError(f"expected each of {', '.join(PLACEMENT)} once, the innermost first")
    return placement


Placement = Annotated[list[AttentionAxis], AfterValidator(_every_axis_once)]


class ExecutionForm(Form):
    """How a plan is run; see plan/execution.py."""

    microbatches: Count | None = None
    stage_layers: list[Count] = Field(default_factory=list)
    placement: Placement = Field(default_factory=lambda: list(PLACEMENT))
    sequence_parallel: bool = False
    context_attention: ContextAttention = "all-gather"
    overlap: Overlap = "none"
    overlap_shared_experts: bool = False
    dispatch_chunks: Annotated[int, Field(ge=1, le=1024)] = 1
    communication_sms: Kept = 0.0
    communication_memory: Kept = 0.0
    expert_kernels: ExpertKernels = "fused"


class BatchForm(Form):
    """Sequences of the whole deployment (`total`), or a number that follows the cluster."""

    total: Count | None = None
    per_gpu: Count | None = None
    per_replica: Count | None = None

    @model_validator(mode="after")
    def _one_of(self) -> BatchForm:
        if sum(part is not None for part in (self.total, self.per_gpu, self.per_replica)) != 1:
            raise ValueError("write a number, {per_gpu: N} or {per_replica: N}")
        return self


LONGEST_INDEX = 20
"""Digits of the longest index that is looked at."""


def _expert_index(key: object) -> object:
    """A mapping's key as an expert's index, written in one way only; a number as it is."""
    if not isinstance(key, str):
        return key
    if len(key) > LONGEST_INDEX or not key.isdecimal() or str(int(key)) != key:
        known = "write its index, 0 for the first, as in {5: 4, 9: 2}, or a law, as in {zipf: 1.1}"
        raise ValueError(f"{key!r:.40} is no expert; {known}")
    return int(key)


ExpertIndex = Annotated[int, BeforeValidator(_expert_index)]
Popularity = Annotated[float, Field(ge=0, le=units.LARGEST)]


LAWS = ("zipf", "power_law", "file")
"""Ways to say how popular experts are without naming them, one of them at most; none: all equally."""


class ExpertLoadForm(Form):
    """How popular experts are, and whether tokens go to them in just these proportions or by chance (`drawn`).

    `weights` stand in place of what a law gives the experts they name.  A word or bare weights by index stand for the
    form they mean.
    """

    weights: dict[ExpertIndex, Popularity] | None = None
    zipf: Annotated[float, Field(ge=0, le=10)] | None = None
    power_law: Annotated[float, Field(ge=0, le=10)] | None = None
    file: Line | None = None
    drawn: bool = False

    @model_validator(mode="before")
    @classmethod
    def _named(cls, tree: object) -> object:
        if tree == "uniform":
            return {}
        if not isinstance(tree, dict) or "weights" in tree:
            return tree
        named = {key: value for key, value in tree.items() if key in (*LAWS, "drawn")}
        weights = {key: value for key, value in tree.items() if key not in named}
        return {**named, "weights": weights} if weights else named

    @model_validator(mode="after")
    def _one_law(self) -> ExpertLoadForm:
        written = [law for law in LAWS if getattr(self, law) is not None]
        if len(written) > 1:
            raise ValueError(f"{' and '.join(written)} both say how popular experts are; write one")
        return self


class WorkloadForm(Form):
    phase: Literal["prefill", "decode", "generate"]
    batch: BatchForm
    sequence: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    context: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    output: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    steps: Annotated[int, Field(ge=1, le=10_000)] = 1
    host_overhead: Seconds = 0.0
    kv_reads: Literal["per_kv_head", "per_query_head"] = "per_kv_head"
    kv_block: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    expert_load: ExpertLoadForm = ExpertLoadForm()
    redundant_experts: Annotated[int, Field(ge=0, le=10_000_000)] = 0

    @model_validator(mode="before")
    @classmethod
    def _plain_batch(cls, tree: object) -> object:
        if not isinstance(tree, dict) or isinstance(tree.get("batch"), dict) or "batch" not in tree:
            return tree
        return {**tree, "batch": {"total": tree["batch"]}}
