"""Sentences that show where a computed number comes from, built from the result's own values."""

from __future__ import annotations

from simcluster.audit import costs, spread
from simcluster.timeline import metric
from simcluster.timeline.generation import sampled_steps
from simcluster.timeline.limit import LIMITS
from simcluster.timeline.result import Result, part_of
from simcluster.timeline.totals import OperationTotal
from simcluster.units import (
    plural,
    show_bytes,
    show_bytes_per_s,
    show_flop,
    show_flop_per_s,
    show_percent,
    show_seconds,
)


def sentence(result: Result, path: str) -> str:
    """The arithmetic of one metric, without a full stop."""
    head, _, leaf = path.rpartition(".")
    if head == "memory" and leaf in result.memory:
        part = result.memory[leaf]
        if not part.bytes:
            unset = "neither gpu.reserved_memory nor gpu.communication_buffers is set"
            return f"{unset if leaf == 'workspace' else part.formula}, so it is 0 B"
        return f"{part.formula} = {show_bytes(part.bytes)}"
    if path in ("memory.total", "memory.fraction", "memory.capacity"):
        return _memory(result, leaf)
    if head in ("degrees", "counts") or path == "gpus":
        return f"{gpu_product(result)}. {reading(result)}"
    if head == "balance":
        return spread.balance(result, leaf)
    if head == "flops_per_gpu":
        return _flops(result, leaf)
    if head.startswith("modules."):
        return _modules(result, head.removeprefix("modules."), leaf)
    if result.timeline is None:
        return f"the plan does not fit: {_memory(result, 'fraction')}"
    if path in metric.OF_GENERATION:
        return _generation(result, path)
    match path:
        case "mfu":
            return f"{_mfu(result)}. {time_goes(result)}"
        case "latency_s" | "compute_busy" | "idle" | "waiting":
            return f"{_states(result)}. {time_goes(result)}"
        case "exposed_communication" | "communication_busy":
            return f"{_states(result)}. {costliest(result)}"
        case "throughput_tokens_per_s" | "throughput_tokens_per_s_per_gpu":
            return _throughput(result, per_gpu=path.endswith("per_gpu"))
        case "cost_per_million_tokens" | "energy_per_token_j" | "power_mean_w":
            return costs.sentence(result, path)
        case "synchronisation_points_per_layer":
            return _synchronisation(result)
        case "traffic.nvlink" | "traffic.infiniband":
            return _traffic(result, leaf)
        case _:
            return f"{path} is {metric.show(path, result.metrics[path])}"


def _generation(result: Result, path: str) -> str:
    """First token, later tokens, or the doubt about them, from the phases of a generation."""
    timeline = result.timeline
    assert timeline is not None
    if not timeline.segments:
        return f"nothing is generated here, so there is no {path}; workload.phase: generate gives one"
    prefill, *decode = timeline.segments
    if path == "ttft_s":
        return f"the prefill of {prefill.length:,.0f} tokens a sequence ends after {show_seconds(prefill.end_s)}"
    if not decode:
        return "the prefill yields the only token"
    (each, _), spent = sampled_steps(timeline), timeline.end_s - prefill.end_s
    steps = sum(segment.times for segment in decode)
    contexts = f"{len(decode)} contexts from {decode[0].length:,.0f} to {decode[-1].length:,.0f} tokens"
    if path == "tpot_s":
        return (
            f"{show_seconds(spent)} of decoding / {steps:,} steps = {show_seconds(spent / steps)}; simulated at "
            f"{contexts}: {show_seconds(each[0])} to {show_seconds(each[-1])} a step"
        )
    return (
        f"{steps:,} steps were simulated at {contexts}, where a step takes {show_seconds(each[0])} to "
        + show_seconds(each[-1])
    )


def distance(claimed: float, actual: float) -> str:
    """How far a refuted claim is off, as a factor; empty where no factor says it."""
    if claimed <= 0 or actual <= 0:
        return ""
    factor = max(actual / claimed, claimed / actual)
    times = f"{factor:.3g} times" if factor >= 1.01 else "less than 1 %"
    return f" (the claim is {times} too {'low' if actual > claimed else 'high'})"


def gpu_product(result: Result) -> str:
    """`tp 2 x cp 1 x dp 64 x pp 1 = 128 GPUs = etp 2 x ep 64 x edp 1 x pp 1`."""
    degrees, gpus = result.identity.degrees, result.identity.gpus
    attention, experts = (
        " x ".join(f"{axis} {degrees[axis]}" for axis in axes)
        for axes in (("tp", "cp", "dp", "pp"), ("etp", "ep", "edp", "pp"))
    )
    return f"{attention} = {gpus} GPUs = {experts}"


def reading(result: Result) -> str:
    """Which reading of the plan's name was taken, both counts, and how to choose the other."""
    identity = result.identity
    counts = ", ".join(
        f"{name} {'impossible' if count is None else f'{count} GPUs'}" for name, count in identity.counts.items()
    )
    other = f"; for the other write {identity.other_reading}" if identity.other_reading else ""
    return f"{identity.plan} is read as {identity.convention} ({counts}){other}"


def time_goes(result: Result) -> str:
    """The operations that take most of the step, costliest first."""
    latency_s = result.metrics["latency_s"] or 1.0
    rows = sorted(result.by_operation, key=lambda row: row.seconds, reverse=True)[:4]
    told = (f"{row.name} {show_seconds(row.seconds)} ({show_percent(row.seconds / latency_s)})" for row in rows)
    return f"The longest operations are {', '.join(told)}"


def costliest(result: Result) -> str:
    """The collectives that expose most time, with bytes, rate and what limits them."""
    rows = [row for row in result.by_operation if row.kind != "compute" and row.exposed_seconds > 0]
    if not rows:
        return "No collective is exposed"
    rows = sorted(rows, key=lambda row: row.exposed_seconds, reverse=True)[:2]
    return "; ".join(collective(row) for row in rows)


