"""Pipeline stages in time: bubbles, sends and steps against recurrences written by hand."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from simcluster.pipeline import program_of, simulate
from simcluster.scenario.scenario import Scenario
from tests.execution_helpers import DECODE, DENSE, FREE, MIXTURE, PREFILL, Tree, cluster, kernel_s, scenario, seconds
from tests.physics_helpers import row

CLOSE = 1e-9


def staged(pp: int, microbatches: int, *, nic: str = FREE, workload: Tree = PREFILL, **more: Any) -> Scenario:
    """One GPU a stage and a node, so that each stage has a NIC for itself."""
    return scenario(f"PP{pp}", cluster(pp, nic=nic), workload=workload, microbatches=microbatches, **more)


def by_hand(busy_s: list[float], send_s: float, microbatches: int, steps: int = 1, *, chained: bool = False) -> float:
    """When the last stage is through with everything.

    A stage works on its microbatches one after another, each after what the stage before sent; a rank's sends follow
    one another and hinder nobody's computing.  Chained: a microbatch starts when the last stage has done with it.
    """
    stages = len(busy_s)
    free, sent = [0.0] * stages, [0.0] * stages
    done = [0.0] * microbatches
    for _ in range(steps):
        for one in range(microbatches):
            arrived = done[one] if chained else 0.0
            for stage, busy in enumerate(busy_s):
                free[stage] = max(free[stage], arrived) + busy
                sent[stage] = arrived = max(free[stage], sent[stage]) + send_s
            done[one] = free[-1]
    return free[-1]


@pytest.mark.parametrize(("pp", "microbatches"), [(1, 1), (1, 4), (2, 1), (2, 4), (4, 1), (4, 2), (4, 8), (8, 4)])
def test_the_forward_bubble_is_p_minus_one_of_m_plus_p_minus_one(pp: int, microbatches: int) -> None:
    case = staged(pp, microbatches)
    result, stage_s = simulate(case), kernel_s(program_of(case), 0)
    assert seconds(result) == pytest.approx((microbatches + pp - 1) * stage_s, rel=CLOSE)
    bubble = (pp - 1) / (microbatches + pp - 1)
    assert result.metrics["idle"] == pytest.approx(bubble, rel=CLOSE, abs=CLOSE)
    assert result.metrics["compute_busy"] == pytest.approx(1 - bubble, rel=CLOSE)


@pytest.mark.parametrize(("pp", "microbatches"), list(product([2, 3, 4], [1, 2, 4, 8])))
@pytest.mark.parametrize("slower", [0.1, 0.9, 1.0, 1.1, 5.0])
def test_sends_follow_one_another_beside_the_next_microbatch(pp: int, microbatches: int, slower: float) -> None:
    """A send that takes `slower` times as long as a stage's work on a microbatch."""
    model = {**DENSE, "layers": 12}
    case = staged(pp, microbatches, model=model)
    busy = kernel_s(program_of(case), 0)
    sent = 8 // microbatches * 512 * 1024 * 2
    rate = f"{sent / (busy * slower):.17g} B/s"
    found = seconds(simulate(staged(pp, microbatches, model=model, nic=rate)))
    assert found == pytest.approx(by_hand([busy] * pp, busy * slower, microbatches), rel=CLOSE)


@pytest.mark.parametrize("layers", [(1, 1, 6), (6, 1, 1), (2, 5, 1), (3, 3, 2)])
@pytest.mark.parametrize("vocab", [None, 32000])
def test_uneven_stages_embedding_and_head_are_the_recurrence(layers: tuple[int, ...], vocab: int | None) -> None:
    model = DENSE if vocab is None else {**DENSE, "vocab": vocab}
    case = staged(3, 4, model=model, stage_layers=list(layers), nic="20 GB/s")
    program = program_of(case)
    busy = [kernel_s(program, stage) for stage in range(3)]
    assert len(set(busy)) > 1
    send_s = 2 * 512 * 1024 * 2 / 20e9
    assert seconds(simulate(case)) == pytest.approx(by_hand(busy, send_s, 4), rel=CLOSE)


@pytest.mark.parametrize(("microbatches", "steps"), list(product([1, 2, 4, 8], [1, 2, 5])))
@pytest.mark.parametrize("nic", [FREE, "0.5 GB/s"])
def test_a_decode_step_waits_for_the_token_of_the_step_before(microbatches: int, steps: int, nic: str) -> None:
    case = staged(4, microbatches, nic=nic, workload={**DECODE, "steps": steps})
    busy = kernel_s(program_of(case), 0)
    send_s = 0.0 if nic == FREE else 8 // microbatches * 1024 * 2 / 0.5e9
    expected = by_hand([busy] * 4, send_s, microbatches, steps, chained=True)
    assert seconds(simulate(case)) == pytest.approx(expected, rel=CLOSE)


def test_decode_with_as_many_microbatches_as_stages_has_a_bubble_only_at_both_ends() -> None:
    case = staged(4, 4, workload={**DECODE, "steps": 16})
    busy = kernel_s(program_of(case), 0)
    assert seconds(simulate(case)) == pytest.approx((16 * 4 + 3) * busy, rel=CLOSE)
    alone = staged(4, 1, workload={**DECODE, "steps": 16})
    assert seconds(simulate(alone)) == pytest.approx(16 * 4 * kernel_s(program_of(alone), 0), rel=CLOSE)


@pytest.mark.parametrize("nic", [FREE, "20 GB/s"])
def test_prefill_steps_follow_each_other_closely(nic: str) -> None:
    case = staged(4, 2, nic=nic, workload={**PREFILL, "steps": 3})
    busy = kernel_s(program_of(case), 0)
    send_s = 0.0 if nic == FREE else 4 * 512 * 1024 * 2 / 20e9
    assert seconds(simulate(case)) == pytest.approx(by_hand([busy] * 4, send_s, 6), rel=CLOSE)


