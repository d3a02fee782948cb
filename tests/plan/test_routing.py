"""Laws of popularity, draws of copies, and what they make of ranks' loads."""

from __future__ import annotations

from itertools import pairwise
from math import exp, fsum, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simcluster.plan.routing import at_most_once, drawn, held, in_order, max_over_mean, permuted, power_law, zipf

weights_of_some = st.lists(st.floats(0.01, 100), min_size=2, max_size=24).map(tuple)


def test_zipf_is_a_power_of_the_place() -> None:
    found = zipf(4, 1.0)
    assert [one / found[0] for one in found] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4], rel=1e-12)
    assert fsum(found) == pytest.approx(4, rel=1e-12)
    assert zipf(5, 0.0) == (1.0,) * 5


@pytest.mark.parametrize("exponent", [0.5, 1.01, 1.2, 2.0])
def test_a_power_law_has_the_quantiles_of_its_density(exponent: float) -> None:
    """The k-th of n loads has k - 1/2 of n above it: the integral of x^-a from it to b over that from 1 to b."""
    tokens, experts = 1000.0, 64
    most = 0.8 * tokens

    def above(x: float) -> float:
        rest = 1 - exponent
        return float((most**rest - x**rest) / (most**rest - 1))

    found = power_law(experts, exponent, tokens, 4)
    low = above(1.0)
    assert low == pytest.approx(1, rel=1e-12)
    # only ratios are known: the scale is that of the first quantile
    rest = 1 - exponent
    first = (1 + (1 - 0.5 / experts) * (most**rest - 1)) ** (1 / rest)
    scale = first / found[0]
    parts = [above(one * scale) for one in found]
    assert parts == pytest.approx([(k + 0.5) / experts for k in range(experts)], rel=1e-6)


def test_a_power_law_of_exponent_one_is_log_uniform() -> None:
    found = power_law(8, 1.0, 1000.0, 4)
    steps = [log(a / b) for a, b in pairwise(found)]
    assert steps == pytest.approx([log(800) / 8] * 7, rel=1e-9)
    near = power_law(8, 1.0 + 1e-9, 1000.0, 4)
    assert near == pytest.approx(found, rel=1e-6)


def test_a_power_law_of_few_copies_spans_a_factor_of_two_hundred() -> None:
    found = power_law(1000, 1.0, 2.0, 1)
    assert found[0] / found[-1] == pytest.approx(exp(log(200) * 999 / 1000), rel=1e-9)


@pytest.mark.parametrize(("exponent", "measured"), [(1.01, 1602 / 470), (1.2, 2642 / 470)])
def test_a_power_law_is_as_skewed_as_its_draws(exponent: float, measured: float) -> None:
    """DeepSeek-V3's experts on ep 64, 16,384 tokens: the fullest rank's load over the mean against numpy drawing each
    load at random, and what the slowest rank took of the balanced time when such a layer was measured (FIELD_NOTES)."""
    tokens, experts, top_k, most = 16384, 256, 8, 0.8 * 16384
    law = at_most_once(power_law(experts, exponent, tokens, top_k), top_k)
    ours = [max_over_mean(held(permuted(law, seed), in_order(experts, 64))) for seed in range(200)]
    quantile = np.random.default_rng(1).random((400, experts))
    load = (1 + quantile * (most ** (1 - exponent) - 1)) ** (1 / (1 - exponent))
    load = np.minimum(load, load.sum(axis=1, keepdims=True) / top_k).reshape(400, 64, 4).sum(axis=2)
    assert np.mean(ours) == pytest.approx((load.max(axis=1) / load.mean(axis=1)).mean(), rel=0.05)
    low, high = np.percentile(ours, (5, 95))
    assert low <= measured <= high


def test_no_expert_gets_two_copies_of_a_token() -> None:
    """7 : 1 : 1 : 1 with two copies a token: the first takes half, the others a sixth each."""
    assert at_most_once((7.0, 1.0, 1.0, 1.0), 2) == pytest.approx((2, 2 / 3, 2 / 3, 2 / 3), rel=1e-12)
    assert at_most_once((90.0, 9.0, 0.5, 0.5), 2) == pytest.approx((2, 1.8, 0.1, 0.1), rel=1e-12)
    assert at_most_once((2.0, 1.0), 2) == (1.0, 1.0)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(weights=weights_of_some, data=st.data())
