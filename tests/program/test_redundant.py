"""Redundant experts and drawn copies in the program: rows of GEMMs, shares of all-to-alls, the same run unfolded."""

from __future__ import annotations

from math import fsum

import pytest

from simcluster.kernels import GroupedGemm
from simcluster.pipeline import program_of, simulate
from simcluster.plan.share import Share
from simcluster.program.program import Collective, Compute
from simcluster.scenario.compile import compile_text
from simcluster.scenario.scenario import Scenario
from tests.edge_helpers import SMALL

HOT = "workload.expert_load={5: 4, 2: 2}"


def compiled(*overrides: str) -> Scenario:
    return compile_text(SMALL, "small.yaml", overrides)


def rows(scenario: Scenario) -> list[list[float]]:
    """The rows of each expert GEMM on each ep coordinate."""
    found = []
    for op in program_of(scenario).operations:
        if isinstance(op, Compute) and op.name == "moe.experts":
            kernels = op.kernels or (op.kernel,) * scenario.plan.degrees.ep
            found.append([kernel.rows for kernel in kernels if isinstance(kernel, GroupedGemm)])
    return found


@pytest.mark.parametrize("redundant", [0, 4, 8, 24])
@pytest.mark.parametrize(
    "load", [HOT, "workload.expert_load={zipf: 1, drawn: true}", "workload.expert_load={drawn: true}"]
)
def test_no_copy_is_lost(load: str, redundant: int) -> None:
    """1,024 tokens with two copies each, on 4 coordinates that each serve all lanes."""
    scenario = compiled(load, f"workload.redundant_experts={redundant}")
    for each in rows(scenario):
        assert fsum(each) == pytest.approx(1024 * 2, rel=1e-12)
    sent = [op for op in program_of(scenario).operations if isinstance(op, Collective) and op.axis == "ep"]
    assert all(not op.shares or fsum(op.shares) == pytest.approx(1, rel=1e-12) for op in sent)


def test_a_rank_runs_its_redundant_experts_too() -> None:
    """8 + 4 experts on 4 ranks: three weight matrices a GEMM."""
    scenario = compiled(HOT, "workload.redundant_experts=4")
    share = Share(model=scenario.model, degrees=scenario.plan.degrees, workload=scenario.workload)
    assert share.experts == 3
    kernels = [op.kernel for op in program_of(scenario).operations if isinstance(op, Compute)]
    assert {kernel.groups for kernel in kernels if isinstance(kernel, GroupedGemm)} == {3}


def test_dispatch_sends_what_the_placement_says() -> None:
    """Of 12 weights: 4 of expert 5 in replicas of 4/3, three of them; 2 of expert 2 in two of 1; six others of 1."""
    scenario = compiled(HOT, "workload.redundant_experts=4")
    share = Share(model=scenario.model, degrees=scenario.plan.degrees, workload=scenario.workload)
    held = [fsum({5: 4 / 4, 2: 2 / 2}.get(expert, 1.0) for expert in place) for place in share.expert_places]
    counts = [sum(expert in place for place in share.expert_places) for expert in range(8)]
    assert (counts[5], counts[2]) == (4, 2)
    assert held == [3, 3, 3, 3]
    assert share.expert_shares == ()


@pytest.mark.parametrize(
    "overrides",
    [
        ("workload.expert_load={zipf: 1, drawn: true}",),
        (HOT, "workload.redundant_experts=8"),
        ("workload.expert_load={power_law: 1.2}", "workload.redundant_experts=4", "faults=[{jitter: 0.05}]"),
        ("workload.expert_load={drawn: true}", "faults=[{node: 1, factor: 0.5}]"),
    ],
)
def test_folding_changes_nothing(overrides: tuple[str, ...]) -> None:
    runs = simulate(compiled(*overrides), fold="auto"), simulate(compiled(*overrides), fold="off")
    folded, unfolded = ({name: value for name, value in run.metrics.items() if value is not None} for run in runs)
    assert folded == pytest.approx(unfolded, rel=1e-9, abs=1e-12)


def test_experts_of_a_rank_in_another_order_change_nothing() -> None:
    """Experts 4 and 5 share a rank."""
    one, other = (simulate(compiled(f"workload.expert_load={{{hot}: 5}}")) for hot in (4, 5))
    assert one.metrics == other.metrics
    away = simulate(compiled("workload.expert_load={3: 5}"))
    assert away.balance["hottest_gpu_group"] != one.balance["hottest_gpu_group"]


def test_redundant_experts_make_a_skewed_step_faster() -> None:
    skewed = ("workload.expert_load={5: 7}", "workload.sequence=4096")
    times = [
        simulate(compiled(*skewed, f"workload.redundant_experts={count}")).metrics["latency_s"] or 0
        for count in (0, 4, 24)
    ]
    assert times[0] > times[1] >= times[2]
    even = simulate(compiled("workload.sequence=4096")).metrics["latency_s"] or 0
    assert times[2] >= even


def test_prefill_and_decode_of_a_generation_are_drawn_apart() -> None:
    scenario = compiled(
        "workload={phase: generate, batch: 8, sequence: 128, output: 8, expert_load: {drawn: true}}",
    )
    program = program_of(scenario)
    shares = [op.shares for op in program.operations if isinstance(op, Collective) and op.name == "moe.dispatch"]
    assert len(set(shares)) == 2
    decode = shares[-1]
    assert max(decode) > max(shares[0])
    assert [round(part * 16, 9) for part in decode] == [round(part * 16) for part in decode]
