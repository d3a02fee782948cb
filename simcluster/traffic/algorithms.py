"""Which algorithms a collective has, which of them a group on a cluster can use, and the pattern of each."""

from __future__ import annotations

from collections.abc import Callable

from simcluster.cluster.cluster import Cluster
from simcluster.program.program import ALGORITHMS, ONE_WAY, CollectiveKind, Copies
from simcluster.traffic import exchange, reductions, rings, trees
from simcluster.traffic.pattern import Group, Pattern, Phase, domains, phase

SMALLEST_SUM = 4
"""Ranks from which a sum in switches moves less than a ring: 1 + 1/n < 2 (n-1)/n."""

Builder = Callable[[Group, int], tuple[Phase, ...]]
"""The phases of a group's collective, for domains of so many GPUs."""


def refusal(
    kind: CollectiveKind, algorithm: str, group: Group, cluster: Cluster, copies: Copies | None = None
) -> str | None:
    """Why this group cannot use the algorithm, or None if it can."""
    if algorithm not in ALGORITHMS[kind] and (kind, algorithm) != ("send_recv", ONE_WAY):
        return f"{kind} has no algorithm {algorithm!r:.40}; it has {', '.join(ALGORITHMS[kind])}"
    parts = domains(group, cluster.domain_gpus)
    equal = len({len(part) for part in parts}) == 1
    n = len(group)
    if algorithm in ("hierarchical", "in-network", "in-switch-tree", "node-dedup") and not equal:
        return (
            f"{algorithm} needs equally many ranks in every NVLink domain, not {', '.join(str(len(p)) for p in parts)}"
        )
    if algorithm == "halving-doubling" and kind != "all_reduce" and n & (n - 1):
        return f"halving-doubling of {kind} needs a power of two of ranks, not {n}"
    if algorithm in ("one-shot", "two-shot") and len(parts) > 1:
        return f"{algorithm} needs ranks in one NVLink domain, not {len(parts)}"
    if algorithm in ("in-switch", "in-switch-tree"):
        if cluster.nvlink is None or not cluster.nvlink.in_switch_reduction or cluster.nvlink.topology != "nvswitch":
            return f"{algorithm} needs NVSwitches that add: nvlink.in_switch_reduction: true"
        if algorithm == "in-switch-tree" and len(parts) == n:
            return "in-switch-tree needs several ranks in every NVLink domain; use tree"
        if (len(parts) > 1) != (algorithm == "in-switch-tree"):
            wanted = "several NVLink domains" if algorithm == "in-switch-tree" else "one NVLink domain"
            return f"{algorithm} needs ranks in {wanted}, not {len(parts)}"
    if algorithm == "in-network":
        if cluster.infiniband is None or not cluster.infiniband.in_network_reduction:
            return "in-network needs InfiniBand switches that add: infiniband.in_network_reduction: true"
        if len(parts) == 1:
            return "in-network needs ranks in several NVLink domains"
    if algorithm == ONE_WAY and n != 2:
        return f"{ONE_WAY} is a send from one rank to another, not among {n}"
    if algorithm in ("node-dedup", "low-latency") and copies is None:
        return f"{algorithm} serves expert dispatch and combine only: top_k and experts must be known"
    return None


def auto(kind: CollectiveKind, group: Group, cluster: Cluster, copies: Copies | None = None) -> str:
    """The algorithm of hardware without measured constants: reductions in switches where these add, ring and direct
    elsewhere."""
    order = ("in-switch", "in-network") if kind == "all_reduce" and len(group) >= SMALLEST_SUM else ()
    return next((a for a in order if refusal(kind, a, group, cluster, copies) is None), ALGORITHMS[kind][0])


def pattern(
    kind: CollectiveKind,
    group: Group,
    cluster: Cluster,
    algorithm: str = "auto",
    copies: Copies | None = None,
) -> Pattern:
    """The messages of one collective over the ranks of `group`, per byte of payload.

    `copies` says how an all-to-all of tokens chooses its experts.  ValueError says why the group cannot use the
    algorithm.
    """
    chosen = auto(kind, group, cluster, copies) if algorithm == "auto" else algorithm
    why_not = refusal(kind, chosen, group, cluster, copies)
    if why_not is not None:
        raise ValueError(why_not)
    if chosen == "node-dedup":
        assert copies is not None
        phases: tuple[Phase, ...] = (exchange.node_dedup(group, cluster.domain_gpus, copies),)
    else:
        phases = _PHASES[kind, chosen](group, cluster.domain_gpus)
    return Pattern(algorithm=chosen, phases=phases)


def _ring(volume_of: Callable[[int], float], rounds_of: Callable[[int], int]) -> Builder:
    def phases(group: Group, domain_gpus: int) -> tuple[Phase, ...]:
        n = len(group)
        return (rings.ring(group, domain_gpus, volume=volume_of(n), rounds=rounds_of(n)),)

    return phases


def _shift(group: Group) -> Phase:
    """nccl-tests' sendrecv: every rank sends the whole buffer to the next one and receives that of the one before."""
    return phase([(one, other, 1.0) for one, other in zip(group, (*group[1:], group[0]), strict=True)], 1)


_PHASES: dict[tuple[CollectiveKind, str], Builder] = {
    ("all_reduce", "ring"): _ring(lambda n: 2 * (n - 1) / n, lambda n: 2 * (n - 1)),
    ("all_reduce", "tree"): lambda group, domain: (trees.double_tree(group, domain),),
    ("all_reduce", "halving-doubling"): lambda group, domain: trees.halving_doubling(group),
    ("all_reduce", "hierarchical"): reductions.hierarchical,
    ("all_reduce", "in-switch"): lambda group, domain: (reductions.in_switch(group),),
    ("all_reduce", "in-switch-tree"): lambda group, domain: (reductions.in_switch_tree(group, domain),),
    ("all_reduce", "in-network"): reductions.in_network,
    ("all_reduce", "one-shot"): lambda group, domain: (exchange.to_all(group),),
    ("all_reduce", "two-shot"): lambda group, domain: (exchange.direct(group), exchange.direct(group)),
    ("all_gather", "ring"): _ring(lambda n: (n - 1) / n, lambda n: n - 1),
    ("all_gather", "direct"): lambda group, domain: (exchange.direct(group),),
    ("all_gather", "halving-doubling"): lambda group, domain: trees.doubling(group),
    ("all_gather", "hierarchical"): reductions.gather_inside_out,
    ("reduce_scatter", "ring"): _ring(lambda n: (n - 1) / n, lambda n: n - 1),
    ("reduce_scatter", "direct"): lambda group, domain: (exchange.direct(group),),
    ("reduce_scatter", "halving-doubling"): lambda group, domain: trees.halving(group),
    ("reduce_scatter", "hierarchical"): lambda group, domain: reductions.gather_inside_out(group, domain)[::-1],
    ("broadcast", "ring"): lambda group, domain: (rings.chain(group, domain),),
    ("broadcast", "tree"): lambda group, domain: trees.binomial(group),
    ("all_to_all", "direct"): lambda group, domain: (exchange.direct(group),),
    ("all_to_all", "low-latency"): lambda group, domain: (exchange.direct(group),),
    ("all_to_all", "pairwise"): lambda group, domain: exchange.pairwise_exchange(group),
    ("all_to_all", "hierarchical"): exchange.hierarchical,
    ("send_recv", "direct"): lambda group, domain: (_shift(group),),
    ("send_recv", ONE_WAY): lambda group, domain: (phase([(group[0], group[1], 1.0)], 1),),
}
