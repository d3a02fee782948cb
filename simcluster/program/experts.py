"""The expert part of one layer, on the general path and on the path without token exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simcluster.kernels import ElementWise, ExpertLayer
from simcluster.model.transformer import Mlp, Moe
from simcluster.plan.share import Share
from simcluster.program.chunks import lower_in_chunks
from simcluster.program.mlp import dense_block
from simcluster.program.program import Copies
from simcluster.program.projection import projection
from simcluster.program.stream import add_lanes, lower_norm, residual, stream_bytes
from simcluster.program.tape import Tape


def lower_moe(tape: Tape, share: Share, moe: Moe) -> None:
    """Norm, router, shared experts, permute, [dispatch, lane gather,] experts, [lane reduction, combine,] permute, …

    On the general path a tp group's tokens are split over its lanes, each token's top_k copies travel to their experts
    and back, and an all-gather over tp gives every lane every token again.  Shared experts then run whole on each
    lane's own tokens.  With ep = 1 and etp = tp nothing travels: experts and shared experts are cut over the same
    ranks and one all-reduce adds their parts.  A collective over a group of one does not exist.

    Where experts are unevenly popular, ep coordinate j receives ep·P_j times the mean of copies (`Share.expert_loads`);
    payloads stay the mean, tensors of received copies have the size of the most loaded coordinate.
    """
    model, types, degrees = share.model, share.model.precision, share.degrees
    tokens, hidden = share.expert_tokens, model.hidden
    copies = tokens * moe.top_k
    reduced, dispatched = types.bytes_of("communication"), types.bytes_of("dispatch")
    late = share.execution.overlap_shared_experts and degrees.ep > 1

    lower_norm(tape, share, None if degrees.splits_tokens else "moe")
    _lower_router(tape, share, moe, tokens)
    if moe.shared is not None and not late:
        _lower_shared(tape, share, moe.shared, tokens)
    layers = expert_layers(share, moe, copies * degrees.etp if degrees.splits_tokens else copies)
    even = layers[0] if len(layers) == 1 else None
    permute_out = ElementWise(
        read_bytes=tokens * hidden * types.bytes_of("compute"), write_bytes=copies * hidden * dispatched, within=even
    )
    needed = moe.shared is not None and late
    frees = ("logits",) if needed else ("normed", "logits")
    tape.compute("moe.permute", permute_out, makes={"copies": copies * hidden * dispatched}, frees=frees)
    permuted = tape.last
    if moe.shared is not None and late:
        tape.beside = True
        _lower_shared(tape, share, moe.shared, tokens)
        tape.beside = False
        tape.free("normed")
    tape.wait_for(permuted)
    _lower_exchange(tape, share, moe, copies, permuted)
    permute_back = ElementWise(read_bytes=copies * hidden * reduced, write_bytes=tokens * hidden * reduced, within=even)
    tape.compute("moe.permute", permute_back, makes={"block": tokens * hidden * reduced}, frees=("outputs",))
    if moe.shared is not None:
        tape.free("shared")
    if not degrees.splits_tokens:
        add_lanes(tape, share, "moe", "etp")
    elif degrees.tp > 1 and not share.execution.sequence_parallel:
        stream = stream_bytes(share, share.tokens)
        tape.collective("moe.all_gather", "all_gather", "tp", stream, makes={"gathered": stream}, frees=("block",))
        tape.rename("gathered", "block")
    tape.compute("residual", residual(share), makes={}, frees=("block",))


def _lower_shared(tape: Tape, share: Share, mlp: Mlp, tokens: float) -> None:
    """Shared experts, whole on each lane's tokens, or cut over tp where every lane has all; makes `shared`."""
    cut = 1 if share.degrees.splits_tokens else share.degrees.tp
    dense_block(tape, share, mlp, cut=cut, tokens=tokens, names=("moe.shared",) * 3)
    tape.rename("block", "shared")


def _lower_exchange(tape: Tape, share: Share, moe: Moe, copies: float, permuted: int) -> None:
    """Dispatch, experts, combine: from `copies` to `outputs`, at once or in chunks."""
    chunks = share.execution.dispatch_chunks if share.degrees.ep > 1 else 1
    if chunks == 1:
        _lower_chunk(tape, share, moe, copies)
        return
    size = share.model.hidden * share.model.precision.bytes_of("communication")
    part = Tape(adds=share.model.precision.communication, stage=share.stage)
    part.begin({"copies": 0.0})  # a part of what is alive as a whole
    _lower_chunk(part, share, moe, copies / chunks)
    tape.begin({"outputs": copies * size})
    lower_in_chunks(tape, part.operations, chunks, permuted)
    tape.free("copies")


def _lower_chunk(tape: Tape, share: Share, moe: Moe, copies: float) -> None:
    """Dispatch, experts and combine of `copies` token copies of a rank."""
    types, hidden, degrees = share.model.precision, share.model.hidden, share.degrees
    chosen = Copies(top_k=moe.top_k, experts=moe.experts, token_bytes=hidden * types.bytes_of("dispatch"))
    _lower_dispatch(tape, share, copies, chosen)
    _lower_experts(tape, expert_layers(share, moe, copies * degrees.etp if degrees.splits_tokens else copies))
    _lower_combine(tape, share, copies, replace(chosen, token_bytes=hidden * types.bytes_of("communication")))


