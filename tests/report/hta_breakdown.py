"""HolisticTraceAnalysis on a folder of traces: python hta_breakdown.py FOLDER, in the environment of `make hta`.

Prints one JSON list: for each rank its idle, compute, non-compute and whole kernel time in us, the share of
communication that computing covers, and kernels counted by type.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def breakdown(folder: str) -> list[dict[str, Any]]:
    """What HolisticTraceAnalysis finds for each rank; its overlap is rounded to 0.01 %."""
    from hta.trace_analysis import TraceAnalysis  # type: ignore[import-not-found, unused-ignore]
    from hta.utils.utils import get_kernel_type  # type: ignore[import-not-found, unused-ignore]

    analysis = TraceAnalysis(trace_dir=folder)
    times = analysis.get_temporal_breakdown(visualize=False).set_index("rank")
    overlap = analysis.get_comm_comp_overlap(visualize=False).set_index("rank")
    names = analysis.t.symbol_table.get_sym_table()
    found = []
    for rank, rows in analysis.t.traces.items():
        kernels = rows[rows["stream"].ne(-1)]
        types = [get_kernel_type(names[name]) for name in kernels["name"]]
        found.append(
            {
                "rank": int(rank),
                **{
                    name: float(times.loc[rank, f"{name}_time(us)"])
                    for name in ("idle", "compute", "non_compute", "kernel")
                },
                "overlap_percent": float(overlap.loc[rank, "comp_comm_overlap_pctg"]),
                "types": {one: types.count(one) for one in sorted(set(types))},
            }
        )
    return found


if __name__ == "__main__":
    json.dump(breakdown(sys.argv[1]), sys.stdout)
