"""What binds a plan, in a sentence or two."""

from __future__ import annotations

from simcluster.report.layout import fill
from simcluster.timeline import metric
from simcluster.timeline.limit import LIMITS
from simcluster.timeline.result import Result
from simcluster.units import show_bytes, show_percent


def unit_of(result: Result) -> str:
    """What is timed as a whole."""
    return "generation" if result.generates else "step"


def in_a_line(result: Result) -> str:
    """The answer alone: time, throughput, MFU and memory, or by how much the plan does not fit."""
    total, capacity, plan = result.memory_total_bytes, result.memory_capacity_bytes, result.identity.plan
    if result.timeline is None:
        return f"{plan} does not fit: the fullest GPU needs {show_bytes(total)} and has {show_bytes(capacity)}."
    shown = {name: metric.show(name, result.metrics[name]) for name in ("latency_s", "throughput_tokens_per_s", "mfu")}
    latency, throughput, mfu = shown.values()
    held = show_percent(total / capacity)
    return f"{plan}: {latency} a {unit_of(result)}, {throughput}, MFU {mfu}, {held} of a GPU's memory."


def verdict(result: Result) -> str:
    """What binds this plan, in a sentence or two."""
    total, capacity = result.memory_total_bytes, result.memory_capacity_bytes
    if result.timeline is None:
        worst = max(result.memory.items(), key=lambda item: item[1].bytes)
        return fill(
            f"{result.identity.plan} does not fit: the fullest GPU needs {show_bytes(total)} and has "
            f"{show_bytes(capacity)}, {show_bytes(total - capacity)} too little; {worst[0]} takes "
            f"{show_bytes(worst[1].bytes)}. Nothing was replayed, so there is no latency or throughput."
        )
    values = result.metrics
    unit = unit_of(result)
    busy, exposed = values["compute_busy"] or 0.0, values["exposed_communication"] or 0.0
    mfu = f"MFU is {metric.show('mfu', values['mfu'])}"
    idle, waiting = values["idle"] or 0.0, values["waiting"] or 0.0
    rest = f"GPUs compute {show_percent(busy)} of it, and {show_percent(exposed)} is exposed communication"
    if idle > max(busy, exposed, waiting):
        return fill(f"Bound by idling: for {show_percent(idle)} of the {unit} a GPU has nothing to do. {rest}. {mfu}.")
    if waiting > max(busy, exposed):
        return fill(f"Bound by stragglers: GPUs wait {show_percent(waiting)} of the {unit} for others. {rest}. {mfu}.")
    if busy >= exposed:
        longest = _costliest(result, compute=True)
        return fill(
            f"Bound by its kernels: GPUs compute {show_percent(busy)} of the {unit}, and {show_percent(exposed)} is "
            f"exposed communication. The longest kernels are {longest}. {mfu}."
        )
    return fill(
        f"Bound by communication: {show_percent(exposed)} of the {unit} is exposed communication, and GPUs compute "
        f"{show_percent(busy)}. The longest transfers are {_costliest(result, compute=False)}. {mfu}."
    )


def _costliest(result: Result, *, compute: bool) -> str:
    unit, latency_s = unit_of(result), result.metrics["latency_s"] or 1.0
    rows = [row for row in result.by_operation if (row.kind == "compute") == compute]
    rows = sorted(rows, key=lambda row: row.seconds, reverse=True)[:2]
    return " and ".join(
        f"{row.name} ({show_percent(row.seconds / latency_s)} of the {unit}, limited by {LIMITS[row.limited_by]})"
        for row in rows
    )
