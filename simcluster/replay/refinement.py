"""Colour refinement: the coarsest partition of some objects in which equals have equal neighbours.

Objects of several kinds are joined by relations, each pair with a mark.  Starting from given colours, every object is
recoloured by its own colour and, for each relation, the multiset of (mark, colour) of its partners, until no class
splits any more (Weisfeiler & Leman, 1968).  What is left is the coarsest equitable partition that refines the first
colours: any two objects of a class have, for every class and mark, equally many partners of that class with that mark.

A colour is a 64-bit number, a multiset's the sum of its members' scattered numbers.  Two different multisets of n
objects meet by chance with probability n²/2⁶⁴; folding.py checks the loads that it builds on the outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simcluster.cluster.trunks import mixed
from simcluster.traffic.crossings import Floats, Ints

Colours = NDArray[np.uint64]

_ALIKE = 1e-12
"""Relative distance of numbers that are the same sum in another order: a few thousand roundings of float64."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relation:
    """Object `one[i]` of kind `kinds[0]` has a partner `other[i]` of kind `kinds[1]`, marked `mark[i]`."""

    kinds: tuple[str, str]
    one: Ints
    other: Ints
    mark: Ints


def refined(first: dict[str, Colours], relations: Sequence[Relation]) -> dict[str, Ints]:
    """The class of every object, by kind; classes are numbered in the order of their first members."""
    colours = dict(first)
    before, now = -1, _classes(colours)
    while now > before:
        seen = {kind: mixed(colour) for kind, colour in colours.items()}
        for number, relation in enumerate(relations):
            for end, (mine, theirs, owner, partner) in enumerate(_both_ways(relation)):
                # each relation is told apart from every other, and its two ends from each other
                marks = mixed(mixed(relation.mark.astype(np.uint64)) + np.uint64(2 * number + end))
                np.add.at(seen[mine], owner, mixed(colours[theirs][partner] + marks))
        colours = {kind: mixed(colour) for kind, colour in seen.items()}
        before, now = now, _classes(colours)
    return {kind: numbered(colour) for kind, colour in colours.items()}


def _both_ways(relation: Relation) -> tuple[tuple[str, str, Ints, Ints], tuple[str, str, Ints, Ints]]:
    one, other = relation.kinds
    return (one, other, relation.one, relation.other), (other, one, relation.other, relation.one)


def _classes(colours: dict[str, Colours]) -> int:
    return sum(len(np.unique(colour)) for colour in colours.values())


def numbered(values: NDArray[np.generic]) -> Ints:
    """Equal values get equal numbers, from 0 in the order in which they first come."""
    _, first, number = np.unique(values, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[number.ravel()])


def alike(values: Floats) -> Ints:
    """Numbers that differ only by rounding get equal numbers: from one to the next larger, by less than 1e-12 of it.
    Infinity is like itself only."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    lower, upper = ascending[:-1], ascending[1:]
    with np.errstate(invalid="ignore"):
        steps = np.where(np.isinf(upper), lower != upper, upper - lower > _ALIKE * np.abs(upper))
    number = np.empty(len(values), dtype=np.int64)
    number[order] = np.concatenate([np.zeros(min(1, len(values)), dtype=np.int64), np.cumsum(steps)])
    return number


def coloured(*columns: Ints) -> Colours:
    """One colour for each row of numbers."""
    colour = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        colour = mixed(colour + mixed(column.astype(np.uint64)))
    return colour
