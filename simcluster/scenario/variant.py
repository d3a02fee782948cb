"""Neighbours of a scenario: another plan, faster hardware, one node in place of many that do not touch."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from simcluster.kernels import PEAK_OF
from simcluster.plan import divide
from simcluster.plan.degrees import Degrees
from simcluster.plan.name import resolve
from simcluster.scenario.inputs import inputs, with_input
from simcluster.scenario.scenario import Scenario

Resource = Literal["compute", "memory", "nvlink", "nic"]


def with_plan(scenario: Scenario, name: str) -> Scenario | None:
    """The scenario under another plan of the same cluster; None where that plan cannot be."""
    try:
        plan = resolve(name, scenario.plan.degrees.gpus)
    except ValueError:
        return None
    if divide.mistakes(scenario.model, plan.degrees, scenario.workload, scenario.execution):
        return None
    return replace(scenario, plan=plan, expect=())


def faster(scenario: Scenario, resource: Resource, factor: float) -> tuple[str, Scenario]:
    """The scenario with `factor` times the FLOPS, HBM, NVLink or InfiniBand bandwidth, and the `--set` that says so."""
    precision = scenario.model.precision.compute
    peaks = scenario.cluster.gpu.peak_flops_per_s
    path = {
        "compute": f"cluster.gpu.peak.{precision if precision in peaks else PEAK_OF.get(precision, precision)}",
        "memory": "cluster.gpu.memory_bandwidth",
        "nvlink": "cluster.nvlink.bandwidth",
        "nic": "cluster.infiniband.bandwidth",
    }[resource]
    now = next(one for one in inputs(scenario) if one.path == path)
    value = now.times(factor)
    return now.assignment(value), with_input(scenario, path, value)


def without_faults(scenario: Scenario) -> Scenario | None:
    """The scenario with every GPU at full speed, without jitter, and every wire as it should be; None if it is so."""
    cluster = scenario.cluster
    if not (cluster.faults or cluster.slow_gpus or cluster.jitter):
        return None
    healthy = replace(cluster, faults=(), slow_gpus={}, jitter=None)
    return replace(scenario, cluster=healthy, expect=())


def one_node(scenario: Scenario) -> Scenario | None:
    """One node's part of a scenario whose groups all stay inside a node, with the same latency; else None.

    Such nodes run the same program on wires of their own, so their timelines are equal; not where a fault, a slow
    GPU, background traffic or an NVLink domain of several nodes tells them apart or joins them.
    """
    degrees, nodes = scenario.plan.degrees, scenario.cluster.nodes
    cluster = scenario.cluster
    if cluster.faults or cluster.slow_gpus or cluster.jitter or cluster.background:
        return None
    if cluster.domain_gpus != cluster.gpus_per_node:
        return None
    per_node = scenario.cluster.gpus_per_node
    if degrees.pp > 1 or per_node % (degrees.tp * degrees.cp) or per_node % (degrees.ep * degrees.etp):
        return None
    part = Degrees(
        tp=degrees.tp,
        pp=1,
        dp=degrees.dp // nodes,
        cp=degrees.cp,
        ep=degrees.ep,
        etp=degrees.etp,
        edp=degrees.edp // nodes,
    )
    return replace(
        scenario,
        cluster=replace(scenario.cluster, nodes=1),
        plan=replace(scenario.plan, degrees=part),
        workload=replace(scenario.workload, batch=scenario.workload.batch // nodes),
        expect=(),
    )
