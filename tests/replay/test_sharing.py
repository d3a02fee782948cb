"""Max-min sharing: against an exact rational solver, and the properties that define it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simcluster.replay.sharing import Floats, fair_rates
from tests.physics_helpers import law
from tests.replay.exact import Uses, max_min_rates


@dataclass(frozen=True)
class Sharing:
    """Activities as {wire: use}, and the wires' capacities."""

    activities: Sequence[Uses]
    capacity: Sequence[Fraction]

    def rates(self) -> Floats:
        """What the simulator's solver answers."""
        return fair_rates(
            [np.array(list(uses), dtype=np.int64) for uses in self.activities],
            [np.array([float(use) for use in uses.values()]) for uses in self.activities],
            np.array([float(room) for room in self.capacity]),
        )

    def loads(self, rates: Floats) -> Floats:
        """Bytes/s on every wire at these rates."""
        total = np.zeros(len(self.capacity))
        for uses, rate in zip(self.activities, rates, strict=True):
            for wire, use in uses.items():
                total[wire] += float(use) * rate
        return total


def random_sharing(rng: random.Random) -> Sharing:
    """Up to 12 activities on up to 8 wires; small integers make ties and shared bottlenecks common."""
    wires = rng.randint(1, 8)
    simple = rng.random() < 0.5
    activities = [
        {
            wire: Fraction(1) if simple else Fraction(rng.randint(1, 12), rng.randint(1, 6))
            for wire in rng.sample(range(wires), rng.randint(1, wires))
        }
        for _ in range(rng.randint(1, 12))
    ]
    largest = rng.choice([3, 100, 10**11])
    return Sharing(activities, [Fraction(rng.randint(1, largest)) for _ in range(wires)])


def test_a_thousand_random_cases_agree_with_exact_progressive_filling() -> None:
    rng = random.Random(20261101)
    for number in range(1000):
        case = random_sharing(rng)
        exact = [float(rate) for rate in max_min_rates(case.activities, case.capacity)]
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


sizes = st.integers(1, 40).map(Fraction)


@st.composite
def sharings(draw: st.DrawFn) -> Sharing:
    wires = draw(st.integers(1, 7))
    uses = st.dictionaries(st.integers(0, wires - 1), sizes, min_size=1)
    activities = draw(st.lists(uses, min_size=1, max_size=10))
    return Sharing(activities, draw(st.lists(sizes, min_size=wires, max_size=wires)))


@law(100)
@given(case=sharings())
def test_no_wire_is_over_its_capacity(case: Sharing) -> None:
    room = np.array([float(room) for room in case.capacity])
    assert (case.loads(case.rates()) <= room * (1 + 1e-9)).all()


@law(100)
@given(case=sharings())
def test_every_activity_crosses_a_full_wire_on_which_no_other_is_faster(case: Sharing) -> None:
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
        assert bottlenecks, f"activity {number} could go faster than {rates[number]}"


@law(100)
@given(case=sharings(), factor=st.sampled_from([Fraction(1, 10**9), Fraction(3), Fraction(10**12)]))
def test_wires_of_a_multiple_capacity_carry_a_multiple_of_every_rate(case: Sharing, factor: Fraction) -> None:
    scaled = Sharing(case.activities, [room * factor for room in case.capacity])
    assert scaled.rates() == pytest.approx(case.rates() * float(factor), rel=1e-9, abs=0)


@law(100)
@given(case=sharings(), factor=st.sampled_from([Fraction(1, 7), Fraction(5)]))
def test_activities_of_a_multiple_use_go_at_a_fraction_of_the_rate(case: Sharing, factor: Fraction) -> None:
    heavier = [{wire: use * factor for wire, use in uses.items()} for uses in case.activities]
    scaled = Sharing(heavier, case.capacity)
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
    expected = case.rates()[order]
    assert Sharing(activities, capacity).rates() == pytest.approx(expected, rel=1e-9, abs=0)


@law(100)
@given(case=sharings(), wire=st.integers(0, 6), extra=sizes)
def test_more_room_never_lowers_the_slowest_rate(case: Sharing, wire: int, extra: Fraction) -> None:
    assume(wire < len(case.capacity))
    wider = [room + extra if number == wire else room for number, room in enumerate(case.capacity)]
    assert Sharing(case.activities, wider).rates().min() >= case.rates().min() * (1 - 1e-9)


def test_full_wires_with_hundreds_of_activities_stay_exact() -> None:
    """A ladder: wire w has capacity w + 1 and one activity of its own beside those that end on lower wires."""
    rungs = 300
    activities = [{wire: Fraction(1) for wire in range(rung, rungs)} for rung in range(rungs)]
    capacity = [Fraction((wire + 1) * (wire + 2), 2) for wire in range(rungs)]
    assert Sharing(activities, capacity).rates() == pytest.approx(np.arange(1.0, rungs + 1), rel=1e-9)
