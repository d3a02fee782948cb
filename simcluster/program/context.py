"""Context parallelism: how ranks that hold parts of the same sequences attend to all of them."""

from __future__ import annotations

from dataclasses import replace

from simcluster.kernels import BYTES_PER_ELEMENT, Attention
from simcluster.plan.share import Share
from simcluster.program.tape import Tape


def whole_tokens(share: Share) -> float:
    """The tokens of all context ranks of a replica's microbatch."""
    return share.tokens * share.degrees.cp


def gather_keys(tape: Tape, share: Share, width: int) -> None:
    """Show every context rank all keys and values, `width` elements a token (Llama 3, 2024, section 3.3.2).

    An all-gather over cp of tokens x width in the cache's type, (cp-1)/cp of which reaches a rank; makes `keys_values`.
    """
    whole = whole_tokens(share) * width * share.model.precision.bytes_of("kv_cache")
    tape.collective("attention.kv_all_gather", "all_gather", "cp", whole, makes={"keys_values": whole})


def ring(tape: Tape, share: Share, core: Attention, width: int, attended: dict[str, float]) -> None:
    """Ring attention (Liu et al., 2023) in zigzag order: from `queries` to `attended`.

    In each of cp steps a rank attends to one rank's keys and values, S/cp positions, while it sends them on to the next
    rank: cp - 1 sends of tokens_on_rank x width.  A step's pairs are half the square of S/cp: of the two ends of the
    sequence that a rank has, either both see one end of the others', or one sees both.
    """
    cp = share.degrees.cp
    block = share.tokens * width * share.model.precision.bytes_of("kv_cache")
    step = replace(core, queries=core.queries, keys=core.queries)
    arrived = sent = computed = tape.last
    tape.beside = True
    for number in range(cp):
        if number < cp - 1:
            tape.wait_for(arrived)
            buffers = {"arriving": block} if number == 0 else {}
            tape.collective("attention.ring_send", "send_recv", "cp", block, makes=buffers)
            sent = tape.last
        tape.wait_for(*dict.fromkeys((computed, arrived)))
        tape.compute("attention.core", step, makes=attended if number == 0 else {})
        computed, arrived = tape.last, sent
    tape.beside = False
    for name in ("queries", "arriving"):
        tape.free(name)


def gather_queries(tape: Tape, share: Share, name: str, width: int) -> None:
    """Show every context rank the queries of all its replica's tokens, in decode; they take the place of `name`."""
    whole = whole_tokens(share) * width * share.model.precision.bytes_of("attention")
    tape.collective("attention.query_all_gather", "all_gather", "cp", whole, makes={"gathered": whole}, frees=(name,))
    tape.rename("gathered", name)


def merge(tape: Tape, share: Share, width: int, attended: dict[str, float]) -> None:
    """Add the context ranks' partial sums `partial`, weighted by what each saw; makes `attended`.

    Each tells the others the logarithm of its sum of exponentials (4 bytes a token and head); then a reduce-scatter
    over cp leaves each rank its own tokens (decode context parallelism as vLLM does it; Bhatia et al., "Helix", 2025).
    """
    tokens = whole_tokens(share)
    sums = tokens * share.heads * BYTES_PER_ELEMENT["fp32"] * share.degrees.cp
    tape.collective("attention.lse_all_gather", "all_gather", "cp", sums, makes={})
    partial = tokens * width * share.model.precision.bytes_of("communication")
    tape.collective(
        "attention.partial_reduce_scatter", "reduce_scatter", "cp", partial, makes=attended, frees=("partial",)
    )
