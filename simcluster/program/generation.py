"""Generation: a prefill and the decode steps after it, whose cache grows by a token a step, as one program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from simcluster.plan.layout import Layout
from simcluster.plan.share import Share
from simcluster.program.lower import lower
from simcluster.program.program import Operation, Program, Segment


def lower_generation(share: Share, layout: Layout, most: int) -> Program:
    """Prefill, then at most `most` decode steps of growing context that stand for all output - 1 of them.

    The steps are cut into blocks of equal length, as nearly as can be; each block is one step at its mean context,
    which stands for as many steps as the block has.  Summing f(context) so is the midpoint rule: exact where a step's
    time grows linearly with its cache, as a memory-bound one's does.

    In a pipeline a step begins before the one before it has ended, so a step lasts from that one's end to its own, and
    meanwhile the first stages are at the next one.  A block's step therefore has its real neighbours beside it, which
    stand for themselves only; the first of all also fills the pipeline, the last drains it.
    """
    workload = share.workload
    programs = [lower(replace(share, workload=workload.prefill()), layout)]
    segments = [
        Segment(name="prefill", first=0, times=1, length=workload.length, microbatches=programs[0].microbatches)
    ]
    operations: list[Operation] = list(programs[0].operations)
    bends = [] if share.model.window is None else [int(share.model.window - workload.length)]
    for since, times in _stand_ins(blocks(workload.output - 1, most, bends), beside=share.degrees.pp > 1):
        context = workload.length + since
        program = lower(replace(share, workload=workload.decode(context)), layout)
        parts = program.microbatches
        segments.append(Segment(name="decode", first=len(operations), times=times, length=context, microbatches=parts))
        operations += [_moved(operation, len(operations), times) for operation in program.operations]
        programs.append(program)
    groups = {axis: found for program in programs for axis, found in program.groups.items()}
    shares = next((program.shares for program in programs if program.shares), ())
    return replace(
        programs[0],
        operations=tuple(operations),
        groups=groups,
        tokens=workload.tokens,
        shares=shares,
        chained=programs[-1].chained,
        segments=tuple(segments),
    )


def steps(share: Share) -> tuple[Share, ...]:
    """The kinds of step a workload has: itself, or prefill and decode, whose activations do not grow with the cache."""
    workload = share.workload
    if workload.phase != "generate":
        return (share,)
    return tuple(replace(share, workload=one) for one in (workload.prefill(), workload.decode(workload.length)))


def blocks(steps: int, most: int, bends: Sequence[int] = ()) -> tuple[tuple[int, int], ...]:
    """Steps 1 … `steps` in at most `most` runs (first, last), whose lengths differ by at most one, cut once more after
    each step of `bends`, after which the time grows otherwise than before."""
    count = min(steps, most)
    even = [steps * part // count for part in range(count + 1)] if count else [0]
    cuts = sorted({*even, *(bend for bend in bends if 0 < bend < steps)})
    return tuple((since + 1, until) for since, until in pairwise(cuts))


def _stand_ins(cut: Iterable[tuple[int, int]], *, beside: bool) -> Iterator[tuple[float, int]]:
    """The number of the step that stands for others, and for how many: of each block its middle, or with those `beside`
    it its middle and the two next to that, where it has more than three."""
    for first, last in cut:
        count, middle = last - first + 1, (first + last) / 2
        if beside and count > 3:
            yield from ((middle - 1, 1), (middle, count - 2), (middle + 1, 1))
        elif beside:
            yield from ((step, 1) for step in range(first, last + 1))
        else:
            yield middle, count


def _moved(operation: Operation, by: int, times: int) -> Operation:
    """The operation `by` places later in the program."""
    return operation._replace(after=tuple(index + by for index in operation.after), times=times)
