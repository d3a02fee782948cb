"""A user's own measurements of kernels: one CSV row a kernel, sizes by the names that `simcluster kernel` has."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simcluster.errors import InputError, Mistake, nearest
from simcluster.gpu.fitting import Measured, bare_s
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.question import SIZES, Size, question
from simcluster.kernels import ExpertLayer, GroupedGemm
from simcluster.validation.lines import decimal

TIMES = {"latency_s": 1.0, "latency_ms": 1e-3, "latency_us": 1e-6}
"""The column of times, of which a file has one, and its unit in seconds."""

TIME_NAMES = "latency_s, latency_ms or latency_us"

COLUMNS = ("kernel", "dtype", *SIZES)

MOST_TOLD = 20
"""So many mistakes are told at once."""

SHORTEST_S, LONGEST_S = 1e-9, 1e6

LEAST_SKEW = 0.001

FASTEST = 100
"""A time so many times shorter than the datasheet allows has another unit than its column."""

DOUBTFUL = 2
"""The same of a large kernel."""

LARGE_BYTES, LARGE_FLOPS = 100e6, 1e9
"""A kernel is large if it moves or computes more."""

_SWITCH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """The header's names and the rows under it, each with its line number."""

    names: tuple[str, ...]
    rows: tuple[tuple[int, list[str]], ...]


def measured(path: Path, gpu: Gpu) -> dict[int, Measured]:
    """Every row by its line: a kernel and its seconds on `gpu`.

    InputError tells the mistakes of all lines, twenty at most.
    """
    lines = _read(path)
    if wrong := list(_header(lines.names)):
        raise InputError(Mistake(what=what, origin=f"{path}:1") for what in wrong)
    if not lines.rows:
        raise InputError(Mistake(what="has a header but no rows; write one row a kernel", origin=str(path)))
    found: dict[int, Measured] = {}
    mistakes: list[Mistake] = []
    for number, cells in lines.rows:
        try:
            found[number] = _row(lines.names, cells, gpu)
        except InputError as error:
            mistakes += (replace(mistake, origin=f"{path}:{number}") for mistake in error.mistakes)
    if len(mistakes) > MOST_TOLD:
        more = Mistake(what=f"… and {len(mistakes) - MOST_TOLD:,} more mistakes", origin=str(path))
        mistakes = [*mistakes[:MOST_TOLD], more]
    if mistakes:
        raise InputError(mistakes)
    return found


def _read(path: Path) -> _Lines:
    """What is in the file; empty lines do not count."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except OSError as error:
        raise InputError(Mistake(what=f"cannot be read: {error.strerror}", origin=str(path))) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(Mistake(what=f"is no CSV file in UTF-8: {error}", origin=str(path))) from None
    if not rows:
        what = f"is empty; its first line names the columns: kernel, dtype, sizes, and {TIME_NAMES}"
        raise InputError(Mistake(what=what, origin=str(path)))
    return _Lines(names=tuple(rows[0][1]), rows=tuple(rows[1:]))


def _header(names: Sequence[str]) -> Iterator[str]:
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        yield f"its columns are separated by {'semicolons' if ';' in names[0] else 'tabs'}; commas are needed"
        return
    for name, count in Counter(names).items():
        if count > 1:
            yield f"there are {count} columns {name!r:.40}; keep one"
        if name == "latency":
            yield f"the column latency has no unit; call it {TIME_NAMES}"
        elif name not in COLUMNS and name not in TIMES:
            yield f"no column is called {name!r:.40}{nearest(name, (*COLUMNS, *TIMES))}"
    for name in ("kernel", "dtype"):
        if name not in names:
            yield f"there is no column {name}"
    times = [name for name in TIMES if name in names]
    if len(times) > 1:
        yield f"there are times in {' and '.join(times)}; keep one column"
    if not times and "latency" not in names:
        yield f"there is no column of times; call it {TIME_NAMES}"


def _row(names: Sequence[str], cells: Sequence[str], gpu: Gpu) -> Measured:
    """One measurement; InputError with all that is wrong with it."""
    if len(cells) != len(names):
        raise InputError(f"has {len(cells)} cells; the header has {len(names)}")
    row = dict(zip(names, cells, strict=True))
    wrong: list[str] = []
    name = next(name for name in TIMES if name in row)
    seconds = _number(row[name])
    if not isinstance(seconds, float) or not SHORTEST_S <= seconds * TIMES[name] <= LONGEST_S:
        wrong.append(f"{name} is {row[name]!r:.40}; it must be a time from a nanosecond to a million seconds")
    if "gated" in row and row["gated"] and row["gated"].lower() not in _SWITCH:
        wrong.append(f"gated is {row['gated']!r:.40}; it must be yes or no")
    try:
        asked = question(row["kernel"], row["dtype"], {size: _size(size, row) for size in SIZES})
    except InputError as error:
        raise InputError([*error.mistakes, *(Mistake(what=what) for what in wrong)]) from None
    shape = asked.shape
    if isinstance(shape, ExpertLayer) and asked.skew is not None:
        if asked.skew < LEAST_SKEW:
            wrong.append(f"skew is {asked.skew:g}; leave it empty for equally popular experts")
        shape = replace(shape, skew=f"{asked.skew:f}".rstrip("0").rstrip("."))
    if isinstance(shape, GroupedGemm):
        raise InputError(Mistake(what="a grouped_gemm is as fast as a gemm of all its rows; measure that, or moe"))
    if not gpu.has_peak(shape.compute):
        wrong.append(f"{gpu.name} has no peak for {shape.compute}; there is {', '.join(gpu.peak_flops_per_s)}")
    if wrong or not isinstance(seconds, float):
        raise InputError(Mistake(what=what) for what in wrong)
    found = Measured(shape=shape, seconds=seconds * TIMES[name])
    if (least_s := _least_s(found, gpu)) > found.seconds:
        what = (
            f"{name} is {row[name]}, but the datasheet's rates allow no less than {least_s:.3g} s; is the unit right?"
        )
        raise InputError(Mistake(what=what))
    return found


def _least_s(row: Measured, gpu: Gpu) -> float:
    """Seconds that the kernel takes at least.

    What is too large for a cache, and too much work to be a slip of the clock, is not twice as fast as the datasheet.
    """
    shape = row.shape
    parts = shape.parts if isinstance(shape, ExpertLayer) else (shape,)
    compute_s, memory_s = (sum(times) for times in zip(*map(gpu.bare, parts), strict=True))
    found = [bare_s(gpu, shape) / FASTEST]
    if sum(part.flops for part in parts) > LARGE_FLOPS:
        found.append(compute_s / DOUBTFUL)
    if sum(part.bytes for part in parts) > LARGE_BYTES:
        found.append(memory_s / DOUBTFUL)
    return max(found)


def _size(name: str, row: Mapping[str, str]) -> Size:
    """A cell as `question` takes it; None if it is empty."""
    text = row.get(name) or None
    if text is None or name == "kv_dtype":
        return text
    return _SWITCH.get(text.lower()) if name == "gated" else _number(text)


def _number(text: str) -> float | str:
    """A number, or the text itself if it is none."""
    value = decimal(text)
    return text if value is None else value
