"""Max-min sharing: against an exact rational solver, and the properties that define it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.util import find_spec
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simcluster.replay import sharing
from simcluster.replay.sharing import FlowSet, fair_rates
from simcluster.traffic.crossings import Crossings, Floats, Ints
from tests.physics_helpers import law
from tests.replay.exact import Uses, max_min_rates

NUMBA = find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not NUMBA, reason="numba is not installed, so there is no second program to compare")


@dataclass(frozen=True)
class Sharing:
    """Activities as {wire: use}, the wires' capacities, and the activities' own limits (None: no limit)."""

    activities: Sequence[Uses]
    capacity: Sequence[Fraction]
    limit: Sequence[Fraction | None] = ()

    @property
    def limits(self) -> Floats:
        own = self.limit or [None] * len(self.activities)
        return np.array([np.inf if most is None else float(most) for most in own])

    @property
    def room(self) -> Floats:
        return np.array([float(room) for room in self.capacity])

    def crossings(self) -> Crossings:
        entries = [(n, wire, float(use)) for n, uses in enumerate(self.activities) for wire, use in uses.items()]
        flow, wire, use = zip(*entries, strict=True) if entries else ((), (), ())
        return Crossings(
            flow=np.array(flow, dtype=np.int64),
            wire=np.array(wire, dtype=np.int64),
            use=np.array(use, dtype=np.float64),
            count=len(self.activities),
        )

    def rates(self) -> Floats:
        """What the simulator's solver answers: both of its programs, which must agree."""
        return answer(lambda: fair_rates(self.crossings(), self.room, self.limits))

    def loads(self, rates: Floats) -> Floats:
        """Bytes/s on every wire at these rates."""
        crossings = self.crossings()
        weights = crossings.use * rates[crossings.flow]
        return np.bincount(crossings.wire, weights=weights, minlength=len(self.capacity)).astype(np.float64)


def answer(ask: Callable[[], Floats]) -> Floats:
    """The answer of numpy's rounds, which is that of the compiled program bit for bit."""
    with patch.object(sharing, "_PATIENCE", np.inf):
        in_rounds = ask()
    if NUMBA:
        with patch.object(sharing, "_PATIENCE", -1):
            assert ask().tolist() == in_rounds.tolist()
    return in_rounds


def random_sharing(rng: random.Random, most_wires: int = 8, most_activities: int = 12) -> Sharing:
    """Small integers make ties and shared bottlenecks common; every second case has limits."""
    wires = rng.randint(1, most_wires)
    simple = rng.random() < 0.5
    activities = [
        {
            wire: Fraction(1) if simple else Fraction(rng.randint(1, 12), rng.randint(1, 6))
            for wire in rng.sample(range(wires), rng.randint(1, min(wires, 8)))
        }
        for _ in range(rng.randint(1, most_activities))
    ]
    largest = rng.choice([3, 100, 10**11])
    capacity = [Fraction(rng.randint(1, largest)) for _ in range(wires)]
    if rng.random() < 0.5:
        return Sharing(activities, capacity)
    limit = [rng.choice([None, Fraction(rng.randint(1, largest), rng.randint(1, 6))]) for _ in activities]
    free = [{} if most is not None and rng.random() < 0.1 else uses
            for uses, most in zip(activities, limit, strict=True)]  # fmt: skip
    return Sharing(free, capacity, limit)


def test_a_thousand_random_cases_agree_with_exact_progressive_filling() -> None:
    rng = random.Random(20261101)
    for number in range(1000):
        case = random_sharing(rng)
        exact = [float(rate) for rate in max_min_rates(case.activities, case.capacity, case.limit)]
        assert case.rates() == pytest.approx(exact, rel=1e-9, abs=0), f"case {number}: {case}"


def test_a_long_activity_is_held_by_its_narrowest_wire_and_leaves_the_rest_to_others() -> None:
    """Wire 0 holds two and binds first, at 1/2 each; wire 1 leaves 2 - 1/2 to its own, wire 2 leaves 4 - 1/2."""
    long = {0: Fraction(1), 1: Fraction(1), 2: Fraction(1)}
    case = Sharing(
        [long, {0: Fraction(1)}, {1: Fraction(1)}, {2: Fraction(1)}], [Fraction(1), Fraction(2), Fraction(4)]
    )
    assert case.rates() == pytest.approx([0.5, 0.5, 1.5, 3.5], rel=1e-12)


