"""Kernels of published traces: what they are, how much of the GPU communication left them, and how long they took."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.gpu.gpu import Gpu
from simcluster.gpu.question import SIZES, Size, question
from simcluster.kernels import ExpertLayer, Kernel
from simcluster.scenario.cluster_section import load_gpu
from simcluster.validation.lines import Line, decimal, lines

TRACES = "traces.csv"

NUMBERS = tuple(name for name in SIZES if name not in ("kv_dtype", "gated"))
"""The sizes that a row may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedKernel:
    """One kernel of a trace, which ran beside communication on `communication_sms` of the SMs, a fraction."""

    regime: str
    name: str
    gpu: Gpu
    kernel: Kernel
    communication_sms: float
    measured_s: float
    source: str

    @property
    def predicted_s(self) -> float:
        """Our time of it on the SMs that were left."""
        return self.gpu.kernel_time(self.kernel).beside(self.communication_sms, 0.0).seconds


def traced(folder: Path | None = None) -> tuple[TracedKernel, ...]:
    """The rows of traces.csv, shipped or in `folder`; InputError names the line that cannot be read.

    A row has the sizes that `simcluster kernel` has, empty where the kernel has none.
    """
    return tuple(_traced(row) for row in lines(TRACES, folder))


def _traced(row: Line) -> TracedKernel:
    sms = decimal(row["communication_sms"])
    if sms is None or not 0 <= sms < 1:
        what = f"communication_sms is {row['communication_sms']!r:.40}; it must be 0 or more and below 1"
        raise InputError(Mistake(what=what, origin=row.place))
    sizes: dict[str, Size] = {name: row.number(name) for name in NUMBERS if row.get(name)}
    try:
        gpu, shape = load_gpu(row["gpu"]), question(row["kernel"], row["dtype"], sizes).shape
    except InputError as error:
        raise InputError(Mistake(what=mistake.what, origin=row.place) for mistake in error.mistakes) from None
    if not gpu.has_peak(shape.compute):
        raise InputError(Mistake(what=f"{gpu.name} has no peak for {shape.compute}", origin=row.place))
    if isinstance(shape, ExpertLayer):
        raise InputError(Mistake(what="moe is several kernels; write each as a grouped_gemm", origin=row.place))
    return TracedKernel(
        regime=row["regime"],
        name=row["kernel"],
        gpu=gpu,
        kernel=shape,
        communication_sms=sms,
        measured_s=row.number("measured_us") * 1e-6,
        source=row["source"],
    )
