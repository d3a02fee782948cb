"""The forms of a cluster: GPUs, links, fabric, background traffic and faults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from simcluster.cluster.link import Fabric
from simcluster.kernels import BYTES_PER_ELEMENT, Precision
from simcluster.program.program import CollectiveKind
from simcluster.scenario.forms import (
    Bandwidth,
    Bytes,
    Count,
    Form,
    Line,
    Name,
    Peak,
    PositiveBytes,
    PositiveWatts,
    Price,
    ProvenanceName,
    Seconds,
    Share,
    Watts,
)
from simcluster.units import show_watts

DEFAULT_COMPUTE_EFFICIENCY = 0.75

LEAST_SPEED = 1e-9
"""The smallest share of its speed that a GPU may keep."""


class EfficiencyForm(Form):
    compute: dict[Precision, Share]
    memory: Share = 0.82


class PowerForm(Form):
    """Power of one GPU: idle, in kernels bound by computing or by memory, and while it only communicates."""

    idle: Watts
    busy: PositiveWatts
    memory: Watts
    network: Watts
    source: Line = "the scenario's datasheet"

    @model_validator(mode="after")
    def _idle_is_least(self) -> PowerForm:
        if self.idle > self.busy:
            idle, busy = show_watts(self.idle), show_watts(self.busy)
            raise ValueError(f"idle draws {idle}, more than busy with {busy}; the idle power is the smaller one")
        return self


class GpuForm(Form):
    """A GPU's datasheet; `profile` names its measured kernels, shipped or a file that `calibrate` wrote."""

    name: Name = "datasheet"
    memory: PositiveBytes
    memory_bandwidth: Bandwidth
    peak: Annotated[dict[Precision, Peak], Field(min_length=1)]
    efficiency: EfficiencyForm
    launch_overhead: Seconds = 3e-6
    collective_overhead: Seconds = 0.0
    reserved_memory: Bytes = 0.0
    communication_buffers: Bytes = 0.0
    profile: Line | None = None
    price: Price | None = None
    power: PowerForm | None = None
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
    """NVLink inside a domain, per GPU and direction; a domain is a node unless `domain` says how many GPUs it joins."""

    bandwidth: Bandwidth
    latency: Seconds = 0.0
    efficiency: Share = 0.80
    topology: Literal["nvswitch", "mesh"] = "nvswitch"
    domain: Annotated[int, Field(ge=1, le=100_000)] | None = None
    in_switch_reduction: bool = False
    provenance: ProvenanceName = "datasheet"
    source: Line = "the scenario's datasheet with the stated default efficiency"


class PcieForm(Form):
    """PCIe between a GPU and the root of its node, per direction."""

    bandwidth: Bandwidth
    latency: Seconds = 0.0
    efficiency: Share = 0.85
    provenance: ProvenanceName = "datasheet"
    source: Line = "the scenario's datasheet with the stated default efficiency"


class SwitchForm(Form):
    """A node of a custom graph: a switch; NICs need not be listed."""

    id: Line
    kind: Literal["leaf", "spine", "core", "nic"] = "leaf"


class CableForm(Form):
    """An edge of a custom graph: both directions of a cable, or one where the graph is directed."""

    source: Line
    target: Line
    capacity: Bandwidth
    latency: Seconds | None = None


class GraphForm(Form):
    """A custom fabric as networkx' node-link data; older files call the edges links."""

    directed: bool = False
    multigraph: bool = False
    graph: dict[str, object] = Field(default_factory=dict)
    nodes: list[SwitchForm]
    edges: list[CableForm]

    @model_validator(mode="before")
    @classmethod
    def _rename_links(cls, tree: object) -> object:
        if isinstance(tree, dict) and "links" in tree and "edges" not in tree:
            return {("edges" if key == "links" else key): value for key, value in tree.items()}
        return tree


