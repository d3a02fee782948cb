"""`workload.expert_load` and `redundant_experts`: from what is written to the weight of each expert, and mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import fsum
from pathlib import Path

from simcluster.model.transformer import Model, Moe
from simcluster.model.workload import Workload
from simcluster.plan import routing
from simcluster.scenario.build import Wrong
from simcluster.scenario.expert_counts import read_counts
from simcluster.scenario.schema import LAWS, ExpertLoadForm, WorkloadForm

PATH = "workload.expert_load"

_ROUNDING = 1e-8
"""By how much a weight written with nine digits may be too large."""


def measured(form: WorkloadForm, model: Model, origin: str) -> WorkloadForm:
    """The form with the counts of its file as weights; the file is relative to the folder of `origin`.

    ValueError says what is wrong with the file.
    """
    name = form.expert_load.file
    if name is None or model.moe is None:
        return form
    try:
        counts = read_counts(Path(origin).parent / name, model.moe.experts)
    except ValueError as error:
        raise ValueError(f"{name:.200}: {error}") from None
    weights = {**dict(enumerate(counts)), **(form.expert_load.weights or {})}
    load = form.expert_load.model_copy(update={"file": None, "weights": weights})
    return form.model_copy(update={"expert_load": load})


def mistakes(form: WorkloadForm, model: Model) -> Wrong:
    """Loads and redundant experts of a model without experts; popularities of experts that the model lacks, or that
    would send two copies of a token to one expert."""
    moe, load = model.moe, form.expert_load
    if moe is None:
        if load.drawn or load.weights or any(getattr(load, law) is not None for law in LAWS):
            yield PATH, "the model has no experts; leave it out"
        if form.redundant_experts:
            yield "workload.redundant_experts", "the model has no experts; leave it out"
        return
    weights = load.weights or {}
    absent = [expert for expert in weights if expert >= moe.experts]
    for expert in absent:
        yield f"{PATH}.{expert}", f"there is no expert {expert}; the model has 0 … {moe.experts - 1}"
    if weights and not absent and load.zipf is None and load.power_law is None:
        yield from weight_mistakes(weights, moe)


def weight_mistakes(load: Mapping[int, float], moe: Moe) -> Wrong:
    """Weights by index, 1 for those not named, that would send two copies of a token to one expert."""
    weights = [load.get(expert, 1.0) for expert in range(moe.experts)]
    total, chosen = fsum(weights), sum(weight > 0 for weight in weights)
    if chosen < moe.top_k:
        left = f"{chosen} of {moe.experts} experts have a weight above 0, and a token's copies go to {moe.top_k}"
        yield PATH, f"{left} different ones (model.moe.top_k); give at least {moe.top_k} a weight above 0"
        return
    for expert, weight in enumerate(weights):
        if moe.top_k * weight > total * (1 + _ROUNDING):
            most = fsum([*weights[:expert], *weights[expert + 1 :]]) / (moe.top_k - 1)
            what = (
                f"expert {expert} with weight {weight:g} would get {moe.top_k * weight / total:.3g} copies of a token"
            )
            known = f".{expert}" if expert in load else ""
            yield f"{PATH}{known}", f"{what}, at most one is possible; beside the others its weight can be {most:.9g}"


def loaded(workload: Workload, load: ExpertLoadForm, moe: Moe, seed: int) -> Workload:
    """The workload with the weight of each expert that has not 1, or a power law, which each plan makes weights of;
    which expert is popular by a law is drawn by `seed`, and so is who gets the copies where they are `drawn`."""
    weights = dict(load.weights or {})
    if load.zipf is not None:
        law = routing.at_most_once(routing.zipf(moe.experts, load.zipf), moe.top_k)
        weights = {**dict(enumerate(routing.permuted(law, seed))), **weights}
    kept = {e: w for e, w in sorted(weights.items()) if w != 1 or load.power_law is not None}
    power_law = None if load.power_law is None else (load.power_law, seed)
    return replace(workload, expert_load=kept, power_law=power_law, drawn_by=seed if load.drawn else None)


def as_tree(workload: Workload) -> dict[str, object]:
    """What a scenario writes of it: the weights, which stand for any law but a power law."""
    tree: dict[str, object] = {}
    if workload.expert_load:
        tree["weights"] = dict(workload.expert_load)
    if workload.power_law is not None:
        tree["power_law"] = workload.power_law[0]
    if workload.drawn_by is not None:
        tree["drawn"] = True
    tree = {"expert_load": dict(workload.expert_load) if list(tree) == ["weights"] else tree} if tree else {}
    return tree | ({"redundant_experts": workload.redundant_experts} if workload.redundant_experts else {})
