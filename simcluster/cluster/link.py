"""Datasheets of the wires: NVLink and PCIe inside a node, InfiniBand between nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Literal, TypeVar

from simcluster.gpu.gpu import Provenance

NvLinkTopology = Literal["nvswitch", "mesh"]
Fabric = Literal[
    "rail-optimized", "single-switch", "leaf-spine", "fat-tree", "dragonfly", "torus-2d", "torus-3d", "custom"
]

_ROUNDING = 1e-9
"""An exact quotient may come out a little below a whole number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NvLink:
    """NVLink of one GPU: `bytes_per_s` per direction, all its links together.

    nvswitch: to every GPU of its domain through one non-blocking switch.  mesh: split evenly over a link of its own to
    each other GPU of the node.  A domain holds `domain_gpus` GPUs, those of whole nodes; None is one node.  With
    `in_switch_reduction` the switch adds what GPUs send it (NVLink SHARP).  `latency_s` is end to end for one message
    inside the domain.
    """

    bytes_per_s: float
    latency_s: float
    efficiency: float
    provenance: Provenance
    source: str
    topology: NvLinkTopology = "nvswitch"
    domain_gpus: int | None = None
    in_switch_reduction: bool = False

    @property
    def usable_bytes_per_s(self) -> float:
        return self.efficiency * self.bytes_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Pcie:
    """PCIe of one GPU, per direction, to the root of its node: to its NIC, and to other GPUs if there is no NVLink."""

    bytes_per_s: float
    latency_s: float
    efficiency: float
    provenance: Provenance
    source: str

    @property
    def usable_bytes_per_s(self) -> float:
        return self.efficiency * self.bytes_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """One direction of a cable of a custom fabric, between two switches or a NIC and a switch."""

    tail: str
    head: str
    bytes_per_s: float
    latency_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InfiniBand:
    """The network between nodes: `bytes_per_s` per NIC and direction.

    GPU g of a node uses NIC g·nics_per_node // gpus_per_node.  `latency_s` is end to end for one message between
    nodes, however many switches it passes.  `leaf_ports` is the port count of every switch and `oversubscription` the
    ratio of a leaf's bandwidth towards NICs to its bandwidth towards spines.  `cables` and `switches` (name -> kind)
    are a custom fabric's.  With `in_network_reduction` switches add what NICs send them (SHARP).
    """

    bytes_per_s: float
    latency_s: float
    efficiency: float
    nics_per_node: int
    fabric: Fabric
    leaf_ports: int
    oversubscription: float
    provenance: Provenance
    source: str
    in_network_reduction: bool = False
    cables: tuple[Cable, ...] = ()
    switches: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable_bytes_per_s(self) -> float:
        return self.efficiency * self.bytes_per_s

    @property
    def down_ports(self) -> int:
        """Ports of a leaf that face NICs: the largest d with d + d/oversubscription <= leaf_ports, at least one."""
        return max(1, int(self.leaf_ports * self.oversubscription / (1 + self.oversubscription) + _ROUNDING))

    @property
    def nodes_per_leaf(self) -> int:
        """Nodes under one leaf: in a rail-optimized fabric each brings one NIC, elsewhere all its NICs."""
        if self.fabric == "rail-optimized":
            return self.down_ports
        return max(1, self.down_ports // self.nics_per_node)

    @property
    def leaves_per_pod(self) -> int:
        """Leaves under the same spines, and spines under the same cores, where pods are joined: half their ports."""
        return max(1, self.leaf_ports // 2)

    @property
    def largest_nodes(self) -> int | None:
        """Nodes the fabric can join with switches of `leaf_ports` ports; None where nothing limits them."""
        match self.fabric:
            case "leaf-spine":
                return self._nodes_under(self.leaf_ports)
            case "fat-tree":
                return self._nodes_under(self._most_leaves)
            case "rail-optimized":
                return max(1, self._most_leaves // self.nics_per_node * self.nodes_per_leaf)
            case "dragonfly":
                nics, routers, cables = self.dragonfly_shape
                return nics * routers * (routers * cables + 1) // self.nics_per_node
            case _:
                return None

    @property
    def _most_leaves(self) -> int:
        """Leaves under four levels: pods of leaves, pods of those pods, and as many of these as a top has ports."""
        return self.leaves_per_pod**2 * self.leaf_ports

    def _nodes_under(self, leaves: int) -> int:
        """Nodes whose NICs so many leaves hold: whole nodes to a leaf, or a node over several leaves."""
        if self.nics_per_node <= self.down_ports:
            return leaves * self.nodes_per_leaf
        return max(1, leaves // ceil(self.nics_per_node / self.down_ports))

    @property
    def dragonfly_shape(self) -> tuple[int, int, int]:
        """NICs per router p, routers per group a = 2p, global cables per router h = p: balanced, p + a - 1 + h <= ports
        (Kim, Dally, Scott & Abts, Technology-Driven, Highly-Scalable Dragonfly Topology, ISCA 2008)."""
        nics = max(1, (self.leaf_ports + 1) // 4)
        return nics, 2 * nics, nics


Link = TypeVar("Link", NvLink, Pcie, InfiniBand)


def paced(link: Link, efficiency: float, latency: float) -> Link:
    """The link with so many times its efficiency, 1 at most, and so many times its latency."""
    faster = replace(link, efficiency=min(1.0, efficiency * link.efficiency), latency_s=latency * link.latency_s)
    if isinstance(faster, InfiniBand):
        cables = (
            cable if cable.latency_s is None else replace(cable, latency_s=latency * cable.latency_s)
            for cable in faster.cables
        )
        return replace(faster, cables=tuple(cables))
    return faster
