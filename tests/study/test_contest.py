"""How sure a search's winner is: the share of draws in which each of the first plans is the best."""

from __future__ import annotations

from pathlib import Path

import pytest

import simcluster
from simcluster.scenario.scenario import Scenario
from simcluster.scenario.uncertainty import NAMES
from simcluster.study.contest import CONTENDERS
from simcluster.study.uncertainty import draws
from tests.edge_helpers import SMALL, scenario_file

DRAWS = 12


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenario_file(tmp_path_factory.mktemp("contest"), SMALL)


def certain(path: Path, **ranges: float) -> Scenario:
    """SMALL with every input certain but those given."""
    told = {name: 1.0 for name in NAMES if "pcie" not in name} | ranges
    return simcluster.load(
        path, ["uncertainty={" + ", ".join(f"{name}: {value}" for name, value in told.items()) + "}"]
    )


def test_on_certain_hardware_the_winner_always_wins(path: Path) -> None:
    found = simcluster.search(certain(path), workers=1, draws=DRAWS)
    assert found.contest is not None
    assert found.winner is not None
    assert found.contest.contenders[0].label == found.winner.label
    assert [one.wins for one in found.contest.contenders] == [1.0] + [0.0] * (len(found.contest.contenders) - 1)


@pytest.mark.parametrize("objective", ["latency", "throughput"])
def test_wins_are_those_of_every_plan_simulated_on_every_draw(path: Path, objective: str) -> None:
    base = certain(path, nvlink_efficiency=4.0, infiniband_efficiency=4.0, launch_overhead=8.0)
    found = simcluster.search(base, workers=1, draws=DRAWS, objective=objective)
    assert found.contest is not None
    metric, sign = ("latency_s", 1) if objective == "latency" else ("throughput_tokens_per_s", -1)
    ranges = "uncertainty={" + ", ".join(f"{name}: {value}" for name, value in base.uncertainty.items()) + "}"
    values = []
    for row in found.plans[: min(CONTENDERS, found.feasible)]:
        scenario = simcluster.load(path, [ranges, *row.changes])
        values.append([sign * (simcluster.simulate(one).metrics[metric] or 0.0) for one in draws(scenario, DRAWS)])
    least = [min(range(len(values)), key=lambda at: values[at][number]) for number in range(DRAWS)]
    expected = [least.count(at) / DRAWS for at in range(len(values))]
    assert [one.wins for one in found.contest.contenders] == pytest.approx(expected)
    assert sum(expected) == pytest.approx(1.0)


CLOSE = SMALL.replace("hidden: 256", "hidden: 2048").replace("hidden: 512", "hidden: 4096")
CLOSE = CLOSE.replace("400 Gbit/s", "10 GB/s").replace(
    "prefill, batch: 8, sequence: 128", "decode, batch: 64, context: 64"
)
"""Experts inside a node, or over both where the network is good."""


@pytest.mark.parametrize("seed", [0, 7])
def test_several_plans_win_where_the_hardware_decides(tmp_path: Path, seed: int) -> None:
    """The draws are those of the scenario's own ranges and seed."""
    path = scenario_file(tmp_path, f"{CLOSE}seed: {seed}\n")
    base = certain(path, nvlink_efficiency=4.0, infiniband_efficiency=4.0, memory_efficiency=4.0)
    found = simcluster.search(base, workers=1, draws=DRAWS)
    assert found.contest is not None
    ranges = "uncertainty={" + ", ".join(f"{name}: {value}" for name, value in base.uncertainty.items()) + "}"
    values = []
    for row in found.plans[:CONTENDERS]:
        scenario = simcluster.load(path, [ranges, *row.changes])
        values.append([simcluster.simulate(one).metrics["latency_s"] or 0.0 for one in draws(scenario, DRAWS)])
    least = [min(range(len(values)), key=lambda at: values[at][number]) for number in range(DRAWS)]
    wins = [least.count(at) / DRAWS for at in range(len(values))]
    assert sum(share > 0 for share in wins) >= 2
    assert [one.wins for one in found.contest.contenders] == pytest.approx(wins)
    assert found.contest.seed == seed


def test_nobody_is_drawn_for_unless_asked(path: Path) -> None:
    found = simcluster.search(certain(path), workers=1)
    assert found.contest is None
    assert "uncertainty" not in found.as_dict()
