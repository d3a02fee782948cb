"""Quantiles and rank correlations against closed forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.timeline.interval import Range, Uncertainty, interval
from tests.physics_helpers import law


def test_quantiles_lie_between_draws() -> None:
    """101 values 0 … 100: the 5 % quantile is value 5."""
    found = interval(50.0, [float(value) for value in range(100, -1, -1)], {})
    assert (found.p5, found.p50, found.p95, found.nominal) == (5.0, 50.0, 95.0, 50.0)


def test_one_draw_is_its_own_interval() -> None:
    found = interval(1.0, [3.0], {"a": [0.5]})
    assert (found.p5, found.p50, found.p95, found.correlation, found.share) == (3.0, 3.0, 3.0, {"a": 0.0}, {"a": 0.0})


def test_the_correlation_is_spearman_s() -> None:
    """1 - 6 sum of squared rank differences / (n (n² - 1)) where no two values are equal."""
    values, drawn = [1.0, 20.0, 3.0, 400.0, 50.0], [0.2, 0.3, 0.1, 0.9, 0.8]
    differences = (1, 0, 1, 0, 0)
    ranks_of_values, ranks_of_drawn = (1, 3, 2, 5, 4), (2, 3, 1, 5, 4)
    assert tuple(abs(a - b) for a, b in zip(ranks_of_values, ranks_of_drawn, strict=True)) == differences
    found = interval(0.0, values, {"a": drawn})
    assert found.correlation["a"] == pytest.approx(1 - 6 * 2 / (5 * 24), rel=1e-12)


def test_equal_values_share_their_mean_rank() -> None:
    """Ranks 1.5, 1.5, 3 beside 1, 2, 3: Pearson's coefficient of those is 1.5 / sqrt(1.5 x 2)."""
    found = interval(0.0, [7.0, 7.0 * (1 + 1e-15), 9.0], {"a": [0.1, 0.2, 0.3]})
    assert found.correlation["a"] == pytest.approx(1.5 / 3**0.5, rel=1e-12)


positive = st.floats(min_value=1e-3, max_value=1e3)


@law(60)
@given(st.lists(st.tuples(positive, positive, positive), min_size=2, max_size=30))
def test_shares_sum_to_one_or_nothing_moves(rows: list[tuple[float, float, float]]) -> None:
    values, a, b = (list(column) for column in zip(*rows, strict=True))
    found = interval(1.0, values, {"a": a, "b": b})
    assert found.p5 <= found.p50 <= found.p95
    assert all(-1 - 1e-12 <= one <= 1 + 1e-12 for one in found.correlation.values())
    assert sum(found.share.values()) == pytest.approx(1.0) or set(found.correlation.values()) == {0.0}


@law(40)
@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=30, unique=True))
def test_a_monotone_metric_follows_its_input_entirely(drawn: list[int]) -> None:
    rising, falling = [float(x) ** 3 for x in drawn], [1 / x for x in drawn]
    inputs = {"x": [float(x) for x in drawn], "constant": [1.0] * len(drawn)}
    assert interval(1.0, rising, inputs).correlation == {"x": pytest.approx(1.0), "constant": 0.0}
    assert interval(1.0, falling, inputs).correlation["x"] == pytest.approx(-1.0)
    assert interval(1.0, falling, inputs).share["x"] == pytest.approx(1.0)


def test_as_json_a_metric_is_a_key_beside_draws_seed_and_ranges() -> None:
    found = Uncertainty(
        draws=2,
        seed=5,
        ranges={"a": Range(factor=1.5, source="a test")},
        intervals={"latency_s": interval(1.0, [1.0, 2.0], {"a": [0.9, 1.1]})},
    )
    assert found.as_dict() == {
        "draws": 2,
        "seed": 5,
        "ranges": {"a": {"factor": 1.5, "source": "a test"}},
        "latency_s": {
            "nominal": 1.0,
            "p5": pytest.approx(1.05),
            "p50": 1.5,
            "p95": pytest.approx(1.95),
            "correlation": {"a": pytest.approx(1.0)},
            "share": {"a": pytest.approx(1.0)},
        },
    }
