"""What to change next: a few neighbours of a scenario, each simulated, the best ones with their gain."""

from __future__ import annotations

from simcluster.pipeline import simulate
from simcluster.scenario.scenario import Scenario
from simcluster.scenario.variant import Resource, faster, one_node, with_plan
from simcluster.timeline.result import Result
from simcluster.timeline.table import Cell, Column, Table

MOST = 3
"""Changes shown."""

LARGEST = 60_000
"""Spans of a run past which faster hardware is tried only if asked for: it costs as much again as the run."""


def advise(scenario: Scenario, result: Result, *, thorough: bool = False) -> Table:
    """The best changes found, fastest first: columns change, latency_s, speedup.

    Tried are plans whose groups stay inside a node (replayed on one node, as such nodes do not touch).  Where fewer
    than three of them help and the run is not large, or always if `thorough`, also twice the bandwidth or FLOPS that
    most of the step waits for.  Changes that gain nothing are left out, so the table may be empty.
    """
    assert result.timeline is not None
    now_s = result.timeline.end_s
    rows: list[dict[str, Cell]] = []
    for change, variant in _plans(scenario):
        _try(rows, change, variant, now_s)
    if thorough or (len(rows) < MOST and len(result.timeline.rank) <= LARGEST):
        _try(rows, *faster(scenario, _binding(result), 2.0), now_s)
    rows = sorted(rows, key=lambda row: float(str(row["latency_s"])))[:MOST]
    columns = (Column(name="change"), Column(name="latency_s", measure="seconds"), Column(name="speedup"))
    return Table(title="What to change next", columns=columns, rows=tuple(rows), swept=("change",))


def _try(rows: list[dict[str, Cell]], change: str, variant: Scenario, now_s: float) -> None:
    """Simulate one change and keep it if the step gets faster."""
    found = simulate(variant)
    if found.timeline is None:
        return
    speedup = now_s / found.timeline.end_s
    if speedup > 1 + 1e-6:
        rows.append({"change": change, "latency_s": found.metrics["latency_s"], "speedup": speedup})


def _plans(scenario: Scenario) -> list[tuple[str, Scenario]]:
    """Other plans inside a node: experts over all, half or two of its GPUs, pure data and pure tensor parallelism."""
    per_node, found = scenario.cluster.gpus_per_node, []
    experts = scenario.model.moe is not None
    names = [f"EP{degree}" for degree in (per_node, per_node // 2, 2)] if experts else [f"TP{per_node // 2}", "TP2"]
    for name in dict.fromkeys((*names, "TP1", f"TP{per_node}")):
        variant = with_plan(scenario, name)
        inside = one_node(variant) if variant is not None else None
        if variant is not None and inside is not None and variant.plan.degrees != scenario.plan.degrees:
            found.append((f"plan={name}", inside))
    return found


def _binding(result: Result) -> Resource:
    """The resource that most of the step waits for."""
    waits: dict[Resource, float] = {"compute": 0.0, "memory": 0.0, "nvlink": 0.0, "nic": 0.0}
    for row in result.by_operation:
        seconds = row.seconds if row.kind == "compute" else row.exposed_seconds
        match row.limited_by:
            case "compute" | "memory" | "nvlink" | "nic":
                waits[row.limited_by] += seconds
            case _:
                waits["nic"] += seconds
    return max(waits, key=lambda resource: waits[resource])
