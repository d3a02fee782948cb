"""Which axis is innermost matters where wires differ, and only there."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from simcluster.pipeline import simulate
from simcluster.plan.execution import PLACEMENT
from simcluster.timeline.result import Result
from tests.execution_helpers import DECODE, DENSE, MIXTURE, PREFILL, Tree, cluster, scenario, seconds
from tests.physics_helpers import row

EVERY = tuple(permutations(PLACEMENT))
PLANS: dict[str, tuple[Any, Tree]] = {
    "dense": ({"tp": 2, "cp": 2, "dp": 2, "pp": 2}, {**DENSE, "layers": 2}),
    "folded experts": ({"tp": 2, "cp": 2, "dp": 2, "pp": 2, "ep": 4, "etp": 1}, {**MIXTURE, "layers": 2}),
    "orthogonal experts": ({"tp": 2, "dp": 4, "pp": 2, "ep": 4, "etp": 2}, {**MIXTURE, "layers": 2}),
}


def placed(plan: str, placement: tuple[str, ...], machine: Tree, workload: Tree = PREFILL) -> Result:
    degrees, model = PLANS[plan]
    work = {**workload, "batch": 16}
    return simulate(
        scenario(degrees, machine, model=model, workload=work, placement=list(placement), context_attention="ring")
    )


@pytest.mark.parametrize("plan", list(PLANS))
@pytest.mark.parametrize("workload", [PREFILL, {**DECODE, "steps": 2}])
def test_on_one_uniform_tier_every_placement_takes_as_long(plan: str, workload: Tree) -> None:
    machine = cluster(16, nic="10 GB/s")
    expected = placed(plan, PLACEMENT, machine, workload)
    for placement in EVERY:
        found = placed(plan, placement, machine, workload)
        assert seconds(found) == pytest.approx(seconds(expected), rel=1e-9), placement
        for name in ("idle", "waiting", "exposed_communication", "traffic.infiniband", "memory.total"):
            assert found.metrics[name] == pytest.approx(expected.metrics[name], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("plan", list(PLANS))
def test_leaving_placement_out_is_the_default(plan: str) -> None:
    degrees, model = PLANS[plan]
    left_out = simulate(
        scenario(degrees, cluster(4, 4), model=model, workload={**PREFILL, "batch": 16}, context_attention="ring")
    )
    assert left_out.as_dict() == placed(plan, PLACEMENT, cluster(4, 4)).as_dict()


AXIS = {"tp": "attention.all_reduce", "cp": "attention.ring_send", "pp": "pipeline.send"}


@pytest.mark.parametrize("placement", EVERY)
def test_the_two_innermost_axes_stay_inside_a_node_of_four(placement: tuple[str, ...]) -> None:
    """Each degree is 2: their traffic is all on NVLink, that of the two outermost all on InfiniBand."""
    result = placed("dense", placement, cluster(4, 4))
    for axis, name in AXIS.items():
        found = row(result, name)
        inside = axis in placement[:2]
        assert (found.bytes_infiniband == 0) == inside
        assert (found.bytes_nvlink > 0) == inside


def test_tensor_ranks_across_nodes_cost_what_the_slower_wires_cost() -> None:
    """A pair's all-reduce sends its whole buffer each way, at 50 GB/s instead of 400."""
    inner, outer = (
        simulate(scenario("TP2_DP2", cluster(2, 2), workload={**PREFILL, "batch": 4}, placement=placement))
        for placement in (["tp", "cp", "dp", "pp"], ["dp", "tp", "cp", "pp"])
    )
    buffer = 2 * 512 * 1024 * 2
    collectives = 8 * 2
    assert seconds(outer) - seconds(inner) == pytest.approx(collectives * buffer * (1 / 50e9 - 1 / 400e9), rel=1e-9)
