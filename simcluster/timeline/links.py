"""Questions about wires: how full each class and each single wire was, on the whole and over time."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from simcluster.timeline.timeline import Floats, Ints, LinkLoads, Timeline, Wiring

Class = tuple[str, str]

MOST_WIRES = 32
"""Single wires that `run --json` lists."""

_ALIKE = 1e-9
"""Means whose difference is smaller are equally full: sums of the same rates in another order."""

_KINDS = {"nvlink": "NVLink", "pcie": "PCIe", "nic": "NICs", "leaf": "leaves", "spine": "spines"}
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
    ("leaf", "local"): "dragonfly, inside a group",
    ("spine", "global"): "dragonfly, between groups",
}


def in_words(kind: str, direction: str) -> str:
    """A class of wires as a legend calls it: `spine up` is spine to core, `leaf x+` torus x+."""
    if direction[-1:] in ("+", "-"):
        return f"torus {direction}"
    return _DIRECTIONS.get((kind, direction), f"{_KINDS.get(kind, kind)} {direction}")


def classes(links: LinkLoads) -> dict[Class, NDArray[np.bool_]]:
    """Which wires belong to each (kind, direction), as masks, in the order of the wires."""
    named = list(zip(links.kind, links.direction, strict=True))
    number = {one: index for index, one in enumerate(dict.fromkeys(named))}
    code = np.array([number[one] for one in named], dtype=np.int64)
    return {one: code == index for one, index in number.items()}


def link_rows(timeline: Timeline) -> list[dict[str, str | int | float]]:
    """Per class of wires: how many, bytes a step, and utilization as a share of usable bandwidth.

    The mean is over wires and time, the peak the fullest wire's at its fullest instant.
    """
    links = timeline.links
    carried = links.bytes_on_wires(timeline.end_s)
    used, fullest = mean_use(timeline), _peak_use(links)
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


def wire_rows(timeline: Timeline, bins: int, most: int = MOST_WIRES) -> list[dict[str, object]]:
    """The fullest single wires, fullest mean first, then by name (numbers in it by value); bytes are a step's.

    `utilization` is the mean use in each of `bins` equal parts of the run, to six decimals.
    """
    links, wiring = timeline.links, timeline.wiring
    chosen = fullest_wires(timeline, most)
    carried, used, peak = links.bytes_on_wires(timeline.end_s), mean_use(timeline), _peak_use(links)
    over_time = wire_utilization(timeline, np.linspace(0.0, timeline.end_s, bins + 1), chosen)
    return [
        {
            "from": wiring.names[wiring.cable[wire, 0]],
            "to": wiring.names[wiring.cable[wire, 1]],
            "kind": links.kind[wire],
            "direction": links.direction[wire],
            "capacity_bytes_per_s": float(links.capacity[wire]),
            "bytes": float(carried[wire]) / timeline.steps,
            "utilization_mean": float(used[wire]),
            "utilization_peak": float(peak[wire]),
            "utilization": np.round(over_time[index], 6).tolist(),
        }
        for index, wire in enumerate(chosen.tolist())
    ]


def fullest_wires(timeline: Timeline, most: int) -> Ints:
    """Indices of the fullest wires over the run, in the order of `wire_rows`."""
    used, wiring = mean_use(timeline), timeline.wiring
    if len(used) > most:
        least = np.partition(used, len(used) - most)[len(used) - most]
        candidates = np.flatnonzero(used >= least - _ALIKE)
    else:
        candidates = np.arange(len(used))
    order = sorted(
        candidates.tolist(), key=lambda wire: (-round(float(used[wire]) / _ALIKE), *_ends_by_value(wiring, wire))
    )
    return np.array(order[:most], dtype=np.int64)


def equally_full(timeline: Timeline, wire: int) -> int:
    """How many wires are as full as `wire` over the run, itself included."""
    used = mean_use(timeline)
    return int((np.abs(used - used[wire]) <= _ALIKE).sum())


def mean_use(timeline: Timeline) -> Floats:
    """Each wire's mean use of its usable bandwidth over the run."""
    links, end_s = timeline.links, timeline.end_s
    return links.bytes_on_wires(end_s) / (links.capacity * end_s)


def relative_capacity(links: LinkLoads) -> Floats:
    """Each wire's capacity over the largest of its class: below one where it is degraded or built thinner."""
    relative = np.ones(len(links.capacity))
    for mask in classes(links).values():
        relative[mask] = links.capacity[mask] / links.capacity[mask].max()
    return relative


def thinner(links: LinkLoads) -> NDArray[np.bool_]:
    """Which wires have less capacity than the largest of their class, where those are at most half of it.

    A fabric that bundles cables unevenly has many of either; one that is damaged, or ends in a half-empty leaf, few.
    """
    thin = relative_capacity(links) < 1 - 1e-9
    for mask in classes(links).values():
        thin[mask] &= thin[mask].mean() <= 0.5
    return thin


def link_utilization(timeline: Timeline, edges: Floats) -> dict[str, Floats]:
    """Mean use of usable bandwidth in each bin between `edges`, by `kind direction`."""
    links = timeline.links
    if len(links.time_s) == 0:
        return {}
    share, used = _state_share(timeline, edges), links.rates / links.capacity
    return {
        f"{kind} {direction}": np.asarray(share @ used[:, mask].mean(axis=1))
        for (kind, direction), mask in classes(links).items()
    }


def wire_utilization(timeline: Timeline, edges: Floats, wires: Ints) -> Floats:
    """Mean use of usable bandwidth of each of `wires` in each bin between `edges`, shape (wires, bins)."""
    links = timeline.links
    if len(links.time_s) == 0:
        return np.zeros((len(wires), len(edges) - 1))
    used = links.rates[:, wires] / links.capacity[wires]
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


def _ends_by_value(wiring: Wiring, wire: int) -> tuple[list[tuple[int, int, str]], ...]:
    """The names of a wire's ends, split so that node2 comes before node10."""
    return tuple(
        [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", wiring.names[end])]
        for end in wiring.cable[wire].tolist()
    )
