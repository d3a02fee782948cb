"""What `simcluster search` prints: the answer first, then the plans, the front, why, and what was pruned."""

from __future__ import annotations

import textwrap

from simcluster.report.layout import fill, grid, section
from simcluster.timeline import metric
from simcluster.timeline.ranking import MERITS, Ranked, Ranking
from simcluster.units import plural, show_percent, show_seconds

_REASON = 96
"""Characters of a reason in the list of those pruned."""


def text(found: Ranking, top: int) -> str:
    """Everything, with the first `top` plans."""
    title = f"Plans of {found.scenario}"
    parts = [f"{title}\n{'=' * len(title)}", _answer(found), _listed(found)]
    if found.feasible:
        parts += [_best(found, top), _front(found), _why(found)]
    parts += [_pruned(found)] if found.feasible < found.considered else []
    return "\n\n".join(parts)


def _answer(found: Ranking) -> str:
    """The best plan, how to run it, and what it gains on the one asked for."""
    best, asked = found.winner, found.asked
    counted = f"{plural(found.considered, 'plan')} considered, {found.feasible:,} feasible"
    counted += f" under {', '.join(found.constraints)}" if found.constraints else ""
    if best is None:
        return fill(f"{counted}: no plan fits in memory. The last section says what stands in the way of each.")
    told = f"{counted}. Best by {found.objective}: {best.label}, {_time(best)}, {_rate(best)}"
    if found.place == 1:
        told += "; it is the plan asked for."
    elif asked.latency_s is None:
        told += f". {asked.label}, asked for, {asked.reason}."
    else:
        name = MERITS[found.objective]
        ratio = float(getattr(best, name)) / float(getattr(asked, name))
        gain = {"latency": "as fast", "throughput": "the throughput", "cost": "cheaper"}[found.objective]
        factor = ratio if found.objective == "throughput" else 1 / ratio
        place = f"place {found.place:,}" if found.place else f"out, because {asked.reason}"
        told += (
            f": {factor:.2f} x {gain} of {asked.label}"
            if gain == "the throughput"
            else (
                f": {factor:.2f} x {gain} as {asked.label}"
                if gain == "as fast"
                else f": {factor:.2f} x cheaper than {asked.label}"
            )
        )
        told += f", asked for ({_time(asked)}; {place})."
    sets = " ".join(f"--set '{change}'" for change in best.changes)
    return f"{fill(told)}\n\nRun it with {sets}"


def _time(row: Ranked) -> str:
    return metric.show("latency_s", row.latency_s)


def _rate(row: Ranked) -> str:
    return metric.show("throughput_tokens_per_s", row.throughput_tokens_per_s)


def _listed(found: Ranking) -> str:
    return section("What was listed", "\n".join(found.listed))


_HEADER = ("", "plan", "GPUs", "latency", "throughput", "per GPU", "MFU", "memory", "GPU-hours / M tokens")
_RIGHT = (0, 2, 3, 4, 5, 6, 7, 8)


def _best(found: Ranking, top: int) -> str:
    rows = [_HEADER]
    for place, row in enumerate(found.plans[: min(top, found.feasible)], start=1):
        rows.append(_cells(f"{place:,}", row, asked=row is found.asked))
    if found.place is not None and found.place > top:
        rows.append(_cells(f"{found.place:,}", found.asked, asked=True))
    more = found.feasible - len(rows) + 1
    title = f"Best plans by {found.objective}" + (f" ({more:,} more are feasible: --top)" if more else "")
    return section(title, grid(rows, right=_RIGHT))


def _cells(place: str, row: Ranked, *, asked: bool) -> tuple[str, ...]:
    each, hours = row.throughput_tokens_per_s_per_gpu, row.gpu_hours_per_million_tokens
    assert hours is not None
    return (
        place,
        f"{row.label}{'  <- asked for' if asked else ''}",
        f"{row.gpus:,}",
        _time(row),
        _rate(row),
        metric.show("throughput_tokens_per_s_per_gpu", each),
        metric.show("mfu", row.mfu),
        show_percent(row.memory_fraction or 0.0),
        f"{hours:.4g}",
    )


def _front(found: Ranking) -> str:
    title = "Latency against throughput per GPU (Pareto front: no plan beats these in one without losing in the other)"
    rows = [_HEADER[1:], *(_cells("", row, asked=row is found.asked)[1:] for row in found.front)]
    body = grid(rows, right=tuple(index - 1 for index in _RIGHT if index))
    sizes = {
        (row.gpus, (row.throughput_tokens_per_s or 0.0) * (row.latency_s or 0.0))
        for row in found.plans[: found.feasible]
    }
    if len({(gpus, f"{tokens:.6g}") for gpus, tokens in sizes}) == 1:
        body += "\n\n" + fill(
            "Every plan does the same work on the same GPUs, so the fastest also has the highest throughput and the front "
            "is one plan; --batches and --fewer-gpus open it."
        )
    return section(title, body)


def _why(found: Ranking) -> str:
    names = [column.name for column in found.states.columns[1:]]
    rows: list[tuple[str, ...]] = [("", *(cell for name in names for cell in (name, "")))]
    total = found.states.rows[-1]
    for row in found.states.rows:
        cells = []
        for name in names:
            seconds, whole = float(str(row[name])), float(str(total[name]))
            cells += [show_seconds(seconds), show_percent(seconds / whole) if whole else ""]
        rows.append((str(row["state"]), *cells))
    table = grid(rows, right=tuple(range(1, len(rows[0]))))
    return section("Why", "\n".join(map(fill, found.why)) + f"\n\n{table}")


def _pruned(found: Ranking) -> str:
    rows = [("plans", "by", "such as")]
    for cause, members in found.pruned().items():
        example = f"{members[0].label}: {members[0].reason}"
        rows.append((f"{len(members):,}", cause, textwrap.shorten(example, _REASON, placeholder=" …")))
    return section("Pruned, each by its first reason", grid(rows, right=(0,)))
