"""One plan that a search considers: other degrees, nodes, batch and execution of the same scenario."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simcluster.model.workload import Workload
from simcluster.plan import divide
from simcluster.plan.degrees import Degrees
from simcluster.plan.degrees import Plan as Plan
from simcluster.plan.execution import AttentionAxis, Execution
from simcluster.plan.mapping import canonical_plan
from simcluster.plan.name import resolve
from simcluster.plan.share import Share
from simcluster.scenario.scenario import BatchRule, Scenario
from simcluster.units import plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The seven `degrees` on `nodes` nodes; `batch` counts as the scenario's batch was written, `microbatches` None is
    the rule's number, `placement` has the attention axes innermost first."""

    degrees: Degrees
    nodes: int
    batch: int
    microbatches: int | None
    placement: tuple[AttentionAxis, ...]

    @property
    def key(self) -> tuple[tuple[int, ...], int, int, int, tuple[str, ...]]:
        """What tells it from every other, in an order that does not depend on how they were listed."""
        degrees = tuple(self.degrees.as_dict().values())
        return degrees, self.nodes, self.batch, self.microbatches or 0, self.placement


def choice(
    *,
    attention: tuple[int, int, int],
    experts: tuple[int, int, int],
    pp: int,
    nodes: int,
    batch: int,
    microbatches: int | None,
    placement: tuple[AttentionAxis, ...],
) -> Choice:
    """The choice of `attention` = (tp, cp, dp) and `experts` = (etp, ep, edp) in each of `pp` stages."""
    tp, cp, dp = attention
    etp, ep, edp = experts
    degrees = Degrees(tp=tp, pp=pp, dp=dp, cp=cp, ep=ep, etp=etp, edp=edp)
    return Choice(degrees=degrees, nodes=nodes, batch=batch, microbatches=microbatches, placement=placement)


def chosen(scenario: Scenario) -> Choice:
    """What the scenario itself asks for.

    Nothing reads etp and edp of a model without experts, so its plans are told apart with etp = tp alone.
    """
    degrees, execution = scenario.plan.degrees, scenario.execution
    if scenario.model.moe is None:
        degrees = replace(degrees, etp=degrees.tp, edp=degrees.cp * degrees.dp)
    return Choice(
        degrees=degrees,
        nodes=scenario.cluster.nodes,
        batch=scenario.batch.count,
        microbatches=execution.microbatches,
        placement=execution.placement,
    )


def mistakes(scenario: Scenario, choice: Choice) -> tuple[tuple[str, str], ...]:
    """Why the choice cannot be, as (scenario path, what is wrong; what would fit)."""
    return divide.mistakes(scenario.model, choice.degrees, _workload(scenario, choice), _execution(scenario, choice))


def follows_rule(scenario: Scenario, choice: Choice) -> bool:
    """Whether its number of microbatches is the one that would follow from the plan."""
    ruled = replace(_execution(scenario, choice), microbatches=None)
    workload = _workload(scenario, choice)
    share = Share(model=scenario.model, degrees=choice.degrees, workload=workload, execution=ruled)
    return share.microbatches == choice.microbatches


def plan_of(scenario: Scenario, choice: Choice) -> Plan:
    """The scenario's own plan where the choice is of its degrees, else one whose name stands for them."""
    own, degrees = scenario.plan.degrees, choice.degrees
    alike = (own.tp, own.pp, own.cp, own.dp) == (degrees.tp, degrees.pp, degrees.cp, degrees.dp)
    if alike and (scenario.model.moe is None or own == degrees):
        return scenario.plan
    return canonical_plan(degrees)


def applied(scenario: Scenario, choice: Choice, plan: Plan) -> Scenario:
    """The scenario as chosen, without expectations.

    What stays as it is stays the same object, so that thousands of choices are soon made.
    """
    cluster, rule = scenario.cluster, scenario.batch
    if choice.nodes != cluster.nodes:
        cluster = replace(cluster, nodes=choice.nodes)
    if choice.batch != rule.count:
        rule = replace(rule, count=choice.batch)
    return replace(
        scenario,
        cluster=cluster,
        plan=plan,
        workload=_workload(scenario, choice),
        batch=rule,
        expect=(),
        execution=_execution(scenario, choice),
    )


