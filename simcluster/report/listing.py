"""Lists as text: the checks of a result, the rows of a study."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from simcluster import units
from simcluster.report.layout import aligned, grid, section
from simcluster.timeline import metric
from simcluster.timeline.check import Check
from simcluster.timeline.limit import LIMITS
from simcluster.timeline.table import Table


def checks(found: Sequence[Check]) -> str:
    """What `simcluster check` prints: a mark, the claim, what came out, and why."""
    lines = []
    for check in found:
        mark = "ok  " if check.passed else "FAIL"
        lines.append(f"{mark}  {check.name}  (computed: {check.actual})")
        lines.append(textwrap.fill(check.why, width=110, initial_indent=" " * 6, subsequent_indent=" " * 6))
    return "\n".join([*lines, "", tally(found)])


def tally(found: Sequence[Check]) -> str:
    """How many of the checks hold."""
    failed = sum(not check.passed for check in found)
    return f"{len(found) - failed} of {len(found)} checks hold, {failed} fail."


def table(shown: Table) -> str:
    """A study's table with the columns a reader compares; empty columns are left out."""
    wanted = (*shown.swept, "convention", "latency_s", "throughput_tokens_per_s", "mfu", "compute_busy",
              "exposed_communication", "memory.fraction", "cost_per_million_tokens", "energy_per_token_j",
              "reason")  # fmt: skip
    columns = sorted((column for column in shown.columns if column.name in wanted), key=lambda c: c.name == "reason")
    columns = [column for column in columns if any(cell not in (None, "") for cell in shown.column(column.name))]
    rows = [tuple(column.name for column in columns)]
    for row in shown.rows:
        rows.append(tuple(_cell(column.name, row[column.name]) for column in columns))
    numeric = tuple(index for index, column in enumerate(columns) if column.name in metric.METRICS)
    return grid(rows, right=numeric)


def collective(shown: Table) -> str:
    """nccl-tests' table: size, time, algorithm and bus bandwidth, and what limits the collective."""
    rows = [("size", "algorithm", "time", "algbw", "busbw", "limited by")]
    for row in shown.rows:
        algbw, busbw = row["algbw_bytes_per_s"], row["busbw_bytes_per_s"]
        rows.append(
            (
                units.show_binary_bytes(float(str(row["bytes"]))),
                str(row["algorithm"]),
                units.show_seconds(float(str(row["time_s"]))),
                "" if algbw is None else units.show_bytes_per_s(float(algbw)),
                "" if busbw is None else units.show_bytes_per_s(float(busbw)),
                LIMITS[str(row["limited_by"])],
            )
        )
    return f"{shown.title}\n\n{grid(rows, right=(0, 2, 3, 4))}"


def regimes(shown: Table) -> str:
    """Our error by regime: absolute relative errors, and their mean with its sign; rows of the fit apart."""
    told = []
    for fitted, title in (("no", "Regimes that took no part in the fit"), ("yes", "Regimes of the fit")):
        rows: list[tuple[str, ...]] = [("regime", "points", "mean", "median", "worst", "bias")]
        for row in shown.rows:
            if row["fitted"] == fitted:
                shares = [
                    "" if row[name] is None else units.show_percent(float(str(row[name])))
                    for name in ("mean", "median", "worst")
                ]
                bias = "" if row["bias"] is None else _signed(row["bias"])
                rows.append((str(row["regime"]), f"{row['points']:,}", *shares, bias))
        if rows[1:]:
            told.append(section(title, grid(rows, right=(1, 2, 3, 4, 5))))
    sources = sorted({source for row in shown.rows for source in str(row["source"]).split(" + ")})
    if sources:
        told.append("\n  ".join(("measurements:", *sources)))
    return "\n\n".join(told)


def cases(shown: Table) -> str:
    """Published runs: those predicted, fitted ones apart, those that failed and why, and how many wait for what."""
    told = []
    for fitted, title in (("no", "Published runs that took no part in the fit"), ("yes", "Published runs of the fit")):
        rows: list[tuple[str, ...]] = [("run", "regime", "predicted", "measured", "error")]
        for row in shown.rows:
            if row["status"] == "scored" and row["fitted"] == fitted:
                values = [_measured(str(row["metric"]), row[name]) for name in ("predicted", "measured")]
                rows.append((str(row["id"]), str(row["regime"]), *values, _signed(row["error"])))
        if rows[1:]:
            told.append(section(title, grid(rows, right=(2, 3, 4))))
    failed = [(str(row["id"]), str(row["reason"])) for row in shown.rows if row["status"] == "failed"]
    if failed:
        told.append(section("Published runs that could not be predicted", aligned(failed)))
    waiting = Counter(str(row["waits_for"]) for row in shown.rows if row["status"] == "waiting")
    if waiting:
        rows = [("runs", "wait for"), *((f"{count:,}", what) for what, count in waiting.most_common())]
        told.append(section("Published runs that wait", grid(rows, right=(0,))))
    return "\n\n".join(told)


def _measured(name: str, value: object) -> str:
    """A measured quantity, whose name ends in its unit."""
    number = float(str(value))
    return units.show_seconds(number) if not name.endswith("_per_gpu") else f"{number:,.0f} tokens/s/GPU"


def _signed(share: object) -> str:
    return f"{100 * float(str(share)):+.1f} %"


def seconds(what: str, time_s: float) -> str:
    """One time."""
    return f"{what}: {units.show_seconds(time_s)}"


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if name in metric.METRICS:
        return metric.show(name, float(str(value)))
    return textwrap.shorten(str(value), 80, placeholder=" …") if name == "reason" else str(value)
