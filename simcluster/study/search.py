"""A search: every plan of a space judged, those that fit replayed and put in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simcluster.errors import InputError, Mistake, nearest
from simcluster.pipeline import simulate
from simcluster.scenario.choice import Choice, applied, chosen, label, plan_of, written
from simcluster.scenario.scenario import Scenario
from simcluster.study.candidates import Space, as_dict, candidates, in_words
from simcluster.study.contest import contest
from simcluster.study.fit import measured, runnable
from simcluster.study.limits import Limit, refuse_contradiction, within
from simcluster.study.measure import measure_all
from simcluster.study.reasons import Told, reasons, states
from simcluster.timeline.ranking import MERITS, Ranked, Ranking

TOLD_EVERY = 500
"""Plans judged between two calls of `listing`."""

DIGITS = 9
"""Digits of a number that count: plans that differ in later ones are equally good."""

Entry = tuple[Choice, Ranked]


def search(
    scenario: Scenario,
    space: Space,
    *,
    objective: str = "latency",
    limits: Sequence[Limit] = (),
    workers: int | None = None,
    draws: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    listing: Callable[[int, int], None] = lambda done, total: None,
) -> Ranking:
    """Every plan of `space`: pruned with the reason, or replayed and ranked by `objective` among those within `limits`.

    Equally good plans stand in the order of less memory, fewer GPUs, then their degrees.  InputError where the limits
    exclude every plan that fits.  With `draws` the best ones are also compared on so many draws of the uncertain
    hardware.  `progress` is called with plans replayed and to replay, `listing` before
    that with plans judged and to judge.
    """
    if objective not in MERITS:
        raise InputError(Mistake(what=f"unknown objective{nearest(objective, MERITS)}", origin="--objective"))
    own, listed = chosen(scenario), list(candidates(scenario, space))
    every = listed if own in listed else [*listed, own]  # its batch or microbatches may not be listed
    found = []
    for at, choice in enumerate(every):
        if at % TOLD_EVERY == 0:
            listing(at, len(every))
        found.append(runnable(scenario, choice))
    values = iter(measure_all([one for one in found if isinstance(one, Scenario)], workers, progress))
    rows = [
        one if isinstance(one, Ranked) else measured(scenario, choice, one, next(values))
        for choice, one in zip(every, found, strict=True)
    ]
    rows = [within(row, limits) for row in rows]
    asked = rows[every.index(own)]
    refuse_contradiction(rows[: len(listed)], limits)
    ordered = _ordered(list(zip(listed, rows, strict=False)), objective)
    feasible = [row for _, row in ordered if row.reason is None]
    told = _told(scenario, [choice for choice, _ in ordered[: len(feasible)]][:1], own, asked)
    better = sum(_merit(row, objective) < _merit(asked, objective) for row in feasible)
    place = next((at for at, row in enumerate(feasible, start=1) if row is asked), better + 1)
    return Ranking(
        scenario=scenario.name,
        objective=objective,
        constraints=tuple(str(limit) for limit in limits),
        listed=in_words(scenario, space),
        space=as_dict(scenario, space),
        plans=tuple(row for _, row in ordered),
        feasible=len(feasible),
        front=front(feasible),
        asked=asked,
        place=place if asked.reason is None else None,
        why=reasons(told),
        states=states(told),
        contest=contest(scenario, ordered[: len(feasible)], objective, draws) if draws and feasible else None,
    )


def _ordered(entries: Sequence[Entry], objective: str) -> list[Entry]:
    """Feasible plans best first, then those that break a limit, then those that cannot run."""

    def place(entry: Entry) -> tuple[bool, bool, float, float, int, object]:
        choice, row = entry
        memory = 0.0 if row.memory_fraction is None else _rounded(row.memory_fraction)
        return row.reason is not None, not row.fits, _merit(row, objective), memory, row.gpus, choice.key

    return sorted(entries, key=place)


def _merit(row: Ranked, objective: str) -> float:
    """Less is better; 0 where nothing was replayed."""
    value = getattr(row, MERITS[objective])
    if value is None:
        return 0.0
    return _rounded(-value if objective == "throughput" else value)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def front(feasible: Sequence[Ranked]) -> tuple[Ranked, ...]:
    """Those that no other plan beats in latency or throughput per GPU without losing in the other, by rising latency;
    of equal ones the first."""

    def both(row: Ranked) -> tuple[float, float]:
        assert row.latency_s is not None
        assert row.throughput_tokens_per_s_per_gpu is not None
        return _rounded(row.latency_s), -_rounded(row.throughput_tokens_per_s_per_gpu)

    found: list[Ranked] = []
    for row in sorted(feasible, key=both):
        if not found or both(row)[1] < both(found[-1])[1]:
            found.append(row)
    return tuple(found)


def _told(scenario: Scenario, winner: Sequence[Choice], own: Choice, asked: Ranked) -> list[Told]:
    """The winner in full, if there is one, and the scenario's own plan, if it runs and is another."""
    wanted = [*winner, *([own] if winner and asked.fits and own not in winner else [])]
    told = []
    for choice in wanted:
        plan = plan_of(scenario, choice)
        name = label(scenario, choice, written(scenario, plan))
        told.append(Told(label=name, result=simulate(applied(scenario, choice, plan))))
    return told
