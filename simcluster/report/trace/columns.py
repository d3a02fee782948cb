"""Many lines of JSON at once, as columns of characters: a line for each row, numbers padded with blanks to equal width.

A loop over rows takes three times as long; JSON allows blanks before a number and after an event.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simcluster.timeline.timeline import Ints

Characters = NDArray[np.uint8]
"""A line of equally many characters for each row."""

_BLANK, _POINT = b" ."

_THREE = np.array([list(b"%03d" % number) for number in range(1000)], dtype=np.uint8)
"""The three digits of every number below 1,000."""


def events(rows: int, *parts: bytes | Characters) -> bytes:
    """An event a row, separated by commas and line ends: the `parts` side by side, bytes being the same in every row.

    >>> print(events(2, b'{"ts":', micro(np.array([7, 1234567])), b"}").decode())
    {"ts":   0.007},
    {"ts":1234.567}
    """
    columns = [
        np.broadcast_to(np.frombuffer(part, dtype=np.uint8), (rows, len(part))) if isinstance(part, bytes) else part
        for part in (*parts, b",\n")
    ]
    return np.hstack(columns).tobytes()[:-2]


def micro(ns: Ints) -> Characters:
    """Nanoseconds written as microseconds with three decimals."""
    digits = _digits(ns, 4)
    return np.insert(digits, digits.shape[1] - 3, _POINT, axis=1)


def whole(numbers: Ints) -> Characters:
    """Numbers from 0 up."""
    return _digits(numbers, 1)


def chosen(texts: Sequence[bytes], which: Ints) -> Characters:
    """For each row one of the texts, with blanks behind those that are shorter than others."""
    used, place = np.unique(which, return_inverse=True)
    rows = [texts[one] for one in used.tolist()]
    width = max(map(len, rows), default=0)
    table = np.frombuffer(b"".join(one.ljust(width) for one in rows), dtype=np.uint8)
    return np.asarray(table.reshape(len(rows), width)[place])


def _digits(numbers: Ints, least: int) -> Characters:
    """Decimal digits, at least so many, with blanks before them; as many columns as the largest number needs."""
    width = max(least, len(str(int(numbers.max(initial=0)))))
    groups, left = [], numbers
    for _ in range(-(-width // 3)):
        rest = left // 1000
        groups.append(_THREE[left - 1000 * rest])
        left = rest
    digits = np.hstack(groups[::-1])[:, -width:]
    for place in range(least, width):
        digits[numbers < 10**place, width - 1 - place] = _BLANK
    return digits