class InfiniBandForm(Form):
    """The network between nodes, per NIC and direction."""

    bandwidth: Bandwidth
    latency: Seconds = 0.0
    efficiency: Share = 0.90
    nics_per_node: Count | None = None
    fabric: Fabric = "rail-optimized"
    leaf_ports: Annotated[int, Field(ge=2, le=100_000)] = 64
    oversubscription: Annotated[float, Field(ge=1, le=1000)] = 1.0
    graph: GraphForm | None = None
    in_network_reduction: bool = False
    provenance: ProvenanceName = "datasheet"
    source: Line = "the scenario's datasheet with the stated default efficiency"


class RoutingForm(Form):
    """Even split over shortest ways, or one way per flow drawn by the seed."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    rail_forwarding: bool = False


class StreamForm(Form):
    """Other jobs' traffic between GPUs, nodes (node3) or all: `bandwidth` is what the senders send together."""

    senders: Line | list[Line] = Field(alias="from")
    receivers: Line | list[Line] = Field(alias="to")
    bandwidth: Bandwidth


class FaultForm(Form):
    """A cable, by its two ends, or a NIC with its cables, of which `factor` of the bandwidth is left; or a GPU, or all
    GPUs of a node, of whose speed `factor` is left; or `jitter`, the relative standard deviation of each kernel's time
    on every GPU, drawn with its own `seed` or the scenario's."""

    link: Annotated[list[Line], Field(min_length=2, max_length=2)] | None = None
    nic: Line | None = None
    gpu: Line | None = None
    node: Annotated[int, Field(ge=0)] | None = None
    jitter: Annotated[float, Field(ge=0, le=1)] | None = None
    factor: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    @property
    def on_wires(self) -> bool:
        """Whether it takes bandwidth rather than speed."""
        return self.link is not None or self.nic is not None

    @model_validator(mode="before")
    @classmethod
    def _full_speed(cls, tree: object) -> object:
        """Jitter takes no speed, on average."""
        if not isinstance(tree, dict) or "jitter" not in tree:
            return tree
        if "factor" in tree:
            raise ValueError("factor has no effect beside jitter; leave it out")
        return {**tree, "factor": 1.0}

    @field_validator("factor")
    @classmethod
    def _in_range(cls, factor: float, info: ValidationInfo) -> float:
        """A dead wire is possible, a dead GPU is not; full speed is no fault of a wire."""
        if info.data.get("jitter", 0) is not None:  # jitter that was refused is not in the data
            return factor
        if all(info.data.get(key) is None for key in ("gpu", "node")):
            if factor >= 1:
                raise ValueError(f"{factor:g} is too large; it must be less than 1")
            return factor
        if factor == 0:
            raise ValueError(
                "a dead GPU cannot run its part of the plan; take it out of the cluster instead, with fewer nodes or "
                "gpus_per_node and a plan that fits them"
            )
        if factor > 1:
            raise ValueError(f"{factor:g} is too large; it must be at most 1")
        if factor < LEAST_SPEED:
            raise ValueError(f"{factor:g} is too small; it must be at least {LEAST_SPEED:g}")
        return factor

    @model_validator(mode="after")
    def _one_of(self) -> FaultForm:
        if sum(part is not None for part in (self.link, self.nic, self.gpu, self.node, self.jitter)) != 1:
            forms = "link: [node0.nic0, leaf0.0], nic: node0.nic0, gpu: node0.gpu0, node: 0 or jitter: 0.05"
            raise ValueError(f"write {forms}, one of them")
        if self.jitter is None and self.seed is not None:
            raise ValueError("seed has no effect without jitter; leave it out")
        return self


class FaultsForm(Form):
    """The list under `faults:`."""

    faults: list[FaultForm]


class ClusterForm(Form):
    """`nodes` left out are as many as the plan's GPUs need."""

    nodes: Count | None = None
    gpus_per_node: Annotated[int, Field(ge=1, le=1024)]
    gpu: GpuForm
    nvlink: NvLinkForm | None = None
    pcie: PcieForm | None = None
    infiniband: InfiniBandForm | None = None
    routing: RoutingForm = RoutingForm()
    sharing: Literal["activity", "flow"] = "activity"
    background: list[StreamForm] = Field(default_factory=list)
    algorithms: dict[CollectiveKind, Line] = Field(default_factory=dict)
    library: Line | None = None
