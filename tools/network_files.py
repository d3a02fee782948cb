"""Writes the fitted constants as library files of the catalogue, and the measured rows as the shipped ledger."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tools.moe import MoeRow
from tools.network_model import Library
from tools.network_rows import Row

HEADER = """\
# Times of {title}'s collectives when nothing else uses the wires.  Written by tools/fit_network.py; do not edit.
#
#   time       floor + hypot(latency, transfer); the library takes the smallest preference * time
#   latency    sum over tiers of step * rounds;  transfer: max over tiers of bytes on the busiest port / rate
#   floor      launch and one synchronisation       step        one latency-bound round on the tier
#   efficiency of the tier's datasheet bandwidth, per GPU or per NIC and direction
#   own        weight of the bytes a rank copies to itself (size / ranks), added to its NVLink port's bytes
#   peer_efficiency  instead of efficiency: the pace of one peer, applied to the bytes for one peer (size / ranks)
#   preference how much the library's own tuner flatters the protocol (1 where absent)
#   efa        replaces infiniband on AWS's fabric
#
# One node: ring, nvls (in-switch), direct, pair.  Several: rail_ring, tree, nvls_tree, rail_direct, rail_pair.
# custom_all_reduce: the engines' own NVLink kernels (one_shot, two_shot), only where asked for.
{notes}
source: "{source}"
"""

MOE_HEADER = """
# Dispatch and combine with DeepEP, per token of b bytes with copies on D GPUs of R nodes (expected, distinct):
#   normal, rail_normal (one node, several)
#     time = floor + infiniband.step * (nodes - 1) + b / token_rate
#            + max(NVLink, NIC, tokens * (sm.per_token + D * b / sm.rate + R * b / sm.rail_rate) / sms)
#   low_latency
#     time = floor + infiniband.step * log2(nodes) + b / token_rate + per_expert * experts
#            + max(NVLink, NIC, tokens * top_k * b / (sm.rate * min(experts, SMs of the GPU)))
#   sms: streaming multiprocessors the kernel is given; 20 on one node and 24 between nodes unless stated
"""

_RATES = ("rate", "rail_rate", "token_rate")
_TIMES = ("floor", "step", "per_token", "per_expert")


def write_library(path: Path, title: str, source: str, notes: Sequence[str], library: Library) -> None:
    """One catalogue file: a block per kind, a line per protocol."""
    text = [HEADER.format(title=title, source=source, notes="".join(f"# {note}\n" for note in notes).rstrip())]
    for kind, algorithms in library.items():
        if kind == "moe_dispatch":
            text.append(MOE_HEADER)
        text.append(f"\n{kind}:\n")
        for algorithm, protocols in algorithms.items():
            text.append(f"  {algorithm}:\n")
            text.extend(f"    {name}: {_flow(constants)}\n" for name, constants in protocols.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(text), encoding="utf-8")


def _flow(constants: Mapping[str, float]) -> str:
    """`{floor: 4.5 us, nvlink: {step: 0.8 us, efficiency: 0.4}}`, the plain keys first."""
    nested: dict[str, dict[str, str]] = {}
    plain: dict[str, str] = {}
    for key, value in constants.items():
        tier, _, name = key.rpartition(".")
        (nested.setdefault(tier, {}) if tier else plain)[name] = _quantity(name, value)
    if plain.get("preference") == "1":
        del plain["preference"]
    order = [key for key in ("floor", "preference", "token_rate", "per_expert") if key in plain]
    parts = [f"{key}: {plain[key]}" for key in order]
    for tier in ("nvlink", "infiniband", "efa", "sm"):
        if tier in nested:
            parts.append(f"{tier}: {{{', '.join(f'{k}: {v}' for k, v in nested[tier].items())}}}")
    return "{" + ", ".join(parts) + "}"


def _quantity(name: str, value: float) -> str:
    if name in _TIMES:
        return f"{value:g} us"
    if name in _RATES:
        return f"{value / 1e3:g} GB/s"
    return f"{value:g}"


def write_collective_ledger(path: Path, rows: Iterable[Row]) -> None:
    """network.csv: one line per measured collective."""
    columns = ("machine", "kind", "gpus", "gpus_per_node", "dtype", "bytes", "setup", "measured_us", "source")
    lines = sorted(
        (r.machine, r.kind, r.gpus, r.gpus_per_node, r.dtype, r.bytes, r.setup, round(r.us, 3), r.source) for r in rows
    )
    _write(path, columns, lines)


def write_moe_ledger(path: Path, rows: Iterable[MoeRow]) -> None:
    """moe.csv: one line per measured dispatch and combine; 0 us where only the other was measured."""
    columns = ("machine", "mode", "gpus", "tokens_per_rank", "hidden", "top_k", "experts", "sms",
               "dispatch_us", "combine_us", "source")  # fmt: skip
    lines = sorted(
        (r.machine, r.mode, r.gpus, r.tokens, r.hidden, r.top_k, r.experts, r.sms, round(r.dispatch_us, 3),
         round(r.combine_us, 3), r.source)
        for r in rows
    )  # fmt: skip
    _write(path, columns, lines)


def _write(path: Path, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(lines)
