"""The pipeline: scenario -> share and layout -> program -> replay -> timeline -> Result, audited."""

from __future__ import annotations

from dataclasses import replace

from simcluster.audit.audit import audit
from simcluster.plan import memory
from simcluster.plan.layout import Layout
from simcluster.plan.share import Share
from simcluster.program.generation import lower_generation, steps
from simcluster.program.lower import lower
from simcluster.program.program import Program, live_bytes
from simcluster.replay.run import Fold as Fold
from simcluster.replay.run import run
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
    """
    program = program_of(scenario)
    result = summarize(scenario, _share(scenario), program)
    if result.fits:
        timeline = _finest(scenario, program, fold)
        result = replace(result, timeline=timeline, states=states(timeline))
    return replace(result, checks=audit(result, scenario.expect))


def memory_fraction(scenario: Scenario) -> float:
    """The fullest GPU's memory over its capacity, without a replay."""
    share = _share(scenario)
    layout = Layout(degrees=scenario.plan.degrees, gpus_per_node=scenario.cluster.gpus_per_node)
    gpu = scenario.cluster.gpu
    kept = gpu.reserved_memory_bytes + gpu.communication_buffer_bytes
    resident = sum(part.bytes for part in memory.resident(share).values())
    live = [live_bytes(lower(part, layout).fullest) for part in steps(share)]
    return (kept + resident + max(live)) / gpu.memory_bytes


def resident_fraction(scenario: Scenario) -> float:
    """What a GPU of the first stage needs whatever it computes, weights, cache and workspace, over its capacity."""
    gpu = scenario.cluster.gpu
    kept = gpu.reserved_memory_bytes + gpu.communication_buffer_bytes
    return (kept + sum(part.bytes for part in memory.resident(_share(scenario)).values())) / gpu.memory_bytes


def _share(scenario: Scenario) -> Share:
    return Share(model=scenario.model, degrees=scenario.plan.degrees, workload=scenario.workload)


def program_of(scenario: Scenario, points: int = POINTS[0]) -> Program:
    """The program of a step, or of a generation with decode steps at so many contexts."""
    share = _share(scenario)
    layout = Layout(degrees=scenario.plan.degrees, gpus_per_node=scenario.cluster.gpus_per_node)
    if scenario.workload.phase == "generate":
        return lower_generation(share, layout, points)
    return lower(share, layout)


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
