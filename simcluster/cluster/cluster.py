"""A cluster: equal nodes of equal GPUs, joined inside by NVLink and between nodes by InfiniBand."""

from __future__ import annotations

from dataclasses import dataclass

from simcluster.cluster.gpu import Gpu
from simcluster.cluster.link import InfiniBand, NvLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`nodes` nodes of `gpus_per_node` GPUs.

    A node of one GPU needs no `nvlink`, a cluster of one node no `infiniband`.
    """

    nodes: int
    gpus_per_node: int
    gpu: Gpu
    nvlink: NvLink | None
    infiniband: InfiniBand | None

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    def nic_of_gpu(self, gpu: int) -> int:
        """The NIC, counted within its node, that GPU `gpu` of any node sends through."""
        assert self.infiniband is not None
        return gpu * self.infiniband.nics_per_node // self.gpus_per_node
