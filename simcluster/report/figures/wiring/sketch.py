"""A drawing of the wiring before it is drawn: symbols at places in inches, and which of them stands for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simcluster.timeline.timeline import Ints, Timeline

Points = NDArray[np.float64]
"""Corners of a line, shape (corners, 2), in inches."""

SWITCHES = ("leaf", "spine", "core", "top")
"""Switches between machines, from the machines upwards."""

MANY = {
    "gpu": "GPUs", "nvswitch": "NVSwitches", "pcie": "PCIe roots", "nic": "NICs", "leaf": "leaves", "spine": "spines",
    "core": "cores", "top": "tops", "router": "routers", "node": "nodes",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A symbol: its kind, centre, width and height in inches, and the text in it, of a `size` in points."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    text: str = ""
    size: float = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The frame of a machine, or (`stacked`) of several drawn as one."""

    x: float
    y: float
    width: float
    height: float
    stacked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Text centred at a place, or beginning or ending there; `backed` if it hides the cables behind it."""

    x: float
    y: float
    text: str
    size: float = 8.0
    align: str = "center"
    backed: bool = False


Path = Callable[[Mark, Mark], list[Points]]


def straight(a: Mark, b: Mark) -> list[Points]:
    return [np.array([[a.x, a.y], [b.x, b.y]])]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sketch:
    """Symbols, frames and labels in a field of `width` by `height` inches.

    `mark_of[i]` is the index of the symbol that stands for node i of the wiring, -1 where none does; `path` gives the
    lines that a cable between two symbols is drawn as.
    """

    width: float
    height: float
    marks: tuple[Mark, ...]
    mark_of: Ints
    boxes: tuple[Box, ...] = ()
    labels: tuple[Label, ...] = ()
    path: Path = field(default=straight)


class View:
    """Questions about a wiring that layouts ask; `machines` are its nodes of GPUs, numbered by `owner`.

    In a `routed` wiring, a torus or a dragonfly, leaves are joined to leaves and called routers.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.wiring = timeline.wiring
        self.kinds = np.array(self.wiring.kinds)
        self.owner = np.array(self.wiring.owner, dtype=np.int64)
        self.machines = int(self.owner.max()) + 1
        self.cable_kind = np.array(timeline.links.kind, dtype=np.str_)[self.wiring.column]
        self.direction = np.array(timeline.links.direction, dtype=np.str_)[self.wiring.column]
        self.routed = bool(np.isin(self.direction, ["local", "global", "x+", "x-"]).any())

    @cached_property
    def inside(self) -> list[dict[str, list[int]]]:
        """What is in each machine, by kind; an NVSwitch of several machines is in none."""
        found: list[dict[str, list[int]]] = [defaultdict(list) for _ in range(self.machines)]
        for index, owner in enumerate(self.owner.tolist()):
            if owner >= 0 and index not in self.domains:
                found[owner][self.wiring.kinds[index]].append(index)
        return found

    @cached_property
    def domains(self) -> dict[int, list[int]]:
        """NVSwitches that join several machines, and which."""
        joined: dict[int, set[int]] = defaultdict(set)
        for tail, head in self.wiring.cable.tolist():
            if self.wiring.kinds[tail] == "nvswitch":
                joined[tail].add(int(self.owner[head]))
        return {switch: sorted(owners) for switch, owners in joined.items() if len(owners) > 1}

    @cached_property
    def neighbours(self) -> list[list[int]]:
        """The nodes that each node of the wiring has a cable to or from, in ascending order."""
        found: list[set[int]] = [set() for _ in self.wiring.names]
        for tail, head in self.wiring.cable.tolist():
            found[tail].add(head)
            found[head].add(tail)
        return [sorted(one) for one in found]

    def many(self, kind: str) -> str:
        """The plural of a kind."""
        return MANY["router" if kind == "leaf" and self.routed else kind]

    def switches(self, kind: str) -> list[int]:
        return np.flatnonzero((self.kinds == kind) & (self.owner < 0)).tolist()

    def joined(self, kinds: Iterable[str]) -> Ints:
        """A number for every node: equal where cables join two through NICs, machines and switches of `kinds`.

        Two nodes of one machine count as joined.
        """
        through = np.isin(self.kinds, [*kinds, "nic"])
        cable = self.wiring.cable
        cable = cable[through[cable].all(axis=1)] if len(cable) else cable
        first = np.full(self.machines, -1, dtype=np.int64)
        pairs = cable.tolist()
        for index, owner in enumerate(self.owner.tolist()):
            if owner >= 0 and index not in self.domains:
                if first[owner] < 0:
                    first[owner] = index
                pairs.append([int(first[owner]), index])
        return components(len(self.kinds), pairs)

    def machine_part(self, part: Ints) -> list[int]:
        """The part that each machine belongs to, of the parts that `joined` numbers."""
        return [int(part[next(iter(kinds.values()))[0]]) for kinds in self.inside]


def components(count: int, pairs: Iterable[Sequence[int]]) -> Ints:
    """The connected component of each of `count` nodes, as the smallest index in it."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return np.array([root(node) for node in range(count)], dtype=np.int64)


def fitting(width: float, *texts: str) -> str:
    """The first text that fits into `width` inches at the size of text in a symbol; empty if none does."""
    return next((text for text in texts if text_width(text) <= width), "")


def text_width(text: str) -> float:
    """Inches of a symbol that has room for this text."""
    return 0.058 * len(text) + 0.08


def span(machines: Sequence[int]) -> str:
    """`node 3`, or `node 0 … 15`."""
    return f"node {machines[0]}" if len(machines) == 1 else f"node {machines[0]} … {machines[-1]}"
