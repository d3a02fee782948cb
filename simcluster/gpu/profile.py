"""A GPU's measured kernels: how much longer than its roofline each takes, by kind of kernel and shape.

time = (max(FLOPs / peak, bytes / bandwidth) + floor) * exp(r)

with datasheet rates, the `floor` of the kernel's table and r read from the table's grid.  The same r thus serves a
datasheet whose rates were changed: what is measured is an efficiency, not a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from simcluster.gpu.grid import SLACK, Grid
from simcluster.units import show_count

AXES: Mapping[str, tuple[str, ...]] = {
    "gemm": ("m", "n", "k"),
    "attention_prefill": ("heads", "kv_heads", "batch", "sequence"),
    "attention_decode": ("heads", "kv_heads", "batch", "context"),
    "mla_prefill": ("heads", "batch", "sequence"),
    "mla_decode": ("heads", "batch", "context"),
    "moe": ("tp", "ep", "tokens"),
}
"""The axes of a table, by the first part of its name up to a hyphen."""


def kind(table: str) -> str:
    """The kernel a table is of, whatever the skew: moe for moe-1.2/…"""
    return table.partition("/")[0].partition("-")[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """One table: the axes' names, its floor in seconds, the grid of r, how many rows it came from, and the mean error
    on rows that were kept back while it was made (a fraction; None if there were too few to keep any back)."""

    axes: tuple[str, ...]
    floor_s: float
    grid: Grid
    rows: int
    error: float | None

    def beyond(self, point: Sequence[float]) -> str:
        """By which of its coordinates a point lies beyond the table's edge, and where that is; "" if none."""
        found = []
        for name, value, axis in zip(self.axes, point, self.grid.axes, strict=True):
            edge, way = (axis[-1], "up to") if value > axis[-1] else (axis[0], "from")
            if not axis[0] * (1 - SLACK) <= value <= axis[-1] * (1 + SLACK):
                found.append(f"{name} {show_count(value)}, measured {way} {show_count(edge)}")
        return "; ".join(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """Tables by name, such as gemm/bf16; `gpu` is the catalogue name of the GPU they were measured on."""

    name: str
    gpu: str
    source: str
    tables: Mapping[str, Table]

    @cached_property
    def _families(self) -> Mapping[str, tuple[str, ...]]:
        """Names of tables by their first part."""
        families: dict[str, tuple[str, ...]] = {}
        for name in self.tables:
            head = name.partition("/")[0]
            families[head] = (*families.get(head, ()), name)
        return families

    def family(self, head: str) -> tuple[str, ...]:
        """Names of the tables that begin with `head`."""
        return self._families.get(head, ())

    def skews(self, compute: str, gated: bool) -> frozenset[str]:
        """The exponents of expert popularity that experts of this number type were measured with."""
        parts = (name.split("/") for name in self.tables if name.startswith("moe-"))
        return frozenset(head[4:] for head, of, _, *gate in parts if of == compute and gated == (not gate))
