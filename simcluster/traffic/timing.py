"""What a library's measured constants say of one collective alone: a latency, and how long its bytes take."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot, log2

from simcluster.cluster.cluster import Cluster
from simcluster.cluster.library import ExchangeProtocol, Library, Protocol, TierTerms
from simcluster.program.program import CollectiveKind, Copies
from simcluster.traffic.exchange import distinct
from simcluster.traffic.pattern import Group, domains

SMALLEST_IN_SWITCH = 5
"""GPUs from which NCCL reduces in the switch (measured: H100, H200 and B200 tables of aiconfigurator-core 0.12.0)."""

ADDED_IN_SWITCH = ("bf16", "fp16", "fp32")
"""Types that NVSwitches add."""

SHOTS = ("one-shot", "two-shot")
"""All-reduces of inference engines' own kernels, which NCCL does not have: `auto` never takes them."""

ENGINES = "custom_all_reduce"
"""The constants' kind of these."""

NAMES = {
    True: {"ring": "ring", "in-switch": "nvls", "direct": "direct", "one-shot": "one_shot", "two-shot": "two_shot"},
    False: {"ring": "rail_ring", "tree": "tree", "in-switch-tree": "nvls_tree", "direct": "rail_direct"},
}
"""The constants' name of an algorithm, in one NVLink domain and across several."""

