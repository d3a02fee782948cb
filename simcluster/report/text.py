"""A result as text: the verdict first, then aligned tables with a unit at every number."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from simcluster.timeline import metric
from simcluster.timeline.check import Check
from simcluster.timeline.links import link_rows
from simcluster.timeline.result import Result
from simcluster.timeline.table import Table
from simcluster.timeline.totals import OperationTotal
from simcluster.units import show_bytes, show_flop, show_percent, show_seconds

_BAR = 30

_STATES = (
    ("compute_busy", "computing"),
    ("exposed_communication", "communicating, exposed"),
    ("waiting", "waiting for other ranks"),
    ("idle", "idle"),
)

_LIMITS = {
    "compute": "its peak FLOPS",
    "memory": "its memory bandwidth",
    "nvlink": "NVLink",
    "nic": "the NICs",
    "leaf": "the leaf-to-spine trunks",
}


def summary(result: Result, changes: Table | None = None) -> str:
    """What `simcluster run` prints; `changes` are those a study found to help."""
    identity = result.identity
    parts = [f"{identity.scenario}\n{'=' * len(identity.scenario)}", verdict(result), _headline(result)]
    if result.timeline is not None:
        parts += [_states(result), _operations(result)]
    if changes is not None:
        parts.insert(3, _changes(changes))
    parts += [_memory(result)]
    if result.timeline is not None:
        parts += [_links(result)]
    parts += [_checks_in_short(result), _provenance(result)]
    return "\n\n".join(parts)


def verdict(result: Result) -> str:
    """What binds this plan, in a sentence or two."""
    total, capacity = result.memory_total_bytes, result.memory_capacity_bytes
    if result.timeline is None:
        worst = max(result.memory.items(), key=lambda item: item[1].bytes)
        return _fill(
            f"{result.identity.plan} does not fit: the fullest GPU needs {show_bytes(total)} and has "
            f"{show_bytes(capacity)}, {show_bytes(total - capacity)} too little; {worst[0]} takes "
            f"{show_bytes(worst[1].bytes)}. Nothing was replayed, so there is no latency or throughput."
        )
    values = result.metrics
    busy, exposed = values["compute_busy"] or 0.0, values["exposed_communication"] or 0.0
    mfu = f"MFU is {metric.show('mfu', values['mfu'])}"
    if busy >= exposed:
        return _fill(
            f"Bound by its kernels: GPUs compute {show_percent(busy)} of the step, most of it in "
            f"{_costliest(result, compute=True)}; {show_percent(exposed)} is exposed communication. {mfu}."
        )
    return _fill(
        f"Bound by communication: {show_percent(exposed)} of the step is exposed communication, most of it "
        f"{_costliest(result, compute=False)}; GPUs compute {show_percent(busy)} of it. {mfu}."
    )


def _costliest(result: Result, *, compute: bool) -> str:
    rows = [row for row in result.by_operation if (row.kind == "compute") == compute]
    rows = sorted(rows, key=lambda row: row.seconds, reverse=True)[:2]
    return " and ".join(
        f"{row.name} ({show_seconds(row.seconds)}, limited by {_LIMITS[row.limited_by]})" for row in rows
    )


def _headline(result: Result) -> str:
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
        ("throughput", metric.show("throughput_tokens_per_s", values["throughput_tokens_per_s"])),
        (
            "per GPU",
            metric.show("throughput_tokens_per_s_per_gpu", values["throughput_tokens_per_s_per_gpu"]),
        ),
        ("MFU", metric.show("mfu", values["mfu"])),
    ]
    return _aligned([row for row in rows if row[1] != "none"])


def _states(result: Result) -> str:
    values = result.metrics
    latency_s = values["latency_s"] or 0.0
    rows = []
    for path, name in _STATES:
        share = values[path] or 0.0
        bar = "█" * round(share * _BAR)
        rows.append((name, show_seconds(share * latency_s), show_percent(share), bar))
    return _section("Where a GPU's time goes (mean over GPUs)", _grid(rows, right=(1, 2)))


def _operations(result: Result) -> str:
    latency_s = result.metrics["latency_s"] or 1.0
    header = (
        "operation",
        "count",
        "time",
        "of step",
        "FLOPs",
        "HBM or sent",
        "NVLink",
        "InfiniBand",
        "limited by",
    )
    rows: list[tuple[str, ...]] = [header]
    for row in sorted(result.by_operation, key=lambda row: row.seconds, reverse=True):
        rows.append(_operation(row, latency_s))
    return _section("Operations (per GPU and step, costliest first)", _grid(rows, right=tuple(range(1, 8))))


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
        _LIMITS[row.limited_by],
    )


def _changes(changes: Table) -> str:
    rows = [
        (
            f"--set '{row['change']}'",
            show_seconds(float(str(row["latency_s"]))),
            f"{float(str(row['speedup'])):.2f} x as fast",
        )
        for row in changes.rows
    ]
    body = _grid(rows, right=(1, 2)) if rows else "none of the plans and upgrades tried makes the step faster"
    return _section(f"{changes.title} (each simulated; latency of a step)", body)


def _memory(result: Result) -> str:
    total, capacity = result.memory_total_bytes, result.memory_capacity_bytes
    rows = [(name, show_bytes(part.bytes), part.formula) for name, part in result.memory.items() if part.bytes]
    rows.append(("total", show_bytes(total), f"{show_percent(total / capacity)} of {show_bytes(capacity)}"))
    return _section("Memory of the fullest GPU", _grid(rows, right=(1,)))


def _links(result: Result) -> str:
    assert result.timeline is not None
    rows = [("wires", "count", "carried", "mean use", "peak use")]
    for link in link_rows(result.timeline):
        rows.append(
            (
                f"{link['kind']} {link['direction']}",
                str(link["count"]),
                show_bytes(float(link["bytes"])),
                show_percent(float(link["utilization_mean"])),
                show_percent(float(link["utilization_peak"])),
            )
        )
    if len(rows) == 1:
        return _section("Wires", "  none: one GPU")
    return _section("Wires (all of a kind, per step; use is of usable bandwidth)", _grid(rows, right=(1, 2, 3, 4)))


def _checks_in_short(result: Result) -> str:
    failed = [check.name for check in result.checks if not check.passed]
    if not failed:
        return f"Checks: all {len(result.checks)} hold."
    return _fill(
        f"Checks: {len(failed)} of {len(result.checks)} fail: {'; '.join(failed)}. `simcluster check` says why."
    )


def _provenance(result: Result) -> str:
    rows = [(name, source.kind, source.source) for name, source in result.provenance.items()]
    return _section("Where times come from", _grid(rows))


def checks(found: Sequence[Check]) -> str:
    """What `simcluster check` prints: a mark, the claim, what came out, and why."""
    lines = []
    for check in found:
        mark = "ok  " if check.passed else "FAIL"
        lines.append(f"{mark}  {check.name}  (computed: {check.actual})")
        lines.append(textwrap.fill(check.why, width=110, initial_indent=" " * 6, subsequent_indent=" " * 6))
    failed = sum(not check.passed for check in found)
    lines.append("")
    lines.append(f"{len(found) - failed} of {len(found)} checks hold, {failed} fail.")
    return "\n".join(lines)


def table(shown: Table) -> str:
    """A study's table with the columns a reader compares; empty columns are left out."""
    wanted = (*shown.swept, "convention", "latency_s", "throughput_tokens_per_s", "mfu", "compute_busy",
              "exposed_communication", "memory.fraction", "reason")  # fmt: skip
    columns = sorted((column for column in shown.columns if column.name in wanted), key=lambda c: c.name == "reason")
    columns = [column for column in columns if any(cell not in (None, "") for cell in shown.column(column.name))]
    rows = [tuple(column.name for column in columns)]
    for row in shown.rows:
        rows.append(tuple(_cell(column.name, row[column.name]) for column in columns))
    numeric = tuple(index for index, column in enumerate(columns) if column.name in metric.METRICS)
    return _grid(rows, right=numeric)


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if name in metric.METRICS:
        return metric.show(name, float(str(value)))
    return textwrap.shorten(str(value), 80, placeholder=" …") if name == "reason" else str(value)


def _section(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}"


def _aligned(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _grid(rows: Sequence[tuple[str, ...]], right: tuple[int, ...] = ()) -> str:
    """Columns padded to their widest cell, the `right` ones right-aligned."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _fill(text: str) -> str:
    return textwrap.fill(text, width=110)
