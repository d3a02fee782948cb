"""Where one plan overtakes another: a coarse scan, then bisection of every change of sign, each point replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from simcluster.errors import InputError, Mistake
from simcluster.pipeline import Fold, simulate
from simcluster.scenario.compile import compile_text
from simcluster.scenario.scenario import Scenario
from simcluster.study.compare import same_cluster
from simcluster.study.span import Span
from simcluster.study.sweep import Reading
from simcluster.timeline.comparison import Compared, difference
from simcluster.timeline.crossover import EQUAL, Crossing, Crossover, Point
from simcluster.timeline.result import Result
from simcluster.units import show_bytes, show_seconds

POINTS = 9
"""Points of the scan, ends included."""

TOLERANCE = 1e-4
"""Relative width to which a crossing is narrowed down."""

_BEYOND = (0.1, 0.01, 0.001, 10.0, 100.0, 1000.0)
"""Multiples of the nearer end that are tried where the range holds no crossing."""

_MOST_HALVINGS = 200


def crossover(
    text: str,
    origin: str,
    plans: tuple[str, str],
    span: Span,
    *,
    overrides: Sequence[str] = (),
    tolerance: float = TOLERANCE,
    points: int = POINTS,
    fold: Fold = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Crossover:
    """Every crossing that the scan of `span` shows, narrowed down to `tolerance`, or to neighbouring whole numbers.

    A plan that cannot run at a point, or does not fit there, leaves it out with the reason.  Where nothing crosses,
    quantities are tried up to a thousand times beyond either end.  InputError names a plan or a path that no end of the
    range allows, and plans that are the same.
    """
    if not 1e-12 <= tolerance < 1:
        raise InputError(
            Mistake(what=f"{tolerance:g} is no tolerance; write 1e-12 or more, below 1", origin="--tolerance")
        )
    race = _race(text, origin, plans, tuple(overrides), span, fold)
    span = race.checked(span)
    values, scan = span.scan(points), []
    for done, value in enumerate(values, start=1):
        scan.append(race.at(span, value))
        progress(done, len(values))
    found = Crossover(title=race.title, path=span.path, plans=plans, scan=tuple(scan), whole=span.whole,
                      crossings=race.crossings(span, scan, tolerance))  # fmt: skip
    ran = [point for point in scan if point.ratio is not None]
    if found.crossings or not ran or all(abs((point.ratio or 0.0) - 1) <= EQUAL for point in ran):
        return found
    beyond = race.beyond(span) if _moves(ran) else []
    outside = race.crossings(span, sorted((*beyond, ran[0], ran[-1]), key=lambda point: point.value), tolerance)
    closest = min((point for point in (*ran, *beyond) if point.ratio is not None), key=found.factor)
    behind = "" if outside else race.behind(span, closest)
    return replace(found, beyond=tuple(beyond), outside=outside, behind=behind)


def _moves(ran: Sequence[Point]) -> bool:
    """Whether the value changes who leads by how much."""
    return any(abs((point.ratio or 1.0) / (ran[0].ratio or 1.0) - 1) > EQUAL for point in ran)


def _race(text: str, origin: str, plans: tuple[str, str], overrides: tuple[str, ...], span: Span, fold: Fold) -> _Race:
    """Both plans run on the cluster that the scenario itself has, read as its own plan is."""
    try:
        own = compile_text(text, origin, overrides)
    except InputError:  # its own plan may be the only mistake
        return _Race(text=text, origin=origin, title=origin, overrides=overrides, plans=plans, fold=fold)
    fixed = () if span.path in ("cluster", "cluster.nodes") else (same_cluster(own),)
    return _Race(text=text, origin=origin, title=own.name, overrides=(*overrides, *fixed), plans=plans, fold=fold,
                 prefer=own.plan.convention)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Race:
    """Two plans of one scenario."""

    text: str
    origin: str
    title: str
    overrides: tuple[str, ...]
    plans: tuple[str, str]
    fold: Fold
    prefer: Reading = None

    def checked(self, span: Span) -> Span:
        """The span, of bare whole numbers too where its path takes fractions; InputError where neither end is valid."""
        mistakes: list[Mistake] = []
        valid: list[Scenario] = []
        for plan in self.plans:
            ends = [self._tried(plan, f"{span.path}={span.written(value)}") for value in (span.low, span.high)]
            good = [one for one in ends if isinstance(one, Scenario)]
            refused = [one for one in ends if isinstance(one, InputError)]
            valid += good[:1]
            mistakes += [] if good else [_as_typed(mistake, plan) for mistake in refused[0].mistakes]
        if mistakes:
            raise InputError(dict.fromkeys(mistakes))
        if valid[0].plan.degrees == valid[1].plan.degrees:
            what = f"{self.plans[0]} and {self.plans[1]} are the same plan; name two"
            raise InputError(Mistake(what=what, origin="--between"))
        half = span.low + 0.5
        if span.whole and isinstance(self._tried(self.plans[0], f"{span.path}={half!r}"), Scenario):
            return replace(span, whole=False)
        return span

    def _tried(self, plan: str, assignment: str) -> Scenario | InputError:
        try:
            return compile_text(self.text, self.origin, (*self.overrides, f"plan={plan}", assignment), self.prefer)
        except InputError as error:
            return error

    def at(self, span: Span, value: float) -> Point:
        """Both latencies at a value."""
        latencies: list[float | None] = []
        reasons: list[str] = []
        for plan in self.plans:
            result = self._result(plan, span, value)
            if isinstance(result, Result) and result.fits:
                latencies.append(result.metrics["latency_s"])
                continue
            latencies.append(None)
            if isinstance(result, Result):
                needed, capacity = result.memory_total_bytes, result.memory_capacity_bytes
                reasons.append(f"{plan} does not fit: {show_bytes(needed)} of {show_bytes(capacity)}")
            else:
                reasons += [": ".join(part for part in (plan, m.path, m.what) if part) for m in result.mistakes]
        first, second = latencies
        return Point(value=value, text=span.shown(value), latencies_s=(first, second), reason="; ".join(reasons))

    def _result(self, plan: str, span: Span, value: float) -> Result | InputError:
        scenario = self._tried(plan, f"{span.path}={span.written(value)}")
        if isinstance(scenario, InputError):
            return scenario
        return simulate(replace(scenario, expect=()), fold=self.fold)

    def crossings(self, span: Span, points: Sequence[Point], tolerance: float) -> tuple[Crossing, ...]:
        """One for every two neighbouring points with another plan ahead; of points that tie, the first."""
        ran = [point for point in points if point.ratio is not None]
        apart = [index for index, point in enumerate(ran) if _sign(point)]
        found = []
        for before, after in pairwise(apart):
            low, high = ran[before], ran[after]
            if _sign(low) == _sign(high):
                continue
            if after - before > 1:
                found.append(self._crossing(low, high, ran[before + 1], exact=True))
            else:
                found.append(self._narrowed(span, low, high, tolerance))
        return tuple(found)

    def _narrowed(self, span: Span, low: Point, high: Point, tolerance: float) -> Crossing:
        """Bisection between two points with different plans ahead."""
        start, end = low, high
        for _ in range(_MOST_HALVINGS):
            if not span.whole and high.value - low.value <= tolerance * high.value:
                break
            tried = (self.at(span, value) for value in span.between(low.value, high.value))
            middle = next((point for point in tried if point.ratio is not None), None)
            if middle is None:
                break
            if _sign(middle) == 0:
                return self._crossing(start, end, middle, exact=True)
            low, high = (middle, high) if _sign(middle) == _sign(low) else (low, middle)
        at = high if span.whole else self.at(span, span.middle(low.value, high.value))
        return self._crossing(low, high, at if at.ratio is not None else high, exact=False)

    def _crossing(self, low: Point, high: Point, at: Point, *, exact: bool) -> Crossing:
        ahead = [self.plans[0 if _sign(point) < 0 else 1] for point in (low, high)]
        return Crossing(low=low, high=high, at=at, leads_below=ahead[0], leads_above=ahead[1], exact=exact)

    def beyond(self, span: Span) -> list[Point]:
        """Points outside of a range of quantities, on either side as far as both plans run."""
        if span.dimension is None:
            return []
        found: list[Point] = []
        for side in (_BEYOND[:3], _BEYOND[3:]):
            for factor in side:
                value = span.beyond(factor)
                if value == 0 or value > 1e20:
                    break
                point = self.at(span, value)
                if point.ratio is None:
                    break
                found.append(point)
        return sorted(found, key=lambda point: point.value)

    def behind(self, span: Span, point: Point) -> str:
        """Why the slower plan is behind at a point, and by how much."""
        columns = []
        for plan in self.plans:
            result = self._result(plan, span, point.value)
            assert isinstance(result, Result)
            columns.append(Compared(label=plan, scenario=self.title, plan=plan, result=result, reason=""))
        ahead, slower = sorted(columns, key=lambda one: one.latency_s)
        gap = show_seconds(slower.latency_s - ahead.latency_s)
        need = f"For them to meet, {slower.label} would have to save {gap} at {point.text}"
        return f"{need}, where {difference(ahead, slower)}"


def _as_typed(mistake: Mistake, plan: str) -> Mistake:
    """The mistake with the option that it came from."""
    if mistake.origin == f"--set plan={plan}":
        return replace(mistake, origin=f"--between {plan}")
    return mistake


def _sign(point: Point) -> int:
    """-1 where the first plan is ahead, 1 where the second, 0 where they tie."""
    ratio = point.ratio or 1.0
    return 0 if abs(ratio - 1) <= EQUAL else 1 if ratio > 1 else -1
