"""What ten percent more of each resource buys, each replayed, and the inputs that cannot have mattered."""

from __future__ import annotations

from dataclasses import replace
from math import log

from simcluster.pipeline import simulate
from simcluster.scenario.inputs import Input, inputs, with_input
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.result import Result
from simcluster.timeline.sensitivity import Sensitivity
from simcluster.units import show_percent

BETTER = 1.1
"""How many times as good each input is made."""

WORSE = 0.5
"""How good an input without effect is made, to tell what does not bind from what cannot matter."""

EQUAL = 1e-12
"""Latencies closer than this are equal: sums of the same times."""


def sensitivities(scenario: Scenario, result: Result) -> tuple[Sensitivity, ...]:
    """Every number of the hardware made 10 % better by itself, what gains most first; then those without effect.

    An input has no effect only if the replay with it, 10 % better, takes as long.  Where the inputs' facts say that it
    cannot matter, the replay with half of it must say so too, else it is told that it does not bind now.  Empty for a
    plan that does not fit.
    """
    if result.timeline is None:
        return ()
    now_s = result.metrics["latency_s"] or 0.0
    found = [_sensitivity(scenario, result, one, now_s) for one in inputs(scenario)]
    found += [] if scenario.workload.phase == "generate" else _steps(scenario, now_s)
    return tuple(sorted(found, key=lambda one: (not one.matters, one.change if one.matters else 0.0)))


def _sensitivity(scenario: Scenario, result: Result, one: Input, now_s: float) -> Sensitivity:
    better = one.times(BETTER)
    then_s = now_s if one.value == 0 else _latency(with_input(scenario, one.path, better))
    change = then_s / now_s - 1
    told = Sensitivity(
        path=one.path,
        value=one.shown(one.value),
        better=one.shown(better),
        latency_s=then_s,
        change=change,
        elasticity=-log(then_s / now_s) / log(BETTER),
    )
    if abs(change) > EQUAL:
        return told
    told = replace(told, latency_s=now_s, change=0.0, elasticity=0.0)
    if one.value == 0:
        return replace(told, why="it is 0 already")
    if one.path == "cluster.gpu.memory":
        return replace(told, why="the plan fits; what is left over makes nothing faster", never=True)
    reason = _never(scenario, result, one)
    half_s = _latency(with_input(scenario, one.path, one.times(WORSE)))
    if reason and abs(half_s / now_s - 1) <= EQUAL:
        return replace(told, why=reason, never=True)
    half = one.shown(one.times(WORSE))
    if abs(half_s / now_s - 1) <= EQUAL:
        return replace(told, why=f"nothing that the latency is made of is limited by it, nor would be at {half}")
    loss = show_percent(half_s / now_s - 1)
    return replace(told, why=f"nothing that the latency is made of is limited by it; at {half} it would cost {loss}")


def _latency(scenario: Scenario) -> float:
    """Seconds of a step; the plan fits, as hardware of another speed needs no more memory."""
    latency_s = simulate(scenario).metrics["latency_s"]
    assert latency_s is not None
    return latency_s


def _never(scenario: Scenario, result: Result, one: Input) -> str:
    """Why no value of the input could matter, by what ran; empty where nothing says so."""
    cluster, rows = scenario.cluster, result.by_operation
    _, head, name, *kind = one.path.split(".")
    sent = [row for row in rows if row.kind != "compute"]
    match head, name:
        case "gpu", "peak":
            precision = scenario.model.precision
            used = (precision.compute, precision.expert_compute, precision.attention, precision.vocabulary)
            if kind[0] not in used and not (kind[0] == "fp8" and "fp8_block" in used):
                return f"nothing computes in {kind[0]}"
        case "gpu", "launch_overhead" if cluster.gpu.profile is not None:
            return f"measured times replace it: every kernel is in the profile of {cluster.gpu.profile.gpu}"
        case "gpu", "collective_overhead" if not sent:
            return "there is no collective"
        case "nvlink", _ if not any(row.bytes_nvlink for row in rows):
            return "no byte crosses NVLink"
        case "infiniband", _ if not any(row.bytes_infiniband for row in rows):
            return "no byte leaves a node" if cluster.domain_gpus == cluster.gpus_per_node else "no byte leaves NVLink"
        case "pcie", _ if not any(link.startswith("pcie") for link in _used_links(result)):
            return "no byte crosses PCIe"
        case _, "latency" | "collective_overhead" if cluster.library is not None:
            return f"measured times replace it: every collective is in the library {cluster.library.name}"
    return ""


def _used_links(result: Result) -> list[str]:
    """Kinds of wires that carried anything."""
    assert result.timeline is not None
    links = result.timeline.links
    carried = links.bytes_on_wires(result.timeline.end_s).tolist()
    return [kind for kind, size in zip(links.kind, carried, strict=True) if size]


def _steps(scenario: Scenario, now_s: float) -> list[Sensitivity]:
    """The number of steps, where a step takes as long however many follow one another."""
    steps = scenario.workload.steps
    other = 2 if steps == 1 else 1
    then_s = _latency(replace(scenario, workload=replace(scenario.workload, steps=other), expect=()))
    if abs(then_s / now_s - 1) > EQUAL * steps:
        return []
    why = "latency is that of one step, and every step takes as long"
    return [
        Sensitivity(path="workload.steps", value=str(steps), better=str(other), latency_s=now_s, change=0.0,
                    elasticity=0.0, why=why, never=True)
    ]  # fmt: skip
