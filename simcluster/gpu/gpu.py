"""A GPU's datasheet and the time a kernel takes on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp
from typing import Literal

from simcluster.gpu.pace import AS_STATED, Pace
from simcluster.gpu.place import place
from simcluster.gpu.power import Power
from simcluster.gpu.profile import Profile
from simcluster.kernels import PEAK_OF, ElementWise, ExpertLayer, Kernel, Precision

CACHE_BYTES = 256e6
"""More than any GPU's caches hold twice over: traffic beyond it comes from HBM (L2: A100 40, H100 50, B200 126 MB)."""

Bound = Literal["compute", "memory", "launch"]

Provenance = Literal["measured", "fitted", "datasheet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelTime:
    """How long one kernel runs (launch included), which part of that is the longest, and where the number came from.

    `launch_s` of it is launch overhead; the rest goes at the pace of its computing or of its memory (`pace`), which
    take `compute_s` and `memory_s`.

    `table` names the profile's table that was read, "" if none; `outside` if the shape lies outside of it, so that
    its nearest measured efficiency was taken, and `beyond` says beyond which edge.
    """

    seconds: float
    bound: Bound
    provenance: Provenance
    launch_s: float = 0.0
    pace: Literal["compute", "memory"] = "memory"
    table: str = ""
    outside: bool = False
    beyond: str = ""
    compute_s: float = 0.0
    memory_s: float = 0.0

    def beside(self, sms: float, memory: float) -> KernelTime:
        """The kernel beside communication that takes such fractions of the SMs and of HBM bandwidth: both its times
        grow, and the longer one counts; launching does not."""
        compute_s, memory_s = self.compute_s / (1 - sms), self.memory_s / (1 - memory)
        longer_s = max(compute_s, memory_s) - max(self.compute_s, self.memory_s)
        return replace(self, seconds=self.seconds + longer_s, compute_s=compute_s, memory_s=memory_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as a datasheet, with the fractions of it that real kernels reach.

    `compute_efficiency` holds one fraction per precision in `peak_flops_per_s`; `memory_efficiency` is the reachable
    fraction of `memory_bytes_per_s`.  `launch_overhead_s` is added to every kernel and counts as computing;
    `collective_overhead_s` is added to every collective.  Of its memory the runtime keeps `reserved_memory_bytes` to
    itself, and communication libraries `communication_buffer_bytes`.  Where `profile` knows a kernel, its measured
    efficiency replaces the fractions and the overhead.  What it costs and draws is None unless stated.

    `pace` makes every kernel, measured or not, faster or slower than that.
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
    reserved_memory_bytes: float = 0.0
    communication_buffer_bytes: float = 0.0
    profile: Profile | None = None
    price_usd_per_h: float | None = None
    power: Power | None = None
    pace: Pace = AS_STATED

    def peak(self, precision: Precision) -> float:
        """FLOP/s of a compute type; KeyError if the datasheet has none."""
        peaks = self.peak_flops_per_s
        return peaks[precision] if precision in peaks else peaks[PEAK_OF[precision]]

    def has_peak(self, precision: Precision) -> bool:
        return precision in self.peak_flops_per_s or PEAK_OF.get(precision) in self.peak_flops_per_s

    def _efficiency(self, precision: Precision) -> float:
        found = self.compute_efficiency
        return found[precision] if precision in found else found[PEAK_OF[precision]]

    def kernel_time(self, kernel: Kernel) -> KernelTime:
        """Time of one kernel, in seconds: as its profile measured it, or else as the roofline has it.

        Measured: (max(FLOPs / peak, bytes / bandwidth) + floor)·exp(r), see `Profile`, and no faster than the
        datasheet's bandwidth where no cache can hold what it moves; a kernel of an expert layer gets its part of the
        layer's floor.  Roofline: max(FLOPs / (e_c·peak), bytes / (e_m·bandwidth)) + launch overhead (Williams, Waterman
        & Patterson, "Roofline", CACM 2009; the launch floor as in the alpha-beta form).  `pace` multiplies rates and
        launches, and takes no kernel past a datasheet's rate that was not past it before.
        """
        measured = self._measured(kernel)
        if measured is not None:
            return measured
        pace = self.pace
        memory_s = kernel.bytes / (min(1.0, pace.memory * self.memory_efficiency) * self.memory_bytes_per_s)
        compute_s = 0.0
        if not isinstance(kernel, ElementWise):
            efficiency = min(1.0, pace.compute * self._efficiency(kernel.compute))
            compute_s = kernel.flops / (efficiency * self.peak(kernel.compute))
        return _timed(compute_s, memory_s, pace.launch * self.launch_overhead_s, 1.0, self.provenance)

    def expert_layer_time(self, layer: ExpertLayer) -> KernelTime:
        """All kernels of an expert layer one after another; what bounds the longest of them bounds it.

        Where fewer copies are routed than there are GPUs, the slowest GPU has one; tables hold that already.
        """
        if layer.rows < 1 and (self.profile is None or place(layer, self.profile) is None):
            layer = replace(layer, rows=1.0)
        times = [self.kernel_time(part) for part in layer.parts]
        longest = max(times, key=lambda time: time.seconds)
        return KernelTime(
            seconds=sum(time.seconds for time in times),
            bound=longest.bound,
            provenance=longest.provenance,
            launch_s=sum(time.launch_s for time in times),
            pace=longest.pace,
            table=longest.table,
            outside=longest.outside,
            beyond=longest.beyond,
        )

    def time(self, shape: Kernel | ExpertLayer) -> KernelTime:
        """Time of a kernel or of a whole expert layer, in seconds."""
        return self.expert_layer_time(shape) if isinstance(shape, ExpertLayer) else self.kernel_time(shape)

    def bare(self, kernel: Kernel) -> tuple[float, float]:
        """Seconds at the datasheet's full rates: of computing, of moving bytes."""
        compute_s = 0.0 if isinstance(kernel, ElementWise) else kernel.flops / self.peak(kernel.compute)
        return compute_s, kernel.bytes / self.memory_bytes_per_s

    def _measured(self, kernel: Kernel) -> KernelTime | None:
        if self.profile is None:
            return None
        layer = kernel.within if hasattr(kernel, "within") else None
        layer = layer if layer is not None and layer.fused else None
        shape = kernel if layer is None else layer
        found = None if isinstance(shape, ElementWise) else place(shape, self.profile)
        if found is None:
            return None
        table = self.profile.tables[found.table]
        r, inside = table.grid.at(found.point)
        inside = inside and found.exact
        floor_s = table.floor_s if layer is None else table.floor_s / layer.PARTS
        kind: Provenance = "measured" if inside and self.profile.gpu == self.name else "fitted"
        compute_s, memory_s = self.bare(kernel)
        pace, datasheet_s = self.pace, max(compute_s, memory_s)
        time = _timed(compute_s / pace.compute, memory_s / pace.memory, pace.launch * floor_s, exp(r), kind)
        least_s = max(datasheet_s * min(1.0, exp(r)), memory_s if kernel.bytes > CACHE_BYTES else 0.0)
        beyond = "" if inside else table.beyond(found.point)
        return replace(time, seconds=max(time.seconds, least_s), table=found.table, outside=not inside, beyond=beyond)


def _timed(compute_s: float, memory_s: float, launch_s: float, factor: float, provenance: Provenance) -> KernelTime:
    roof_s = max(compute_s, memory_s)
    pace: Literal["compute", "memory"] = "compute" if compute_s >= memory_s and compute_s > 0 else "memory"
    return KernelTime(
        seconds=(roof_s + launch_s) * factor,
        bound="launch" if launch_s > roof_s else pace,
        provenance=provenance,
        launch_s=launch_s * factor,
        pace=pace,
        compute_s=compute_s * factor,
        memory_s=memory_s * factor,
    )
