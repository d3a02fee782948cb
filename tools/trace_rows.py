"""Writes simcluster/validation/measurements/traces.csv from the raw table of published measurements.

    python -m tools.trace_rows ../shared/data

The forward kernels of DeepSeek's published training trace whose like a simulated layer has: latent attention of one
sequence of 4,096 tokens, and both products of the 4 experts that a GPU of 64 holds, with the copies of 4,096 tokens a
GPU evenly spread. They ran on 112 of the H800's 132 SMs; the table says how their roles were told apart. Then the
products that DeepGEMM, which that system's experts run on, publishes times of.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

TARGET = Path("simcluster/validation/measurements/traces.csv")
REGIME = "published kernels, DeepSeek-V3 training trace"
COMMUNICATION_SMS = "0.15"
"""20 of 132, as the same scenario's prefill has."""

EXPERTS = {"kernel": "grouped_gemm", "dtype": "fp8_block", "m": "8192", "groups": "4"}
SHAPES = {
    "dsv3-trace-fa-fwd": {"kernel": "mla_prefill", "dtype": "bf16", "batch": "1", "sequence": "4096", "heads": "128"},
    "dsv3-trace-moe-gateup-fwd": {**EXPERTS, "n": "4096", "k": "7168"},
    "dsv3-trace-moe-down-fwd": {**EXPERTS, "n": "7168", "k": "2048"},
}
COLUMNS = ("id", "regime", "gpu", "kernel", "dtype", "m", "n", "k", "groups", "batch", "sequence", "heads",
           "communication_sms", "measured_us", "source")  # fmt: skip

README = "deepseek-ai/DeepGEMM README.md, first release (2025, MIT)"
DENSE = """
    64 2112 7168 206,   64 24576 1536 289,   64 32768 512 219,   64 7168 16384 336,   64 4096 7168 287,
    64 7168 2048 295,   128 2112 7168 352,   128 24576 1536 535, 128 32768 512 358,   128 7168 16384 645,
    128 4096 7168 533,  128 7168 2048 510,   4096 2112 7168 1058, 4096 24576 1536 990, 4096 32768 512 590,
    4096 7168 16384 1358, 4096 4096 7168 1304, 4096 7168 2048 1025
"""
"""Its table of dense products on an H800: rows, n, k and the TFLOP/s it reached."""
GROUPED = """
    4 8192 4096 7168 1297, 4 8192 7168 2048 1099, 8 4096 4096 7168 1288, 8 4096 7168 2048 1093,
    1 1024 4096 7168 1233, 1 1024 7168 2048 925,  2 512 4096 7168 1040,  2 512 7168 2048 916,
    4 256 4096 7168 932,   4 256 7168 2048 815
"""
"""Its tables of grouped products, contiguous and masked: groups, rows of each, n, k and TFLOP/s."""


def rows(raw: Path) -> list[dict[str, str]]:
    """The kernels of the raw table that have a shape here, and DeepGEMM's."""
    with raw.open(newline="", encoding="utf-8") as file:
        found = [_row(line) for line in csv.DictReader(file) if line["id"] in SHAPES]
    return (
        found
        + [_product(*map(int, line.split()[-5:])) for line in GROUPED.split(",")]
        + [_product(1, *map(int, line.split())) for line in DENSE.split(",")]
    )


def _product(groups: int, m: int, n: int, k: int, tflops: int) -> dict[str, str]:
    """One line of DeepGEMM's tables; its time follows from its FLOP/s."""
    known = {
        "id": f"deepgemm-{groups}x{m}x{n}x{k}",
        "regime": "published kernels, DeepGEMM",
        "gpu": "h800-sxm",
        "kernel": "grouped_gemm" if groups > 1 else "gemm",
        "dtype": "fp8_block",
        "m": str(m),
        "n": str(n),
        "k": str(k),
        "groups": str(groups) if groups > 1 else "",
        "communication_sms": "0",
        "measured_us": f"{2 * groups * m * n * k / tflops / 1e6:.3f}",
        "source": README,
    }
    return {**dict.fromkeys(COLUMNS, ""), **known}


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
