"""The search: brute force finds the same, its winner runs as promised, limits hold, workers change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

import simcluster
from simcluster.errors import InputError
from simcluster.scenario.scenario import Scenario
from simcluster.study import measure
from simcluster.study.candidates import size, space
from simcluster.timeline.ranking import Ranked, Ranking
from tests.edge_helpers import SMALL, changed, refusal, scenario_file

AXES = ("tp", "pp", "dp", "cp", "ep", "etp", "edp")
NODE = changed(("nodes: 2", "nodes: 1"), ("gpus_per_node: 4", "gpus_per_node: 8"))
"""SMALL's eight GPUs in one node."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenario_file(tmp_path_factory.mktemp("search"), NODE)


@pytest.fixture(scope="module")
def found(path: Path) -> Ranking:
    return simcluster.search(path, workers=1)


def test_brute_force_over_all_plans_of_a_node_finds_the_same(path: Path, found: Ranking) -> None:
    """Seven loops over 1 … 8, each plan that multiplies out written as a mapping and run as any scenario."""
    expected: dict[tuple[int, ...], float | None] = {}
    for degrees in product((1, 2, 4, 8), repeat=7):
        tp, pp, dp, cp, ep, etp, edp = degrees
        if tp * cp * dp * pp == 8 == etp * ep * edp * pp:
            written = ", ".join(f"{axis}: {degree}" for axis, degree in zip(AXES, degrees, strict=True))
            try:
                scenario = simcluster.load(path, [f"plan={{{written}}}"])
            except InputError:
                expected[degrees] = None
            else:
                expected[degrees] = simcluster.simulate(scenario).metrics["latency_s"]
    rows = {tuple(row.degrees[axis] for axis in AXES): row.latency_s for row in found.plans}
    assert len(rows) == found.considered == len(expected) == 146
    assert {key for key, value in rows.items() if value is None} == {k for k, v in expected.items() if v is None}
    assert rows == {key: None if value is None else pytest.approx(value, rel=1e-9) for key, value in expected.items()}
    runs = [value for value in expected.values() if value is not None]
    assert found.feasible == len(runs) > 20
    assert found.winner is not None
    assert found.winner.latency_s == pytest.approx(min(runs), rel=1e-9)


def test_every_plan_run_by_its_changes_gives_its_numbers(path: Path, found: Ranking) -> None:
    for row in found.plans[: found.feasible : 7]:
        scenario = simcluster.load(path, row.changes)
        result = simcluster.simulate(scenario)
        assert (scenario.plan.degrees.as_dict(), scenario.plan.convention) == (row.degrees, row.convention)
        again = (
            *(result.metrics[name] for name in ("latency_s", "throughput_tokens_per_s", "mfu")),
            result.memory_fraction,
        )
        told = (row.latency_s, row.throughput_tokens_per_s, row.mfu, row.memory_fraction)
        assert again == pytest.approx(told, rel=1e-9)


