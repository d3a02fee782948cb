"""`search` as a user types it: the object of the contract, the text, the figure, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.edge_helpers import DOES_NOT_FIT, scenario_file, simcluster

PLAN_KEYS = {"plan", "degrees", "fits", "reason", "latency_s", "throughput_tokens_per_s", "mfu", "memory_fraction"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return scenario_file(tmp_path)


def test_the_object_of_the_contract(path: Path) -> None:
    outcome = simcluster("search", path, "--json", "--workers", 1)
    assert (outcome.code, outcome.err) == (0, "")
    tree = outcome.json()
    assert {"considered", "feasible", "plans"} <= set(tree)
    assert tree["considered"] == len(tree["plans"]) == 146
    assert all(set(plan) >= PLAN_KEYS for plan in tree["plans"])
    feasible = [plan for plan in tree["plans"] if plan["reason"] is None]
    assert feasible == tree["plans"][: tree["feasible"]]
    latencies = [plan["latency_s"] for plan in feasible]
    assert latencies == sorted(latencies)
    assert all(plan["latency_s"] is None for plan in tree["plans"] if not plan["fits"])
    assert sum(tree["pruned"].values()) + tree["feasible"] == tree["considered"]
    for name in ("orthogonal", "folded"):
        assert any(plan["convention"] == name for plan in feasible)


def test_the_winner_run_again_gives_the_same_numbers(path: Path) -> None:
    best = simcluster("search", path, "--json", "--top", 1, "--workers", 1).json()["plans"]
    assert len(best) == 1
    sets = [word for change in best[0]["set"] for word in ("--set", change)]
    again = simcluster("run", path, *sets, "--json").json()
    for name in ("plan", "convention", "degrees"):
        assert again[name] == best[0][name]
    for name in ("latency_s", "throughput_tokens_per_s", "mfu"):
        assert again[name] == pytest.approx(best[0][name], rel=1e-9)
    assert again["memory"]["fraction"] == pytest.approx(best[0]["memory_fraction"], rel=1e-9)


def test_the_text_answers_first_and_shows_its_ground(path: Path) -> None:
    outcome = simcluster("search", path, "--workers", 1, "--top", 3, "--batches", "8,16", "--max-latency", "1 s")
    assert (outcome.code, outcome.err) == (0, "")
    titles = ["Plans of small", "What was listed", "Best plans by latency", "Pareto front", "Why", "Pruned"]
    places = [outcome.out.index(f"\n{title}" if index else title) for index, title in enumerate(titles)]
    assert places == sorted(places)
    assert "292 plans considered" in outcome.out
    assert "under --max-latency 1 s." in " ".join(outcome.out.split())
    assert "batch: 8, 16 sequences in all" in outcome.out
    assert "Run it with --set 'plan=" in outcome.out
    assert outcome.out.count("<- asked for") >= 1
    assert max(map(len, outcome.out.splitlines())) <= 140


def test_a_front_of_one_plan_says_why(path: Path) -> None:
    text = " ".join(simcluster("search", path, "--workers", 1).out.split())
    assert "the fastest also has the highest throughput, and the front is one plan" in text
    wide = " ".join(simcluster("search", path, "--workers", 1, "--batches", "8,64").out.split())
    assert "the front is one plan" not in wide


@pytest.mark.parametrize("style", ["light", "dark"])
def test_the_front_is_drawn(style: str, path: Path, tmp_path: Path) -> None:
    figures = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for figure in figures:
        outcome = simcluster("search", path, "--batches", "8,64", "--plot", figure, "--style", style, "--workers", 1)
        assert (outcome.code, outcome.err) == (0, f"figure: {figure}\n")
    drawn = figures[0].read_text()
    assert figures[1].read_text() == drawn
    for text in ("feasible plan", "Pareto front", "asked for: EP4_TP2_PP1", "latency (us)", "throughput per GPU"):
        assert text in drawn


def test_where_no_plan_fits_the_answer_is_no(path: Path, tmp_path: Path) -> None:
    outcome = simcluster("search", path, "--set", "cluster.gpu.memory=1 kB", "--plot", tmp_path / "none.png")
    assert outcome.code == 1
    assert "no plan fits in memory" in outcome.out
    assert not (tmp_path / "none.png").exists()
    tree = simcluster("search", path, "--set", "cluster.gpu.memory=1 kB", "--json").json()
    assert tree["feasible"] == 0
    assert all(plan["reason"] for plan in tree["plans"])


def test_a_plan_asked_for_that_does_not_fit_is_no_obstacle(path: Path) -> None:
    outcome = simcluster("search", path, "--set", DOES_NOT_FIT, "--workers", 1)
    assert outcome.code in (0, 1)
    if outcome.code == 0:
        assert "The plan asked for, EP4_TP2_PP1, does not fit" in " ".join(outcome.out.split())


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (("--max-latency", "10"), ["--max-latency: '10' has no unit"]),
        (("--max-latency", "nan ms"), ["--max-latency"]),
        (("--max-latency", "1 ns"), ["--max-latency 1 ns: leaves 0 of", "lowest is"]),
        (("--min-throughput", "1e15"), ["--min-throughput 1,000,000,000,000,000 tokens/s: leaves 0 of", "highest is"]),
        (("--max-memory", "90 GB"), ["--max-memory"]),
        (("--max-memory", "150%"), ["more than a whole GPU's memory"]),
        (("--batches", "8,x"), ["--batches: expected whole numbers"]),
        (("--batches", ""), ["--batches: expected whole numbers"]),
        (("--batches", "0"), ["--batches: 0 is no such number"]),
        (("--microbatches", "1..9999999999"), ["--microbatches"]),
        (("--objective", "best"), ["latency", "throughput", "cost"]),
        (("--top", "0"), ["--top"]),
        (("--plot", "figure.gif"), [".png, .svg or .pdf"]),
        (("--set", "plan=EP3"), ["plan"]),
    ],
)
def test_what_is_wrong_is_said(options: tuple[str, ...], messages: list[str], path: Path) -> None:
    outcome = simcluster("search", path, "--workers", 1, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert all(message in outcome.err for message in messages)
    assert "Traceback" not in outcome.err


def test_a_price_turns_hours_into_money(path: Path) -> None:
    options = ("--set", "cluster.gpu.price=2.50 USD/h", "--objective", "cost", "--workers", 1)
    best = simcluster("search", path, "--json", "--top", 1, *options).json()["plans"][0]
    sets = [word for change in best["set"] for word in ("--set", change)]
    run = simcluster("run", path, "--set", "cluster.gpu.price=2.50 USD/h", *sets, "--json").json()
    assert best["cost_per_million_tokens"] == pytest.approx(run["cost_per_million_tokens"], rel=1e-9)
    assert best["cost_per_million_tokens"] == pytest.approx(2.5 * best["gpu_hours_per_million_tokens"], rel=1e-12)
    assert "USD/M tokens" in simcluster("search", path, *options).out
    assert "USD" not in simcluster("search", path, "--workers", 1).out


def test_microbatches_may_follow_the_rule(path: Path) -> None:
    sizes = {
        text: simcluster("search", path, "--json", "--workers", 1, "--microbatches", text).json()["space"][
            "microbatches"
        ]
        for text in ("rule", "2", "rule,1,4..5")
    }
    assert sizes == {"rule": [None], "2": [2], "rule,1,4..5": [None, 1, 4, 5]}


def test_json_is_the_same_whatever_the_workers(path: Path) -> None:
    texts = [simcluster("search", path, "--json", "--workers", count).out for count in (1, 2)]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["space"]["gpus"] == [8]
