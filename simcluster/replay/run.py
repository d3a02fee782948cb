"""Running a program on a cluster: how much of it has to be replayed, and the replay."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from simcluster.cluster.clos import Clos, IrregularError
from simcluster.cluster.cluster import Cluster
from simcluster.cluster.quotient import folded_graph
from simcluster.cluster.routes import Routes
from simcluster.program.program import Program
from simcluster.replay.engine import replay
from simcluster.replay.folding import folded
from simcluster.replay.length import length_s as without_spans
from simcluster.replay.listed import listed
from simcluster.replay.regular import UNEVEN, regular, unevenly_loaded
from simcluster.replay.schedule import Schedule
from simcluster.replay.wiring import lowest_ranks, wiring
from simcluster.timeline.timeline import Folding, Timeline, Wiring
from simcluster.traffic.stages import StageWires, stage_wires

Fold = Literal["auto", "off"]


def run(program: Program, cluster: Cluster, fold: Fold = "auto") -> Timeline:
    """The timeline of `program` on `cluster`.

    auto: each class of equal ranks is replayed once; the classes of a regular cluster are known before it is built.
    off: every rank is replayed.
    """
    if fold not in ("auto", "off"):
        raise ValueError(f"fold is {fold!r}; it is auto or off")
    if fold == "auto":
        try:
            clos = _clos.of(cluster)
            schedule = regular(program, clos)
            stages = stage_wires(clos, program.everyone)
        except IrregularError as irregular:
            uneven = (UNEVEN,) if unevenly_loaded(program) else ()
            return _listed(program, cluster, tuple(dict.fromkeys((*irregular.causes, *uneven))))
        wires = int(schedule.wires.count.sum())
        return replay(schedule, _folding(schedule, wires, ()), partial(_drawn, cluster, clos, stages))
    routes = Routes(cluster)
    whole = listed(program, routes)
    return replay(
        whole, _folding(whole, len(whole.wires), ()), partial(wiring, routes.graph, np.arange(len(whole.wires)))
    )


def length_s(program: Program, cluster: Cluster) -> float | None:
    """How long `run` takes to its end, found without spans; None where that takes the replay."""
    try:
        schedule = regular(program, _clos.of(cluster))
    except IrregularError:
        return None
    return without_spans(schedule)


class _LastClos:
    """The regular structure of the last cluster asked for: a search asks for one again and again."""

    def __init__(self) -> None:
        self._last: Clos | None = None

    def of(self, cluster: Cluster) -> Clos:
        """IrregularError where there is none."""
        last = self._last
        if last is None or (last.cluster is not cluster and last.cluster != cluster):
            self._last = last = Clos(cluster)
        return last


_clos = _LastClos()


def _listed(program: Program, cluster: Cluster, split_by: tuple[str, ...]) -> Timeline:
    """Every rank and wire is listed, then folded as far as `split_by` lets it."""
    routes = Routes(cluster)
    whole = listed(program, routes)
    small = folded(whole)
    folding = _folding(small.schedule, len(whole.wires), split_by)
    return replay(small.schedule, folding, partial(wiring, routes.graph, small.column))


LISTED_GPUS = 1024
"""GPUs up to which the wiring of a regular cluster is drawn wire by wire."""


def _drawn(cluster: Cluster, clos: Clos, stages: StageWires) -> Wiring:
    """The wiring of a regular cluster: listed where it can be drawn, else one node of each kind, as the first pipeline
    stage loads it."""
    if cluster.gpus > LISTED_GPUS:
        return wiring(folded_graph(clos), np.array(list(stages.columns(0).values()), dtype=np.int64))
    graph = Routes(cluster).graph
    lowest = lowest_ranks(graph, cluster)
    column = []
    for tail, head, data in graph.edges(data=True):
        if "capacity" in data:
            kind, direction = data["wire_class"].kind, data["wire_class"].direction
            column.append(stages.column_above((kind, direction), lowest[tail if direction in ("out", "up") else head]))
    return wiring(graph, np.array(column, dtype=np.int64))


def _folding(small: Schedule, wires: int, split_by: tuple[str, ...]) -> Folding:
    return Folding(
        ranks=small.tracks.ranks, tracks=len(small.tracks), wires=wires, columns=len(small.wires), split_by=split_by
    )
