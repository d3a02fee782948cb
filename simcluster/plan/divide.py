"""Whether a plan's degrees divide what they cut: heads, layers, experts, widths, sequences."""

from __future__ import annotations

from collections.abc import Iterator

from simcluster.model.transformer import Model, Moe
from simcluster.model.workload import Workload
from simcluster.plan import redundancy
from simcluster.plan.degrees import Degrees
from simcluster.plan.execution import PLAIN, Execution


def mistakes(
    model: Model, degrees: Degrees, workload: Workload, execution: Execution = PLAIN
) -> tuple[tuple[str, str], ...]:
    """Everything a plan cuts that does not divide, as (scenario path, what is wrong; what would fit)."""
    cuts = [
        ("plan.tp", "tp", degrees.tp, "the model's", model.heads, "heads"),
    ]
    if model.dense is not None:
        cuts.append(("plan.tp", "tp", degrees.tp, "the dense layers' width", model.dense.hidden, "channels"))
    if isinstance(model.ffn, Moe):
        if not workload.redundant_experts:
            cuts.append(("plan.ep", "ep", degrees.ep, "the model's", model.ffn.experts, "experts"))
        cuts.append(("plan.etp", "etp", degrees.etp, "the expert width", model.ffn.expert.hidden, "channels"))
        if model.ffn.shared is not None and not degrees.splits_tokens:
            cuts.append(
                (
                    "plan.tp",
                    "tp",
                    degrees.tp,
                    "the shared experts' width",
                    model.ffn.shared.hidden,
                    "channels",
                )
            )
    else:
        cuts.append(("plan.tp", "tp", degrees.tp, "the MLP width", model.ffn.hidden, "channels"))
    found = [
        (
            path,
            f"{axis} {degree} does not divide {whose} {total:,} {what}; use {axis}: {_near(total, degree)}",
        )
        for path, axis, degree, whose, total, what in cuts
        if total % degree
    ]
    found += _stage_mistakes(model, degrees, execution)
    if model.moe is not None and workload.redundant_experts:
        wrong = redundancy.mistake(model.moe.experts, degrees.ep, workload.redundant_experts)
        found += [] if wrong is None else [("workload.redundant_experts", wrong)]
    if model.moe is None and degrees.ep > 1:
        found.append(("plan.ep", f"ep is {degrees.ep}, but the model has no experts; use ep: 1"))
    if model.kv_heads % degrees.tp and degrees.tp % model.kv_heads:
        fits = _near(model.kv_heads, degrees.tp)
        found.append(("plan.tp", f"tp {degrees.tp} and {model.kv_heads} kv_heads do not divide; use tp: {fits}"))
    if workload.batch % degrees.dp:
        lower = workload.batch // degrees.dp * degrees.dp
        fits = f"{lower} or {lower + degrees.dp}" if lower else f"{degrees.dp}"
        found.append(
            (
                "workload.batch",
                f"{workload.batch} sequences do not divide over dp {degrees.dp} replicas; use {fits}",
            )
        )
        return tuple(found)
    return (*found, *_batch_mistakes(degrees, workload, execution))


def _stage_mistakes(model: Model, degrees: Degrees, execution: Execution) -> Iterator[tuple[str, str]]:
    """Layers that the pipeline's stages cannot be made of."""
    written, pp = execution.stage_layers, degrees.pp
    if not written and model.layers % pp:
        few, more = divmod(model.layers, pp)
        near = f"use pp: {_near(model.layers, pp)}"
        if few:
            near += f", or uneven stages, execution.stage_layers: {_in_brief([few + 1] * more + [few] * (pp - more))}"
        yield "plan.pp", f"pp {pp} does not divide the model's {model.layers} layers; {near}"
    if written and (len(written) != pp or sum(written) != model.layers):
        yield (
            "execution.stage_layers",
            f"{len(written)} stages of {sum(written)} layers in all; pp {pp} needs {pp} that add up to {model.layers}",
        )


def _in_brief(layers: list[int]) -> str:
    return f"[{', '.join(map(str, layers))}]" if len(layers) <= 16 else f"[{layers[0]}, {layers[1]}, …]"


def _batch_mistakes(degrees: Degrees, workload: Workload, execution: Execution) -> Iterator[tuple[str, str]]:
    """A replica's sequences that do not divide into what runs together, and sequences that do not divide over cp."""
    cp, dp, length = degrees.cp, degrees.dp, workload.tokens_per_sequence
    each = workload.batch // dp
    if workload.phase != "decode" and length % cp:
        fits = f"{length // cp * cp} or {(length // cp + 1) * cp}" if length >= cp else f"{cp}"
        yield "workload.sequence", f"cp {cp} does not divide a sequence of {length:,} tokens; use {fits}, or another cp"
    parts, count = each // execution.halves, execution.microbatches or 1
    if each % execution.halves:
        fits = " or ".join(str(dp * near) for near in (each - 1, each + 1) if near)
        yield (
            "execution.overlap",
            f"two-batch needs an even number of sequences in each of dp {dp} replicas, not {each}; "
            f"use workload.batch: {fits}, or overlap: none",
        )
    elif parts % count:
        halves = " of two halves" if execution.halves == 2 else ""
        yield (
            "execution.microbatches",
            f"a replica's {each} sequences do not divide into {count} microbatches{halves}; "
            f"use execution.microbatches: {_near(parts, count)}",
        )


def _near(total: int, wanted: int) -> str:
    """The divisors of `total` next to `wanted`, below and above."""
    divisors = [d for d in range(1, min(total, 4 * wanted) + 1) if total % d == 0]
    below, above = [d for d in divisors if d < wanted], [d for d in divisors if d > wanted]
    return " or ".join(str(d) for d in below[-1:] + above[:1])
