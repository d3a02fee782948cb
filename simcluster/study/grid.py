"""The points of a sweep: value lists as typed, and their product."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from simcluster.errors import InputError, Mistake

MOST_POINTS = 1_000_000

_RANGE = re.compile(r"(-?\d{1,12})\.\.(-?\d{1,12})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One swept path of the scenario and its values as text."""

    path: str
    values: tuple[str, ...]


def parse_axis(text: str) -> Axis:
    """`PATH=V1,V2,…`: commas outside brackets separate, `1..100` is a range of integers.  InputError otherwise."""
    origin = f"--over {text:.80}"
    path, equals, listed = text.partition("=")
    values: list[str] = []
    for value in _split(listed):
        span = _RANGE.fullmatch(value)
        if span is None:
            values.append(value)
            continue
        low, high = int(span[1]), int(span[2])
        if high - low >= MOST_POINTS:
            what = f"{value} has {high - low + 1:,} values; write low..high with at most {MOST_POINTS:,}"
            raise InputError(Mistake(what=what, origin=origin))
        if high < low:
            raise InputError(Mistake(what=f"{value} is no range; write low..high", origin=origin))
        values += [str(number) for number in range(low, high + 1)]
    if not equals or not path.strip() or not values or "" in values:
        what = "expected PATH=V1,V2,… such as cluster.infiniband.bandwidth=200 Gbit/s,400 Gbit/s"
        raise InputError(Mistake(what=what, origin=origin))
    return Axis(path=path.strip(), values=tuple(values))


def _split(listed: str) -> list[str]:
    """The values between commas that stand outside brackets, trimmed."""
    values, depth, current = [], 0, ""
    for character in listed:
        depth += (character in "[{(") - (character in "]})")
        if character == "," and depth == 0:
            values.append(current.strip())
            current = ""
        else:
            current += character
    return [*values, current.strip()]


def points(axes: Sequence[Axis]) -> list[tuple[str, ...]]:
    """The product of all axes' values, the last axis fastest.  InputError past a million points."""
    paths = [axis.path for axis in axes]
    for path in paths:
        if paths.count(path) > 1:
            raise InputError(Mistake(what=f"{path} is swept twice; write its values in one --over", origin="--over"))
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MOST_POINTS:
        raise InputError(Mistake(what=f"{count:,} points; at most {MOST_POINTS:,} fit", origin="--over"))
    return list(product(*(axis.values for axis in axes)))