def _workload(scenario: Scenario, choice: Choice) -> Workload:
    """The work, whose batch follows the plan as its rule says."""
    rule = BatchRule(per=scenario.batch.per, count=choice.batch)
    sequences = rule.sequences(choice.degrees.gpus, choice.degrees.dp)
    return scenario.workload if scenario.workload.batch == sequences else replace(scenario.workload, batch=sequences)


def _execution(scenario: Scenario, choice: Choice) -> Execution:
    """How the choice is run; layers written for each stage are those of the scenario's own number of stages alone."""
    own = scenario.execution
    stages = own.stage_layers if choice.degrees.pp == scenario.plan.degrees.pp else ()
    if (choice.microbatches, choice.placement, stages) == (own.microbatches, own.placement, own.stage_layers):
        return own
    return replace(own, microbatches=choice.microbatches, placement=choice.placement, stage_layers=stages)


def changes(scenario: Scenario, choice: Choice, name: str) -> tuple[str, ...]:
    """The `--set`s that make the scenario's file this choice, whose plan is written as `name`.

    The nodes are always named: a file that leaves them out has as many as its plan asks for.
    """
    found = [f"plan={name}", f"cluster.nodes={choice.nodes}"]
    if choice.batch != scenario.batch.count:
        per = scenario.batch.per
        found.append(f"workload.batch={choice.batch if per == 'total' else f'{{{per}: {choice.batch}}}'}")
    if choice.microbatches != scenario.execution.microbatches:
        found.append(f"execution.microbatches={'null' if choice.microbatches is None else choice.microbatches}")
    if _execution(scenario, choice).stage_layers != scenario.execution.stage_layers:
        found.append("execution.stage_layers=[]")
    if choice.placement != scenario.execution.placement:
        found.append(f"execution.placement=[{', '.join(choice.placement)}]")
    return tuple(found)


def label(scenario: Scenario, choice: Choice, name: str) -> str:
    """The plan's name, and what is otherwise than the scenario has it."""
    told = [name]
    if choice.nodes != scenario.cluster.nodes:
        told.append(plural(choice.degrees.gpus, "GPU"))
    if choice.batch != scenario.batch.count:
        per = {"total": "", "per_gpu": " a GPU", "per_replica": " a replica"}[scenario.batch.per]
        told.append(f"batch {choice.batch:,}{per}")
    if choice.microbatches != scenario.execution.microbatches:
        rule = choice.microbatches is None
        told.append("microbatches by the rule" if rule else plural(choice.microbatches or 1, "microbatch"))
    if choice.placement != scenario.execution.placement:
        told.append(f"placed {'-'.join(choice.placement)}")
    return ", ".join(told)


def written(scenario: Scenario, plan: Plan) -> str:
    """The plan's name where that alone stands for it, as all but the scenario's own do; else all degrees and the
    reading."""
    if plan is not scenario.plan:
        return plan.name
    try:
        named = resolve(plan.name, plan.degrees.gpus)
    except ValueError:
        named = None
    if named is not None and (named.degrees, named.convention) == (plan.degrees, plan.convention):
        return plan.name
    degrees = ", ".join(f"{axis}: {degree}" for axis, degree in plan.degrees.as_dict().items())
    return f"{{{degrees}, convention: {plan.convention}}}"


def alike_nodes(scenario: Scenario) -> bool:
    """Whether it does not matter which nodes are left out: nothing singles out a node or what joins it."""
    cluster = scenario.cluster
    custom = cluster.infiniband is not None and cluster.infiniband.fabric == "custom"
    return not (cluster.faults or cluster.slow_gpus or cluster.background or custom)
