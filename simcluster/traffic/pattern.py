"""A collective as messages: which rank sends how much to which, in phases of latency-bound rounds.

Sizes are per byte of the collective's payload (nccl-tests' size), so one pattern serves every payload.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simcluster.cluster.messages import Everyone, Messages, Reduction

Group = tuple[int, ...]
"""The ranks of one collective, in the order of its axis."""

Edge = tuple[int, int, float]
"""Sender, receiver, bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Messages that go at the same time, pipelined over `rounds` rounds that each pay the latency of the slowest.

    Where all send alike, `everyone` says so without listing them.  `forwards` counts hops over NVLink that follow one
    another on top, where a GPU passes on what reached it.
    """

    messages: Messages
    rounds: int
    reductions: tuple[Reduction, ...] = ()
    forwards: int = 0
    everyone: tuple[Everyone, ...] = ()

    def listed(self) -> Messages:
        """All messages one by one, empty ones left out."""
        parts = [one.listed() for one in self.everyone if one.bytes > 0]
        if not parts:
            return self.messages
        return Messages.joined([self.messages, *parts] if len(self.messages.bytes) else parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Phases one after the other, by an algorithm."""

    algorithm: str
    phases: tuple[Phase, ...]


def phase(edges: Iterable[Edge], rounds: int, *, forwards: int = 0) -> Phase:
    """A phase of messages given one by one; messages of a rank to itself and empty ones are left out."""
    real = [edge for edge in edges if edge[0] != edge[1] and edge[2] > 0]
    sender = np.array([edge[0] for edge in real], dtype=np.int64)
    receiver = np.array([edge[1] for edge in real], dtype=np.int64)
    sizes = np.array([edge[2] for edge in real], dtype=np.float64)
    return Phase(messages=Messages(sender=sender, receiver=receiver, bytes=sizes), rounds=rounds, forwards=forwards)


def joined(phases: Sequence[Phase], rounds: int) -> Phase:
    """Several phases' messages at the same time."""
    return Phase(
        messages=Messages.joined([one.messages for one in phases]),
        rounds=rounds,
        reductions=tuple(reduction for one in phases for reduction in one.reductions),
        everyone=tuple(one for phase in phases for one in phase.everyone),
    )


def exchange(parts: tuple[Group, ...], size: float, *, forwards: int = 0) -> Phase:
    """Within each part every member sends `size` to each other, all at once, in one round."""
    return Phase(messages=Messages.none(), rounds=1, forwards=forwards, everyone=(Everyone(parts=parts, bytes=size),))


@lru_cache(maxsize=256)
def domains(group: Group, domain_gpus: int) -> tuple[Group, ...]:
    """The group's members by NVLink domain, in the group's order."""
    members: dict[int, list[int]] = defaultdict(list)
    for rank in group:
        members[rank // domain_gpus].append(rank)
    return tuple(tuple(ranks) for ranks in members.values())


def columns(parts: tuple[Group, ...]) -> tuple[Group, ...]:
    """Members at the same place of each domain; every domain must hold equally many."""
    return tuple(zip(*parts, strict=True))
