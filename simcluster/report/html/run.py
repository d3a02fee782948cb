"""The page of a run."""

from __future__ import annotations

from collections.abc import Iterable

from simcluster.report.html import spans
from simcluster.report.html.blocks import Bar, Bars, Block, Card, Cell, Claim, Grid, Page, Prose, cells
from simcluster.report.states import STATES
from simcluster.report.verdict import unit_of, verdict
from simcluster.timeline import metric
from simcluster.timeline.critical_path import PARTS
from simcluster.timeline.limit import LIMITS
from simcluster.timeline.links import link_rows
from simcluster.timeline.result import Result
from simcluster.timeline.table import Table
from simcluster.units import show_bytes, show_flop, show_percent, show_seconds

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

STATE_COLOURS = dict(zip((path for path, _ in STATES), ("computing", "communicating", "waiting", "idle"), strict=True))

PATH_COLOURS = {"compute": "computing", "hbm": "send", "nvlink": "communicating", "infiniband": "exchange"}


def page(result: Result, changes: Table | None = None) -> Page:
    """The verdict, the checks, and everything that `run` prints, as far as it was replayed."""
    identity = result.identity
    degrees = "  ".join(f"{axis} {degree}" for axis, degree in identity.degrees.items())
    blocks: list[Block] = []
    if result.timeline is not None:
        blocks += [states(result), _path(result), spans.chart(result), _operations(result)]
    blocks.append(_memory(result))
    if result.timeline is not None:
        blocks.append(_links(result))
    blocks += [_changes(changes)] if changes is not None else []
    blocks += [_compute(result), _sources(result)]
    return Page(
        title=identity.scenario,
        subtitle=f"{identity.plan}, read as {identity.convention}, on {identity.gpus:,} GPUs ({degrees})",
        verdict=(_joined(verdict(result)),),
        cards=tuple(cards(result)),
        claims=tuple(
            Claim(name=one.name, passed=one.passed, outcome=_outcome(one.claimed, one.actual), why=one.why)
            for one in result.checks
        ),
        blocks=tuple(blocks),
    )


def cards(result: Result) -> Iterable[Card]:
    """Headline numbers that the result has."""
    for path, name in CARDS:
        if result.metrics[path] is not None:
            yield Card(name=name, value=metric.show(path, result.metrics[path]))


def _joined(text: str) -> str:
    """Lines that were wrapped for a terminal as one."""
    return " ".join(text.split())


def _outcome(claimed: str, actual: str) -> str:
    return f"claimed {claimed}, computed {actual}" if claimed else f"computed {actual}"


def states(result: Result) -> Bars:
    latency_s = result.metrics["latency_s"] or 0.0
    return Bars(
        title="Where a GPU's time goes",
        bars=tuple(
            _bar(name, (result.metrics[path] or 0.0) * latency_s, latency_s, STATE_COLOURS[path])
            for path, name in STATES
        ),
        note=f"Mean over GPUs, of a {unit_of(result)}.",
    )


def _path(result: Result) -> Bars:
    path = result.critical_path
    assert path is not None
    longest = sorted(path.by_operation.items(), key=lambda item: -item[1])[:3]
    told = ", ".join(f"{name} {show_percent(seconds / (path.period_s or 1.0))}" for name, seconds in longest)
    return Bars(
        title="Critical path: what the latency is made of",
        bars=tuple(
            _bar(PARTS[part], seconds, path.period_s, PATH_COLOURS.get(part, "other"))
            for part, seconds in path.split.items()
            if seconds > 0
        ),
        note=f"Most of it: {told}.",
    )


def _bar(name: str, seconds: float, whole_s: float, colour: str) -> Bar:
    share = seconds / whole_s if whole_s else 0.0
    return Bar(name=name, value=show_seconds(seconds), percent=show_percent(share), share=share, colour=colour)


