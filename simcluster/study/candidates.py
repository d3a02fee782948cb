"""Every plan that a search considers, each once: all ways to write the GPUs as a product of the degrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from math import comb, factorial, prod

from simcluster.errors import InputError, Mistake
from simcluster.scenario.choice import Choice, alike_nodes, choice, chosen, follows_rule
from simcluster.scenario.scenario import Scenario
from simcluster.units import plural

Triple = tuple[int, int, int]

MOST = 500_000
"""Plans that one search lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What is varied beside the degrees: numbers of nodes, batches as the scenario's rule counts them, microbatches
    (None: the rule's), and whether every order of the placed axes is tried."""

    nodes: tuple[int, ...]
    batches: tuple[int, ...]
    microbatches: tuple[int | None, ...]
    placements: bool


def space(
    scenario: Scenario,
    *,
    fewer_gpus: bool = False,
    placements: bool = False,
    microbatches: Sequence[int | None] = (),
    batches: Sequence[int] = (),
) -> Space:
    """The space around a scenario: all its GPUs, its placement and batch, microbatches by the rule, unless told.

    InputError where its nodes are not alike and some were to be left out, where a
    number is not 1 or more, or where there are too many plans to list."""
    wrong = []
    for option, numbers in (("--microbatches", microbatches), ("--batches", batches)):
        found = [number for number in numbers if number is not None and number < 1]
        wrong += [Mistake(what=f"{number} is no such number; write 1 or more", origin=option) for number in found]
    if fewer_gpus and not alike_nodes(scenario):
        what = (
            "a fault, background traffic or a custom fabric tells the nodes apart, so it matters which are left out; "
            "write cluster.nodes and faults of the nodes that stay, and search again"
        )
        wrong.append(Mistake(what=what, origin="--fewer-gpus"))
    asked, nodes = chosen(scenario), scenario.cluster.nodes
    listed = Space(
        nodes=tuple(range(nodes, 0, -1)) if fewer_gpus else (nodes,),
        batches=tuple(dict.fromkeys(batches)) or (asked.batch,),
        microbatches=tuple(dict.fromkeys(microbatches)) or (None,),
        placements=placements,
    )
    if not wrong and (count := size(scenario, listed)) > MOST:
        what = f"{count:,} plans are more than the {MOST:,} that are listed; widen the space less"
        wrong.append(Mistake(what=what, origin="search"))
    if wrong:
        raise InputError(wrong)
    return listed


def size(scenario: Scenario, listed: Space) -> int:
    """How many plans the space holds; fewer where a listed number of microbatches is the rule's, which is listed too.

    With d3(n) ways to write n as an ordered product of three, the prime powers p^e of n giving (e + 1)(e + 2) / 2 each,
    a cluster of n GPUs has the sum of d3(n / pp)^2 over all pp that divide n; a model without experts d3(n / pp) each.
    Every order of the axes in use counts where placements are tried.
    """
    experts = scenario.model.moe is not None
    total = 0
    for nodes in listed.nodes:
        gpus = nodes * scenario.cluster.gpus_per_node
        for pp in divisors(gpus):
            ways = d3(gpus // pp) if experts else 1
            if not listed.placements:
                total += d3(gpus // pp) * ways
            else:
                total += ways * sum(factorial(sum(n > 1 for n in (*axes, pp))) for axes in triples(gpus // pp))
    return total * len(listed.batches) * len(listed.microbatches)


def candidates(scenario: Scenario, listed: Space) -> Iterator[Choice]:
    """Every plan of the space once, by nodes, pp, (tp, cp, dp), (etp, ep, edp), placement, microbatches and batch."""
    for nodes in listed.nodes:
        gpus = nodes * scenario.cluster.gpus_per_node
        for pp in divisors(gpus):
            for attention in triples(gpus // pp):
                for experts in triples(gpus // pp) if scenario.model.moe is not None else (_unused(attention),):
                    yield from _ways(scenario, listed, nodes, pp, attention, experts)


def _unused(attention: Triple) -> Triple:
    """etp, ep and edp of a model without experts, which nothing reads: one form for all."""
    tp, cp, dp = attention
    return tp, 1, cp * dp


def _ways(
    scenario: Scenario, listed: Space, nodes: int, pp: int, attention: Triple, experts: Triple
) -> Iterator[Choice]:
    """One plan in every placement, number of microbatches and batch that is listed."""
    base = scenario.execution.placement
    tp, cp, dp = attention
    used = tuple(axis for axis in base if {"tp": tp, "cp": cp, "dp": dp, "pp": pp}[axis] > 1)
    for order in permutations(used) if listed.placements else (used,):
        following = iter(order)
        placement = tuple(next(following) if axis in used else axis for axis in base)
        for microbatches in listed.microbatches:
            for batch in listed.batches:
                found = choice(
                    attention=attention,
                    experts=experts,
                    pp=pp,
                    nodes=nodes,
                    batch=batch,
                    microbatches=microbatches,
                    placement=placement,
                )
                if microbatches is None or None not in listed.microbatches or not follows_rule(scenario, found):
                    yield found


@lru_cache(maxsize=256)
def divisors(number: int) -> tuple[int, ...]:
    """The divisors of a number, smallest first."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return (*small, *(number // d for d in reversed(small) if d * d != number))


@lru_cache(maxsize=256)
def triples(number: int) -> tuple[Triple, ...]:
    """The ways to write a number as an ordered product of three."""
    return tuple(
        (first, second, number // first // second) for first in divisors(number) for second in divisors(number // first)
    )


def d3(number: int) -> int:
    """How many `triples` there are: the product of (e + 2 over 2) over the prime powers p^e of the number."""
    powers = []
    prime = 2
    while number > 1:
        if prime * prime > number:
            prime = number
        power = 0
        while number % prime == 0:
            number, power = number // prime, power + 1
        powers.append(power)
        prime += 1
    return prod(comb(power + 2, 2) for power in powers)


def in_words(scenario: Scenario, listed: Space) -> tuple[str, ...]:
    """What was listed, a line for each thing that can be varied."""
    per = {"total": "in all", "per_gpu": "a GPU", "per_replica": "a replica"}[scenario.batch.per]
    most, least = (
        plural(nodes * scenario.cluster.gpus_per_node, "GPU") for nodes in (listed.nodes[0], listed.nodes[-1])
    )
    gpus = most if len(listed.nodes) == 1 else f"{most} down to {least}, whole nodes left out"
    degrees = "every tp x cp x dp x pp = etp x ep x edp x pp"
    if scenario.model.moe is None:
        degrees = "every tp x cp x dp x pp (no experts, so ep, etp and edp change nothing)"
    order = ", ".join(scenario.execution.placement)
    numbers = ["by the rule" if count is None else f"{count:,}" for count in listed.microbatches]
    steps = scenario.workload.steps
    rated = f"{plural(steps, 'step')} each"
    if steps == 1 and scenario.workload.phase != "generate":
        rated += ", in which a pipeline is filled and drained; with --set workload.steps=N N that follow each other"
    return (
        f"degrees: {degrees} on {gpus}",
        f"placement: {'every order of the axes in use' if listed.placements else f'{order}, innermost first'}",
        f"microbatches: {', '.join(numbers)}",
        f"batch: {', '.join(f'{count:,}' for count in listed.batches)} sequences {per}",
        f"rated by: {rated}",
    )


def as_dict(scenario: Scenario, listed: Space) -> dict[str, object]:
    """The space of `search --json`."""
    return {
        "gpus": [nodes * scenario.cluster.gpus_per_node for nodes in listed.nodes],
        "placements": "every order" if listed.placements else [list(scenario.execution.placement)],
        "microbatches": list(listed.microbatches),
        "batches": list(listed.batches),
        "batch_per": scenario.batch.per,
    }
