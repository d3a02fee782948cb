"""Lowering: a plan cuts a model and a workload into the program every rank runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from itertools import islice

from simcluster.kernels import BYTES_PER_ELEMENT, ElementWise
from simcluster.model.transformer import Mlp, Moe
from simcluster.plan.layout import Axis, Layout
from simcluster.plan.share import Share
from simcluster.program.attention import lower_attention
from simcluster.program.experts import lower_moe
from simcluster.program.mlp import lower_mlp
from simcluster.program.program import Collective, Compute, Operation, Program
from simcluster.program.projection import projection
from simcluster.program.stream import add_lanes, norm, normed_bytes, stream_bytes
from simcluster.program.tape import Tape
from simcluster.program.turns import in_turns


@lru_cache(maxsize=16)
def lower(share: Share, layout: Layout, *, once: bool = False) -> Program:
    """The program of one step: embedding, every layer's attention and feed-forward part, head, stage after stage.

    Embedding and head exist only with a vocabulary.  Every layer has its own operations, which carry its index; those
    of equal layers are made once and copied, or where `once`, just counted; not so where two halves take turns or the
    host is late for a step's first layer.  A stage sends each microbatch's residual stream to the next one, whose first
    operation needs it.  The last few programs are kept: a sweep over hardware replays the same one.
    """
    operations: list[Operation] = []
    sends: list[int] = []
    sequence: list[range] = []
    late = share.workload.host_overhead_s > 0 and share.model.vocab is None
    once = once and share.execution.halves == 1 and not late
    for stage in range(share.degrees.pp):
        tape, first = _lower_stage(share.at(stage), once=once), len(operations)
        mine = tape.operations
        sequence += [range(first + places.start, first + places.stop) for places in tape.sequence]
        if share.execution.halves == 2:
            mine = in_turns(mine)
        waiting = iter(sends)
        for one in mine:
            needs = tuple(first + need for need in one.after) or tuple(islice(waiting, 1))
            operations.append(one if needs == one.after else one._replace(after=needs))
        sends = [first + place for place, one in enumerate(mine) if isinstance(one, Collective) and one.axis == "pp"]
    for places, times in Counter(sequence).items():
        if once and times > 1:
            operations[places.start : places.stop] = [
                one._replace(times=times) for one in operations[places.start : places.stop]
            ]
    if share.workload.host_overhead_s:
        opening = operations[0]
        assert isinstance(opening, Compute)
        operations[0] = opening._replace(host_s=share.workload.host_overhead_s)
    axes: list[Axis] = [operation.axis for operation in operations if isinstance(operation, Collective)]
    return Program(
        operations=tuple(operations),
        groups={axis: layout.senders() if axis == "pp" else layout.groups(axis) for axis in dict.fromkeys(axes)},
        ranks=share.degrees.gpus,
        steps=share.workload.steps,
        tokens=share.workload.tokens,
        shares=share.expert_shares,
        stages=share.degrees.pp,
        microbatches=share.microbatches,
        chained=share.workload.phase == "decode",
        communication_sms=share.execution.communication_sms,
        communication_memory=share.execution.communication_memory,
        sequence=tuple(sequence) if once else (),
    )


def _lower_stage(share: Share, *, once: bool) -> Tape:
    """What a rank of a stage does with one microbatch, or one half of it."""
    tape = Tape(adds=share.model.precision.communication, stage=share.stage)
    if share.is_first:
        _lower_embedding(tape, share)
    else:
        tape.begin({"residual": stream_bytes(share, share.stream_tokens)})
    lowered: dict[tuple[int | None, Mlp | Moe], range] = {}
    for layer in share.layers:
        tape.layer = layer
        kind = share.model.window_of(layer), share.model.ffn_of(layer)
        if kind in lowered:
            tape.repeat(lowered[kind], copied=not once)
            continue
        tape.mark()
        first = len(tape.operations)
        _lower_layer(tape, share, layer)
        lowered[kind] = range(first, len(tape.operations))
        tape.mark()
    tape.layer = None
    if share.is_last:
        _lower_head(tape, share)
    else:
        stream = stream_bytes(share, share.stream_tokens)
        tape.collective("pipeline.send", "send_recv", "pp", stream, makes={})
    tape.mark()
    return tape


def _lower_layer(tape: Tape, share: Share, layer: int) -> None:
    lower_attention(tape, share, layer)
    match share.model.ffn_of(layer):
        case Moe() as moe:
            lower_moe(tape, share, moe)
        case Mlp() as dense:
            lower_mlp(tape, share, dense)


def _lower_embedding(tape: Tape, share: Share) -> None:
    """Look up this rank's share of the tokens' rows and sum them over tp, as a vocabulary cut over tp needs.

    Without a vocabulary the step starts from the residual stream as given.
    """
    model, types = share.model, share.model.precision
    if model.vocab is None:
        tape.begin({"residual": stream_bytes(share, share.stream_tokens)})
        return
    stream = stream_bytes(share, share.tokens)
    rows = share.tokens * model.hidden * types.bytes_of("vocabulary") / share.degrees.tp
    tape.compute("embedding", ElementWise(read_bytes=rows, write_bytes=stream), makes={"block": stream})
    add_lanes(tape, share, "embedding", "tp")
    tape.rename("block", "residual")


def _lower_head(tape: Tape, share: Share) -> None:
    """Final norm and logits of each sequence's last token, the vocabulary cut over tp.

    In decode a context rank has its own tokens only; in prefill the one that has the ends of the sequences has them all
    and the others wait for it.
    """
    model, types = share.model, share.model.precision
    if model.vocab is None:
        return
    rows = share.tokens if share.workload.phase == "decode" else share.sequences
    tape.compute("norm", norm(share, rows), makes={"normed": normed_bytes(share, rows)})
    head = replace(
        projection(share, m=rows, n=share.vocab, k=model.hidden, writes="communication"),
        compute=types.head_compute,
        input_bytes=BYTES_PER_ELEMENT[types.head_compute],
        weight_bytes=types.bytes_of("vocabulary"),
    )
    logits = rows * share.vocab * types.bytes_of("communication")
    tape.compute("lm_head", head, makes={"logits": logits}, frees=("normed", "logits"))