def test_heavier_use_of_a_wire_does_not_change_the_equal_rates_on_it() -> None:
    """Rates are equal per unit of progress: 1·r + 3·r = 8."""
    case = Sharing([{0: Fraction(1)}, {0: Fraction(3)}], [Fraction(8)])
    assert case.rates() == pytest.approx([2, 2], rel=1e-12)


def test_what_a_limited_activity_leaves_goes_to_the_others() -> None:
    """The first stops at its limit of 1, and 9 - 1 is left to two; the fourth crosses no wire."""
    one = {0: Fraction(1)}
    case = Sharing([one, one, one, {}], [Fraction(9)], [Fraction(1), None, Fraction(5), Fraction(7)])
    assert case.rates() == pytest.approx([1, 4, 4, 7], rel=1e-12)


sizes = st.integers(1, 40).map(Fraction)


@st.composite
def sharings(draw: st.DrawFn) -> Sharing:
    wires = draw(st.integers(1, 7))
    uses = st.dictionaries(st.integers(0, wires - 1), sizes, min_size=1)
    activities = draw(st.lists(uses, min_size=1, max_size=10))
    limit = st.lists(st.none() | sizes, min_size=len(activities), max_size=len(activities))
    capacity = draw(st.lists(sizes, min_size=wires, max_size=wires))
    return Sharing(activities, capacity, draw(st.just([None] * len(activities)) | limit))


@law(100)
@given(case=sharings())
def test_no_wire_is_over_its_capacity_and_no_activity_over_its_limit(case: Sharing) -> None:
    rates = case.rates()
    assert (case.loads(rates) <= case.room * (1 + 1e-9)).all()
    assert (rates <= case.limits).all()


@law(100)
@given(case=sharings())
def test_every_activity_is_at_its_limit_or_crosses_a_full_wire_on_which_no_other_is_faster(case: Sharing) -> None:
    rates = case.rates()
    loads = case.loads(rates)
    for number, uses in enumerate(case.activities):
        bottlenecks = [
            wire
            for wire in uses
            if loads[wire] >= float(case.capacity[wire]) * (1 - 1e-9)
            and all(
                rates[other] <= rates[number] * (1 + 1e-9)
                for other, others in enumerate(case.activities)
                if wire in others
            )
        ]
        limited = rates[number] >= case.limits[number] * (1 - 1e-9)
        assert bottlenecks or limited, f"activity {number} could go faster than {rates[number]}"


@law(100)
@given(case=sharings(), rng=st.randoms(use_true_random=False), part=st.sampled_from([1e-3, 0.5, 1.0]))
def test_whoever_goes_faster_elsewise_slows_one_that_is_no_faster(
    case: Sharing, rng: random.Random, part: float
) -> None:
    """Max-min optimality, against `part` of the way to first come, first served, in any order."""
    rates, room, served = case.rates(), case.room, np.zeros(len(case.activities))
    for number in rng.sample(range(len(served)), len(served)):
        uses = {wire: float(use) for wire, use in case.activities[number].items()}
        served[number] = min([case.limits[number], *(room[wire] / use for wire, use in uses.items())])
        for wire, use in uses.items():
            room[wire] = max(0.0, room[wire] - use * served[number])
    other = rates + part * (served - rates)
    for faster in np.flatnonzero(other > rates * (1 + 1e-6)):
        no_faster = rates <= rates[faster] * (1 + 1e-9)
        assert (other[no_faster] < rates[no_faster]).any()


@law(100)
@given(case=sharings(), factor=st.sampled_from([Fraction(1, 10**9), Fraction(3), Fraction(10**12)]))
def test_wires_and_limits_of_a_multiple_carry_a_multiple_of_every_rate(case: Sharing, factor: Fraction) -> None:
    limit = [None if most is None else most * factor for most in case.limit]
    scaled = Sharing(case.activities, [room * factor for room in case.capacity], limit)
    assert scaled.rates() == pytest.approx(case.rates() * float(factor), rel=1e-9, abs=0)


@law(100)
@given(case=sharings(), factor=st.sampled_from([Fraction(1, 7), Fraction(5)]))
def test_activities_of_a_multiple_use_go_at_a_fraction_of_the_rate(case: Sharing, factor: Fraction) -> None:
    heavier = [{wire: use * factor for wire, use in uses.items()} for uses in case.activities]
    scaled = Sharing(heavier, case.capacity, [None if most is None else most / factor for most in case.limit])
    assert scaled.rates() == pytest.approx(case.rates() / float(factor), rel=1e-9, abs=0)


