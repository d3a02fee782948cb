"""The ledger: measured times of collectives, as the product ships them or as a user brings them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

from simcluster.errors import InputError, Mistake

NETWORK, EXCHANGE = "network.csv", "moe.csv"
T = TypeVar("T")


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
            gpus=int(row["gpus"]),
            gpus_per_node=int(row["gpus_per_node"]),
            dtype=row["dtype"],
            bytes=float(row["bytes"]),
            setup=row["setup"],
            measured_s=float(row["measured_us"]) * 1e-6,
            source=row["source"],
        )
        for row in _rows(NETWORK, folder)
    )


def exchanges(folder: Path | None = None) -> tuple[Exchange, ...]:
    """The rows of moe.csv, dispatch and combine apart."""
    found = []
    for row in _rows(EXCHANGE, folder):
        for column, back in (("dispatch_us", False), ("combine_us", True)):
            if float(row[column]) > 0:
                found.append(
                    Exchange(
                        machine=row["machine"],
                        mode=row["mode"],
                        gpus=int(row["gpus"]),
                        tokens_per_rank=float(row["tokens_per_rank"]),
                        hidden=int(row["hidden"]),
                        top_k=int(row["top_k"]),
                        experts=int(row["experts"]),
                        sms=int(row["sms"]),
                        back=back,
                        measured_s=float(row[column]) * 1e-6,
                        source=row["source"],
                    )
                )
    return tuple(found)


def _rows(name: str, folder: Path | None) -> Iterable[dict[str, str]]:
    """The lines of a ledger file as they stand; a user's folder may hold only one of the two."""
    if folder is None:
        text = resources.files("simcluster.study").joinpath("measurements", name).read_text(encoding="utf-8")
    elif (folder / name).is_file():
        text = (folder / name).read_text(encoding="utf-8")
    else:
        return []
    rows = list(csv.DictReader(text.splitlines()))
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputError(Mistake(what=f"line {line} has other columns than the header", origin=name))
    return rows
