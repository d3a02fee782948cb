"""A result as text: the verdict first, then aligned tables with a unit at every number."""

from __future__ import annotations

import textwrap

from simcluster.report import budget, costs
from simcluster.report.balance import balance
from simcluster.report.folding import replayed
from simcluster.report.layout import aligned, fill, grid, section
from simcluster.report.path import critical
from simcluster.report.states import STATES, phases
from simcluster.report.stragglers import faults, waited_for
from simcluster.report.verdict import unit_of, verdict
from simcluster.timeline import metric
from simcluster.timeline.capacity import Capacity
from simcluster.timeline.limit import LIMITS
from simcluster.timeline.links import link_rows
from simcluster.timeline.result import Result, part_of
from simcluster.timeline.slowdown import WithoutFaults
from simcluster.timeline.table import Table
from simcluster.timeline.totals import OperationTotal
from simcluster.units import show_bytes, show_flop, show_percent, show_seconds

_BAR = 30

_SOURCE = 88
"""Characters of a line of a source."""


def summary(
    result: Result,
    changes: Table | None = None,
    capacity: Capacity | None = None,
    healthy: WithoutFaults | None = None,
) -> str:
    """What `simcluster run` prints; `changes` are those a study found to help, `capacity` what memory allows, `healthy`
    the same scenario without its faults."""
    identity = result.identity
    parts = [f"{identity.scenario}\n{'=' * len(identity.scenario)}", verdict(result), _headline(result, healthy)]
    if result.timeline is not None:
        parts += [phases(result)] if result.generates else []
        parts += [_states(result)] + ([waited_for(result.waited_for)] if result.waited_for else [])
        parts += [critical(result), *filter(None, [costs.states(result)]), _operations(result), _communication(result)]
    parts += [budget.memory(result)] + ([] if capacity is None else [budget.limits(result, capacity)])
    parts += [] if result.routing is None else [balance(result, result.routing)]
    parts += [_compute(result)]
    if result.timeline is not None:
        parts += [_links(result)]
    parts += [_checks_in_short(result)] + ([_changes(changes)] if changes is not None else []) + [_provenance(result)]
    return "\n\n".join(parts)


def _headline(result: Result, healthy: WithoutFaults | None) -> str:
    identity, values = result.identity, result.metrics
    counts = ", ".join(
        f"{name} {'impossible' if count is None else f'{count} GPUs'}" for name, count in identity.counts.items()
    )
    rows = [
        ("plan", f"{identity.plan}, read as {identity.convention} ({counts})"),
        ("degrees", "  ".join(f"{axis} {degree}" for axis, degree in identity.degrees.items())),
    ]
    if identity.other_reading:
        rows.append(("other reading", identity.other_reading))
    steps = 1 if result.timeline is None else result.timeline.steps
    rows += [
        (
            "latency",
            metric.show("latency_s", values["latency_s"]) + (f" a step, {steps} steps" if steps > 1 else ""),
        ),
        ("first token", metric.show("ttft_s", values["ttft_s"])),
        ("per token", metric.show("tpot_s", values["tpot_s"])),
        ("throughput", metric.show("throughput_tokens_per_s", values["throughput_tokens_per_s"])),
        (
            "per GPU",
            metric.show("throughput_tokens_per_s_per_gpu", values["throughput_tokens_per_s_per_gpu"]),
        ),
        ("MFU", metric.show("mfu", values["mfu"])),
        *costs.headline(result),
    ]
    if healthy is not None:
        rows.append(("faults", faults(healthy)))
    if result.timeline is not None:
        rows.append(("replayed", replayed(result.timeline.folding)))
    return aligned([row for row in rows if row[1] != "none"])


def _states(result: Result) -> str:
    values = result.metrics
    latency_s = values["latency_s"] or 0.0
    rows = []
    for path, name in STATES:
        share = values[path] or 0.0
        bar = "█" * round(share * _BAR)
        rows.append((name, show_seconds(share * latency_s), show_percent(share), bar))
    return section("Where a GPU's time goes (mean over GPUs)", grid(rows, right=(1, 2)))