@law(100)
@given(case=sharings(), rng=st.randoms(use_true_random=False))
def test_names_of_wires_and_order_of_activities_do_not_matter(case: Sharing, rng: random.Random) -> None:
    spare = 3
    new_name = rng.sample(range(len(case.capacity) + spare), len(case.capacity))
    order = rng.sample(range(len(case.activities)), len(case.activities))
    capacity = [Fraction(1)] * (len(case.capacity) + spare)
    for old, new in enumerate(new_name):
        capacity[new] = case.capacity[old]
    activities = [{new_name[wire]: use for wire, use in case.activities[number].items()} for number in order]
    renamed = Sharing(activities, capacity, [case.limit[number] for number in order])
    assert renamed.rates() == pytest.approx(case.rates()[order], rel=1e-9, abs=0)


@law(100)
@given(case=sharings(), wire=st.integers(0, 6), extra=sizes)
def test_more_room_never_lowers_the_slowest_rate(case: Sharing, wire: int, extra: Fraction) -> None:
    assume(wire < len(case.capacity))
    wider = [room + extra if number == wire else room for number, room in enumerate(case.capacity)]
    assert replace(case, capacity=wider).rates().min() >= case.rates().min() * (1 - 1e-9)


@law(100)
@given(case=sharings())
def test_one_activity_more_never_raises_the_slowest_rate(case: Sharing) -> None:
    fewer = Sharing(case.activities[:-1], case.capacity, case.limit[:-1])
    assert case.rates().min() <= fewer.rates().min(initial=np.inf) * (1 + 1e-9)


@law(100)
@given(case=sharings())
def test_an_entry_in_two_halves_counts_as_one(case: Sharing) -> None:
    whole = case.crossings()
    halves = Crossings(
        flow=whole.flow.repeat(2), wire=whole.wire.repeat(2), use=whole.use.repeat(2) / 2, count=whole.count
    )
    split = answer(lambda: fair_rates(halves, case.room, case.limits))
    assert split == pytest.approx(case.rates(), rel=1e-9, abs=0)


def ladder(rungs: int) -> Sharing:
    """Wire w has an activity of its own beside those that end on lower wires; activity r gets r + 1."""
    activities = [{wire: Fraction(1) for wire in range(rung, rungs)} for rung in range(rungs)]
    return Sharing(activities, [Fraction((wire + 1) * (wire + 2), 2) for wire in range(rungs)])


def test_full_wires_with_hundreds_of_activities_stay_exact() -> None:
    assert ladder(300).rates() == pytest.approx(np.arange(1.0, 301), rel=1e-9)


def test_only_keeps_the_chosen_flows_and_joined_puts_sets_one_after_the_other() -> None:
    whole = Sharing([{0: Fraction(1), 2: Fraction(2)}, {}, {1: Fraction(3)}, {2: Fraction(4)}], []).crossings()
    chosen = np.array([True, False, False, True])
    some = whole.only(chosen)
    assert (some.flow.tolist(), some.wire.tolist(), some.use.tolist(), some.count) == (
        [0, 0, 1],
        [0, 2, 2],
        [1, 2, 4],
        2,
    )
    both = Crossings.joined([some, whole.only(~chosen), some])
    assert (both.flow.tolist(), both.wire.tolist(), both.count) == ([0, 0, 1, 3, 4, 4, 5], [0, 2, 2, 1, 0, 2, 2], 6)
    assert Crossings.joined([]).count == 0


def test_flows_that_end_leave_the_rest_what_it_would_get_alone() -> None:
    """Down to the last flow; some leave in company, and some before anybody asked."""
    rng = random.Random(7)
    for _ in range(60):
        case = random_sharing(rng, most_wires=30, most_activities=40)
        crossings = case.crossings()
        order = rng.sample(range(crossings.count), crossings.count)
        steps = [np.array(order[at : at + (at % 5 == 0) + 1]) for at in range(0, len(order))]

        def rates_after_each_end(
            crossings: Crossings = crossings, case: Sharing = case, steps: list[Ints] = steps
        ) -> Floats:
            flows, seen = FlowSet(crossings, case.room, case.limits), [np.zeros(crossings.count)]
            for number, step in enumerate(steps):
                flows.end(step)
                if number % 7:
                    seen.append(flows.rates())
            return np.concatenate(seen)

        seen = answer(rates_after_each_end).reshape(-1, crossings.count)[1:]
        asked = [number for number in range(len(steps)) if number % 7]
        for number, rates in zip(asked, seen, strict=True):
            live = np.ones(crossings.count, dtype=np.bool_)
            live[np.concatenate(steps[: number + 1])] = False
            assert rates[~live].tolist() == [0.0] * int((~live).sum())
            assert rates[live].tolist() == fair_rates(crossings.only(live), case.room, case.limits[live]).tolist()


