"""Comparing: scenarios, each under its own plan and under others, every one of them simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from simcluster.errors import InputError, Mistake, printable
from simcluster.pipeline import Fold, simulate
from simcluster.scenario.compile import compile_text
from simcluster.scenario.scenario import Scenario
from simcluster.study.advice import cost
from simcluster.study.sensitivity import sensitivities
from simcluster.timeline.comparison import Compared
from simcluster.units import show_bytes

LARGEST = 4_000
"""Cost of a run, in spans, past which sensitivities are found only if asked for: they take some ten more runs."""

MOST_COLUMNS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text of a scenario and the file it came from."""

    text: str
    origin: str


def compare(
    sources: Sequence[Source],
    plans: Sequence[str] = (),
    *,
    overrides: Sequence[str] = (),
    fold: Fold = "auto",
    thorough: bool | None = None,
) -> tuple[Compared, ...]:
    """A column for each scenario under its own plan, and under each of `plans` that is not the same plan.

    A plan that the cluster or the model cannot have, or that does not fit in memory, is a column with its reason.
    `thorough` finds the sensitivities of every column, None those of columns whose runs are short.  InputError lists
    the mistakes of every scenario that is none under any plan.
    """
    if len(sources) * (1 + len(plans)) > MOST_COLUMNS:
        raise InputError(f"{len(sources) * (1 + len(plans))} columns; at most {MOST_COLUMNS} fit")
    columns: list[Compared] = []
    mistakes: list[Mistake] = []
    for source in sources:
        try:
            columns += _columns(source, plans, overrides, fold, thorough)
        except InputError as error:
            mistakes += error.mistakes
    if mistakes:
        raise InputError(dict.fromkeys(mistakes))
    return _labelled(columns, sources)


def _columns(
    source: Source, plans: Sequence[str], overrides: Sequence[str], fold: Fold, thorough: bool | None
) -> list[Compared]:
    """One scenario's columns, in order; the scenario's own mistakes are raised where no plan is valid."""
    own = _compiled(source, overrides)
    prefer = None if isinstance(own, InputError) else own.plan.convention
    fixed = () if isinstance(own, InputError) else (same_cluster(own),)
    tried: list[tuple[str, Scenario | InputError]] = [("its own plan", own)]
    for name in plans:
        shown = printable(name) or "(no name)"
        try:
            tried.append(
                (shown, compile_text(source.text, source.origin, (*overrides, *fixed, f"plan={name}"), prefer))
            )
        except InputError as error:
            tried.append((shown, error))
    valid = [scenario for _, scenario in tried if not isinstance(scenario, InputError)]
    if isinstance(own, InputError) and not valid:
        raise own
    columns: list[Compared] = []
    seen: list[object] = []
    for name, scenario in tried:
        if isinstance(scenario, InputError):
            told = (": ".join(part for part in (m.path, m.what) if part) for m in scenario.mistakes)
            reason = printable("; ".join(told))
            known = valid[0].name
            columns.append(Compared(label=source.origin, scenario=known, plan=name, result=None, reason=reason))
        elif scenario.plan.degrees not in seen:
            seen.append(scenario.plan.degrees)
            columns.append(_column(source, scenario, fold, thorough))
    return columns


def same_cluster(own: Scenario) -> str:
    """The override that keeps a catalogue cluster, which follows its plan's GPUs, the size it has."""
    return f"cluster.nodes={own.cluster.nodes}"


def _compiled(source: Source, overrides: Sequence[str]) -> Scenario | InputError:
    try:
        return compile_text(source.text, source.origin, overrides)
    except InputError as error:
        return error


def _column(source: Source, scenario: Scenario, fold: Fold, thorough: bool | None) -> Compared:
    result = simulate(replace(scenario, expect=()), fold=fold)
    reason = ""
    if not result.fits:
        needed, capacity = result.memory_total_bytes, result.memory_capacity_bytes
        reason = f"does not fit: {show_bytes(needed)} of {show_bytes(capacity)}"
    short = result.timeline is not None and cost(result.timeline) <= LARGEST
    wanted = short if thorough is None else thorough
    return Compared(
        label=source.origin,
        scenario=scenario.name,
        plan=scenario.plan.name,
        result=result,
        reason=reason,
        sensitivities=sensitivities(scenario, result) if wanted else (),
    )


def _labelled(columns: Sequence[Compared], sources: Sequence[Source]) -> tuple[Compared, ...]:
    """Every column named by what sets it apart: its plan, its scenario, both, or its file and plan as well."""
    by_plan = [one.plan for one in columns]
    by_name = [one.scenario for one in columns]
    both = [f"{one.scenario}: {one.plan}" for one in columns]
    by_file = [f"{PurePath(one.label).stem}: {one.plan}" for one in columns]
    choices = [by_plan, by_name, both, by_file] if len(sources) == 1 else [by_name, by_plan, both, by_file]
    numbered = [f"{number}: {plan}" for number, plan in enumerate(by_plan, start=1)]
    names = next((one for one in choices if len(dict.fromkeys(one)) == len(one)), numbered)
    return tuple(replace(one, label=name) for one, name in zip(columns, names, strict=True))
