"""Which protocols each kind of collective has on each machine, and how their constants are found.

Constants of one node are fitted to the machine's own tables.  Constants between nodes are fitted to the H100's
published tables (InfiniBand and EFA) and carried over: NIC rounds and NIC efficiency as they are, NVLink efficiency
by the machine's own ratio to the H100 on one node.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from tools.network_model import NVLINK, Library, predict
from tools.network_rows import Row
from tools.network_search import Free, Line, fit_lines, ratio

SPEED = {"a100": 1.7, "h100": 1.0, "h200": 1.0, "b200": 1.7}
"""Where the search for floors starts, as a multiple of the H100's."""

SMALL_NIC_ROUND = {"infiniband": 9.0, "efa": 20.0}
"""us of a NIC hop of a small message: vidur's 16 to 18 us for 2 KiB between nodes less an 8 us launch; EFA assumed."""

SMALL_NIC_EFFICIENCY = 0.25
"""Of the NIC for the LL protocol between nodes: assumed; it decides nothing from a few hundred KiB on."""

SINGLE_KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")


def usable(row: Row) -> bool:
    """Whether the row takes part in a fit of one node."""
    return row.setup == "" or row.kind == "custom_all_reduce"


def ring_lines(machine: str, kind: str) -> list[Line]:
    """LL, LL128, Simple with few channels and with all (wide), and the in-switch reduction where the machine has it."""
    f = SPEED[machine]
    slow, bulk = (10.0, 0.78) if machine == "b200" else (2.0, 0.6)
    lines: list[Line] = [
        ("ring", "ll", {"floor": Free(4.5 * f), "nvlink.step": Free(0.8 * f), "nvlink.efficiency": ratio(0.035),
                        "nvlink.own": 1.0}),
        ("ring", "ll128", {"floor": Free(5.0 * f), "nvlink.step": Free(1.0 * f), "nvlink.efficiency": ratio(0.45),
                           "nvlink.own": Free(1.0, 0.05, 1.5)}),
        ("ring", "simple", {"floor": Free(15.0), "nvlink.step": Free(slow, 0.2), "nvlink.efficiency": ratio(bulk),
                            "nvlink.own": Free(0.5, 0.05, 1.5), "preference": Free(0.8, 0.6, 1.0)}),
    ]  # fmt: skip
    if machine != "b200":
        tail = {"floor": Free(45.0 * f), "nvlink.step": Free(2 * slow, 0.2), "nvlink.efficiency": ratio(0.82)}
        lines.append(("ring", "wide", {**lines[-1][2], **tail}))
    if kind == "all_reduce" and machine != "a100":
        # The switch's preferences are given, below the ring's: the library takes it from about 2 MiB up (B200: 8 MiB).
        if machine == "b200":
            liked, switch = Free(0.75, 0.7, 1.0), {"wide": (90.0, 0.54, 0.65)}
        else:
            liked, switch = Free(0.9, 0.87, 1.0), {"simple": (25.0, 0.4, 0.84), "wide": (70.0, 0.68, 0.82)}
        lines = [
            (algorithm, protocol, {**constants, "preference": liked} if "preference" in constants else constants)
            for algorithm, protocol, constants in lines
        ]
        for protocol, (floor, efficiency, preference) in switch.items():
            constants = {"floor": Free(floor, 0.9 * floor), "nvlink.efficiency": ratio(efficiency)}
            lines.append(("nvls", protocol, {**constants, "preference": preference}))
    return lines


def direct_lines(machine: str) -> list[Line]:
    """All-to-all: LL with one channel per peer, then Simple with few channels, then with all of them."""
    f = SPEED[machine]
    own = Free(0.4, 0.02, 1.5)
    return [
        ("direct", "ll", {"floor": Free(6.0 * f), "nvlink.step": Free(0.3), "nvlink.peer_efficiency": ratio(0.012)}),
        ("direct", "simple", {"floor": Free(12.5 * f, 8.0), "nvlink.step": Free(0.3), "nvlink.efficiency": ratio(0.55),
                              "nvlink.own": own, "preference": Free(0.95, 0.6, 1.0)}),
        ("direct", "wide", {"floor": Free(24.0 * f, 15.0), "nvlink.step": Free(2.0), "nvlink.efficiency": ratio(0.7),
                            "nvlink.own": own, "preference": Free(0.85, 0.6, 1.0)}),
    ]  # fmt: skip


def pair_lines(machine: str) -> list[Line]:
    """Send and receive, as the all-to-all's protocols between two GPUs."""
    f = SPEED[machine]
    return [
        ("pair", "ll", {"floor": Free(5.0 * f), "nvlink.efficiency": ratio(0.02)}),
        ("pair", "simple", {"floor": Free(8.0 * f), "nvlink.efficiency": ratio(0.6)}),
        (
            "pair",
            "wide",
            {"floor": Free(20.0 * f), "nvlink.efficiency": ratio(0.85), "preference": Free(0.8, 0.6, 1.0)},
        ),
    ]


