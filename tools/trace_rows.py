"""Writes simcluster/validation/measurements/traces.csv from the raw table of published measurements.

    python -m tools.trace_rows ../shared/data

The forward kernels of DeepSeek's published training trace whose like a simulated layer has: latent attention of one
sequence of 4,096 tokens, and both products of the 4 experts that a GPU of 64 holds, with the copies of 4,096 tokens a
GPU evenly spread. They ran on 112 of the H800's 132 SMs; the table says how their roles were told apart.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

TARGET = Path("simcluster/validation/measurements/traces.csv")
REGIME = "published kernels, DeepSeek-V3 training trace"
COMMUNICATION_SMS = "0.15"
"""20 of 132, as the same scenario's prefill has."""

EXPERTS = {"kernel": "moe", "dtype": "fp8_block", "tokens": "262144", "hidden": "7168", "inner": "2048",
           "experts": "256", "top_k": "8", "ep": "64"}  # fmt: skip
SHAPES = {
    "dsv3-trace-fa-fwd": {"kernel": "mla_prefill", "dtype": "bf16", "batch": "1", "sequence": "4096", "heads": "128"},
    "dsv3-trace-moe-gateup-fwd": {**EXPERTS, "part": "up"},
    "dsv3-trace-moe-down-fwd": {**EXPERTS, "part": "down"},
}
COLUMNS = ("id", "regime", "gpu", "kernel", "part", "dtype", "batch", "sequence", "heads", "tokens", "hidden", "inner",
           "experts", "top_k", "ep", "communication_sms", "measured_us", "source")  # fmt: skip


def rows(raw: Path) -> list[dict[str, str]]:
    """The kernels of the raw table that have a shape here."""
    with raw.open(newline="", encoding="utf-8") as file:
        return [_row(line) for line in csv.DictReader(file) if line["id"] in SHAPES]


def _row(line: dict[str, str]) -> dict[str, str]:
    if line["unit"] != "us":
        raise ValueError(f"{line['id']}: {line['unit']} is no unit of this table")
    known = {
        "id": line["id"],
        "regime": REGIME,
        "gpu": "h800-sxm",
        "communication_sms": COMMUNICATION_SMS,
        "measured_us": line["value"],
        "source": line["source"].split(" (")[0],
    }
    return {**dict.fromkeys(COLUMNS, ""), **known, **SHAPES[line["id"]]}


def main() -> None:
    """Write the ledger from the folder named on the command line."""
    with TARGET.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(Path(sys.argv[1]) / "published.csv"))


if __name__ == "__main__":
    main()
