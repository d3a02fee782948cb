"""Datasheets of the two tiers of wires: NVLink inside a node, InfiniBand between nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simcluster.cluster.gpu import Provenance

Fabric = Literal["rail-optimized", "single-switch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NvLink:
    """NVLink of one GPU, per direction, to every other GPU of its node through one non-blocking switch.

    `latency_s` is end to end for one message inside the node.
    """

    bytes_per_s: float
    latency_s: float
    efficiency: float
    provenance: Provenance
    source: str

    @property
    def usable_bytes_per_s(self) -> float:
        return self.efficiency * self.bytes_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class InfiniBand:
    """The network between nodes: `bytes_per_s` per NIC and direction.

    GPU g of a node uses NIC g·nics_per_node // gpus_per_node.  `latency_s` is end to end for one message between
    nodes, however many switches it passes.  `leaf_ports` is the port count of every switch and `oversubscription` the
    ratio of a leaf's bandwidth towards NICs to its bandwidth towards spines.
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

    @property
    def usable_bytes_per_s(self) -> float:
        return self.efficiency * self.bytes_per_s

    @property
    def nodes_per_leaf(self) -> int:
        """Ports of a leaf that face NICs: the largest d with d + d/oversubscription <= leaf_ports, at least one."""
        rounding = 1e-9  # an exact quotient may come out a little below a whole number
        return max(1, int(self.leaf_ports * self.oversubscription / (1 + self.oversubscription) + rounding))

    @property
    def largest_two_level_nodes(self) -> int:
        """Nodes that leaves and spines of `leaf_ports` ports can join: each spine has a port for every leaf."""
        return (self.leaf_ports // self.nics_per_node) * self.nodes_per_leaf
