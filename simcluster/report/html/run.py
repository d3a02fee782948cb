"""The page of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simcluster.report.folding import replayed
from simcluster.report.html import cells, spans
from simcluster.report.html.blocks import Block, Card, Cell, Claim, Grid, Page, Prose
from simcluster.report.html.doubt import doubt
from simcluster.report.html.memory import experts, limits, memory
from simcluster.report.html.spent import spent
from simcluster.report.html.work import operations, sources, wires
from simcluster.report.stragglers import faults
from simcluster.report.verdict import in_a_line, verdict
from simcluster.timeline import metric
from simcluster.timeline.capacity import Capacity
from simcluster.timeline.interval import Uncertainty
from simcluster.timeline.result import Result
from simcluster.timeline.slowdown import WithoutFaults
from simcluster.timeline.table import Table

CARDS = (
    ("latency_s", "latency"),
    ("ttft_s", "first token"),
    ("tpot_s", "per token"),
    ("throughput_tokens_per_s", "throughput"),
    ("throughput_tokens_per_s_per_gpu", "per GPU"),
    ("mfu", "MFU"),
    ("memory.fraction", "memory of the fullest GPU"),
    ("cost_per_million_tokens", "cost of a million tokens"),
    ("energy_per_token_j", "energy of a token"),
)


def page(
    result: Result,
    changes: Table | None = None,
    capacity: Capacity | None = None,
    uncertainty: Uncertainty | None = None,
    healthy: WithoutFaults | None = None,
) -> Page:
    """The verdict, the checks, and everything that `run` prints, as far as it was replayed; the arguments are those of
    `report.text.summary`."""
    identity = result.identity
    degrees = "  ".join(f"{axis} {degree}" for axis, degree in identity.degrees.items())
    return Page(
        title=identity.scenario,
        subtitle=f"{identity.plan}, read as {identity.convention}, on {identity.gpus:,} GPUs ({degrees})",
        verdict=tuple(_verdict(result, healthy)),
        cards=tuple(_cards(result)),
        claims=tuple(
            Claim(name=one.name, passed=one.passed, outcome=_outcome(one.claimed, one.actual), why=one.why)
            for one in result.checks
        ),
        blocks=tuple(_blocks(result, changes, capacity, uncertainty)),
    )


def _verdict(result: Result, healthy: WithoutFaults | None) -> Iterator[str]:
    """The answer, what binds, what faults cost, and how many checks fail."""
    if result.timeline is not None:
        yield in_a_line(result)
    yield " ".join(verdict(result).split())  # lines that were wrapped for a terminal as one
    if healthy is not None:
        yield f"Faults: {faults(healthy)}."
    failed = sum(not one.passed for one in result.checks)
    if result.checks:
        yield f"{failed} of {len(result.checks)} checks fail." if failed else f"All {len(result.checks)} checks hold."


def _blocks(
    result: Result, changes: Table | None, capacity: Capacity | None, uncertainty: Uncertainty | None
) -> Iterator[Block]:
    if not result.fits and capacity is not None:
        yield limits(result, capacity)
    if uncertainty is not None:
        yield from doubt(uncertainty)
    if result.timeline is not None:
        yield from spent(result)
        yield spans.chart(result)
        yield operations(result)
    yield memory(result)
    if result.fits and capacity is not None:
        yield limits(result, capacity)
    yield from experts(result)
    if result.timeline is not None:
        yield wires(result)
    if changes is not None:
        yield _changes(changes)
    yield from sources(result)
    if result.timeline is not None:
        told = replayed(result.timeline.folding)
        yield Prose(title="What was replayed", paragraphs=(f"{told[0].upper()}{told[1:]}.",))


def _cards(result: Result) -> Iterable[Card]:
    """Headline numbers that the result has."""
    for path, name in CARDS:
        if result.metrics[path] is not None:
            yield Card(name=name, value=metric.show(path, result.metrics[path]))


def _outcome(claimed: str, actual: str) -> str:
    return f"claimed {claimed}, computed {actual}" if claimed else f"computed {actual}"


def _changes(changes: Table) -> Block:
    if not changes.rows:
        return Prose(title=changes.title, paragraphs=("None of the plans and upgrades tried makes the step faster.",))
    rows = [
        (
            Cell(text=f"--set '{row['change']}'"),
            cells.seconds(float(str(row["latency_s"]))),
            Cell(text=f"{float(str(row['speedup'])):.2f} x as fast", order=float(str(row["speedup"]))),
        )
        for row in changes.rows
    ]
    header = ("change", "latency", "speed")
    return Grid(title=changes.title, header=header, rows=tuple(rows), numbers=frozenset({1, 2}), note="Each simulated.")
