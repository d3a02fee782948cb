"""One kernel's time as text."""

from __future__ import annotations

from collections.abc import Callable

from simcluster.report.layout import aligned
from simcluster.timeline.limit import LIMITS
from simcluster.timeline.table import Table
from simcluster.units import (
    plural,
    show_bytes,
    show_bytes_per_s,
    show_flop,
    show_flop_per_s,
    show_percent,
    show_seconds,
)


def kernel(shown: Table) -> str:
    """Time, achieved rates beside the datasheet's, what bounds it, and where the number comes from."""
    (row,) = shown.rows
    numbers = {name: float(str(row[name])) for name in ("time_s", "flops", "bytes", "flops_per_s", "bytes_per_s")}
    peak, bandwidth = float(str(row["peak_flops_per_s"])), float(str(row["peak_bytes_per_s"]))
    origin = f"{row['provenance']}"
    if row["table"]:
        known = "too few to keep any back"
        if row["error"] is not None:
            known = f"mean error {show_percent(float(str(row['error'])))} on rows kept back"
        origin += f": table {row['table']} ({plural(int(str(row['rows'])), 'row')}, {known})"
    rows = [
        ("time", show_seconds(numbers["time_s"])),
        ("computes", f"{_rate(show_flop_per_s, numbers['flops_per_s'], peak)}: {show_flop(numbers['flops'])} "
                     f"= {row['arithmetic']}"),
        ("moves", f"{_rate(show_bytes_per_s, numbers['bytes_per_s'], bandwidth)}: {show_bytes(numbers['bytes'])}"),
        ("limited by", LIMITS[str(row["bound"])]),
        ("from", origin),
        ("source", str(row["source"])),
    ]  # fmt: skip
    if row["outside"] and row["table"]:
        rows.insert(5, ("note", "no such kernel was measured; the nearest measured efficiency is applied to its work"))
    return f"{shown.title}\n\n{aligned(rows)}"


def _rate(show: Callable[[float], str], rate: float, peak: float) -> str:
    return f"{show(rate)}, {show_percent(rate / peak)} of the datasheet's {show(peak)}"
