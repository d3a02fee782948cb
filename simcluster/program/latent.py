"""Multi-head latent attention of one layer (DeepSeek-V2, 2024, section 2.1.2, which absorbs the up-projections too)."""

from __future__ import annotations

from simcluster.kernels import ElementWise, GroupedGemm, LatentAttention
from simcluster.model.transformer import Latent
from simcluster.plan.share import Share
from simcluster.program import context
from simcluster.program.projection import projection
from simcluster.program.tape import Tape


def lower_latent(tape: Tape, share: Share, latent: Latent) -> None:
    """Down-projection to the latents, their norm, up-projections, rotary, core: from `normed` to `attended`.

    Every tp rank computes the latents whole and projects them up for its own heads.  Prefill projects keys and values
    up for all positions.  Decode leaves the cache as it is and folds those projections into queries and outputs
    (`attention.absorb`): one product per head before the core and one after it.
    """
    model, types, tokens = share.model, share.model.precision, share.tokens
    compute = types.bytes_of("compute")
    down = projection(share, m=tokens, n=latent.compressed, k=model.hidden, writes="compute")
    read_later = () if latent.q_rank is not None else ("normed",)
    tape.compute(
        "attention.qkv",
        down,
        makes={"latents": tokens * latent.compressed * compute},
        frees=() if read_later else ("normed",),
    )
    latents = tokens * ((latent.q_rank or 0) + latent.kv_rank) * compute
    tape.compute("norm", ElementWise(read_bytes=latents, write_bytes=latents), makes={})
    query = share.heads * latent.query_dim
    up = projection(share, m=tokens, n=query, k=latent.q_rank or model.hidden, writes="compute")
    tape.compute("attention.qkv", up, makes={"queries": tokens * query * compute}, frees=read_later)
    decode = share.workload.phase == "decode"
    cp = share.degrees.cp
    if not decode:
        if cp > 1:
            context.gather_keys(tape, share, latent.cached)
            tape.rename("keys_values", "gathered")
        keys_values, whole = share.heads * (latent.nope_dim + latent.value_dim), context.whole_tokens(share)
        raised = projection(share, m=whole, n=keys_values, k=latent.kv_rank, writes="compute")
        frees = ("gathered",) if cp > 1 else ()
        tape.compute("attention.qkv", raised, makes={"keys_values": whole * keys_values * compute}, frees=frees)
    rotated = tokens * (share.heads + 1) * latent.rope_dim * types.bytes_of("attention")
    tape.compute("attention.rotary", ElementWise(read_bytes=rotated, write_bytes=rotated), makes={})
    attended = tokens * share.heads * latent.value_dim * compute
    core = latent_core(share, latent)
    if not decode:
        tape.compute("attention.core", core, makes={"attended": attended}, frees=("latents", "queries", "keys_values"))
        return
    width = share.heads * latent.kv_rank
    wide = tokens * width * compute
    absorbed = _per_head(share, n=latent.kv_rank, k=latent.nope_dim)
    tape.compute("attention.absorb", absorbed, makes={"absorbed": wide}, frees=("latents", "queries"))
    if cp == 1:
        tape.compute("attention.core", core, makes={"summed": wide}, frees=("absorbed",))
    else:
        context.gather_queries(tape, share, "absorbed", share.heads * latent.cached)
        partial = context.whole_tokens(share) * width * types.bytes_of("communication")
        tape.compute("attention.core", core, makes={"partial": partial}, frees=("absorbed",))
        context.merge(tape, share, width, {"summed": wide})
    values = _per_head(share, n=latent.value_dim, k=latent.kv_rank)
    tape.compute("attention.absorb", values, makes={"attended": attended}, frees=("summed",))


def latent_core(share: Share, latent: Latent) -> LatentAttention:
    """The core of this rank's heads: causal in prefill, over the cached latents in decode.

    Context ranks share queries and cache as in `attention_core`; in prefill they gather the latents.
    """
    types, workload, cp = share.model.precision, share.workload, share.degrees.cp
    decode, queries = workload.phase == "decode", workload.tokens_per_sequence / cp
    return LatentAttention(
        batch=share.sequences,
        queries=1 if decode else queries,
        keys=workload.length / cp if decode else (workload.length + queries) / 2,
        heads=share.heads,
        nope_dim=latent.nope_dim,
        rope_dim=latent.rope_dim,
        value_dim=latent.value_dim,
        kv_rank=latent.kv_rank,
        absorbed=decode,
        compute=types.attention,
        kv_cache=types.kv_cache,
        query_bytes=types.bytes_of("attention"),
        kv_bytes=types.bytes_of("kv_cache"),
        output_bytes=types.bytes_of("compute"),
    )


def _per_head(share: Share, *, n: int, k: int) -> GroupedGemm:
    """One product per head: its tokens by a matrix of its own, in the core's number type."""
    types = share.model.precision
    return GroupedGemm(
        rows=share.tokens * share.heads,
        n=n,
        k=k,
        groups=share.heads,
        compute=types.attention,
        input_bytes=types.bytes_of("attention"),
        weight_bytes=types.bytes_of("weights"),
        output_bytes=types.bytes_of("attention"),
    )
