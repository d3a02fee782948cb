"""Stages, context ranks, placements and overlap, folded and unfolded: every number of random scenarios is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest

from simcluster.pipeline import simulate
from simcluster.plan.execution import PLACEMENT, PLAIN
from simcluster.scenario.scenario import Scenario
from tests.replay.folding_helpers import Drawn, check_folded_is_unfolded
from tests.replay.staged_helpers import drawn_staged

ALL = 240
"""Random scenarios; a tenth of them is compared by default."""


@cache
def case(seed: int) -> Drawn:
    return drawn_staged(seed)


@pytest.mark.parametrize("seed", range(ALL // 15))
def test_a_random_scenario_with_stages_is_the_same_folded(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    record_property("largest difference", check_folded_is_unfolded(case(seed).scenario, finer=True))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(ALL))
def test_every_random_scenario_with_stages_is_the_same_folded(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    record_property("largest difference", check_folded_is_unfolded(case(seed).scenario, finer=True))


def test_the_same_seed_draws_the_same_scenario() -> None:
    assert drawn_staged(11).text == drawn_staged(11).text


def facts(scenario: Scenario) -> set[str]:
    """What is special about how a scenario is run."""
    execution, degrees, cluster = scenario.execution, scenario.plan.degrees, scenario.cluster
    return {
        word
        for word, holds in {
            "stages": degrees.pp > 1,
            "many stages": degrees.pp > 3,
            "uneven stages": len(set(execution.stage_layers)) > 1,
            "microbatches": scenario.share.microbatches > 1,
            "context": degrees.cp > 1,
            "stages and context": degrees.pp > 1 and degrees.cp > 1,
            "ring": degrees.cp > 1 and execution.context_attention == "ring" and scenario.workload.phase == "prefill",
            "placement": execution.placement != PLACEMENT,
            "inner stages": execution.placement[-1] != "pp" and degrees.pp > 1,
            "sequence parallel": execution.sequence_parallel and degrees.tp > 1,
            "two batches": execution.overlap == "two-batch",
            "chunks": execution.dispatch_chunks > 1 and degrees.ep > 1,
            "late shared": execution.overlap_shared_experts and scenario.model.moe is not None and degrees.ep > 1,
            "chained": degrees.pp > 1 and scenario.workload.phase == "decode" and scenario.workload.steps > 1,
            "generate": scenario.workload.phase == "generate" and degrees.pp > 1,
            "window": scenario.model.window is not None and degrees.cp > 1,
            "faults": degrees.pp > 1 and bool(cluster.faults),
            "slow gpu": degrees.pp > 1 and bool(cluster.slow_gpus),
            "uneven experts": degrees.pp > 1 and bool(scenario.share.expert_shares),
            "flow": degrees.pp > 1 and cluster.sharing == "flow",
            "overlap with stages": degrees.pp > 1 and execution != PLAIN,
        }.items()
        if holds
    }


def test_the_random_scenarios_are_of_every_kind() -> None:
    cases = [case(seed).scenario for seed in range(ALL // 6)]
    seen = Counter(word for scenario in cases for word in facts(scenario))
    wanted = """stages many_stages uneven_stages microbatches context stages_and_context ring placement inner_stages
        sequence_parallel two_batches chunks late_shared chained generate window faults slow_gpu uneven_experts flow
        overlap_with_stages"""
    missing = [word for word in wanted.split() if not seen[word.replace("_", " ")]]
    assert not missing, seen


def test_some_stages_fold_before_they_are_built_and_some_are_split() -> None:
    found = []
    for seed in range(ALL // 10):
        scenario = case(seed).scenario
        timeline = simulate(scenario).timeline
        assert timeline is not None
        if scenario.plan.degrees.pp > 1:
            found.append((timeline.folding.tracks, scenario.plan.degrees.pp, timeline.folding.ranks))
    assert sum(tracks == stages < ranks for tracks, stages, ranks in found) >= 5
    assert sum(tracks > stages for tracks, stages, _ in found) >= 3
