"""How much of a cluster was replayed, in words."""

from __future__ import annotations

from simcluster.timeline.timeline import Folding

_REASONS = 3
"""Of what splits ranks into classes, that many are named."""


def replayed(folding: Folding) -> str:
    """How much of the cluster was replayed, and what keeps ranks apart."""
    whole = folding.tracks == folding.ranks
    if whole and folding.columns == folding.wires:
        return "every rank and wire"
    wires = f"{folding.columns:,} of {folding.wires:,} wires"
    if whole:
        return f"every rank and {wires}"
    if folding.tracks == 1:
        return f"one rank for all {folding.ranks:,} and {wires}; equal ones are replayed once"
    told = f"{folding.tracks:,} classes of {folding.ranks:,} ranks and {wires}"
    reasons = ", ".join(folding.split_by[:_REASONS])
    if len(folding.split_by) > _REASONS:
        reasons += f" and {len(folding.split_by) - _REASONS:,} more"
    return f"{told}; split by: {reasons}" if reasons else told
