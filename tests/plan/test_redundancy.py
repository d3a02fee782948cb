"""Redundant experts: who gets a replica, where it goes, and what that does to the fullest rank."""

from __future__ import annotations

from collections import Counter
from math import fsum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simcluster.plan.redundancy import mistake, placed, replicas, table
from simcluster.plan.routing import at_most_once, held, in_order, max_over_mean, permuted, power_law, zipf

SHAPES = [(64, 64, 4), (64, 16, 4), (256, 32, 8), (256, 128, 8), (16, 4, 2), (8, 8, 2)]
"""Experts, ranks and copies a token of deployed models."""


def test_the_heaviest_per_replica_is_replicated_next() -> None:
    """8, 4, 1, 1: 8 -> 4+4, then the first of the fours, 8 -> 3 of 2.67, then 4 -> 2+2, then 8 -> 4 of 2."""
    found = [replicas((8.0, 4.0, 1.0, 1.0), extra, 9) for extra in range(5)]
    assert found == [(1, 1, 1, 1), (2, 1, 1, 1), (3, 1, 1, 1), (3, 2, 1, 1), (4, 2, 1, 1)]


def test_no_expert_has_more_replicas_than_there_are_ranks() -> None:
    assert replicas((100.0, 1.0, 1.0), 3, 2) == (2, 2, 2)


def test_replicas_are_packed_longest_first() -> None:
    """6 | 5 | 4 | 3 | 2 and one more replica of the first, on 2 ranks of 3 places: 5, 3, 2 | 4, 3, 3."""
    places = placed((6.0, 5.0, 4.0, 3.0, 2.0), 2, 1)
    assert places == ((0, 1, 4), (0, 2, 3))
    assert held((6.0, 5.0, 4.0, 3.0, 2.0), places) == pytest.approx((1 / 2, 1 / 2), rel=1e-12)


def test_without_redundant_experts_they_stand_in_order() -> None:
    assert placed((9.0, 1.0, 1.0, 1.0), 2, 0) == ((0, 1), (2, 3))


@pytest.mark.parametrize(("experts", "ranks", "top_k"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_redundant_experts_never_raise_the_fullest_load(experts: int, ranks: int, top_k: int, seed: int) -> None:
    for law in (zipf(experts, 0.8), zipf(experts, 1.2), power_law(experts, 1.01, 16384, top_k)):
        weights = permuted(at_most_once(law, top_k), seed)
        rows = table(weights, weights, ranks, 0)
        loads = [row.max_over_mean for row in rows]
        assert loads[0] == max_over_mean(held(weights, in_order(experts, ranks)))
        assert all(later <= loads[0] * (1 + 1e-12) for later in loads)
        assert loads[-1] < 1.25


@settings(derandomize=True, deadline=None, max_examples=80)
@given(data=st.data())
def test_every_place_is_filled_every_expert_placed_and_no_copy_lost(data: st.DataObject) -> None:
    ranks = data.draw(st.integers(2, 6))
    experts = data.draw(st.integers(ranks, 12))
    weights = tuple(data.draw(st.lists(st.floats(0, 50), min_size=experts, max_size=experts)))
    if fsum(weights) == 0:
        return
    redundant = -experts % ranks + ranks * data.draw(st.integers(0, experts))
    if redundant > experts * (ranks - 1) or redundant == 0:
        return
    places = placed(weights, ranks, redundant)
    assert {len(place) for place in places} == {(experts + redundant) // ranks}
    counts = Counter(expert for place in places for expert in place)
    assert tuple(counts[expert] for expert in range(experts)) == replicas(weights, redundant, ranks)
    assert fsum(held(weights, places)) == pytest.approx(1, rel=1e-12)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(weights=st.lists(st.floats(0.01, 100), min_size=2, max_size=10).map(tuple), ranks=st.integers(2, 8))
def test_full_replication_balances_perfectly(weights: tuple[float, ...], ranks: int) -> None:
    places = placed(weights, ranks, len(weights) * (ranks - 1))
    assert set(places) == {tuple(range(len(weights)))}
    assert set(held(weights, places)) == {held(weights, places)[0]}


def test_the_table_fills_up_ranks_that_the_experts_do_not() -> None:
    rows = table((1.0,) * 6, (1.0,) * 6, 4, 2)
    assert [(row.redundant_experts, row.experts_per_rank) for row in rows] == [
        (2, 2),
        (6, 3),
        (10, 4),
        (14, 5),
        (18, 6),
    ]
    mine = table((1.0,) * 8, (1.0,) * 8, 8, 48)
    assert [row.redundant_experts for row in mine] == [0, 8, 16, 24, 32, 48]


@pytest.mark.parametrize(
    ("experts", "ranks", "redundant", "told"),
    [
        (64, 64, 3, "64 experts and 3 redundant ones do not divide over ep 64 ranks; use 0 or 64"),
        (256, 144, 30, "256 experts and 30 redundant ones do not divide over ep 144 ranks; use 32"),
        (8, 1, 4, "has no effect with ep 1"),
        (8, 4, 28, "28 is too many: with 24 each of ep 4 ranks holds all 8 experts"),
    ],
)
def test_a_number_that_does_not_fit_says_which_does(experts: int, ranks: int, redundant: int, told: str) -> None:
    found = mistake(experts, ranks, redundant)
    assert found is not None
    assert told in found


@pytest.mark.parametrize(("experts", "ranks", "redundant"), [(64, 64, 64), (256, 144, 32), (8, 4, 24)])
def test_a_number_that_fits(experts: int, ranks: int, redundant: int) -> None:
    assert mistake(experts, ranks, redundant) is None
