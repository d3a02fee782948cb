"""Neighbours of a scenario: another plan, faster hardware, one node in place of many that do not touch."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, assert_never

from simcluster.plan import divide
from simcluster.plan.degrees import Degrees
from simcluster.plan.name import resolve
from simcluster.scenario.scenario import Scenario
from simcluster.units import format_exact

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
    cluster = scenario.cluster
    gpu, nvlink, infiniband = cluster.gpu, cluster.nvlink, cluster.infiniband
    match resource:
        case "compute":
            precision = scenario.model.precision.compute
            peak = gpu.peak_flops_per_s[precision] * factor
            gpu = replace(gpu, peak_flops_per_s={**gpu.peak_flops_per_s, precision: peak})
            assignment = f"cluster.gpu.peak.{precision}={format_exact(peak, 'FLOP/s')}"
        case "memory":
            gpu = replace(gpu, memory_bytes_per_s=gpu.memory_bytes_per_s * factor)
            assignment = f"cluster.gpu.memory_bandwidth={format_exact(gpu.memory_bytes_per_s, 'bytes/s')}"
        case "nvlink":
            assert nvlink is not None
            nvlink = replace(nvlink, bytes_per_s=nvlink.bytes_per_s * factor)
            assignment = f"cluster.nvlink.bandwidth={format_exact(nvlink.bytes_per_s, 'bytes/s')}"
        case "nic":
            assert infiniband is not None
            infiniband = replace(infiniband, bytes_per_s=infiniband.bytes_per_s * factor)
            assignment = f"cluster.infiniband.bandwidth={format_exact(infiniband.bytes_per_s, 'bytes/s')}"
        case _:
            assert_never(resource)
    changed = replace(cluster, gpu=gpu, nvlink=nvlink, infiniband=infiniband)
    return assignment, replace(scenario, cluster=changed, expect=())


def one_node(scenario: Scenario) -> Scenario | None:
    """One node's part of a scenario whose groups all stay inside a node, with the same latency; else None.

    Such nodes run the same program on wires of their own, so their timelines are equal; not where a fault, a slow
    GPU, background traffic or an NVLink domain of several nodes tells them apart or joins them.
    """
    degrees, nodes = scenario.plan.degrees, scenario.cluster.nodes
    cluster = scenario.cluster
    if cluster.faults or cluster.slow_gpus or cluster.background or cluster.domain_gpus != cluster.gpus_per_node:
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