def custom_lines(machine: str) -> list[Line]:
    """The engines' kernels: every GPU reads all buffers, or each reduces its part and then gathers."""
    f = SPEED[machine]
    return [
        ("one_shot", "simple", {"floor": Free(3.5 * f), "nvlink.efficiency": ratio(0.6)}),
        ("two_shot", "simple", {"floor": Free(6.0 * f), "nvlink.efficiency": ratio(0.6)}),
    ]


def one_node(machine: str, rows: Sequence[Row], starts: int, steps: int) -> Library:
    """The constants of one node; `rows` are the machine's own of the recent library."""
    result: Library = {}
    for kind in SINGLE_KINDS:
        lines = direct_lines(machine) if kind == "all_to_all" else ring_lines(machine, kind)
        members = [row for row in rows if row.kind == kind]
        result[kind] = _taken(fit_lines(lines, members, starts=starts, steps=steps), kind, members)
    chain = copy.deepcopy(result["all_gather"]["ring"])
    for constants in chain.values():
        constants.pop("nvlink.own")
    result["broadcast"] = {"ring": chain}
    custom = [row for row in rows if row.kind == "custom_all_reduce"]
    result["custom_all_reduce"] = fit_lines(custom_lines(machine), custom, starts=1, steps=steps // 2)
    sends = [row for row in rows if row.kind == "send_recv"]
    if sends:
        result["send_recv"] = fit_lines(pair_lines(machine), sends, starts=starts, steps=steps)
    return result


def _taken(
    algorithms: dict[str, dict[str, dict[str, float]]], kind: str, rows: Sequence[Row]
) -> dict[str, dict[str, dict[str, float]]]:
    """Without the protocols that no row takes: the data say nothing about them."""
    taken = set(predict({kind: algorithms}, rows)[1])
    return {
        algorithm: {protocol: c for protocol, c in protocols.items() if f"{algorithm}/{protocol}" in taken}
        for algorithm, protocols in algorithms.items()
    }


def between_nodes(rows: Sequence[Row], inside: Library, starts: int, steps: int) -> Library:
    """The H100's constants between nodes, fitted to the published InfiniBand and EFA rows; small messages composed."""
    nic = {"infiniband.step": Free(10.0, 4.0, 60.0), "infiniband.efficiency": ratio(0.95),
           "efa.step": Free(30.0, 4.0, 120.0), "efa.efficiency": Free(0.85, 0.8, 1.0)}  # fmt: skip
    only_infiniband = {key: value for key, value in nic.items() if key.startswith("infiniband")}

    def ring(tiers: dict[str, Free]) -> Line:
        return ("rail_ring", "simple", {"floor": Free(60.0), "nvlink.step": Free(8.0),
                                        "nvlink.efficiency": Free(0.72, 0.7, 0.8), **tiers})  # fmt: skip

    def of(kind: str) -> list[Row]:
        return [row for row in rows if row.kind == kind]

    result: Library = {}
    result["all_gather"] = fit_lines([ring(nic)], of("all_gather"), starts=starts, steps=steps)
    result["reduce_scatter"] = fit_lines([ring(only_infiniband)], of("reduce_scatter"), starts=starts, steps=steps)
    gathered, scattered = (result[k]["rail_ring"]["simple"] for k in ("all_gather", "reduce_scatter"))
    scattered.update({key: gathered[key] for key in gathered if key.startswith("efa")})
    in_switch = _last(inside["all_reduce"]["nvls"])
    switch_tree: Line = ("nvls_tree", "simple", {"floor": Free(100.0), "nvlink.efficiency":
                         in_switch["nvlink.efficiency"], "preference": Free(0.9, 0.6, 1.0), **nic})  # fmt: skip
    more_than_two = [row for row in of("all_reduce") if row.nodes > 2]
    result["all_reduce"] = fit_lines([ring(nic), switch_tree], more_than_two, starts=starts, steps=steps)
    result["all_to_all"] = fit_lines(
        [("rail_direct", "simple", {"floor": Free(120.0), "nvlink.step": 0.3, "nvlink.efficiency": 0.6, **nic})],
        of("all_to_all"), starts=starts, steps=steps,
    )  # fmt: skip
    result["send_recv"] = fit_lines(
        [("rail_pair", "simple", {"floor": Free(20.0), "infiniband.step": SMALL_NIC_ROUND["infiniband"],
                                  "infiniband.efficiency": ratio(0.5)})],
        of("send_recv"), starts=starts, steps=steps,
    )  # fmt: skip
    result["broadcast"] = {"rail_ring": copy.deepcopy(result["all_gather"]["rail_ring"])}
    result["all_reduce"]["tree"] = {}
    return result


def carried_over(outside: Library, h100: Library, machine: str, inside: Library) -> Library:
    """`inside` of `machine` completed with the algorithms between nodes."""
    result = copy.deepcopy(inside)
    for kind, algorithms in outside.items():
        for algorithm, protocols in algorithms.items():
            if algorithm == "nvls_tree" and "nvls" not in inside["all_reduce"]:
                continue
            members = copy.deepcopy(protocols)
            own, reference = _one_node_rate(inside, kind, algorithm), _one_node_rate(h100, kind, algorithm)
            for constants in members.values():
                if own and reference and "nvlink.efficiency" in constants:
                    constants["nvlink.efficiency"] = min(
                        1.0, float(f"{constants['nvlink.efficiency'] * own / reference:.3g}")
                    )
            small = _small(inside, kind, algorithm)
            result.setdefault(kind, {})[algorithm] = ({"ll": small} if small else {}) | members
    return result


def _one_node_rate(library: Library, kind: str, algorithm: str) -> float | None:
    """NVLink efficiency of large messages of the algorithm's part inside a node."""
    inner = {"rail_ring": "ring", "tree": "ring", "nvls_tree": "nvls", "rail_direct": "direct"}.get(algorithm)
    protocols = library.get(kind, {}).get(inner or "", {})
    return _last(protocols)["nvlink.efficiency"] if protocols else None


def _last(protocols: dict[str, dict[str, float]]) -> dict[str, float]:
    """The protocol of the largest messages."""
    return protocols.get("wide") or protocols["simple"]


def _small(inside: Library, kind: str, algorithm: str) -> dict[str, float] | None:
    """LL between nodes: the one-node floor and round, plus the NIC hop of a small message."""
    inner = {"rail_ring": "ring", "tree": "ring", "rail_direct": "direct", "rail_pair": "pair"}.get(algorithm)
    protocols = inside.get(kind, {}).get(inner or "", {})
    if "ll" not in protocols:
        return None
    result = {key: value for key, value in protocols["ll"].items() if key != "nvlink.own"}
    if algorithm == "tree":
        result["nvlink.efficiency"] = float(f"{protocols['ll128']['nvlink.efficiency'] / 2:.3g}")
    per_peer = 1.0 if algorithm == "rail_direct" else None
    for tier, hop in SMALL_NIC_ROUND.items():
        result[f"{tier}.step"] = per_peer or hop
        result[f"{tier}.efficiency"] = SMALL_NIC_EFFICIENCY
    if per_peer:
        result["floor"] = round(result["floor"] + SMALL_NIC_ROUND["infiniband"], 2)
    return result


def own_fabric(rows: Sequence[Row], library: Library, starts: int, steps: int) -> None:
    """B200: the rounds and the efficiency of its newer EFA, and the floor of its tree, from its own 32-GPU rows."""
    known = library["all_reduce"]
    efa: dict[str, float | Free] = {"efa.step": Free(30.0, 4.0, 200.0), "efa.efficiency": Free(0.95, 0.7, 1.0)}
    fitted = fit_lines(
        [("rail_ring", "simple", {**known["rail_ring"]["simple"], **efa}),
         ("nvls_tree", "simple", {**known["nvls_tree"]["simple"], **efa, "floor": Free(150.0)})],
        [row for row in rows if row.kind == "all_reduce"], starts=starts, steps=steps,
    )  # fmt: skip
    for algorithm, protocols in fitted.items():
        known[algorithm].update(protocols)
    for kind in ("all_gather", "reduce_scatter", "broadcast"):
        library[kind]["rail_ring"]["simple"]["efa.efficiency"] = fitted["rail_ring"]["simple"]["efa.efficiency"]


def multi_node_nvlink(rows: Sequence[Row], b200: Library, starts: int, steps: int) -> Library:
    """GB200: the B200's constants, with the in-switch reductions of a 72-GPU NVLink domain fitted to its own rows."""
    result = copy.deepcopy(b200)
    tree = b200["all_reduce"]["nvls_tree"]["simple"]
    nics = {key: value for key, value in tree.items() if key.startswith("infiniband")}
    ring: Line = ("rail_ring", "simple", b200["all_reduce"]["rail_ring"]["simple"])
    fitted = fit_lines(
        [("nvls", "simple", {"floor": Free(400.0), "nvlink.efficiency": ratio(0.48), "preference": 0.6}),
         ("nvls_tree", "simple", {"floor": Free(600.0), "nvlink.efficiency": ratio(0.46), **nics,
                                  "preference": Free(0.5, 0.3, 1.0), "infiniband.step": Free(300.0, 4.0, 900.0)}),
         ring],
        [row for row in rows if row.kind == "all_reduce"], starts=starts, steps=steps,
    )  # fmt: skip
    result["all_reduce"].update({name: fitted[name] for name in ("nvls", "nvls_tree")})
    return result


assert set(SPEED) <= set(NVLINK)
