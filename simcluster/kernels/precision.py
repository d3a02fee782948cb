"""Number types, and how much one element of each takes."""

from __future__ import annotations

from typing import Literal

Precision = Literal["fp32", "bf16", "fp16", "fp8", "fp8_block", "int8", "nvfp4", "mxfp4", "fp4", "int4"]

BYTES_PER_ELEMENT: dict[Precision, float] = {
    "fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp8_block": 1.0, "int8": 1.0,
    "nvfp4": 0.5 + 1 / 16, "mxfp4": 0.5 + 1 / 32, "fp4": 0.5, "int4": 0.5,
}  # fmt: skip
"""Storage of one element.

nvfp4 has an 8-bit scale per 16 elements (NVIDIA, 2025), mxfp4 one per 32 (OCP Microscaling Formats 1.0, 2023).  The
fp32 scale of a 128 x 128 block of fp8_block weights (0.02 %) is not counted; fp4 and int4 are bare.
"""

PEAK_OF: dict[Precision, Precision] = {"fp8_block": "fp8"}
"""Compute types that run on another type's tensor cores: block-scaled fp8 differs in its scales only."""
