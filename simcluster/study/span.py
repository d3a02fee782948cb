"""A range of one value of a scenario, as typed, and the points in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import exp, gcd, log, log2, sqrt

from simcluster import units
from simcluster.errors import InputError, Mistake

_WHOLE = re.compile(r"\d{1,15}", re.ASCII)
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_UNIT = re.compile(r"[\d_.]*(?:[eE][-+]?\d+)?\s*(\S*)", re.ASCII)
_ENOUGH = 0.5
"""Share of the points asked for that a scan of round numbers has to have."""

_DIMENSIONS: tuple[units.Dimension, ...] = ("bytes/s", "bytes", "seconds", "FLOP/s", "FLOP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """`path` from `low` to `high`: SI values of a `dimension`, shown in the typed units; or bare numbers, None.

    `whole` numbers count something.  Points lie evenly on a logarithmic scale, or on a plain one where `low` is 0.
    """

    path: str
    low: float
    high: float
    dimension: units.Dimension | None = None
    shown_in: tuple[str, ...] = ()
    whole: bool = False

    def written(self, value: float) -> str:
        """The value as `--set` reads it back, to the bit."""
        if self.whole:
            return str(round(value))
        return repr(value) if self.dimension is None else units.format_exact(value, self.dimension)

    def shown(self, value: float) -> str:
        """The value for a reader: five digits, in the largest of the typed units that leaves one or more."""
        if self.whole:
            return f"{value:,.0f}"
        if self.dimension is None:
            return f"{value:.5g}"
        scales = sorted(((units.parse(f"1 {unit}", self.dimension), unit) for unit in self.shown_in), reverse=True)
        scale, unit = next(((scale, unit) for scale, unit in scales if value >= scale), scales[-1])
        return f"{_plain(value / scale)} {unit}"

    def scan(self, count: int) -> list[float]:
        """`count` points from end to end; of whole numbers the round ones near them, so that what has to divide may."""
        shares = [index / (count - 1) for index in range(1, count - 1)]
        inner = [self._at(share) for share in shares]
        if not self.whole:
            return [self.low, *inner, self.high]
        found: list[float] = []
        for finer in range(60):
            rounded = (round(value / step) * step for value in inner for step in (self._step(value, finer),))
            found = sorted(
                dict.fromkeys(min(max(value, self.low), self.high) for value in (self.low, *rounded, self.high))
            )
            if len(found) >= _ENOUGH * min(count, self.high - self.low + 1):
                break
        return found

    def middle(self, low: float, high: float) -> float:
        """The point halfway between two."""
        return sqrt(low) * sqrt(high) if self.low > 0 else (low + high) / 2

    def beyond(self, factor: float) -> float:
        """A point outside: `high` times a factor of one or more, `low` times one below."""
        return (self.high if factor >= 1 else self.low) * factor

    def _at(self, share: float) -> float:
        if self.low > 0:
            return exp(log(self.low) + share * (log(self.high) - log(self.low)))
        return self.low + share * (self.high - self.low)

    @property
    def _unit(self) -> int:
        """What both ends are multiples of: where a batch has to divide, the ends that were typed do."""
        return gcd(round(self.low), round(self.high))

    def _step(self, value: float, finer: int) -> float:
        """The largest unit times a power of two that is no more than `value`, halved `finer` times."""
        power = int(log2(max(1.0, value / self._unit)))
        return float(max(1, self._unit * 2**power // 2**finer))

    def between(self, low: float, high: float) -> list[float]:
        """Where to look between two neighbouring points: the middle; of whole numbers then round ones near it."""
        middle = self.middle(low, high)
        if not self.whole:
            return [middle]
        steps = [self._step(high, finer) for finer in range(60)]
        found = [float(round(middle)), *(round(middle / step) * step for step in dict.fromkeys(steps))]
        return [one for one in dict.fromkeys(found) if low < one < high]


def parse_span(text: str) -> Span:
    """`PATH=LO..HI`, `cluster.infiniband.bandwidth=100 Gbit/s..10 Tbit/s`; InputError says how to write it."""
    origin = f"--over {text:.80}"
    path, equals, both = text.partition("=")
    low, dots, high = (part.strip() for part in both.partition(".."))
    if not (equals and dots and path.strip() and low and high):
        what = "expected PATH=LO..HI such as cluster.infiniband.bandwidth=100 Gbit/s..10 Tbit/s"
        raise InputError(Mistake(what=what, origin=origin))
    try:
        span = _typed(path.strip(), low, high)
    except ValueError as error:
        raise InputError(Mistake(what=str(error), origin=origin)) from None
    if not span.low < span.high:
        raise InputError(Mistake(what=f"{low}..{high} is no range; write the smaller value first", origin=origin))
    if path.strip() == "plan" or path.strip().startswith("plan."):
        what = "the plans are what is compared; vary something else, such as cluster.infiniband.bandwidth"
        raise InputError(Mistake(what=what, origin=origin))
    return span


def _typed(path: str, low: str, high: str) -> Span:
    """Two whole numbers, two numbers, or two quantities of one dimension."""
    if _WHOLE.fullmatch(low) and _WHOLE.fullmatch(high):
        return Span(path=path, low=float(low), high=float(high), whole=True)
    if _NUMBER.fullmatch(low) and _NUMBER.fullmatch(high):
        return Span(path=path, low=float(low), high=float(high))
    if _NUMBER.fullmatch(low) or low.startswith("-"):
        raise ValueError(f"{low}..{high}: both ends need a unit, or neither, and neither is negative")
    dimension = next((one for one in _DIMENSIONS if _reads(low, one)), None)
    if dimension is None:
        raise ValueError(f"{low!r:.40} is neither a number nor a quantity such as 400 Gbit/s, 3 us or 64 GB")
    names = [match[1] for match in map(_UNIT.fullmatch, (low, high)) if match is not None]
    return Span(
        path=path,
        low=units.parse(low, dimension),
        high=units.parse(high, dimension),
        dimension=dimension,
        shown_in=tuple(dict.fromkeys(names)),
    )


def _reads(text: str, dimension: units.Dimension) -> bool:
    try:
        units.parse(text, dimension)
    except ValueError:
        return False
    return True


def _plain(number: float) -> str:
    """Five significant digits, never in exponent form where that is short."""
    text = f"{number:.5g}"
    return text if "e" not in text else f"{number:,.0f}" if number >= 1 else f"{number:.3g}"
