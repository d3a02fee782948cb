"""A GPU's measured kernels: how much longer than its roofline each takes, by kind of kernel and shape.

time = (max(FLOPs / peak, bytes / bandwidth) + floor) * exp(r)

with datasheet rates, the `floor` of the kernel's table and r read from the table's grid.  The same r thus serves a
datasheet whose rates were changed: what is measured is an efficiency, not a time.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import BinaryIO, cast
from zipfile import BadZipFile

import numpy as np

from simcluster.errors import InputError, Mistake, nearest
from simcluster.gpu.grid import Grid

SUFFIX = ".npz"

STEP = 1 / 512
"""Steps in which r is stored, 0.2 %."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """One table: the axes' names, its floor in seconds, the grid of r, how many rows it came from, and the mean error
    on rows that were kept back while it was made (a fraction)."""

    axes: tuple[str, ...]
    floor_s: float
    grid: Grid
    rows: int
    error: float


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
            steps = arrays["steps"]
        tables, first = {}, 0
        for key, row in header["tables"].items():
            axes = tuple(tuple(map(float, values)) for values in row["axes"].values())
            size = int(np.prod([len(axis) for axis in axes]))
            values = (steps[first : first + size].astype(np.float32) * np.float32(STEP)).reshape(*map(len, axes))
            first += size
            tables[key] = Table(
                axes=tuple(row["axes"]),
                floor_s=float(row["floor_s"]),
                grid=Grid(axes=axes, values=values),
                rows=int(row["rows"]),
                error=float(row["error"]),
            )
        return Profile(name=name, gpu=str(header["gpu"]), source=str(header["source"]), tables=tables)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise InputError(Mistake(what=f"is no kernel profile: {error}", origin=name)) from None


def write(profile: Profile, path: Path) -> None:
    """The profile as a compressed .npz: a header and one row of numbers, r in whole steps."""
    header = {
        "gpu": profile.gpu,
        "source": profile.source,
        "tables": {
            key: {
                "axes": dict(zip(table.axes, table.grid.axes, strict=True)),
                "floor_s": table.floor_s,
                "rows": table.rows,
                "error": round(table.error, 5),
            }
            for key, table in profile.tables.items()
        },
    }
    steps = [np.rint(table.grid.values.ravel() / STEP).astype(np.int16) for table in profile.tables.values()]
    text = np.frombuffer(json.dumps(header, separators=(",", ":")).encode(), dtype=np.uint8)
    np.savez_compressed(path, allow_pickle=False, header=text, steps=np.concatenate(steps))
