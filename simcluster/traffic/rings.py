"""Rings: every rank passes on to the next what it received, pipelined."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import numpy as np

from simcluster.cluster.messages import Ints, Messages
from simcluster.traffic.pattern import Group, Phase, domains


def ring(group: Group, domain_gpus: int, *, volume: float, rounds: int) -> Phase:
    """Rings that share the data evenly, each rank sending `volume` of its ring's data to the next.

    All-reduce: volume 2(n-1)/n in 2(n-1) rounds.  All-gather and reduce-scatter: (n-1)/n in n-1 rounds (Thakur,
    Rabenseifner & Gropp, Optimization of Collective Communication Operations in MPICH, 2005).
    """
    orders = ring_orders(group, domain_gpus)
    sender, receiver = orders.ravel(), np.roll(orders, -1, axis=1).ravel()
    sizes = np.full(len(sender), volume / len(orders))
    return Phase(messages=Messages(sender=sender, receiver=receiver, bytes=sizes), rounds=rounds)


def chain(group: Group, domain_gpus: int) -> Phase:
    """A broadcast from the group's first rank: each ring, cut open before it, passes the whole buffer along, in n-1
    rounds."""
    orders = ring_orders(group, domain_gpus)
    cut = np.array([np.roll(order, -int(np.argmax(order == group[0]))) for order in orders])
    sender, receiver = cut[:, :-1].ravel(), cut[:, 1:].ravel()
    sizes = np.full(len(sender), 1 / len(orders))
    return Phase(messages=Messages(sender=sender, receiver=receiver, bytes=sizes), rounds=len(group) - 1)


def ring_orders(group: Group, domain_gpus: int) -> Ints:
    """One ring in rank order inside a domain; across domains as many as the smallest of them has members.  Shape
    (rings, ranks).

    A ring leaves each domain where it enters the next, so it stays on a rail from node to node, and the g rings leave
    each node through g different NICs, as NCCL's do.  In a node it goes from its member e over all others to member
    e + s; the shifts s of all nodes add up to a multiple of g, so the ring also closes on its rail.  Only with two
    members in each of an odd number of nodes no such shifts exist, and the closing hop changes rail.
    """
    members = domains(group, domain_gpus)
    if len(members) == 1:
        return np.array([group], dtype=np.int64)
    size = min(len(ranks) for ranks in members)
    entries = list(accumulate(_shifts(len(members), size), initial=0))
    place = [
        (number, position)
        for number, (ranks, entry, leave) in enumerate(zip(members, entries, entries[1:], strict=False))
        for position in _path(entry % size, leave % size, len(ranks))
    ]
    node, position = np.array(place, dtype=np.int64).T
    first = np.cumsum([0, *(len(ranks) for ranks in members)])[node]
    listed = np.array([rank for ranks in members for rank in ranks], dtype=np.int64)
    turned = (position + np.arange(size)[:, None]) % size  # ring r starts at member r of every domain
    orders: Ints = listed[first + np.where(position < size, turned, position)]
    return orders


def _shifts(nodes: int, size: int) -> list[int]:
    """From the member a ring enters to the one it leaves by, for each node: not zero unless alone, together a multiple
    of `size` where that can be."""
    if size == 1:
        return [0] * nodes
    if nodes % 2 == 0 or size == 2:
        return [1 if node % 2 == 0 else -1 for node in range(nodes)]
    return [1, -1] * ((nodes - 3) // 2) + [1, 1, size - 2]


def _path(entry: int, leave: int, size: int) -> Iterator[int]:
    """All members of a node, from `entry` to `leave`."""
    yield entry
    yield from (member for member in range(size) if member not in (entry, leave))
    if leave != entry:
        yield leave
