"""The forms of a model, a plan and a workload: their keys, types and defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from simcluster import units
from simcluster.kernels import Precision
from simcluster.plan.execution import PLACEMENT, AttentionAxis, ContextAttention, ExpertKernels, Overlap
from simcluster.scenario.forms import Count, Form, Line, Name, Seconds, one_of

Kept = Annotated[float, Field(ge=0, lt=1)]
"""A part of a GPU that communication kernels keep for themselves."""

PRECISION_PARTS = ("weights", "compute", "attention", "kv_cache", "dispatch")
"""What `precision: fp8` sets; the residual stream, reductions and combine stay bf16."""


class MlpForm(Form):
    """One MLP: two matrices, or three with a gate."""

    hidden: Count = Field(description="Inner width, values.")
    gated: bool = Field(
        True, description="Whether a gate multiplies the inner values (SwiGLU: three matrices instead of two)."
    )


class MoeForm(Form):
    """A layer of experts."""

    experts: Count = Field(description="Routed experts of a layer.")
    top_k: Count = Field(description="Routed experts that a token goes to.")
    hidden: Count = Field(description="Inner width of one routed expert, values.")
    gated: bool = Field(True, description="Whether experts have a gate (SwiGLU: three matrices instead of two).")
    shared_experts: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="Experts that every token goes to beside the routed ones."
    )
    shared_hidden: Count | None = Field(
        None, description="Inner width of one shared expert, values; left out: `hidden`."
    )


class LatentForm(Form):
    """Multi-head latent attention; without `q_rank` queries are projected directly."""

    q_rank: Count | None = Field(
        None, description="Width that queries are compressed to, values; left out: projected directly."
    )
    kv_rank: Count = Field(
        description="Width that keys and values are compressed to, values; this is what the cache holds."
    )
    nope_dim: Count = Field(description="Channels of a head without positions.")
    rope_dim: Count = Field(description="Channels of a head with rotary positions, which the cache holds too.")
    value_dim: Count = Field(description="Channels of a head's value.")


class PrecisionForm(Form):
    """Experts and vocabulary have the type of the other weights and GEMMs unless they say."""

    weights: Precision = Field(description="What attention, MLP and shared-expert weights are stored in.")
    compute: Precision = Field(description="What GEMMs compute in.")
    attention: Precision = Field(description="What attention computes in.")
    kv_cache: Precision = Field(description="What the KV cache is stored in.")
    dispatch: Precision = Field(description="What tokens are sent to experts in.")
    communication: Precision = Field(
        "bf16", description="What all-reduces, the residual stream and combined tokens are sent in."
    )
    expert_weights: Precision | None = Field(
        None, description="What routed experts' weights are stored in; left out: as `weights`."
    )
    expert_compute: Precision | None = Field(
        None, description="What routed experts compute in; left out: as `compute`."
    )
    vocabulary: Precision | None = Field(
        None,
        description="What embedding and output head are stored and computed in; left out: as `weights` and `compute`.",
    )


def _layers(value: object) -> object:
    """One message for both ways of writing it."""
    listed = value if isinstance(value, list) else [value]
    if any(type(one) is not int or one < 0 for one in listed):
        raise ValueError("expected how many layers lead, such as 3, or their indices, such as [0, 2]")
    return value


DenseLayers = Annotated[int | list[int], BeforeValidator(_layers)]


class ModelForm(Form):
    """A model; with `moe`, the first `dense_layers` layers (or those listed) have `mlp` instead."""

    name: Name = Field("model", description="What tables and figures call it.")
    layers: Annotated[int, Field(ge=1, le=10_000)] = Field(description="Transformer layers.")
    hidden: Count = Field(description="Width of the residual stream, values a token.")
    heads: Count = Field(description="Query heads of a layer.")
    kv_heads: Count | None = Field(None, description="Key and value heads of a layer; left out: as many as `heads`.")
    head_dim: Count | None = Field(None, description="Channels of a head; left out: hidden / heads.")
    mlp: MlpForm | None = Field(None, description="The MLP of dense layers.")
    moe: MoeForm | None = Field(None, description="The experts of the other layers.")
    dense_layers: DenseLayers = Field(
        0, description="How many first layers have `mlp` and no experts, or the list of their indices from 0."
    )
    latent: LatentForm | None = Field(
        None, description="Multi-head latent attention (DeepSeek), instead of `kv_heads` and `head_dim`."
    )
    window: Count | None = Field(None, description="Positions that a query sees; left out: all.")
    full_every: Annotated[int, Field(ge=0)] = Field(
        0, description="Of so many layers the last sees all positions in spite of `window`; 0: none does."
    )
    qk_norm: bool = Field(False, description="Whether queries and keys are normalised.")
    vocab: Count | None = Field(
        None, description="Tokens of the vocabulary; left out: no embedding and no output head."
    )
    tied_embeddings: bool = Field(False, description="Whether embedding and output head share their weights.")
    precision: PrecisionForm = Field(description="Number types: one for all, or part by part.")

    @model_validator(mode="before")
    @classmethod
    def _spread_precision(cls, tree: object) -> object:
        """`precision: fp8` sets weights, GEMMs, attention, KV cache and dispatch; the rest stays bf16."""
        if not isinstance(tree, dict) or not isinstance(tree.get("precision"), str):
            return tree
        return {**tree, "precision": dict.fromkeys(PRECISION_PARTS, tree["precision"])}


class PlanForm(Form):
    """Degrees; those left out follow from the law."""

    name: Name | None = Field(None, description="What tables and figures call it.")
    tp: Count = Field(1, description="Tensor parallelism: GPUs that cut each layer's matrices.")
    pp: Count = Field(1, description="Pipeline parallelism: stages of consecutive layers.")
    dp: Count | None = Field(
        None, description="Data parallelism: copies of the attention layers; left out: what is left of the GPUs."
    )
    cp: Count = Field(1, description="Context parallelism: GPUs that cut each sequence.")
    ep: Count = Field(1, description="Expert parallelism: GPUs that share out the experts.")
    etp: Count | None = Field(
        None, description="GPUs that cut each expert's matrices; left out: follows from the reading."
    )
    edp: Count | None = Field(None, description="Copies of the experts; left out: what is left of the GPUs.")
    convention: Literal["orthogonal", "folded"] | None = Field(
        None,
        description="orthogonal: GPUs = EP x TP x CP x PP x DP; folded: EP inside TP x CP x DP; left out: what fits.",
    )


def _every_axis_once(placement: list[AttentionAxis]) -> list[AttentionAxis]:
    if sorted(placement) != sorted(PLACEMENT):
        raise ValueError(f"expected each of {', '.join(PLACEMENT)} once, the innermost first")
    return placement


Placement = Annotated[
    list[AttentionAxis],
    AfterValidator(_every_axis_once),
    Field(json_schema_extra={"minItems": len(PLACEMENT), "maxItems": len(PLACEMENT), "uniqueItems": True}),
]


class ExecutionForm(Form):
    """How a plan is run."""

    microbatches: Count | None = Field(
        None,
        description="Of a step; left out: the most that divide a replica's sequences, up to 4 a stage (1 in decode).",
    )
    stage_layers: list[Count] = Field(
        default_factory=list, description="Layers of each pipeline stage; empty: even stages."
    )
    placement: Placement = Field(
        default_factory=lambda: list(PLACEMENT), description="Which ranks are neighbours, the innermost axis first."
    )
    sequence_parallel: bool = Field(False, description="Whether norms and the residual stream are cut over tp, too.")
    context_attention: ContextAttention = Field("all-gather", description="How ranks of cp exchange keys and values.")
    overlap: Overlap = Field(
        "none", description="two-batch: halves of a microbatch in turns, one computes while the other communicates."
    )
    overlap_shared_experts: bool = Field(False, description="Whether shared experts run during dispatch.")
    dispatch_chunks: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="Chunks that dispatch, experts and combine are cut into."
    )
    communication_sms: Kept = Field(
        0.0, description="Share of a GPU's SMs that communication keeps from kernels beside it."
    )
    communication_memory: Kept = Field(
        0.0, description="Share of HBM bandwidth that communication keeps from kernels beside it."
    )
    expert_kernels: ExpertKernels = Field(
        "fused", description="grouped-gemm: products of their own (DeepGEMM); fused: one kernel (TensorRT-LLM)."
    )


class BatchForm(Form):
    """Sequences of the whole deployment (`total`), or a number that follows the cluster."""

    model_config = ConfigDict(json_schema_extra=one_of("total", "per_gpu", "per_replica"))

    total: Count | None = Field(None, description="Sequences of the whole deployment.")
    per_gpu: Count | None = Field(None, description="Sequences for each GPU.")
    per_replica: Count | None = Field(None, description="Sequences for each data-parallel replica.")

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

    weights: dict[ExpertIndex, Popularity] | None = Field(
        None, description="Popularity by the expert's index from 0, in place of what the law gives it."
    )
    zipf: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None, description="Exponent of Zipf's law: the k-th most popular expert, drawn by `seed`, has popularity k^-s."
    )
    power_law: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None, description="Exponent of a power law of popularities."
    )
    file: Line | None = Field(
        None, description="A CSV file of counts by layer and expert, relative to the scenario's folder."
    )
    drawn: bool = Field(
        False, description="Whether tokens choose experts by chance, from `seed`, instead of in exact proportions."
    )

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
    """Sequences of some length, their phase, and how their tokens are spread over experts."""

    phase: Literal["prefill", "decode", "generate"] = Field(
        description="prefill: prompts are read; decode: one token for each sequence; generate: both, token after token."
    )
    batch: BatchForm = Field(description="Sequences: a number, or one that follows the cluster.")
    sequence: Annotated[int, Field(ge=1, le=100_000_000)] | None = Field(
        None, description="Tokens of each prompt (prefill, generate)."
    )
    context: Annotated[int, Field(ge=1, le=100_000_000)] | None = Field(
        None, description="Tokens already in each sequence's cache (decode)."
    )
    output: Annotated[int, Field(ge=1, le=100_000_000)] | None = Field(
        None, description="Tokens that each sequence generates (generate)."
    )
    steps: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1, description="Steps that are simulated one after the other (prefill, decode)."
    )
    host_overhead: Seconds = Field(0.0, description="Time of the host before each step.")
    kv_reads: Literal["per_kv_head", "per_query_head"] = Field(
        "per_kv_head", description="How often decode attention reads a cached head: once, or for every query head."
    )
    kv_block: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        1, description="Tokens of a block of the paged KV cache."
    )
    expert_load: ExpertLoadForm = Field(
        ExpertLoadForm(), description="How popular experts are: uniform, weights by index, or a law."
    )
    redundant_experts: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        0, description="Copies of experts beside the model's, spread over the GPUs that share out the experts."
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_batch(cls, tree: object) -> object:
        if not isinstance(tree, dict) or isinstance(tree.get("batch"), dict) or "batch" not in tree:
            return tree
        return {**tree, "batch": {"total": tree["batch"]}}
