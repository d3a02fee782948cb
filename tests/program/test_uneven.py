"""Unevenly popular experts: who receives how much, against the arithmetic on paper; nothing changes without them."""

from __future__ import annotations

from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.kernels import ElementWise, GroupedGemm
from simcluster.plan.layout import Layout
from simcluster.plan.share import Share
from simcluster.program.lower import lower
from simcluster.program.program import Collective, Compute, Program, live_bytes
from simcluster.scenario.compile import compile_text
from tests.edge_helpers import SMALL
from tests.physics_helpers import law

HOT = "workload.expert_load={5: 4, 2: 2}"
"""Of 8 experts: weights 1 1 2 1 1 4 1 1, 12 in all; over ep 4 the pairs get 2, 3, 5 and 2 of 12."""

PLANS = ("EP4_TP2_PP1", "EP8", "{tp: 2, ep: 4, etp: 1}", "{tp: 4, ep: 2, etp: 2}", "{ep: 2, etp: 4}", "{ep: 4, edp: 2}")


def lowered(*overrides: str) -> tuple[Share, Program]:
    """The small scenario's share and program under overrides."""
    scenario = compile_text(SMALL, "small.yaml", overrides)
    degrees = scenario.plan.degrees
    share = Share(model=scenario.model, degrees=degrees, workload=scenario.workload)
    return share, lower(share, Layout(degrees=degrees, gpus_per_node=scenario.cluster.gpus_per_node))


def computes(program: Program, name: str) -> list[Compute]:
    return [op for op in program.operations if isinstance(op, Compute) and op.name == name]


def collectives(program: Program, name: str) -> list[Collective]:
    return [op for op in program.operations if isinstance(op, Collective) and op.name == name]


@st.composite
def loads(draw: st.DrawFn) -> str:
    """Popularities of some of the 8 experts, close enough to each other that top_k 2 can hold."""
    weights = draw(st.dictionaries(st.integers(0, 7), st.floats(0.25, 1.5), max_size=8))
    return f"workload.expert_load={{{', '.join(f'{expert}: {weight!r}' for expert, weight in weights.items())}}}"


def test_an_ep_coordinate_gets_the_part_of_the_experts_it_holds() -> None:
    share, program = lowered(HOT)
    assert share.expert_shares == pytest.approx((2 / 12, 3 / 12, 5 / 12, 2 / 12), rel=1e-12)
    assert share.expert_loads == pytest.approx((8 / 12, 12 / 12, 20 / 12, 8 / 12), rel=1e-12)
    assert program.shares == share.expert_shares


EVERYONE = ", ".join(f"{expert}: 3" for expert in range(8))


@pytest.mark.parametrize("load", ["", "3: 1", "0: 2, 2: 2, 4: 2, 6: 2", EVERYONE])
def test_where_every_coordinate_gets_the_same_the_program_is_the_even_one(load: str) -> None:
    assert lowered(f"workload.expert_load={{{load}}}")[1] == lowered()[1]


def test_experts_that_nobody_chooses_are_not_read() -> None:
    """One of each coordinate's two: half the weights, as many rows; and one coordinate's alone."""
    even, half, first = (
        computes(lowered(f"workload.expert_load={{{load}}}")[1], "moe.experts")[0]
        for load in ("", "0: 0, 3: 0, 5: 0, 7: 0", "0: 0")
    )
    assert isinstance(even.kernel, GroupedGemm)
    assert isinstance(half.kernel, GroupedGemm)
    assert (even.kernel.groups, half.kernel.groups, half.kernel.rows) == (2, 1, even.kernel.rows)
    weights = even.kernel.k * even.kernel.n * even.kernel.weight_bytes
    assert even.kernel.bytes - half.kernel.bytes == pytest.approx(weights, rel=1e-12)
    assert [one.groups for one in first.kernels if isinstance(one, GroupedGemm)] == [1, 2, 2, 2]


@pytest.mark.parametrize("plan", ["TP8", "DP8", "{tp: 4, ep: 1, etp: 2}"])
def test_without_expert_parallelism_every_rank_runs_the_same(plan: str) -> None:
    assert lowered(f"plan={plan}", HOT)[1] == lowered(f"plan={plan}")[1]


def test_a_dense_model_has_no_shares() -> None:
    share, program = lowered("model.moe=null", "model.mlp={hidden: 512}", "plan=TP8")
    assert (share.expert_shares, share.expert_loads, program.shares) == ((), (1.0,), ())


def test_kernels_on_received_copies_have_one_per_coordinate() -> None:
    """256 tokens of a replica x top_k 2 are 512 copies of an ep coordinate's two lanes on average: rows 512·ep·P_j."""
    _, program = lowered(HOT)
    for name in ("moe.experts", "moe.activation"):
        for operation in computes(program, name):
            assert len(operation.kernels) == 4
            assert operation.kernel == operation.kernels[2]
    products = computes(program, "moe.experts")
    rows = [[kernel.rows for kernel in op.kernels if isinstance(kernel, GroupedGemm)] for op in products]
    assert rows == [pytest.approx([512 * 4 * part / 12 for part in (2, 3, 5, 2)], rel=1e-12)] * 4
    activation = computes(program, "moe.activation")[0].kernels[2]
    assert isinstance(activation, ElementWise)
    assert activation.write_bytes == pytest.approx(512 * 20 / 12 * 512 / 2, rel=1e-12)
    others = {op.name for op in program.operations if isinstance(op, Compute) and not op.kernels}
    assert {"norm", "attention.core", "moe.router", "moe.permute", "residual"} <= others
    assert others.isdisjoint({"moe.experts", "moe.activation"})


