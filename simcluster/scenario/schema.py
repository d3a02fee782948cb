"""The form of a scenario file: its keys, their types and their defaults, section by section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from simcluster import units
from simcluster.kernels import BYTES_PER_ELEMENT, Precision

DEFAULT_COMPUTE_EFFICIENCY = 0.75

PRECISION_PARTS = ("weights", "compute", "attention", "kv_cache", "dispatch")
"""What `precision: fp8` sets; the residual stream, reductions and combine stay bf16."""


def _quantity(dimension: units.Dimension) -> BeforeValidator:
    return BeforeValidator(lambda value: units.parse(value, dimension))


def _nonzero(dimension: units.Dimension) -> BeforeValidator:
    def parse(value: object) -> float:
        parsed = units.parse(value, dimension)
        if parsed == 0:
            raise ValueError(f"{value} is zero; it must be more")
        return parsed

    return BeforeValidator(parse)


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line of text without control characters")
    return text


Bytes = Annotated[float, _quantity("bytes")]
PositiveBytes = Annotated[float, _nonzero("bytes")]
Seconds = Annotated[float, _quantity("seconds")]
Bandwidth = Annotated[float, _nonzero("bytes/s")]
Peak = Annotated[float, _nonzero("FLOP/s")]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_one_line)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]
ProvenanceName = Literal["measured", "fitted", "datasheet"]


class Form(BaseModel):
    """Strict: no unknown keys, no silent conversions, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class EfficiencyForm(Form):
    compute: dict[Precision, Share]
    memory: Share = 0.82


class GpuForm(Form):
    """A GPU's datasheet."""

    name: Name = "datasheet"
    memory: PositiveBytes
    memory_bandwidth: Bandwidth
    peak: Annotated[dict[Precision, Peak], Field(min_length=1)]
    efficiency: EfficiencyForm
    launch_overhead: Seconds = 3e-6
    collective_overhead: Seconds = 0.0
    reserved_memory: Bytes = 0.0
    provenance: ProvenanceName = "datasheet"
    source: Line = "the scenario's datasheet with the stated default efficiencies"

    @model_validator(mode="before")
    @classmethod
    def _spread_efficiency(cls, tree: object) -> object:
        """One compute efficiency, or none, stands for every precision that has a peak."""
        if not isinstance(tree, dict):
            return tree
        written, peak = tree.get("efficiency", {}), tree.get("peak")
        if not isinstance(written, dict):
            return tree
        compute = written.get("compute", DEFAULT_COMPUTE_EFFICIENCY)
        if not isinstance(compute, dict):
            known = [name for name in peak if name in BYTES_PER_ELEMENT] if isinstance(peak, dict) else []
            compute = dict.fromkeys(known, compute)
        return {**tree, "efficiency": {**written, "compute": compute}}


class NvLinkForm(Form):
    """NVLink inside a node, per GPU and direction."""

    bandwidth: Bandwidth
    latency: Seconds = 0.0
    efficiency: Share = 0.80
    provenance: ProvenanceName = "datasheet"
    source: Line = "the scenario's datasheet with the stated default efficiency"


class InfiniBandForm(Form):
    """The network between nodes, per NIC and direction."""

    bandwidth: Bandwidth
    latency: Seconds = 0.0
    efficiency: Share = 0.90
    nics_per_node: Count | None = None
    fabric: Literal["rail-optimized", "single-switch"] = "rail-optimized"
    leaf_ports: Annotated[int, Field(ge=2, le=100_000)] = 64
    oversubscription: Annotated[float, Field(ge=1, le=1000)] = 1.0
    provenance: ProvenanceName = "datasheet"
    source: Line = "the scenario's datasheet with the stated default efficiency"


class ClusterForm(Form):
    """`nodes` left out are as many as the plan's GPUs need."""

    nodes: Count | None = None
    gpus_per_node: Annotated[int, Field(ge=1, le=1024)]
    gpu: GpuForm
    nvlink: NvLinkForm | None = None
    infiniband: InfiniBandForm | None = None


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


class PrecisionForm(Form):
    weights: Precision
    compute: Precision
    attention: Precision
    kv_cache: Precision
    dispatch: Precision
    communication: Precision = "bf16"


class ModelForm(Form):
    name: Name = "model"
    layers: Annotated[int, Field(ge=1, le=10_000)]
    hidden: Count
    heads: Count
    kv_heads: Count | None = None
    head_dim: Count | None = None
    mlp: MlpForm | None = None
    moe: MoeForm | None = None
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


class WorkloadForm(Form):
    phase: Literal["prefill", "decode"]
    batch: BatchForm
    sequence: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    context: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    steps: Annotated[int, Field(ge=1, le=10_000)] = 1

    @model_validator(mode="before")
    @classmethod
    def _plain_batch(cls, tree: object) -> object:
        if not isinstance(tree, dict) or isinstance(tree.get("batch"), dict) or "batch" not in tree:
            return tree
        return {**tree, "batch": {"total": tree["batch"]}}
