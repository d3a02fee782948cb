"""Layout: groups, coordinates and places of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simcluster.plan.degrees import Convention, Degrees
from simcluster.plan.execution import PLACEMENT
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
    readings: tuple[Convention, ...] = ("folded", "orthogonal") if etp == tp and dp % ep == 0 else ("folded",)
    return Layout(
        degrees=degrees,
        gpus_per_node=draw(st.sampled_from([1, 2, 8])),
        placement=tuple(draw(st.permutations(PLACEMENT))),
        convention=draw(st.sampled_from(readings)),
    )


def experts_follow_tp(layout: Layout) -> bool:
    """Whether a token's experts are on ranks with its own tp and cp coordinates: in orthogonal plans, and where no
    token travels."""
    return layout.convention == "orthogonal" or (layout.degrees.ep == 1 and layout.degrees.etp == layout.degrees.tp)


def has_stride(layout: Layout, axis: Axis) -> bool:
    """Copies of an expert over cp and dp at once are no groups of one stride; nothing is ever sent among them."""
    return axis != "edp" or layout.degrees.cp == 1 or not experts_follow_tp(layout)


def named(name: str, gpus: int = 128) -> Layout:
    return Layout(degrees=resolve(name, gpus).degrees, gpus_per_node=8)


def nodes_of(group: Group) -> set[int]:
    return {rank // 8 for rank in group}


@law(150)
@given(layout=layouts(), axis=st.sampled_from(AXES))
def test_groups_along_every_axis_partition_the_ranks(layout: Layout, axis: Axis) -> None:
    assume(has_stride(layout, axis))
    groups = layout.groups(axis)
    assert sorted(rank for group in groups for rank in group) == list(range(layout.degrees.gpus))
    assert {len(group) for group in groups} == {layout.degrees.as_dict()[axis]}


@law(150)
@given(layout=layouts(), axis=st.sampled_from(AXES))
def test_arithmetic_on_groups_is_what_their_list_says(layout: Layout, axis: Axis) -> None:
    assume(has_stride(layout, axis))
    for groups in (layout.groups(axis), layout.senders()):
        listed = groups[:]
        assert groups.firsts().tolist() == [min(group) for group in listed]
        for number, group in enumerate(listed):
            ranks = np.array(group)
            assert groups[number - len(groups)] == group
            assert groups.of_rank(ranks).tolist() == [number] * len(group)
            assert groups.place_of(ranks).tolist() == list(range(len(group)))
            if groups.stages > 1:
                stages = {layout.coordinate("pp", rank) for rank in group}
                assert stages == set(groups.stage_of(ranks).tolist()) == {number // groups.per_stage}


@law(150)
@given(layout=layouts(), axis=st.sampled_from(AXES))
def test_members_of_a_group_differ_only_along_its_axis_and_stand_in_its_order(layout: Layout, axis: Axis) -> None:
    assume(has_stride(layout, axis))
    same_part: tuple[Axis, ...] = ("tp", "cp", "dp", "pp") if axis in ("tp", "cp", "dp") else ("etp", "ep", "edp", "pp")
    if axis == "pp":
        same_part = AXES
    for group in layout.groups(axis):
        assert [layout.coordinate(axis, rank) for rank in group] == list(range(len(group)))
        for other in same_part:
            if other != axis:
                assert len({layout.coordinate(other, rank) for rank in group}) == 1


def rank_at(at: dict[Axis, int], layout: Layout, axes: Sequence[Axis]) -> int:
    """The number of mixed radix with these digits, the first axis innermost."""
    rank, size = 0, 1
    for axis in axes:
        rank, size = rank + size * at[axis], size * layout.degrees.as_dict()[axis]
    return rank


@law(150)
@given(layout=layouts())
def test_coordinates_lead_back_to_the_rank(layout: Layout) -> None:
    """Attention: the placement says which axis is innermost.  Experts: etp, ep and edp of the number in the stage; in
    orthogonal plans etp for tp, and ep and edp for dp and cp."""
    inside: list[Axis] = [axis for axis in layout.placement if axis != "pp"]
    d = layout.degrees
    for rank in range(d.gpus):
        at = {axis: layout.coordinate(axis, rank) for axis in AXES}
        assert rank == rank_at(at, layout, layout.placement)
        number = rank_at(at, layout, inside)
        if experts_follow_tp(layout):
            assert (at["etp"], at["ep"]) == (at["tp"], at["dp"] % d.ep)
            assert at["edp"] == at["dp"] // d.ep + d.dp // d.ep * at["cp"]
        else:
            assert number == rank_at(at, layout, ("etp", "ep", "edp"))


@law(100)
@given(layout=layouts())
def test_the_default_placement_is_the_rule_of_the_design(layout: Layout) -> None:
    """tp innermost, then cp, then dp; pipeline stages outermost."""
    default = replace(layout, placement=PLACEMENT)
    d = layout.degrees
    for rank in range(d.gpus):
        at = {axis: default.coordinate(axis, rank) for axis in AXES}
        assert rank == at["tp"] + d.tp * (at["cp"] + d.cp * (at["dp"] + d.dp * at["pp"]))


@law(100)
@given(layout=layouts())
def test_a_stage_sends_to_the_ranks_with_its_own_coordinates_in_the_next(layout: Layout) -> None:
    senders, others = layout.senders(), [axis for axis in AXES if axis != "pp"]
    each = senders.per_stage
    for number in range(len(senders) - each):
        (one,), (next_one,) = senders[number], senders[number + each]
        assert layout.coordinate("pp", next_one) == layout.coordinate("pp", one) + 1
        assert [layout.coordinate(axis, one) for axis in others] == [
            layout.coordinate(axis, next_one) for axis in others
        ]


@law(100)
@given(layout=layouts(), axis=st.sampled_from(AXES))
def test_blocks_of_neighbours_are_made_of_whole_groups(layout: Layout, axis: Axis) -> None:
    """Ranks whose numbers differ by a multiple of the coarsest block are in no group together."""
    assume(has_stride(layout, axis))
    groups = layout.groups(axis)
    if groups.blocks is not None:
        assert all(layout.degrees.gpus % block == 0 for block in groups.blocks)
        assert all(len({rank // groups.blocks[-1] for rank in group}) == 1 for group in groups)


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
    seats = [layout.seat(rank, experts=64, stages=[range(16)], nics_per_node=8) for rank in range(128)]
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
    stages = [range(first, first + layers_per_stage) for first in range(0, layers, layers_per_stage)]
    seats = [layout.seat(rank, experts=experts, stages=stages, nics_per_node=1) for rank in range(d.gpus)]
    for expert in range(experts):
        assert sum(expert in seat.experts for seat in seats) == d.etp * d.edp * d.pp
    for layer in range(layers):
        assert sum(layer in seat.layers for seat in seats) == d.gpus // d.pp


def test_gpus_share_nics_in_neighbouring_runs() -> None:
    layout = named("EP64_TP2_PP1")
    nics = [layout.seat(rank, experts=64, stages=[range(16)], nics_per_node=2).nic for rank in range(8, 16)]
    assert nics == [0, 0, 0, 0, 1, 1, 1, 1]
