"""What to change next: a few neighbours of a scenario, each simulated, the best ones with their gain."""

from __future__ import annotations

from simcluster.pipeline import simulate
from simcluster.scenario.scenario import Scenario
from simcluster.scenario.variant import Resource, faster, one_node, with_plan
from simcluster.timeline.result import Result
from simcluster.timeline.table import Cell, Column, Table
from simcluster.timeline.timeline import Timeline

ENOUGH = 2
"""Plans that help, from which on faster hardware is not tried unless asked for."""

LARGEST = 60_000
"""Cost of a run, in spans, past which faster hardware is tried only if asked for: it costs as much again as the run."""

WIRE_SPANS = 2
"""Spans that are replayed in the time it takes to list one wire and what crosses it."""


def advise(scenario: Scenario, result: Result, *, thorough: bool = False) -> Table:
    """The best change of each kind, plans first and fastest first: columns change, latency_s, speedup.

    Tried are plans whose groups stay inside a node (replayed on one node, as such nodes do not touch): the best that
    spreads experts and the best that does not.  Where fewer than two help and the run is not large, or always if
    `thorough`, also twice the bandwidth or FLOPS that most of the step waits for.  Changes that gain nothing are left
    out, so the table may be empty.
    """
    assert result.timeline is not None
    now_s = result.timeline.end_s
    rows: list[dict[str, Cell]] = []
    for family in _plans(scenario):
        tried: list[dict[str, Cell]] = []
        for change, variant in family:
            _try(tried, change, variant, now_s)
        rows += sorted(tried, key=_latency)[:1]
    rows.sort(key=_latency)
    binding = _binding(result)
    if binding is not None and (thorough or (len(rows) < ENOUGH and cost(result.timeline) <= LARGEST)):
        _try(rows, *faster(scenario, binding, 2.0), now_s)
    columns = (Column(name="change"), Column(name="latency_s", measure="seconds"), Column(name="speedup"))
    return Table(title="What to change next", columns=columns, rows=tuple(rows), swept=("change",))


def cost(timeline: Timeline) -> int:
    """What running it again takes, in spans: those replayed, and where something sets equal ranks or wires apart, so
    that all of them are listed before the equal ones are found, the wires."""
    folding = timeline.folding
    return len(timeline.track) + (WIRE_SPANS * folding.wires if folding.split_by else 0)


def _try(rows: list[dict[str, Cell]], change: str, variant: Scenario, now_s: float) -> None:
    """Simulate one change and keep it if the step gets faster."""
    found = simulate(variant)
    if found.timeline is None:
        return
    speedup = now_s / found.timeline.end_s
    if speedup > 1 + 1e-6:
        rows.append({"change": change, "latency_s": found.metrics["latency_s"], "speedup": speedup})


def _latency(row: dict[str, Cell]) -> float:
    return float(str(row["latency_s"]))


def _plans(scenario: Scenario) -> list[list[tuple[str, Scenario]]]:
    """Other plans inside a node by family: experts over two, half or all of its GPUs; data and tensor parallelism."""
    per_node = scenario.cluster.gpus_per_node
    families = [["TP1", "TP2", f"TP{per_node // 2}", f"TP{per_node}"]]
    if scenario.model.moe is not None:
        families.append(["EP2", f"EP{per_node // 2}", f"EP{per_node}"])
    found = []
    for names in families:
        variants = [(name, with_plan(scenario, name)) for name in dict.fromkeys(names) if not name.endswith("P0")]
        parts = [(name, variant, one_node(variant)) for name, variant in variants if variant is not None]
        found.append(
            [
                (f"plan={name}", part)
                for name, variant, part in parts
                if part is not None and variant.plan.degrees != scenario.plan.degrees
            ]
        )
    return found


def _binding(result: Result) -> Resource | None:
    """The resource that most of the step waits for, beside launch overhead and latency; None where that is all."""
    waits: dict[Resource, float] = {}
    for row in result.by_operation:
        seconds = row.seconds if row.kind == "compute" else row.exposed_seconds
        match row.limited_by:
            case "compute" | "memory" | "nvlink" | "nic":
                waits[row.limited_by] = waits.get(row.limited_by, 0.0) + seconds
            case "leaf":
                waits["nic"] = waits.get("nic", 0.0) + seconds
            case _:
                pass
    return max(waits, key=lambda resource: waits[resource], default=None)
