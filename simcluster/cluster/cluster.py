"""A cluster: equal nodes of equal GPUs, joined inside by NVLink or PCIe and between nodes by InfiniBand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from simcluster.cluster.library import Library
from simcluster.cluster.link import InfiniBand, NvLink, Pcie
from simcluster.gpu.gpu import Gpu

Sharing = Literal["activity", "flow"]
"""Who gets a fair share of a wire: a collective as a whole, or each of its messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """How a message picks among equally short ways between two switches.

    Without a `seed` it is split evenly over them at every switch (adaptive routing).  With one, a hash of sender,
    receiver and seed picks one next hop at every switch (ECMP), so messages collide.  With `rail_forwarding`, in
    a rail-optimized fabric, a message to a GPU of another rail crosses NVLink first, to its node's GPU on that rail
    (NCCL calls it PXN).
    """

    seed: int | None = None
    rail_forwarding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A cable (by its two ends) or a NIC and its cables that keeps only `factor` of its bandwidth; 0 is dead."""

    ends: tuple[str, ...]
    factor: float

    def __str__(self) -> str:
        return "–".join(self.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """The relative standard deviation of each kernel's time on every GPU, and the seed that draws it."""

    relative: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Other jobs' traffic: the GPUs `senders` send `bytes_per_s` together, spread evenly over the `receivers`."""

    senders: tuple[int, ...]
    receivers: tuple[int, ...]
    bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`nodes` nodes of `gpus_per_node` GPUs.

    GPU g is GPU g % gpus_per_node of node g // gpus_per_node; `slow_gpus` holds the share of its speed, more than 0 and
    less than 1, that a GPU keeps where it is slower than the rest: each of its kernels takes 1 / share as long.

    A node of one GPU needs neither `nvlink` nor `pcie`, a cluster of one node no `infiniband`.  `algorithms` chooses
    a collective's algorithm by kind; `library` holds the measured constants of a communication library, if any.
    """

    nodes: int
    gpus_per_node: int
    gpu: Gpu
    nvlink: NvLink | None
    infiniband: InfiniBand | None
    pcie: Pcie | None = None
    routing: Routing = Routing()
    sharing: Sharing = "activity"
    background: tuple[Stream, ...] = ()
    faults: tuple[Fault, ...] = ()
    slow_gpus: Mapping[int, float] = field(default_factory=dict)
    jitter: Jitter | None = None
    algorithms: Mapping[str, str] = field(default_factory=dict)
    library: Library | None = None

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def domain_gpus(self) -> int:
        """GPUs that reach each other without a NIC."""
        return (self.nvlink and self.nvlink.domain_gpus) or self.gpus_per_node

    @property
    def uses_nics(self) -> bool:
        return self.infiniband is not None and self.nodes > 1

    def nic_of_gpu(self, gpu: int) -> int:
        """The NIC, counted within its node, that GPU `gpu` of any node sends through."""
        assert self.infiniband is not None
        return gpu * self.infiniband.nics_per_node // self.gpus_per_node
