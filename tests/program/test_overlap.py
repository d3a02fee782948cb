"""Overlap of whole models: the same work, in another order, and never less time than the work or the wires need."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.pipeline import program_of, simulate
from simcluster.program.program import Collective, Compute
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.result import Result
from tests.execution_helpers import (
    DECODE,
    DENSE,
    MIXTURE,
    PREFILL,
    Tree,
    cluster,
    computes,
    scenario,
    seconds,
    total_flops,
)
from tests.physics_helpers import law, row

SHARED: Tree = {**MIXTURE, "moe": {**MIXTURE["moe"], "shared_experts": 2}}
LINKS = ("2 GB/s", "20 GB/s", "200 GB/s", "2000 GB/s")
EP4 = {"ep": 4}
TP2_EP2 = {"tp": 2, "ep": 2, "etp": 1}
PLANS: dict[str, tuple[object, Tree]] = {
    "EP4": (EP4, MIXTURE),
    "EP4 shared": (EP4, SHARED),
    "TP2_EP2": (TP2_EP2, MIXTURE),
    "TP4": ("TP4", DENSE),
    "TP2_PP2": ("TP2_PP2", DENSE),
    "TP2_CP2": ("TP2_CP2", DENSE),
    "EP2_PP2": ("EP2_PP2", SHARED),
}


def planned(plan: str, nic: str = "20 GB/s", workload: Tree = PREFILL, **execution: Any) -> Scenario:
    degrees, model = PLANS[plan]
    return scenario(degrees, cluster(4, nic=nic), model=model, workload={**workload, "batch": 16}, **execution)


def spent(result: Result) -> tuple[float, float]:
    """Seconds of kernels and of transfers on a GPU, mean over GPUs."""
    kernels = sum(one.seconds for one in result.by_operation if one.kind == "compute")
    return kernels, sum(one.seconds for one in result.by_operation if one.kind != "compute")


@pytest.mark.parametrize("plan", list(PLANS))
@pytest.mark.parametrize("workload", [PREFILL, DECODE])
def test_halves_do_the_work_of_the_whole_and_read_weights_twice(plan: str, workload: Tree) -> None:
    fixed: Any = {"microbatches": 2} if "PP" in plan else {}
    one, two = (planned(plan, workload=workload, overlap=how, **fixed) for how in ("none", "two-batch"))
    assert total_flops(two) == pytest.approx(total_flops(one), rel=1e-9)
    rows = {total.name: total for total in simulate(one).by_operation}
    for total in simulate(two).by_operation:
        assert total.count == 2 * rows[total.name].count
        if total.kind != "compute" or total.name in ("norm", "residual", "moe.permute"):
            assert total.bytes == pytest.approx(rows[total.name].bytes, rel=1e-9)
        elif total.name == "mlp.up" or (total.name == "moe.experts" and workload == PREFILL):
            extra = total.bytes - rows[total.name].bytes
            assert extra == pytest.approx(_weight_bytes(one, total.name), rel=1e-9)


def _weight_bytes(case: Scenario, name: str) -> float:
    """Of all GEMMs of this name that a GPU runs in a step, mean over GPUs: 2 bytes an element."""
    program = program_of(case)
    runs = zip(program.operations, program.runs, strict=True)
    found = 0.0
    for one, count in runs:
        if isinstance(one, Compute) and one.name == name:
            kernel: Any = one.kernel
            found += count * getattr(kernel, "groups", 1) * kernel.n * kernel.k * 2
    return found / program.stages


@law(40)
@given(
    plan=st.sampled_from(list(PLANS)),
    nic=st.sampled_from(LINKS),
    overlap=st.sampled_from(["none", "two-batch"]),
    late=st.booleans(),
    chunks=st.sampled_from([1, 2, 5]),
    workload=st.sampled_from([PREFILL, DECODE]),
)
def test_exposed_communication_is_what_physics_allows_and_no_less(
    plan: str, nic: str, overlap: str, late: bool, chunks: int, workload: Tree
) -> None:
    """A GPU's latency covers its kernels, and its transfers, which do not overlap each other; and not more than both.

    Sends of a pipeline have a stream of their own and idle GPUs wait in it, so there only the bounds below hold.
    """
    case = planned(plan, nic, workload, overlap=overlap, overlap_shared_experts=late, dispatch_chunks=chunks)
    result = simulate(case)
    kernels, transfers = spent(result)
    sends = sum(one.seconds for one in result.by_operation if one.name == "pipeline.send")
    end_s = seconds(result)
    assert end_s >= max(kernels, transfers - sends) * (1 - 1e-9)
    exposed = result.metrics["exposed_communication"]
    assert exposed is not None
    assert exposed * end_s >= max(0.0, transfers - sends - kernels) * (1 - 1e-9)
    if case.plan.degrees.pp == 1:
        assert end_s <= (kernels + transfers) * (1 + 1e-9)
        assert exposed * end_s == pytest.approx(end_s - kernels, rel=1e-9, abs=1e-9 * end_s)


@pytest.mark.parametrize("nic", LINKS)
def test_two_batches_hide_what_one_cannot(nic: str) -> None:
    """Where transfers and kernels are about as long, less than either of them is exposed."""
    one, two = (simulate(planned("EP4", nic, overlap=how)) for how in ("none", "two-batch"))
    _, transfers = spent(two)
    exposed = [result.metrics["exposed_communication"] for result in (one, two)]
    hidden = transfers - (exposed[1] or 0) * seconds(two)
    assert exposed[0] == pytest.approx(spent(one)[1] / seconds(one), rel=1e-9), "alone nothing is hidden"
    assert hidden > 0.3 * min(spent(two))


@pytest.mark.parametrize("nic", LINKS)
@pytest.mark.parametrize("workload", [PREFILL, DECODE])
def test_shared_experts_run_while_tokens_are_dispatched(nic: str, workload: Tree) -> None:
    """Each layer saves the shorter of dispatch and shared experts."""
    before, during = (planned("EP4 shared", nic, workload, overlap_shared_experts=late) for late in (False, True))
    plain, late = simulate(before), simulate(during)
    shared, dispatch = row(plain, "moe.shared").seconds, row(plain, "moe.dispatch").seconds
    saved = seconds(plain) - seconds(late)
    assert saved == pytest.approx(min(shared, dispatch), rel=1e-6)
    hidden = late.metrics["exposed_communication"]
    assert hidden is not None
    combine = row(plain, "moe.combine").seconds
    assert hidden * seconds(late) == pytest.approx(combine + max(0.0, dispatch - shared), rel=1e-6)


def test_shared_experts_start_with_the_dispatch_and_only_they_run_beside_it() -> None:
    case = planned("EP4 shared", overlap_shared_experts=True)
    timeline = simulate(case).timeline
    assert timeline is not None
    named = {
        name: [i for i, one in enumerate(timeline.operations) if one.name == name]
        for name in ("moe.shared", "moe.dispatch")
    }
    starts = {timeline.operation[at]: timeline.start_s[at] for at in range(len(timeline.operation))}
    for layer, dispatch in enumerate(named["moe.dispatch"]):
        assert starts[named["moe.shared"][3 * layer]] == pytest.approx(starts[dispatch], rel=1e-12)
    program = program_of(case)
    assert {one.name for one in program.operations if isinstance(one, Compute) and one.beside} == {"moe.shared"}


@pytest.mark.parametrize("kept", [0.1, 0.5])
def test_only_what_runs_beside_communication_pays_for_it(kept: float) -> None:
    execution: dict[str, Any] = {"overlap_shared_experts": True}
    free, paid = (simulate(planned("EP4 shared", **execution, communication_sms=part)) for part in (0.0, kept))
    for one, other in zip(free.by_operation, paid.by_operation, strict=True):
        if one.kind == "compute" and one.name != "moe.shared":
            assert other.seconds == pytest.approx(one.seconds, rel=1e-9)
    kernels = computes(planned("EP4 shared", **execution), "moe.shared")
    compute_s = sum(one.kernel.flops for one in kernels) / 100e12
    stream_s = sum(one.kernel.bytes for one in kernels if not one.kernel.flops) / 1e12
    assert row(paid, "moe.shared").seconds == pytest.approx(compute_s / (1 - kept) + stream_s, rel=1e-9)


# --------------------------------------------------------------------------------------------------------------- chunks


def chunks_by_hand(count: int, out_s: float, work_s: float, back_s: float) -> float:
    """out 0, out 1, back 0, out 2, … on one stream, work on the other."""
    wire, gpu, arrived = out_s, 0.0, [out_s]
    for number in range(count):
        if number + 1 < count:
            wire += out_s
            arrived.append(wire)
        gpu = max(gpu, arrived[number]) + work_s
        wire = max(wire, gpu) + back_s
    return wire


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("nic", LINKS)
@pytest.mark.parametrize("workload", [PREFILL, DECODE])
def test_a_model_in_chunks_takes_what_its_pipeline_takes(count: int, nic: str, workload: Tree) -> None:
    result = simulate(planned("EP4", nic, workload, dispatch_chunks=count))
    layers = 4
    parts = {
        name: sum(row(result, one).seconds for one in names) / layers / count
        for name, names in {
            "out": ("moe.dispatch",),
            "work": ("moe.experts", "moe.activation"),
            "back": ("moe.combine",),
        }.items()
    }
    rest = sum(
        one.seconds
        for one in result.by_operation
        if one.kind == "compute" and one.name not in ("moe.experts", "moe.activation")
    )
    expected = rest + layers * chunks_by_hand(count, parts["out"], parts["work"], parts["back"])
    assert seconds(result) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("count", [2, 5])
def test_chunks_carry_what_the_whole_carried(count: int) -> None:
    whole, cut = (simulate(planned("EP4", dispatch_chunks=each)) for each in (1, count))
    for name in ("moe.dispatch", "moe.combine"):
        assert row(cut, name).bytes == pytest.approx(row(whole, name).bytes, rel=1e-9)
        assert row(cut, name).bytes_infiniband == pytest.approx(row(whole, name).bytes_infiniband, rel=1e-9)
        assert row(cut, name).count == count * row(whole, name).count
    assert row(cut, "moe.experts").flops == pytest.approx(row(whole, "moe.experts").flops, rel=1e-9)
    extra = row(cut, "moe.experts").bytes - row(whole, "moe.experts").bytes
    assert extra == pytest.approx((count - 1) * _weight_bytes(planned("EP4"), "moe.experts"), rel=1e-9)


def test_one_chunk_and_plans_without_dispatch_are_as_before() -> None:
    assert program_of(planned("EP4", dispatch_chunks=1)) == program_of(planned("EP4"))
    assert program_of(planned("TP4", dispatch_chunks=4)) == program_of(planned("TP4"))
    alone = {"tp": 4, "ep": 1, "etp": 1}
    same = [
        program_of(scenario(alone, cluster(4), model=MIXTURE, dispatch_chunks=count)).operations for count in (1, 4)
    ]
    assert same[0] == same[1]


def test_a_chunk_s_activations_are_alive_beside_all_copies_and_outputs() -> None:
    """Copies that wait or have been sent and outputs that have come back, of all chunks, and what one works on."""
    copies = 4 * 512 * 2 * 1024 * 2
    for count in (2, 4):
        program = program_of(planned("EP4", dispatch_chunks=count))
        first, second = computes(planned("EP4", dispatch_chunks=count), "moe.experts")[:2]
        for one in (first, second):
            assert (one.live["copies"], one.live["outputs"]) == (copies, copies)
        assert first.live["copies of a chunk"] == second.live["outputs of a chunk"] == copies / count
        assert first.live["raised of a chunk"] == copies / count * 2 * 512 / 1024
        sent = [one for one in program.operations if isinstance(one, Collective) and one.name == "moe.dispatch"]
        assert [one.payload_bytes for one in sent] == [copies / count] * (4 * count)


@pytest.mark.parametrize("load", [{}, {"0": 4}])
def test_chunks_of_uneven_experts_say_how_much_of_memory_is_received(load: dict[str, int]) -> None:
    """What a rank with no copies needs is what is left, never less than nothing."""
    case = planned("EP4", workload={**PREFILL, "expert_load": load}, dispatch_chunks=4)
    for one in program_of(case).operations:
        assert 0 <= one.received <= sum(one.live.values())
