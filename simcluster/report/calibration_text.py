"""A calibration as text: errors of its tables, its roofline, and how to use both."""

from __future__ import annotations

import yaml

from simcluster.report.layout import grid, section
from simcluster.timeline.table import Table
from simcluster.units import show_percent


def calibration(tables: Table, roofline: Table, gpu: object, notes: tuple[str, ...], path: str | None) -> str:
    """Everything `simcluster calibrate` prints; `gpu` is the mapping to paste, `path` the profile's file."""
    parts = [
        section(f"{tables.title}: error on rows kept back", _errors(tables)),
        *(f"note: {note}" for note in notes),
        section("Roofline, for kernels that no table holds", _roofline(roofline)),
        section("To paste into a scenario's cluster", _yaml(gpu)),
    ]
    if path is not None:
        parts.append(section("To use the profile", _use(tables, path)))
    else:
        parts.append("No profile was written; -o PROFILE.npz writes one.")
    return "\n\n".join(parts)


def _errors(tables: Table) -> str:
    rows: list[tuple[str, ...]] = [("table", "rows", "kept back", "mean", "median", "worst")]
    for row in tables.rows:
        shares = ["" if row[name] is None else show_percent(float(str(row[name]))) for name in rows[0][3:]]
        back = f"{row['kept_back']:,}" if row["kept_back"] else "too few"
        rows.append((str(row["table"]), f"{row['rows']:,}", back, *shares))
    return grid(rows, right=(1, 2, 3, 4, 5))


def _roofline(roofline: Table) -> str:
    return grid([(str(row["name"]), str(row["value"]), str(row["found"])) for row in roofline.rows], right=(1,))


def _yaml(gpu: object) -> str:
    return yaml.safe_dump({"gpu": gpu}, sort_keys=False, allow_unicode=True, width=110).rstrip()


def _use(tables: Table, path: str) -> str:
    gpu = tables.title.rpartition(" ")[2]
    return "\n".join(
        (
            f"written:        {path}",
            f"in a scenario:  cluster.gpu.profile: {path}",
            f"for one run:    simcluster run SCENARIO --set cluster.gpu.profile={path}",
            f"for a kernel:   simcluster kernel KERNEL --gpu {gpu} --profile {path} …",
        )
    )
