"""What a GPU does in a run: its operations, counted FLOPs, wires, and where their times come from."""

from __future__ import annotations

from collections.abc import Iterator

from simcluster.report.html import cells
from simcluster.report.html.blocks import Block, Cell, Grid
from simcluster.report.verdict import unit_of
from simcluster.timeline.limit import LIMITS
from simcluster.timeline.links import in_words, link_rows
from simcluster.timeline.result import Result

OPERATIONS = (
    "operation",
    "count",
    "time",
    "of the whole",
    "exposed",
    "alone",
    "FLOPs",
    "HBM or sent",
    "NVLink",
    "InfiniBand",
    "algorithm",
    "limited by",
)


def operations(result: Result) -> Grid:
    """Every operation by name, the longest first."""
    latency_s, unit = result.metrics["latency_s"] or 1.0, unit_of(result)
    rows = tuple(
        (
            Cell(text=one.name),
            cells.count(one.count),
            cells.seconds(one.seconds),
            cells.share(one.seconds / latency_s),
            cells.seconds(one.exposed_seconds, blank=True),
            cells.seconds(one.alone_seconds) if one.kind != "compute" else Cell(text=""),
            cells.flop(one.flops, blank=True),
            cells.size(one.bytes),
            cells.size(one.bytes_nvlink, blank=True),
            cells.size(one.bytes_infiniband, blank=True),
            Cell(text=one.algorithm or ""),
            Cell(text=LIMITS[one.limited_by]),
        )
        for one in sorted(result.by_operation, key=lambda row: -row.seconds)
    )
    note = f"Per GPU and {unit}. Exposed is what no kernel hides; alone, with the wires to itself."
    return Grid(title="Operations", header=OPERATIONS, rows=rows, numbers=frozenset(range(1, 10)), note=note)


def wires(result: Result) -> Grid:
    """All wires of a kind together."""
    assert result.timeline is not None
    rows = tuple(
        (
            Cell(text=in_words(str(link["kind"]), str(link["direction"]))),
            cells.count(int(link["count"])),
            cells.size(float(link["bytes"])),
            *(cells.share(float(link[f"utilization_{which}"])) for which in ("mean", "peak")),
        )
        for link in link_rows(result.timeline)
    )
    return Grid(
        title="Wires",
        header=("wires", "count", "carried", "mean use", "peak use"),
        rows=rows,
        numbers=frozenset({1, 2, 3, 4}),
        note=f"All of a kind, per {unit_of(result)}; use is of usable bandwidth." if rows else "None: one GPU.",
    )


def sources(result: Result) -> Iterator[Block]:
    """Counted FLOPs with their factors, and where each kind of time comes from."""
    rows = tuple(
        (Cell(text=name), cells.flop(work.flops), Cell(text=work.formula)) for name, work in result.work.items()
    )
    header, title = ("operation", "FLOPs", "arithmetic"), f"Counted FLOPs of a GPU and {unit_of(result)}"
    yield Grid(title=title, header=header, rows=rows, numbers=frozenset({1}))
    known = result.provenance.items()
    times = tuple((Cell(text=name), Cell(text=one.kind), Cell(text=one.source)) for name, one in known)
    yield Grid(title="Where times come from", header=("time of", "kind", "source"), rows=times)
