"""The fixed six checks, and one row per expectation."""

from __future__ import annotations

from collections.abc import Sequence

from simcluster.audit import spread, why
from simcluster.audit.expectation import Expectation
from simcluster.audit.origin import origin
from simcluster.timeline import metric
from simcluster.timeline.check import Check
from simcluster.timeline.result import Result
from simcluster.units import plural, show_bytes, show_count, show_percent

MOST_IMBALANCE = 1.1
"""Largest expert load / mean load that passes for balanced."""


def audit(result: Result, expect: Sequence[Expectation]) -> tuple[Check, ...]:
    """Every check of a result: gpu_count, expert_distribution, memory, compute_utilization, load_balance,
    module_division, then each expectation under its own line."""
    claims = tuple(_expectation(result, claim, expect) for claim in expect)
    return (
        _gpu_count(result),
        _expert_distribution(result),
        _memory(result),
        _compute_utilization(result, claims, expect),
        _load_balance(result),
        _module_division(result),
        *claims,
    )


def _gpu_count(result: Result) -> Check:
    identity = result.identity
    degrees = identity.degrees
    product = degrees["tp"] * degrees["cp"] * degrees["dp"] * degrees["pp"]
    return Check(
        name="gpu_count",
        passed=product == identity.gpus,
        claimed=f"{identity.gpus} GPUs",
        actual=f"{product} ranks",
        why=f"{why.gpu_product(result)}. {why.reading(result)}",
    )


def _expert_distribution(result: Result) -> Check:
    per_group, ep = result.balance["experts_per_gpu_group"], result.identity.degrees["ep"]
    if per_group == 0:
        text = spread.NO_EXPERTS
    else:
        experts = show_count(per_group * ep)
        redundant = ", redundant ones included," if result.balance.get("redundant_experts") else ""
        text = (
            f"{experts} experts{redundant} / ep {ep} = {show_count(per_group)} on each group of {spread.group(result)}"
        )
    return Check(
        name="expert_distribution",
        passed=float(per_group).is_integer(),
        claimed="equally many experts on every GPU group",
        actual=f"{show_count(per_group)} a group",
        why=text,
    )


def _memory(result: Result) -> Check:
    return Check(
        name="memory",
        passed=result.fits,
        claimed=f"at most {show_bytes(result.memory_capacity_bytes)}",
        actual=show_bytes(result.memory_total_bytes),
        why=why.sentence(result, "memory.fraction"),
    )


def _compute_utilization(result: Result, claims: Sequence[Check], expect: Sequence[Expectation]) -> Check:
    """Holds where every expectation on mfu or compute_busy holds; without any it passes and gives the figures."""
    about = [check for check, claim in zip(claims, expect, strict=True) if claim.path in ("mfu", "compute_busy")]
    values = result.metrics
    mfu, busy = (metric.show(name, values[name]) for name in ("mfu", "compute_busy"))
    return Check(
        name="compute_utilization",
        passed=all(check.passed for check in about),
        claimed=", ".join(check.name for check in about) or "nothing claimed",
        actual=f"mfu {mfu}, compute_busy {busy}",
        why=why.sentence(result, "mfu"),
    )


def _load_balance(result: Result) -> Check:
    ratio = result.balance["expert_load_max_over_mean"]
    text = spread.expert_load(result) if result.balance["experts_per_gpu_group"] else spread.NO_EXPERTS
    what = "GPU group" if "hottest_gpu_group" in result.balance else "expert"
    return Check(
        name="load_balance",
        passed=ratio <= MOST_IMBALANCE,
        claimed=f"fullest {what} at most {MOST_IMBALANCE} x the mean",
        actual=f"{ratio:.4g} x",
        why=text,
    )


def _module_division(result: Result) -> Check:
    whole = all(text.rsplit("= ", 1)[1].replace(",", "").isdigit() for text in result.divisions)
    kinds = [
        (f"{module['type']} module", int(module["count"]), int(module["gpus_per_module"])) for module in result.modules
    ]
    counted = ", ".join(f"{plural(count, kind)} of {plural(gpus, 'GPU')}" for kind, count, gpus in kinds)
    return Check(
        name="module_division",
        passed=whole,
        claimed="layers, heads and widths divide by the degrees that cut them",
        actual="all divide" if whole else "some do not",
        why=f"{'; '.join(result.divisions)}. That makes {counted}",
    )


def _expectation(result: Result, claim: Expectation, claims: Sequence[Expectation]) -> Check:
    actual = result.metrics[claim.path]
    if actual is None:
        unfit = f"the plan does not fit in memory, {show_percent(result.memory_fraction)} of a GPU"
        text = f"not computed: {why.sentence(result, claim.path) if result.fits else unfit}"
        return Check(name=claim.line, passed=False, claimed=_claimed(claim), actual="none", why=text)
    passed = claim.holds(actual)
    verdict = "confirmed" if passed else f"refuted{why.distance(claim.value, actual)}"
    source = "" if passed else origin(result, claim, claims)
    return Check(
        name=claim.line,
        passed=passed,
        claimed=_claimed(claim),
        actual=metric.show(claim.path, actual),
        why=f"{verdict}: {why.sentence(result, claim.path)}" + (f". {source}" if source else ""),
    )


def _claimed(claim: Expectation) -> str:
    return f"{claim.relation} {metric.show(claim.path, claim.value)}"
