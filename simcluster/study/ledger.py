"""The ledger: measured times of collectives, as the product ships them or as a user brings them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.units import LARGEST

NETWORK, EXCHANGE = "network.csv", "moe.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """One measured collective; `setup` names what is special about it, such as the fabric."""

    machine: str
    kind: str
    gpus: int
    gpus_per_node: int
    dtype: str
    bytes: float
    setup: str
    measured_s: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One measured expert dispatch (`back` False) or combine."""

    machine: str
    mode: str
    gpus: int
    tokens_per_rank: float
    hidden: int
    top_k: int
    experts: int
    sms: int
    back: bool
    measured_s: float
    source: str


def collectives(folder: Path | None = None) -> tuple[Collective, ...]:
    """The rows of network.csv, shipped or in `folder`; InputError names the line that cannot be read."""
    return tuple(
        Collective(
            machine=row["machine"],
            kind=row["kind"],
            gpus=row.count("gpus"),
            gpus_per_node=row.count("gpus_per_node"),
            dtype=row["dtype"],
            bytes=row.number("bytes"),
            setup=row["setup"],
            measured_s=row.number("measured_us") * 1e-6,
            source=row["source"],
        )
        for row in _rows(NETWORK, folder)
    )


def exchanges(folder: Path | None = None) -> tuple[Exchange, ...]:
    """The rows of moe.csv, dispatch and combine apart."""
    found = []
    for row in _rows(EXCHANGE, folder):
        for column, back in (("dispatch_us", False), ("combine_us", True)):
            if row[column] != "0" and row.number(column) > 0:
                found.append(
                    Exchange(
                        machine=row["machine"],
                        mode=row["mode"],
                        gpus=row.count("gpus"),
                        tokens_per_rank=row.number("tokens_per_rank"),
                        hidden=row.count("hidden"),
                        top_k=row.count("top_k"),
                        experts=row.count("experts"),
                        sms=row.count("sms", least=0),
                        back=back,
                        measured_s=row.number(column) * 1e-6,
                        source=row["source"],
                    )
                )
    return tuple(found)


class _Row:
    """One line of a ledger file; what cannot be read is refused with its line and column."""

    def __init__(self, name: str, line: int, cells: dict[str, str]) -> None:
        self._place, self._cells = f"{name}:{line}", cells

    def __getitem__(self, column: str) -> str:
        if column not in self._cells:
            raise InputError(Mistake(what=f"there is no column {column}", origin=self._place))
        return self._cells[column]

    def number(self, column: str) -> float:
        """A number above 0."""
        text = self[column]
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 < value <= LARGEST:
            raise InputError(Mistake(what=f"{column} is {text!r:.40}; it must be a number above 0", origin=self._place))
        return value

    def count(self, column: str, least: int = 1) -> int:
        """A whole number, at least `least`."""
        text = self[column]
        if not (text.isascii() and text.isdecimal() and int(text[:18]) >= least):
            what = f"{column} is {text!r:.40}; it must be a whole number of {least} or more"
            raise InputError(Mistake(what=what, origin=self._place))
        return int(text[:18])


def _rows(name: str, folder: Path | None) -> list[_Row]:
    """The lines of a ledger file as they stand; a user's folder may hold only one of the two."""
    if folder is None:
        text = resources.files("simcluster.study").joinpath("measurements", name).read_text(encoding="utf-8")
    elif (folder / name).is_file():
        try:
            text = (folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(Mistake(what=f"cannot be read: {error}", origin=str(folder / name))) from None
    else:
        return []
    rows = []
    for line, cells in enumerate(csv.DictReader(text.splitlines()), start=2):
        if None in cells or None in cells.values():
            raise InputError(Mistake(what="has other columns than the header", origin=f"{name}:{line}"))
        rows.append(_Row(name, line, cells))
    return rows
