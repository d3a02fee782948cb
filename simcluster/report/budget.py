"""Memory as text: what fills it, what still fits, and what would make a plan fit."""

from __future__ import annotations

from simcluster.report.layout import grid, section
from simcluster.timeline.capacity import Capacity
from simcluster.timeline.result import Result
from simcluster.units import show_bytes, show_percent, show_seconds


def memory(result: Result) -> str:
    """Every component with its arithmetic."""
    total, capacity = result.memory_total_bytes, result.memory_capacity_bytes
    rows = [(name, show_bytes(part.bytes), part.formula) for name, part in result.memory.items() if part.bytes]
    rows.append(("total", show_bytes(total), f"{show_percent(total / capacity)} of {show_bytes(capacity)}"))
    return section("Memory of the fullest GPU", grid(rows, right=(1,)))


def limits(result: Result, capacity: Capacity) -> str:
    """The largest batch and context, or what would make the plan fit."""
    sizes = f"batch {capacity.largest_batch:,}"
    if capacity.largest_length:
        sizes += f" or {capacity.length_name} {capacity.largest_length:,} tokens"
    if result.fits:
        return f"Largest that fits, all else as it is: {sizes}."
    rows = [
        (
            " ".join(f"--set '{change}'" for change in remedy.changes),
            f"{show_percent(remedy.memory_fraction)} of a GPU's memory",
            show_seconds(remedy.latency_s),
        )
        for remedy in capacity.remedies
    ]
    body = grid(rows, right=(1, 2)) if rows else "none of the plans, sizes, number types and GPUs tried fits"
    small = "not even one sequence a replica fits" if capacity.largest_batch == 0 else f"largest that fits: {sizes}"
    return section("What would fit (each simulated; latency)", f"{body}\n\nAll else as it is, {small}.")
