"""Servers in a row: closed forms of pipelines, transfers that share a wire, and rounds that are skipped."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from simcluster.replay import tandem
from simcluster.replay.tandem import Step, end_s
from simcluster.traffic.crossings import Crossings
from simcluster.traffic.traffic import Leg
from simcluster.traffic.wires import Wires

WIDTH = 10.0
"""Bytes/s of every wire."""


def wires(count: int) -> Wires:
    return Wires(
        capacity=np.full(count, WIDTH),
        count=np.ones(count, dtype=np.int64),
        kind=("nic",) * count,
        direction=("out",) * count,
        background=Crossings.joined([]),
        demand=np.zeros(0),
    )


def leg(*crossed: int, limit: float = np.inf) -> Leg:
    flows = Crossings(
        flow=np.zeros(len(crossed), dtype=np.int64), wire=np.array(crossed), use=np.ones(len(crossed)), count=1
    )
    return Leg(
        latency_s=0.0, port_share=1.0, alone_rate=WIDTH, full_wire=crossed[0], flows=flows,
        flow_share=np.ones(1), limit=limit,
    )  # fmt: skip


def work(seconds: float) -> Step:
    return Step(seconds, None, 0.0)


@pytest.mark.parametrize("stages", [1, 2, 5])
@pytest.mark.parametrize("rounds", [1, 2, 3, 1000])
def test_equal_stages_end_after_as_many_rounds_as_there_are_and_the_stages_before(stages: int, rounds: int) -> None:
    """(m + p - 1) t: GPipe, 2019."""
    assert end_s([[work(3.0)]] * stages, wires(1), rounds) == pytest.approx(3.0 * (rounds + stages - 1), rel=1e-12)


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_the_slowest_server_sets_the_pace(slow: int) -> None:
    times = [1.0, 1.0, 1.0]
    times[slow] = 4.0
    found = end_s([[work(time)] for time in times], wires(1), 100)
    assert found == pytest.approx(sum(times) + 99 * 4.0, rel=1e-12)


def test_two_transfers_on_a_wire_have_half_of_it_each_while_both_go() -> None:
    """Round 1's 40 bytes from the first server meet round 0's 20 from the second, 5 bytes/s each from 4 s to 8 s."""
    first, second = [Step(0.0, leg(0), 40.0), work(0.0)], [Step(0.0, leg(0), 20.0), work(0.0)]
    assert end_s([first, second], wires(1), 1) == pytest.approx(6.0, rel=1e-12)
    assert end_s([first, second], wires(1), 2) == pytest.approx(12.0, rel=1e-12)  # the wire is never idle
    apart = [Step(0.0, leg(1), 20.0), work(0.0)]
    assert end_s([first, apart], wires(2), 2) == pytest.approx(10.0, rel=1e-12)


def test_a_transfer_keeps_its_limit() -> None:
    assert end_s([[Step(1.0, leg(0, limit=4.0), 8.0), work(0.5)]], wires(1), 3) == pytest.approx(3 * 3.5, rel=1e-12)


def test_the_first_server_waits_for_the_last_one_of_a_lap_before() -> None:
    """Two microbatches through three stages of 1 s: a lap takes 3 s, as the first comes back then."""
    assert end_s([[work(1.0)]] * 3, wires(1), 2 * 10, lap=2) == pytest.approx(10 * 3.0 + 1.0, rel=1e-12)
    assert end_s([[work(1.0)]] * 3, wires(1), 8 * 10, lap=8) == pytest.approx(10 * 8.0 + 2.0, rel=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_rounds_that_are_skipped_change_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(seed)
    legs = [leg(*rng.sample(range(5), rng.randint(1, 3))) for _ in range(6)]

    def server() -> list[Step]:
        steps = [
            Step(rng.choice([0.0, rng.uniform(0, 3)]), rng.choice(legs), rng.uniform(1, 40))
            for _ in range(rng.randint(0, 4))
        ]
        return [*steps, work(rng.uniform(0, 2))]

    servers, rounds = [server() for _ in range(rng.randint(1, 6))], rng.choice([7, 30, 200])
    lap = rng.choice([None, 3])
    found = end_s(servers, wires(5), rounds, lap)
    monkeypatch.setattr(tandem, "_ALIKE", -1.0)
    assert found == pytest.approx(end_s(servers, wires(5), rounds, lap), rel=1e-9)


def test_a_wire_as_wide_as_another_is_solved_once() -> None:
    """The same legs on other wires have the same rates."""
    tandem._fair.cache_clear()
    shares = tandem.Shares(wires(4))
    one, other = (tuple(shares.number(leg(wire, wire + 1)) for _ in range(2)) for wire in (0, 2))
    assert shares.rates(one) == shares.rates(other) == (5.0, 5.0)
    assert tandem._fair.cache_info().misses == 1
    narrow = replace(wires(4), capacity=np.array([WIDTH, WIDTH, 2.0, 2.0]))
    assert tandem.Shares(narrow).rates(()) == ()
