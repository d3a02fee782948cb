"""Colour refinement against its definition and a slow textbook version, on random graphs of objects of three kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.replay.refinement import Relation, alike, coloured, numbered, refined
from simcluster.traffic.crossings import Ints
from tests.physics_helpers import law

Classes = Mapping[str, Sequence[int]]
Pair = tuple[int, int, int]
"""Object, partner, mark."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Objects by kind with a given colour each, and relations between two different kinds."""

    colours: Mapping[str, tuple[int, ...]]
    relations: tuple[tuple[tuple[str, str], tuple[Pair, ...]], ...]

    def refined(self) -> dict[str, list[int]]:
        first = {
            kind: coloured(np.array(given_colours, dtype=np.int64)) for kind, given_colours in self.colours.items()
        }
        relations = [relation(kinds, pairs) for kinds, pairs in self.relations]
        return {kind: classes.tolist() for kind, classes in refined(first, relations).items()}


def relation(kinds: tuple[str, str], pairs: Sequence[Pair]) -> Relation:
    one, other, mark = (np.array([pair[place] for pair in pairs], dtype=np.int64) for place in range(3))
    return Relation(kinds=kinds, one=one, other=other, mark=mark)


KINDS = ("rank", "party", "wire")


@st.composite
def graphs(draw: st.DrawFn, most: int = 9) -> Graph:
    """Few colours and few marks, so that many objects look alike at first."""
    sizes = {kind: draw(st.integers(1, most), label=kind) for kind in KINDS}
    colours = {kind: tuple(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))) for kind, n in sizes.items()}
    relations = []
    for kinds in draw(st.lists(st.sampled_from([("rank", "party"), ("party", "wire"), ("wire", "rank")]), max_size=3)):
        pair = st.tuples(st.integers(0, sizes[kinds[0]] - 1), st.integers(0, sizes[kinds[1]] - 1), st.integers(0, 2))
        relations.append((kinds, tuple(draw(st.lists(pair, max_size=2 * most)))))
    return Graph(colours, tuple(relations))


@st.composite
def regular_graphs(draw: st.DrawFn) -> Graph:
    """Rings of ranks that meet both neighbours in parties, one pair maybe with another mark: long to tell apart."""
    rings = draw(st.lists(st.integers(1, 8), min_size=1, max_size=3))
    pairs: list[Pair] = []
    start = 0
    for size in rings:
        for place in range(size):
            pairs += [(start + place, start + place, 0), (start + (place + 1) % size, start + place, 0)]
        start += size
    odd = draw(st.lists(st.integers(0, len(pairs) - 1), max_size=2))
    pairs = [(one, other, 1 if index in odd else mark) for index, (one, other, mark) in enumerate(pairs)]
    same = (0,) * start
    return Graph({"rank": same, "party": same, "wire": ()}, ((("rank", "party"), tuple(pairs)),))


either = st.one_of(graphs(), regular_graphs())


def partners(graph: Graph, classes: Classes) -> dict[tuple[str, int], list[Counter[tuple[int, int]]]]:
    """What every object hears: for each relation and end of it, how many partners it has of each mark and class."""
    heard: dict[tuple[str, int], list[Counter[tuple[int, int]]]] = {
        (kind, index): [Counter() for _ in range(2 * len(graph.relations))]
        for kind, given_colours in graph.colours.items()
        for index in range(len(given_colours))
    }
    for number, ((mine, theirs), pairs) in enumerate(graph.relations):
        for one, other, mark in pairs:
            heard[mine, one][2 * number][mark, classes[theirs][other]] += 1
            heard[theirs, other][2 * number + 1][mark, classes[mine][one]] += 1
    return heard


