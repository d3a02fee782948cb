"""Profiles as files: the shipped ones and those that `calibrate` writes."""

from __future__ import annotations

import json
import re
import struct
import sys
import zlib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from math import inf, prod
from pathlib import Path
from typing import BinaryIO, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from simcluster.errors import InputError, Mistake, nearest
from simcluster.gpu import archive
from simcluster.gpu.grid import Grid
from simcluster.gpu.profile import AXES, Profile, Table, kind

SUFFIX = ".npz"

STEP = 1 / 512
"""Steps in which r is stored, 0.2 %."""

MOST_R = 12
"""No kernel takes exp(MOST_R) times as long as at the datasheet's rates, or as short."""

MOST_STEPS = round(MOST_R / STEP)

MOST_FLOOR_S = 10.0

MOST_ROWS = 10**12

LONGEST_LINE = 500
"""Characters of `gpu` and `source`, as a scenario takes them."""

_TYPE = r"[a-z0-9_]+"
_NAME = re.compile(
    rf"gemm/{_TYPE}|attention_(prefill|decode)/{_TYPE}/{_TYPE}/[1-9]\d*|mla_(prefill|decode)/{_TYPE}/{_TYPE}"
    rf"|moe(-(?!0*\.?0*/)\d+(\.\d+)?)?/{_TYPE}/[1-9]\d*(x[1-9]\d*){{3}}(/plain)?"
)
"""What a table may be called, see `simcluster.gpu.place`."""


_UNREADABLE = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RuntimeError, OSError, EOFError,
    BadZipFile, zlib.error, struct.error,
)  # fmt: skip
"""What reading a file that is no profile may end in."""


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
        return read(name)
    known = names()
    if name not in known:
        raise InputError(f"no profile is called {name!r:.60}{nearest(name, known)}; or name a {SUFFIX} file")
    with resources.files("simcluster.gpu").joinpath("profiles", f"{name}{SUFFIX}").open("rb") as file:
        return _read(name, cast(BinaryIO, file))


def read(path: str) -> Profile:
    """The profile in a file, as it is there now; InputError if there is none, or if the file is none of ours."""
    try:
        with Path(path).open("rb") as file:
            return _read(path, file)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InputError(Mistake(what=what, origin=path)) from None


def _read(name: str, file: BinaryIO) -> Profile:
    try:
        return _checked(name, *archive.read(file))
    except _UNREADABLE as error:
        raise InputError(Mistake(what=f"is no kernel profile: {error}", origin=name)) from None
    except MemoryError:
        raise InputError(Mistake(what="is no kernel profile: it is too large", origin=name)) from None


def _checked(name: str, header: Mapping[str, object], steps: NDArray[np.int16]) -> Profile:
    """The profile that the parts of a file hold; ValueError says what is wrong with them."""
    if steps.size and not -MOST_STEPS <= int(steps.min()) <= int(steps.max()) <= MOST_STEPS:
        raise ValueError(f"an efficiency is more than exp({MOST_R}) times off the datasheet's rates")
    tables, first = {}, 0
    for key, row in _mapping(header.get("tables"), "tables").items():
        row = _mapping(row, f"{key:.60}")
        axes = _axes(key, _mapping(row.get("axes"), f"axes of {key:.60}"))
        shape = tuple(map(len, axes.values()))
        last = first + prod(shape)
        if last > steps.size:
            raise ValueError(f"its grids have {last:,} cells or more, but there are {steps.size:,} numbers")
        values = steps[first:last].astype(np.float32).reshape(shape) * np.float32(STEP)
        first = last
        error = row.get("error")
        tables[key] = Table(
            axes=tuple(axes),
            floor_s=_number(key, "floor_s", row.get("floor_s"), MOST_FLOOR_S),
            grid=Grid(axes=tuple(axes.values()), values=values),
            rows=_rows(key, row.get("rows")),
            error=None if error is None else _number(key, "error", error, sys.float_info.max),
        )
    if steps.size != first:
        raise ValueError(f"its grids have {first:,} cells, but there are {steps.size:,} numbers")
    return Profile(name=name, gpu=_line(header, "gpu"), source=_line(header, "source"), tables=tables)


def _mapping(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"its {what} must be a mapping")
    return value


def _line(header: Mapping[str, object], key: str) -> str:
    text = header.get(key)
    if not (isinstance(text, str) and 0 < len(text) <= LONGEST_LINE and text.isprintable()):
        raise ValueError(f"its {key} must be one line of text without control characters")
    return text


def _axes(table: str, axes: Mapping[str, object]) -> dict[str, tuple[float, ...]]:
    """ValueError unless the table is of a known kind, with that kind's axes, positive and rising."""
    if not _NAME.fullmatch(table):
        raise ValueError(f"{table!r:.60} is no table of kernels")
    if tuple(axes) != AXES[kind(table)]:
        raise ValueError(f"{table:.60} has other axes than {', '.join(AXES[kind(table)])}")
    found = {}
    for name, values in axes.items():
        places = values if isinstance(values, list) else []
        if not all(type(value) in (int, float) and 0 < value < inf for value in places):
            places = []
        found[name] = tuple(map(float, places))
        if not found[name] or any(before >= after for before, after in pairwise(found[name])):
            raise ValueError(f"{name} of {table:.60} must be numbers above 0 that rise")
    return found


def _number(table: str, what: str, value: object, most: float) -> float:
    if not (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most):
        raise ValueError(f"{what} of {table:.60} is {value!r:.40}; it must be a number from 0 to {most:g}")
    return float(value)


def _rows(table: str, value: object) -> int:
    if not (type(value) is int and 1 <= value <= MOST_ROWS):
        raise ValueError(f"rows of {table:.60} is {value!r:.40}; it must be a whole number of 1 or more")
    return value


def write(profile: Profile, path: Path) -> None:
    """The profile as a compressed .npz: a header and one row of numbers, r in whole steps.

    The file appears in one move, so that a failure leaves what was there; InputError says why it failed, or that times
    are too far off the datasheet's for a file.
    """
    for key, table in profile.tables.items():
        if float(np.abs(table.grid.values).max()) > MOST_R or table.floor_s > MOST_FLOOR_S:
            what = (
                f"cannot hold {key}: its times are too far off what the datasheet's rates allow; is their unit right?"
            )
            raise InputError(Mistake(what=what, origin=str(path)))
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
