"""A scenario: the frozen, complete value that a file compiles to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simcluster.audit.expectation import Expectation
from simcluster.cluster.cluster import Cluster
from simcluster.model.transformer import Model
from simcluster.model.workload import Workload
from simcluster.plan.degrees import Plan
from simcluster.plan.execution import PLAIN, Execution


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRule:
    """How the batch was written, so that it can follow the cluster: `per` the whole, a GPU or a replica."""

    per: Literal["total", "per_gpu", "per_replica"]
    count: int

    def sequences(self, gpus: int, replicas: int) -> int:
        return self.count * {"total": 1, "per_gpu": gpus, "per_replica": replicas}[self.per]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One cluster, one model, one plan, one workload, and what somebody claims about them."""

    name: str
    cluster: Cluster
    model: Model
    plan: Plan
    workload: Workload
    batch: BatchRule
    expect: tuple[Expectation, ...]
    execution: Execution = PLAIN
