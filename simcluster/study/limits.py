"""What a plan must keep to, beside fitting in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simcluster.errors import InputError, Mistake
from simcluster.timeline import metric
from simcluster.timeline.ranking import Ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most (or, with `least`, at least) `bound` of a metric, asked for by `option`."""

    option: str
    name: str
    path: str
    bound: float
    least: bool = False

    def of(self, row: Ranked) -> float:
        """The plan's value, which it has if it was replayed."""
        value = getattr(row, self.path.replace(".", "_"))
        assert isinstance(value, float)
        return value

    def allows(self, row: Ranked) -> bool:
        """Whether the plan keeps to it."""
        return self.of(row) >= self.bound if self.least else self.of(row) <= self.bound

    def show(self, value: float) -> str:
        return metric.show(self.path, value)

    def __str__(self) -> str:
        return f"{self.option} {self.show(self.bound)}"


def limits(
    *, max_latency_s: float | None, min_throughput_tokens_per_s: float | None, max_memory: float | None
) -> tuple[Limit, ...]:
    """Those that are not None.  InputError where one asks for what no plan can have."""
    asked = (
        ("--max-latency", "latency", "latency_s", max_latency_s, False),
        ("--min-throughput", "throughput", "throughput_tokens_per_s", min_throughput_tokens_per_s, True),
        ("--max-memory", "memory", "memory.fraction", max_memory, False),
    )
    found = [
        Limit(option=option, name=name, path=path, bound=bound, least=least)
        for option, name, path, bound, least in asked
        if bound is not None
    ]
    wrong = [
        Mistake(
            what=f"{limit.show(limit.bound)} is not more than nothing, and every plan takes some", origin=limit.option
        )
        for limit in found
        if not limit.bound > 0
    ]
    if max_memory is not None and max_memory > 1:
        wrong.append(
            Mistake(
                what=f"{max_memory:g} is more than a whole GPU's memory; write a fraction up to 1, or such as 90%",
                origin="--max-memory",
            )
        )
    if wrong:
        raise InputError(wrong)
    return tuple(found)


def within(row: Ranked, asked: Sequence[Limit]) -> Ranked:
    """The plan, with the reason where it fits in memory and breaks a limit."""
    broken = [limit for limit in asked if row.fits and not limit.allows(row)]
    if not broken:
        return row
    reason = "; ".join(
        f"{limit.name} {limit.show(limit.of(row))} is {'below' if limit.least else 'above'} {limit}" for limit in broken
    )
    return replace(row, reason=reason, cause=broken[0].option)


def refuse_contradiction(rows: Sequence[Ranked], asked: Sequence[Limit]) -> None:
    """InputError where plans fit and the limits exclude them all."""
    fitting = [row for row in rows if row.fits]
    if fitting and all(row.reason is not None for row in fitting):
        raise InputError(_contradiction(fitting, asked))


def _contradiction(rows: Sequence[Ranked], asked: Sequence[Limit]) -> list[Mistake]:
    """What each limit alone leaves of the plans that fit, and the best plan by it."""
    wrong = []
    for limit in asked:
        left = sum(limit.allows(row) for row in rows)
        best = (max if limit.least else min)(rows, key=limit.of)
        beside = [f"{other.name} {other.show(other.of(best))}" for other in asked if other is not limit and left]
        what = (
            f"leaves {left:,} of {len(rows):,} plans that fit; {'highest' if limit.least else 'lowest'} is "
            f"{limit.show(limit.of(best))} ({best.plan}{', with ' + ' and '.join(beside) if beside else ''})"
        )
        wrong.append(Mistake(what=what, origin=str(limit)))
    if len(asked) > 1 and all(any(limit.allows(row) for row in rows) for limit in asked):
        wrong.append(
            Mistake(what="each leaves some plans, together they leave none; ask for less of one", origin="search")
        )
    return wrong
