"""Our error against measurements: every row of the ledger predicted again, by machine, kind and range of sizes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from simcluster import collective
from simcluster.errors import InputError
from simcluster.scenario.cluster_section import load_cluster
from simcluster.study import ledger
from simcluster.timeline.table import Cell, Column, Table

_TYPES = {"half": "fp16", "float": "fp32", "double": "fp32", "int8": "int8"}
"""Element types of nccl-tests as ours; a double is added in the switch as a float is."""

_UNFITTED = ("older", "ring")
"""Setups whose rows took no part in the fit."""

ENGINES = "custom_all_reduce"
"""All-reduce kernels of inference engines, under `setup` the engine's name."""

CONGESTED_GPUS = 64
"""DeepEP tables from so many GPUs on look congested and took no part in the fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One row: the regimes it counts in, and (predicted - measured) / measured."""

    regime: str
    error: float
    fitted: bool
    source: str


def validate(folder: Path | None = None) -> Table:
    """Mean, median and worst absolute relative error of each regime; measurements of `folder` instead of the shipped.

    A single node is scored over all sizes and from 1 MiB, several nodes over all sizes and from 16 MiB.
    """
    scored = [*_collectives(ledger.collectives(folder)), *_exchanges(ledger.exchanges(folder))]
    if not scored:
        raise InputError(f"{folder} holds no rows of {ledger.NETWORK} or {ledger.EXCHANGE}")
    groups: dict[str, list[Scored]] = defaultdict(list)
    for row in scored:
        groups[row.regime].append(row)
    rows: list[dict[str, Cell]] = []
    for regime, members in groups.items():
        errors = [abs(row.error) for row in members]
        rows.append(
            {
                "regime": regime,
                "points": len(members),
                "mean": sum(errors) / len(errors),
                "median": median(errors),
                "worst": max(errors),
                "bias": sum(row.error for row in members) / len(members),
                "fitted": "yes" if all(row.fitted for row in members) else "no",
                "source": ", ".join(sorted({row.source for row in members})),
            }
        )
    measures = {"points": "count", **dict.fromkeys(("mean", "median", "worst", "bias"), "fraction")}
    names = ("regime", "points", "mean", "median", "worst", "bias", "fitted", "source")
    columns = tuple(Column(name=name, measure=measures.get(name, "")) for name in names)
    return Table(title="error against measurements", columns=columns, rows=tuple(rows), swept=("regime",))


def _collectives(rows: Sequence[ledger.Collective]) -> Iterator[Scored]:
    """Rows of one setup are predicted together, and counted in every range of sizes they fall into."""
    setups: dict[tuple[str | int, ...], list[ledger.Collective]] = defaultdict(list)
    for row in rows:
        setups[row.machine, row.setup, row.kind, row.gpus, row.gpus_per_node, row.dtype].append(row)
    for members in setups.values():
        one = members[0]
        times = _predicted(one, [row.bytes for row in members])
        several = one.gpus > one.gpus_per_node
        place = "several nodes" if several else "one node"
        special = one.setup.split(" ")[0]
        name = ", ".join(part for part in (f"{one.machine} {one.kind}", place, special) if part)
        edge, label = (2**24, "from 16 MiB") if several else (2**20, "from 1 MiB")
        for row, time_s in zip(members, times, strict=True):
            error = time_s / row.measured_s - 1
            fitted = one.setup not in _UNFITTED
            yield Scored(regime=f"{name}, all sizes", error=error, fitted=fitted, source=row.source)
            if row.bytes >= edge:
                yield Scored(regime=f"{name}, {label}", error=error, fitted=fitted, source=row.source)


def _predicted(row: ledger.Collective, sizes: Sequence[float]) -> list[float]:
    """Seconds at each size; an engine's own all-reduce takes the faster of its two kernels."""
    algorithms = ["ring" if row.setup == "ring" else "auto"] if row.kind != ENGINES else ["one-shot", "two-shot"]
    tables = [collective.measure(_question(row, name), sizes) for name in algorithms]
    columns = [[float(str(cell)) for cell in table.column("time_s")] for table in tables]
    return [min(times) for times in zip(*columns, strict=True)]


def _question(row: ledger.Collective, algorithm: str) -> collective.Question:
    overrides = []
    if row.setup == "efa":
        overrides.append(f"cluster.library={row.machine}-efa")
    if row.machine == "gb200":
        overrides.append(f"cluster.nvlink.domain={row.gpus_per_node}")
    per_node = None if row.machine == "gb200" else row.gpus_per_node
    name = "gb200-nvl72" if row.machine == "gb200" else f"dgx-{row.machine}"
    return collective.Question(
        cluster=load_cluster(name, row.gpus, overrides, per_node),
        kind=collective.known_kind("all_reduce" if row.kind == ENGINES else row.kind),
        gpus=row.gpus,
        per_node=per_node,
        dtype=_TYPES.get(row.dtype, row.dtype),
        algorithm=algorithm,
    )


def _exchanges(rows: Sequence[ledger.Exchange]) -> Iterator[Scored]:
    questions = {
        (machine, gpus): collective.Question(cluster=load_cluster(f"dgx-{machine}", gpus), kind="all_to_all", gpus=gpus)
        for machine, gpus in dict.fromkeys((row.machine, row.gpus) for row in rows)
    }
    asked = [
        collective.Exchange(
            question=questions[row.machine, row.gpus],
            back=row.back,
            mode=row.mode,
            tokens=row.tokens_per_rank,
            hidden=row.hidden,
            top_k=row.top_k,
            experts=row.experts,
            sms=row.sms or None,
        )
        for row in rows
    ]
    for row, time_s in zip(rows, collective.exchange_seconds(asked), strict=True):
        kind = "moe_combine" if row.back else "moe_dispatch"
        yield Scored(
            regime=f"{row.machine} {kind} {row.mode}, EP{row.gpus}",
            error=time_s / row.measured_s - 1,
            fitted=row.machine == "h100" and row.gpus < CONGESTED_GPUS,
            source=row.source,
        )
