"""The only reader and writer of quantities: text with a unit outside, SI floats inside.

Inside the code every quantity is a float in bytes, seconds, FLOP, bytes/s, FLOP/s, watts, joules, USD or USD/h: prices
are in one currency, so that they can be compared.  In a file every dimensional value carries its unit.  Decimal
prefixes are powers of 1000 and binary ones (KiB, MiB, …) powers of 1024; a lower-case `bit` is an eighth of a byte.
Scaling is done in decimal arithmetic, so a written number maps to the nearest float and `parse(format_exact(x)) == x`
for every x.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from math import floor, log10
from typing import Literal

Dimension = Literal["bytes", "seconds", "bytes/s", "FLOP/s", "FLOP", "watts", "joules", "USD", "USD/h"]

LARGEST = 1e21
"""Values past this many SI units are refused: no machine has them, and squares of them overflow."""

LONGEST = 60
"""Characters of the longest quantity that is looked at."""

_DECIMAL = {"": Decimal(1), "k": Decimal(10) ** 3, "K": Decimal(10) ** 3, "M": Decimal(10) ** 6,
            "G": Decimal(10) ** 9, "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18}  # fmt: skip
_BINARY = {f"{prefix}i": Decimal(1024) ** power for power, prefix in enumerate("KMGTPE", start=1)}
_BYTE = {f"{p}B": s for p, s in (_DECIMAL | _BINARY).items()}
_BIT = {f"{p}bit": s / 8 for p, s in (_DECIMAL | _BINARY).items()}
_FLOP = {f"{p}FLOP": s for p, s in _DECIMAL.items()}

_UNITS: dict[Dimension, dict[str, Decimal]] = {
    "bytes": _BYTE,
    "seconds": {
        "s": Decimal(1), "ms": Decimal("1e-3"), "us": Decimal("1e-6"), "µs": Decimal("1e-6"),
        "μs": Decimal("1e-6"), "ns": Decimal("1e-9"),
    },
    "bytes/s": {f"{name}/s": scale for name, scale in (_BYTE | _BIT).items()},
    "FLOP/s": {f"{name}{end}": scale for name, scale in _FLOP.items() for end in ("S", "/s")}
    | {f"{p}OPS": s for p, s in _DECIMAL.items()},
    "FLOP": _FLOP,
    "watts": {"W": Decimal(1), "kW": Decimal(10) ** 3, "MW": Decimal(10) ** 6},
    "joules": {
        "J": Decimal(1), "uJ": Decimal("1e-6"), "mJ": Decimal("1e-3"), "kJ": Decimal(10) ** 3, "MJ": Decimal(10) ** 6,
        "Wh": Decimal(3600), "kWh": Decimal(3_600_000),
    },
    "USD": {"USD": Decimal(1), "$": Decimal(1)},
    "USD/h": {"USD/h": Decimal(1), "$/h": Decimal(1)},
}  # fmt: skip

_EXAMPLE: dict[Dimension, str] = {
    "bytes": "64 GB or 60 GiB",
    "seconds": "3 us",
    "bytes/s": "450 GB/s or 400 Gbit/s",
    "FLOP/s": "400 TFLOPS",
    "FLOP": "550 GFLOP",
    "watts": "700 W",
    "joules": "250 mJ",
    "USD": "0.15 USD",
    "USD/h": "2.50 USD/h",
}

_PRICES: tuple[Dimension, ...] = ("USD", "USD/h")

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S.*?)?\s*", re.ASCII)


def parse(text: object, dimension: Dimension) -> float:
    """The SI value of `text`, for instance `parse("400 Gbit/s", "bytes/s") == 50e9`.

    Raises ValueError with what is wrong and how to write it: no unit, an unknown unit, a unit of another dimension, a
    negative or absurdly large value, or no number at all.  Zero needs its unit too.
    """
    example = _EXAMPLE[dimension]
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"expected a quantity such as {example}, got {_shown(text)}")
    if len(str(text)) > LONGEST:
        raise ValueError(f"{_shown(text)} is too long for a quantity; write it as {example}")
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{_shown(text)} is not a quantity; write it as {example}")
    number, unit = match.groups()
    if unit is None:
        raise ValueError(f"{_shown(text)} has no unit; write it as {example}")
    scale = _UNITS[dimension].get(unit)
    if scale is None:
        raise ValueError(_unknown_unit(unit, dimension))
    try:
        value = float(Decimal(number.replace("_", "")) * scale)
    except (InvalidOperation, OverflowError, ValueError):
        raise ValueError(f"{_shown(text)} is out of range") from None
    if value < 0:
        raise ValueError(f"{text} is negative; a quantity here is zero or more")
    if value > LARGEST:
        raise ValueError(f"{text} is past {LARGEST:g} {dimension}; no such hardware exists")
    return value


def pattern(dimension: Dimension) -> str:
    """A regular expression (ECMA 262) of what `parse` takes, but for how large the number may be."""
    names = "|".join(re.escape(name) for name in sorted(_UNITS[dimension], key=lambda name: (-len(name), name)))
    return rf"^\s*\+?([0-9]+(_[0-9]+)*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*({names})\s*$"


def examples(dimension: Dimension) -> list[str]:
    """How such a quantity is written."""
    return _EXAMPLE[dimension].split(" or ")


def _unknown_unit(unit: str, dimension: Dimension) -> str:
    example = _EXAMPLE[dimension]
    for other, units in _UNITS.items():
        if unit in units:
            return f"the unit {unit} measures {other}, but {dimension} are needed here; write it as {example}"
    if dimension in _PRICES:
        return f"unknown unit {unit!r:.40}; prices are in USD, so convert it and write it as {example}"
    close = [name for name in _UNITS[dimension] if name.lower() in (unit.lower(), unit.lower().replace("b", "bit"))]
    if len(close) > 1:
        return f"{unit} may mean bits or bytes; write {' or '.join(sorted(close))}"
    if close:
        return f"unknown unit {unit}; did you mean {close[0]}?"
    return f"unknown unit {unit!r:.40}; write it as {example}"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"


_EXACT: dict[Dimension, tuple[str, ...]] = {
    "bytes": ("TB", "GB", "GiB", "MB", "MiB", "KiB", "kB", "B"),
    "seconds": ("s", "ms", "us", "ns"),
    "bytes/s": ("TB/s", "GB/s", "MB/s", "kB/s", "B/s"),
    "FLOP/s": ("PFLOPS", "TFLOPS", "GFLOPS", "MFLOPS", "FLOPS"),
    "FLOP": ("PFLOP", "TFLOP", "GFLOP", "MFLOP", "FLOP"),
    "watts": ("kW", "W"),
    "joules": ("MJ", "kJ", "J", "mJ", "uJ"),
    "USD": ("USD",),
    "USD/h": ("USD/h",),
}


def format_exact(value: float, dimension: Dimension) -> str:
    """The shortest text, of a number of one or more where there is one, that `parse` reads back as exactly `value`."""
    texts: list[tuple[bool, int, str]] = []
    for unit in _EXACT[dimension]:
        number = (Decimal(repr(value)) / _UNITS[dimension][unit]).normalize()
        text = f"{number:f}" if -4 < number.adjusted() < 9 else f"{number}"
        if parse(f"{text} {unit}", dimension) == value:
            texts.append((number < 1, len(text) + len(unit), f"{text} {unit}"))
    return min(texts)[2] if texts else f"{value!r} {_EXACT[dimension][-1]}"


def show_bytes(value: float) -> str:
    """`33.55 MB`: four significant digits, decimal prefix."""
    return _scaled(value, ("B", "kB", "MB", "GB", "TB", "PB", "EB"))


def show_binary_bytes(value: float) -> str:
    """`64 MiB`, where binary prefixes make a rounder number than decimal ones; else as `show_bytes`."""
    for scale, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= scale and (value / scale).is_integer():
            return f"{value / scale:,.0f} {unit}"
    return show_bytes(value)


def show_bytes_per_s(value: float) -> str:
    """`45 GB/s`."""
    return _scaled(value, ("B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s", "EB/s"))


def show_flop(value: float) -> str:
    """`34.36 GFLOP`."""
    return _scaled(value, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"))


def show_flop_per_s(value: float) -> str:
    """`400 TFLOPS`."""
    return _scaled(value, ("FLOPS", "kFLOPS", "MFLOPS", "GFLOPS", "TFLOPS", "PFLOPS", "EFLOPS"))


def show_seconds(value: float) -> str:
    """`7.21 ms`."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if abs(value) >= scale:
            return f"{_digits(value / scale)} {unit}"
    return f"{_digits(value / 1e-9)} ns" if value else "0 s"


