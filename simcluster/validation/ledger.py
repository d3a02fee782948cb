"""The ledger: measured times of collectives, as the product ships them or as a user brings them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simcluster.validation.lines import lines

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
        for row in lines(NETWORK, folder)
    )


def exchanges(folder: Path | None = None) -> tuple[Exchange, ...]:
    """The rows of moe.csv, dispatch and combine apart."""
    found = []
    for row in lines(EXCHANGE, folder):
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
