"""A figure of a result by the name of its kind."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from simcluster.report.figures import (
    breakdown,
    links,
    memory,
    pipeline_chart,
    steps,
    style,
    timeline_chart,
    topology,
    utilization,
)
from simcluster.timeline.result import Result


def draw(result: Result, kind: str, look: style.Look, ranks: Sequence[int] | None, layers: int) -> Figure:
    """One of `KINDS`; `ranks` and `layers` choose what the timeline shows."""
    pipelined = result.timeline is not None and pipeline_chart.is_pipeline(result.timeline)
    match kind:
        case "utilization":
            return utilization.draw(result, look)
        case "timeline" if pipelined and ranks is None:
            return pipeline_chart.draw(result, look)
        case "timeline":
            return timeline_chart.draw(result, ranks, layers, look)
        case "breakdown":
            return breakdown.draw(result, look)
        case "memory":
            return memory.draw(result, look)
        case "links":
            return links.draw(result, look)
        case "topology":
            return topology.draw(result, look)
        case "throughput":
            return steps.draw_throughput(result, look)
        case "latency":
            return steps.draw_latency(result, look)
        case _:
            raise AssertionError(kind)
