"""Layout: groups, coordinates and places of ranks."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simcluster.plan.degrees import Degrees
from simcluster.plan.layout import Axis, Group, Layout
from simcluster.plan.name import resolve
from tests.physics_helpers import law

AXES: tuple[Axis, ...] = ("tp", "cp", "dp", "pp", "etp", "ep", "edp")
degree = st.sampled_from([1, 2, 3, 4])


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    tp, cp, dp, pp, ep, etp = (draw(degree) for _ in range(6))
    assume(tp * cp * dp % (ep * etp) == 0)
    degrees = Degrees(tp=tp, pp=pp, dp=dp, cp=cp, ep=ep, etp=etp, edp=tp * cp * dp // (ep * etp))
    return Layout(degrees=degrees, gpus_per_node=draw(st.sampled_from([1, 2, 8])))


def named(name: str, gpus: int = 128) -> Layout:
    return Layout(degrees=resolve(name, gpus).degrees, gpus_per_node=8)


def nodes_of(group: Group) -> set[int]:
    return {rank // 8 for rank in group}


@law(100)
@given(layout=layouts(), axis=st.sampled_from(AXES))
def test_groups_along_every_axis_partition_the_ranks(layout: Layout, axis: Axis) -> None:
    groups = layout.groups(axis)
    assert sorted(rank for group in groups for rank in group) == list(range(layout.degrees.gpus))
    assert {len(group) for group in groups} == {layout.degrees.as_dict()[axis]}


@law(100)
@given(layout=layouts(), axis=st.sampled_from(AXES))
def test_members_of_a_group_differ_only_along_its_axis_and_stand_in_its_order(layout: Layout, axis: Axis) -> None:
    same_part: tuple[Axis, ...] = ("tp", "cp", "dp", "pp") if axis in ("tp", "cp", "dp") else ("etp", "ep", "edp", "pp")
    if axis == "pp":
        same_part = AXES
    for group in layout.groups(axis):
        assert [layout.coordinate(axis, rank) for rank in group] == list(range(len(group)))
        for other in same_part:
            if other != axis:
                assert len({layout.coordinate(other, rank) for rank in group}) == 1


@law(100)
@given(layout=layouts())
def test_coordinates_lead_back_to_the_rank(layout: Layout) -> None:
    """Attention: tp innermost, then cp, dp and pp.  Experts: etp, ep and edp of the same number, pp outermost."""
    d = layout.degrees
    for rank in range(d.gpus):
        at = {axis: layout.coordinate(axis, rank) for axis in AXES}
        assert rank == at["tp"] + d.tp * (at["cp"] + d.cp * (at["dp"] + d.dp * at["pp"]))
        assert rank == at["etp"] + d.etp * (at["ep"] + d.ep * (at["edp"] + d.edp * at["pp"]))


def test_tensor_pairs_of_the_example_share_a_node() -> None:
    pairs = named("EP64_TP2_PP1").groups("tp")
    assert len(pairs) == 64
    assert all(len(nodes_of(pair)) == 1 and pair[1] == pair[0] + 1 for pair in pairs)


def test_expert_groups_of_the_example_span_all_sixteen_nodes() -> None:
    groups = named("EP64_TP2_PP1").groups("ep")
    assert len(groups) == 2
    assert [len(nodes_of(group)) for group in groups] == [16, 16]


@pytest.mark.parametrize("name", ["EP8_DP16", "EP8", "EP8_TP1_PP1"])
def test_eight_experts_parallel_with_replicas_stay_inside_a_node(name: str) -> None:
    groups = named(name).groups("ep")
    assert len(groups) == 16
    assert all(len(nodes_of(group)) == 1 for group in groups)


def test_stages_are_outermost() -> None:
    layout = named("EP8_TP2_PP4", 64)
    assert [layout.coordinate("pp", rank) for rank in range(64)] == [stage for stage in range(4) for _ in range(16)]


def test_folded_experts_are_numbered_over_tensor_ranks() -> None:
    """TP8_EP8_DP16: the eight tensor ranks of a node are its eight expert ranks."""
    layout = named("TP8_EP8_DP16")
    assert layout.groups("ep") == layout.groups("tp")
    assert [layout.coordinate("edp", rank) for rank in (0, 7, 8, 127)] == [0, 0, 1, 15]


def test_seats_of_the_example_hold_one_expert_in_pairs_and_all_layers() -> None:
    layout = named("EP64_TP2_PP1")
    seats = [layout.seat(rank, experts=64, layers=16, nics_per_node=8) for rank in range(128)]
    assert [seat.experts for seat in seats] == [(rank // 2,) for rank in range(128)]
    assert {seat.layers for seat in seats} == {tuple(range(16))}
    assert [(seat.node, seat.gpu) for seat in seats] == [divmod(rank, 8) for rank in range(128)]
    assert [seat.nic for seat in seats] == [seat.rail for seat in seats] == [rank % 8 for rank in range(128)]


@law(100)
@given(layout=layouts(), per_rank=st.integers(1, 3), layers_per_stage=st.integers(1, 3))
def test_every_expert_and_layer_is_held_by_as_many_ranks_as_the_degrees_say(
    layout: Layout, per_rank: int, layers_per_stage: int
) -> None:
    d = layout.degrees
    experts, layers = d.ep * per_rank, d.pp * layers_per_stage
    seats = [layout.seat(rank, experts=experts, layers=layers, nics_per_node=1) for rank in range(d.gpus)]
    for expert in range(experts):
        assert sum(expert in seat.experts for seat in seats) == d.etp * d.edp * d.pp
    for layer in range(layers):
        assert sum(layer in seat.layers for seat in seats) == d.gpus // d.pp


def test_gpus_share_nics_in_neighbouring_runs() -> None:
    layout = named("EP64_TP2_PP1")
    nics = [layout.seat(rank, experts=64, layers=16, nics_per_node=2).nic for rank in range(8, 16)]
    assert nics == [0, 0, 0, 0, 1, 1, 1, 1]
