"""Every row of the ledger predicted again and compared: which regimes it counts in, and how far off it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simcluster import collective
from simcluster.scenario.cluster_section import load_cluster
from simcluster.validation import ledger
from simcluster.validation.published import GPUS_PER_NODE, Prediction
from simcluster.validation.traced import TracedKernel

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
    """One row: the regimes it counts in, its group in a figure, both times, and (predicted - measured) / measured."""

    regimes: tuple[str, ...]
    group: str
    predicted_s: float
    measured_s: float
    error: float
    fitted: bool
    source: str
    whole_run: bool = False


def runs(predictions: Sequence[Prediction]) -> Iterator[Scored]:
    """The cases that were predicted, in their own regime and in that of all like them; fitted rows apart."""
    for run in predictions:
        case = run.case
        if run.predicted is None or run.error is None:
            continue
        ending = ", fitted" if case.fitted else ""
        work = "training" if case.phase == "train" else "inference"
        place = "one node" if case.gpus <= GPUS_PER_NODE else "several nodes"
        setup = "clean setup" if case.clean else "other setups"
        yield Scored(
            regimes=(f"published {work}, {place}, {setup}{ending}", f"{case.regime}{ending}"),
            group=case.regime,
            predicted_s=case.run_seconds(run.predicted),
            measured_s=case.run_seconds(case.measured),
            error=run.error,
            fitted=case.fitted,
            source=case.source,
            whole_run=True,
        )


def collectives(rows: Sequence[ledger.Collective]) -> Iterator[Scored]:
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
            large = (f"{name}, {label}",) if row.bytes >= edge else ()
            yield Scored(
                regimes=(f"{name}, all sizes", *large),
                group="engines' own all-reduce" if one.kind == ENGINES else f"NCCL, {place}",
                predicted_s=time_s,
                measured_s=row.measured_s,
                error=time_s / row.measured_s - 1,
                fitted=one.setup not in _UNFITTED,
                source=row.source,
            )


def kernels(rows: Sequence[TracedKernel]) -> Iterator[Scored]:
    """Kernels of traces, all of a trace together and each by itself."""
    for row in rows:
        yield Scored(
            regimes=(row.regime, f"{row.regime}, {row.name}"),
            group="kernels of published traces",
            predicted_s=row.predicted_s,
            measured_s=row.measured_s,
            error=row.predicted_s / row.measured_s - 1,
            fitted=False,
            source=row.source,
        )


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


def exchanges(rows: Sequence[ledger.Exchange]) -> Iterator[Scored]:
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
            regimes=(f"{row.machine} {kind} {row.mode}, EP{row.gpus}",),
            group="expert dispatch and combine",
            predicted_s=time_s,
            measured_s=row.measured_s,
            error=time_s / row.measured_s - 1,
            fitted=row.machine == "h100" and row.gpus < CONGESTED_GPUS,
            source=row.source,
        )
