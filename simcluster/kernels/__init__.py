"""The nouns of work: what one GPU kernel computes and moves, in shapes, never in time.

Each noun answers `flops` (counted floating-point operations, a multiply-add is two), `arithmetic` (the same as factors)
and `bytes` (HBM traffic: every input read once, every output written once).  A GPU turns them into seconds
(`simcluster.gpu`).  Rows may be fractions, because evenly spread tokens are an average.
"""

from simcluster.kernels.attention import Attention, LatentAttention
from simcluster.kernels.element_wise import ElementWise
from simcluster.kernels.experts import ExpertLayer, GroupedGemm
from simcluster.kernels.gemm import Gemm
from simcluster.kernels.precision import BYTES_PER_ELEMENT, PEAK_OF, Precision

Kernel = Gemm | GroupedGemm | Attention | LatentAttention | ElementWise

__all__ = [
    "BYTES_PER_ELEMENT",
    "PEAK_OF",
    "Attention",
    "ElementWise",
    "ExpertLayer",
    "Gemm",
    "GroupedGemm",
    "Kernel",
    "LatentAttention",
    "Precision",
]
