"""Measured expert loads: a CSV of how many token copies each expert got."""

from __future__ import annotations

import csv
from math import fsum, isfinite
from pathlib import Path

from simcluster.errors import shortened

LARGEST_FILE = 16_000_000
"""Bytes of a file that is read."""

HEADER = ("expert", "count")


def read_counts(path: Path, experts: int) -> tuple[float, ...]:
    """The copies of each of `experts` experts, by index.

    The file has one line `expert,count` for each expert, in any order, under that header or none; or one line for each
    layer with a count for each expert, under a header or none.  Of several layers each expert's mean share of a layer's
    copies is taken.  ValueError names the line of the first mistake.
    """
    rows = _rows(path)
    first = next(iter(rows.values()))
    if [cell.lower() for cell in first] == list(HEADER):
        return _by_expert(dict(list(rows.items())[1:]), experts)
    if len(first) == len(HEADER) and experts != len(HEADER):
        return _by_expert(rows, experts)
    return _by_layer(rows, experts)


def _rows(path: Path) -> dict[int, list[str]]:
    """The cells of each line by its number; empty lines and comments (#) are left out."""
    try:
        if not path.is_file():
            raise ValueError("is no file that can be read")
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"is larger than {LARGEST_FILE:,} bytes; a count for each expert takes less")
        reader = csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), strict=True)
        cells = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except csv.Error as error:
        raise ValueError(f"is no CSV: {error}") from None
    rows = {line: row for line, row in cells if any(row) and not row[0].startswith("#")}
    if not rows:
        raise ValueError("is empty; write a line expert,count for each expert")
    return rows


def _by_expert(rows: dict[int, list[str]], experts: int) -> tuple[float, ...]:
    found: dict[int, float] = {}
    written: dict[int, int] = {}
    for line, row in rows.items():
        if len(row) != len(HEADER):
            raise ValueError(f"line {line}: has {len(row)} columns; write expert,count")
        index = row[0]
        if not (index.isascii() and index.isdecimal() and len(index) <= 9):
            raise ValueError(f"line {line}: {index!r:.40} is no expert; write its index, 0 for the first")
        expert = int(index)
        if expert >= experts:
            raise ValueError(f"line {line}: there is no expert {expert}; the model has 0 … {experts - 1}")
        if expert in found:
            raise ValueError(f"line {line}: expert {expert} stands in line {written[expert]} already; keep one")
        found[expert], written[expert] = _count(row[1], line), line
    absent = [str(expert) for expert in range(experts) if expert not in found]
    if absent:
        told = shortened(absent)
        raise ValueError(f"has {len(found):,} experts and the model {experts:,}; a count is missing for {told}")
    return _some(tuple(found[expert] for expert in range(experts)), "no expert")


def _by_layer(rows: dict[int, list[str]], experts: int) -> tuple[float, ...]:
    lines = list(rows.items())
    if not any(_is_number(cell) for cell in lines[0][1]):
        lines = lines[1:]
    if not lines:
        raise ValueError("has a header and no counts below it")
    shares = []
    for line, row in lines:
        if len(row) != experts:
            what = f"has {len(row):,} counts, and the model {experts:,} experts"
            raise ValueError(
                f"line {line}: {what}; write expert,count lines, or a line for each layer with {experts:,}"
            )
        counts = _some(tuple(_count(cell, line) for cell in row), f"line {line}: no expert")
        total = fsum(counts) if len(lines) > 1 else 1.0
        shares.append([count / total for count in counts])
    return tuple(fsum(column) / len(shares) for column in zip(*shares, strict=True))


def _some(counts: tuple[float, ...], who: str) -> tuple[float, ...]:
    if not any(counts):
        raise ValueError(f"{who} got a copy; at least one count must be above 0")
    return counts


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _count(cell: str, line: int) -> float:
    if not _is_number(cell) or not isfinite(float(cell)) or "_" in cell:
        raise ValueError(f"line {line}: {cell!r:.40} is no count; write a number of token copies")
    if float(cell) < 0:
        raise ValueError(f"line {line}: {cell:.40} is negative; a count is 0 or more")
    return float(cell)
