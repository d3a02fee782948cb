"""The residual stream, which every rank holds for all its tokens, or with sequence parallelism for its part of them."""

from __future__ import annotations

from simcluster.kernels import ElementWise
from simcluster.plan.layout import Axis
from simcluster.plan.share import Share
from simcluster.program.tape import Tape


def stream_bytes(share: Share, tokens: float) -> float:
    """The residual stream of `tokens` tokens: hidden elements each, in the communication type."""
    return tokens * share.model.hidden * share.model.precision.bytes_of("communication")


def normed_bytes(share: Share, tokens: float) -> float:
    """What a norm writes, the input of the next GEMMs: hidden elements a token in the compute type."""
    return tokens * share.model.hidden * share.model.precision.bytes_of("compute")


def norm(share: Share, tokens: float) -> ElementWise:
    """Reads the residual stream and writes a GEMM's input: quantisation is fused into the norm."""
    return ElementWise(read_bytes=stream_bytes(share, tokens), write_bytes=normed_bytes(share, tokens))


def lower_norm(tape: Tape, share: Share, part: str | None) -> None:
    """The norm before a part of a layer; makes the tensor `normed`.

    With sequence parallelism each tp rank normalises its tokens, and an all-gather (`part`.all_gather, in the compute
    type) shows them to all lanes; a `part` None works on its own tokens.
    """
    tokens = share.stream_tokens
    gathers = part is not None and share.execution.sequence_parallel and share.degrees.tp > 1
    small, whole = normed_bytes(share, tokens), normed_bytes(share, share.tokens)
    tape.compute("norm", norm(share, tokens), makes={"part" if gathers else "normed": small})
    if gathers:
        tape.collective(f"{part}.all_gather", "all_gather", "tp", whole, makes={"normed": whole}, frees=("part",))


def add_lanes(tape: Tape, share: Share, part: str, axis: Axis) -> None:
    """Add the lanes' partial results in the tensor `block`, of all a rank's tokens.

    An all-reduce over the axis (ring volume 2(n-1)/n of tokens x hidden), or with sequence parallelism a
    reduce-scatter (half of that), after which each lane keeps its tokens.
    """
    lanes = int(getattr(share.degrees, axis))
    if lanes == 1:
        return
    stream = stream_bytes(share, share.tokens)
    if not share.execution.sequence_parallel:
        tape.collective(f"{part}.all_reduce", "all_reduce", axis, stream, makes={})
        return
    tape.rename("block", "partial")
    tape.collective(
        f"{part}.reduce_scatter", "reduce_scatter", axis, stream, makes={"block": stream / lanes}, frees=("partial",)
    )


def residual(share: Share) -> ElementWise:
    """Reads the residual stream and a block's output, writes their sum."""
    stream = stream_bytes(share, share.stream_tokens)
    return ElementWise(read_bytes=2 * stream, write_bytes=stream)