def test_what_is_cut_off_keeps_the_order(weights: tuple[float, ...], data: st.DataObject) -> None:
    top_k = data.draw(st.integers(1, len(weights)))
    found = at_most_once(weights, top_k)
    assert max(found) * top_k <= fsum(found) * (1 + 1e-9)
    assert fsum(found) == pytest.approx(len(weights), rel=1e-9)
    for (a, b), (was, would) in zip(pairwise(found), pairwise(weights), strict=True):
        assert (a - b) * (was - would) >= -1e-9


@settings(derandomize=True, deadline=None, max_examples=60)
@given(weights=weights_of_some, seed=st.integers(0, 2**63 - 1))
def test_a_permutation_hands_out_the_same_weights(weights: tuple[float, ...], seed: int) -> None:
    found = permuted(weights, seed)
    assert sorted(found) == sorted(weights)
    assert found == permuted(weights, seed)


def test_seeds_differ() -> None:
    law = zipf(64, 1.0)
    assert len({permuted(law, seed) for seed in range(20)}) == 20
    assert len({drawn(law, 1000, 2, seed) for seed in range(20)}) == 20


@settings(derandomize=True, deadline=None, max_examples=100)
@given(weights=weights_of_some, tokens=st.integers(1, 300), seed=st.integers(0, 1000), data=st.data())
def test_a_draw_hands_out_every_copy_and_none_twice(
    weights: tuple[float, ...], tokens: int, seed: int, data: st.DataObject
) -> None:
    top_k = data.draw(st.integers(1, len(weights)))
    counts = drawn(weights, tokens, top_k, seed)
    assert fsum(counts) == tokens * top_k
    assert max(counts) <= tokens
    assert all(count == int(count) >= 0 for count in counts)


def test_an_expert_nobody_chooses_is_never_drawn() -> None:
    assert drawn((0.0, 1.0, 1.0, 0.0), 50, 2, 3) == (0.0, 50.0, 50.0, 0.0)


def test_the_expected_fullest_of_a_uniform_draw_is_that_of_numpy() -> None:
    """512 copies over 64 experts, one each: mean of the fullest over 400 seeds against as many independent draws."""
    tokens, experts = 512, 64
    ours = [max(drawn((1.0,) * experts, tokens, 1, seed)) for seed in range(400)]
    theirs = np.random.default_rng(12345).integers(0, experts, size=(400, tokens))
    fullest = [np.bincount(row, minlength=experts).max() for row in theirs]
    error = np.hypot(np.std(ours), np.std(fullest)) / 20
    assert np.mean(ours) == pytest.approx(np.mean(fullest), abs=4 * error)


def test_the_expected_fullest_of_two_is_the_closed_form() -> None:
    """n copies over two experts by a coin: E max = n/2 + E|heads - n/2|, and E|…| = n·C(n-1, n/2)/2^n for even n."""
    from math import comb

    copies = 10
    expected = copies / 2 + copies * comb(copies - 1, copies // 2) / 2**copies
    found = [max(drawn((1.0, 1.0), copies, 1, seed)) for seed in range(4000)]
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / 4000**0.5)


def test_the_expected_fullest_of_a_skewed_draw_is_that_of_numpy() -> None:
    """Zipf 1 over 16 experts of 4 ranks, 2,000 tokens once: means over 300 seeds against numpy's own multinomial."""
    law, places = zipf(16, 1.0), in_order(16, 4)
    ours = [max_over_mean(held(drawn(law, 2000, 1, seed), places)) for seed in range(300)]
    counts = np.random.default_rng(99).multinomial(2000, np.array(law) / 16, size=300).reshape(300, 4, 4).sum(axis=2)
    theirs = counts.max(axis=1) / counts.mean(axis=1)
    assert np.mean(ours) == pytest.approx(theirs.mean(), abs=4 * np.hypot(np.std(ours), theirs.std()) / 300**0.5)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(weights=st.lists(st.floats(0.01, 100), min_size=12, max_size=12).map(tuple), order=st.permutations(range(3)))
def test_experts_of_a_rank_in_another_order_change_nothing(weights: tuple[float, ...], order: list[int]) -> None:
    moved = tuple(weights[rank * 3 + order[place]] for rank in range(4) for place in range(3))
    places = in_order(12, 4)
    assert held(moved, places) == pytest.approx(held(weights, places), rel=1e-12)


def test_copies_of_an_expert_are_split_evenly_over_its_replicas() -> None:
    assert held((3.0, 1.0), ((0, 1), (0,))) == pytest.approx((2.5 / 4, 1.5 / 4), rel=1e-12)