@needs_numba
def test_the_compiled_program_answers_as_numpy_does_where_hundreds_of_flows_share() -> None:
    rng = random.Random(11)
    for _ in range(20):
        random_sharing(rng, most_wires=200, most_activities=600).rates()


@needs_numba
@pytest.mark.parametrize("rounds", [0, 1, 20, 49])
def test_it_does_not_show_when_the_compiled_program_takes_over(rounds: int) -> None:
    case = ladder(50)
    each = len(case.crossings().flow) + 50 + sharing._ROUND
    with patch.object(sharing, "_work", sharing._Work()), patch.object(sharing, "_PATIENCE", rounds * each):
        taken_over = fair_rates(case.crossings(), case.room, case.limits)
    assert taken_over.tolist() == case.rates().tolist()


def test_without_numba_numpy_goes_on_to_the_end() -> None:
    case = ladder(30)
    with patch.object(sharing, "_load", return_value=None), patch.object(sharing, "_PATIENCE", -1):
        assert fair_rates(case.crossings(), case.room, case.limits).tolist() == case.rates().tolist()


def run(code: str, **environment: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})


ALONE = """
import sys, numpy as np
from simcluster.replay import sharing
one = sharing.Crossings(flow=np.arange(60).repeat(2), wire=np.arange(120) % 31, use=1 + np.arange(120.0) % 7, count=60)
room, limit = 1 + np.arange(31.0) % 5, np.where(np.arange(60) % 3, np.inf, 0.1)
expected = sharing.fair_rates(one, room, limit)
assert "numba" not in sys.modules
"""


def test_the_ordinary_path_does_not_import_numba() -> None:
    run(ALONE)


@needs_numba
def test_the_compiled_program_means_what_its_python_says() -> None:
    compare = """
sharing._PATIENCE = -1
flows = sharing.FlowSet(one, room, limit)
assert flows.rates().tolist() == expected.tolist()
flows.end(np.arange(30))
assert flows.rates()[30:].tolist() == sharing.fair_rates(one.only(np.arange(60) >= 30), room, limit[30:]).tolist()
assert "simcluster.replay.filling" in sys.modules
"""
    run(ALONE + compare, NUMBA_DISABLE_JIT="1")


def test_a_flow_that_nothing_holds_is_refused() -> None:
    for patience in (np.inf, -1) if NUMBA else (np.inf,):
        with patch.object(sharing, "_PATIENCE", patience), pytest.raises(ValueError, match="no wire and has no limit"):
            fair_rates(Sharing([{0: Fraction(1)}, {}], []).crossings(), np.ones(1), np.full(2, np.inf))


@pytest.mark.parametrize(
    ("flow", "wire", "use", "capacity", "limit", "words"),
    [
        ([0, 1], [0], [1.0], 1.0, 1.0, "of one length"),
        ([1], [0], [1.0], 1.0, 1.0, "flow must be numbers from 0 to 0"),
        ([0], [-1], [1.0], 1.0, 1.0, "wire must be numbers from 0 to 0"),
        ([0], [0], [0.0], 1.0, 1.0, "use must be above 0"),
        ([0], [0], [1.0], 0.0, 1.0, "capacity must be above 0"),
        ([0], [0], [1.0], 1.0, float("nan"), "limit must be above 0"),
    ],
)
def test_numbers_out_of_their_range_are_refused(
    flow: list[int], wire: list[int], use: list[float], capacity: float, limit: float, words: str
) -> None:
    crossings = Crossings(flow=np.array(flow), wire=np.array(wire), use=np.array(use), count=1)
    with pytest.raises(ValueError, match=words):
        fair_rates(crossings, np.array([capacity]), np.array([limit]))
