"""Sequence parallelism: the same volume in halves, and norms and residuals on a lane's own tokens."""

from __future__ import annotations

from typing import Any

import pytest

from simcluster.kernels import ElementWise
from simcluster.pipeline import program_of, simulate
from simcluster.program.program import Compute, live_bytes
from simcluster.scenario.scenario import Scenario
from tests.execution_helpers import DENSE, MIXTURE, Tree, cluster, collective_names, computes, scenario, total_flops
from tests.physics_helpers import row

TOKENS, HIDDEN, LAYERS = 8 * 512, 1024, 8


def planned(tp: int, on: bool, plan: object = None, model: Tree = DENSE, **more: Any) -> Scenario:
    return scenario(plan or f"TP{tp}", cluster(1, tp), model=model, sequence_parallel=on, **more)


@pytest.mark.parametrize("tp", [2, 4, 8])
@pytest.mark.parametrize("part", ["attention", "mlp"])
def test_reduce_scatter_and_all_gather_move_what_the_all_reduce_moves(tp: int, part: str) -> None:
    """2 (tp-1)/tp x tokens x hidden x 2 bytes a layer either way, in one collective or in two."""
    plain, cut = simulate(planned(tp, on=False)), simulate(planned(tp, on=True))
    whole = row(plain, f"{part}.all_reduce")
    halves = [row(cut, f"{part}.{name}") for name in ("reduce_scatter", "all_gather")]
    assert whole.bytes == pytest.approx(LAYERS * 2 * (tp - 1) / tp * TOKENS * HIDDEN * 2, rel=1e-9)
    assert [one.bytes for one in halves] == pytest.approx([whole.bytes / 2] * 2, rel=1e-9)
    assert sum(one.seconds for one in halves) == pytest.approx(whole.seconds, rel=1e-9)
    assert [one.kind for one in halves] == ["reduce_scatter", "all_gather"]


def test_the_gather_is_in_the_compute_type_and_the_reduction_in_the_communication_type() -> None:
    machine = cluster(1, 2)
    machine["gpu"]["peak"] = {"bf16": "100 TFLOPS", "fp8": "200 TFLOPS"}
    machine["gpu"]["efficiency"] = {"compute": 1, "memory": 1}
    found = simulate(scenario("TP2", machine, model={**DENSE, "precision": "fp8"}, sequence_parallel=True))
    assert row(found, "attention.all_gather").bytes == pytest.approx(LAYERS * TOKENS / 2 * HIDDEN * 1, rel=1e-9)
    assert row(found, "attention.reduce_scatter").bytes == pytest.approx(LAYERS * TOKENS / 2 * HIDDEN * 2, rel=1e-9)


@pytest.mark.parametrize("tp", [2, 4])
@pytest.mark.parametrize("name", ["norm", "residual"])
def test_norms_and_residuals_touch_a_lane_s_tokens_only(tp: int, name: str) -> None:
    def bytes_(on: bool) -> list[float]:
        return [one.kernel.bytes for one in computes(planned(tp, on=on), name)]

    assert bytes_(on=True) == pytest.approx([one / tp for one in bytes_(on=False)], rel=1e-9)
    (kernel,) = {one.kernel for one in computes(planned(tp, on=True), name)}
    assert isinstance(kernel, ElementWise)
    assert kernel.bytes == pytest.approx({"norm": 2, "residual": 3}[name] * TOKENS / tp * HIDDEN * 2, rel=1e-9)


@pytest.mark.parametrize("plan", ["TP4", "TP2_PP2", "TP2_CP2"])
def test_counted_work_does_not_change(plan: str) -> None:
    plain, cut = (scenario(plan, cluster(1, 4), sequence_parallel=on) for on in (False, True))
    assert total_flops(cut) == pytest.approx(total_flops(plain), rel=1e-9)


def test_the_residual_stream_takes_a_lane_s_part_of_the_memory() -> None:
    for on, lanes in ((False, 1), (True, 4)):
        for one in program_of(planned(4, on=on)).operations:
            assert one.live["residual"] == TOKENS / lanes * HIDDEN * 2
    fullest = [live_bytes(program_of(planned(4, on=on)).fullest(0)) for on in (False, True)]
    assert fullest[1] < fullest[0]


def test_alone_on_a_lane_it_changes_nothing() -> None:
    plain, cut = (program_of(planned(1, on=on)) for on in (False, True))
    assert plain == cut


def test_on_the_general_path_a_lane_keeps_the_tokens_it_routed() -> None:
    """Nothing is gathered after combine, and nothing before the router: each lane routes its own tokens anyway."""
    plan = {"tp": 4, "ep": 4, "etp": 1}
    plain, cut = (planned(4, on=on, plan=plan, model=MIXTURE) for on in (False, True))
    assert "moe.all_gather" in collective_names(plain)
    assert collective_names(cut) == {
        "attention.all_gather",
        "attention.reduce_scatter",
        "moe.dispatch",
        "moe.combine",
    }
    assert [one.kernel for one in computes(cut, "moe.router")] == [one.kernel for one in computes(plain, "moe.router")]
    norms = {one.kernel.bytes for one in computes(cut, "norm")}
    assert norms == {2 * TOKENS / 4 * HIDDEN * 2}


def test_where_experts_are_cut_like_a_dense_mlp_they_gather_and_reduce_like_one() -> None:
    plan = {"tp": 4, "ep": 1, "etp": 4}
    assert collective_names(planned(4, on=True, plan=plan, model=MIXTURE)) == {
        "attention.all_gather",
        "attention.reduce_scatter",
        "moe.all_gather",
        "moe.reduce_scatter",
    }
    plain, cut = (simulate(planned(4, on=on, plan=plan, model=MIXTURE)) for on in (False, True))
    halves = row(cut, "moe.all_gather").bytes + row(cut, "moe.reduce_scatter").bytes
    assert halves == pytest.approx(row(plain, "moe.all_reduce").bytes, rel=1e-9)


@pytest.mark.parametrize("on", [False, True])
def test_the_embedding_adds_lanes_as_every_part_does(on: bool) -> None:
    names = collective_names(planned(2, on=on, model={**DENSE, "vocab": 32000}))
    assert ("embedding.reduce_scatter" in names, "embedding.all_reduce" in names) == (on, not on)


def test_every_kernel_but_norms_and_residuals_is_the_same() -> None:
    def others(on: bool) -> list[Compute]:
        program = program_of(planned(4, on=on))
        kept = [one for one in program.operations if isinstance(one, Compute)]
        return [one for one in kept if one.name not in ("norm", "residual")]

    assert [(one.name, one.kernel) for one in others(on=True)] == [(one.name, one.kernel) for one in others(on=False)]
