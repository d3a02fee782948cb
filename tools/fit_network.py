"""Derives the catalogue's communication constants and the shipped ledger from the raw tables.

    python -m tools.fit_network ../shared/data               # writes the files and prints their errors
    python -m tools.fit_network ../shared/data --folds 5     # also the errors on rows kept back from a refit

Runs from the root of the checkout; same data, same files.  Two minutes of CPU time, five with folds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.moe import PHASES, MoeRow, fit_moe, moe_rows
from tools.network_errors import TITLE, collective_errors, held_out, moe_errors
from tools.network_families import between_nodes, carried_over, multi_node_nvlink, one_node, own_fabric, usable
from tools.network_files import write_collective_ledger, write_library, write_moe_ledger
from tools.network_model import Library
from tools.network_rows import MACHINES, Row, collectives

ROOT = Path(__file__).resolve().parent.parent / "simcluster"
LIBRARIES = ROOT / "cluster" / "catalogue" / "libraries"
LEDGER = ROOT / "validation" / "measurements"

TABLES = "aiconfigurator-core 0.12.0 (Apache-2.0, Copyright NVIDIA CORPORATION & AFFILIATES)"
FABRICS = "nccl-tests published by xxrjun/nccl-tests-cluster and crazyguitar/aws-gpu-communication-benchmark"
SENDS = "send and receive of vidur (MIT, Microsoft)"
SOURCES = {
    "a100": f"{TABLES}: nccl 2.27.3 on A100 SXM; {SENDS}; between nodes the H100's: {FABRICS}",
    "h100": f"{TABLES}: nccl 2.29.2 and DeepEP on H100 SXM; {SENDS}; {FABRICS}; NVIDIA/dgxc-benchmarking",
    "h200": f"{TABLES}: nccl 2.29.2 on H200 SXM; stas00/ml-engineering; send and between nodes the H100's: {FABRICS}",
    "b200": f"{TABLES}: nccl 2.29.2 on B200 SXM; EFA all-reduce stas00/ml-engineering; else the H100's: {FABRICS}",
    "gb200": f"{TABLES}: nccl 2.29.2 on B200 SXM; in-switch all-reduce coreweave/nccl-tests; else the B200's",
}
CARRIED = "rounds and efficiency of the NIC, as the H100's on InfiniBand and EFA"
ASSUMED = "ll between nodes is composed, not fitted: the one-node floor and round plus a 9 us NIC hop (EFA 20 us)"
EXPERTS = "dispatch and combine were measured on the H100 only"
NOTES = {
    "a100": ("broadcast: all_gather's ring, not measured", f"Not measured: {CARRIED}.", ASSUMED, EXPERTS),
    "h100": ("broadcast: all_gather's ring, not measured", ASSUMED),
    "h200": ("broadcast: all_gather's ring, not measured", f"Not measured: {CARRIED}.", ASSUMED, EXPERTS),
    "b200": ("broadcast: all_gather's ring, not measured; send_recv: all_to_all's constants",
             f"Not measured but for EFA's all_reduce: {CARRIED}.", ASSUMED, EXPERTS),
    "gb200": ("The B200's constants but for the in-switch reductions of a 72-GPU NVLink domain.", ASSUMED, EXPERTS),
}  # fmt: skip


def fit_all(rows: list[Row], moe: list[MoeRow], starts: int, steps: int) -> dict[str, Library]:
    """machine -> the library's constants."""
    inside: dict[str, Library] = {}
    for machine in MACHINES:
        own = [row for row in rows if row.machine == machine and row.nodes == 1 and usable(row)]
        inside[machine] = one_node(machine, own, starts, steps)
    inside["h200"]["send_recv"] = inside["h100"]["send_recv"]
    inside["b200"]["send_recv"] = {"pair": _as_pair(inside["b200"]["all_to_all"]["direct"])}
    several = [row for row in rows if row.machine == "h100" and row.nodes > 1]
    outside = between_nodes(several, inside["h100"], starts, steps)
    result = {m: carried_over(outside, inside["h100"], m, inside[m]) for m in MACHINES}
    own_fabric([row for row in rows if row.machine == "b200" and row.nodes > 1], result["b200"], starts, steps)
    gb200 = [row for row in rows if row.machine == "gb200"]
    result["gb200"] = multi_node_nvlink(gb200, result["b200"], starts, steps)
    experts: Library = {f"moe_{phase}": fit_moe(phase, moe, starts, steps) for phase in PHASES}
    return {machine: library | experts for machine, library in result.items()}


def _as_pair(direct: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """All-to-all's protocols for one peer: bytes per peer are then the port's."""
    renamed = {"nvlink.peer_efficiency": "nvlink.efficiency"}
    return {
        protocol: {renamed.get(key, key): value for key, value in constants.items() if key != "nvlink.own"}
        for protocol, constants in direct.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with published.csv and measured/")
    parser.add_argument("--folds", type=int, default=0, help="also report errors on this many folds kept back")
    parser.add_argument("--starts", type=int, default=4, help="starts of each search")
    parser.add_argument("--steps", type=int, default=4000, help="steps of each search")
    options = parser.parse_args()
    rows, moe = collectives(options.data), moe_rows(options.data)
    libraries = fit_all(rows, moe, options.starts, options.steps)
    for machine, library in libraries.items():
        path = LIBRARIES / f"{machine}.yaml"
        write_library(path, machine.upper(), SOURCES[machine], NOTES[machine], library)
    write_collective_ledger(LEDGER / "network.csv", rows)
    write_moe_ledger(LEDGER / "moe.csv", moe)
    say = sys.stdout.write
    say(f"{TITLE}\n")
    for errors in (*collective_errors(libraries, rows), *moe_errors(libraries["h100"], moe)):
        say(f"{errors}\n")
    if options.folds > 1:
        say(f"\nkept back, {options.folds} folds\n")
        for errors in held_out(rows, moe, options.folds, max(2, options.starts // 2), options.steps):
            say(f"{errors}\n")


if __name__ == "__main__":
    main()
