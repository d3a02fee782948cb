"""Kernels on the residual stream, which every rank holds for all its tokens."""

from __future__ import annotations

from simcluster.kernels import ElementWise
from simcluster.plan.share import Share


def stream_bytes(share: Share, tokens: float) -> float:
    """The residual stream of `tokens` tokens: hidden elements each, in the communication type."""
    return tokens * share.model.hidden * share.model.precision.bytes_of("communication")


def normed_bytes(share: Share, tokens: float) -> float:
    """What a norm writes, the input of the next GEMMs: hidden elements a token in the compute type."""
    return tokens * share.model.hidden * share.model.precision.bytes_of("compute")


def norm(share: Share, tokens: float) -> ElementWise:
    """Reads the residual stream and writes a GEMM's input: quantisation is fused into the norm."""
    return ElementWise(read_bytes=stream_bytes(share, tokens), write_bytes=normed_bytes(share, tokens))


def residual(share: Share) -> ElementWise:
    """Reads the residual stream and a block's output, writes their sum."""
    stream = stream_bytes(share, share.tokens)
    return ElementWise(read_bytes=2 * stream, write_bytes=stream)
