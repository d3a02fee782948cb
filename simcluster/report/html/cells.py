"""Cells of a page's tables: a number as text with its unit, sorted by its value; zero of what need not be is blank."""

from __future__ import annotations

from simcluster.report.html.blocks import Cell
from simcluster.units import show_bytes, show_flop, show_percent, show_seconds


def count(number: int) -> Cell:
    return Cell(text=f"{number:,}", order=number)


def seconds(value: float, *, blank: bool = False) -> Cell:
    return Cell(text="" if blank and not value else show_seconds(value), order=value)


def size(value: float, *, blank: bool = False) -> Cell:
    return Cell(text="" if blank and not value else show_bytes(value), order=value)


def flop(value: float, *, blank: bool = False) -> Cell:
    return Cell(text="" if blank and not value else show_flop(value), order=value)


def share(value: float) -> Cell:
    return Cell(text=show_percent(value), order=value)
