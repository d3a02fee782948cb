"""`workload.expert_load` and `redundant_experts`: from what is written to the weight of each expert, and mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import fsum
from pathlib import Path

from simcluster.model.transformer import Model, Moe
from simcluster.model.workload import Workload
from simcluster.plan import routing
from simcluster.plan.degrees import Degrees
from simcluster.plan.share import Share
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


def loaded(workload: Workload, load: ExpertLoadForm, model: Model, degrees: Degrees, seed: int) -> Workload:
    """The workload with the weight of each expert that has not 1; which expert is popular by a law is drawn by `seed`,
    and so is who gets the copies where they are `drawn`."""
    weights = _weights(workload, load, model, degrees, seed)
    drawn_by = seed if load.drawn else None
    return replace(workload, expert_load={e: w for e, w in sorted(weights.items()) if w != 1}, drawn_by=drawn_by)


def _weights(workload: Workload, load: ExpertLoadForm, model: Model, degrees: Degrees, seed: int) -> dict[int, float]:
    moe, named = model.moe, load.weights or {}
    if moe is None:
        return {}
    if load.zipf is not None:
        law = routing.zipf(moe.experts, load.zipf)
    elif load.power_law is not None:
        tokens = Share(model=model, degrees=degrees, workload=workload).routed_tokens
        law = routing.power_law(moe.experts, load.power_law, tokens, moe.top_k)
    else:
        return dict(named)
    return {**dict(enumerate(routing.permuted(routing.at_most_once(law, moe.top_k), seed))), **named}


def as_tree(workload: Workload) -> dict[str, object]:
    """What a scenario writes of it: the weights, which stand for any law."""
    weights = dict(workload.expert_load)
    tree: dict[str, object] = {"expert_load": weights} if weights else {}
    if workload.drawn_by is not None:
        tree["expert_load"] = {**({"weights": weights} if weights else {}), "drawn": True}
    return tree | ({"redundant_experts": workload.redundant_experts} if workload.redundant_experts else {})
