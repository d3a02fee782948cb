"""Attention of one layer: QKV column-parallel, the core on this rank's heads, output row-parallel, all-reduce."""

from __future__ import annotations

from simcluster.kernels import Attention, ElementWise
from simcluster.plan.share import Share
from simcluster.program.latent import lower_latent
from simcluster.program.projection import projection
from simcluster.program.stream import norm, normed_bytes, residual, stream_bytes
from simcluster.program.tape import Tape


def lower_attention(tape: Tape, share: Share, layer: int) -> None:
    """Norm, heads, output, all-reduce over tp (ring volume 2(tp-1)/tp of tokens x hidden), residual."""
    model, tokens = share.model, share.tokens
    tape.compute("norm", norm(share, tokens), makes={"normed": normed_bytes(share, tokens)})
    if model.latent is None:
        _lower_heads(tape, share, model.window_of(layer))
        width = share.heads * model.head_dim
    else:
        lower_latent(tape, share, model.latent)
        width = share.heads * model.latent.value_dim
    stream = stream_bytes(share, tokens)
    output = projection(share, m=tokens, n=model.hidden, k=width, writes="communication")
    tape.compute("attention.output", output, makes={"block": stream}, frees=("attended",))
    if share.degrees.tp > 1:
        tape.collective("attention.all_reduce", "all_reduce", "tp", stream, makes={})
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
    core = attention_core(share, window)
    tape.compute("attention.core", core, makes={"attended": tokens * q_width * compute}, frees=("queries",))


def attention_core(share: Share, window: int | None) -> Attention:
    """The core of this rank's heads: causal over the sequence in prefill, one query over the cache in decode."""
    model, types, workload = share.model, share.model.precision, share.workload
    decode = workload.phase == "decode"
    return Attention(
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
        window=window if window is not None and window < workload.length else None,
    )
