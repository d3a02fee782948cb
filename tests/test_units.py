"""Quantities: what is read, what is refused and in which words, and that writing loses nothing."""

from __future__ import annotations

import math
import re
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simcluster import units
from tests.edge_helpers import no_longer_than

bounded = settings(max_examples=400, derandomize=True, deadline=None, database=None)
DIMENSIONS: tuple[units.Dimension, ...] = get_args(units.Dimension)
dimensions = st.sampled_from(DIMENSIONS)


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("64 GB", "bytes", 64e9), ("60 GiB", "bytes", 60 * 2**30), ("64GB", "bytes", 64e9), (" 64  GB ", "bytes", 64e9),
        ("1 B", "bytes", 1), ("1 kB", "bytes", 1e3), ("1 KiB", "bytes", 1024), ("1 MiB", "bytes", 2**20),
        ("1 TB", "bytes", 1e12), ("1_000 MB", "bytes", 1e9), ("1e3 MB", "bytes", 1e9), (".5 GB", "bytes", 5e8),
        ("5. GB", "bytes", 5e9), ("+5 GB", "bytes", 5e9), ("0 B", "bytes", 0), ("-0 GB", "bytes", 0),
        ("3 us", "seconds", 3e-6), ("3 µs", "seconds", 3e-6), ("3 μs", "seconds", 3e-6), ("3 ns", "seconds", 3e-9),
        ("3 ms", "seconds", 3e-3), ("3 s", "seconds", 3), ("0 us", "seconds", 0),
        ("400 Gbit/s", "bytes/s", 50e9), ("450 GB/s", "bytes/s", 450e9), ("2 TB/s", "bytes/s", 2e12),
        ("1 Gibit/s", "bytes/s", 2**30 / 8), ("8 bit/s", "bytes/s", 1), ("1 GiB/s", "bytes/s", 2**30),
        ("400 TFLOPS", "FLOP/s", 400e12), ("400 TFLOP/s", "FLOP/s", 400e12), ("2 PFLOPS", "FLOP/s", 2e15),
        ("624 TOPS", "FLOP/s", 624e12), ("550 GFLOP", "FLOP", 550e9),
        ("0.1 GB/s", "bytes/s", 1e8), ("1e21 B", "bytes", 1e21),
        ("700 W", "watts", 700), ("0.7 kW", "watts", 700), ("3 mJ", "joules", 3e-3), ("1 kWh", "joules", 3.6e6),
        ("2.50 USD/h", "USD/h", 2.5), ("2.5 $/h", "USD/h", 2.5), ("0.15 USD", "USD", 0.15),
    ],
)  # fmt: skip
def test_a_quantity_is_its_si_value(text: str, dimension: units.Dimension, value: float) -> None:
    assert units.parse(text, dimension) == value


def test_a_bit_is_an_eighth_and_a_gibi_seven_percent_more() -> None:
    assert units.parse("1 GB/s", "bytes/s") == 8 * units.parse("1 Gbit/s", "bytes/s")
    assert math.isclose(units.parse("1 GiB", "bytes") / units.parse("1 GB", "bytes"), 1.073741824)


