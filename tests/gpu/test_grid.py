"""Grid: exact at its points, multilinear in logarithms between them, constant beyond its edges."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.gpu.grid import Grid
from tests.physics_helpers import law

AXES = ((1.0, 4.0, 64.0), (3.0,), (2.0, 8.0))


def grid() -> Grid:
    return Grid(axes=AXES, values=np.arange(6, dtype=np.float32).reshape(3, 1, 2) ** 2)


@pytest.mark.parametrize(("i", "a"), list(enumerate(AXES[0])))
@pytest.mark.parametrize(("j", "b"), list(enumerate(AXES[2])))
def test_at_its_points_a_grid_says_what_it_holds(i: int, a: float, j: int, b: float) -> None:
    assert grid().at((a, 3, b)) == ((2 * i + j) ** 2, True)


def test_between_points_it_is_linear_in_the_logarithm_of_each_coordinate() -> None:
    """1 to 4 is two octaves; a third of them is 4^(1/3), and of 0 and 4 a third is 4/3."""
    third, middle, wide = (grid().at(point) for point in ((4 ** (1 / 3), 3, 2), (2, 3, 4), (sqrt(4 * 64), 3, 2)))
    assert third[0] == pytest.approx(4 / 3)
    assert middle[0] == pytest.approx((0 + 1 + 4 + 9) / 4)
    assert wide[0] == pytest.approx((4 + 16) / 2)
    assert [inside for _, inside in (third, middle, wide)] == [True] * 3


@pytest.mark.parametrize(
    ("point", "value"),
    [((0.5, 3, 2), 0), ((1, 3, 100), 1), ((1e9, 3, 1e9), 25), ((0, 3, 2), 0), ((1, 7, 2), 0), ((1, 0.1, 8), 1)],
)
def test_beyond_an_edge_the_edge_holds_and_is_called_outside(point: tuple[float, ...], value: float) -> None:
    assert grid().at(point) == (value, False)


def test_rounding_does_not_push_a_point_over_the_edge() -> None:
    assert grid().at((1 - 1e-12, 3 * (1 + 1e-12), 8 + 1e-12)) == (1, True)


@law(200)
@given(st.tuples(st.floats(0.1, 1000), st.floats(0.1, 1000), st.floats(0.1, 1000)), st.integers(0, 2**32 - 1))
def test_a_value_lies_between_those_of_the_corners_around_it(point: tuple[float, float, float], seed: int) -> None:
    axes = ((1.0, 2.0, 5.0, 100.0), (0.5, 9.0), (1.0, 30.0, 31.0))
    values = np.random.default_rng(seed).normal(size=(4, 2, 3)).astype(np.float32)
    around = []
    for value, axis in zip(point, axes, strict=True):
        low = min(max(sum(place <= value for place in axis) - 1, 0), len(axis) - 2)
        around.append(slice(low, low + 2))
    corners = values[tuple(around)]
    found, inside = Grid(axes=axes, values=values).at(point)
    assert corners.min() - 1e-6 <= found <= corners.max() + 1e-6
    assert inside == all(axis[0] <= value <= axis[-1] for value, axis in zip(point, axes, strict=True))


@law(100)
@given(st.floats(1, 64), st.floats(2, 8))
def test_it_is_the_textbook_bilinear_formula(a: float, b: float) -> None:
    low = 0 if a < 4 else 1
    x = log(a / AXES[0][low]) / log(AXES[0][low + 1] / AXES[0][low])
    y = log(b / 2) / log(4)
    f = [[float((2 * i + j) ** 2) for j in range(2)] for i in range(3)]
    expected = (1 - x) * ((1 - y) * f[low][0] + y * f[low][1]) + x * ((1 - y) * f[low + 1][0] + y * f[low + 1][1])
    assert grid().at((a, 3, b))[0] == pytest.approx(expected, abs=1e-9)
