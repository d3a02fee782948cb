"""Pipeline stages: their layers, what they hold, which is the fullest, and in how many microbatches they are fed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simcluster.errors import InputError
from simcluster.pipeline import program_of, simulate
from simcluster.plan.memory import resident
from simcluster.program.program import Collective, Compute, live_bytes
from simcluster.scenario.scenario import Scenario
from tests.execution_helpers import DECODE, DENSE, MIXTURE, PREFILL, Tree, cluster, scenario
from tests.physics_helpers import answer, law

PARTS = ("attention_weights", "expert_weights", "other_weights", "kv_cache")


def staged(pp: int, workload: Tree = PREFILL, model: Tree = DENSE, **execution: Any) -> Scenario:
    return scenario(f"PP{pp}", cluster(pp), model=model, workload=workload, **execution)


def held(case: Scenario, name: str) -> list[float]:
    """Bytes of one component on a rank of every stage."""
    return [resident(case.share.at(stage))[name].bytes for stage in range(case.plan.degrees.pp)]


@pytest.mark.parametrize("layers", [(2, 2, 2, 2), (1, 3, 3, 1), (5, 1, 1, 1)])
def test_stages_hold_their_layers_in_order(layers: tuple[int, ...]) -> None:
    case = staged(4, stage_layers=list(layers))
    stages = case.share.stages
    assert [len(stage) for stage in stages] == list(layers)
    assert [layer for stage in stages for layer in stage] == list(range(8))
    per_layer = [bytes_ / count for bytes_, count in zip(held(case, "attention_weights"), layers, strict=True)]
    assert len({round(one) for one in per_layer}) == 1
    caches = held(case, "kv_cache")
    assert caches == pytest.approx([caches[0] / layers[0] * count for count in layers], rel=1e-12)


def test_equal_stages_are_the_default() -> None:
    assert [len(stage) for stage in staged(4).share.stages] == [2, 2, 2, 2]


def test_embedding_is_in_the_first_stage_and_head_in_the_last() -> None:
    case = staged(4, model={**DENSE, "vocab": 32000})
    parts = [resident(case.share.at(stage))["other_weights"].parts for stage in range(4)]
    table = 32000 * 1024 * 2
    assert [part["embedding"] for part in parts] == [table, 0, 0, 0]
    assert [part["head"] for part in parts] == [0, 0, 0, table]
    assert [part["final norm"] for part in parts] == [0, 0, 0, 1024 * 2]
    names = [[one.name for one in program_of(case).operations if one.stage == stage] for stage in range(4)]
    assert ["embedding" in each for each in names] == [True, False, False, False]
    assert ["lm_head" in each for each in names] == [False, False, False, True]


@pytest.mark.parametrize(("pp", "tables"), [(1, 1), (2, 2), (4, 2)])
def test_a_tied_table_is_held_by_the_first_and_the_last_stage(pp: int, tables: int) -> None:
    case = staged(pp, model={**DENSE, "vocab": 32000, "tied_embeddings": True})
    parts = [resident(case.share.at(stage))["other_weights"].parts for stage in range(pp)]
    assert sum(part["embedding"] + part["head"] for part in parts) == tables * 32000 * 1024 * 2


def test_dense_layers_of_a_mixture_are_in_the_stage_that_has_them() -> None:
    model = {**MIXTURE, "layers": 8, "mlp": {"hidden": 4096}, "dense_layers": 2}
    case = staged(4, model=model)
    dense = 2 * 3 * 1024 * 4096 * 2
    parts = [resident(case.share.at(stage))["other_weights"].parts for stage in range(4)]
    assert [part["MLP"] for part in parts] == [dense, 0, 0, 0]
    experts = held(case, "expert_weights")
    assert experts == [0.0, *[2 * 16 * 3 * 1024 * 512 * 2] * 3]
    names = [{one.name for one in program_of(case).operations if one.stage == stage} for stage in range(4)]
    assert [("mlp.up" in each, "moe.experts" in each) for each in names] == [(True, False), *[(False, True)] * 3]


@pytest.mark.parametrize("layers", [(1, 1, 5, 1), (5, 1, 1, 1), (1, 1, 1, 5), (2, 2, 2, 2)])
@pytest.mark.parametrize("workload", [PREFILL, DECODE])
def test_memory_is_that_of_the_fullest_stage(layers: tuple[int, ...], workload: Tree) -> None:
    case = staged(4, workload, model={**DENSE, "vocab": 1000}, stage_layers=list(layers))
    result, program = simulate(case), program_of(case)
    totals = [
        sum(part.bytes for part in resident(case.share.at(stage)).values()) + live_bytes(program.fullest(stage))
        for stage in range(4)
    ]
    assert answer(result, "memory.total") == pytest.approx(max(totals), rel=1e-12)
    fullest = totals.index(max(totals))
    for name in PARTS:
        assert answer(result, f"memory.{name}") == held(case, name)[fullest]


def test_the_cache_of_all_microbatches_is_held_and_one_microbatch_s_activations() -> None:
    one, four = staged(4, microbatches=1), staged(4, microbatches=4)
    assert held(one, "kv_cache") == held(four, "kv_cache")
    live = [live_bytes(program_of(case).fullest(0)) for case in (one, four)]
    assert live[1] == pytest.approx(live[0] / 4, rel=1e-12)


@pytest.mark.parametrize("pp", [1, 2, 4])
@pytest.mark.parametrize("batch", [1, 2, 6, 7, 12, 64])
@pytest.mark.parametrize(("workload", "per_stage"), [(PREFILL, 4), (DECODE, 1)])
def test_the_rule_takes_the_most_microbatches_that_divide_up_to_so_many_a_stage(
    pp: int, batch: int, workload: Tree, per_stage: int
) -> None:
    share = staged(pp, {**workload, "batch": batch}).share
    assert batch % share.microbatches == 0
    most = 1 if pp == 1 else pp * per_stage
    assert share.microbatches == max(one for one in range(1, most + 1) if batch % one == 0)
    assert share.sequences * share.microbatches == batch


def test_each_half_of_two_batches_is_half_a_microbatch() -> None:
    share = staged(2, {**PREFILL, "batch": 12}, overlap="two-batch", microbatches=3).share
    assert (share.microbatches, share.sequences) == (3, 2)


@law(80)
@given(
    pp=st.sampled_from([1, 2, 3]),
    dp=st.sampled_from([1, 2]),
    each=st.integers(1, 12),
    microbatches=st.integers(1, 14),
    halves=st.booleans(),
)
def test_microbatches_that_do_not_divide_are_refused_with_some_that_do(
    pp: int, dp: int, each: int, microbatches: int, halves: bool
) -> None:
    execution = {"microbatches": microbatches, "overlap": "two-batch" if halves else "none"}
    plan = {"pp": pp, "dp": dp}
    model, machine = {**DENSE, "layers": 6}, cluster(pp * dp)

    def build(batch: int, **more: Any) -> Scenario:
        return scenario(plan, machine, model=model, workload={**PREFILL, "batch": batch}, **{**execution, **more})

    if each % (microbatches * (2 if halves else 1)) == 0:
        assert build(dp * each).share.microbatches == microbatches
        return
    with pytest.raises(InputError) as raised:
        build(dp * each)
    (mistake,) = raised.value.mistakes
    if mistake.path == "execution.microbatches":
        for fits in _numbers(mistake.what, "use execution.microbatches: "):
            assert build(dp * each, microbatches=fits).share.microbatches == fits
    else:
        assert mistake.path == "execution.overlap"
        for fits in _numbers(mistake.what, "use workload.batch: "):
            build(fits, microbatches=1)


def _numbers(text: str, after: str) -> list[int]:
    """The numbers of an advice such as `3 or 4`; at least one."""
    found = text.split(after)[1].split(",")[0]
    return [int(one) for one in found.split(" or ")]


@law(40)
@given(layers=st.integers(1, 12), pp=st.integers(2, 6))
def test_stages_that_do_not_divide_are_refused_with_layouts_that_do(layers: int, pp: int) -> None:
    assume(layers % pp)
    with pytest.raises(InputError) as raised:
        staged(pp, model={**DENSE, "layers": layers})
    (mistake,) = raised.value.mistakes
    assert mistake.path == "plan.pp"
    assert f"{layers} layers" in mistake.what
    for fits in _numbers(mistake.what, "use pp: "):
        assert layers % fits == 0
    assert ("execution.stage_layers: [" in mistake.what) == (layers > pp)
    if layers > pp:
        written = [int(one) for one in mistake.what.split("stage_layers: [")[1].rstrip("]").split(",")]
        uneven = staged(pp, model={**DENSE, "layers": layers}, stage_layers=written)
        assert max(written) - min(written) == 1
        assert len(uneven.share.stages) == pp


def test_every_stage_but_the_first_needs_what_the_one_before_sent() -> None:
    program = program_of(staged(4))
    sends = [index for index, one in enumerate(program.operations) if isinstance(one, Collective) and one.axis == "pp"]
    assert [program.operations[index].stage for index in sends] == [0, 1, 2]
    firsts = [next(i for i, one in enumerate(program.operations) if one.stage == stage) for stage in range(4)]
    assert [program.operations[first].after for first in firsts] == [(), *((send,) for send in sends)]
    for first, second in pairwise(firsts):
        assert all(one.stage == program.operations[first].stage for one in program.operations[first:second])


def test_each_half_of_a_stage_needs_its_own_half_s_send() -> None:
    program = program_of(staged(2, {**PREFILL, "batch": 4}, overlap="two-batch"))
    sends = [index for index, one in enumerate(program.operations) if isinstance(one, Collective) and one.axis == "pp"]
    starts = [one for one in program.operations if one.stage == 1 and any(need in sends for need in one.after)]
    assert len(sends) == 2
    assert [one.after for one in starts] == [(send,) for send in sends]
    assert all(isinstance(one, Compute) for one in starts)
