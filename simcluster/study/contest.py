"""How sure a winner is: the best plans of a search on hardware that may be a little better or worse than stated."""

from __future__ import annotations

from collections.abc import Sequence

from simcluster.pipeline import Estimate, estimate
from simcluster.scenario.choice import Choice, applied, plan_of
from simcluster.scenario.scenario import Scenario
from simcluster.study.uncertainty import draws
from simcluster.timeline.ranking import Contender, Contest, Ranked

CONTENDERS = 10
"""Plans that are drawn for: those that the stated hardware puts first."""


def contest(scenario: Scenario, entries: Sequence[tuple[Choice, Ranked]], objective: str, count: int) -> Contest:
    """How often each of the first plans of `entries` is best by `objective` in `count` draws of the uncertain hardware.

    Draw k is the same hardware for every plan, so plans that an input moves alike stay in their order.  Of plans that
    are equally good in a draw the first one wins it.
    """
    contenders = entries[:CONTENDERS]
    merits = [
        [_merit(estimate(drawn), row.gpus, objective) for drawn in draws(_changed(scenario, choice), count)]
        for choice, row in contenders
    ]
    best = [min(range(len(contenders)), key=lambda at: merits[at][number]) for number in range(count)]
    rows = tuple(Contender(label=row.label, wins=best.count(at) / count) for at, (_, row) in enumerate(contenders))
    return Contest(draws=count, seed=scenario.seed, contenders=rows)


def _changed(scenario: Scenario, choice: Choice) -> Scenario:
    return applied(scenario, choice, plan_of(scenario, choice))


def _merit(found: Estimate, gpus: int, objective: str) -> float:
    """Less is better."""
    match objective:
        case "throughput":
            return -found.throughput_tokens_per_s
        case "cost":
            return gpus / found.throughput_tokens_per_s
        case _:
            return found.latency_s
