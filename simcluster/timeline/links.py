"""Questions about wires: how full each class and each single wire was, on the whole and over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simcluster.timeline.timeline import Floats, Ints, LinkLoads, Timeline

Class = tuple[str, str]

MOST_WIRES = 32
"""Groups of wires that `run --json` lists."""

_ALIKE = 1e-9
"""Means whose difference is smaller are equally full: sums of the same rates in another order."""

_KINDS = {"nvlink": "NVLink", "pcie": "PCIe", "nic": "NICs", "leaf": "leaves", "spine": "spines", "core": "cores"}
_DIRECTIONS = {
    ("nvlink", "out"): "NVLink, from GPUs",
    ("nvlink", "in"): "NVLink, to GPUs",
    ("pcie", "out"): "PCIe, from GPUs",
    ("pcie", "in"): "PCIe, to GPUs",
    ("nic", "out"): "NICs, sending",
    ("nic", "in"): "NICs, receiving",
    ("leaf", "up"): "leaf to spine",
    ("leaf", "down"): "spine to leaf",
    ("spine", "up"): "spine to core",
    ("spine", "down"): "core to spine",
    ("core", "up"): "core to top",
    ("core", "down"): "top to core",
    ("leaf", "local"): "dragonfly, inside a group",
    ("spine", "global"): "dragonfly, between groups",
}


def in_words(kind: str, direction: str) -> str:
    """A class of wires as a legend calls it: `spine up` is spine to core, `leaf x+` torus x+."""
    if direction[-1:] in ("+", "-"):
        return f"torus {direction}"
    return _DIRECTIONS.get((kind, direction), f"{_KINDS.get(kind, kind)} {direction}")


def classes(links: LinkLoads) -> dict[Class, NDArray[np.bool_]]:
    """Which columns belong to each (kind, direction), as masks, in the order of the columns."""
    named = list(zip(links.kind, links.direction, strict=True))
    number = {one: index for index, one in enumerate(dict.fromkeys(named))}
    code = np.array([number[one] for one in named], dtype=np.int64)
    return {one: code == index for one, index in number.items()}


def link_rows(timeline: Timeline) -> list[dict[str, str | int | float]]:
    """Per class of wires: how many, bytes a step, and utilization as a share of usable bandwidth.

    The mean is over wires and time, the peak the fullest wire's at its fullest instant.
    """
    links = timeline.links
    carried = links.bytes_on_wires(timeline.end_s) * links.count
    used, fullest = mean_use(timeline) * links.count, _peak_use(links)
    return [
        {
            "kind": kind,
            "direction": direction,
            "count": int(links.count[mask].sum()),
            "utilization_mean": float(used[mask].sum() / links.count[mask].sum()),
            "utilization_peak": float(fullest[mask].max()),
            "bytes": float(carried[mask].sum()) / timeline.steps,
        }
        for (kind, direction), mask in classes(links).items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """`count` wires of one class and capacity that carry the same all the time: those of column `column`, the first of
    which is cable `wire` of the wiring, and of any columns equal to it."""

    column: int
    wire: int
    count: int


def fullest_wires(timeline: Timeline, most: int) -> list[Alike]:
    """Groups of equally loaded wires, fullest mean first, then in the order of the wiring."""
    links, used = timeline.links, mean_use(timeline)
    first = np.full(len(used), len(timeline.wiring.cable), dtype=np.int64)
    np.minimum.at(first, timeline.wiring.column, np.arange(len(timeline.wiring.cable)))
    group = _alike(links)
    number = np.bincount(group, weights=links.count).astype(np.int64)
    earliest = np.lexsort((first, group))
    leading = earliest[np.unique(group[earliest], return_index=True)[1]]
    leading = leading[first[leading] < len(timeline.wiring.cable)]  # a folded graph has one wire of each class
    order = np.lexsort((first[leading], -np.round(used[leading] / _ALIKE)))[:most]
    return [
        Alike(column=int(column), wire=int(first[column]), count=int(number[group[column]]))
        for column in leading[order].tolist()
    ]


def _alike(links: LinkLoads) -> Ints:
    """The number of each column's group of equally loaded ones."""
    if len(links.capacity) == 0:
        return np.zeros(0, dtype=np.int64)
    names = {one: index for index, one in enumerate(dict.fromkeys(zip(links.kind, links.direction, strict=True)))}
    kind = np.array([names[one] for one in zip(links.kind, links.direction, strict=True)], dtype=np.float64)
    # nine digits of the capacity, and of each use: sums in another order differ in the last few of sixteen
    capacity = np.round(np.log(links.capacity) / _ALIKE)
    use = np.round(links.rates / links.capacity / _ALIKE)
    return np.unique(np.vstack([kind, capacity, use]).T, axis=0, return_inverse=True)[1].ravel()


