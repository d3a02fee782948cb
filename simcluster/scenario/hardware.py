"""The forms of a cluster: GPUs, links, fabric, background traffic and faults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from simcluster.cluster.link import Fabric
from simcluster.kernels import BYTES_PER_ELEMENT, Precision
from simcluster.program.program import ALGORITHMS, CollectiveKind
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
    """Shares of a datasheet's rates that large kernels reach."""

    compute: dict[Precision, Share] = Field(
        description="Share of the peak that a large GEMM reaches: one for all number types, or type by type."
    )
    memory: Share = Field(0.82, description="Share of the HBM bandwidth that a large transfer reaches.")


class PowerForm(Form):
    """Power of one GPU: idle, in kernels bound by computing or by memory, and while it only communicates."""

    idle: Watts = Field(description="Power of a GPU that does nothing.")
    busy: PositiveWatts = Field(description="Power in kernels bound by computing.")
    memory: Watts = Field(description="Power in kernels bound by memory.")
    network: Watts = Field(description="Power while it only communicates.")
    source: Line = Field("the scenario's datasheet", description="Where the figures are from.")

    @model_validator(mode="after")
    def _idle_is_least(self) -> PowerForm:
        if self.idle > self.busy:
            idle, busy = show_watts(self.idle), show_watts(self.busy)
            raise ValueError(f"idle draws {idle}, more than busy with {busy}; the idle power is the smaller one")
        return self


def _efficiency_has_a_default(schema: dict[str, Any]) -> None:
    schema["required"].remove("efficiency")


class GpuForm(Form):
    """A GPU's datasheet; `profile` names its measured kernels, shipped or a file that `calibrate` wrote."""

    model_config = ConfigDict(json_schema_extra=_efficiency_has_a_default)

    name: Name = Field("datasheet", description="What tables and figures call it.")
    memory: PositiveBytes = Field(description="HBM of a GPU.")
    memory_bandwidth: Bandwidth = Field(description="HBM bandwidth of the datasheet.")
    peak: Annotated[dict[Precision, Peak], Field(min_length=1)] = Field(description="Dense peak by number type.")
    efficiency: EfficiencyForm = Field(description="Shares of the datasheet's rates that kernels reach.")
    launch_overhead: Seconds = Field(3e-6, description="Added to the time of every kernel.")
    collective_overhead: Seconds = Field(0.0, description="Time before each collective starts.")
    reserved_memory: Bytes = Field(0.0, description="HBM that the driver and the framework keep.")
    communication_buffers: Bytes = Field(0.0, description="HBM that the communication library keeps.")
    profile: Line | None = Field(
        None, description="Measured kernels: a shipped profile, or a file that `calibrate` wrote."
    )
    price: Price | None = Field(None, description="Price of a GPU.")
    power: PowerForm | None = Field(None, description="Power of a GPU by what it does.")
    provenance: ProvenanceName = Field("datasheet", description="How the figures were found.")
    source: Line = Field(
        "the scenario's datasheet and efficiencies, or their defaults", description="Where the figures are from."
    )

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

    bandwidth: Bandwidth = Field(description="Per GPU and direction.")
    latency: Seconds = Field(0.0, description="Of one message.")
    efficiency: Share = Field(0.80, description="Share of the bandwidth that a large message reaches.")
    topology: Literal["nvswitch", "mesh"] = Field(
        "nvswitch", description="nvswitch: every pair at full bandwidth; mesh: links shared out among the pairs."
    )
    domain: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="GPUs that NVLink joins; left out: those of a node."
    )
    in_switch_reduction: bool = Field(False, description="Whether switches add (NVLink SHARP).")
    provenance: ProvenanceName = Field("datasheet", description="How the figures were found.")
    source: Line = Field(
        "the scenario's datasheet and efficiency, or its default", description="Where the figures are from."
    )


class PcieForm(Form):
    """PCIe between a GPU and the root of its node, per direction."""

    bandwidth: Bandwidth = Field(description="Per GPU and direction.")
    latency: Seconds = Field(0.0, description="Of one message.")
    efficiency: Share = Field(0.85, description="Share of the bandwidth that a large message reaches.")
    provenance: ProvenanceName = Field("datasheet", description="How the figures were found.")
    source: Line = Field(
        "the scenario's datasheet and efficiency, or its default", description="Where the figures are from."
    )


class SwitchForm(Form):
    """A node of a custom graph: a switch; NICs need not be listed."""

    id: Line = Field(description="What cables call it.")
    kind: Literal["leaf", "spine", "core", "nic"] = Field("leaf", description="What it is.")


class CableForm(Form):
    """An edge of a custom graph: both directions of a cable, or one where the graph is directed."""

    source: Line = Field(description="One end: a switch, or a NIC such as node0.nic0.")
    target: Line = Field(description="The other end.")
    capacity: Bandwidth = Field(description="Bandwidth in each direction.")
    latency: Seconds | None = Field(None, description="Of one message over it; left out: a part of the network's.")


def _edges_or_links(schema: dict[str, Any]) -> None:
    schema["properties"]["links"] = schema["properties"]["edges"]
    schema["required"] = ["nodes"]
    schema["oneOf"] = [{"required": ["edges"]}, {"required": ["links"]}]