SENDS = {True: "pair", False: "rail_pair"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """`latency_s` + `transfer_s` with the wires to itself; `preferred_s` is what the library's tuner compares."""

    protocol: str
    latency_s: float
    transfer_s: float
    preferred_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What an algorithm does: rounds per tier, bytes out of the busiest port of each, bytes a rank copies to itself and
    bytes to one peer."""

    rounds: float
    port: float
    own: float
    peer: float
    nic_rounds: float
    nic_port: float


def timing(
    kind: CollectiveKind, algorithm: str, group: Group, payload_bytes: float, cluster: Cluster, dtype: str
) -> Timing | None:
    """The protocol the library takes, or None where it has no constants for the algorithm, type or place."""
    library = cluster.library
    assert library is not None
    parts = domains(group, cluster.domain_gpus)
    inside = len(parts) == 1
    name = SENDS[inside] if kind == "send_recv" else NAMES[inside].get(algorithm, "")
    protocols = library.protocols.get((ENGINES if algorithm in SHOTS else kind, name), ())
    in_switch = algorithm.startswith("in-switch")
    members = max(len(part) for part in parts)
    if not protocols or (in_switch and (members < SMALLEST_IN_SWITCH or dtype not in ADDED_IN_SWITCH)):
        return None
    work = _work(kind, algorithm, len(group), members, len(parts), payload_bytes)
    options = [_timing(protocol, work, library, cluster) for protocol in protocols]
    return min(options, key=lambda option: option.preferred_s)


def _work(kind: CollectiveKind, algorithm: str, n: int, g: int, nodes: int, size: float) -> _Work:
    """Rounds and bytes of NCCL's algorithms for n ranks, g in each of `nodes` domains; rings and trees per rail."""
    twice = 2 if kind == "all_reduce" else 1
    share = 1.0 if kind == "broadcast" else (n - 1) / n
    inside = 1 if g > 1 else 0
    levels, ways = ceil(log2(nodes)) if nodes > 1 else 0, min(nodes - 1, 2)
    port = twice * share * size
    one = nodes == 1
    if kind == "send_recv":
        return _Work(rounds=one, port=size * one, own=0, peer=size, nic_rounds=not one, nic_port=size * (not one))
    match algorithm, one:
        case "ring", True:
            return _Work(rounds=twice * (n - 1), port=port, own=size / n, peer=port, nic_rounds=0, nic_port=0)
        case "ring", False:
            rounds, nic_rounds = twice * (n - nodes), twice * (nodes - 1)
            return _Work(rounds=rounds, port=port * inside, own=0, peer=port, nic_rounds=nic_rounds, nic_port=port / g)
        case "in-switch", _:
            return _Work(rounds=2, port=size + size / n, own=0, peer=size, nic_rounds=0, nic_port=0)
        case "in-switch-tree", _:
            port = ways * (size + size / g)
            return _Work(rounds=2, port=port, own=0, peer=size, nic_rounds=2 * levels, nic_port=ways * size / g)
        case "one-shot", _:
            return _Work(rounds=1, port=(n - 1) * size, own=0, peer=size, nic_rounds=0, nic_port=0)
        case "two-shot", _:
            return _Work(rounds=2, port=port, own=0, peer=size / n, nic_rounds=0, nic_port=0)
        case "tree", _:
            port, nic_port = 2 * size * inside, ways * size / g
            return _Work(rounds=2 * (g - 1), port=port, own=0, peer=2 * size, nic_rounds=2 * levels, nic_port=nic_port)
        case "direct", True:
            port = (n - 1) / n * size
            return _Work(rounds=n - 1, port=port, own=size / n, peer=size / n, nic_rounds=0, nic_port=0)
        case _:
            port, nic_port = (g - 1) / n * size, (n - g) / n * size
            return _Work(rounds=g - 1, port=port, own=0, peer=size / n, nic_rounds=n - g, nic_port=nic_port)


def _timing(protocol: Protocol, work: _Work, library: Library, cluster: Cluster) -> Timing:
    nothing = TierTerms()
    near, far = protocol.tiers.get("nvlink", nothing), protocol.tiers.get(library.network, nothing)
    latency = near.step_s * work.rounds + far.step_s * work.nic_rounds
    nvlink = cluster.nvlink.bytes_per_s if cluster.nvlink is not None else float("inf")
    if near.peer_efficiency is not None:
        inside = work.peer / (near.peer_efficiency * nvlink)
    else:
        inside = (work.port + near.own * work.own) / (near.efficiency * nvlink)
    nic = cluster.infiniband.bytes_per_s * nics_per_gpu(cluster) if cluster.infiniband is not None else float("inf")
    transfer = max(inside, work.nic_port / (far.efficiency * nic))
    total = protocol.floor_s + hypot(latency, transfer)
    return Timing(
        protocol=protocol.name,
        latency_s=total - transfer,
        transfer_s=transfer,
        preferred_s=protocol.preference * total,
    )


def nics_per_gpu(cluster: Cluster) -> float:
    """NICs for each GPU of a node: the constants were measured with one."""
    assert cluster.infiniband is not None
    return cluster.infiniband.nics_per_node / cluster.gpus_per_node


def exchange_timing(
    kind: str, mode: str, group: Group, tokens: float, copies: Copies, cluster: Cluster, sms: int | None
) -> Timing | None:
    """Expert dispatch or combine of `tokens` tokens per rank as DeepEP does it; None without constants."""
    library = cluster.library
    assert library is not None
    nodes = len(domains(group, cluster.domain_gpus))
    name = mode if mode == "low_latency" or nodes == 1 else f"rail_{mode}"
    protocols = library.exchanges.get((kind, name), ())
    options = [_exchange(one, mode, len(group), nodes, tokens, copies, cluster, sms) for one in protocols]
    return min(options, key=lambda option: option.preferred_s, default=None)


SMS_ONE_NODE, SMS_SEVERAL_NODES = 20, 24
"""SMs of DeepEP's kernels unless the caller says (the tables' rows that match its published times)."""

GPU_SMS = 132
"""Streaming multiprocessors of the GPUs the exchange constants were measured on (H100)."""


def _exchange(
    protocol: ExchangeProtocol,
    mode: str,
    n: int,
    nodes: int,
    tokens: float,
    copies: Copies,
    cluster: Cluster,
    sms: int | None,
) -> Timing:
    """floor + step * rounds + token's own pace + work per expert, and the slowest of NVLink, NIC and copying SMs."""
    nothing = TierTerms()
    near, far = protocol.tiers.get("nvlink", nothing), protocol.tiers.get("infiniband", nothing)
    size, local = copies.token_bytes, n // nodes
    gpu_copies, node_copies = distinct(copies, n), distinct(copies, nodes)
    if mode == "normal":
        inside, outside, rounds = gpu_copies * (local - 1) / local, node_copies * (nodes - 1) / nodes, nodes - 1.0
        each = protocol.sm_per_token_s + gpu_copies * size / protocol.sm_bytes_per_s
        if nodes > 1:
            each += node_copies * size / protocol.sm_rail_bytes_per_s
        copying = tokens * each / (sms or (SMS_ONE_NODE if nodes == 1 else SMS_SEVERAL_NODES))
    else:
        inside, outside, rounds = copies.top_k * (local - 1) / n, copies.top_k * (n - local) / n, log2(nodes)
        copying = tokens * copies.top_k * size / (protocol.sm_bytes_per_s * min(copies.experts, GPU_SMS))
    assert cluster.nvlink is not None
    transfer = max(tokens * size * inside / (near.efficiency * cluster.nvlink.bytes_per_s), copying)
    if cluster.infiniband is not None:
        nic = cluster.infiniband.bytes_per_s * nics_per_gpu(cluster)
        transfer = max(transfer, tokens * size * outside / (far.efficiency * nic))
    fixed = protocol.floor_s + far.step_s * rounds + size / protocol.token_bytes_per_s
    fixed += protocol.per_expert_s * copies.experts
    return Timing(protocol=protocol.name, latency_s=fixed, transfer_s=transfer, preferred_s=fixed + transfer)
