"""Results and tables for machines: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence

from simcluster.timeline import comparison
from simcluster.timeline.capacity import Capacity
from simcluster.timeline.comparison import Compared
from simcluster.timeline.crossover import Crossover
from simcluster.timeline.interval import Uncertainty
from simcluster.timeline.ranking import Ranking
from simcluster.timeline.result import Result
from simcluster.timeline.slowdown import WithoutFaults
from simcluster.timeline.table import Table


def result_json(
    result: Result,
    capacity: Capacity | None = None,
    uncertainty: Uncertainty | None = None,
    healthy: WithoutFaults | None = None,
) -> str:
    """The object of `run --json`; where they were asked for, `capacity` is what memory allows, `uncertainty` what draws
    of the hardware give, and `healthy` the same scenario without its faults."""
    tree = result.as_dict() | ({} if capacity is None else {"capacity": capacity.as_dict()})
    tree |= {} if uncertainty is None else {"uncertainty": uncertainty.as_dict()}
    tree |= {} if healthy is None else {"without_faults": healthy.as_dict()}
    return json.dumps(tree, indent=2, allow_nan=False, ensure_ascii=False)


def check_json(result: Result) -> str:
    """The object of `check --json`."""
    values = result.metrics
    checks = [check.as_dict() for check in result.checks]
    return json.dumps(
        {"checks": checks, "latency_s": values["latency_s"], "mfu": values["mfu"]},
        indent=2,
        allow_nan=False,
        ensure_ascii=False,
    )


def table_json(table: Table) -> str:
    """`{title, swept, rows}`; a row holds every column."""
    rows = [dict(row) for row in table.rows]
    return json.dumps(
        {"title": table.title, "swept": table.swept, "rows": rows},
        indent=2,
        allow_nan=False,
        ensure_ascii=False,
    )


def regimes_json(regimes: Table, cases: Table) -> str:
    """The object of `validate --json`; what is yes or no in a table is true or false here."""
    words = {"yes": True, "no": False}
    found = {
        "regimes": [{**row, "fitted": words[str(row["fitted"])]} for row in regimes.rows],
        "cases": [{**row, **{name: words[str(row[name])] for name in ("fitted", "clean")}} for row in cases.rows],
    }
    return json.dumps(found, indent=2, allow_nan=False, ensure_ascii=False)


def calibration_json(
    tables: Table, roofline: Table, gpu: Mapping[str, object], notes: Sequence[str], profile: str | None
) -> str:
    """The object of `calibrate --json`; `profile` is the file that was written."""
    found = {
        "profile": profile,
        "tables": [dict(row) for row in tables.rows],
        "roofline": [dict(row) for row in roofline.rows],
        "gpu": gpu,
        "notes": notes,
    }
    return json.dumps(found, indent=2, allow_nan=False, ensure_ascii=False)


def comparison_json(columns: Sequence[Compared]) -> str:
    """The object of `compare --json`: a list of columns."""
    return json.dumps(comparison.as_dict(columns), indent=2, allow_nan=False, ensure_ascii=False)


def crossover_json(found: Crossover) -> str:
    """The object of `crossover --json`."""
    return json.dumps(found.as_dict(), indent=2, allow_nan=False, ensure_ascii=False)


def row_json(table: Table) -> str:
    """The only row of a table as one object."""
    return json.dumps(dict(table.rows[0]), indent=2, allow_nan=False, ensure_ascii=False)


def value_json(name: str, value: float) -> str:
    """One value under its name."""
    return json.dumps({name: value}, allow_nan=False)


def table_csv(table: Table) -> str:
    """One line a row under a header of column names; a missing value is empty, a float has all its digits."""
    buffer = io.StringIO()
    names = [column.name for column in table.columns]
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        writer.writerow({name: "" if row[name] is None else row[name] for name in names})
    return buffer.getvalue()


def ranking_json(ranking: Ranking, top: int | None) -> str:
    """The object of `search --json`; `top` keeps so many plans."""
    return json.dumps(ranking.as_dict(top), indent=2, allow_nan=False, ensure_ascii=False)
