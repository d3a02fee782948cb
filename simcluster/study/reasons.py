"""Why one plan beats another: where the time of each goes, and what differs most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simcluster.timeline.limit import LIMITS
from simcluster.timeline.result import Result
from simcluster.timeline.table import Cell, Column, Table
from simcluster.timeline.totals import OperationTotal
from simcluster.units import show_percent, show_seconds

STATES = {
    "computing": "compute_busy",
    "communicating, exposed": "exposed_communication",
    "waiting for other ranks": "waiting",
    "idle": "idle",
}
"""The four states of a GPU and the metric that is its share of the latency."""

SMALL = 1e-3
"""The share of a step below which a difference is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A plan in full, under the name it is called by."""

    label: str
    result: Result


def reasons(told: Sequence[Told]) -> tuple[str, ...]:
    """Where the step of each plan goes, and what the second loses against the first."""
    return (*map(_spends, told), *([_differs(*told)] if len(told) == 2 else []))


def states(told: Sequence[Told]) -> Table:
    """Seconds in each state, a column for each plan, and the latency as their sum."""
    names, results = [one.label for one in told], [one.result for one in told]
    rows: list[dict[str, Cell]] = []
    for state, path in (*STATES.items(), ("latency", "")):
        row: dict[str, Cell] = {"state": state}
        for name, result in zip(names, results, strict=True):
            latency_s = result.metrics["latency_s"] or 0.0
            row[name] = latency_s * (result.metrics[path] or 0.0) if path else latency_s
        rows.append(row)
    columns = (Column(name="state"), *(Column(name=name, measure="seconds") for name in names))
    return Table(title="Where a GPU's time goes (mean over GPUs)", columns=columns, rows=tuple(rows), swept=("state",))


def _spends(one: Told) -> str:
    """The four states of a plan with the costliest kernel and transfer and what limits them."""
    result = one.result
    values, unit = result.metrics, "generation" if result.generates else "step"
    kernels = [row for row in result.by_operation if row.kind == "compute"]
    transfers = [row for row in result.by_operation if row.exposed_seconds > 0]
    told = f"{one.label} computes {show_percent(values['compute_busy'] or 0.0)} of a {unit}"
    if kernels:
        told += f", longest {_limited(max(kernels, key=_cost))}"
    if transfers:
        exposed = show_percent(values["exposed_communication"] or 0.0)
        told += f"; {exposed} is exposed communication, most of it {_limited(max(transfers, key=_cost))}"
    else:
        told += "; no communication is exposed"
    for name, path in (("waits for other ranks", "waiting"), ("stands idle", "idle")):
        if (values[path] or 0.0) > SMALL:
            told += f"; it {name} {show_percent(values[path] or 0.0)}{_bubble(result) if path == 'idle' else ''}"
    return f"{told}."


def _bubble(result: Result) -> str:
    pp = result.identity.degrees["pp"]
    return f" (the bubble of {pp} pipeline stages)" if pp > 1 else ""


def _limited(row: OperationTotal) -> str:
    return f"{row.name} ({show_seconds(_cost(row))}, limited by {LIMITS[row.limited_by]})"


def _cost(row: OperationTotal) -> float:
    """What an operation adds to the step: a kernel's time, a transfer's exposed time."""
    return row.seconds if row.kind == "compute" else row.exposed_seconds


def _differs(winner: Told, asked: Told) -> str:
    """What the asked-for plan loses most by, and what it gains."""
    losses = _costs(asked.result)
    for name, (seconds, bound) in _costs(winner.result).items():
        before = losses.get(name, (0.0, bound))
        losses[name] = (before[0] - seconds, before[1] if before[0] >= seconds else bound)
    least = SMALL * (asked.result.metrics["latency_s"] or 0.0)
    order = sorted((-seconds, name, bound) for name, (seconds, bound) in losses.items() if abs(seconds) > least)
    more = [f"{name} {show_seconds(-change)}{bound}" for change, name, bound in order if change < 0][:3]
    less = [f"{name} {show_seconds(change)}" for change, name, _ in reversed(order) if change > 0][:2]
    told = f"Against {winner.label}, {asked.label} spends more on {', '.join(more) or 'nothing'}"
    return f"{told}{', and less on ' + ', '.join(less) if less else ''}."


def _costs(result: Result) -> dict[str, tuple[float, str]]:
    """Seconds that each operation, waiting and idling add to a step, and what limits the transfers."""
    latency_s = result.metrics["latency_s"] or 0.0
    found = {
        row.name: (_cost(row), "" if row.kind == "compute" else f" ({LIMITS[row.limited_by]})")
        for row in result.by_operation
    }
    found["waiting"] = ((result.metrics["waiting"] or 0.0) * latency_s, "")
    found["the pipeline's bubble" if result.identity.degrees["pp"] > 1 else "idling"] = (
        (result.metrics["idle"] or 0.0) * latency_s,
        "",
    )
    return found