@pytest.mark.parametrize(
    ("value", "dimension", "told"),
    [
        ("64", "bytes", "has no unit; write it as 64 GB or 60 GiB"),
        (64, "bytes", "has no unit; write it as 64 GB or 60 GiB"),
        (0, "seconds", "has no unit; write it as 3 us"),
        (1.5, "bytes/s", "has no unit; write it as 450 GB/s or 400 Gbit/s"),
        ("400", "FLOP/s", "has no unit; write it as 400 TFLOPS"),
        ("64 GB/s", "bytes", "measures bytes/s, but bytes are needed here; write it as 64 GB or 60 GiB"),
        ("64 GB", "bytes/s", "measures bytes, but bytes/s are needed here; write it as 450 GB/s or 400 Gbit/s"),
        ("64 GB", "seconds", "measures bytes, but seconds are needed here; write it as 3 us"),
        ("3 TFLOPS", "bytes/s", "measures FLOP/s, but bytes/s are needed here"),
        ("3 TFLOP", "FLOP/s", "measures FLOP, but FLOP/s are needed here; write it as 400 TFLOPS"),
        ("2.50", "USD/h", "has no unit; write it as 2.50 USD/h"),
        ("2.50 EUR/h", "USD/h", "unknown unit 'EUR/h'; prices are in USD, so convert it and write it as 2.50 USD/h"),
        ("2.50 USD", "USD/h", "measures USD, but USD/h are needed here; write it as 2.50 USD/h"),
        ("-2 USD/h", "USD/h", "is negative"),
        ("700 J", "watts", "measures joules, but watts are needed here; write it as 700 W"),
        ("700 w", "watts", "unknown unit w; did you mean W?"),
        ("64 gb", "bytes", "unknown unit gb; did you mean GB?"),
        ("3 tflops", "FLOP/s", "unknown unit tflops; did you mean TFLOPS?"),
        ("3 MS", "seconds", "unknown unit MS; did you mean ms?"),
        ("400 Gbps", "bytes/s", "unknown unit 'Gbps'; write it as 450 GB/s or 400 Gbit/s"),
        ("3 parsecs", "seconds", "unknown unit 'parsecs'; write it as 3 us"),
        ("-1 GB", "bytes", "-1 GB is negative"),
        ("-1 us", "seconds", "-1 us is negative"),
        ("1e22 B", "bytes", "past 1e+21"),
        ("1e999999999999999999999 B", "bytes", "out of range"),
        ("1e999 B", "bytes", "past 1e+21"),
        ("nan GB", "bytes", "'nan GB' is not a quantity; write it as 64 GB or 60 GiB"),
        ("inf GB", "bytes", "is not a quantity"),
        ("GB", "bytes", "is not a quantity"),
        ("", "bytes", "is not a quantity"),
        ("--1 GB", "bytes", "is not a quantity"),
        ("٣ GB", "bytes", "is not a quantity"),
        (None, "bytes", "expected a quantity such as 64 GB or 60 GiB"),
        (True, "bytes", "expected a quantity"),
        (["64 GB"], "bytes", "expected a quantity"),
        (math.nan, "bytes", "is not a quantity"),
        (math.inf, "bytes", "is not a quantity"),
    ],
)
def test_a_refused_quantity_is_told_how_to_write_it(value: object, dimension: units.Dimension, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        units.parse(value, dimension)


@pytest.mark.parametrize("text", ["400 Gb/s", "400 gb/s"])
def test_what_may_mean_gigabits_is_not_taken_for_gigabytes(text: str) -> None:
    """They differ by eight, so the message must name both."""
    with pytest.raises(ValueError, match="Gbit/s") as raised:
        units.parse(text, "bytes/s")
    assert "GB/s" in str(raised.value)


@bounded
@given(st.floats(0, units.LARGEST), dimensions)
@example(5e-324, "seconds")
@example(2.2250738585072014e-308, "bytes")
@example(1e21, "bytes")
@example(0.1 + 0.2, "bytes/s")
@example(1 / 3, "FLOP/s")
@example(2.0**53 + 2, "bytes")
@example(0.0, "seconds")
def test_what_is_written_is_read_back_exactly(value: float, dimension: units.Dimension) -> None:
    assert units.parse(units.format_exact(value, dimension), dimension) == value


@bounded
@given(st.integers(0, 10**6), st.sampled_from(["B", "kB", "MB", "GB", "KiB", "MiB", "GiB"]))
def test_whole_numbers_of_a_unit_are_exact(count: int, unit: str) -> None:
    scale = 1024 ** " KMG".index(unit[0]) if unit.endswith("iB") else 1000 ** " kMG".index(unit[0].replace("B", " "))
    assert units.parse(f"{count} {unit}", "bytes") == count * scale


@bounded
@given(st.text(max_size=20) | st.from_regex(r"[-+]?[0-9._]{0,6}(e[-+]?[0-9]{1,4})? ?[kKMGTi]{0,2}[bBsitFLOPS/]{0,6}"))
def test_any_text_is_a_quantity_or_refused_in_words(text: str) -> None:
    for dimension in DIMENSIONS:
        try:
            value = units.parse(text, dimension)
        except ValueError as error:
            told = str(error)
        else:
            told = "taken"
            assert 0 <= value <= units.LARGEST
        assert told


@pytest.mark.parametrize(
    "text",
    ["1" * 3_000 + "x\n\ny", "1_" * 3_000 + "\n\nx", "1" + " " * 50_000 + "\nGB\nx", "1 " + "G" * 50_000 + "\n\n",
     "." * 50_000, "1e" + "9" * 50_000 + " GB", "1" * 50_000 + " GB"],
    ids=["digits", "underscores", "blanks", "unit", "dots", "exponent", "number"],
)  # fmt: skip
def test_a_long_text_is_refused_at_once_and_not_repeated_whole(text: str) -> None:
    with no_longer_than(5), pytest.raises(ValueError, match=r"\S") as raised:
        units.parse(text, "bytes")
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (units.show_bytes(33.554432e6), "33.55 MB"), (units.show_bytes(0), "0 B"), (units.show_bytes(999.96), "1 kB"),
        (units.show_bytes(64e9), "64 GB"), (units.show_bytes(1.5), "1.5 B"), (units.show_bytes(1e21), "1000 EB"),
        (units.show_bytes_per_s(45e9), "45 GB/s"), (units.show_flop(34.36e9), "34.36 GFLOP"),
        (units.show_flop_per_s(400e12), "400 TFLOPS"), (units.show_seconds(7.21e-3), "7.21 ms"),
        (units.show_seconds(0), "0 s"), (units.show_seconds(3e-6), "3 us"), (units.show_seconds(2), "2 s"),
        (units.show_seconds(5e-10), "0.5 ns"), (units.show_count(131072), "131,072"), (units.show_count(0.5), "0.5"),
        (units.show_percent(0.2635), "26.4 %"), (units.show_percent(0), "0.0 %"),
        (units.show_percent(0.0009), "0.09 %"),
    ],
)  # fmt: skip
def test_numbers_are_shown_with_their_unit(shown: str, text: str) -> None:
    assert shown == text


@bounded
@given(st.floats(1, 1e17))
def test_what_is_shown_is_right_to_four_digits(value: float) -> None:
    assert math.isclose(units.parse(units.show_bytes(value), "bytes"), value, rel_tol=6e-4)
    assert math.isclose(units.parse(units.show_bytes_per_s(value), "bytes/s"), value, rel_tol=6e-4)
    assert math.isclose(units.parse(units.show_flop_per_s(value), "FLOP/s"), value, rel_tol=6e-4)
    assert math.isclose(units.parse(units.show_flop(value), "FLOP"), value, rel_tol=6e-4)
    assert math.isclose(units.parse(units.show_seconds(value * 1e-9), "seconds"), value * 1e-9, rel_tol=6e-4)
