"""What is known of a scenario before its clock starts: identity, memory, balance, modules, provenance."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import fmean

from simcluster.cluster.cluster import Cluster
from simcluster.expert_spread import expert_seconds, routing_of
from simcluster.gpu.gpu import Gpu, KernelTime, Provenance
from simcluster.kernels import Attention, GroupedGemm, Kernel, LatentAttention
from simcluster.plan import balance, memory, modules
from simcluster.plan.degrees import Plan
from simcluster.plan.name import other_reading
from simcluster.plan.share import Share
from simcluster.program.program import Compute, Program, live_bytes
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.result import Identity, MemoryPart, Result, Source, Work
from simcluster.units import show_bytes, show_percent


def summarize(scenario: Scenario, program: Program) -> Result:
    """A Result without a timeline; memory is that of the fullest pipeline stage."""
    plan, model, gpu, share = scenario.plan, scenario.model, scenario.cluster.gpu, scenario.share
    held = [_resident(share.at(stage)) for stage in range(plan.degrees.pp)]
    live = [live_bytes(program.fullest(stage)) for stage in range(plan.degrees.pp)]
    totals = [sum(part.bytes for part in parts.values()) + most for parts, most in zip(held, live, strict=True)]
    stage = totals.index(max(totals))
    parts, peak = dict(held[stage]), program.fullest(stage)
    alive = " + ".join(f"{name} {show_bytes(size)}" for name, size in peak.live.items())
    where = " on the GPUs that get most token copies" if program.shares else ""
    parts["activations"] = MemoryPart(
        bytes=live_bytes(peak),
        formula=f"{alive}, alive during {peak.name}, the fullest moment of a step{where}",
        parts={f"the tensor {name}": size for name, size in peak.live.items()},
    )
    kept = {"the runtime": gpu.reserved_memory_bytes, "communication buffers": gpu.communication_buffer_bytes}
    formula = "gpu.reserved_memory + gpu.communication_buffers"
    parts["workspace"] = MemoryPart(bytes=sum(kept.values()), formula=formula, parts=kept)
    spread = [
        sum(part.bytes for part in mine.values()) + sum(kept.values()) + bytes_
        for stage, mine in enumerate(held)
        for bytes_ in program.activation_bytes(stage)
    ]
    return Result(
        identity=_identity(scenario, plan),
        tokens=program.tokens,
        peak_flops_per_s=gpu.peak(model.precision.compute),
        memory=parts,
        memory_capacity_bytes=gpu.memory_bytes,
        resident_bytes=tuple(sum(part.bytes for part in mine.values()) + sum(kept.values()) for mine in held),
        balance=balance.balance(
            share,
            flops=[flops for each in program.flops for flops in each],
            memory_bytes=spread,
            expert_seconds=expert_seconds(program, gpu),
        ),
        modules=modules.modules(model, plan.degrees),
        divisions=modules.divisions(model, plan.degrees, scenario.workload.redundant_experts),
        scales=_scales(share),
        work=_work(program),
        provenance=_provenance(scenario.cluster, program),
        generates=scenario.workload.phase == "generate",
        price_usd_per_h=gpu.price_usd_per_h,
        power=gpu.power,
        routing=routing_of(share, program, gpu),
    )


def _resident(share: Share) -> dict[str, MemoryPart]:
    parts = memory.resident(share).items()
    return {name: MemoryPart(bytes=part.bytes, formula=part.formula, parts=part.parts) for name, part in parts}


def _identity(scenario: Scenario, plan: Plan) -> Identity:
    other = other_reading(plan)
    text = ""
    if other is not None and scenario.model.moe is not None:
        convention, degrees = other
        written = ", ".join(f"{axis}: {degree}" for axis, degree in degrees.as_dict().items())
        text = f"plan: {{{written}, convention: {convention}}}"
    return Identity(
        scenario=scenario.name,
        plan=plan.name,
        convention=plan.convention,
        degrees=plan.degrees.as_dict(),
        counts={"orthogonal": plan.counts.orthogonal, "folded": plan.counts.folded},
        gpus=plan.degrees.gpus,
        gpus_per_node=scenario.cluster.gpus_per_node,
        other_reading=text,
    )


def _work(program: Program) -> dict[str, Work]:
    """Counted FLOPs of a step by operation name, mean over GPUs; the formula has each distinct kernel once and how
    often."""
    runs = zip(program.operations, program.runs, strict=True)
    counted = [(op, count) for op, count in runs if isinstance(op, Compute) and op.kernel.flops]
    work = {}
    for name in dict.fromkeys(operation.name for operation, _ in counted):
        kernels = [(_mean_kernel(op), count) for op, count in counted if op.name == name]
        times: Counter[str] = Counter()
        for kernel, count in _at_mean_context(kernels):
            times[kernel.arithmetic] += count
        formula = " + ".join(f"{count:,} x ({factors})" for factors, count in times.items())
        if program.stages > 1:
            formula = f"({formula}) / pp {program.stages}"
        flops = sum(count * kernel.flops for kernel, count in kernels) / program.stages
        work[name] = Work(flops=flops, formula=formula)
    return work


def _at_mean_context(kernels: list[tuple[Kernel, int]]) -> list[tuple[Kernel, int]]:
    """Attention cores of decode steps, whose FLOPs grow by the context, as one at their mean context each."""
    others: list[tuple[Kernel, int]] = []
    cores: dict[Attention | LatentAttention, list[tuple[float, int]]] = {}
    for kernel, count in kernels:
        match kernel:
            case Attention(causal=False, window=None) | LatentAttention(absorbed=True):
                cores.setdefault(replace(kernel, keys=0.0), []).append((kernel.keys, count))
            case _:
                others.append((kernel, count))
    for core, contexts in cores.items():
        times = sum(count for _, count in contexts)
        others.append((replace(core, keys=sum(keys * count for keys, count in contexts) / times), times))
    return others


def _mean_kernel(operation: Compute) -> Kernel:
    """The kernel of an operation on the mean number of rows, where ranks differ."""
    rows = [kernel.rows for kernel in operation.kernels if isinstance(kernel, GroupedGemm)]
    kernel = operation.kernel
    return replace(kernel, rows=fmean(rows)) if rows and isinstance(kernel, GroupedGemm) else kernel


def _scales(share: Share) -> dict[str, float]:
    """The numbers that figures of a scenario are multiples of."""
    model, degrees, workload = share.model, share.degrees, share.workload
    scales: dict[str, float] = {
        "layers": model.layers,
        "GPUs": degrees.gpus,
        "tp": degrees.tp,
        "ep": degrees.ep,
        "dp": degrees.dp,
        "heads": model.heads,
        "tokens of a replica": share.replica_sequences * workload.tokens_per_sequence,
        "tokens of the batch": workload.tokens,
        "sequences of a replica": share.replica_sequences,
        "the sequence length": workload.length,
        "bytes of a weight": model.precision.bytes_of("weights"),
    }
    if model.moe is not None:
        scales |= {"top_k": model.moe.top_k, "experts": model.moe.experts, "matrices": model.moe.expert.matrices}
    return scales


def _kernels(gpu: Gpu, program: Program) -> Source:
    """Where kernel times come from: of a GPU with measured ones, what most of the time does, and each kind's share."""
    if gpu.profile is None:
        return Source(kind=gpu.provenance, source=gpu.source)
    spent: dict[Provenance, float] = {}
    names: dict[Provenance, dict[str, None]] = {}
    times: dict[Kernel, KernelTime] = {}
    beyond: dict[str, str] = {}
    for op, count in zip(program.operations, program.runs, strict=True):
        if isinstance(op, Compute):
            time = times.get(op.kernel) or times.setdefault(op.kernel, gpu.kernel_time(op.kernel))
            spent[time.provenance] = spent.get(time.provenance, 0.0) + count * time.seconds
            names.setdefault(time.provenance, {})[op.name] = None
            if time.beyond:
                beyond[op.name] = time.beyond
    kinds = sorted(spent, key=lambda kind: -spent[kind])
    whole = sum(spent.values())
    parts = [f"{show_percent(spent[kind] / whole)} of kernel time {kind} ({', '.join(names[kind])})" for kind in kinds]
    if beyond:
        edges = ", ".join(f"{name} ({where})" for name, where in beyond.items())
        parts.append(f"at the efficiency of its table's edge, beyond which nothing was measured: {edges}")
    return Source(kind=kinds[0], source=f"{'; '.join(parts)}; {gpu.profile.source}; {gpu.source}")


def _provenance(cluster: Cluster, program: Program) -> dict[str, Source]:
    """Where each kind of time comes from; tiers a cluster has not are left out."""
    tiers = {
        "nvlink": cluster.nvlink,
        "pcie": cluster.pcie,
        "infiniband": cluster.infiniband,
    }
    known = {"kernels": _kernels(cluster.gpu, program)}
    known |= {
        name: Source(kind=tier.provenance, source=tier.source) for name, tier in tiers.items() if tier is not None
    }
    if cluster.gpu.power is not None:
        known["power"] = Source(kind="datasheet", source=cluster.gpu.power.source)
    if cluster.library is not None:
        known["collectives"] = Source(kind="fitted", source=cluster.library.source)
    return known
