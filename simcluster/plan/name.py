"""What a plan's name means: `EP64_TP2_PP1` has two readings, and both are in use.

Orthogonal: DP counts replicas of the whole and experts are cut by TP too, so count = ep·tp·cp·pp·DP.  Folded (vLLM,
SGLang, Megatron): EP lives inside tp·cp·dp, so count = tp·cp·pp·DP, or pp·lcm(tp·cp, ep·etp) where DP is not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import lcm

from simcluster.plan.degrees import Convention, Counts, Degrees, Plan

PARTS = ("TP", "PP", "DP", "CP", "EP", "ETP")
LARGEST_DEGREE = 10**7
CONVENTIONS: tuple[Convention, ...] = ("orthogonal", "folded")

Parts = Mapping[str, int]


def parse(name: str) -> Parts:
    """The written parts of a name, `{"EP": 64, "TP": 2, "PP": 1}`; ValueError names what is no part."""
    parts: dict[str, int] = {}
    for word in name.split("_"):
        match = re.fullmatch(r"([A-Z]+)([0-9]+)", word, re.ASCII)
        if match is None or match[1] not in PARTS:
            raise ValueError(
                f"{name!r:.60} is not a plan: {word!r:.20} is none of the parts TP, PP, DP, CP, EP, ETP followed by a "
                "number; write it like EP64_TP2_PP1"
            )
        if match[1] in parts:
            raise ValueError(f"{name!r:.60} writes {match[1]} twice; write each part once")
        if len(match[2]) > 8 or not 1 <= int(match[2]) <= LARGEST_DEGREE:
            raise ValueError(f"{name!r:.60}: {match[1]} must be from 1 to {LARGEST_DEGREE:,}")
        parts[match[1]] = int(match[2])
    return parts


def read(parts: Parts, convention: Convention, replicas: int = 1) -> Degrees | None:
    """The degrees under one reading, repeated over `replicas` (only where DP is not written); None if impossible."""
    tp, pp, cp, ep = (parts.get(name, 1) for name in ("TP", "PP", "CP", "EP"))
    if convention == "orthogonal":
        if parts.get("ETP", tp) != tp:
            return None
        copies = parts.get("DP", replicas)
        return Degrees(tp=tp, pp=pp, dp=ep * copies, cp=cp, ep=ep, etp=tp, edp=cp * copies)
    etp = parts.get("ETP", 1)
    stage = tp * cp * parts["DP"] if "DP" in parts else lcm(tp * cp, ep * etp) * replicas
    if stage % (ep * etp):
        return None
    return Degrees(tp=tp, pp=pp, dp=stage // (tp * cp), cp=cp, ep=ep, etp=etp, edp=stage // (ep * etp))


def counts(parts: Parts) -> Counts:
    """GPUs each reading asks for, before replicas fill a larger cluster."""
    orthogonal, folded = (read(parts, convention) for convention in CONVENTIONS)
    return Counts(
        orthogonal=None if orthogonal is None else orthogonal.gpus, folded=None if folded is None else folded.gpus
    )


def resolve(name: str, gpus: int, prefer: Convention | None = None) -> Plan:
    """The plan `name` stands for on `gpus` GPUs.

    The reading whose count equals `gpus` wins; failing that, for a name without DP, one whose count divides `gpus`, the
    rest being replicas.  Orthogonal wins a tie, unless `prefer` (a sweep's base reading) is possible.  ValueError gives
    both counts and what would fit.
    """
    parts = parse(name)
    found = list(readings(parts, gpus))
    if not found:
        raise ValueError(_no_reading(name, parts, gpus))
    convention, degrees = next((reading for reading in found if reading[0] == prefer), found[0])
    return Plan(name=name, named=True, degrees=degrees, convention=convention, counts=counts(parts))


def other_reading(plan: Plan) -> tuple[Convention, Degrees] | None:
    """The reading of the plan's name that was not taken, where it is possible on the same GPUs and differs."""
    try:
        parts = parse(plan.name)
    except ValueError:
        return None
    for convention, degrees in readings(parts, plan.degrees.gpus):
        if convention != plan.convention and degrees != plan.degrees:
            return convention, degrees
    return None


def readings(parts: Parts, gpus: int) -> Iterator[tuple[Convention, Degrees]]:
    """The readings of a name's parts that are possible on exactly `gpus` GPUs, the rule's first choice first."""
    found = [(convention, read(parts, convention)) for convention in CONVENTIONS]
    for convention, degrees in found:
        if degrees is not None and degrees.gpus == gpus:
            yield convention, degrees
    if "DP" in parts:
        return
    for convention, degrees in found:
        if degrees is not None and degrees.gpus != gpus and gpus % degrees.gpus == 0:
            replicated = read(parts, convention, gpus // degrees.gpus)
            assert replicated is not None
            yield convention, replicated


def _no_reading(name: str, parts: Parts, gpus: int) -> str:
    found = counts(parts)
    asked = " or ".join(
        f"{count} GPUs ({convention})"
        for convention, count in (("orthogonal", found.orthogonal), ("folded", found.folded))
        if count is not None
    )
    text = f"{name} asks for {asked or 'a number of GPUs that no reading gives'}, and the cluster has {gpus}"
    rest = {part: degree for part, degree in parts.items() if part != "DP"}
    if "DP" in parts:
        fitting = [f"DP{dp} ({convention})" for convention, dp in _fitting_dp(rest, gpus)]
        return f"{text}; " + (f"write {' or '.join(fitting)}" if fitting else "no DP makes it fit")
    return f"{text}; change the plan, or use a cluster whose GPUs are a multiple of one of these"


def _fitting_dp(rest: Parts, gpus: int) -> Iterator[tuple[Convention, int]]:
    """The DP each reading needs to fill `gpus`."""
    tp, pp, cp, ep = (rest.get(name, 1) for name in ("TP", "PP", "CP", "EP"))
    bases: tuple[tuple[Convention, int], ...] = (("orthogonal", tp * pp * cp * ep), ("folded", tp * pp * cp))
    for convention, base in bases:
        if gpus % base == 0 and read({**rest, "DP": gpus // base}, convention) is not None:
            yield convention, gpus // base
