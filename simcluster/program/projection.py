"""Projections: GEMMs whose number types follow from where their output goes."""

from __future__ import annotations

from typing import Literal

from simcluster.kernels import Gemm
from simcluster.plan.share import Share


def projection(share: Share, *, m: float, n: float, k: float, writes: Literal["compute", "communication"]) -> Gemm:
    """`m` tokens times a (k, n) weight matrix.

    It reads its input in the compute type.  Projections that feed another kernel write that type too (QKV, up); those
    that feed the residual stream or a reduction write the communication type (output, down, router, head).
    """
    types = share.model.precision
    return Gemm(
        m=m,
        n=n,
        k=k,
        compute=types.compute,
        input_bytes=types.bytes_of("compute"),
        weight_bytes=types.bytes_of("weights"),
        output_bytes=types.bytes_of(writes),
    )
