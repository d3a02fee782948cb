"""Lines of a ledger file, shipped or a user's; what cannot be read is refused with its place."""

from __future__ import annotations

import csv
import re
from importlib import resources
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.units import LARGEST

_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def decimal(text: str) -> float | None:
    """A number in plain digits; None if the text is none, such as 1_000 or nan."""
    return float(text) if _DECIMAL.fullmatch(text) else None


class Line:
    """One line: its cells by column, as text or as numbers."""

    def __init__(self, origin: str, line: int, cells: dict[str, str]) -> None:
        self.place, self._cells = f"{origin}:{line}", cells

    def __getitem__(self, column: str) -> str:
        if column not in self._cells:
            raise InputError(Mistake(what=f"there is no column {column}", origin=self.place))
        return self._cells[column]

    def get(self, column: str) -> str:
        """The cell, empty where the file has no such column."""
        return self._cells.get(column, "")

    def __contains__(self, column: str) -> bool:
        return column in self._cells

    def number(self, column: str) -> float:
        """A number above 0."""
        text = self[column]
        value = decimal(text.strip())
        if value is None or not 0 < value <= LARGEST:
            raise InputError(Mistake(what=f"{column} is {text!r:.40}; it must be a number above 0", origin=self.place))
        return value

    def count(self, column: str, least: int = 1) -> int:
        """A whole number, at least `least`."""
        text = self[column]
        if not (text.isascii() and text.isdecimal() and int(text[:18]) >= least):
            what = f"{column} is {text!r:.40}; it must be a whole number of {least} or more"
            raise InputError(Mistake(what=what, origin=self.place))
        return int(text[:18])

    def one_of(self, column: str, *words: str) -> str:
        """One of the words."""
        text = self[column]
        if text not in words:
            what = f"{column} is {text!r:.40}; it must be one of {', '.join(words)}"
            raise InputError(Mistake(what=what, origin=self.place))
        return text


def lines(name: str, folder: Path | None) -> list[Line]:
    """The lines of a ledger file as they stand; a user's folder may hold only some of the files."""
    origin = name if folder is None else str(folder / name)
    if folder is None:
        text = resources.files("simcluster.validation").joinpath("measurements", name).read_text(encoding="utf-8")
    elif (folder / name).is_file():
        try:
            text = (folder / name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(Mistake(what=f"cannot be read: {error}", origin=origin)) from None
    else:
        return []
    found = []
    for line, cells in enumerate(csv.DictReader(text.splitlines()), start=2):
        if None in cells or None in cells.values():
            raise InputError(Mistake(what="has other columns than the header", origin=f"{origin}:{line}"))
        found.append(Line(origin, line, cells))
    return found
