"""What `simcluster search` prints: the answer first, then the plans, the front, why, and what was pruned."""

from __future__ import annotations

import textwrap

from simcluster.report.layout import fill, grid, section
from simcluster.timeline import metric
from simcluster.timeline.ranking import MERITS, Contest, Ranked, Ranking
from simcluster.units import plural, show_percent, show_seconds, show_usd

_REASON = 96
"""Characters of a reason in the list of those pruned."""


def text(found: Ranking, top: int) -> str:
    """Everything, with the first `top` plans."""
    title = f"Plans of {found.scenario}"
    parts = [f"{title}\n{'=' * len(title)}", _answer(found), _listed(found)]
    if found.feasible:
        parts += [_best(found, top), *([] if found.contest is None else [_sure(found.contest)])]
        parts += [_front(found), _why(found)]
    parts += [_pruned(found)] if found.feasible < found.considered else []
    return "\n\n".join(parts)


def in_a_line(found: Ranking) -> str:
    """The best plan alone."""
    best = found.winner
    if best is None:
        return f"None of {plural(found.considered, 'plan')} fits in memory."
    return f"{best.label}: {_time(best)} and {_rate(best)}, the best by {found.objective} of {found.feasible:,} plans."


def _answer(found: Ranking) -> str:
    """The best plan, how to run it, and what it gains on the one asked for."""
    best, asked = found.winner, found.asked
    counted = f"{plural(found.considered, 'plan')} considered, {found.feasible:,} feasible"
    counted += f" under {', '.join(found.constraints)}" if found.constraints else ""
    if best is None:
        return fill(f"{counted}: no plan fits in memory. The last section says what stands in the way of each.")
    told = f"{counted}. Best by {found.objective} is {best.label}: {_time(best)} and {_rate(best)}"
    if found.place == 1:
        told += ". It is the plan asked for."
    elif not asked.fits:
        told += f". The plan asked for, {asked.label}, {asked.reason}."
    else:
        place = f"place {found.place:,}" if found.place else asked.reason or "not listed"
        told += f", {_gain(found, best)} {asked.label}, the plan asked for ({_time(asked)}; {place})."
    sets = " ".join(f"--set '{change}'" for change in best.changes)
    return f"{fill(told)}\n\nRun it with {sets}"


def answer(found: Ranking) -> tuple[str, ...]:
    """The same in paragraphs that no terminal has wrapped."""
    return tuple(" ".join(part.split()) for part in _answer(found).split("\n\n"))


def _gain(found: Ranking, best: Ranked) -> str:
    """`2.29 x as fast as`, by the objective."""
    values = [float(getattr(row, MERITS[found.objective])) for row in (best, found.asked)]
    match found.objective:
        case "throughput":
            return f"{values[0] / values[1]:.2f} x the throughput of"
        case "cost":
            return f"{show_percent(values[0] / values[1])} of the cost of"
        case _:
            return f"{values[1] / values[0]:.2f} x as fast as"


def _time(row: Ranked) -> str:
    return metric.show("latency_s", row.latency_s)


def _rate(row: Ranked) -> str:
    return metric.show("throughput_tokens_per_s", row.throughput_tokens_per_s)


def _listed(found: Ranking) -> str:
    return section("What was listed", "\n".join(found.listed))


_HEADER: tuple[str, ...] = (
    "", "plan", "read as", "GPUs", "latency", "tokens/s", "tokens/s/GPU", "MFU", "memory", "GPU-h/M tokens",
)  # fmt: skip
_RIGHT = (0, 3, 4, 5, 6, 7, 8, 9, 10)


def _header(found: Ranking) -> tuple[str, ...]:
    """With money where a GPU has a price."""
    return _HEADER if found.asked.price_usd_per_h is None else (*_HEADER, "USD/M tokens")


def _best(found: Ranking, top: int) -> str:
    rows = [_header(found)]
    for place, row in enumerate(found.plans[: min(top, found.feasible)], start=1):
        rows.append(_cells(f"{place:,}", row, asked=row is found.asked))
    if found.place is not None and found.place > top:
        rows.append(_cells(f"{found.place:,}", found.asked, asked=True))
    more = found.feasible - len(rows) + 1
    title = f"Best plans by {found.objective}" + (f" ({more:,} more are feasible: --top)" if more else "")
    return section(title, grid(rows, right=_RIGHT[: len(rows[0]) - 2]))


def _sure(contest: Contest) -> str:
    """How often each of the first plans is the best; those that never are in one line."""
    rows = [(one.label, show_percent(one.wins)) for one in contest.contenders if one.wins]
    never = len(contest.contenders) - len(rows)
    body = grid(rows, right=(1,)) + (f"\n{plural(never, 'other plan')} of the first never" if never else "")
    title = f"How often each is the best in {contest.draws:,} draws of the uncertain hardware (seed {contest.seed})"
    return section(title, body)


def _cells(place: str, row: Ranked, *, asked: bool) -> tuple[str, ...]:
    cost = row.cost_per_million_tokens
    rates = (row.throughput_tokens_per_s, row.throughput_tokens_per_s_per_gpu)
    return (
        place,
        f"{row.label}{'  <- asked for' if asked else ''}",
        row.convention,
        f"{row.gpus:,}",
        _time(row),
        *(f"{rate:,.0f}" for rate in rates if rate is not None),
        metric.show("mfu", row.mfu),
        show_percent(row.memory_fraction or 0.0),
        f"{row.gpu_hours_per_million_tokens or 0.0:.4g}",
        *([] if cost is None else [show_usd(cost).removesuffix(" USD")]),
    )


def _front(found: Ranking) -> str:
    """The front as a table, and why it is one plan where it cannot be more."""
    rows = [_header(found)[1:], *(_cells("", row, asked=row is found.asked)[1:] for row in found.front)]
    body = grid(rows, right=tuple(index - 1 for index in _RIGHT[1 : len(rows[0]) - 1]))
    alike = {
        (row.gpus, f"{(row.throughput_tokens_per_s or 0.0) * (row.latency_s or 0.0):.6g}")
        for row in found.plans[: found.feasible]
    }
    if len(alike) == 1:
        body += "\n\n" + fill(
            "Every plan does the same work on the same GPUs, so the fastest also has the highest throughput, and the "
            "front is one plan; --batches and --fewer-gpus open it."
        )
    title = "Pareto front (no plan has both a lower latency and a higher throughput per GPU)"
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
