"""A user's measured kernels as a profile and a roofline, with the errors on rows kept back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

import numpy as np

from simcluster.errors import InputError, printable
from simcluster.gpu.fitting import BRIEF, Measured, Told, bare_s, profile_of
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.place import Shape, own, plain
from simcluster.gpu.profile import Profile
from simcluster.gpu.profile import Table as KernelTable
from simcluster.scenario.catalogue import look_up
from simcluster.scenario.cluster_section import load_gpu
from simcluster.scenario.document import Value
from simcluster.timeline.table import Cell, Column, Table
from simcluster.units import format_exact, plural
from simcluster.validation.kernel_lines import MOST_TOLD, measured
from simcluster.validation.roofline import Roofline, roofline

FEWEST = 20
"""A table with fewer rows keeps none back."""

SHARE, SEED = 0.15, 1

SLOW = 0.01
"""If no row reaches this share of the datasheet's rates, the unit of its times is doubtful."""


UNEVEN = 2
"""Times of one kernel that differ by more are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The fitted profile; its tables with their errors; the roofline's numbers and whence; the `gpu:` mapping that has
    them; and what else a user should know."""

    profile: Profile
    tables: Table
    roofline: Table
    gpu: dict[str, Value]
    notes: tuple[str, ...]


def calibrate(path: Path, name: str, output: Path | None, told: Told = lambda done, total: None) -> Calibration:
    """The measurements of a CSV file as a profile of the catalogue GPU `name`, to be written to `output`.

    Of every table with twenty rows or more 15 % are kept back, the rest is fitted, and the errors are those on the rows
    kept back; the profile itself is fitted to all rows.  InputError tells what is wrong with the file.
    """
    gpu = replace(load_gpu(name), profile=None)
    lines = measured(path, gpu)
    rows = list(lines.values())
    held = [row for row in rows if plain(row.shape)]
    if not held:
        what = "no row can be held in a table: those of attention with a window or a cached prefix cannot"
        raise InputError(f"{path}: {what}")
    errors = _errors(gpu, held, lambda done, total: told(done, 2 * total))
    source = f"simcluster calibrate {printable(path.name):.200}: {plural(len(rows), 'row')}"
    profile = profile_of(gpu, source, held, BRIEF, lambda done, total: told(total + done, 2 * total))
    tables = {
        table: replace(one, error=fmean(errors[table]) if table in errors else None)
        for table, one in profile.tables.items()
    }
    profile = replace(profile, tables=tables)
    roof = roofline(gpu, rows)
    tree = _gpu_section(name, roof, profile.source, output)
    return Calibration(
        profile=profile,
        tables=_tables(profile, errors),
        roofline=_roofline(tree, roof),
        gpu=tree,
        notes=(*_notes(gpu, profile, rows, held), *_uneven(lines)),
    )


def _errors(gpu: Gpu, rows: Sequence[Measured], told: Told) -> dict[str, list[float]]:
    """Absolute relative errors on rows that had no part in a fit, by table; none of a table of few rows."""
    random = np.random.default_rng(SEED)
    tables: dict[str, list[Measured]] = defaultdict(list)
    for row in rows:
        tables[own(row.shape)[0]].append(row)
    fit, back = [], []
    for of_table in tables.values():
        out = set(random.permutation(len(of_table))[: round(SHARE * len(of_table))]) if len(of_table) >= FEWEST else ()
        fit += [row for number, row in enumerate(of_table) if number not in out]
        back += [row for number, row in enumerate(of_table) if number in out]
    if not back:
        return {}
    asked = replace(gpu, profile=profile_of(gpu, "", fit, BRIEF, told))
    errors: dict[str, list[float]] = defaultdict(list)
    for row in back:
        errors[own(row.shape)[0]].append(abs(asked.time(row.shape).seconds / row.seconds - 1))
    return errors


