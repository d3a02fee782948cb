"""A GPU's measured kernels: how much longer than its roofline each takes, by kind of kernel and shape.

time = (max(FLOPs / peak, bytes / bandwidth) + floor) * exp(r)

with datasheet rates, the `floor` of the kernel's table and r read from the table's grid.  The same r thus serves a
datasheet whose rates were changed: what is measured is an efficiency, not a time.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from math import inf, prod
from pathlib import Path
from typing import BinaryIO, cast
from zipfile import BadZipFile

import numpy as np

from simcluster.errors import InputError, Mistake, nearest
from simcluster.gpu.grid import Grid

SUFFIX = ".npz"

STEP = 1 / 512
"""Steps in which r is stored, 0.2 %."""

AXES: Mapping[str, tuple[str, ...]] = {
    "gemm": ("m", "n", "k"),
    "attention_prefill": ("heads", "kv_heads", "batch", "sequence"),
    "attention_decode": ("heads", "kv_heads", "batch", "context"),
    "mla_prefill": ("heads", "batch", "sequence"),
    "mla_decode": ("heads", "batch", "context"),
    "moe": ("tp", "ep", "tokens"),
}
"""The axes of a table, by the first part of its name up to a hyphen."""

_TYPE = r"[a-z0-9_]+"
_NAME = re.compile(
    rf"gemm/{_TYPE}|attention_(prefill|decode)/{_TYPE}/{_TYPE}/[1-9]\d*|mla_(prefill|decode)/{_TYPE}/{_TYPE}"
    rf"|moe(-(?!0*\.?0*/)\d+(\.\d+)?)?/{_TYPE}/[1-9]\d*(x[1-9]\d*){{3}}(/plain)?"
)
"""What a table may be called, see `simcluster.gpu.place`."""


def kind(table: str) -> str:
    """The kernel a table is of, whatever the skew: moe for moe-1.2/…"""
    return table.partition("/")[0].partition("-")[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """One table: the axes' names, its floor in seconds, the grid of r, how many rows it came from, and the mean error
    on rows that were kept back while it was made (a fraction; None if there were too few to keep any back)."""

    axes: tuple[str, ...]
    floor_s: float
    grid: Grid
    rows: int
    error: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """Tables by name, such as gemm/bf16; `gpu` is the catalogue name of the GPU they were measured on."""

    name: str
    gpu: str
    source: str
    tables: Mapping[str, Table]

    @cached_property
    def _families(self) -> Mapping[str, tuple[str, ...]]:
        """Names of tables by their first part."""
        families: dict[str, tuple[str, ...]] = {}
        for name in self.tables:
            head = name.partition("/")[0]
            families[head] = (*families.get(head, ()), name)
        return families

    def family(self, head: str) -> tuple[str, ...]:
        """Names of the tables that begin with `head`."""
        return self._families.get(head, ())

    def skews(self, compute: str, gated: bool) -> frozenset[str]:
        """The exponents of expert popularity that experts of this number type were measured with."""
        parts = (name.split("/") for name in self.tables if name.startswith("moe-"))
        return frozenset(head[4:] for head, of, _, *gate in parts if of == compute and gated == (not gate))


def names() -> tuple[str, ...]:
    """The shipped profiles."""
    folder = resources.files("simcluster.gpu").joinpath("profiles")
    return tuple(sorted(file.name.removesuffix(SUFFIX) for file in folder.iterdir() if file.name.endswith(SUFFIX)))


@lru_cache(maxsize=32)
def load(name: str) -> Profile:
    """A shipped profile by name, or one that `calibrate` wrote by the path of its file, which ends in .npz.

    InputError if there is none, or if the file is none of ours.
    """
    if name.endswith(SUFFIX):
        try:
            with Path(name).open("rb") as file:
                return _read(name, file)
        except OSError as error:
            raise InputError(Mistake(what=f"cannot be read: {error.strerror}", origin=name)) from None
    known = names()
    if name not in known:
        raise InputError(f"no profile is called {name!r:.60}{nearest(name, known)}; or name a {SUFFIX} file")
    with resources.files("simcluster.gpu").joinpath("profiles", f"{name}{SUFFIX}").open("rb") as file:
        return _read(name, cast(BinaryIO, file))


def _read(name: str, file: BinaryIO) -> Profile:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            steps = np.asarray(arrays["steps"])
        tables, first = {}, 0
        for key, row in header["tables"].items():
            axes = _axes(key, row["axes"])
            shape = tuple(map(len, axes))
            values = steps[first : first + prod(shape)].astype(np.float32).reshape(shape) * np.float32(STEP)
            first += prod(shape)
            tables[key] = Table(
                axes=tuple(row["axes"]),
                floor_s=_not_negative(key, "floor_s", row["floor_s"]),
                grid=Grid(axes=axes, values=values),
                rows=int(row["rows"]),
                error=None if row["error"] is None else _not_negative(key, "error", row["error"]),
            )
        if steps.shape != (first,):
            raise ValueError(f"its grids have {first:,} cells, but there are {steps.size:,} numbers")
        return Profile(name=name, gpu=str(header["gpu"]), source=str(header["source"]), tables=tables)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise InputError(Mistake(what=f"is no kernel profile: {error}", origin=name)) from None


def _axes(table: str, axes: Mapping[str, Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """ValueError unless the table is of a known kind, with that kind's axes, positive and rising."""
    if not _NAME.fullmatch(table):
        raise ValueError(f"{table!r:.60} is no table of kernels")
    if tuple(axes) != AXES[kind(table)]:
        raise ValueError(f"{table} has the axes {', '.join(axes)}; they must be {', '.join(AXES[kind(table)])}")
    for name, values in axes.items():
        places = np.array(values, dtype=np.float64)
        if not (places.size and np.isfinite(places).all() and places[0] > 0 and (np.diff(places) > 0).all()):
            raise ValueError(f"{name} of {table} must be numbers above 0 that rise")
    return tuple(tuple(map(float, values)) for values in axes.values())


def _not_negative(table: str, what: str, value: float) -> float:
    if not 0 <= float(value) < inf:
        raise ValueError(f"{what} of {table} is {value}; it must be 0 or more")
    return float(value)


def write(profile: Profile, path: Path) -> None:
    """The profile as a compressed .npz: a header and one row of numbers, r in whole steps.

    The file appears in one move, so that a failure leaves what was there; InputError says why it failed.
    """
    header = {
        "gpu": profile.gpu,
        "source": profile.source,
        "tables": {
            key: {
                "axes": dict(zip(table.axes, table.grid.axes, strict=True)),
                "floor_s": table.floor_s,
                "rows": table.rows,
                "error": None if table.error is None else round(table.error, 5),
            }
            for key, table in profile.tables.items()
        },
    }
    steps = [np.rint(table.grid.values.ravel() / STEP).astype(np.int16) for table in profile.tables.values()]
    text = np.frombuffer(json.dumps(header, separators=(",", ":")).encode(), dtype=np.uint8)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, header=text, steps=np.concatenate(steps))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(Mistake(what=f"cannot be written: {error.strerror or error}", origin=str(path))) from None
