"""Where every rank of a scenario sits, as rows."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from simcluster.scenario.scenario import Scenario


def placement_rows(scenario: Scenario) -> list[dict[str, object]]:
    """One row a rank: node, gpu, nic, rail, coordinates on every axis, experts and layers held."""
    cluster, moe = scenario.cluster, scenario.model.moe
    layout, stages = scenario.layout, scenario.share.stages
    nics = cluster.infiniband.nics_per_node if cluster.infiniband is not None else cluster.gpus_per_node
    seats = [
        layout.seat(rank, experts=moe.experts if moe else 0, stages=stages, nics_per_node=nics)
        for rank in range(scenario.plan.degrees.gpus)
    ]
    if scenario.workload.redundant_experts:
        places = scenario.share.expert_places
        seats = [replace(seat, experts=places[seat.ep]) for seat in seats]
    return [seat.as_dict() for seat in seats]


def placement_text(rows: list[dict[str, object]]) -> str:
    """The rows as an aligned table; runs of experts and layers as first-last, others listed."""
    header = list(rows[0])
    lines = [header] + [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def placement_csv(rows: list[dict[str, object]]) -> str:
    """One line a rank under a header; experts and layers are separated by blanks."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: " ".join(map(str, v)) if isinstance(v, tuple) else v for key, v in row.items()})
    return buffer.getvalue()


def _cell(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    if len(value) > 1 and value[-1] - value[0] == len(value) - 1:
        return f"{value[0]}-{value[-1]}"
    return ",".join(map(str, value))