def test_shared_experts_run_on_a_rank_s_own_tokens() -> None:
    _, program = lowered(HOT, "model.moe.shared_experts=1")
    assert computes(program, "moe.shared")
    assert not any(operation.kernels for operation in computes(program, "moe.shared"))


def test_payloads_stay_the_mean_and_carry_the_shares() -> None:
    (_, even), (_, program) = lowered(), lowered(HOT)
    moved = ("moe.dispatch", "moe.lane_all_gather", "moe.lane_reduce_scatter", "moe.combine")
    for one, other in zip(even.operations, program.operations, strict=True):
        assert (one.name, one.layer, one.after) == (other.name, other.layer, other.after)
        if isinstance(one, Collective) and isinstance(other, Collective):
            assert one.payload_bytes == other.payload_bytes
            assert (one.kind, one.axis, one.back) == (other.kind, other.axis, other.back)
            assert other.shares == (program.shares if one.name in moved else ())
    assert not any(operation.back for operation in collectives(program, "moe.dispatch"))
    assert all(operation.back for operation in collectives(program, "moe.combine"))


def test_live_tensors_are_those_of_the_most_loaded_rank() -> None:
    """5/12 of the copies: 20/12 of the mean in what received copies fill, and the residual stream as it is."""
    (_, even), (_, program) = lowered(), lowered(HOT)
    for one, other in zip(even.operations, program.operations, strict=True):
        changed = {name for name in one.live if one.live[name] != other.live[name]}
        assert all(other.live[name] == pytest.approx(one.live[name] * 20 / 12, rel=1e-12) for name in changed)
        assert other.received == pytest.approx(sum(other.live[name] for name in changed), rel=1e-12)
    fullest, activations = program.fullest(0), program.activation_bytes(0)
    assert fullest.live["residual"] == even.fullest(0).live["residual"]
    hottest, alone = live_bytes(fullest), fullest.live["residual"]
    assert activations[2] == hottest > max(activations[at] for at in (0, 1, 3))
    assert activations[1] == pytest.approx(even.activation_bytes(0)[0], rel=1e-12)
    assert activations[0] > alone


@law(80)
@given(plan=st.sampled_from(PLANS), load=loads())
def test_what_is_sent_arrives(plan: str, load: str) -> None:
    share, program = lowered(f"plan={plan}", load)
    even = lowered(f"plan={plan}")[1]
    ep, parts = share.degrees.ep, program.shares or (1 / share.degrees.ep,) * share.degrees.ep
    assert fsum(parts) == pytest.approx(1, rel=1e-12)

    dispatch, combine = collectives(program, "moe.dispatch")[0], collectives(program, "moe.combine")[0]
    out = [[dispatch.payload_bytes * parts[to] for to in range(ep)] for _ in range(ep)]
    back = [[combine.payload_bytes * parts[sender] for _ in range(ep)] for sender in range(ep)]
    ratio = combine.payload_bytes / dispatch.payload_bytes
    for one in range(ep):
        assert fsum(out[one]) == pytest.approx(dispatch.payload_bytes, rel=1e-12)
        assert fsum(row[one] for row in back) == pytest.approx(combine.payload_bytes, rel=1e-12)
        received, returned = fsum(row[one] for row in out), fsum(back[one])
        assert returned == pytest.approx(ratio * received, rel=1e-12, abs=0)

    for before, after in zip(computes(even, "moe.experts"), computes(program, "moe.experts"), strict=True):
        kernels = after.kernels or (after.kernel,) * ep
        rows = [kernel.rows for kernel in kernels if isinstance(kernel, GroupedGemm)]
        assert isinstance(before.kernel, GroupedGemm)
        assert fsum(rows) == pytest.approx(ep * before.kernel.rows, rel=1e-12)
        assert rows == pytest.approx([before.kernel.rows * ep * part for part in parts], rel=1e-12)
        assert after.kernel.bytes == max(kernel.bytes for kernel in kernels)
        assert fsum(kernel.flops for kernel in kernels) == pytest.approx(ep * before.kernel.flops, rel=1e-12)
    counted = program.flops[0] * (1 if program.shares else ep)
    assert fsum(counted) == pytest.approx(ep * even.flops[0][0], rel=1e-12)


@law(80)
@given(plan=st.sampled_from(PLANS), load=loads())
def test_activations_of_every_coordinate_are_those_of_a_program_that_gets_as_much(plan: str, load: str) -> None:
    """The peak of coordinate j is the larger of what does not depend on copies and of an affine function of P_j."""
    share, program = lowered(f"plan={plan}", load)
    even = lowered(f"plan={plan}")[1]
    for activations, times in zip(program.activation_bytes(0), share.expert_loads, strict=True):
        wanted = max(live_bytes(op) - op.received + times * op.received for op in even.operations)
        assert activations == pytest.approx(wanted, rel=1e-12)
    assert max(program.activation_bytes(0)) == live_bytes(program.fullest(0))


@law(40)
@given(load=loads(), scale=st.sampled_from([0.5, 2.0, 4.0]))
def test_popularity_is_relative(load: str, scale: float) -> None:
    workload = compile_text(SMALL, "small.yaml", [load]).workload
    weights = {expert: scale * workload.expert_load.get(expert, 1.0) for expert in range(8)}
    text = ", ".join(f"{expert}: {weight!r}" for expert, weight in weights.items())
    assert lowered(f"workload.expert_load={{{text}}}")[0].expert_shares == lowered(load)[0].expert_shares