def _operations(result: Result) -> Grid:
    latency_s = result.metrics["latency_s"] or 1.0
    rows = []
    for one in sorted(result.by_operation, key=lambda row: -row.seconds):
        rows.append(
            (
                Cell(text=one.name),
                Cell(text=f"{one.count:,}", order=one.count),
                Cell(text=show_seconds(one.seconds), order=one.seconds),
                Cell(text=show_percent(one.seconds / latency_s), order=one.seconds),
                Cell(text=show_seconds(one.exposed_seconds) if one.exposed_seconds else "", order=one.exposed_seconds),
                Cell(text=show_flop(one.flops) if one.flops else "", order=one.flops),
                Cell(text=show_bytes(one.bytes), order=one.bytes),
                Cell(text=show_bytes(one.bytes_nvlink) if one.bytes_nvlink else "", order=one.bytes_nvlink),
                Cell(text=show_bytes(one.bytes_infiniband) if one.bytes_infiniband else "", order=one.bytes_infiniband),
                Cell(text=one.algorithm or ""),
                Cell(text=LIMITS[one.limited_by]),
            )
        )
    unit = unit_of(result)
    return Grid(
        title="Operations",
        header=(
            "operation",
            "count",
            "time",
            f"of {unit}",
            "exposed",
            "FLOPs",
            "HBM or sent",
            "NVLink",
            "InfiniBand",
            "algorithm",
            "limited by",
        ),
        rows=tuple(rows),
        numbers=frozenset(range(1, 9)),
        note=f"Per GPU and {unit}. Exposed is what no kernel hides.",
    )


def _memory(result: Result) -> Grid:
    total, capacity = result.memory_total_bytes, result.memory_capacity_bytes
    rows = [
        (Cell(text=name), Cell(text=show_bytes(part.bytes), order=part.bytes), Cell(text=part.formula))
        for name, part in result.memory.items()
        if part.bytes
    ]
    of = f"{show_percent(total / capacity)} of {show_bytes(capacity)}"
    rows.append((Cell(text="total"), Cell(text=show_bytes(total), order=total), Cell(text=of)))
    return Grid(
        title="Memory of the fullest GPU",
        header=("part", "bytes", "arithmetic"),
        rows=tuple(rows),
        numbers=frozenset({1}),
        marked=frozenset({len(rows) - 1}),
    )


def _links(result: Result) -> Grid:
    assert result.timeline is not None
    rows = []
    for link in link_rows(result.timeline):
        shares = [float(link[f"utilization_{which}"]) for which in ("mean", "peak")]
        rows.append(
            (
                Cell(text=f"{link['kind']} {link['direction']}"),
                Cell(text=f"{link['count']:,}", order=float(link["count"])),
                Cell(text=show_bytes(float(link["bytes"])), order=float(link["bytes"])),
                *(Cell(text=show_percent(share), order=share) for share in shares),
            )
        )
    return Grid(
        title="Wires",
        header=("wires", "count", "carried", "mean use", "peak use"),
        rows=tuple(rows),
        numbers=frozenset({1, 2, 3, 4}),
        note="All of a kind; use is of usable bandwidth." if rows else "None: one GPU.",
    )


def _compute(result: Result) -> Grid:
    rows = [
        (Cell(text=name), Cell(text=show_flop(work.flops), order=work.flops), Cell(text=work.formula))
        for name, work in result.work.items()
    ]
    title = f"Counted FLOPs of a GPU and {unit_of(result)}"
    return Grid(title=title, header=("operation", "FLOPs", "arithmetic"), rows=tuple(rows), numbers=frozenset({1}))


def _changes(changes: Table) -> Block:
    if not changes.rows:
        return Prose(title=changes.title, paragraphs=("None of the plans and upgrades tried makes the step faster.",))
    rows = [
        (
            Cell(text=f"--set '{row['change']}'"),
            Cell(text=show_seconds(float(str(row["latency_s"]))), order=float(str(row["latency_s"]))),
            Cell(text=f"{float(str(row['speedup'])):.2f} x as fast", order=float(str(row["speedup"]))),
        )
        for row in changes.rows
    ]
    header = ("change", "latency", "speed")
    return Grid(title=changes.title, header=header, rows=tuple(rows), numbers=frozenset({1, 2}), note="Each simulated.")


def _sources(result: Result) -> Grid:
    rows = tuple(cells((name, one.kind, one.source)) for name, one in result.provenance.items())
    return Grid(title="Where times come from", header=("time of", "kind", "source"), rows=rows)