def _lower_router(tape: Tape, share: Share, moe: Moe, tokens: float) -> None:
    """Router: a GEMM of the rank's routed tokens onto one score per expert."""
    types = share.model.precision
    router = projection(share, m=tokens, n=moe.experts, k=share.model.hidden, writes="communication")
    tape.compute("moe.router", router, makes={"logits": tokens * moe.experts * types.bytes_of("communication")})


def _lower_dispatch(tape: Tape, share: Share, copies: float, chosen: Copies) -> None:
    """Send each copy to its expert's rank (all-to-all over ep), then show it to every lane of that expert.

    Uniform routing: a rank keeps 1/ep of its copies, sends the rest, and receives as many as it sent.  Uneven: it sends
    P_j of its copies to coordinate j, which receives ep·P_j times as many as it sent.
    """
    degrees, size = share.degrees, share.model.hidden * share.model.precision.bytes_of("dispatch")
    shares, most = share.expert_shares, max(share.expert_loads)
    sent = copies * size
    if degrees.ep > 1:
        tape.collective(
            "moe.dispatch",
            "all_to_all",
            "ep",
            sent,
            makes={"arrived": sent * most},
            frees=("copies",),
            copies=chosen,
            shares=shares,
            received=True,
        )
        tape.rename("arrived", "copies")
    if degrees.splits_tokens and degrees.etp > 1:
        gathered = sent * degrees.etp
        tape.collective(
            "moe.lane_all_gather",
            "all_gather",
            "etp",
            gathered,
            makes={"gathered": gathered * most},
            frees=("copies",),
            shares=shares,
            received=True,
        )
        tape.rename("gathered", "copies")


def _lower_experts(tape: Tape, layers: Sequence[ExpertLayer]) -> None:
    """Grouped GEMMs of a rank's experts on the copies it received; `layers` are those of `expert_layers`."""
    fullest = max(layers, key=lambda layer: layer.rows)
    wide, narrow = fullest.activation.read_bytes, fullest.activation.write_bytes
    tape.compute_received("moe.experts", [one.up for one in layers], makes={"raised": wide}, frees=("copies",))
    activations = [one.activation for one in layers]
    tape.compute_received("moe.activation", activations, makes={"activated": narrow}, frees=("raised",))
    outputs = fullest.rows * fullest.hidden * fullest.output_bytes
    tape.compute_received("moe.experts", [one.down for one in layers], makes={"outputs": outputs}, frees=("activated",))


def expert_layers(share: Share, moe: Moe, copies: float) -> tuple[ExpertLayer, ...]:
    """A rank's experts at work on `copies` copies, the mean over ranks, the inner width cut over etp: one for all, or
    one per ep coordinate where their loads differ."""
    model, types = share.model, share.model.precision
    even = ExpertLayer(
        rows=copies,
        hidden=model.hidden,
        inner=moe.expert.hidden,
        width=moe.expert.hidden // share.degrees.etp,
        groups=share.experts,
        experts=moe.experts,
        top_k=moe.top_k,
        gated=moe.expert.gated,
        compute=types.expert_compute,
        input_bytes=types.bytes_of("dispatch"),
        compute_bytes=types.bytes_of("expert_compute"),
        weight_bytes=types.bytes_of("expert_weights"),
        output_bytes=types.bytes_of("communication"),
        fused=share.execution.expert_kernels == "fused",
    )
    loads = share.expert_loads
    unread = _unread(share) if share.workload.expert_load or share.workload.drawn_by is not None else [0] * len(loads)
    return tuple(replace(even, rows=copies * load, unread=idle) for load, idle in zip(loads, unread, strict=False))


def _unread(share: Share) -> list[int]:
    """How many of its experts no token chooses, by ep coordinate; where all get equally many copies, at least so."""
    weights = share.expert_weights
    found = [sum(not weights[expert] for expert in place) for place in share.expert_places]
    return found if share.expert_shares else [min(found)]


def _lower_combine(tape: Tape, share: Share, copies: float, chosen: Copies) -> None:
    """Add the lanes' partial outputs (reduce-scatter over etp), then send each copy's output home (all-to-all)."""
    degrees, size = share.degrees, share.model.hidden * share.model.precision.bytes_of("communication")
    shares, most = share.expert_shares, max(share.expert_loads)
    if degrees.splits_tokens and degrees.etp > 1:
        whole = copies * size * degrees.etp
        tape.collective(
            "moe.lane_reduce_scatter",
            "reduce_scatter",
            "etp",
            whole,
            makes={"scattered": copies * size * most},
            frees=("outputs",),
            shares=shares,
            received=True,
        )
        tape.rename("scattered", "outputs")
    if degrees.ep > 1:
        sent = copies * size
        tape.collective(
            "moe.combine",
            "all_to_all",
            "ep",
            sent,
            makes={"arrived": sent},
            frees=("outputs",),
            copies=chosen,
            back=True,
            shares=shares,
        )
        tape.rename("arrived", "outputs")
