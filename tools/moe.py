"""Rows, model and fit of expert dispatch and combine with DeepEP.

A token of b bytes with k of E experts chosen evenly has copies on D distinct GPUs of R distinct nodes, in expectation.

normal       one copy per GPU over NVLink, one per node over the NIC of the same index; the SMs of the kernel copy:
             time = floor + round * (nodes - 1) + b / token_rate
                    + max(NVLink, NIC, tokens * (per_token + D * b / sm_rate + R * b / sm_rail_rate) / SMs)
low_latency  one copy per chosen expert, straight to its GPU; each expert's copies are handled by one SM:
             time = floor + round * log2(nodes) + b / token_rate + per_expert * E
                    + max(NVLink, NIC, copies * b / (sm_rate * min(E, SMs of the GPU)))

The library takes the faster of `short` (one pass, nothing overlaps) and `long` (a filled pipeline).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.network_model import NIC, NVLINK, Array
from tools.network_rows import TABLES
from tools.network_search import Free, fit_free, log_error, ratio

GPU_SMS = 132
NODE = 8
SCALED_BLOCK = 128
"""fp8 values that share a 4-byte scale."""

UNNOTICED = 3e5
"""A rate per token (bytes per microsecond) that no row notices: left out of the file."""

PHASES = ("dispatch", "combine")
CONGESTED = 64
"""GPUs from which the measured fabric is congested: such rows are reported apart and take no part in the fit."""


@dataclass(frozen=True)
class MoeRow:
    """One measured dispatch and combine; sms is 0 in low-latency mode."""

    machine: str
    mode: str
    gpus: int
    tokens: int
    hidden: int
    top_k: int
    experts: int
    sms: int
    dispatch_us: float
    combine_us: float
    source: str

    def us(self, phase: str) -> float:
        return self.dispatch_us if phase == "dispatch" else self.combine_us


def moe_rows(folder: Path) -> list[MoeRow]:
    """The two DeepEP tables.

    Left out: the table of engines' own all-to-all (timed through the engines: 50 to 300 us for one token where the
    kernels take 13), and the notify columns (a separate exchange of counts, about 30 us on two nodes, 55 on four).
    """
    rows: list[MoeRow] = []
    for name, mode in (("normal", "normal"), ("ll", "low_latency")):
        with (folder / "measured" / f"h100_sxm_wideep_deepep_{name}.csv").open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                us = ("dispatch_transmit_us", "combine_transmit_us") if name == "normal" else (
                    "dispatch_avg_t_us", "combine_avg_t_us")  # fmt: skip
                rows.append(
                    MoeRow(
                        "h100", mode, NODE * int(line["node_num"]), int(line["num_token"]), int(line["hidden_size"]),
                        int(line["num_topk"]), int(line["num_experts"]), int(line.get("dispatch_sms") or 0),
                        float(line[us[0]]), float(line[us[1]]), TABLES,
                    )
                )  # fmt: skip
    return rows + _published(folder)


def _published(folder: Path) -> list[MoeRow]:
    """DeepEP's own low-latency table on the H800: takes no part in the fit."""
    times: dict[int, dict[str, float]] = {}
    with (folder / "published.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line["model"].startswith("DeepEP V1 low-latency") and line["unit"] == "us":
                times.setdefault(int(line["ep"]), {})[line["model"].split()[-1]] = float(line["value"])
    return [
        MoeRow("h800", "low_latency", ep, 128, 7168, 8, 256, 0, us["dispatch"], us["combine"], "deepseek-ai/DeepEP")
        for ep, us in times.items()
    ]


@cache
def distinct(experts: int, groups: int, k: int) -> float:
    """Expected distinct groups among `groups` equal ones that k different experts, chosen evenly, fall on."""
    if experts < groups:
        return groups * (1 - (1 - 1 / groups) ** k)
    outside = experts - experts // groups
    return groups * (1 - (math.comb(outside, k) / math.comb(experts, k) if k <= outside else 0.0))


@dataclass(frozen=True)
class MoeWork:
    token: Array
    """Bytes of one token: fp8 with scales in dispatch, bf16 in combine."""
    tokens: Array
    nodes: Array
    experts: Array
    gpu_copies: Array
    node_copies: Array
    copies: Array
    nvlink: Array
    """Microseconds of the busiest NVLink port at datasheet bandwidth."""
    nic: Array
    sms: Array


def moe_work(phase: str, rows: Sequence[MoeRow]) -> MoeWork:
    cells = []
    for row in rows:
        token = row.hidden * (1 + 4 / SCALED_BLOCK) if phase == "dispatch" else 2.0 * row.hidden
        n, nodes, local = row.gpus, max(1, row.gpus // NODE), min(row.gpus, NODE)
        gpu_copies, node_copies = distinct(row.experts, n, row.top_k), distinct(row.experts, nodes, row.top_k)
        if row.mode == "normal":
            inside, outside = gpu_copies * (local - 1) / local, node_copies * (nodes - 1) / nodes
            sms = row.sms
        else:
            inside, outside = row.top_k * (local - 1) / n, row.top_k * (n - local) / n
            sms = min(row.experts, GPU_SMS)
        volume = row.tokens * token
        cells.append((token, row.tokens, nodes, row.experts, gpu_copies, node_copies, row.top_k,
                      volume * inside / NVLINK[row.machine], volume * outside / NIC[row.machine], sms))  # fmt: skip
    table = np.array(cells, dtype=np.float64)
    return MoeWork(*(table[:, i] for i in range(10)))


def moe_times(mode: str, c: Mapping[str, float], w: MoeWork) -> Array:
    """Microseconds under one protocol; rates are bytes per microsecond."""
    several = w.nodes > 1
    rounds = w.nodes - 1 if mode == "normal" else np.log2(w.nodes)
    fixed = c["floor"] + c.get("infiniband.step", 0.0) * rounds + w.token / c.get("token_rate", np.inf)
    wires = np.maximum(w.nvlink / c["nvlink.efficiency"], w.nic / c.get("infiniband.efficiency", 1.0))
    if mode == "normal":
        rail = np.where(several, w.node_copies * w.token / c.get("sm.rail_rate", np.inf), 0.0)
        each = c["sm.per_token"] + w.gpu_copies * w.token / c["sm.rate"] + rail
        copying = w.tokens * each / w.sms
    else:
        fixed = fixed + c["per_expert"] * w.experts
        copying = w.tokens * w.copies * w.token / (c["sm.rate"] * w.sms)
    result: Array = fixed + np.maximum(wires, copying)
    return result


def predict_moe(mode: str, protocols: Mapping[str, Mapping[str, float]], phase: str, rows: Sequence[MoeRow]) -> Array:
    w = moe_work(phase, rows)
    best: Array = np.min([moe_times(mode, constants, w) for constants in protocols.values()], axis=0)
    return best


def fit_moe(phase: str, rows: Sequence[MoeRow], starts: int, steps: int) -> dict[str, dict[str, dict[str, float]]]:
    """algorithm -> protocol -> constants of one phase."""
    calm = [row for row in rows if row.gpus < CONGESTED and row.machine == "h100"]
    groups = {
        "normal": [row for row in calm if row.mode == "normal" and row.gpus == NODE],
        "rail_normal": [row for row in calm if row.mode == "normal" and row.gpus > NODE],
        "low_latency": [row for row in calm if row.mode == "low_latency"],
    }
    return {name: _fit_group(name, phase, members, starts, steps) for name, members in groups.items()}


def _fit_group(name: str, phase: str, rows: Sequence[MoeRow], starts: int, steps: int) -> dict[str, dict[str, float]]:
    mode = "low_latency" if name == "low_latency" else "normal"
    w, measured = moe_work(phase, rows), np.array([row.us(phase) for row in rows])
    weight: NDArray[np.float64] = np.ones(len(rows))
    free: dict[Any, Free] = {"nvlink.efficiency": Free(0.6, 0.4, 0.9)}
    if name == "low_latency":
        free |= {"floor": Free(8.0), "infiniband.step": Free(6.0), "infiniband.efficiency": Free(0.95, 0.85, 1.0),
                 "token_rate": Free(6e3, 1e2, 1e6), "per_expert": Free(0.01, 1e-4, 1.0),
                 "sm.rate": Free(4e3, 1e2, 1e6)}  # fmt: skip
    else:
        free |= {
            "short.floor": Free(25.0),
            "long.floor": Free(35.0),
            "long.sm.rate": Free(20e3, 1e3, 1e6),
            "token_rate": Free(2e3, 1e2, 1e6),
            "long.sm.per_token": Free(0.4, 0.01),
            "slower": Free(1.5, 1.0, 3.0),
        }
        if name == "rail_normal":
            free |= {"infiniband.step": Free(6.0), "infiniband.efficiency": ratio(0.93),
                     "sm.rail_rate": Free(20e3, 1e3, 1e6)}  # fmt: skip

    def loss(values: Mapping[Any, float]) -> float:
        each = [moe_times(mode, constants, w) for constants in _protocols(name, values).values()]
        return log_error(np.min(each, axis=0), measured, weight)

    found = _protocols(name, fit_free(free, loss, starts=starts, steps=steps))
    return {
        protocol: {k: float(f"{v:.3g}") for k, v in constants.items() if k != "token_rate" or v < UNNOTICED}
        for protocol, constants in found.items()
    }


def _protocols(name: str, values: Mapping[Any, float]) -> dict[str, dict[str, float]]:
    """`short` copies `slower` times as long per byte as `long`; low-latency mode has one protocol."""
    if name == "low_latency":
        return {"simple": dict(values)}
    shared = {k: v for k, v in values.items() if not k.startswith(("short.", "long.", "slower", "sm."))}
    rail = {"sm.rail_rate": values["sm.rail_rate"]} if "sm.rail_rate" in values else {}
    slower = values["slower"]
    long = {"floor": values["long.floor"], "sm.per_token": values["long.sm.per_token"],
            "sm.rate": values["long.sm.rate"], **rail}  # fmt: skip
    short = {"floor": values["short.floor"], "sm.per_token": slower * long["sm.per_token"],
             "sm.rate": long["sm.rate"] / slower, **{k: v / slower for k, v in rail.items()}}  # fmt: skip
    return {"short": short | shared, "long": long | shared}
