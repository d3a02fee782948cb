"""docs/reference/metrics.md: every leaf of `run --json`, with its unit and meaning."""

from __future__ import annotations

from collections.abc import Mapping

from simcluster.timeline.metric import METRICS, OF_GENERATION, OF_POWER, OF_PRICE
from tools.reference.table import cell, table

FRONT = """# Every number of `run --json`

`simcluster run SCENARIO --json` prints one object. Its scalars are the metrics: `expect` claims something of them,
sweeps write a column for each, `Result.metrics` holds them by path. A name without its prefix means its unique leaf:
`attention_weights` is `memory.attention_weights`. Everything is in SI units: bytes, seconds, FLOP, tokens per second.

A step is one prefill pass or one decode step; of a generation it is the whole generation. The four states of a GPU,
`compute_busy`, `exposed_communication`, `waiting` and `idle`, add up to 1. Where a plan does not fit in memory
nothing is replayed: `memory` is filled, and latency, throughput and MFU are null.

This page is written by `python -m tools.reference`; a test compares it with what `run --json` prints.

## Metrics

"""

SCALARS: Mapping[str, str] = {
    "gpus": "GPUs of the cluster.",
    "tokens": "Tokens of a step: read (prefill) or generated (decode).",
    "degrees.tp": "Tensor parallel degree of attention.",
    "degrees.pp": "Pipeline stages.",
    "degrees.dp": "Data parallel degree of attention.",
    "degrees.cp": "Context parallel degree.",
    "degrees.ep": "Expert parallel degree.",
    "degrees.etp": "Tensor parallel degree inside experts.",
    "degrees.edp": "Data parallel degree of the experts.",
    "counts.orthogonal": "GPUs the plan asks for, read as orthogonal; null where it cannot be read so.",
    "counts.folded": "GPUs the plan asks for, read as folded; null where it cannot be read so.",
    "latency_s": "From a step's first operation's start to its last one's end, on the slowest rank.",
    "ttft_s": "Time to first token: the end of the prefill.",
    "tpot_s": "Time per output token after the first, mean over decode steps.",
    "integration_error": "By how much the latency may be off, because decode steps were simulated at some contexts "
    "only.",
    "throughput_tokens_per_s": "Tokens of all steps over the time they take.",
    "throughput_tokens_per_s_per_gpu": "The same for one GPU.",
    "mfu": "`flops_per_gpu.total` over peak x latency, at the peak of the GEMMs' number type.",
    "cost_per_million_tokens": "Rent of all GPUs for as long as a step takes, over its tokens, times 10^6.",
    "energy_per_token_j": "Mean power x GPUs x latency over tokens.",
    "power_mean_w": "Power of a GPU, mean over the step and over GPUs.",
    "compute_busy": "Part of the latency in which a GPU's compute stream runs a kernel, mean over GPUs.",
    "exposed_communication": "Part in which a GPU communicates and computes nothing.",
    "waiting": "Part in which a GPU only waits for other members of its collective.",
    "idle": "The rest: a pipeline's bubble, the host.",
    "communication_busy": "Part in which a GPU communicates, hidden or not.",
    "synchronisation_points_per_layer": "Collectives of a layer.",
    "memory.attention_weights": "Projections of attention.",
    "memory.expert_weights": "Experts, shared ones included.",
    "memory.other_weights": "Norms, router, dense MLP, embedding, head.",
    "memory.kv_cache": "Cached keys and values, in prefill too.",
    "memory.activations": "Peak of the tensors alive during a step.",
    "memory.workspace": "Communication buffers and what the runtime reserves.",
    "memory.total": "The sum of these.",
    "memory.capacity": "Memory of the GPU.",
    "memory.fraction": "Total over capacity; above 1 the plan does not fit.",
    "flops_per_gpu.attention": "QKV, the core (causal: half the square), output projection; mean over GPUs.",
    "flops_per_gpu.experts": "Expert GEMMs, shared ones included.",
    "flops_per_gpu.other": "Router, dense MLP, LM head. Element-wise work counts nothing.",
    "flops_per_gpu.total": "The sum of these.",
    "traffic.nvlink": "Over NVLink in a step, all GPUs together; forwarding counts once each time.",
    "traffic.infiniband": "Sent off their nodes in a step by all GPUs, once whatever the hops.",
    "balance.experts_per_gpu_group": "Experts of a layer that a group of `etp` GPUs holds, redundant ones included.",
    "balance.expert_load_variance": "Variance over squared mean of the token copies that GPU groups receive.",
    "balance.expert_load_max_over_mean": "Token copies of the fullest GPU group over the mean.",
    "balance.straggler_factor": "Expert time of the slowest GPU over the mean.",
    "balance.compute_variance": "Variance over squared mean of the FLOPs of GPUs.",
    "balance.memory_variance": "Variance over squared mean of GPUs' memory.",
    "modules.expert.count": "Expert modules: one expert index across all layers.",
    "modules.expert.gpus_per_module": "GPUs that hold one of them: `etp` x `edp`.",
    "modules.expert.total_gpus": "Distinct GPUs that hold any.",
    "modules.tensor.count": "Tensor modules: one shard of an expert, or of a dense layer.",
    "modules.tensor.gpus_per_module": "GPUs that hold one of them.",
    "modules.tensor.total_gpus": "Distinct GPUs that hold any.",
    "modules.layer.count": "Layers.",
    "modules.layer.gpus_per_module": "GPUs that hold one of them: those of a stage.",
    "modules.layer.total_gpus": "Distinct GPUs that hold any.",
}
"""What each metric means."""

