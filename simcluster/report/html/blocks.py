"""What a page is made of: blocks of finished text and numbers, which the template only lays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One headline number, with its unit."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A check: what was claimed and came out, and why in a sentence with its arithmetic."""

    name: str
    passed: bool
    outcome: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    """Paragraphs."""

    title: str
    paragraphs: tuple[str, ...]
    kind: str = "prose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """`share` of the whole, 0 to 1, in one of the colours of app.css."""

    name: str
    value: str
    percent: str
    share: float
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Parts of a whole."""

    title: str
    bars: tuple[Bar, ...]
    note: str = ""
    kind: str = "bars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell's text, and the number it is sorted by; None: by its text."""

    text: str
    order: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table that can be sorted by each column; `marked` rows stand out, `numbers` columns are flush right, and `foot`
    stays below the others.

    Where it has `many` rows, a field filters them.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int] = frozenset()
    marked: frozenset[int] = frozenset()
    foot: tuple[Cell, ...] = ()
    note: str = ""
    kind: str = "grid"

    @property
    def many(self) -> bool:
        return len(self.rows) > MANY


MANY = 15
"""Rows from which on a table has a filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What a script draws from `data`: a timeline, points or lines; `label` says in words what it shows."""

    title: str
    chart: Literal["timeline", "points", "lines"]
    data: object
    label: str
    note: str = ""
    kind: str = "chart"


Block = Prose | Bars | Grid | Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page: title, a line below it, the verdict, headline numbers, checks and blocks."""

    title: str
    subtitle: str
    verdict: tuple[str, ...]
    cards: tuple[Card, ...]
    claims: tuple[Claim, ...]
    blocks: tuple[Block, ...]


def cells(texts: Sequence[str]) -> tuple[Cell, ...]:
    """Cells that are sorted by their text."""
    return tuple(Cell(text=text) for text in texts)


def ends(values: Sequence[float]) -> dict[str, float]:
    """The least and the largest, as a chart's axis has them."""
    return {"low": min(values), "high": max(values)}
