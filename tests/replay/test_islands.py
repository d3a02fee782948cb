"""Islands of transfers that share no wires are solved apart; the answer is that of solving all together."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from simcluster.cluster.cluster import Cluster, Stream
from simcluster.cluster.routes import Routes
from tests.physics_helpers import NVLINK, Start, ideal_cluster, one_message, run_transfers, traffic

WHISPER = Stream(senders=(0,), receivers=(1,), bytes_per_s=1e-3)
"""Background traffic too little to notice, which makes one island of all wires."""


def random_starts(rng: random.Random, cluster: Cluster, routes: Routes) -> list[Start]:
    """Pairs inside nodes, messages between nodes and all-to-alls that join them, at a few instants."""
    starts: list[Start] = []
    for _ in range(rng.randint(2, 24)):
        size, at = float(rng.randint(1, 10**9)), rng.choice([0.0, 1e-4, 1e-3, rng.random() * 1e-2])
        match rng.randint(0, 3):
            case 0:
                starts.append((at, traffic("all_to_all", tuple(rng.sample(range(cluster.gpus), 4)), routes), size))
            case 1:
                starts.append((at, one_message(routes, *rng.sample(range(cluster.gpus), 2)), size))
            case _:
                node = rng.randrange(cluster.nodes) * cluster.gpus_per_node
                pair = tuple(node + gpu for gpu in rng.sample(range(cluster.gpus_per_node), 2))
                starts.append((at, traffic("all_gather", pair, routes), size))
    return starts


@pytest.mark.parametrize("seed", range(60))
def test_solving_apart_is_solving_together(seed: int) -> None:
    rng = random.Random(seed)
    cluster = ideal_cluster(4, 4, nics_per_node=rng.choice([1, 2, 4]))
    routes = Routes(cluster)
    starts = random_starts(rng, cluster, routes)
    apart, network = run_transfers(routes, starts)
    together, _ = run_transfers(Routes(replace(cluster, background=(WHISPER,))), starts)
    assert apart == pytest.approx(together, rel=1e-9)
    network.check_conservation(network.loads(), max(apart))


def test_a_transfer_that_joins_two_islands_slows_both() -> None:
    """Messages 0 -> 1 and 2 -> 3 of 3 s alone; after 1 s one from 0 to 3 takes half of 0's and half of 3's wire.

    All three go at half speed from then on: the joiner, of 1 s alone, ends at 3 s; the others, with 1 s left, at 4 s.
    """
    routes = Routes(ideal_cluster(1, 4))
    starts = [(0.0, one_message(routes, 0, 1), 3 * NVLINK), (0.0, one_message(routes, 2, 3), 3 * NVLINK),
              (1.0, one_message(routes, 0, 3), NVLINK)]  # fmt: skip
    ends, _ = run_transfers(routes, starts)
    assert ends == pytest.approx([4, 4, 3], rel=1e-9)


def test_those_left_behind_are_islands_again() -> None:
    """As above, and at 3 s a fourth message from 1 to 2 shares no wire with any: it takes its 2 s."""
    routes = Routes(ideal_cluster(1, 4))
    starts = [(0.0, one_message(routes, 0, 1), 3 * NVLINK), (0.0, one_message(routes, 2, 3), 3 * NVLINK),
              (1.0, one_message(routes, 0, 3), NVLINK), (3.5, one_message(routes, 1, 2), 2 * NVLINK)]  # fmt: skip
    ends, network = run_transfers(routes, starts)
    assert ends == pytest.approx([4, 4, 3, 5.5], rel=1e-9)
    loads = network.loads()
    assert loads.rates.max() == pytest.approx(NVLINK, rel=1e-9)
    assert loads.rates[loads.state[-1]].max() == 0
