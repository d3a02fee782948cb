"""Dispatch, experts and combine in chunks, so that one chunk travels while another is computed."""

from __future__ import annotations

from collections.abc import Sequence

from simcluster.program.program import Compute, Operation
from simcluster.program.tape import Tape


def lower_in_chunks(tape: Tape, chunk: Sequence[Operation], count: int, start: int) -> None:
    """`count` times the operations of a chunk, each after the operation `start`; the next needs the end of all.

    A chunk's operations are collectives, kernels and collectives.  The communication stream takes each chunk's way out
    before the way back of the chunk before it, so that kernels find their tokens there (FasterMoE, 2022, section 5;
    Tutel, 2023).
    """
    computes = [place for place, one in enumerate(chunk) if isinstance(one, Compute)]
    out, rest = range(computes[0]), range(computes[0], len(chunk))
    order = [(0, place) for place in out]
    for number in range(count):
        if number + 1 < count:
            order += [(number + 1, place) for place in out]
        order += [(number, place) for place in rest]
    base = len(tape.operations)
    where = {one: base + index for index, one in enumerate(order)}
    for number, place in order:
        one = chunk[place]
        after = tuple(where[number, need] for need in one.after) or (start,)
        live = {f"{name} of a chunk": size for name, size in one.live.items() if size}
        one = one._replace(after=after, layer=tape.layer, live=live)
        tape.append(one._replace(beside=True) if isinstance(one, Compute) else one)
    tape.wait_for(*(where[number, len(chunk) - 1] for number in range(count)))