ROWS: Mapping[str, tuple[str, Mapping[str, tuple[str, str]]]] = {
    "Identity": ("What was simulated.", {
        "schema_version": ("number", "Raised when a name changes its meaning."),
        "scenario": ("text", "The scenario's name."),
        "plan": ("text", "The plan's name."),
        "convention": ("text", "How it was read: `orthogonal` or `folded`."),
    }),
    "by_operation": ("A row for each operation's name, summed over layers, mean per GPU and step.", {
        "by_operation[].name": ("text", "Such as `attention.qkv` or `moe.dispatch`."),
        "by_operation[].kind": ("text", "`compute`, or the kind of collective."),
        "by_operation[].algorithm": ("text", "The collective's algorithm; null of a kernel."),
        "by_operation[].limited_by": ("text", "What limits most of its time."),
        "by_operation[].count": ("count", "How many there are in a step."),
        "by_operation[].seconds": ("seconds", "From start to end, waiting excluded."),
        "by_operation[].alone_seconds": ("seconds", "The same with the wires to itself."),
        "by_operation[].exposed_seconds": ("seconds", "The part of a transfer that no kernel of its GPU hides."),
        "by_operation[].flops": ("FLOP", "Counted FLOPs; a multiply-add is two."),
        "by_operation[].bytes": ("bytes", "HBM traffic of a kernel, payload sent by a collective."),
        "by_operation[].bytes_nvlink": ("bytes", "Over NVLink on account of this GPU, forwarding included."),
        "by_operation[].bytes_infiniband": ("bytes", "Sent by this GPU off its node, once whatever the hops."),
    }),
    "waited_for": ("Whom the others wait for, longest first; empty where nobody waits.", {
        "waited_for[].rank": ("rank", "The first of equal ranks."),
        "waited_for[].gpu": ("text", "Where it sits, such as `node3.gpu2`."),
        "waited_for[].count": ("count", "How many ranks are equal to it."),
        "waited_for[].seconds": ("seconds", "What the mean GPU waits in a step for all of them together."),
        "waited_for[].fraction": ("fraction", "That over the latency."),
    }),
    "phases": ("Prefill and decode of a generation; other phases have no such key.", {
        "phases[].phase": ("text", "`prefill` or `decode`."),
        "phases[].steps": ("count", "Its steps."),
        "phases[].seconds": ("seconds", "How long they take together."),
        "phases[].compute_busy": ("fraction", "Computing, mean over GPUs, of these seconds; the next three likewise."),
        "phases[].exposed_communication": ("fraction", "Communicating and not computing."),
        "phases[].waiting": ("fraction", "Waiting for others."),
        "phases[].idle": ("fraction", "The rest."),
    }),
    "critical_path": ("What the latency is made of; the parts add up to it.", {
        "critical_path[].part": ("text", "`compute`, `hbm`, `launch`, `nvlink`, `infiniband`, `pcie`, `latency`, "
                                 "`waiting`, `bubble` or `host`."),
        "critical_path[].seconds": ("seconds", "On the path, of a step."),
        "critical_path[].fraction": ("fraction", "Of the latency."),
    }),
    "Wires": ("All GPUs together, over a step. Use is a share of usable bandwidth, efficiency included.", {
        "traffic_between_nodes[]": ("bytes", "From node to node: a list for each sending node. Null above 64 nodes."),
        "links[].kind": ("text", "`nvlink`, `pcie`, `nic`, `leaf`, `spine` or `core`."),
        "links[].direction": ("text", "`out` or `in` of a GPU or NIC, `up` or `down` of a switch."),
        "links[].count": ("count", "Wires of that kind and direction."),
        "links[].utilization_mean": ("fraction", "Mean over wires and time."),
        "links[].utilization_peak": ("fraction", "The fullest wire at its fullest instant."),
        "links[].bytes": ("bytes", "Carried by all of them."),
        "wires[].from": ("text", "One end of the first of equally loaded wires; the 32 fullest groups are listed."),
        "wires[].to": ("text", "Its other end."),
        "wires[].count": ("count", "How many are loaded like it."),
        "wires[].kind": ("text", "As in `links`."),
        "wires[].direction": ("text", "As in `links`."),
        "wires[].capacity_bytes_per_s": ("bytes/s", "Usable bandwidth of one."),
        "wires[].bytes": ("bytes", "Carried by one."),
        "wires[].utilization_mean": ("fraction", "Mean over time."),
        "wires[].utilization_peak": ("fraction", "At its fullest instant."),
        "wires[].utilization[]": ("fraction", "In each of 100 equal bins of the run."),
    }),
    "folding": ("How many ranks and wires were replayed for all.", {
        "folding.ranks": ("count", "Ranks of the plan."),
        "folding.tracks": ("count", "Classes of equal ranks, each replayed once."),
        "folding.wires": ("count", "Wires of the cluster, one for each direction."),
        "folding.columns": ("count", "Classes of equally loaded wires."),
        "folding.split_by[]": ("text", "What tells ranks or wires apart."),
    }),
    "balance": ("Beside the metrics above, where experts do not get equally many copies.", {
        "balance.hottest_gpu_group": ("number", "The `ep` coordinate that gets most copies."),
        "balance.redundant_experts": ("count", "Redundant experts, where there are any."),
        "balance.over_seeds.seeds": ("count", "Other seeds that were tried."),
        **{
            f"balance.over_seeds.{name}.{leaf}": ("number", f"`{name}` over those seeds: {words}.")
            for name in ("expert_load_max_over_mean", "straggler_factor")
            for leaf, words in (("mean", "mean"), ("min", "least"), ("p5", "5th percentile"),
                                ("p95", "95th percentile"), ("max", "most"))
        },
        "balance.redundancy[].redundant_experts": ("count", "A number of redundant experts that was tried."),
        "balance.redundancy[].experts_per_gpu": ("count", "Experts on a GPU then."),
        "balance.redundancy[].expert_load_max_over_mean": ("number", "Copies of the fullest group over the mean then."),
        "balance.redundancy[].extra_bytes": ("bytes", "Memory a GPU more than without any."),
    }),
    "modules": ("The rows behind `modules.TYPE.…` above.", {
        "modules[].type": ("text", "`expert`, `tensor` or `layer`."),
        "modules[].count": ("count", "How many modules of this type."),
        "modules[].gpus_per_module": ("count", "GPUs that hold one."),
        "modules[].total_gpus": ("count", "Distinct GPUs that hold any."),
    }),
    "timeseries": ("The run in 100 equal bins.", {
        "timeseries.t_s[]": ("seconds", "A bin's middle."),
        "timeseries.compute_busy[]": ("fraction", "Computing, mean over GPUs and the bin."),
        "timeseries.exposed_communication[]": ("fraction", "Communicating and not computing."),
        "timeseries.memory_bytes[]": ("bytes", "The most that any GPU holds in the bin."),
        "timeseries.expert_load_max_over_mean[]": ("number", "Copies of the fullest group over the mean."),
        "timeseries.tokens_done[]": ("tokens", "Of steps that are finished at the bin's end."),
        "timeseries.step_latency_s[]": ("seconds", "Of the steps that run in the bin."),
        "timeseries.throughput_tokens_per_s[]": ("tokens/s", "Of the steps that run in the bin."),
        "timeseries.link_utilization.KIND DIRECTION[]": ("fraction", "Mean use of that class of wires."),
    }),
    "checks": ("The fixed six, then a row for each expectation.", {
        "checks[].name": ("text", "`gpu_count`, `expert_distribution`, `memory`, `compute_utilization`, "
                          "`load_balance`, `module_division`, or the expectation itself."),
        "checks[].passed": ("true or false", "Whether it holds."),
        "checks[].claimed": ("text", "What was claimed."),
        "checks[].actual": ("text", "What came out."),
        "checks[].why": ("text", "The arithmetic, in a sentence."),
    }),
    "provenance": ("By kind of time: `kernels`, `nvlink`, `pcie`, `infiniband`, `collectives`, `power`.", {
        "provenance.KIND.kind": ("text", "`measured`, `fitted` or `datasheet`."),
        "provenance.KIND.source": ("text", "Where its numbers are from."),
    }),
    "capacity": ("What memory allows, all else as it is.", {
        "capacity.largest_batch": ("count", "Sequences of the whole deployment that fit."),
        "capacity.largest_sequence": ("tokens", "Longest prompt that fits (prefill, generate)."),
        "capacity.largest_context": ("tokens", "Longest cache that fits (decode)."),
        "capacity.remedies[]": ("list", "Empty where the plan fits; else up to three changes with which it does."),
        "capacity.remedies[].changes[]": ("text", "The values of `--set`."),
        "capacity.remedies[].memory_fraction": ("fraction", "Memory over capacity then."),
        "capacity.remedies[].latency_s": ("seconds", "Latency then."),
    }),
    "uncertainty": ("With `--uncertainty N` only. METRIC is `latency_s`, `ttft_s`, `tpot_s`, "
                    "`throughput_tokens_per_s`, `mfu`, `cost_per_million_tokens` or "
            "`energy_per_token_j`; INPUT is a key of the section "
                    "`uncertainty`.", {
        "uncertainty.draws": ("count", "Draws of the hardware."),
        "uncertainty.seed": ("number", "What drew them."),
        "uncertainty.ranges.INPUT.factor": ("number", "The true value lies between value / factor and value x factor."),
        "uncertainty.ranges.INPUT.source": ("text", "Why it is that wide."),
        "uncertainty.METRIC.nominal": ("as METRIC", "Without any draw."),
        "uncertainty.METRIC.p5": ("as METRIC", "5 % quantile of the draws."),
        "uncertainty.METRIC.p50": ("as METRIC", "Median."),
        "uncertainty.METRIC.p95": ("as METRIC", "95 % quantile."),
        "uncertainty.METRIC.correlation.INPUT": ("number", "Spearman's rank correlation with that input, -1 to 1."),
        "uncertainty.METRIC.share.INPUT": ("fraction", "Its part of the squared correlations."),
    }),
    "without_faults": ("With `faults` only: the same scenario without them.", {
        "without_faults.latency_s": ("seconds", "Latency of a step."),
        "without_faults.throughput_tokens_per_s": ("tokens/s", "Throughput."),
        "without_faults.slowdown": ("number", "Latency with faults over that without."),
    }),
}  # fmt: skip
"""Every other leaf by heading: a sentence, and its unit and meaning by path; capitals stand for a name."""

ONLY = {**dict.fromkeys(OF_GENERATION, "generations"), **dict.fromkeys(OF_PRICE, "GPUs with a price"),
        **dict.fromkeys(OF_POWER, "GPUs with stated power")}  # fmt: skip
"""Metrics that not every run has."""


def page() -> str:
    """The whole page; KeyError for a metric without a meaning."""
    scalars = [(f"`{path}`", measure, _meaning(path)) for path, measure in METRICS.items()]
    parts = [FRONT, table(("metric", "unit", "meaning"), scalars)]
    for heading, (words, rows) in ROWS.items():
        listed = [(f"`{path}`", unit, cell(meaning)) for path, (unit, meaning) in rows.items()]
        parts += [f"\n## {heading}\n\n{words}\n\n", table(("key", "unit", "meaning"), listed)]
    return "".join(parts)


def _meaning(path: str) -> str:
    only = f" Only of {ONLY[path]}." if path in ONLY else ""
    return cell(SCALARS[path] + only)