def generation_by_hand(pp: int, microbatches: int, output: int) -> float:
    """Prefill, all stages together after it, then decode steps: a microbatch starts one when it is through with the
    last.  Sends are free."""
    start = seconds(simulate(staged(pp, microbatches)))
    free, done = [start] * pp, [start] * microbatches
    for step in range(1, output):
        busy = kernel_s(program_of(staged(pp, microbatches, workload={**DECODE, "context": 512 + step})), 0)
        for one in range(microbatches):
            ended = done[one]
            for stage in range(pp):
                free[stage] = ended = max(free[stage], ended) + busy
            done[one] = ended
    return max(free)


def generated(pp: int, microbatches: int, output: int) -> Scenario:
    work = {"phase": "generate", "batch": 8, "sequence": 512, "output": output}
    return staged(pp, microbatches, workload=work)


@pytest.mark.parametrize(("pp", "microbatches"), [(2, 1), (2, 4), (4, 2), (4, 4), (4, 8)])
@pytest.mark.parametrize("output", [1, 2, 5, 25])
def test_tokens_of_a_generation_follow_each_other_closely(pp: int, microbatches: int, output: int) -> None:
    """A pipeline is filled once, not for every token: with 24 decode steps each is replayed."""
    expected = generation_by_hand(pp, microbatches, output)
    assert seconds(simulate(generated(pp, microbatches, output))) == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize(("pp", "microbatches"), [(2, 1), (2, 4), (4, 2), (4, 4), (4, 8)])
def test_a_long_generation_is_within_the_error_that_is_told(pp: int, microbatches: int) -> None:
    result, expected = simulate(generated(pp, microbatches, 200)), generation_by_hand(pp, microbatches, 200)
    told = result.metrics["integration_error"]
    assert told is not None
    assert 0 < told < 0.005
    assert seconds(result) == pytest.approx(expected, rel=min(told, 1e-4))


def test_a_pipeline_that_is_full_is_busy_in_every_token_but_the_first_and_the_last() -> None:
    """As many microbatches as stages: one fill of 3 stages in 4 + 3 for the prefill, and one for 199 decode steps."""
    result = simulate(generated(4, 4, 200))
    decode = next(phase for phase in result.phases if phase.phase == "decode")
    assert decode.steps == 199
    assert decode.compute_busy == pytest.approx(1 - 3 / (199 * 4 + 3), rel=2e-3)
    assert decode.compute_busy + decode.idle == pytest.approx(1, rel=CLOSE)


@pytest.mark.parametrize("tp", [1, 2])
@pytest.mark.parametrize("sequence_parallel", [False, True])
def test_each_boundary_carries_the_residual_stream_of_every_microbatch(tp: int, sequence_parallel: bool) -> None:
    """Tokens x hidden x 2 bytes from each rank of a stage, its part of them with sequence parallelism."""
    pp, microbatches = 4, 4
    case = scenario(
        f"TP{tp}_PP{pp}",
        cluster(pp, tp),
        workload={**PREFILL, "batch": 16},
        microbatches=microbatches,
        sequence_parallel=sequence_parallel,
    )
    whole = 16 * 512 * 1024 * 2
    sent = whole / (tp if sequence_parallel else 1)
    result = simulate(case)
    sends = row(result, "pipeline.send")
    assert sends.kind == "send_recv"
    assert sends.bytes == pytest.approx((pp - 1) / pp * sent, rel=CLOSE)
    assert sends.bytes_infiniband == pytest.approx((pp - 1) / pp * sent, rel=CLOSE)
    assert result.metrics["traffic.infiniband"] == pytest.approx((pp - 1) * tp * sent, rel=CLOSE)
    assert sends.count == microbatches * (pp - 1) // pp


def test_stages_inside_a_node_send_over_nvlink() -> None:
    result = simulate(scenario("PP4", cluster(1, 4), microbatches=2))
    assert result.metrics["traffic.infiniband"] == 0
    assert row(result, "pipeline.send").bytes_nvlink == pytest.approx(3 / 4 * 8 * 512 * 1024 * 2, rel=CLOSE)


def test_a_send_hidden_behind_computing_is_not_exposed() -> None:
    """With a slow link the first stage goes on computing while it sends; its last send nobody hides."""
    case = staged(2, 4, nic="20 GB/s")
    busy, send_s = kernel_s(program_of(case), 0), 2 * 512 * 1024 * 2 / 20e9
    assert send_s < busy
    result = simulate(case)
    exposed = row(result, "pipeline.send").exposed_seconds
    assert exposed == pytest.approx(send_s / 2, rel=CLOSE), "the mean over two GPUs, one of which sends"


def test_every_stage_runs_its_own_layers_once_for_each_microbatch() -> None:
    case = staged(4, 4, model={**MIXTURE, "vocab": 1000})
    result = simulate(case, fold="off")
    timeline = result.timeline
    assert timeline is not None
    for track in range(4):
        mine = timeline.operation[timeline.track == track]
        layers = {timeline.operations[one].layer for one in mine.tolist()} - {None}
        assert layers == {track}
        names = {timeline.operations[one].name for one in mine.tolist()}
        assert ("embedding" in names, "lm_head" in names, "pipeline.send" in names) == (
            track == 0,
            track == 3,
            track < 3,
        )
        runs = np.bincount(mine)
        assert set(runs[runs > 0].tolist()) == {4}
