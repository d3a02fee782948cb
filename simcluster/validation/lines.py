"""Lines of a ledger file, shipped or a user's; what cannot be read is refused with its place."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.units import LARGEST


class Line:
    """One line: its cells by column, as text or as numbers."""

    def __init__(self, name: str, line: int, cells: dict[str, str]) -> None:
        self.place, self._cells = f"{name}:{line}", cells

    def __getitem__(self, column: str) -> str:
        if column not in self._cells:
            raise InputError(Mistake(what=f"there is no column {column}", origin=self.place))
        return self._cells[column]

    def __contains__(self, column: str) -> bool:
        return column in self._cells

    def number(self, column: str) -> float:
        """A number above 0."""
        text = self[column]
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 < value <= LARGEST:
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
    if folder is None:
        text = resources.files("simcluster.validation").joinpath("measurements", name).read_text(encoding="utf-8")
    elif (folder / name).is_file():
        try:
            text = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(Mistake(what=f"cannot be read: {error}", origin=str(folder / name))) from None
    else:
        return []
    found = []
    for line, cells in enumerate(csv.DictReader(text.splitlines()), start=2):
        if None in cells or None in cells.values():
            raise InputError(Mistake(what="has other columns than the header", origin=f"{name}:{line}"))
        found.append(Line(name, line, cells))
    return found