def textbook(graph: Graph) -> dict[str, list[int]]:
    """Split classes by their members' sorted lists of (mark, class) of partners until none splits."""
    classes = {kind: list(given_colours) for kind, given_colours in graph.colours.items()}
    while True:
        heard = partners(graph, classes)
        names: dict[str, list[Hashable]] = {
            kind: [
                (old, tuple(tuple(sorted(one.elements())) for one in heard[kind, index]))
                for index, old in enumerate(each)
            ]
            for kind, each in classes.items()
        }
        finer = {kind: [sorted(set(each)).index(one) for one in each] for kind, each in names.items()}  # type: ignore[type-var]
        if all(len(set(finer[kind])) == len(set(classes[kind])) for kind in classes):
            return {kind: in_order(each) for kind, each in finer.items()}
        classes = finer


def in_order(values: Sequence[Hashable]) -> list[int]:
    """Equal values by the number in which they first come."""
    number = {value: index for index, value in enumerate(dict.fromkeys(values))}
    return [number[value] for value in values]


@law(400)
@given(graph=either)
def test_objects_of_a_class_have_equally_many_partners_of_every_class_and_mark(graph: Graph) -> None:
    classes = graph.refined()
    heard = partners(graph, classes)
    for kind, each in classes.items():
        first = {one: each.index(one) for one in each}
        for index, one in enumerate(each):
            assert graph.colours[kind][index] == graph.colours[kind][first[one]]
            assert heard[kind, index] == heard[kind, first[one]]


@law(400)
@given(graph=either)
def test_no_coarser_classes_would_do(graph: Graph) -> None:
    """The textbook's classes, which are the coarsest; numbered in the order in which they first come."""
    assert graph.refined() == textbook(graph)


@law(100)
@given(graph=either, rng=st.randoms(use_true_random=False))
def test_names_of_objects_and_the_order_of_pairs_and_relations_do_not_matter(graph: Graph, rng: object) -> None:
    shuffle = getattr(rng, "shuffle")  # noqa: B009
    moved = {}
    for kind, each in graph.colours.items():
        moved[kind] = list(range(len(each)))
        shuffle(moved[kind])
    colours = {
        kind: tuple(each[moved[kind].index(place)] for place in range(len(each)))
        for kind, each in graph.colours.items()
    }
    relations = []
    for (mine, theirs), pairs in graph.relations:
        renamed = [(moved[mine][one], moved[theirs][other], mark) for one, other, mark in pairs]
        shuffle(renamed)
        relations.append(((mine, theirs), tuple(renamed)))
    shuffle(relations)
    found = Graph(colours, tuple(relations)).refined()
    for kind, classes in graph.refined().items():
        assert in_order([found[kind][moved[kind][index]] for index in range(len(classes))]) == classes


@law(100)
@given(graph=either)
def test_it_says_the_same_every_time_whichever_way_round_a_relation_is_written(graph: Graph) -> None:
    turned = tuple(
        ((theirs, mine), tuple((other, one, mark) for one, other, mark in pairs))
        for (mine, theirs), pairs in graph.relations
    )
    assert graph.refined() == graph.refined() == Graph(graph.colours, turned).refined()


def test_without_relations_the_given_colours_are_the_classes() -> None:
    graph = Graph({"rank": (7, 3, 7, 7, 5), "wire": ()}, ())
    assert graph.refined() == {"rank": [0, 1, 0, 0, 2], "wire": []}


def test_a_difference_travels_along_a_chain_to_its_end() -> None:
    """Ranks in a row, neighbours in a party: seen from one marked end all ten are different; unmarked, mirror images
    are alike."""
    pairs = [pair for at in range(9) for pair in ((at, at, 0), (at + 1, at, 0))]
    plain = Graph({"rank": (0,) * 10, "party": (0,) * 9}, ((("rank", "party"), tuple(pairs)),))
    assert plain.refined()["rank"] == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0]
    marked = Graph({"rank": (1,) + (0,) * 9, "party": (0,) * 9}, plain.relations)
    assert marked.refined()["rank"] == list(range(10))


def test_marks_alone_tell_objects_apart() -> None:
    pairs = ((0, 0, 5), (1, 0, 5), (2, 0, 6), (3, 0, 6))
    assert Graph({"rank": (0,) * 4, "wire": (0,)}, ((("rank", "wire"), pairs),)).refined()["rank"] == [0, 0, 1, 1]


