"""Our error against measurements: by regime, case by case for published runs, and as points of a figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from simcluster.errors import InputError, Mistake
from simcluster.timeline.table import Cell, Column, Table
from simcluster.validation import kernel_regimes, ledger, published, scoring, traced


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The errors by regime, every published case, and every scored row as a point of two times."""

    regimes: Table
    cases: Table
    points: Table


def validate(folder: Path | None = None) -> Validation:
    """Every measured row predicted and scored; measurements of `folder` instead of the shipped.

    Kernels are scored over all rows of the raw tables in `folder`, if it holds any; the shipped profiles only record
    their errors on rows kept back.

    A single node is scored over all sizes and from 1 MiB, several nodes over all sizes and from 16 MiB; a published run
    in its own regime and in that of all runs, fitted and unfitted apart.
    """
    raw = None if folder is None else kernel_regimes.raw_folder(folder)
    # Beside raw tables a published.csv of another form is raw as well.
    foreign = raw is not None and folder is not None and not published.is_ledger(folder)
    runs = list(published.predictions(() if foreign else published.cases(folder)))
    scored = [
        *scoring.runs(runs),
        *scoring.collectives(ledger.collectives(folder)),
        *scoring.exchanges(ledger.exchanges(folder)),
        *scoring.kernels(traced.traced(folder)),
    ]
    kernels = kernel_regimes.recorded() if folder is None else [] if raw is None else kernel_regimes.scored(raw)
    if not scored and not runs and not kernels:
        ledgers = f"{ledger.NETWORK}, {ledger.EXCHANGE}, {traced.TRACES} or {published.PUBLISHED}"
        what = f"holds no rows of {ledgers}, and no raw kernel tables such as h100_sxm_gemm_trtllm_bfloat16.csv"
        raise InputError(Mistake(what=what, origin=str(folder)))
    return Validation(regimes=_regimes(scored, kernels), cases=_cases(runs), points=_points(scored))


def _regimes(scored: Sequence[scoring.Scored], kernels: Sequence[kernel_regimes.Regime]) -> Table:
    groups: dict[str, list[scoring.Scored]] = defaultdict(list)
    for row in scored:
        for regime in row.regimes:
            groups[regime].append(row)
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
                "source": " + ".join(sorted({row.source for row in members})),
            }
        )
    rows += ({**asdict(one), "fitted": "yes" if one.fitted else "no"} for one in kernels)
    measures = {"points": "count", **dict.fromkeys(("mean", "median", "worst", "bias"), "fraction")}
    names = ("regime", "points", "mean", "median", "worst", "bias", "fitted", "source")
    return _table("error against measurements", names, measures, rows)


def _cases(runs: Sequence[published.Prediction]) -> Table:
    rows: list[dict[str, Cell]] = []
    for run in runs:
        case = run.case
        status = "waiting" if not case.ready else "scored" if run.predicted is not None else "failed"
        rows.append(
            {
                "id": case.id,
                "regime": case.regime,
                "status": status,
                "metric": case.metric,
                "predicted": run.predicted,
                "measured": case.measured,
                "error": run.error,
                "fitted": "yes" if case.fitted else "no",
                "clean": "yes" if case.clean else "no",
                "waits_for": case.waits_for,
                "reason": run.reason,
                "source": case.source,
            }
        )
    names = ("id", "regime", "status", "metric", "predicted", "measured", "error", "fitted", "clean", "waits_for",
             "reason", "source")  # fmt: skip
    return _table("published runs", names, {"error": "fraction"}, rows)


def _points(scored: Sequence[scoring.Scored]) -> Table:
    rows: list[dict[str, Cell]] = [
        {
            "group": row.group,
            "whole_run": "yes" if row.whole_run else "no",
            "fitted": "yes" if row.fitted else "no",
            "measured_s": row.measured_s,
            "predicted_s": row.predicted_s,
            "error": row.error,
        }
        for row in scored
    ]
    names = ("group", "whole_run", "fitted", "measured_s", "predicted_s", "error")
    return _table(
        "predicted against measured times",
        names,
        {"measured_s": "seconds", "predicted_s": "seconds", "error": "fraction"},
        rows,
    )


def _table(title: str, names: Sequence[str], measures: Mapping[str, str], rows: Sequence[dict[str, Cell]]) -> Table:
    columns = tuple(Column(name=name, measure=measures.get(name, "")) for name in names)
    return Table(title=title, columns=columns, rows=tuple(rows), swept=(names[0],))
