"""The model that is fitted: the time of a collective that is alone on its wires.

    time of a protocol = floor + hypot(latency, transfer)
    latency  = sum over tiers of step * rounds on the tier
    transfer = max over tiers of bytes through the busiest port / (efficiency * datasheet bandwidth)

Latency and transfer overlap in part, because a round is cut into chunks that follow each other: the hypotenuse lies
between their maximum and their sum.  The library takes the protocol with the smallest preference * time.  Everything
here works on arrays, one element per measured row; times are microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.network_rows import Row

Array = NDArray[np.float64]
Constants = Mapping[str, float]
"""One protocol: floor, preference, and per tier step, efficiency, own, peer_efficiency, as "tier.name"."""

Library = dict[str, dict[str, dict[str, dict[str, float]]]]
"""kind -> algorithm -> protocol -> constants."""

NVLINK = {"a100": 300e3, "h100": 450e3, "h200": 450e3, "b200": 900e3, "gb200": 900e3, "h800": 200e3}
"""Datasheet bandwidth of a GPU in one direction, bytes per microsecond."""

NIC = {"a100": 25e3, "h100": 50e3, "h200": 50e3, "b200": 50e3, "gb200": 50e3, "h800": 50e3}
"""Datasheet bandwidth of the NIC of one GPU in one direction, bytes per microsecond."""

SMALLEST_NVLS = 5
"""GPUs of a node from which the library reduces in the switch."""

NEVER = 1e15


@dataclass(frozen=True)
class Work:
    """What an algorithm does for each row: rounds and bytes per tier."""

    rounds: Array
    """Latency-bound rounds on NVLink."""
    port: Array
    """Bytes out of the busiest GPU's NVLink port."""
    own: Array
    """Bytes a rank copies to itself, through the same kernel."""
    peer: Array
    """Bytes to one peer: with few channels per peer they, not the port, set the pace."""
    nic_rounds: Array
    nic_port: Array
    efa: NDArray[np.bool_]
    nvlink: Array
    nic: Array
    possible: NDArray[np.bool_]


def work(algorithm: str, rows: Sequence[Row]) -> Work:
    """Rounds and bytes of `algorithm` for each row."""
    cells = [_work(algorithm, row) for row in rows]
    table = np.array([cell[:6] for cell in cells], dtype=np.float64).reshape(len(rows), 6)
    rounds, port, own, peer, nic_rounds, nic_port = (table[:, i] for i in range(6))
    return Work(
        rounds=rounds,
        port=port,
        own=own,
        peer=peer,
        nic_rounds=nic_rounds,
        nic_port=nic_port,
        efa=np.array([row.setup == "efa" for row in rows]),
        nvlink=np.array([NVLINK[row.machine] for row in rows]),
        nic=np.array([NIC[row.machine] for row in rows]),
        possible=np.array([cell[6] for cell in cells]),
    )


def _work(algorithm: str, row: Row) -> tuple[float, float, float, float, float, float, bool]:
    """(NVLink rounds, port bytes, own bytes, bytes per peer, NIC rounds, NIC bytes, whether it is possible)."""
    n, g, nodes, size = row.gpus, row.gpus_per_node, row.nodes, float(row.bytes)
    twice = 2 if row.kind == "all_reduce" else 1
    one_node, levels = nodes == 1, float(np.ceil(np.log2(max(nodes, 1))))
    in_switch = row.machine != "a100" and g >= SMALLEST_NVLS and row.dtype != "int8" and row.setup != "ring"
    share = 1.0 if row.kind == "broadcast" else (n - 1) / n
    inside = 1 if g > 1 else 0
    match algorithm:
        case "ring":
            port = twice * share * size
            return twice * (n - 1), port, size / n, port, 0, 0, one_node
        case "nvls":
            return 2, size + size / n, 0, size, 0, 0, one_node and in_switch
        case "direct":
            return n - 1, (n - 1) / n * size, size / n, size / n, 0, 0, one_node
        case "one_shot":
            return 1, (n - 1) * size, 0, size, 0, 0, one_node
        case "two_shot":
            return 2, 2 * (n - 1) / n * size, 0, size / n, 0, 0, one_node
        case "pair":
            return 1, size, 0, size, 0, 0, one_node
        case "rail_ring":
            port = twice * share * size
            return twice * (n - nodes), port * inside, 0, port, twice * (nodes - 1), port / g, not one_node
        case "tree":
            rounds = 2 * (g - 1)
            return rounds, 2 * size * inside, 0, 2 * size, 2 * levels, min(nodes - 1, 2) * size / g, not one_node
        case "nvls_tree":
            ways = min(nodes - 1, 2)
            return 2, ways * (size + size / g), 0, size, 2 * levels, ways * size / g, not one_node and in_switch
        case "rail_direct":
            return g - 1, (g - 1) / n * size, 0, size / n, n - g, (n - g) / n * size, not one_node
        case "rail_pair":
            return 0, 0, 0, 0, 1, size, not one_node
        case _:
            raise ValueError(algorithm)


def times(constants: Constants, w: Work) -> Array:
    """The time of each row under one protocol, NEVER where the algorithm does not apply."""
    get = constants.get
    nic_step = np.where(w.efa, get("efa.step", get("infiniband.step", 0.0)), get("infiniband.step", 0.0))
    nic_efficiency = np.where(
        w.efa, get("efa.efficiency", get("infiniband.efficiency", 1.0)), get("infiniband.efficiency", 1.0)
    )
    latency = get("nvlink.step", 0.0) * w.rounds + nic_step * w.nic_rounds
    if "nvlink.peer_efficiency" in constants:
        inside = w.peer / (constants["nvlink.peer_efficiency"] * w.nvlink)
    else:
        inside = (w.port + get("nvlink.own", 0.0) * w.own) / (get("nvlink.efficiency", 1.0) * w.nvlink)
    transfer = np.maximum(inside, w.nic_port / (nic_efficiency * w.nic))
    result: Array = np.where(w.possible, constants["floor"] + np.hypot(latency, transfer), NEVER)
    return result


def choose(protocols: Sequence[tuple[Constants, Work]]) -> tuple[Array, NDArray[np.intp]]:
    """The times of the protocols that the library takes, and which these are."""
    each = np.array([times(constants, w) for constants, w in protocols])
    preference = np.array([constants.get("preference", 1.0) for constants, _ in protocols])
    taken = np.argmin(each * preference[:, None], axis=0)
    return each[taken, np.arange(each.shape[1])], taken


def predict(library: Library, rows: Sequence[Row]) -> tuple[Array, list[str]]:
    """Time and "algorithm/protocol" of each row under the finished constants; the rows are of one kind."""
    names, protocols = [], []
    for algorithm, members in library[rows[0].kind].items():
        w = work(algorithm, rows)
        for protocol, constants in members.items():
            names.append(f"{algorithm}/{protocol}")
            protocols.append((constants, w))
    result, taken = choose(protocols)
    return result, [names[i] for i in taken]
