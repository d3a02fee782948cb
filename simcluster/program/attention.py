"""Attention of one layer: QKV column-parallel, the core on this rank's heads, output row-parallel, addition over tp."""

from __future__ import annotations

from dataclasses import replace

from simcluster.kernels import Attention, ElementWise
from simcluster.plan.share import Share
from simcluster.program import context
from simcluster.program.latent import lower_latent
from simcluster.program.projection import projection
from simcluster.program.stream import add_lanes, lower_norm, residual, stream_bytes
from simcluster.program.tape import Tape


def lower_attention(tape: Tape, share: Share, layer: int) -> None:
    """Norm, heads, output, addition over tp, residual."""
    model, tokens = share.model, share.tokens
    lower_norm(tape, share, "attention")
    if model.latent is None:
        _lower_heads(tape, share, model.window_of(layer))
        width = share.heads * model.head_dim
    else:
        lower_latent(tape, share, model.latent)
        width = share.heads * model.latent.value_dim
    output = projection(share, m=tokens, n=model.hidden, k=width, writes="communication")
    tape.compute("attention.output", output, makes={"block": stream_bytes(share, tokens)}, frees=("attended",))
    add_lanes(tape, share, "attention", "tp")
    tape.compute("residual", residual(share), makes={}, frees=("block",))


def _lower_heads(tape: Tape, share: Share, window: int | None) -> None:
    """QKV, rotary, core: from `normed` to `attended`.

    The QKV projection writes K and V straight into the cache, so of its output only Q is an activation.  Norms of
    queries and keys, where a model has them, are fused into rotary.
    """
    model, types, tokens = share.model, share.model.precision, share.tokens
    q_width, kv_width = share.heads * model.head_dim, share.kv_heads * model.head_dim
    compute = types.bytes_of("compute")
    qkv = projection(share, m=tokens, n=q_width + 2 * kv_width, k=model.hidden, writes="compute")
    tape.compute("attention.qkv", qkv, makes={"queries": tokens * q_width * compute}, frees=("normed",))
    rotated = tokens * (q_width + kv_width) * types.bytes_of("attention")
    tape.compute("attention.rotary", ElementWise(read_bytes=rotated, write_bytes=rotated), makes={})
    core, attended = attention_core(share, window), {"attended": tokens * q_width * compute}
    if share.degrees.cp == 1:
        tape.compute("attention.core", core, makes=attended, frees=("queries",))
    elif share.workload.phase == "decode":
        context.gather_queries(tape, share, "queries", q_width)
        partial = context.whole_tokens(share) * q_width * types.bytes_of("communication")
        tape.compute("attention.core", core, makes={"partial": partial}, frees=("queries",))
        context.merge(tape, share, q_width, attended)
    elif window is None and share.execution.context_attention == "ring":
        context.ring(tape, share, core, 2 * kv_width, attended)
    else:
        context.gather_keys(tape, share, 2 * kv_width)
        tape.compute("attention.core", core, makes=attended, frees=("queries", "keys_values"))


def attention_core(share: Share, window: int | None) -> Attention:
    """The core of this rank's heads: causal over the sequence in prefill, one query over the cache in decode.

    Context ranks have S/cp queries each, the i-th and the i-th last of 2·cp chunks, so that all attend to equally many
    positions (Llama 3, 2024, section 3.3.2): (S + S/cp)/2 on average, their own included.  With a window they work as
    on S positions of 1/cp of the sequences.  In decode each holds 1/cp of every sequence's cache.
    """
    model, types, workload, cp = share.model, share.model.precision, share.workload, share.degrees.cp
    decode = workload.phase == "decode"
    window = window if window is not None and window < workload.length else None
    core = Attention(
        batch=share.sequences,
        queries=workload.tokens_per_sequence,
        keys=workload.length,
        heads=share.heads,
        kv_heads=share.heads if decode and workload.kv_reads == "per_query_head" else share.kv_heads,
        head_dim=model.head_dim,
        causal=not decode,
        compute=types.attention,
        kv_cache=types.kv_cache,
        query_bytes=types.bytes_of("attention"),
        kv_bytes=types.bytes_of("kv_cache"),
        output_bytes=types.bytes_of("compute"),
        window=window,
    )
    if cp == 1:
        return core
    if decode:
        held = replace(core, keys=workload.length / cp, output_bytes=types.bytes_of("communication"))
        return replace(held, keys=(window or workload.length) / cp, window=None)
    if window is not None:
        return replace(core, batch=share.sequences / cp)
    queries = workload.length / cp
    return replace(core, queries=queries, keys=(workload.length + queries) / 2)
