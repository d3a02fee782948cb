"""The numbers that plans are ranked by, found by sums, blocks and periods, are those of the replay."""

from __future__ import annotations

from typing import Any

import pytest

from simcluster.pipeline import estimate, simulate
from simcluster.scenario.scenario import Scenario
from tests.execution_helpers import DECODE, DENSE, MIXTURE, PREFILL, Tree, cluster, scenario
from tests.replay.staged_helpers import drawn_staged

ALL = 240
"""Random scenarios; a tenth of them is estimated by default."""


def check(case: Scenario) -> None:
    found, metrics = estimate(case), simulate(case).metrics
    for name in ("latency_s", "throughput_tokens_per_s", "mfu"):
        assert getattr(found, name) == pytest.approx(metrics[name], rel=1e-9), name


def comparable(case: Scenario) -> bool:
    """Steps of unequal ranks drift apart where they wait for nobody; the mean of such steps takes a replay."""
    timeline = simulate(case).timeline
    assert timeline is not None
    return case.workload.steps == 1 or not timeline.folding.split_by


@pytest.mark.parametrize("seed", range(ALL // 15))
def test_a_random_scenario_is_estimated_as_it_is_simulated(seed: int) -> None:
    case = drawn_staged(seed).scenario
    if comparable(case):
        check(case)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(ALL))
def test_every_random_scenario_is_estimated_as_it_is_simulated(seed: int) -> None:
    case = drawn_staged(seed).scenario
    if comparable(case):
        check(case)


# ------------------------------------------------------------------------------------------- found by this comparison


@pytest.mark.parametrize("layers", [[1, 7], [7, 1], [4, 4], [3, 5]])
@pytest.mark.parametrize("microbatches", [4, 16, 64])
def test_a_fast_first_stage_hinders_the_next_only_as_long_as_it_has_something_to_send(
    layers: list[int], microbatches: int
) -> None:
    """Its sends meet the tensor ranks' collectives on the NICs, and end before these do."""
    work = {**PREFILL, "batch": 64}
    check(scenario("TP2_PP2", cluster(4, nic="2 GB/s"), workload=work, microbatches=microbatches, stage_layers=layers))


def narrow(nics: int, **infiniband: Any) -> Tree:
    machine = cluster(4, 8)
    machine["infiniband"] |= {"nics_per_node": nics, **infiniband}
    return machine


SPINE = {"fabric": "leaf-spine", "leaf_ports": 20, "oversubscription": 4}


@pytest.mark.parametrize("machine", [narrow(1), narrow(2), narrow(8), narrow(8, **SPINE), narrow(4, **SPINE)])
@pytest.mark.parametrize(
    ("plan", "model"),
    [
        ({"tp": 2, "dp": 16}, DENSE),
        ({"tp": 2, "dp": 8, "pp": 2}, DENSE),
        ({"pp": 4, "dp": 8}, DENSE),
        ({"ep": 8, "dp": 32}, MIXTURE),
        ({"ep": 2, "dp": 8, "pp": 4}, MIXTURE),
    ],
)
def test_groups_that_share_nics_or_trunks_are_slowed_by_one_another(machine: Tree, plan: Tree, model: Tree) -> None:
    """Replicas innermost: the ranks of a group are on different nodes."""
    work = {**PREFILL, "batch": {"per_replica": 4}}
    check(scenario(plan, machine, model=model, workload=work, placement=["dp", "tp", "cp", "pp"]))


@pytest.mark.parametrize("plan", [{"tp": 2, "pp": 4}, {"tp": 2, "ep": 2, "pp": 2, "etp": 1}])
@pytest.mark.parametrize("workload", [PREFILL, {**DECODE, "steps": 3}])
@pytest.mark.parametrize(
    "execution",
    [
        {"overlap": "two-batch"},
        {"overlap": "two-batch", "dispatch_chunks": 2, "sequence_parallel": True},
        {"overlap_shared_experts": True, "dispatch_chunks": 3},
    ],
)
def test_overlap_within_stages_is_estimated_as_it_is_simulated(
    plan: Tree, workload: Tree, execution: dict[str, Any]
) -> None:
    model = {**MIXTURE, "moe": {**MIXTURE["moe"], "shared_experts": 1}}
    work = {**workload, "batch": {"per_replica": 8}}
    check(scenario(plan, cluster(8, nic="5 GB/s"), model=model, workload=work, **execution))
