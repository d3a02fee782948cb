"""One kernel by itself: its time, the rate it reaches, what bounds it, and where the number comes from."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

from simcluster.errors import InputError, Mistake
from simcluster.gpu.gpu import Gpu, KernelTime
from simcluster.gpu.question import Question
from simcluster.kernels import ExpertLayer
from simcluster.timeline.table import Cell, Column, Table


def kernel_time(gpu: Gpu, asked: Question) -> KernelTime:
    """The kernel's time on `gpu`; InputError if its datasheet has no such number type, or nothing is known of skew."""
    shape = asked.shape
    if not gpu.has_peak(shape.compute):
        known = ", ".join(gpu.peak_flops_per_s)
        raise InputError(Mistake(what=f"{gpu.name} has no peak for {shape.compute}; there is {known}"))
    if not isinstance(shape, ExpertLayer):
        return gpu.kernel_time(shape)
    return gpu.expert_layer_time(shape) if asked.skew is None else _skewed(gpu, shape, asked.skew)


def measure(gpu: Gpu, asked: Question, title: str) -> Table:
    """One row: time, counted FLOPs and compulsory HBM traffic, the rates they make and the datasheet's, and whence.

    `error` is the mean error of the profile's table on rows that were kept back, a fraction; None where none was read.
    """
    time, shape = kernel_time(gpu, asked), asked.shape
    table = gpu.profile.tables[time.table] if gpu.profile is not None and time.table else None
    row: dict[str, Cell] = {
        "time_s": time.seconds,
        "flops": shape.flops,
        "bytes": shape.bytes,
        "flops_per_s": shape.flops / time.seconds,
        "bytes_per_s": shape.bytes / time.seconds,
        "peak_flops_per_s": gpu.peak(shape.compute),
        "peak_bytes_per_s": gpu.memory_bytes_per_s,
        "bound": time.bound,
        "arithmetic": shape.arithmetic,
        "provenance": time.provenance,
        "table": time.table,
        "rows": None if table is None else table.rows,
        "error": None if table is None else table.error,
        "outside": time.outside,
        "source": gpu.source if table is None or gpu.profile is None else gpu.profile.source,
    }
    measures = {"time_s": "seconds", "flops": "FLOP", "bytes": "bytes", "error": "fraction", "rows": "count"}
    measures |= {"flops_per_s": "FLOP/s", "peak_flops_per_s": "FLOP/s"}
    measures |= {"bytes_per_s": "bytes/s", "peak_bytes_per_s": "bytes/s"}
    columns = tuple(Column(name=name, measure=measures.get(name, "")) for name in row)
    return Table(title=title, columns=columns, rows=(row,), swept=())


def _skewed(gpu: Gpu, layer: ExpertLayer, skew: float) -> KernelTime:
    """The slowest GPU's time under a power law: between the nearest exponents that were measured, in proportion.

    0 stands for equal experts.  Beyond the largest exponent that one's time holds, marked as outside.
    """
    skews = () if gpu.profile is None else gpu.profile.skews(layer.compute, layer.gated)
    known = [(0.0, ""), *sorted((float(one), one) for one in skews)]
    if len(known) == 1:
        what = f"skew {skew:g}: the time of skewed experts is known from measurements only, and {gpu.name} has none"
        raise InputError(Mistake(what=f"{what} in {layer.compute}; leave it out, or ask for h100-sxm or h200-sxm"))
    at = min(bisect_left([exponent for exponent, _ in known], skew), len(known) - 1)
    (low, below), (high, above) = known[at - 1], known[at]
    part = min(1.0, (skew - low) / (high - low))
    less, more = (gpu.expert_layer_time(replace(layer, skew=one)) for one in (below, above))
    return replace(
        more,
        seconds=less.seconds + part * (more.seconds - less.seconds),
        outside=more.outside or skew > high,
        provenance="measured" if more.provenance == "measured" and skew in (low, high) else "fitted",
    )
