"""The pipeline: scenario -> share and layout -> program -> replay -> timeline -> Result, audited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean

from simcluster.audit.audit import audit
from simcluster.plan import memory
from simcluster.plan.share import Share
from simcluster.program.generation import lower_generation, steps
from simcluster.program.lower import lower
from simcluster.program.program import Program, live_bytes
from simcluster.replay.run import Fold as Fold
from simcluster.replay.run import length_s, run
from simcluster.scenario.scenario import Scenario
from simcluster.summarize import summarize
from simcluster.timeline.generation import error_bound
from simcluster.timeline.result import Result
from simcluster.timeline.states import states
from simcluster.timeline.stretch import stretched
from simcluster.timeline.timeline import Timeline

POINTS = (8, 16, 32)
"""Contexts at which decode steps are simulated, more where fewer leave the latency in doubt."""

DOUBT = 0.005
"""The doubt that is small enough, as a fraction of the latency."""


def simulate(scenario: Scenario, *, fold: Fold = "auto") -> Result:
    """What running the scenario gives.  A plan that does not fit in memory is not replayed: its timeline is None.

    `fold` auto replays equal ranks once, off every rank for itself: the same numbers, to rounding.

    >>> from simcluster.scenario.compile import load
    >>> result = simulate(load("scenarios/mixtral_prefill.yaml"))
    >>> f"{result.metrics['latency_s'] * 1e3:.1f} ms, MFU {result.metrics['mfu']:.2f}"
    '156.2 ms, MFU 0.68'
    """
    program = program_of(scenario)
    result = summarize(scenario, program)
    if result.fits:
        timeline = _finest(scenario, program, fold)
        result = replace(result, timeline=timeline, states=states(timeline))
    return replace(result, checks=audit(result, scenario.expect))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The few numbers that plans are ranked by: those of `simulate`, found without spans where that can be."""

    latency_s: float
    throughput_tokens_per_s: float
    mfu: float


def estimate(scenario: Scenario) -> Estimate:
    """Latency, throughput and MFU of a scenario that fits in memory."""
    workload = scenario.workload
    if workload.phase == "generate" or workload.steps > 1:
        metrics = simulate(scenario).metrics
        names = ("latency_s", "throughput_tokens_per_s", "mfu")
        latency_s, throughput, mfu = (float(metrics[name] or 0.0) for name in names)
        return Estimate(latency_s=latency_s, throughput_tokens_per_s=throughput, mfu=mfu)
    program = lower(scenario.share, scenario.layout, once=True)
    found = length_s(program, scenario.cluster)
    latency_s = run(program_of(scenario), scenario.cluster).end_s if found is None else found
    flops = fmean(fmean(each) for each in program.flops)
    peak = scenario.cluster.gpu.peak(scenario.model.precision.compute)
    return Estimate(
        latency_s=latency_s, throughput_tokens_per_s=program.tokens / latency_s, mfu=flops / (peak * latency_s)
    )


def memory_fraction(scenario: Scenario) -> float:
    """The fullest GPU's memory over its capacity, without a replay."""
    gpu = scenario.cluster.gpu
    kept = gpu.reserved_memory_bytes + gpu.communication_buffer_bytes
    programs = [lower(part, scenario.layout, once=True) for part in steps(scenario.share)]
    return (kept + max(_held(scenario.share, programs))) / gpu.memory_bytes


def resident_fraction(scenario: Scenario) -> float:
    """What a GPU of the first stage needs whatever it computes, weights, cache and workspace, over its capacity."""
    gpu = scenario.cluster.gpu
    kept = gpu.reserved_memory_bytes + gpu.communication_buffer_bytes
    return (kept + sum(part.bytes for part in memory.resident(scenario.share).values())) / gpu.memory_bytes


def _held(share: Share, programs: list[Program]) -> Iterator[float]:
    """Weights, cache and activations of a rank of each stage."""
    for stage in range(share.degrees.pp):
        resident = sum(part.bytes for part in memory.resident(share.at(stage)).values())
        yield resident + max(live_bytes(program.fullest(stage)) for program in programs)


def program_of(scenario: Scenario, points: int = POINTS[0]) -> Program:
    """The program of a step, or of a generation with decode steps at so many contexts."""
    if scenario.workload.phase == "generate":
        return lower_generation(scenario.share, scenario.layout, points)
    return lower(scenario.share, scenario.layout)


def _finest(scenario: Scenario, program: Program, fold: Fold) -> Timeline:
    """The timeline of `program`; of a generation at more contexts where those leave doubt, as many as there may be."""
    timeline = at_length(run(program, scenario.cluster, fold), program)
    for points in POINTS[1:]:
        if error_bound(timeline) <= DOUBT:
            break
        finer = program_of(scenario, points)
        timeline = at_length(run(finer, scenario.cluster, fold), finer)
    return timeline


def at_length(timeline: Timeline, program: Program) -> Timeline:
    """The timeline of a program with every segment of a generation as long as the steps it stands for."""
    parts = [(segment.name, segment.first, segment.times, segment.length) for segment in program.segments]
    return stretched(timeline, parts) if parts else timeline