@pytest.mark.parametrize("batch", ["{per_replica: 2}", "{per_gpu: 1}", "16"])
def test_a_batch_follows_its_rule_on_other_nodes_too(batch: str, tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    scenario = simcluster.load(path, [f"workload.batch={batch}"])
    wide = simcluster.search(scenario, fewer_gpus=True, batches=[2, 16], objective="throughput", workers=1)
    chosen = [row for row in wide.plans[: wide.feasible] if row.nodes == 1 or row.batch != scenario.batch.count][::11]
    assert {row.nodes for row in chosen} == {1, 2}
    for row in chosen:
        result = simcluster.simulate(simcluster.load(path, [f"workload.batch={batch}", *row.changes]))
        assert result.metrics["throughput_tokens_per_s"] == pytest.approx(row.throughput_tokens_per_s, rel=1e-9)


def test_placements_and_microbatches_run_as_promised(tmp_path: Path) -> None:
    """On two nodes of two GPUs, where the order of the axes decides which of them crosses between nodes."""
    path = scenario_file(tmp_path, changed(("gpus_per_node: 4", "gpus_per_node: 2"), ("EP4_TP2_PP1", "EP2_TP2")))
    alone = simcluster.search(path, workers=1)
    wide = simcluster.search(path, placements=True, microbatches=[None, 2, 8], workers=1)
    chosen = [row for row in wide.plans[: wide.feasible] if row.changes[2:]]
    assert {row.microbatches for row in chosen} == {None, 2, 8}
    for row in chosen[::7]:
        metrics = simcluster.simulate(simcluster.load(path, row.changes)).metrics
        assert metrics["latency_s"] == pytest.approx(row.latency_s, rel=1e-9)
    inner = {row.plan: row.latency_s for row in alone.plans if row.fits}
    placed = [row for row in chosen if row.microbatches is None]
    assert any((row.latency_s or 0) > (inner[row.plan] or 0) * 1.01 for row in placed)
    few = [row for row in wide.plans if row.cause == "execution.microbatches"]
    assert any("do not divide into 8 microbatches" in (row.reason or "") for row in few)


def test_what_was_written_for_one_plan_does_not_bind_the_others(tmp_path: Path) -> None:
    """Layers of stages and a number of microbatches: other plans take equal stages and the rule, and say so."""
    execution = "execution: {stage_layers: [3, 1], microbatches: 2}\n"
    text = changed(("layers: 2", "layers: 4"), ("EP4_TP2_PP1", "PP2_EP4")) + execution
    path = scenario_file(tmp_path, text)
    found = simcluster.search(path, workers=1)
    assert found.asked not in found.plans
    assert found.asked.microbatches == 2
    assert {row.degrees["pp"] for row in found.plans[: found.feasible]} == {1, 2, 4}
    for row in found.plans[: found.feasible : 13]:
        assert "execution.microbatches=null" in row.changes
        assert ("execution.stage_layers=[]" in row.changes) == (row.degrees["pp"] != 2)
        metrics = simcluster.simulate(simcluster.load(path, row.changes)).metrics
        assert metrics["latency_s"] == pytest.approx(row.latency_s, rel=1e-9)


def test_the_order_is_that_of_the_objective(path: Path) -> None:
    scenario = simcluster.load(path)
    keys: dict[str, Callable[[Any], float]] = {
        "latency": lambda row: row.latency_s,
        "throughput": lambda row: -row.throughput_tokens_per_s,
        "cost": lambda row: row.gpus / row.throughput_tokens_per_s,
    }
    firsts = set()
    for objective, key in keys.items():
        ranking = simcluster.search(scenario, objective=objective, batches=[8, 64], workers=1)
        values = [key(row) for row in ranking.plans[: ranking.feasible]]
        assert all(later >= earlier * (1 - 1e-8 * (earlier > 0)) - 1e-8 for earlier, later in pairwise(values))
        assert all(row.reason for row in ranking.plans[ranking.feasible :])
        firsts.add(ranking.plans[0].batch)
    assert firsts == {8, 64}


def test_no_plan_of_the_front_is_beaten_and_every_other_is(path: Path) -> None:
    ranking = simcluster.search(path, batches=[8, 16, 64, 128], workers=1)
    feasible = ranking.plans[: ranking.feasible]

    def numbers(row: Ranked) -> tuple[float, float]:
        assert row.latency_s is not None
        assert row.throughput_tokens_per_s_per_gpu is not None
        return row.latency_s, row.throughput_tokens_per_s_per_gpu

    front = [numbers(row) for row in ranking.front]
    assert len(front) >= 3
    assert front == sorted(front)
    for latency_s, rate in map(numbers, feasible):
        beats = [one for one in front if one[0] <= latency_s * (1 + 1e-8) and one[1] >= rate * (1 - 1e-8)]
        assert beats, "on the front, or beaten by it"
    for latency_s, rate in front:
        assert not any(x < latency_s * (1 - 1e-8) and y > rate * (1 + 1e-8) for x, y in map(numbers, feasible))


def test_two_workers_find_the_same_in_the_same_order(
    path: Path, found: Ranking, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(measure, "PATIENCE_S", -1.0)
    monkeypatch.setattr(measure, "WORTH_S", -1.0)
    scenario = simcluster.load(path)
    from simcluster.study.search import search

    both = search(scenario, space(scenario), workers=2, progress=lambda done, total: seen.append((done, total)))
    assert json.dumps(both.as_dict()) == json.dumps(found.as_dict())
    assert seen[0][0] == 0
    assert seen[-1] == (found.feasible, found.feasible)
    assert len(seen) < found.feasible, "whole chunks came back"


def test_a_limit_keeps_the_plans_within_it(path: Path, found: Ranking) -> None:
    feasible = found.plans[: found.feasible]
    middle = feasible[len(feasible) // 2]
    assert middle.latency_s is not None
    bound_s = middle.latency_s * (1 + 1e-9)
    ranking = simcluster.search(path, max_latency_s=bound_s, workers=1)
    kept = ranking.plans[: ranking.feasible]
    assert [row.plan for row in kept] == [row.plan for row in feasible if (row.latency_s or 0) <= bound_s]
    out = [row for row in ranking.plans if row.cause == "--max-latency"]
    assert len(out) + len(kept) == len(feasible)
    assert all(row.fits and "is above --max-latency" in (row.reason or "") for row in out)
    assert ranking.considered == found.considered


def test_limits_that_exclude_everything_say_what_each_leaves(path: Path, found: Ranking) -> None:
    best, least = found.plans[0], min(row.memory_fraction or 1 for row in found.plans[: found.feasible])
    assert best.latency_s is not None
    fast, small = best.latency_s * (1 + 1e-9), least * (1 + 1e-9)
    error = refusal(lambda: simcluster.search(path, max_latency_s=fast / 2, max_memory=1.0, workers=1))
    assert error is not None
    texts = [str(mistake) for mistake in error.mistakes]
    assert f"leaves 0 of {found.feasible} plans that fit; lowest is" in texts[0]
    assert f"({best.plan})" in texts[0]
    assert f"leaves {found.feasible} of {found.feasible}" in texts[1]
    both = refusal(lambda: simcluster.search(path, max_latency_s=fast, max_memory=small, workers=1))
    assert both is not None
    assert "together they leave none" in str(both)


@pytest.mark.parametrize(
    ("bound", "message"),
    [({"max_memory": 1.5}, "more than a whole GPU's"), ({"max_latency_s": 0.0}, "not more than nothing")],
)
def test_a_limit_that_cannot_be_is_refused(bound: dict[str, float], message: str, path: Path) -> None:
    with pytest.raises(InputError, match=message):
        simcluster.search(path, **bound)  # type: ignore[arg-type]


def test_an_unknown_objective_names_the_known_ones(path: Path) -> None:
    with pytest.raises(InputError, match="did you mean latency"):
        simcluster.search(path, objective="latancy")


def small_memory(path: Path, memory: str) -> Scenario:
    return simcluster.load(path, [f"cluster.gpu.memory={memory}"])


def test_plans_that_do_not_fit_say_what_they_need(path: Path) -> None:
    """Activations of some plans, weights of others, are too much for 1.5 MB; `run` agrees."""
    scenario = small_memory(path, "1.5 MB")
    ranking = simcluster.search(scenario, workers=1)
    unfit = [row for row in ranking.plans if row.cause == "memory"]
    assert 0 < ranking.feasible < ranking.feasible + len(unfit)
    assert {row.fits for row in unfit} == {False}
    alone = {"alone" in (row.reason or "") for row in unfit}
    assert alone == {True, False}
    for row in unfit:
        result = simcluster.simulate(simcluster.load(path, ["cluster.gpu.memory=1.5 MB", *row.changes]))
        assert not result.fits
        assert row.memory_fraction is not None
        assert 1 < row.memory_fraction <= result.memory_fraction * (1 + 1e-9)


def test_where_nothing_fits_there_is_no_winner(path: Path) -> None:
    ranking = simcluster.search(small_memory(path, "1 kB"), workers=1)
    assert (ranking.feasible, ranking.winner, ranking.front, ranking.why) == (0, None, (), ())
    assert ranking.asked.cause == "memory"


def test_the_plan_asked_for_is_told_also_where_its_batch_is_not_listed(path: Path, found: Ranking) -> None:
    scenario = simcluster.load(path)
    assert found.place is not None
    assert found.plans[found.place - 1] == found.asked
    other = simcluster.search(scenario, batches=[64], workers=1)
    assert other.asked not in other.plans
    beaten = sum((row.latency_s or 0) < (found.asked.latency_s or 0) for row in other.plans[: other.feasible])
    assert other.place == beaten + 1
    assert other.considered == size(scenario, space(scenario, batches=[64])) == 146
    assert other.asked.latency_s == found.asked.latency_s
    assert any("EP4_TP2_PP1" in sentence for sentence in other.why)


def test_the_states_of_both_plans_add_up_to_their_latency(found: Ranking) -> None:
    assert found.winner is not None
    *states, total = found.states.rows
    names = [column.name for column in found.states.columns[1:]]
    assert names == [found.winner.label, found.asked.label]
    for name, row in zip(names, (found.winner, found.asked), strict=True):
        assert sum(float(str(state[name])) for state in states) == pytest.approx(row.latency_s, rel=1e-9)
        assert total[name] == pytest.approx(row.latency_s, rel=1e-9)
    assert len(found.why) == 3
    assert found.why[2].startswith(f"Against {names[0]}, {names[1]} spends more on ")


@pytest.mark.parametrize("load", ["{power_law: 1.2}", "{power_law: 1.01, 3: 2, drawn: true}", "{zipf: 1}"])
def test_a_law_of_popularity_is_that_of_each_plan_s_tokens(load: str, tmp_path: Path) -> None:
    path = scenario_file(tmp_path, SMALL + "seed: 2\n")
    ranking = simcluster.search(simcluster.load(path, [f"workload.expert_load={load}"]), workers=1)
    assert ranking.feasible > 10
    for row in ranking.plans[: ranking.feasible : 3]:
        again = simcluster.simulate(simcluster.load(path, [f"workload.expert_load={load}", *row.changes])).metrics
        assert again["latency_s"] == pytest.approx(row.latency_s, rel=1e-9)


def test_faults_stay_where_they_are(tmp_path: Path) -> None:
    """A slow GPU slows every plan down; the search sees it as `run` does."""
    path = scenario_file(tmp_path, SMALL + "faults: [{gpu: node1.gpu2, factor: 0.5}]\n")
    ranking = simcluster.search(path, max_latency_s=1.0, workers=1)
    best = ranking.plans[0]
    again = simcluster.simulate(simcluster.load(path, best.changes)).metrics
    assert (again["latency_s"], again["mfu"]) == pytest.approx((best.latency_s, best.mfu), rel=1e-9)
