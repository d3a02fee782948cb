"""Whether a plan can run at all: what it cuts divides, and what it holds fits; the reason where not."""

from __future__ import annotations

from simcluster.pipeline import resident_fraction
from simcluster.scenario.choice import Choice, Plan, applied, changes, label, mistakes, plan_of, written
from simcluster.scenario.scenario import Scenario
from simcluster.study.measure import Measured
from simcluster.timeline.ranking import Ranked
from simcluster.units import show_percent


def runnable(scenario: Scenario, choice: Choice) -> Scenario | Ranked:
    """The scenario as chosen, ready to be measured, or the plan with the reason why it cannot run."""
    plan, wrong = plan_of(scenario, choice), mistakes(scenario, choice)
    if wrong:
        return row(scenario, choice, plan, reason="; ".join(what for _, what in wrong), cause=wrong[0][0])
    changed = applied(scenario, choice, plan)
    least = resident_fraction(changed)
    if least > 1:
        reason = f"does not fit: weights, KV cache and workspace alone take {show_percent(least)} of a GPU's memory"
        return row(scenario, choice, plan, reason=reason, cause="memory", memory_fraction=least)
    return changed


def measured(scenario: Scenario, choice: Choice, changed: Scenario, found: Measured) -> Ranked:
    """The plan with its numbers; with the reason where its activations are what does not fit."""
    plan = changed.plan
    if found.memory_fraction > 1:
        reason = f"does not fit: the fullest GPU needs {show_percent(found.memory_fraction)} of its memory"
        return row(scenario, choice, plan, reason=reason, cause="memory", memory_fraction=found.memory_fraction)
    return row(scenario, choice, plan, found)


def row(
    scenario: Scenario,
    choice: Choice,
    plan: Plan,
    found: Measured | None = None,
    *,
    reason: str | None = None,
    cause: str = "",
    memory_fraction: float | None = None,
) -> Ranked:
    """One row of a ranking; without numbers where nothing was `found`."""
    name = written(scenario, plan)
    return Ranked(
        plan=name,
        label=label(scenario, choice, name),
        convention=plan.convention,
        degrees=plan.degrees.as_dict(),
        nodes=choice.nodes,
        gpus=plan.degrees.gpus,
        batch=choice.batch,
        microbatches=choice.microbatches,
        placement=choice.placement,
        changes=changes(scenario, choice, name),
        fits=found is not None,
        reason=reason,
        cause=cause,
        latency_s=None if found is None else found.latency_s,
        throughput_tokens_per_s=None if found is None else found.throughput_tokens_per_s,
        mfu=None if found is None else found.mfu,
        memory_fraction=memory_fraction if found is None else found.memory_fraction,
        price_usd_per_h=scenario.cluster.gpu.price_usd_per_h,
    )
