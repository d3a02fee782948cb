"""Where one plan overtakes another as one value of the scenario grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simcluster.units import show_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Both plans' latencies at one value (SI, and as text); None with the `reason` where a plan cannot run there."""

    value: float
    text: str
    latencies_s: tuple[float | None, float | None]
    reason: str = ""

    @property
    def ratio(self) -> float | None:
        """The first plan's latency over the second's."""
        first, second = self.latencies_s
        return None if first is None or second is None else first / second

    def as_dict(self, plans: tuple[str, str]) -> dict[str, object]:
        return {
            "value": self.value,
            "text": self.text,
            "latency_s": dict(zip(plans, self.latencies_s, strict=True)),
            "ratio": self.ratio,
            "reason": self.reason or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Between `low` and `high` the plan that was slower becomes the faster one; `at` is the value named.

    Of a count, `at` is the first at which the other plan leads.  `exact` where the plans are equally fast at `at`, to
    rounding.
    """

    low: Point
    high: Point
    at: Point
    leads_below: str
    leads_above: str
    exact: bool

    def as_dict(self, plans: tuple[str, str]) -> dict[str, object]:
        return {
            **self.at.as_dict(plans),
            "low": self.low.value,
            "high": self.high.value,
            "leads_below": self.leads_below,
            "leads_above": self.leads_above,
            "exact": self.exact,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """The answer for `plans` over `path`: the `scan` in rising order, and every crossing found between its points.

    `beyond` are points outside of the range, tried where it holds no crossing, and `outside` the crossings there.
    `behind` says why the slower plan is behind where it comes closest, where nothing crosses at all.
    """

    title: str
    path: str
    plans: tuple[str, str]
    scan: tuple[Point, ...]
    crossings: tuple[Crossing, ...]
    whole: bool = False
    beyond: tuple[Point, ...] = ()
    outside: tuple[Crossing, ...] = ()
    behind: str = ""

    @property
    def verdict(self) -> str:
        """The answer in words."""
        if self.crossings:
            told = [self._told(crossing) for crossing in self.crossings]
            count = f"The lead changes {len(told)} times. " if len(told) > 1 else ""
            return count + " ".join(told)
        ran = [point for point in self.scan if point.ratio is not None]
        if not ran:
            first = self.scan[0]
            return f"No value from {first.text} to {self.scan[-1].text} lets both plans run: {first.reason}."
        if all(abs((point.ratio or 0.0) - 1) <= EQUAL for point in ran):
            return f"{self.plans[0]} and {self.plans[1]} are equally fast from {ran[0].text} to {ran[-1].text}."
        return f"{self._none(ran)} {self._what_it_takes(ran)}".strip()

    def _told(self, crossing: Crossing) -> str:
        at, latency_s = crossing.at, crossing.at.latencies_s[self.plans.index(crossing.leads_above)]
        assert latency_s is not None
        where = f"from {at.text} on" if self.whole else f"above {at.text}"
        both = "takes" if self.whole and not crossing.exact else "both take"
        return (
            f"{crossing.leads_above} overtakes {crossing.leads_below} at {self.path} = {at.text}, where "
            f"{crossing.leads_above + ' ' if both == 'takes' else ''}{both} {show_seconds(latency_s)}: "
            f"{crossing.leads_below} is faster below, {crossing.leads_above} {where}."
        )

    def _none(self, ran: list[Point]) -> str:
        """No crossing in the range, with the factor at both ends."""
        leads = self.plans[0 if (ran[len(ran) // 2].ratio or 1.0) < 1 else 1]
        other = self.plans[1 - self.plans.index(leads)]
        ends = [f"{self.factor(point):.4g} x at {point.text}" for point in dict.fromkeys((ran[0], ran[-1]))]
        return (
            f"No crossing from {self.scan[0].text} to {self.scan[-1].text}: {leads} is faster throughout; "
            f"{other} takes {' and '.join(ends)}."
        )

    def factor(self, point: Point) -> float:
        """How many times as long the slower plan takes at a point of a range without crossing."""
        ratio = point.ratio or 1.0
        return max(ratio, 1 / ratio)

    def _what_it_takes(self, ran: list[Point]) -> str:
        """What would have to be true for them to meet."""
        if self.outside:
            return "Outside of the range: " + " ".join(self._told(crossing) for crossing in self.outside)
        if len(ran) > 1 and all(abs(self.factor(point) / self.factor(ran[0]) - 1) <= EQUAL for point in ran):
            unmoved = all(point.latencies_s == ran[0].latencies_s for point in ran)
            what = "changes neither plan's latency" if unmoved else "changes both alike"
            return f"{self.path} {what}, so something else would have to change. {self.behind}".strip()
        tried = [point for point in self.beyond if point.ratio is not None]
        far = ""
        if tried:
            ends = " and ".join(f"{self.factor(point):.4g} x at {point.text}" for point in (tried[0], tried[-1]))
            far = f"Nor do they meet outside of it: {ends}. "
        return f"{far}{self.behind}".strip()

    def as_dict(self) -> dict[str, object]:
        """The object of `crossover --json`."""
        rows: Mapping[str, tuple[Point, ...]] = {"scan": self.scan, "beyond": self.beyond}
        crossings = {"crossings": self.crossings, "outside": self.outside}
        return {
            "scenario": self.title,
            "path": self.path,
            "plans": list(self.plans),
            "verdict": self.verdict,
            **{name: [one.as_dict(self.plans) for one in found] for name, found in crossings.items()},
            **{name: [point.as_dict(self.plans) for point in points] for name, points in rows.items()},
        }


EQUAL = 1e-9
"""Latencies whose ratio is nearer to one are equal."""