def show_watts(value: float) -> str:
    """`700 W`."""
    return _scaled(value, ("W", "kW", "MW", "GW"))


def show_joules(value: float) -> str:
    """`4.97 mJ`."""
    for scale, unit in ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ")):
        if abs(value) >= scale:
            return f"{_digits(value / scale)} {unit}"
    return f"{_digits(value / 1e-9)} nJ" if value else "0 J"


def show_usd(value: float) -> str:
    """`0.006122 USD`: four significant digits, and at least two after the point."""
    places = 2 if value == 0 else max(2, 3 - floor(log10(abs(value))))
    whole, _, part = f"{value:,.{places}f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')} USD"


def show_count(value: float) -> str:
    """`131,072`; a fraction keeps four significant digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def plural(count: int, noun: str) -> str:
    """`1 GPU`, `128 GPUs`."""
    end = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}{end}"


def show_percent(value: float) -> str:
    """`26.4 %`, and smaller fractions with enough digits to be told from zero."""
    percent = 100 * value
    return f"{percent:.1f} %" if abs(percent) >= 0.1 or percent == 0 else f"{percent:.2g} %"


def _scaled(value: float, units: tuple[str, ...]) -> str:
    exponent = 0
    while abs(value) >= 999.95 and exponent < len(units) - 1:
        value, exponent = value / 1000, exponent + 1
    return f"{_digits(value)} {units[exponent]}"


def _digits(value: float) -> str:
    """Four significant digits without trailing zeros, never in exponent form."""
    text = f"{value:.{max(0, 3 - (len(str(int(abs(value)))) - 1))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
