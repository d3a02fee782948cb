"""Folded and unfolded replays of one scenario give the same numbers: every scalar, row, span, wire and rate."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from simcluster.cluster.cluster import Cluster
from simcluster.pipeline import simulate
from simcluster.replay.run import run
from simcluster.scenario.compile import compile_text, load
from tests.physics_helpers import EXAMPLE, random_program
from tests.replay.folding_helpers import ALLOWED, Apart, Drawn, check_folded_is_unfolded, compare_timelines, drawn

ALL = 600
"""Random scenarios; a tenth of them is compared by default."""

MOST_GPUS = 1024
"""GPUs up to which every rank of a shipped scenario is replayed."""

SCENARIOS = [
    path
    for path in sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
    if load(path).cluster.gpus <= MOST_GPUS
]
LARGE = ("ep64_tp2_pp1_1024.yaml",)
"""Scenarios that take seconds to replay unfolded."""


@pytest.mark.parametrize("seed", range(ALL // 10))
def test_a_random_scenario_is_the_same_folded(seed: int, record_property: Callable[[str, object], None]) -> None:
    record_property("largest difference", check_folded_is_unfolded(case(seed).scenario))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(ALL))
def test_every_random_scenario_is_the_same_folded(seed: int, record_property: Callable[[str, object], None]) -> None:
    record_property("largest difference", check_folded_is_unfolded(case(seed).scenario))


@pytest.mark.parametrize("path", [path for path in SCENARIOS if path.name not in LARGE], ids=lambda path: path.stem)
def test_a_shipped_scenario_is_the_same_folded(path: Path) -> None:
    check_folded_is_unfolded(load(path))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", LARGE)
def test_a_large_shipped_scenario_is_the_same_folded(name: str) -> None:
    (path,) = (path for path in SCENARIOS if path.name == name)
    check_folded_is_unfolded(load(path))


def test_random_programs_whose_groups_lie_askew_are_the_same_folded() -> None:
    """Groups of three and of two on nodes of four, with any order of needs between kernels and collectives."""
    rng = random.Random(20261122)
    tracks = Counter[int]()
    for number in range(40):
        program, cluster = random_program(rng)
        small, whole = run(program, cluster), run(program, cluster, fold="off")
        apart = Apart()
        compare_timelines(apart, small, whole)
        assert apart.worst[0] <= ALLOWED, f"case {number}: {apart.found}"
        tracks[len(small.tracks)] += 1
    assert min(tracks) == 1
    assert max(tracks) > 1


# ------------------------------------------------------------------------------------------- found by this comparison


@pytest.mark.parametrize("fabric", ["leaf-spine", "fat-tree"])
@pytest.mark.parametrize("leaf_ports", [8, 10, 12, 16, 24])
@pytest.mark.parametrize("oversubscription", [1, 3])
def test_nodes_whose_nics_fill_leaves_unevenly_are_the_same_folded(
    fabric: str, leaf_ports: int, oversubscription: int
) -> None:
    """Eight NICs of a node on leaves with room for five are five and three: two kinds of trunks."""
    infiniband = (f"fabric={fabric}", f"leaf_ports={leaf_ports}", f"oversubscription={oversubscription}")
    overrides = [f"cluster.infiniband.{one}" for one in infiniband]
    small = ("cluster.nodes=4", "plan=EP16_TP2_PP1", "workload.batch=32", "model.layers=2", "expect=[]")
    check_folded_is_unfolded(compile_text(EXAMPLE, "x.yaml", (*overrides, *small)))


@pytest.mark.parametrize("topology", ["nvswitch", "mesh"])
def test_a_single_gpu_a_node_is_the_same_folded(topology: str) -> None:
    """A mesh of one GPU has no links."""
    overrides = (
        "cluster.gpus_per_node=1", "cluster.infiniband.nics_per_node=1", f"cluster.nvlink.topology={topology}",
        "cluster.nodes=8", "plan=EP8", "workload.batch=8", "model.layers=2", "expect=[]",
    )  # fmt: skip
    check_folded_is_unfolded(compile_text(EXAMPLE, "x.yaml", overrides))


# --------------------------------------------------------------------------------------------------- what is compared


@cache
def case(seed: int) -> Drawn:
    return drawn(seed)


def test_the_same_seed_draws_the_same_scenario() -> None:
    assert drawn(7).text == drawn(7).text


def facts(cluster: Cluster) -> set[str]:
    """What is special about a cluster."""
    infiniband, nvlink = cluster.infiniband, cluster.nvlink
    assert infiniband is not None
    found = {infiniband.fabric if cluster.nodes > 1 else "one node", cluster.sharing}
    found |= {f"algorithm {name}" for name in cluster.algorithms.values()}
    return found | {
        word
        for word, holds in {
            "mesh": nvlink is not None and nvlink.topology == "mesh",
            "wide domain": cluster.domain_gpus > cluster.gpus_per_node,
            "no nvlink": nvlink is None,
            "nvlink and pcie": nvlink is not None and cluster.pcie is not None,
            "shared nics": infiniband.nics_per_node < cluster.gpus_per_node,
            "forwarding": cluster.routing.rail_forwarding,
            "hashed": cluster.routing.seed is not None,
            "narrow": infiniband.oversubscription > 1,
            "background": bool(cluster.background),
            "cable or nic": bool(cluster.faults),
            "dead": any(fault.factor == 0 for fault in cluster.faults),
            "slow gpu": bool(cluster.slow_gpus),
            "measured": cluster.library is not None,
        }.items()
        if holds
    }


def test_the_random_scenarios_are_of_every_kind() -> None:
    cases = [case(seed).scenario for seed in range(ALL // 10)]
    seen = Counter(word for scenario in cases for word in facts(scenario.cluster))
    for scenario in cases:
        seen[scenario.workload.phase] += 1
        seen["moe" if scenario.model.moe else "dense"] += 1
        seen[scenario.plan.convention] += 1
        seen["steps"] += scenario.workload.steps > 1
        seen["uneven"] += bool(scenario.workload.expert_load)
        seen["etp"] += scenario.plan.degrees.etp > 1
        seen["large"] += scenario.cluster.gpus > 100
    wanted = """rail-optimized single-switch leaf-spine fat-tree dragonfly torus-2d torus-3d custom flow activity mesh
        no_nvlink wide_domain nvlink_and_pcie shared_nics forwarding hashed narrow background cable_or_nic dead slow_gpu
        measured prefill decode moe dense orthogonal folded steps uneven etp large"""
    missing = [word for word in wanted.split() if not seen[word.replace("_", " ")]]
    assert not missing, seen


def test_some_of_them_fold_to_one_track_some_to_a_few_and_some_hardly() -> None:
    found = [simulate(case(seed).scenario).timeline for seed in range(ALL // 10)]
    sizes = [(timeline.folding.tracks, timeline.folding.ranks) for timeline in found if timeline is not None]
    assert len(sizes) == len(found)
    assert sum(tracks == 1 for tracks, _ in sizes) >= len(found) // 3
    assert sum(1 < tracks < ranks for tracks, ranks in sizes) >= len(found) // 10
    assert sum(tracks > 4 for tracks, _ in sizes) >= 2
