"""A GPU's datasheet and the time a kernel takes on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from simcluster.kernels import ElementWise, Kernel, Precision

Bound = Literal["compute", "memory", "launch"]

Provenance = Literal["measured", "fitted", "datasheet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as a datasheet, with the fractions of it that real kernels reach.

    `compute_efficiency` holds one fraction per precision in `peak_flops_per_s`; `memory_efficiency` is the reachable
    fraction of `memory_bytes_per_s`.  `launch_overhead_s` is added to every kernel and counts as computing;
    `collective_overhead_s` is added to every collective.
    """

    name: str
    memory_bytes: float
    memory_bytes_per_s: float
    peak_flops_per_s: Mapping[Precision, float]
    compute_efficiency: Mapping[Precision, float]
    memory_efficiency: float
    launch_overhead_s: float
    collective_overhead_s: float
    provenance: Provenance
    source: str

    def kernel_time(self, kernel: Kernel) -> KernelTime:
        """Roofline time of one kernel, in seconds.

        time = max(FLOPs / (e_c·peak), bytes / (e_m·bandwidth)) + launch overhead
        (Williams, Waterman & Patterson, "Roofline", CACM 2009; the launch floor as in the alpha-beta form).
        """
        memory_s = kernel.bytes / (self.memory_efficiency * self.memory_bytes_per_s)
        compute_s = 0.0
        if not isinstance(kernel, ElementWise):
            rate = self.compute_efficiency[kernel.compute] * self.peak_flops_per_s[kernel.compute]
            compute_s = kernel.flops / rate
        roof_s = max(compute_s, memory_s)
        bound: Bound = "compute" if compute_s >= memory_s and compute_s > 0 else "memory"
        return KernelTime(
            seconds=roof_s + self.launch_overhead_s, bound="launch" if self.launch_overhead_s > roof_s else bound
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelTime:
    """How long one kernel runs (launch overhead included) and which part of that is the longest."""

    seconds: float
    bound: Bound
