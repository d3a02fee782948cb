"""Two halves of a microbatch in turns: one computes while the other communicates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from simcluster.program.program import Collective, Compute, Operation


def in_turns(half: Sequence[Operation]) -> list[Operation]:
    """The operations of two equal halves, up to each dispatch or combine of one and then up to the same of the other;
    up to each collective where no tokens are exchanged.

    Program order is the order of the streams, so a half's kernels run while the other's tokens are under way (two-batch
    overlap: DeepSeek-V3, 2024, section 3.4.1; SGLang).  Each needs only what it needed alone.  Both halves' activations
    are alive.
    """
    collectives = [(index, one) for index, one in enumerate(half) if isinstance(one, Collective)]
    exchanges = [index for index, one in collectives if one.axis == "ep"]
    cuts = [0, *(index + 1 for index in exchanges or [index for index, _ in collectives]), len(half)]
    pieces = [range(start, stop) for start, stop in pairwise(cuts) if stop > start]
    order = [(side, index) for piece in pieces for side in (0, 1) for index in piece]
    place = {one: number for number, one in enumerate(order)}
    rest: list[Operation | None] = [None, None]
    found: list[Operation] = []
    for side, index in order:
        one, other = half[index], rest[1 - side]
        alive = {} if other is None else {f"{name} of the other half": size for name, size in other.live.items()}
        received = one.received + (0.0 if other is None else other.received)
        after = tuple(place[side, need] for need in one.after)
        moved = one._replace(after=after, live={**one.live, **alive}, received=received)
        found.append(moved._replace(beside=True) if isinstance(moved, Compute) else moved)
        rest[side] = one
    return found