def test_how_often_a_partner_comes_tells_objects_apart() -> None:
    pairs = ((0, 0, 0), (1, 0, 0), (1, 0, 0))
    assert Graph({"rank": (0, 0), "wire": (0,)}, ((("rank", "wire"), pairs),)).refined()["rank"] == [0, 1]


def test_two_rings_of_three_and_one_of_six_look_the_same_and_that_is_enough() -> None:
    """The textbook case: not isomorphic, but equitable, so nothing that spreads along the pairs can tell."""

    def ring(members: Sequence[int]) -> list[Pair]:
        size = len(members)
        return [
            pair
            for place, member in enumerate(members)
            for pair in ((member, member, 0), (members[(place + 1) % size], member, 0))
        ]

    for rings in ([(0, 1, 2), (3, 4, 5)], [(0, 1, 2, 3, 4, 5)]):
        pairs = tuple(pair for members in rings for pair in ring(members))
        graph = Graph({"rank": (0,) * 6, "party": (0,) * 6}, ((("rank", "party"), pairs),))
        assert graph.refined() == {"rank": [0] * 6, "party": [0] * 6}


# ------------------------------------------------------------------------------------------------- numbers as classes


def ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


@law(100)
@given(values=st.lists(st.integers(-5, 5)))
def test_numbered_counts_from_zero_in_the_order_of_first_members(values: list[int]) -> None:
    assert numbered(ints(values)).tolist() == in_order(values)


@law(100)
@given(values=st.lists(st.text(max_size=3), min_size=1))
def test_words_are_numbered_too(values: list[str]) -> None:
    """Numpy drops zeros at the end of a word."""
    assert numbered(np.array(values)).tolist() == in_order([value.rstrip("\0") for value in values])


magnitudes = st.integers(-2000, 2000).map(lambda power: 1.01**power)


@law(200)
@given(values=st.lists(st.tuples(magnitudes, st.integers(-2, 2)), min_size=1, max_size=40))
def test_alike_joins_what_rounding_sets_apart_and_nothing_else(values: list[tuple[float, int]]) -> None:
    """Numbers at least 1 % apart, each moved by up to two units in the last place."""
    exact = [one for one, _ in values]
    moved = np.array([one * (1 + ulps * 2.0**-52) for one, ulps in values])
    assert numbered(alike(moved)).tolist() == in_order(exact)
    order = np.argsort(exact, kind="stable")
    assert (np.diff(alike(moved)[order]) >= 0).all()


@law(100)
@given(values=st.lists(st.floats(-1e300, 1e300), min_size=1), rng=st.randoms(use_true_random=False))
def test_alike_does_not_depend_on_the_order(values: list[float], rng: object) -> None:
    order = list(range(len(values)))
    getattr(rng, "shuffle")(order)  # noqa: B009
    straight, shuffled = alike(np.array(values)), alike(np.array(values)[order])
    assert shuffled.tolist() == straight[order].tolist()


def test_alike_of_nothing_zeros_signs_and_infinities() -> None:
    inf = float("inf")
    assert alike(np.zeros(0)).tolist() == []
    assert numbered(alike(np.array([0.0, -0.0, 1e-300, -1e-300, 1.0, -1.0]))).tolist() == [0, 0, 1, 2, 3, 4]
    assert numbered(alike(np.array([inf, 1.0, inf, 1e308, -inf, -inf]))).tolist() == [0, 1, 0, 2, 3, 3]


@pytest.mark.parametrize(("step", "classes"), [(1e-13, 1), (0.9e-12, 1), (1.1e-12, 2), (1e-9, 2)])
def test_alike_parts_numbers_from_a_billionth_of_a_thousandth_on(step: float, classes: int) -> None:
    assert len(set(alike(np.array([50e9, 50e9 * (1 + step)])).tolist())) == classes


@law(200)
@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_rows_have_one_colour_exactly_if_they_are_equal(rows: list[tuple[int, int, int]]) -> None:
    columns = [ints([row[place] for row in rows]) for place in range(3)]
    assert in_order(coloured(*columns).tolist()) == in_order(rows)
