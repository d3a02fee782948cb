"""What can limit an operation, in words."""

from __future__ import annotations

LIMITS = {
    "compute": "its peak FLOPS",
    "memory": "its memory bandwidth",
    "launch": "its launch overhead",
    "latency": "its latency",
    "algorithm": "its algorithm",
    "background": "the background traffic",
    "nvlink": "NVLink",
    "pcie": "PCIe",
    "nic": "the NICs",
    "leaf": "the cables above the leaf switches",
    "spine": "the cables above the spines",
    "core": "the cables above the cores",
}
"""By the `bound` of an operation: a part of a GPU, a latency, or the kind of its fullest wire."""