def _operations(result: Result) -> str:
    latency_s = result.metrics["latency_s"] or 1.0
    header = (
        "operation",
        "count",
        "time",
        f"of {unit_of(result)}",
        "FLOPs",
        "HBM or sent",
        "NVLink",
        "InfiniBand",
        "limited by",
    )
    rows: list[tuple[str, ...]] = [header]
    for row in sorted(result.by_operation, key=lambda row: row.seconds, reverse=True):
        rows.append(_operation(row, latency_s))
    return section(f"Operations (per GPU and {unit_of(result)}, costliest first)", grid(rows, right=tuple(range(1, 8))))


def _operation(row: OperationTotal, latency_s: float) -> tuple[str, ...]:
    return (
        row.name,
        str(row.count),
        show_seconds(row.seconds),
        show_percent(row.seconds / latency_s),
        show_flop(row.flops) if row.flops else "",
        show_bytes(row.bytes),
        show_bytes(row.bytes_nvlink) if row.bytes_nvlink else "",
        show_bytes(row.bytes_infiniband) if row.bytes_infiniband else "",
        LIMITS[row.limited_by],
    )


def _communication(result: Result) -> str:
    """Every collective with its algorithm, its time with the wires to itself, and what of it no kernel hides."""
    found = [row for row in result.by_operation if row.kind != "compute"]
    if not found:
        return section("Communication", "none: no collective has more than one member")
    rows: list[tuple[str, ...]] = [
        ("collective", "algorithm", "sent each", "alone each", "time", "exposed", "limited by")
    ]
    for row in sorted(found, key=lambda row: row.seconds, reverse=True):
        count = max(1, row.count)
        rows.append(
            (
                row.name,
                f"{row.algorithm} {row.kind.replace('_', '-')}",
                show_bytes(row.bytes / count),
                show_seconds(row.alone_seconds / count),
                show_seconds(row.seconds),
                show_seconds(row.exposed_seconds),
                LIMITS[row.limited_by],
            )
        )
    points = metric.show("synchronisation_points_per_layer", result.metrics["synchronisation_points_per_layer"])
    title = f"Communication (per GPU and {unit_of(result)}; {points} synchronisation points a layer)"
    return section(title, grid(rows, right=(2, 3, 4, 5)))


def _changes(changes: Table) -> str:
    rows = [
        (
            f"--set '{row['change']}'",
            show_seconds(float(str(row["latency_s"]))),
            f"{float(str(row['speedup'])):.2f} x as fast",
        )
        for row in changes.rows
    ]
    body = grid(rows, right=(1, 2)) if rows else "none of the plans and upgrades tried makes the step faster"
    return section(f"{changes.title} (each simulated; latency)", body)


def _compute(result: Result) -> str:
    """The counted FLOPs of a GPU by part and kernel, each with its factors."""
    totals = result.flops_per_gpu()
    rows = [
        (part_of(name), name, show_flop(work.flops), work.formula)
        for name, work in sorted(result.work.items(), key=lambda item: part_of(item[0]))
    ]
    shares = ", ".join(f"{name} {show_flop(totals[name])}" for name in ("attention", "experts", "other"))
    rows.append(("total", "", show_flop(totals["total"]), shares))
    return section(f"Compute of a GPU (counted FLOPs of a {unit_of(result)})", grid(rows, right=(2,)))


def _links(result: Result) -> str:
    assert result.timeline is not None
    rows = [("wires", "count", "carried", "mean use", "peak use")]
    for link in link_rows(result.timeline):
        rows.append(
            (
                f"{link['kind']} {link['direction']}",
                f"{link['count']:,}",
                show_bytes(float(link["bytes"])),
                show_percent(float(link["utilization_mean"])),
                show_percent(float(link["utilization_peak"])),
            )
        )
    if len(rows) == 1:
        return section("Wires", "  none: one GPU")
    return section(
        f"Wires (all of a kind, per {unit_of(result)}; use is of usable bandwidth)", grid(rows, right=(1, 2, 3, 4))
    )


def _checks_in_short(result: Result) -> str:
    failed = [check.name for check in result.checks if not check.passed]
    if not failed:
        return f"Checks: all {len(result.checks)} hold."
    return fill(
        f"Checks: {len(failed)} of {len(result.checks)} fail: {'; '.join(failed)}. `simcluster check` says why."
    )


def _provenance(result: Result) -> str:
    rows = []
    for name, source in result.provenance.items():
        first, *more = textwrap.wrap(source.source, width=_SOURCE)
        rows += [(name, source.kind, first), *(("", "", line) for line in more)]
    return section("Where times come from", grid(rows))
