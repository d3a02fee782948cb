"""A plan written as degrees: `{tp: 2, ep: 64}` always means the degrees themselves, never a name's shorthand."""

from __future__ import annotations

from collections.abc import Mapping

from simcluster.plan.degrees import Convention, Counts, Degrees, Plan
from simcluster.plan.name import counts, parse, read, readings, resolve


def from_mapping(
    written: Mapping[str, int], gpus: int, convention: Convention | None = None, name: str | None = None
) -> Plan:
    """The plan with the written degrees on `gpus` GPUs.

    tp, pp, cp and ep left out are 1; dp, etp and edp follow from tp·cp·dp·pp == etp·ep·edp·pp == gpus.  The convention
    defaults to orthogonal where etp = tp satisfies that law, else folded (etp = 1); a written etp wins.  `name` only
    labels the plan and must stand for the same degrees.  ValueError says which product does not come out.
    """
    tp, pp, cp, ep = (written.get(axis, 1) for axis in ("tp", "pp", "cp", "ep"))
    if gpus % (tp * pp * cp):
        product = f"tp {tp} x pp {pp} x cp {cp} = {tp * pp * cp}"
        raise ValueError(f"{product} does not divide the cluster's {gpus} GPUs; {_near_tp(tp, gpus // (pp * cp))}")
    stage = gpus // pp
    dp = written.get("dp", stage // (tp * cp))
    if tp * cp * dp != stage:
        raise ValueError(
            f"tp {tp} x cp {cp} x dp {dp} x pp {pp} = {tp * cp * dp * pp} GPUs, but the cluster has {gpus}; "
            f"leave dp out, or write dp: {stage // (tp * cp)}"
        )
    etp = _expert_tensor_degree(written, stage, tp, ep, convention)
    edp = written.get("edp", stage // (ep * etp))
    if etp * ep * edp != stage:
        fits = f"leave edp out, or write edp: {stage // (ep * etp)}" if stage % (ep * etp) == 0 else "change ep or etp"
        raise ValueError(
            f"etp {etp} x ep {ep} x edp {edp} = {etp * ep * edp} does not equal tp x cp x dp = {stage}; {fits}"
        )
    degrees = Degrees(tp=tp, pp=pp, dp=dp, cp=cp, ep=ep, etp=etp, edp=edp)
    taken: Convention = convention or ("orthogonal" if etp == tp else "folded")
    if taken == "orthogonal" and etp != tp:
        raise ValueError(f"the orthogonal convention cuts experts by tp, but etp is {etp} and tp is {tp}; write folded")
    return _labelled(name, degrees, taken)


def _near_tp(tp: int, most: int) -> str:
    """The tensor degrees next to `tp` that divide `most` GPUs, as advice."""
    divisors = [d for d in range(1, min(most, 4 * tp) + 1) if most % d == 0]
    near = [d for d in divisors if d < tp][-1:] + [d for d in divisors if d > tp][:1]
    return "use " + " or ".join(f"tp: {d}" for d in near) if near else "use smaller degrees"


def _expert_tensor_degree(
    written: Mapping[str, int], stage: int, tp: int, ep: int, convention: Convention | None
) -> int:
    if "etp" in written:
        return written["etp"]
    if "edp" in written:
        return max(1, stage // (ep * written["edp"]))
    possible = {"orthogonal": tp, "folded": 1}
    if convention is not None:
        return possible[convention]
    return tp if stage % (tp * ep) == 0 else 1


def _labelled(name: str | None, degrees: Degrees, convention: Convention) -> Plan:
    if name is None:
        own = Counts(orthogonal=degrees.gpus if degrees.etp == degrees.tp else None, folded=degrees.gpus)
        name = canonical_name(degrees, convention)
        return Plan(name=name, named=False, degrees=degrees, convention=convention, counts=own)
    parts = parse(name)
    replicas = [read(parts, convention, count) for count in _replica_counts(parts, convention, degrees.gpus)]
    if degrees not in replicas:
        raise ValueError(f"the label {name} does not stand for these degrees; leave name out")
    return Plan(name=name, named=True, degrees=degrees, convention=convention, counts=counts(parts))


def _replica_counts(parts: Mapping[str, int], convention: Convention, gpus: int) -> tuple[int, ...]:
    one = read(parts, convention)
    return () if one is None else (max(1, gpus // one.gpus),)


def canonical_name(degrees: Degrees, convention: Convention) -> str:
    """A name that resolves to these degrees on their GPUs, else the degrees written out.

    The name without DP is preferred, as people write it.
    """
    for parts in _spellings(degrees):
        name = "_".join(f"{part}{degree}" for part, degree in parts.items())
        try:
            plan = resolve(name, degrees.gpus)
        except ValueError:
            continue
        if plan.degrees == degrees and plan.convention == convention:
            return name
    return "{" + ", ".join(f"{axis}: {degree}" for axis, degree in degrees.as_dict().items()) + "}"


def canonical_plan(degrees: Degrees) -> Plan:
    """The plan of these degrees under a name that resolves to them on their GPUs, in the reading that the name gets.

    The shortest way of writing it comes first.  There always is one: with DP and ETP written, the folded reading is the
    degrees themselves.
    """
    for parts in _spellings(degrees):
        taken = next(readings(parts, degrees.gpus), None)
        if taken is not None and taken[1] == degrees:
            name = "_".join(f"{part}{degree}" for part, degree in parts.items())
            return Plan(name=name, named=True, degrees=degrees, convention=taken[0], counts=counts(parts))
    raise AssertionError(degrees)


def _spellings(degrees: Degrees) -> tuple[dict[str, int], ...]:
    base = {"EP": degrees.ep, "TP": degrees.tp, "PP": degrees.pp} | ({"CP": degrees.cp} if degrees.cp > 1 else {})
    replicas = {"DP": max(1, degrees.dp // degrees.ep)}
    expert = {"ETP": degrees.etp}
    return (
        base,
        base | expert,
        base | replicas,
        base | {"DP": degrees.dp},
        base | {"DP": degrees.dp} | expert,
    )
