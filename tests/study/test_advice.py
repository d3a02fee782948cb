"""What to change next: each change is simulated, and its gain is what `run` gives with that change."""

from __future__ import annotations

from pathlib import Path

import pytest

import simcluster
from simcluster.scenario.variant import faster, one_node, with_plan
from simcluster.study import advice
from simcluster.study.advice import advise

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["ep64_tp2_pp1.yaml", "mixtral_decode.yaml", "llama_2_70b.yaml"])
def test_every_change_gives_the_latency_it_promises(name: str) -> None:
    path = ROOT / "scenarios" / name
    scenario = simcluster.load(path)
    result = simcluster.simulate(scenario)
    changes = advise(scenario, result)
    assert 1 <= len(changes.rows) <= 3
    for row in changes.rows:
        found = simcluster.simulate(simcluster.load(path, [str(row["change"])])).metrics["latency_s"]
        assert found == pytest.approx(row["latency_s"], rel=1e-9)
        assert row["speedup"] == pytest.approx((result.metrics["latency_s"] or 0) / (found or 1), rel=1e-9)
        assert float(str(row["speedup"])) > 1


def test_thorough_advice_tries_the_wire_that_binds_too() -> None:
    scenario = simcluster.load(ROOT / "scenarios" / "ep64_tp2_pp1.yaml", ["cluster.nodes=8", "workload.batch=64"])
    changes = advise(scenario, simcluster.simulate(scenario), thorough=True)
    assert next(row["change"] for row in changes.rows) == "plan=EP2"
    assignment, _ = faster(scenario, "nic", 2.0)
    assert assignment == "cluster.infiniband.bandwidth=100 GB/s"


@pytest.mark.parametrize("plan", ["EP8", "EP4_TP2", "TP8", "TP1"])
def test_one_node_stands_for_nodes_that_do_not_touch(plan: str) -> None:
    whole = with_plan(simcluster.load(ROOT / "scenarios" / "ep64_tp2_pp1.yaml", ["cluster.nodes=4", "plan=EP2"]), plan)
    assert whole is not None
    part = one_node(whole)
    assert part is not None
    latencies = [simcluster.simulate(scenario).metrics["latency_s"] for scenario in (whole, part)]
    assert latencies[0] == pytest.approx(latencies[1], rel=1e-12)


@pytest.mark.parametrize("plan", ["EP64_TP2_PP1", "EP16"])
def test_a_plan_that_leaves_its_node_has_no_one_node_part(plan: str) -> None:
    whole = with_plan(simcluster.load(ROOT / "scenarios" / "ep64_tp2_pp1.yaml"), plan)
    assert whole is not None
    assert one_node(whole) is None


def test_faster_hardware_is_not_tried_unasked_where_listing_every_wire_makes_a_run_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The example with a slow GPU replays 4 x 320 spans and lists 544 wires; two plans help, so ENOUGH is raised."""
    monkeypatch.setattr(advice, "ENOUGH", 9)
    for overrides, listed in (((), 0), (("faults=[{gpu: node3.gpu2, factor: 0.5}]",), 544)):
        scenario = simcluster.load(ROOT / "scenarios/ep64_tp2_pp1.yaml", overrides)
        result = simcluster.simulate(scenario)
        assert result.timeline is not None
        cost = len(result.timeline.track) + advice.WIRE_SPANS * listed
        tried = []
        for most in (cost - 1, cost):
            monkeypatch.setattr(advice, "LARGEST", most)
            tried.append([str(row["change"]) for row in advise(scenario, result).rows])
        assert not any("bandwidth" in change for change in tried[0])
        assert any("bandwidth" in change for change in tried[1])
