"""Use over time as a page's script reads it: lanes below those of the spans, in equal bins."""

from __future__ import annotations

from typing import Any

import numpy as np

from simcluster.timeline.links import in_words, link_utilization
from simcluster.timeline.series import held_bytes
from simcluster.timeline.states import state_seconds
from simcluster.timeline.timeline import Floats, Timeline

BINS = 1_000
"""Bins of a curve; one of the 128-GPU example is 9 us wide."""


def curves(timeline: Timeline, until_s: float) -> list[dict[str, Any]]:
    """Up to an instant: how many GPUs compute, how full each class of wires is, the most activations of any rank.

    Shares are means over GPUs or wires and over a bin; the memory is the largest in it.
    """
    edges = np.linspace(0.0, until_s, BINS + 1)
    weight = timeline.tracks.count / timeline.ranks
    spent = np.tensordot(weight, np.diff(state_seconds(timeline, edges), axis=2), axes=1) / np.diff(edges)
    found = [_share("GPUs computing", "computing", spent[0])]
    uses = link_utilization(timeline, edges)
    for name, used in uses.items():
        kind, direction = name.split()
        found.append(
            _share(in_words(kind, direction), "communicating" if kind in ("nvlink", "pcie") else "exchange", used)
        )
    held = held_bytes(timeline, edges, np.zeros(len(timeline.tracks)))
    found.append({"name": "activations", "hue": "other", "most": float(held.max()) or 1.0, "measure": "bytes"})
    found[-1]["value"] = [round(one) for one in held.tolist()]
    return found


def _share(name: str, hue: str, value: Floats) -> dict[str, Any]:
    shown = [round(one, 4) for one in np.clip(value, 0.0, 1.0).tolist()]
    return {"name": name, "hue": hue, "most": 1.0, "measure": "fraction", "value": shown}
