"""Mistakes: how they read, and that they survive a trip between processes."""

from __future__ import annotations

import pickle

import pytest

from simcluster.errors import BrokenLawError, InputError, Mistake, nearest
from tests.edge_helpers import simcluster


def test_a_mistake_reads_place_path_what() -> None:
    mistake = Mistake(what="12 does not divide 16 heads; use 8", path="plan.tp", origin="moe.yaml:14:7")
    assert str(mistake) == "moe.yaml:14:7: plan.tp: 12 does not divide 16 heads; use 8"


@pytest.mark.parametrize(
    ("path", "origin", "text"),
    [
        ("", "", "wrong"),
        ("a.b", "", "a.b: wrong"),
        ("", "--set x", "--set x: wrong"),
        ("a", "f:1:2", "f:1:2: a: wrong"),
    ],
)
def test_parts_that_are_not_known_leave_no_gap(path: str, origin: str, text: str) -> None:
    assert str(Mistake(what="wrong", path=path, origin=origin)) == text


def test_an_error_lists_every_mistake_a_line_each() -> None:
    mistakes = [Mistake(what="one", path="a"), Mistake(what="two", path="b")]
    error = InputError(mistakes)
    assert error.mistakes == tuple(mistakes)
    assert str(error) == "a: one\nb: two"


def test_a_sentence_or_one_mistake_is_an_error_too() -> None:
    assert str(InputError("nothing to do")) == "nothing to do"
    assert InputError(Mistake(what="one")).mistakes == (Mistake(what="one"),)
    assert InputError(iter([Mistake(what="one")])).mistakes == (Mistake(what="one"),)


def test_an_error_keeps_its_mistakes_between_processes() -> None:
    error = InputError([Mistake(what="one", path="a", origin="f:1:1"), Mistake(what="two")])
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, InputError)
    assert (copy.mistakes, str(copy)) == (error.mistakes, str(error))


def test_a_mistake_is_a_value_error_and_a_broken_law_is_not() -> None:
    assert issubclass(InputError, ValueError)
    assert not issubclass(BrokenLawError, ValueError)


def test_a_near_word_is_suggested_and_else_all_are_named() -> None:
    assert nearest("memry", ["nodes", "memory", "peak"]) == "; did you mean memory?"
    assert nearest("xyz", ["peak", "memory"]) == "; known: memory, peak"


def test_mistakes_of_several_options_are_told_together() -> None:
    options = ["--max-latency", "10", "--min-throughput", "abc", "--max-memory", "2GB", "--batches", "0,x"]
    outcome = simcluster("search", "scenarios/ep64_tp2_pp1.yaml", *options, "--set", "cluster.nodes=abc")
    assert outcome.code == 2
    starts = ["--max-latency: ", "--min-throughput: ", "--max-memory: ", "--batches: ", "--set cluster.nodes=abc: "]
    lines = outcome.err.splitlines()
    assert [any(line.startswith(start) for line in lines) for start in starts] == [True] * 5
    outcome = simcluster(
        "collective", "all_reduce", "--cluster", "dgx", "--gpus", "12", "--bytes", "foo", "--algorithm", "rng"
    )
    assert outcome.code == 2
    for told in ("no cluster is called 'dgx'", "no algorithm 'rng'; it has ring", "--bytes: 'foo'"):
        assert told in outcome.err
    outcome = simcluster("kernel", "gemm", "--gpu", "h100", "--dtype", "bf17", "--m", "3")
    for told in ("did you mean h100-sxm", "did you mean bf16", "n is missing"):
        assert told in outcome.err
