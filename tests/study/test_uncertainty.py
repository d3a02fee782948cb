"""Seeded draws of uncertain hardware: their distribution, their laws, and intervals against closed forms."""

from __future__ import annotations

import json
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.api import simulate, uncertainty
from simcluster.errors import InputError
from simcluster.scenario.compile import compile_text
from simcluster.scenario.scenario import Scenario
from simcluster.scenario.uncertainty import NAMES
from simcluster.scenario.variant import with_plan
from simcluster.study import uncertainty as study
from simcluster.study.uncertainty import draws, factors, intervals
from tests.edge_helpers import DOES_NOT_FIT, SMALL, process, scenario_file, simcluster
from tests.physics_helpers import law

TOY = """\
cluster:
  nodes: 1
  gpus_per_node: 1
  gpu:
    memory: 1 TB
    memory_bandwidth: 1e8 TB/s
    peak: {bf16: 1 TFLOPS}
    efficiency: {compute: 0.5, memory: 1}
    launch_overhead: 0 s
    price: 3.60 USD/h
model: {layers: 1, hidden: 256, heads: 4, mlp: {hidden: 512}, precision: bf16}
plan: {}
workload: {phase: prefill, batch: 1, sequence: 512}
uncertainty: {compute_efficiency: 1.5, memory_efficiency: 1, launch_overhead: 1}
"""
"""One GPU that only computes: its latency is FLOPs / (efficiency x peak), to 1e-8."""


def scenario(*overrides: str, text: str = SMALL) -> Scenario:
    return compile_text(text, "small.yaml", overrides)


def test_the_toy_s_quantiles_are_those_of_a_log_uniform_efficiency() -> None:
    """latency = nominal / factor, and the factor's q quantile is 1.5 ** (2 q - 1); draws lie within 1 / N of it."""
    count = 200
    found = uncertainty(scenario(text=TOY), count)
    assert found is not None
    latency = found.intervals["latency_s"]
    close = 2 * log(1.5) / count
    assert latency.p5 == pytest.approx(latency.nominal * 1.5**-0.9, rel=close)
    assert latency.p50 == pytest.approx(latency.nominal, rel=close)
    assert latency.p95 == pytest.approx(latency.nominal * 1.5**0.9, rel=close)
    assert latency.correlation["compute_efficiency"] == pytest.approx(-1, abs=1e-12)
    assert latency.share == pytest.approx({"compute_efficiency": 1, "memory_efficiency": 0, "launch_overhead": 0})
    cost = found.intervals["cost_per_million_tokens"]
    assert cost.p95 / latency.p95 == pytest.approx(3.6 / 3600 / 512 * 1e6, rel=1e-12)
    assert found.intervals["mfu"].p50 == pytest.approx(0.5, rel=close)


def test_an_efficiency_is_capped_at_one() -> None:
    """With 0.9 and a factor of 2 more than a third of the draws are at the datasheet's rate."""
    found = uncertainty(
        scenario("cluster.gpu.efficiency.compute=0.9", "uncertainty.compute_efficiency=2", text=TOY), 60
    )
    assert found is not None
    assert found.intervals["mfu"].p95 == pytest.approx(1.0, rel=1e-6)
    assert found.intervals["mfu"].p5 == pytest.approx(0.9 / 2**0.9, rel=0.03)


def test_ranges_of_one_give_intervals_without_width() -> None:
    certain = "uncertainty={" + ", ".join(f"{name}: 1" for name in NAMES if "pcie" not in name) + "}"
    found = uncertainty(scenario(certain, "cluster.gpu.price=2 USD/h"), 5)
    assert found is not None
    assert set(found.intervals) == {"latency_s", "throughput_tokens_per_s", "mfu", "cost_per_million_tokens"}
    for one in found.intervals.values():
        assert one.p5 == one.p50 == one.p95 == one.nominal
        assert set(one.correlation.values()) == {0.0}


@law(25)
@given(st.integers(0, 2**63 - 1), st.integers(1, 60))
def test_draws_are_log_uniform_inside_their_ranges(seed: int, count: int) -> None:
    """Each input takes every count-th of its range once."""
    base = scenario(f"seed={seed}")
    drawn = factors(base, count)
    assert len(drawn) == count
    for name, widest in base.uncertainty.items():
        place = [(log(one[name]) / log(widest) + 1) / 2 for one in drawn]
        assert sorted(int(u * count) for u in place) == list(range(count))


@pytest.mark.parametrize("count", [30, 100])
def test_inputs_are_hardly_correlated(count: int) -> None:
    columns = np.array([list(one.values()) for one in factors(scenario(), count)]).T
    apart = np.corrcoef(np.log(columns)) - np.eye(len(columns))
    assert np.abs(apart).max() < 0.15


