"""The network in time against exact fluid arithmetic: collectives of separate flows, and background streams."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import pytest

from simcluster.cluster.cluster import Cluster, Routing, Stream
from simcluster.cluster.link import Fabric
from simcluster.cluster.messages import Messages
from simcluster.cluster.routes import Routes
from simcluster.traffic import exchange, rings
from simcluster.traffic.pattern import Pattern, Phase
from simcluster.traffic.traffic import Traffic, routed
from tests.physics_helpers import NIC, Start, ideal_cluster, run_transfers
from tests.replay.exact import Flow, Uses, flow_ends

FABRICS: tuple[tuple[Fabric, int], ...] = (("single-switch", 1), ("leaf-spine", 1), ("rail-optimized", 2))
FOREVER = Fraction(10**30)
"""Bytes of a stream: it is still going when all else has ended."""

Posted: TypeAlias = tuple[Fraction, Phase, Fraction]
"""A collective of one phase: when (s), its messages, and its payload (bytes)."""


def random_cluster(rng: random.Random) -> Cluster:
    """Two to six nodes on switches of four ports; messages split over spines or hashed to one."""
    fabric, gpus = rng.choice(FABRICS)
    cluster = ideal_cluster(rng.randint(2, 6), gpus, fabric=fabric, leaf_ports=4, oversubscription=rng.choice([1, 2]))
    return replace(cluster, routing=Routing(seed=rng.choice([None, 3])))


def random_phase(rng: random.Random, gpus: int) -> Phase:
    """A ring, a direct or an uneven all-to-all of some GPUs."""
    group = tuple(rng.sample(range(gpus), rng.randint(2, min(gpus, 4))))
    shape = rng.choice(["ring", "direct", "uneven"])
    if shape == "ring":
        return rings.ring(group, gpus, volume=1.0, rounds=1)
    if shape == "direct":
        return exchange.direct(group)
    rows = [[rng.randint(0, 9) for _ in group] for _ in group]
    rows[0][1] = 1
    return exchange.uneven(group, np.array(rows, dtype=np.float64))


def random_posts(rng: random.Random, gpus: int) -> list[Posted]:
    return [
        (
            Fraction(rng.choice([0, 0, rng.randint(1, 64)]), 64),
            random_phase(rng, gpus),
            Fraction(rng.randint(10**8, 10**11)),
        )
        for _ in range(rng.randint(1, 4))
    ]


def as_traffic(phase: Phase, routes: Routes) -> Traffic:
    group = tuple(sorted({*phase.listed().sender.tolist(), *phase.listed().receiver.tolist()}))
    return routed(Pattern(algorithm="test", phases=(phase,)), group, routes)


def uses_of_messages(routes: Routes, messages: Messages) -> list[dict[int, Fraction]]:
    """Share of each message on each wire, as the fractions they stand for."""
    crossing = routes.crossing(messages)
    uses: list[dict[int, Fraction]] = [{} for _ in messages.bytes]
    for message, wire, share in zip(
        crossing.message.tolist(), crossing.wire.tolist(), crossing.share.tolist(), strict=True
    ):
        uses[message][wire] = Fraction(share).limit_denominator(10**6)
    return uses


def use_together(routes: Routes, messages: Messages) -> dict[int, Fraction]:
    """Bytes on each wire, all messages together."""
    total: dict[int, Fraction] = {}
    for one, size in zip(uses_of_messages(routes, messages), messages.bytes.tolist(), strict=True):
        for wire, share in one.items():
            total[wire] = total.get(wire, Fraction(0)) + share * Fraction(size).limit_denominator(10**6)
    return total


def by_busiest_port(routes: Routes, total: Uses) -> tuple[Fraction, dict[int, Fraction]]:
    """Bytes through the busiest port, and those on each wire per such byte."""
    busiest = max(size for wire, size in total.items() if routes.is_port[wire])
    return busiest, {wire: size / busiest for wire, size in total.items()}


def exact_ends(routes: Routes, posts: list[Posted]) -> list[float]:
    """When each collective ends: with its last message, or as one activity; streams go on for ever.

    A stream's rate is limited by a wire of its own that no other crosses.
    """
    capacity = [Fraction(room) for room in routes.capacity.tolist()]
    flows: list[Flow] = []
    owner: list[int] = []
    for number, (start, phase, payload) in enumerate(posts):
        if routes.cluster.sharing == "flow":
            sizes = [Fraction(size).limit_denominator(10**6) for size in phase.listed().bytes.tolist()]
            parts = list(zip(sizes, uses_of_messages(routes, phase.listed()), strict=True))
        else:
            parts = [by_busiest_port(routes, use_together(routes, phase.listed()))]
        flows += [Flow(start, payload * size, uses) for size, uses in parts]
        owner += [number] * len(parts)
    for stream in routes.cluster.background:
        busiest, uses = by_busiest_port(routes, use_together(routes, stream_messages(stream)))
        limit = len(capacity)
        capacity.append(Fraction(stream.bytes_per_s) * busiest)
        flows.append(Flow(Fraction(0), FOREVER, {**uses, limit: Fraction(1)}))
    ends = flow_ends(flows, capacity)
    return [
        float(max(end for end, one in zip(ends, owner, strict=False) if one == number)) for number in range(len(posts))
    ]


def stream_messages(stream: Stream) -> Messages:
    """A byte spread evenly over all pairs."""
    pairs = [(one, other) for one in stream.senders for other in stream.receivers if one != other]
    sender, receiver = (np.array(ends, dtype=np.int64) for ends in zip(*pairs, strict=True))
    return Messages(sender=sender, receiver=receiver, bytes=np.full(len(pairs), 1 / len(pairs)))


def random_stream(rng: random.Random, gpus: int) -> Stream:
    """One to three senders and receivers, from a trickle to more than the wires can carry."""
    chosen = rng.sample(range(gpus), min(gpus, rng.randint(2, 4)))
    cut = rng.randint(1, len(chosen) - 1)
    rate = rng.choice([NIC / 64, NIC / 4, NIC / 2, 4 * NIC])
    return Stream(senders=tuple(chosen[:cut]), receivers=tuple(chosen[cut:]), bytes_per_s=rate)


def check_against_exact(cluster: Cluster, posts: list[Posted]) -> None:
    routes = Routes(cluster)
    starts: list[Start] = [(float(start), as_traffic(phase, routes), float(size)) for start, phase, size in posts]
    ends, network = run_transfers(routes, starts)
    assert ends == pytest.approx(exact_ends(routes, posts), rel=1e-9, abs=0)
    network.check_conservation(network.loads(), max(ends))


@pytest.mark.parametrize("seed", range(40))
def test_collectives_of_separate_flows_end_when_exact_arithmetic_says(seed: int) -> None:
    rng = random.Random(seed)
    cluster = replace(random_cluster(rng), sharing="flow")
    check_against_exact(cluster, random_posts(rng, cluster.gpus))


@pytest.mark.parametrize("sharing", ["activity", "flow"])
@pytest.mark.parametrize("seed", range(100, 130))
def test_beside_background_streams_collectives_end_when_exact_arithmetic_says(seed: int, sharing: str) -> None:
    rng = random.Random(seed)
    cluster = random_cluster(rng)
    streams = tuple(random_stream(rng, cluster.gpus) for _ in range(rng.randint(1, 3)))
    posts = random_posts(rng, cluster.gpus)
    chosen = replace(cluster, background=streams, sharing="flow" if sharing == "flow" else "activity")
    check_against_exact(chosen, posts)


def test_a_stream_below_its_fair_share_takes_what_it_asks_for_and_one_above_it_takes_half() -> None:
    for asked, left in ((NIC / 5, NIC * 4 / 5), (NIC, NIC / 2), (10 * NIC, NIC / 2)):
        stream = Stream(senders=(0,), receivers=(1,), bytes_per_s=asked)
        routes = Routes(replace(ideal_cluster(2, 1), background=(stream,)))
        shift = Phase(messages=stream_messages(stream), rounds=1)
        ends, _ = run_transfers(routes, [(0.0, as_traffic(shift, routes), 1e9)])
        assert ends == pytest.approx([1e9 / left], rel=1e-9, abs=0)