def collective(row: OperationTotal) -> str:
    """`moe.combine 2.81 ms: 16 x 8.26 MB sent by a GPU, 7.86 MB of it between nodes at 44 GB/s, limited by …`."""
    count = max(1, row.count)
    inside, outside = row.bytes_nvlink / count, row.bytes_infiniband / count
    each = row.seconds / count
    crossing, tier = (outside, "between nodes") if outside else (inside, "inside the node")
    rate = show_bytes_per_s(crossing / each) if each else "any rate"
    return (
        f"{row.name} takes {show_seconds(row.seconds)}: {count} x {show_bytes(row.bytes / count)} sent by a GPU, "
        f"{show_bytes(crossing)} of it {tier} at {rate}, limited by {LIMITS[row.limited_by]}"
    )


def _memory(result: Result, leaf: str) -> str:
    parts = " + ".join(f"{name} {show_bytes(part.bytes)}" for name, part in result.memory.items() if part.bytes)
    total, capacity = result.memory_total_bytes, result.memory_capacity_bytes
    text = f"{parts} = {show_bytes(total)}"
    if leaf == "total":
        return text
    over = "" if total <= capacity else f", {show_bytes(total - capacity)} too much"
    return f"{text}, {show_percent(total / capacity)} of {show_bytes(capacity)}{over}"


def _modules(result: Result, kind: str, leaf: str) -> str:
    """How many modules of a kind there are and how many GPUs hold each."""
    degrees, gpus = result.identity.degrees, result.identity.gpus
    module = next((module for module in result.modules if module["type"] == kind), None)
    if module is None:
        return f"a model without experts has no {kind} modules"
    dense = result.balance["experts_per_gpu_group"] == 0
    formulas = {
        ("expert", "count"): "one module per expert index",
        ("expert", "gpus_per_module"): f"etp {degrees['etp']} x edp {degrees['edp']}",
        ("tensor", "count"): f"tp {degrees['tp']}" if dense else f"experts x etp {degrees['etp']}",
        ("tensor", "gpus_per_module"): f"cp {degrees['cp']} x dp {degrees['dp']}" if dense else f"edp {degrees['edp']}",
        ("layer", "count"): "one module per layer",
        ("layer", "gpus_per_module"): f"{gpus} GPUs / pp {degrees['pp']}",
    }
    formula = formulas.get((kind, leaf), f"distinct GPUs that hold any {kind} module")
    every = (
        f": with pp {degrees['pp']} every GPU of a stage holds a part of every layer of it" if kind == "layer" else ""
    )
    return f"{formula} = {module[leaf]}{every if leaf == 'gpus_per_module' else ''}"


def _mfu(result: Result) -> str:
    values = result.metrics
    flops, latency_s, mfu = values["flops_per_gpu.total"], values["latency_s"], values["mfu"]
    assert flops is not None
    assert latency_s is not None
    assert mfu is not None
    return (
        f"{show_flop(flops)} per GPU / ({show_flop_per_s(result.peak_flops_per_s)} x {show_seconds(latency_s)}) "
        f"= {show_percent(mfu)}"
    )


def _states(result: Result) -> str:
    values = result.metrics
    latency_s = values["latency_s"]
    assert latency_s is not None
    names = {
        "computing": "compute_busy",
        "communicating": "exposed_communication",
        "waiting": "waiting",
        "idle": "idle",
    }
    shares = {name: values[path] or 0.0 for name, path in names.items()}
    told = ", ".join(
        f"{show_seconds(share * latency_s)} {name} ({show_percent(share)})"
        for name, share in shares.items()
        if share > 1e-9
    )
    return f"of {show_seconds(latency_s)} a GPU spends {told}"


def _throughput(result: Result, *, per_gpu: bool) -> str:
    values = result.metrics
    latency_s, rate = values["latency_s"], values["throughput_tokens_per_s"]
    assert latency_s is not None
    assert rate is not None
    text = f"{result.tokens:,} tokens / {show_seconds(latency_s)} = {rate:,.0f} tokens/s"
    gpus = result.identity.gpus
    return f"{text}, / {gpus} GPUs = {rate / gpus:,.0f} tokens/s each" if per_gpu else text


def _flops(result: Result, leaf: str) -> str:
    """The parts of the total, or the kernels of a part with their factors."""
    parts = result.flops_per_gpu()
    total = show_flop(parts.pop("total"))
    if leaf == "total":
        return f"{' + '.join(f'{name} {show_flop(value)}' for name, value in parts.items())} = {total} per GPU"
    told = [f"{name} {work.formula}" for name, work in result.work.items() if part_of(name) == leaf]
    return f"{'; '.join(told) or 'no kernel counts here'} = {show_flop(parts[leaf])} per GPU"


def _synchronisation(result: Result) -> str:
    assert result.timeline is not None
    operations = [op for op in result.timeline.operations if op.layer is not None and op.stream == "communication"]
    names = dict.fromkeys(operation.name for operation in operations)
    points = result.metrics["synchronisation_points_per_layer"] or 0.0
    return f"each layer waits {points:g} times for other GPUs: {', '.join(names) or 'never'}"


def _traffic(result: Result, tier: str) -> str:
    column = f"bytes_{tier}"
    rows = sorted(result.by_operation, key=lambda row: float(getattr(row, column)), reverse=True)
    told = " + ".join(f"{row.name} {show_bytes(getattr(row, column))}" for row in rows if getattr(row, column))
    return f"per GPU {told}, times {plural(result.identity.gpus, 'GPU')}" if told else "nothing crosses it"
