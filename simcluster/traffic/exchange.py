"""All-to-alls: every rank sends something of its own to every other."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np

from simcluster.cluster.messages import Floats, Messages
from simcluster.program.program import Copies
from simcluster.traffic.pattern import Group, Phase, columns, domains, exchange, joined, phase


def direct(group: Group) -> Phase:
    """Every rank sends 1/n of its buffer to each other rank, all at once, in one round."""
    return exchange((group,), 1 / len(group))


def to_all(group: Group) -> Phase:
    """Every rank sends its whole buffer to each other rank, all at once; each then adds what it has (one-shot)."""
    return exchange((group,), 1.0)


def uneven(group: Group, matrix: Floats) -> Phase:
    """Member i sends `matrix[i, j]` bytes to member j, all at once; shape (n, n), the diagonal stays where it is."""
    ranks = np.array(group, dtype=np.int64)
    row, column = np.nonzero(matrix * (1 - np.eye(len(group))))
    return Phase(
        messages=Messages(sender=ranks[row], receiver=ranks[column], bytes=matrix[row, column].astype(np.float64)),
        rounds=1,
    )


def pairwise_exchange(group: Group) -> tuple[Phase, ...]:
    """n-1 rounds one after the other: in round k rank i sends 1/n of its buffer to rank i + k."""
    n = len(group)
    return tuple(
        phase([(group[i], group[(i + k) % n], 1 / n) for i in range(n)], 1)
        for k in range(1, n)
    )  # fmt: skip


def hierarchical(group: Group, domain_gpus: int) -> tuple[Phase, ...]:
    """First inside domains: a rank hands each peer all that goes to ranks at that peer's place elsewhere; then between
    ranks at the same place of different domains.  A NIC sends (D-1)/D of the buffer, in messages m times larger."""
    parts = domains(group, domain_gpus)
    size = len(parts[0])
    inside = (exchange(parts, 1 / size),) if size > 1 else ()
    across = (exchange(columns(parts), 1 / len(parts)),) if len(parts) > 1 else ()
    return (*inside, *across)


def distinct(copies: Copies, buckets: int) -> float:
    """Expected number of `buckets` equal parts of E experts that hold one of a token's k, chosen evenly: buckets *
    (1 - C(E - E/buckets, k) / C(E, k)); with fewer experts than buckets, as if drawn with replacement."""
    if copies.experts < buckets:
        return buckets * (1 - (1 - 1 / buckets) ** copies.top_k)
    outside = copies.experts - copies.experts // buckets
    return buckets * (1 - comb(outside, copies.top_k) / comb(copies.experts, copies.top_k))


def node_dedup(group: Group, domain_gpus: int, copies: Copies) -> Phase:
    """Expert dispatch as DeepEP's normal mode does it: a token crosses once to every domain that holds one of its
    experts, to the rank at the sender's place there, which passes it on to every rank that needs it, once.

    The payload is all k copies of a rank's tokens, so one token's share of it is 1/k.  Combine goes the same ways back,
    with the same bytes.
    """
    parts = domains(group, domain_gpus)
    to_domain = distinct(copies, len(parts)) / len(parts) / copies.top_k
    to_rank = distinct(copies, len(group)) / len(group) / copies.top_k
    across = exchange(columns(parts), to_domain)
    inside = exchange(parts, len(parts) * to_rank)
    return replace(joined([across, inside], 1), forwards=1 if 1 < len(parts) < len(group) else 0)
