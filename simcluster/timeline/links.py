"""Questions about wires: how full each class was, on the whole and over time."""

from __future__ import annotations

import numpy as np

from simcluster.timeline.timeline import Floats, LinkLoads, Timeline

Class = tuple[str, str]


def classes(links: LinkLoads) -> dict[Class, np.ndarray]:
    """Which wires belong to each (kind, direction), as masks, in the order of the wires."""
    named = list(zip(links.kind, links.direction, strict=True))
    return {one: np.array([other == one for other in named]) for one in dict.fromkeys(named)}


def link_rows(timeline: Timeline) -> list[dict[str, str | int | float]]:
    """Per class of wires: how many, bytes a step, and utilization as a share of usable bandwidth.

    The mean is over wires and time, the peak the fullest wire's at its fullest instant.
    """
    links, end_s = timeline.links, timeline.end_s
    carried = links.bytes_on_wires(end_s)
    used, fullest = carried / (links.capacity * end_s), (links.rates / links.capacity).max(axis=0, initial=0.0)
    return [
        {
            "kind": kind,
            "direction": direction,
            "count": int(mask.sum()),
            "utilization_mean": float(used[mask].mean()),
            "utilization_peak": float(fullest[mask].max()),
            "bytes": float(carried[mask].sum()) / timeline.steps,
        }
        for (kind, direction), mask in classes(links).items()
    ]


def link_utilization(timeline: Timeline, edges: Floats) -> dict[str, Floats]:
    """Mean use of usable bandwidth in each bin between `edges`, by `kind direction`."""
    links = timeline.links
    if len(links.time_s) == 0:
        return {}
    share = overlap_s(np.append(links.time_s, timeline.end_s), edges) / np.diff(edges)[:, None]
    by_state = np.zeros((len(edges) - 1, len(links.rates)))
    np.add.at(by_state.T, links.state, share.T)
    used = links.rates / links.capacity
    return {
        f"{kind} {direction}": np.asarray(by_state @ used[:, mask].mean(axis=1))
        for (kind, direction), mask in classes(links).items()
    }


def overlap_s(cuts: Floats, edges: Floats) -> Floats:
    """Seconds that bin i (between edges) and interval j (between cuts) share, shape (bins, intervals)."""
    low = np.maximum(edges[:-1, None], cuts[None, :-1])
    high = np.minimum(edges[1:, None], cuts[None, 1:])
    return np.asarray(np.maximum(0.0, high - low))
