"""A scenario: the frozen, complete value that a file compiles to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from simcluster.audit.expectation import Expectation
from simcluster.cluster.cluster import Cluster
from simcluster.model.transformer import Model
from simcluster.model.workload import Workload
from simcluster.plan.degrees import Plan
from simcluster.plan.execution import PLAIN, Execution
from simcluster.plan.layout import Layout
from simcluster.plan.share import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRule:
    """How the batch was written, so that it can follow the cluster: `per` the whole, a GPU or a replica."""

    per: Literal["total", "per_gpu", "per_replica"]
    count: int

    def sequences(self, gpus: int, replicas: int) -> int:
        return self.count * {"total": 1, "per_gpu": gpus, "per_replica": replicas}[self.per]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One cluster, one model, one plan, one workload, and what somebody claims about them.

    `seed` is that of everything drawn at random; `uncertainty` holds the factor of every uncertain input by name.
    """

    name: str
    cluster: Cluster
    model: Model
    plan: Plan
    workload: Workload
    batch: BatchRule
    expect: tuple[Expectation, ...]
    execution: Execution = PLAIN
    seed: int = 0
    uncertainty: Mapping[str, float] = field(default_factory=dict)

    @property
    def share(self) -> Share:
        """What a rank of the first pipeline stage holds and does."""
        return Share(model=self.model, degrees=self.plan.degrees, workload=self.workload, execution=self.execution)

    @property
    def layout(self) -> Layout:
        """Where the ranks sit."""
        return Layout(
            degrees=self.plan.degrees,
            gpus_per_node=self.cluster.gpus_per_node,
            placement=self.execution.placement,
            convention=self.plan.convention,
        )