def test_the_same_seed_gives_the_same_draws_and_another_others() -> None:
    assert factors(scenario("seed=3"), 8) == factors(scenario("seed=3"), 8)
    assert factors(scenario("seed=3"), 8) != factors(scenario("seed=4"), 8)


def test_an_input_s_draws_do_not_depend_on_which_others_there_are() -> None:
    """A cluster without NVLink and InfiniBand draws the same GPU."""
    for one, other in zip(factors(scenario(), 6), factors(scenario(text=TOY), 6), strict=True):
        share = log(one["compute_efficiency"]) / log(scenario().uncertainty["compute_efficiency"])
        assert log(other["compute_efficiency"]) / log(1.5) == pytest.approx(share, rel=1e-9)


def test_the_kth_draw_is_the_same_hardware_for_every_plan() -> None:
    base = scenario()
    other = with_plan(base, "TP8")
    assert other is not None
    for one, same in zip(draws(base, 6), draws(other, 6), strict=True):
        assert one.cluster == same.cluster
        assert (one.plan, same.plan, one.expect) == (base.plan, other.plan, ())


def test_intervals_are_those_of_the_draws_replayed_by_themselves() -> None:
    base = scenario("seed=11")
    found = uncertainty(base, 9)
    assert found is not None
    alone = [simulate(one).metrics["latency_s"] for one in draws(base, 9)]
    assert found.intervals["latency_s"].p50 == sorted(alone, key=lambda value: value or 0.0)[4]
    assert found.intervals["latency_s"].nominal == simulate(base).metrics["latency_s"]


def test_processes_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    base = scenario()
    here = uncertainty(base, 4)
    monkeypatch.setattr(study, "WORTH", 1)
    told: list[tuple[int, int]] = []
    there = intervals(base, simulate(base), 4, workers=2, progress=lambda done, total: told.append((done, total)))
    assert here == there
    assert told == [(done, 4) for done in range(5)]


def test_a_generation_has_intervals_of_its_first_and_later_tokens() -> None:
    found = uncertainty(scenario("workload={phase: generate, batch: 8, sequence: 32, output: 20}"), 4)
    assert found is not None
    assert {"ttft_s", "tpot_s"} < set(found.intervals)


def test_a_plan_that_does_not_fit_has_no_intervals() -> None:
    assert uncertainty(scenario(DOES_NOT_FIT), 3) is None


@pytest.mark.parametrize("count", [0, -1, 10_001, 2.5, True, "5"])
def test_a_number_of_draws_is_a_whole_number_that_ends(count: int) -> None:
    with pytest.raises(InputError, match="draws are asked for"):
        factors(scenario(), count)


def test_run_prints_intervals_and_what_moves_them(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    plain, asked = simcluster("run", path), simcluster("run", path, "--uncertainty", 20)
    assert asked.code == 0
    assert asked.out.startswith(plain.out.rstrip())
    told = asked.out[len(plain.out.rstrip()) :]
    assert "Uncertainty (20 draws of the hardware, seed 0)" in told
    assert {"latency", "throughput", "MFU"} <= {line.split(" ")[0] for line in told.splitlines()}
    assert "launch overhead" in told


def test_the_json_holds_the_same_numbers_and_so_does_the_folder(tmp_path: Path) -> None:
    path, out = scenario_file(tmp_path), tmp_path / "out"
    asked = simcluster("run", path, "--uncertainty", 3, "--json", "--out", out).json()
    found = uncertainty(scenario(), 3)
    assert found is not None
    assert asked["uncertainty"] == found.as_dict()
    assert json.loads((out / "result.json").read_text()) == asked
    assert "uncertainty" not in simcluster("run", path, "--json").json()


def test_another_process_and_hash_seed_print_the_same_bytes(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    arguments = ("run", path, "--uncertainty", "5", "--json")
    told = [process(*arguments, environment={"PYTHONHASHSEED": seed}) for seed in ("1", "2")]
    assert told[0].code == 0, told[0].err
    assert told[0] == told[1]


def test_a_plan_that_does_not_fit_is_told_without_intervals(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    asked = simcluster("run", path, "--set", DOES_NOT_FIT, "--uncertainty", 3)
    assert asked.code == 1
    assert "Uncertainty" not in asked.out
    assert "uncertainty" not in simcluster("run", path, "--set", DOES_NOT_FIT, "--uncertainty", 3, "--json").json()


@pytest.mark.parametrize("count", ["0", "-3", "1e2", "many", "10001"])
def test_a_wrong_number_of_draws_is_refused(tmp_path: Path, count: str) -> None:
    asked = simcluster("run", scenario_file(tmp_path), "--uncertainty", count)
    assert asked.code == 2
    assert "--uncertainty" in asked.err
