"""Value lists as typed, and their product."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simcluster.errors import InputError
from simcluster.study.grid import MOST_POINTS, Axis, parse_axis, points

bounded = settings(max_examples=200, derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("cluster.nodes=1,2,4", "cluster.nodes", ("1", "2", "4")),
        ("cluster.nodes=1", "cluster.nodes", ("1",)),
        (" cluster.nodes = 1 , 2 ", "cluster.nodes", ("1", "2")),
        ("cluster.nvlink.bandwidth=20 Gbit/s,40 Gbit/s", "cluster.nvlink.bandwidth", ("20 Gbit/s", "40 Gbit/s")),
        ("plan=EP8,{tp: 2, ep: 4},EP4_TP2", "plan", ("EP8", "{tp: 2, ep: 4}", "EP4_TP2")),
        ("expect=[gpus == 8, mfu >= 0.5],[]", "expect", ("[gpus == 8, mfu >= 0.5]", "[]")),
        ("a={b: [1, {c: 2, d: 3}], e: (4, 5)},6", "a", ("{b: [1, {c: 2, d: 3}], e: (4, 5)}", "6")),
        ("a=b=c,d=e", "a", ("b=c", "d=e")),
        ("n=1..4", "n", ("1", "2", "3", "4")),
        ("n=7..7", "n", ("7",)),
        ("n=-2..1", "n", ("-2", "-1", "0", "1")),
        ("n=1,3..5,10", "n", ("1", "3", "4", "5", "10")),
        ("n=1.5,2..3", "n", ("1.5", "2", "3")),
        ("n=1..2..3", "n", ("1..2..3",)),
        ("n=a..b", "n", ("a..b",)),
        ("n=[1..3]", "n", ("[1..3]",)),
    ],
)  # fmt: skip
def test_an_axis_is_a_path_and_its_values(text: str, path: str, values: tuple[str, ...]) -> None:
    assert parse_axis(text) == Axis(path=path, values=values)


@pytest.mark.parametrize("text", ["", "n", "n=", "=1", " =1", "n=1,", "n=,1", "n=1,,2", "n= ", ",", "="])
def test_what_is_no_axis_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(InputError, match=r"expected PATH=V1,V2,… such as cluster\.") as raised:
        parse_axis(text)
    assert str(raised.value).startswith(f"--over {text}".rstrip())


@pytest.mark.parametrize("span", ["3..1", "1..99999999", "0..1000000", "-1..-2"])
def test_a_range_that_is_none_or_endless_is_refused_with_its_bounds(span: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_axis(f"n={span}")
    assert f"--over n={span}: {span}" in str(raised.value)
    assert "low..high" in str(raised.value)


def test_a_range_too_long_is_not_called_upside_down() -> None:
    """`1..99999999` is a range as the user meant it; what is wrong is how many points it has."""
    with pytest.raises(InputError, match=f"{MOST_POINTS:,}"):
        parse_axis("n=1..99999999")


def test_the_product_runs_the_last_axis_fastest() -> None:
    axes = [Axis(path="a", values=("1", "2")), Axis(path="b", values=("x", "y", "z"))]
    assert points(axes) == [("1", "x"), ("1", "y"), ("1", "z"), ("2", "x"), ("2", "y"), ("2", "z")]


def test_a_path_swept_twice_is_refused() -> None:
    with pytest.raises(InputError, match="a is swept twice; write its values in one --over"):
        points([Axis(path="a", values=("1",)), Axis(path="b", values=("1",)), Axis(path="a", values=("2",))])


def test_too_many_points_are_refused_before_they_are_made() -> None:
    many = tuple(map(str, range(2_000)))
    with pytest.raises(InputError, match=f"4,000,000 points; at most {MOST_POINTS:,} fit"):
        points([Axis(path="a", values=many), Axis(path="b", values=many)])


words = st.from_regex(r"[a-c1-3:'\"/]([a-c1-3 :'\"/.]{0,6}[a-c1-3:'\"/])?", fullmatch=True).filter(
    lambda word: ".." not in word
)


@bounded
@given(st.lists(words | words.map("[{0}, {0}]".format) | words.map("{{a: {0}, b: 1}}".format), min_size=1, max_size=5))
def test_values_without_bare_commas_come_back_as_written(values: list[str]) -> None:
    assert parse_axis(f"path={','.join(values)}").values == tuple(values)


@bounded
@given(st.text(max_size=30))
def test_any_text_is_an_axis_or_refused(text: str) -> None:
    try:
        axis = parse_axis(text)
    except InputError:
        return
    assert axis.path
    assert all(axis.values)