class GraphForm(Form):
    """A custom fabric as networkx' node-link data; older files call the edges links."""

    model_config = ConfigDict(json_schema_extra=_edges_or_links)

    directed: bool = Field(False, description="Whether an edge is one direction of a cable.")
    multigraph: bool = Field(False, description="Whether two ends may have several cables.")
    graph: dict[str, object] = Field(default_factory=dict, description="Attributes, which nothing reads.")
    nodes: list[SwitchForm] = Field(description="Switches; NICs need not be listed.")
    edges: list[CableForm] = Field(description="Cables between them.")

    @model_validator(mode="before")
    @classmethod
    def _rename_links(cls, tree: object) -> object:
        if isinstance(tree, dict) and "links" in tree and "edges" not in tree:
            return {("edges" if key == "links" else key): value for key, value in tree.items()}
        return tree


class InfiniBandForm(Form):
    """The network between nodes, per NIC and direction."""

    bandwidth: Bandwidth = Field(description="Per NIC and direction.")
    latency: Seconds = Field(0.0, description="Of one message from NIC to NIC.")
    efficiency: Share = Field(0.90, description="Share of the bandwidth that a large message reaches.")
    nics_per_node: Count | None = Field(None, description="NICs of a node; left out: one a GPU.")
    fabric: Fabric = Field("rail-optimized", description="How switches join the NICs.")
    leaf_ports: Annotated[int, Field(ge=2, le=100_000)] = Field(64, description="Ports of a switch.")
    oversubscription: Annotated[float, Field(ge=1, le=1000)] = Field(
        1.0, description="Bandwidth below a leaf switch over that above it."
    )
    graph: GraphForm | None = Field(
        None, description="The switches and cables of fabric: custom, or the JSON file that has them."
    )
    in_network_reduction: bool = Field(False, description="Whether switches add (SHARP).")
    provenance: ProvenanceName = Field("datasheet", description="How the figures were found.")
    source: Line = Field(
        "the scenario's datasheet and efficiency, or its default", description="Where the figures are from."
    )


class RoutingForm(Form):
    """Even split over shortest ways, or one way per flow drawn by the seed."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        None, description="Draws one way for each flow; left out: an even split over the shortest ways."
    )
    rail_forwarding: bool = Field(
        False, description="Whether traffic to another rail crosses NVLink first (NCCL's PXN)."
    )


class StreamForm(Form):
    """Other jobs' traffic between GPUs, nodes (node3) or all: `bandwidth` is what the senders send together."""

    senders: Line | list[Line] = Field(alias="from", description="Who sends: all, node3 or node3.gpu1, or a list.")
    receivers: Line | list[Line] = Field(alias="to", description="Who receives: all, node3 or node3.gpu1, or a list.")
    bandwidth: Bandwidth = Field(description="What the senders send together.")


FAULTS = ("link", "nic", "gpu", "node")


def _one_fault(schema: dict[str, Any]) -> None:
    """A factor goes with everything but jitter."""
    schema["required"] = []
    schema["oneOf"] = [{"required": [key, "factor"]} for key in FAULTS]
    schema["oneOf"].append({"required": ["jitter"], "not": {"required": ["factor"]}})


class FaultForm(Form):
    """A cable, by its two ends, or a NIC with its cables, of which `factor` of the bandwidth is left; or a GPU, or all
    GPUs of a node, of whose speed `factor` is left; or `jitter`, the relative standard deviation of each kernel's time
    on every GPU, drawn with its own `seed` or the scenario's."""

    model_config = ConfigDict(json_schema_extra=_one_fault)

    link: Annotated[list[Line], Field(min_length=2, max_length=2)] | None = Field(
        None, description="A cable by its two ends, such as [node0.nic0, leaf0.0]."
    )
    nic: Line | None = Field(None, description="A NIC with its cables, such as node0.nic0.")
    gpu: Line | None = Field(None, description="A GPU, such as node0.gpu0.")
    node: Annotated[int, Field(ge=0)] | None = Field(None, description="A node's number from 0: all its GPUs.")
    jitter: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Relative standard deviation of each kernel's time on every GPU."
    )
    factor: Annotated[float, Field(ge=0)] = Field(
        description="Share of bandwidth (0: dead, below 1) or of speed (above 0, at most 1) that is left.",
        json_schema_extra={"maximum": 1},
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        None, description="Draws the jitter; left out: the scenario's."
    )

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


def _algorithms(schema: dict[str, Any]) -> None:
    """Each kind's own."""
    schema.pop("additionalProperties", None)
    schema.pop("propertyNames", None)
    schema["properties"] = {kind: {"enum": ["auto", *known]} for kind, known in ALGORITHMS.items()}
    schema["additionalProperties"] = False


class ClusterForm(Form):
    """`nodes` left out are as many as the plan's GPUs need."""

    nodes: Count | None = Field(None, description="Nodes; left out: as many as the plan's GPUs need.")
    gpus_per_node: Annotated[int, Field(ge=1, le=1024)] = Field(description="GPUs of a node.")
    gpu: GpuForm = Field(description="A GPU of the catalogue by name, or its datasheet written out.")
    nvlink: NvLinkForm | None = Field(None, description="NVLink, inside a node or domain.")
    pcie: PcieForm | None = Field(None, description="PCIe, between GPUs of a node without NVLink.")
    infiniband: InfiniBandForm | None = Field(None, description="The network between nodes.")
    routing: RoutingForm = Field(RoutingForm(), description="How flows choose their way through the network.")
    sharing: Literal["activity", "flow"] = Field(
        "activity", description="How transfers that meet share a wire: collective by collective, or flow by flow."
    )
    background: list[StreamForm] = Field(default_factory=list, description="Other jobs' traffic.")
    algorithms: dict[CollectiveKind, Line] = Field(
        default_factory=dict,
        description="Of a kind of collective; left out: the fastest that was measured, or a ring, or direct.",
        json_schema_extra=_algorithms,
    )
    library: Line | None = Field(None, description="A communication library's measured constants.")
