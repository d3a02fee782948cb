"""Reads the raw tables of measured collectives into one list of rows.

Times are microseconds, sizes bytes as nccl-tests counts them: the buffer of an all-reduce or a broadcast, the total
output of an all-gather, a rank's whole input of a reduce-scatter or an all-to-all, the message of a send.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLES = "aiconfigurator-core 0.12.0"
VIDUR = "vidur"

MACHINES = ("a100", "h100", "h200", "b200")
KINDS = {
    "all_reduce": "allreduce",
    "all_gather": "allgather",
    "reduce_scatter": "reducescatter",
    "all_to_all": "alltoall",
}

LARGEST_CUSTOM = 2 * 2**20

_PUBLISHED_KINDS = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "alltoall": "all_to_all",
    "sendrecv": "send_recv",
}
_PUBLISHED_MACHINES = {
    "A100-SXM4-80GB": "a100",
    "H100-SXM5-80GB": "h100",
    "H200-SXM-141GB": "h200",
    "B200-SXM (AWS p6-b200)": "b200",
    "GB200 NVL72": "gb200",
}
_SIZE = re.compile(r"([\d.]+) ?(B|MiB)?")
LAUNCH_IS_NOTHING = 2**30
"""Bytes from which the age of the library and the host's launch no longer show."""

_OLDER = ("nccl-stas-a100", "nccl-vtrain", "nccl-stas-h200x8-ar-", "nccl-stas-b200x8")
"""Sources timed with an NCCL before 2.26, an unstated one, or with the host's launch inside: a setup of their own."""


@dataclass(frozen=True)
class Row:
    """One measured collective."""

    machine: str
    kind: str
    gpus: int
    gpus_per_node: int
    """Ranks on each node that takes part."""
    dtype: str
    bytes: int
    setup: str
    """What is special: efa (AWS fabric), ring (NVLS switched off), older (an older or a host-timed library), the engine
    of a custom all-reduce, or ""."""
    us: float
    source: str

    @property
    def nodes(self) -> int:
        return self.gpus // self.gpus_per_node


def collectives(folder: Path) -> list[Row]:
    """Every usable row of the folder; the docstrings below say what is left out, and why."""
    return [*_single_node(folder), *_custom(folder), *_sends(folder), *_published(folder)]


def _single_node(folder: Path) -> Iterator[Row]:
    """The nccl-tests tables: 2, 4 and 8 GPUs of one NVSwitch node, half and int8, 512 B to 512 MiB."""
    for machine in MACHINES:
        for kind, name in KINDS.items():
            for line in _lines(folder / "measured" / f"{machine}_sxm_nccl_{name}.csv"):
                n = int(line["gpus"])
                us = float(line["latency_us"])
                yield Row(machine, kind, n, n, line["dtype"], int(line["bytes"]), "", us, TABLES)


def _custom(folder: Path) -> Iterator[Row]:
    """The engines' own NVLink all-reduce kernels, from CUDA graphs, up to 2 MiB (above, most hand over to NCCL).

    Left out: the eager rows, whose 17 to 45 us are the host's launch.
    """
    for machine in MACHINES:
        for line in _lines(folder / "measured" / f"{machine}_sxm_custom_allreduce.csv"):
            n, count = int(line["gpus"]), int(line["bytes"])
            if "eager" not in line["impl"] and n > 1 and count <= LARGEST_CUSTOM:
                setup = f"{line['framework']} {line['version']}"
                yield Row(machine, "custom_all_reduce", n, n, "half", count, setup, float(line["latency_us"]), TABLES)


def _sends(folder: Path) -> Iterator[Row]:
    """Send and receive between two GPUs of one node, every eighth size.

    Left out: vidur's tables between nodes (a fabric of 8 to 35 GB/s whose NICs are not described) and its all-reduce
    tables (host-timed: medians of three runs, 20 to 60 us for 2 KiB where NCCL's own test reads 6 to 22).
    """
    for machine in ("a100", "h100"):
        lines = [
            line
            for line in _lines(folder / "measured" / f"vidur_{machine}_dgx_send_recv.csv")
            if line["nodes"] == "1" and float(line["std_us"]) < 0.1 * float(line["median_us"])
        ]
        lines.sort(key=lambda line: int(line["bytes"]))
        for line in lines[::8]:
            yield Row(machine, "send_recv", 2, 2, "half", int(line["bytes"]), "", float(line["median_us"]), VIDUR)


def _published(folder: Path) -> Iterator[Row]:
    """Published tables, one node and several.

    Left out: sizes rounded to decimal (the Azure guide), prose figures and peaks without a size, NVSHMEM (size per
    rank unstated), the wheel's own rows (they are in the tables above), and the send and receive of ten nodes with
    eight GPUs each (15 GB/s where the same nodes with one, two or four GPUs each read 25).
    """
    for line in _lines(folder / "published.csv"):
        kind, machine = _PUBLISHED_KINDS.get(line["model"]), _PUBLISHED_MACHINES.get(line["hardware"])
        size = _SIZE.fullmatch(line["batch_or_tokens"].strip())
        if line["category"] != "collective" or kind is None or machine is None or size is None:
            continue
        if "aiconfigurator" in line["source"] or line["id"].startswith("nccl-issue"):
            continue
        gpus = int(line["gpus"])
        per_node = min(gpus, int(line["gpus_per_node"]))
        if machine == "gb200" and gpus > per_node:
            per_node = _even_domain(gpus, per_node)
        count = int(float(size[1]) * (2**20 if size[2] == "MiB" else 1))
        us = _published_us(line, kind, gpus, count)
        if us is None or (kind == "send_recv" and gpus == 80):
            continue
        dtype = {"double": "double", "fp32": "float", "fp32 (nccl-tests default)": "float"}.get(
            line["precision"], "half"
        )
        source = line["source"].split(" ")[0]
        yield Row(machine, kind, gpus, per_node, dtype, count, _setup(line, count), us, source)


def _even_domain(gpus: int, domain: int) -> int:
    """GPUs of each NVLink domain when the job spreads evenly over as few domains as it needs (128 over 72: 64)."""
    return gpus // -(-gpus // domain)


def _published_us(line: dict[str, str], kind: str, gpus: int, count: int) -> float | None:
    value = float(line["value"])
    if line["unit"] == "us":
        return value
    if "busbw" not in line["metric"]:
        return None
    share = {"all_reduce": 2 * (gpus - 1) / gpus, "send_recv": 1.0}.get(kind, (gpus - 1) / gpus)
    return share * count / value / 1e3


def _setup(line: dict[str, str], count: int) -> str:
    notes = line["notes"].lower()
    if "efa" in notes and int(line["gpus"]) > 8:
        return "efa"
    if "algo=ring" in notes and line["model"] == "all_reduce":
        return "ring"
    return "older" if line["id"].startswith(_OLDER) and "algo=" not in notes and count < LAUNCH_IS_NOTHING else ""


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)
