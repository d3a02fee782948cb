"""Communication beside computing: two-batch overlap and chunks on toys of few operations, against hand-made clocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

from simcluster.kernels import Gemm
from simcluster.plan.layout import Groups
from simcluster.program.chunks import lower_in_chunks
from simcluster.program.program import Collective, Compute, Operation, Program
from simcluster.program.tape import Tape
from simcluster.program.turns import in_turns
from simcluster.replay.run import run
from simcluster.timeline.states import states
from simcluster.timeline.timeline import Timeline
from tests.physics_helpers import NVLINK, a_collective, a_kernel, ideal_cluster

PAIR = ideal_cluster(1, 2)
CLOSE = 1e-9


def transfer(name: str, seconds: float, *after: int) -> Collective:
    """An all-to-all of a pair that takes so long: half of its payload goes through each NVLink port."""
    return a_collective(name, seconds * NVLINK * 2, *after)


def chain(*operations: Compute | Collective) -> list[Operation]:
    """Each operation after the one before it."""
    return [one._replace(after=(index - 1,) if index else ()) for index, one in enumerate(operations)]


def played(operations: Sequence[Operation], steps: int = 1, sms: float = 0.0, memory: float = 0.0) -> Timeline:
    program = Program(
        operations=tuple(operations),
        groups={"tp": Groups(ranks=2, stride=1, size=2)},
        ranks=2,
        steps=steps,
        tokens=2,
        communication_sms=sms,
        communication_memory=memory,
    )
    return run(program, PAIR)


# -------------------------------------------------------------------------------------------------------- two batches


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize(("computing", "sending"), [(1e-3, 3e-3), (3e-3, 1e-3), (2e-3, 2e-3), (1e-3, 0.999e-3)])
def test_two_halves_take_twice_the_longer_of_both_and_once_the_shorter(
    layers: int, computing: float, sending: float
) -> None:
    """Halves of n kernels c and transfers x in turns: 2n max(c, x) + min(c, x); one after the other 2n (c + x).

    Longer transfers follow one another without a gap once the first kernel has run; longer kernels hide all but the
    last transfer.
    """
    half = chain(*(one for _ in range(layers) for one in (a_kernel("c", computing), transfer("x", sending))))
    timeline = played(in_turns(half))
    longer, shorter = max(computing, sending), min(computing, sending)
    assert timeline.end_s == pytest.approx(2 * layers * longer + shorter, rel=CLOSE)
    exposed = float(states(timeline).communicating[0])
    assert exposed == pytest.approx(timeline.end_s - 2 * layers * computing, rel=CLOSE)
    both = [*half, *(one._replace(after=tuple(need + len(half) for need in one.after)) for one in half)]
    both[len(half)] = both[len(half)]._replace(after=(len(half) - 1,))
    assert played(both).end_s == pytest.approx(2 * layers * (computing + sending), rel=CLOSE)


def test_each_half_needs_what_it_needed_alone() -> None:
    half = chain(a_kernel("a", 1e-3), transfer("x", 1e-3), a_kernel("b", 1e-3), a_kernel("c", 1e-3))
    turns = in_turns(half)
    assert [one.name for one in turns] == ["a", "x", "a", "x", "b", "c", "b", "c"]
    assert [one.after for one in turns] == [(), (0,), (), (2,), (1,), (4,), (3,), (6,)]
    assert all(one.beside for one in turns if isinstance(one, Compute))


def test_the_activations_of_both_halves_are_alive() -> None:
    half = chain(a_kernel("a", 1e-3), transfer("x", 1e-3), a_kernel("b", 1e-3))
    sized = [one._replace(live={one.name: size}) for one, size in zip(half, (1.0, 20.0, 300.0), strict=True)]
    alive = [sum(one.live.values()) for one in in_turns(sized)]
    assert alive == [1, 20, 21, 40, 320, 600]


def test_without_collectives_the_halves_follow_one_another() -> None:
    turns = in_turns(chain(a_kernel("a", 1e-3), a_kernel("b", 2e-3)))
    assert [one.name for one in turns] == ["a", "b", "a", "b"]
    assert played(turns).end_s == pytest.approx(6e-3, rel=CLOSE)


# ------------------------------------------------------------------------------------------------------ cost of overlap


def square(beside: bool) -> Compute:
    """A GEMM bound by compute: 2 x 4096^3 FLOPs on 100 TFLOPS."""
    work = Gemm(m=4096, n=4096, k=4096, compute="bf16", input_bytes=2, weight_bytes=2, output_bytes=2)
    return Compute(name="gemm", layer=0, kernel=work, after=(), live={}, beside=beside)


ALONE_S = 2 * 4096**3 / 100e12


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.25, 0.9])
@pytest.mark.parametrize("beside", [False, True])
def test_sms_of_communication_slow_kernels_that_compute_bounds_and_only_beside_it(kept: float, beside: bool) -> None:
    timeline = played([square(beside)], sms=kept)
    assert timeline.end_s == pytest.approx(ALONE_S / (1 - kept if beside else 1), rel=CLOSE)
    streaming = a_kernel("read", 1e-3)._replace(beside=beside)
    assert played([streaming], sms=kept).end_s == pytest.approx(1e-3, rel=CLOSE)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.25, 0.9])
@pytest.mark.parametrize("beside", [False, True])
def test_bandwidth_of_communication_slows_kernels_that_memory_bounds(kept: float, beside: bool) -> None:
    streaming = a_kernel("read", 1e-3)._replace(beside=beside)
    timeline = played([streaming], memory=kept)
    assert timeline.end_s == pytest.approx(1e-3 / (1 - kept if beside else 1), rel=CLOSE)


# --------------------------------------------------------------------------------------------------------------- chunks


def in_chunks(count: int, out_s: float, work_s: float, back_s: float) -> list[Operation]:
    """A kernel, chunks of (out, work, back), and a kernel that needs them all."""
    tape = Tape()
    tape.compute("first", a_kernel("first", 1e-3).kernel, makes={})
    chunk = chain(transfer("out", out_s), a_kernel("work", work_s), transfer("back", back_s))
    lower_in_chunks(tape, chunk, count, tape.last)
    tape.compute("last", a_kernel("last", 1e-3).kernel, makes={})
    return tape.operations


def chunks_by_hand(count: int, out_s: float, work_s: float, back_s: float) -> float:
    """When the last chunk is back: transfers take turns as out 0, out 1, back 0, out 2, back 1, …"""
    wire = gpu = 0.0
    arrived = [0.0] * count

    def out(number: int) -> None:
        nonlocal wire
        wire = arrived[number] = wire + out_s

    out(0)
    for number in range(count):
        if number + 1 < count:
            out(number + 1)
        gpu = max(gpu, arrived[number]) + work_s
        wire = max(wire, gpu) + back_s
    return wire


TIMES = (1e-3, 2.5e-3, 7e-3)


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize(("out_s", "work_s", "back_s"), list(product(TIMES, TIMES, TIMES)))
def test_chunks_are_a_pipeline_of_way_out_work_and_way_back(
    count: int, out_s: float, work_s: float, back_s: float
) -> None:
    found = played(in_chunks(count, out_s, work_s, back_s)).end_s
    assert found == pytest.approx(2e-3 + chunks_by_hand(count, out_s, work_s, back_s), rel=CLOSE)
    assert found <= 2e-3 + count * (out_s + work_s + back_s) * (1 + CLOSE)


@pytest.mark.parametrize("count", [2, 4, 16])
def test_long_work_hides_all_transfers_but_the_first_and_the_last(count: int) -> None:
    """Work as long as both ways: out + n work + back."""
    found = played(in_chunks(count, 1e-3, 4e-3, 2e-3)).end_s
    assert found == pytest.approx(2e-3 + 1e-3 + count * 4e-3 + 2e-3, rel=CLOSE)


@pytest.mark.parametrize("count", [2, 4, 16])
def test_short_work_is_hidden_behind_the_transfers_of_others(count: int) -> None:
    """Work shorter than either way: n (out + back)."""
    found = played(in_chunks(count, 3e-3, 1e-3, 2e-3)).end_s
    assert found == pytest.approx(2e-3 + count * 5e-3, rel=CLOSE)


def test_only_the_work_of_chunks_runs_beside_communication() -> None:
    beside = {one.name for one in in_chunks(3, 1e-3, 1e-3, 1e-3) if isinstance(one, Compute) and one.beside}
    assert beside == {"work"}