def wire_rows(timeline: Timeline, bins: int, most: int = MOST_WIRES) -> list[dict[str, object]]:
    """The fullest groups of equally loaded wires, each named by its first wire; bytes are one wire's in a step.

    `utilization` is the mean use in each of `bins` equal parts of the run, to six decimals.
    """
    links, wiring = timeline.links, timeline.wiring
    chosen = fullest_wires(timeline, most)
    columns = np.array([one.column for one in chosen], dtype=np.int64)
    carried, used, peak = links.bytes_on_wires(timeline.end_s), mean_use(timeline), _peak_use(links)
    over_time = wire_utilization(timeline, np.linspace(0.0, timeline.end_s, bins + 1), columns)
    return [
        {
            "from": wiring.names[wiring.cable[one.wire, 0]],
            "to": wiring.names[wiring.cable[one.wire, 1]],
            "count": one.count,
            "kind": links.kind[one.column],
            "direction": links.direction[one.column],
            "capacity_bytes_per_s": float(links.capacity[one.column]),
            "bytes": float(carried[one.column]) / timeline.steps,
            "utilization_mean": float(used[one.column]),
            "utilization_peak": float(peak[one.column]),
            "utilization": np.round(over_time[index], 6).tolist(),
        }
        for index, one in enumerate(chosen)
    ]


def equally_full(timeline: Timeline, column: int) -> int:
    """How many wires are as full over the run as one of `column`, itself included."""
    used = mean_use(timeline)
    return int(timeline.links.count[np.abs(used - used[column]) <= _ALIKE].sum())


def mean_use(timeline: Timeline) -> Floats:
    """The mean use of its usable bandwidth over the run, of a wire of each column."""
    links, end_s = timeline.links, timeline.end_s
    return links.bytes_on_wires(end_s) / (links.capacity * end_s)


def relative_capacity(links: LinkLoads) -> Floats:
    """Each column's capacity over the largest of its class: below one where it is degraded or built thinner."""
    relative = np.ones(len(links.capacity))
    for mask in classes(links).values():
        relative[mask] = links.capacity[mask] / links.capacity[mask].max()
    return relative


def thinner(links: LinkLoads) -> NDArray[np.bool_]:
    """Which columns have less capacity than the largest of their class, where at most half of its wires do.

    A fabric that bundles cables unevenly has many of either; one that is damaged, or ends in a half-empty leaf, few.
    """
    thin = relative_capacity(links) < 1 - 1e-9
    for mask in classes(links).values():
        thin[mask] &= bool((thin * links.count)[mask].sum() <= links.count[mask].sum() / 2)
    return thin


def link_utilization(timeline: Timeline, edges: Floats) -> dict[str, Floats]:
    """Mean use of usable bandwidth in each bin between `edges`, by `kind direction`."""
    links = timeline.links
    if len(links.time_s) == 0:
        return {}
    share, used = _state_share(timeline, edges), links.rates / links.capacity
    return {
        f"{kind} {direction}": np.asarray(share @ (used[:, mask] @ links.count[mask] / links.count[mask].sum()))
        for (kind, direction), mask in classes(links).items()
    }


def wire_utilization(timeline: Timeline, edges: Floats, columns: Ints) -> Floats:
    """Mean use of a wire of each of `columns` in each bin between `edges`, shape (columns, bins)."""
    links = timeline.links
    if len(links.time_s) == 0:
        return np.zeros((len(columns), len(edges) - 1))
    used = links.rates[:, columns] / links.capacity[columns]
    return np.asarray((_state_share(timeline, edges) @ used).T)


def overlap_s(cuts: Floats, edges: Floats) -> Floats:
    """Seconds that bin i (between edges) and interval j (between cuts) share, shape (bins, intervals)."""
    low = np.maximum(edges[:-1, None], cuts[None, :-1])
    high = np.minimum(edges[1:, None], cuts[None, 1:])
    return np.asarray(np.maximum(0.0, high - low))


def _peak_use(links: LinkLoads) -> Floats:
    return np.asarray((links.rates / links.capacity).max(axis=0, initial=0.0))


def _state_share(timeline: Timeline, edges: Floats) -> Floats:
    """The share of each bin in which each state of the wires holds, shape (bins, states).

    All cuts in time are laid on one axis; between two neighbours there is one bin and one state.
    """
    links = timeline.links
    bins, states = len(edges) - 1, len(links.rates)
    cuts = np.unique(np.concatenate([links.time_s, edges, [timeline.end_s]]))
    middle = (cuts[:-1] + cuts[1:]) / 2
    bin_of = np.searchsorted(edges, middle, side="right") - 1
    since = np.searchsorted(links.time_s, middle, side="right") - 1
    known = (bin_of >= 0) & (bin_of < bins) & (since >= 0) & (middle < timeline.end_s)
    cell = bin_of[known] * states + links.state[since[known]]
    seconds = np.bincount(cell, weights=np.diff(cuts)[known], minlength=bins * states)
    return np.asarray(seconds.reshape(bins, states) / np.diff(edges)[:, None])