def _tables(profile: Profile, errors: dict[str, list[float]]) -> Table:
    rows: list[dict[str, Cell]] = []
    for name, table in profile.tables.items():
        found = errors.get(name)
        rows.append(
            {
                "table": name,
                "rows": table.rows,
                "kept_back": len(found or ()),
                "mean": fmean(found) if found else None,
                "median": median(found) if found else None,
                "worst": max(found) if found else None,
                "cells": table.grid.values.size,
            }
        )
    measures = {"rows": "count", "kept_back": "count", "cells": "count"}
    measures |= dict.fromkeys(("mean", "median", "worst"), "fraction")
    columns = tuple(Column(name=name, measure=measures.get(name, "")) for name in rows[0])
    return Table(title=f"kernels of {profile.gpu}", columns=columns, rows=tuple(rows), swept=("table",))


def _gpu_section(name: str, roof: Roofline, source: str, output: Path | None) -> dict[str, Value]:
    """The catalogue's GPU with what was found, as a scenario writes it; without a file it has no profile."""
    tree = look_up("gpu", name)
    efficiency = tree["efficiency"]
    assert isinstance(efficiency, dict)
    compute = efficiency["compute"]
    assert isinstance(compute, dict)
    compute |= {precision: float(f"{share:.4g}") for precision, share in roof.compute.items()}
    if roof.memory is not None:
        efficiency["memory"] = float(f"{roof.memory:.4g}")
    if roof.launch_s is not None:
        tree["launch_overhead"] = format_exact(float(f"{roof.launch_s:.4g}"), "seconds")
    tree.pop("profile", None)
    if output is not None:
        tree["profile"] = str(output)
    return tree | {"provenance": "fitted", "source": source}


def _roofline(tree: dict[str, Value], roof: Roofline) -> Table:
    """One row a number: its place in the mapping, what it is, and how it was found."""
    rows: list[dict[str, Cell]] = []
    for name, how in sorted(roof.found.items()):
        value: Value = tree
        for key in name.split("."):
            assert isinstance(value, dict)
            value = value[key]
        assert isinstance(value, str | int | float)
        rows.append({"name": name, "value": value, "found": how})
    columns = tuple(Column(name=name) for name in ("name", "value", "found"))
    return Table(title="roofline", columns=columns, rows=tuple(rows), swept=("name",))


def _notes(gpu: Gpu, profile: Profile, rows: Sequence[Measured], held: Sequence[Measured]) -> Iterator[str]:
    if len(held) < len(rows):
        what = "of attention with a window or a cached prefix, which have no tables; they count for the roofline only"
        yield f"left out of the tables: {len(rows) - len(held):,} rows {what}"
    if all(bare_s(gpu, row.shape) < SLOW * row.seconds for row in rows):
        yield f"no row reaches {SLOW:.0%} of the datasheet's rates; check the unit of the times"
    places: dict[str, list[set[float]]] = {}
    for row in held:
        table, point = own(row.shape)
        for seen, value in zip(places.setdefault(table, [set() for _ in point]), point, strict=True):
            seen.add(float(f"{value:.12g}"))
    for name, one in profile.tables.items():
        if note := _thinning(one, places[name]):
            yield f"{name}: scattered rows, too few for a grid of all their sizes, were moved together: {note}"


def _uneven(lines: Mapping[int, Measured]) -> Iterator[str]:
    """What to say of rows of one kernel with different times."""
    kernels: dict[Shape, list[tuple[float, int]]] = defaultdict(list)
    for number, row in lines.items():
        kernels[row.shape].append((row.seconds, number))
    pairs = [(min(times), max(times)) for times in kernels.values()]
    found = [sorted((low[1], high[1])) for low, high in pairs if high[0] > UNEVEN * low[0]]
    if found:
        told = ", ".join(f"lines {first} and {second}" for first, second in found[:MOST_TOLD])
        more = f" and {len(found) - MOST_TOLD:,} more pairs" if len(found) > MOST_TOLD else ""
        yield f"the same kernel, but times that differ by more than {UNEVEN} times: {told}{more}; the median counts"


def _thinning(table: KernelTable, places: Sequence[set[float]]) -> str:
    """Which axes have fewer places than the rows had sizes; "" if none."""
    if table.grid.values.size == 1 and any(len(seen) > 1 for seen in places):
        return "one efficiency for the whole table, the median"
    axes = zip(table.axes, places, table.grid.axes, strict=True)
    return ", ".join(f"{len(seen)} {name} to {len(axis)}" for name, seen, axis in axes if len(axis) < len(seen))
