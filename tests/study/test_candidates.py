"""The space of a search: every plan once, as many as the closed form says, under names that stand for them."""

from __future__ import annotations

from itertools import product
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simcluster
from simcluster.errors import InputError
from simcluster.plan.mapping import canonical_plan
from simcluster.plan.name import resolve
from simcluster.scenario.choice import chosen
from simcluster.scenario.scenario import Scenario
from simcluster.study.candidates import candidates, d3, divisors, size, space, triples
from tests.edge_helpers import SMALL, changed, scenario_file

EXAMPLE = Path(__file__).parents[2] / "scenarios" / "ep64_tp2_pp1.yaml"
DENSE = ("  moe: {experts: 8, top_k: 2, hidden: 512, gated: false}", "  mlp: {hidden: 512, gated: false}")


def small(tmp_path: Path, *overrides: str, text: str = SMALL) -> Scenario:
    return simcluster.load(scenario_file(tmp_path, text), overrides)


@given(st.integers(1, 5000))
def test_triples_are_all_ordered_factorisations(number: int) -> None:
    assert divisors(number) == tuple(d for d in range(1, number + 1) if number % d == 0)
    assert len(set(triples(number))) == len(triples(number)) == d3(number)
    assert {prod(triple) for triple in triples(number)} == {number}


def test_the_example_has_2892_plans() -> None:
    scenario = simcluster.load(EXAMPLE)
    listed = space(scenario)
    assert len(list(candidates(scenario, listed))) == size(scenario, listed) == 2892
    # the sum over pp = 2^k of C(7 - k + 2, 2)^2
    assert sum(((9 - k) * (8 - k) // 2) ** 2 for k in range(8)) == 2892


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_every_plan_is_listed_once(nodes: int, tmp_path: Path) -> None:
    """Against seven loops over every degree, on 4, 8, 12 and 20 GPUs."""
    scenario = small(tmp_path, f"cluster.nodes={nodes}", "plan=EP4", f"workload.batch={4 * nodes}")
    gpus = 4 * nodes
    whole = [d for d in range(1, gpus + 1) if gpus % d == 0]
    expected = {
        (tp, pp, dp, cp, ep, etp, edp)
        for tp, pp, dp, cp in product(whole, repeat=4)
        if tp * pp * dp * cp == gpus
        for ep, etp, edp in product(whole, repeat=3)
        if ep * etp * edp * pp == gpus
    }
    found = [choice.key for choice in candidates(scenario, space(scenario))]
    assert len(found) == len(set(found))
    assert {key[0] for key in found} == expected


def test_what_nothing_reads_makes_no_other_plan(tmp_path: Path) -> None:
    """Without experts ep, etp and edp have one form, also for a scenario that writes another."""
    scenario = small(tmp_path, "plan={tp: 2, etp: 1}", text=changed(DENSE, ("EP4_TP2_PP1", "TP2")))
    listed = space(scenario)
    found = list(candidates(scenario, listed))
    assert len(found) == size(scenario, listed) == sum(d3(8 // pp) for pp in (1, 2, 4, 8)) == 20
    assert all((c.degrees.ep, c.degrees.etp) == (1, c.degrees.tp) for c in found)
    assert scenario.plan.degrees.etp == 1
    assert chosen(scenario) in found


def test_every_order_of_the_axes_in_use_is_a_placement(tmp_path: Path) -> None:
    scenario = small(tmp_path)
    listed = space(scenario, placements=True)
    found = list(candidates(scenario, listed))
    assert len(found) == size(scenario, listed) == len({choice.key for choice in found})
    orders = [c.placement for c in found if (c.degrees.tp, c.degrees.cp, c.degrees.dp, c.degrees.pp) == (2, 1, 2, 2)]
    assert set(orders[:6]) == {
        ("tp", "cp", "dp", "pp"), ("tp", "cp", "pp", "dp"), ("dp", "cp", "tp", "pp"),
        ("dp", "cp", "pp", "tp"), ("pp", "cp", "tp", "dp"), ("pp", "cp", "dp", "tp"),
    }  # fmt: skip
    alone = [c.placement for c in found if c.degrees.dp == 8]
    assert set(alone) == {scenario.execution.placement}


def test_lists_multiply_the_space(tmp_path: Path) -> None:
    scenario = small(tmp_path)
    alone = size(scenario, space(scenario))
    wide = space(scenario, microbatches=[1, 2, 2], batches=[8, 16, 32])
    assert (wide.microbatches, wide.batches) == ((1, 2), (8, 16, 32))
    assert size(scenario, wide) == len(list(candidates(scenario, wide))) == 6 * alone
    ruled = list(candidates(scenario, space(scenario, microbatches=[None, 1])))
    staged = [one for one in ruled if one.microbatches == 1]
    assert len(ruled) - len(staged) == alone
    assert {one.degrees.pp for one in staged} == {2, 4, 8}, "without stages the rule's number is 1"
    fewer = space(scenario, fewer_gpus=True)
    assert size(scenario, fewer) == alone + 9 + 36 + 1
    assert len(list(candidates(scenario, fewer))) == size(scenario, fewer)


@given(st.sampled_from([6, 8, 12, 30, 64]), st.data())
def test_the_name_of_a_plan_resolves_to_it(gpus: int, data: st.DataObject) -> None:
    """On its number of GPUs; orthogonal where the experts of a token can stay with its tensor lane."""
    from simcluster.plan.degrees import Degrees

    pp = data.draw(st.sampled_from(divisors(gpus)))
    tp, cp, dp = data.draw(st.sampled_from(triples(gpus // pp)))
    etp, ep, edp = data.draw(st.sampled_from(triples(gpus // pp)))
    degrees = Degrees(tp=tp, pp=pp, dp=dp, cp=cp, ep=ep, etp=etp, edp=edp)
    plan = canonical_plan(degrees)
    assert plan == resolve(plan.name, gpus)
    assert plan.degrees == degrees
    assert plan.convention == ("orthogonal" if etp == tp and dp % ep == 0 else "folded")


def test_numbers_below_one_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        space(small(tmp_path), microbatches=[0, 1], batches=[-4])
    assert [mistake.origin for mistake in raised.value.mistakes] == ["--microbatches", "--batches"]


@pytest.mark.parametrize(
    "override",
    ["faults=[{node: 1, factor: 0.5}]", "cluster.background=[{from: [node0], to: [node1], bandwidth: 1 GB/s}]"],
)
def test_nodes_that_are_not_alike_are_not_left_out(override: str, tmp_path: Path) -> None:
    scenario = small(tmp_path, override)
    assert space(scenario).nodes == (2,)
    with pytest.raises(InputError, match="it matters which are left out"):
        space(scenario, fewer_gpus=True)


def test_a_space_too_large_to_list_is_refused_with_its_size(tmp_path: Path) -> None:
    scenario = small(tmp_path)
    with pytest.raises(InputError, match="14,600,000 plans are more than the 500,000"):
        space(scenario, batches=range(1, 100_001))
