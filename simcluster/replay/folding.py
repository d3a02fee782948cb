"""Folding: ranks that run the same on wires loaded the same have the same timeline, and are replayed once.

A schedule is made of ranks, the groups they meet in, the flows those put on wires, and the wires.  `refinement` finds
the coarsest partition of all four in which equals have equal neighbours; one member of each class, with how many it
stands for, is a smaller schedule with the same timeline.  docs/decisions/0007 has the proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from simcluster.errors import BrokenLawError
from simcluster.replay.refinement import Colours, Relation, alike, coloured, numbered, refined
from simcluster.replay.schedule import Meeting, Parties, Place, Schedule
from simcluster.timeline.timeline import Tracks
from simcluster.traffic.crossings import Crossings, Floats, Ints
from simcluster.traffic.traffic import Leg
from simcluster.traffic.wires import Wires

Meetings = tuple[Meeting, ...]
"""One collective of every group of an axis in a stage."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """A smaller schedule with the timeline of a larger one, and the class (column) of each of that one's wires."""

    schedule: Schedule
    column: Ints


def folded(whole: Schedule) -> Fold:
    """One track for each class of equal ranks, one party for each class of groups, one column for each of wires."""
    parts = _Parts(whole)
    classes = refined(parts.first_colours(), parts.relations())
    column = classes["wire"]
    tracks = Tracks.classes(classes["rank"])
    wires = whole.wires
    first = _firsts(column)
    quotient = _Quotient(parts, classes["flow"], column)
    background = quotient.of(np.unique(classes["flow"][parts.streams]))
    demand = wires.demand[_firsts(numbered(classes["flow"][parts.streams]))] if len(wires.demand) else wires.demand
    small = Wires(
        capacity=wires.capacity[first],
        count=np.bincount(column, weights=wires.count).astype(np.int64),
        kind=tuple(wires.kind[wire] for wire in first.tolist()),
        direction=tuple(wires.direction[wire] for wire in first.tolist()),
        background=background,
        demand=demand,
    )
    party = {place: classes["party"][parts.groups[place]] for place in whole.parties}
    built: dict[int, Meetings] = {}
    for number, (place, meetings) in enumerate(parts.patterns):
        leading = _firsts(numbered(party[place])).tolist()
        built[id(meetings)] = tuple(
            _folded_meeting(meetings[group], parts.flows_of(number, group), classes["flow"], quotient, column)
            for group in leading
        )
    schedule = replace(
        whole,
        wires=small,
        tracks=tracks,
        stage=whole.stage[tracks.first],
        last_track=tracks.of_rank[whole.last_track[tracks.first]],
        seconds={index: each[tracks.first] for index, each in whole.seconds.items()},
        parties={place: _parties(whole.parties[place], party[place], tracks) for place in whole.parties},
        meetings={index: built[id(meetings)] for index, meetings in whole.meetings.items()},
    )
    return Fold(schedule=schedule, column=column)


class _Parts:
    """The objects of a schedule, numbered: ranks, groups (all axes one after the other), flows, wires.

    `patterns` are the different collectives as (axis, meetings); flows are those of pattern 0, group 0, leg 0, then of
    the next leg, and so on; the background's streams come last.
    """

    def __init__(self, whole: Schedule) -> None:
        self.whole = whole
        self.groups: dict[Place, Ints] = {}
        self.party_count = 0
        for where, parties in whole.parties.items():
            self.groups[where] = self.party_count + np.arange(len(parties.count))
            self.party_count += len(parties.count)
        met = {index: whole.collectives[index] for index in whole.meetings}
        distinct = {id(whole.meetings[i]): ((one.axis, one.stage), whole.meetings[i]) for i, one in met.items()}
        self.patterns: tuple[tuple[Place, Meetings], ...] = tuple(distinct.values())
        self._starts: dict[tuple[int, int], list[int]] = {}
        legs: list[Leg] = []
        owners: list[tuple[int, int, int]] = []  # of each leg: its pattern, its place, its group
        flows = 0
        for number, (where, meetings) in enumerate(self.patterns):
            for group, meeting in enumerate(meetings):
                starts = [flows]
                for place, leg in enumerate(meeting.traffic.legs):
                    legs.append(leg)
                    owners.append((number, place, int(self.groups[where][group])))
                    flows += leg.flows.count
                    starts.append(flows)
                self._starts[number, group] = starts
        self.streams = np.arange(flows, flows + whole.wires.background.count)
        parts = [leg.flows for leg in legs] + [whole.wires.background]
        self.crossings = Crossings.joined(parts)
        self._legs, self._owner = legs, np.array(owners, dtype=np.int64).reshape(-1, 3)

    def flows_of(self, pattern: int, group: int) -> list[Ints]:
        """The flows of each leg of a group's collective."""
        return [np.arange(start, stop) for start, stop in pairwise(self._starts[pattern, group])]

    def first_colours(self) -> dict[str, Colours]:
        """What tells objects apart by themselves: a rank's kernels, a group's latencies, payloads and limits, how far a
        flow has to go, a wire's class and capacity."""
        whole = self.whole
        kernels = {id(each): each for each in whole.seconds.values()}
        ranks = coloured(whole.stage, *(alike(each) for each in kernels.values()))
        words = zip(whole.wires.kind, whole.wires.direction, strict=True)
        named = numbered(np.array([f"{kind} {way}" for kind, way in words]))
        return {
            "rank": ranks,
            "party": self._party_colours(),
            "flow": self._flow_colours(),
            "wire": coloured(named, alike(whole.wires.capacity)),
        }

    def _party_colours(self) -> Colours:
        colour = np.zeros(self.party_count, dtype=np.uint64)
        for number, groups in enumerate(self.groups.values()):
            colour[groups] = number
        payloads = [meeting.payload_bytes for _, meetings in self.patterns for meeting in meetings]
        place = [int(one) for where, _ in self.patterns for one in self.groups[where]]
        of_pattern = np.repeat(np.arange(len(self.patterns)), [len(meetings) for _, meetings in self.patterns])
        np.add.at(colour, np.array(place, dtype=np.int64), coloured(of_pattern, alike(np.array(payloads))))
        facts = [alike(np.array([getattr(leg, name) for leg in self._legs], dtype=np.float64)) for name in _FACTS]
        pattern, leg, group = self._owner.T
        if len(group):
            np.add.at(colour, group, coloured(pattern, leg, *facts))
        return colour

    def _flow_colours(self) -> Colours:
        counts = [leg.flows.count for leg in self._legs]
        leg = np.repeat(np.arange(len(self._legs)), counts)
        streams = self.whole.wires.demand
        share = np.concatenate([np.zeros(0), *(leg.flow_share for leg in self._legs), streams])
        kind = np.concatenate([self._owner[leg, 0], np.full(len(streams), -1)])
        place = np.concatenate([self._owner[leg, 1], np.full(len(streams), -1)])
        return coloured(kind, place, alike(share))

    def relations(self) -> tuple[Relation, ...]:
        whole = self.whole
        members = []
        for place, parties in whole.parties.items():
            for of_track in (parties.of_track, parties.to_track):
                there = np.flatnonzero(of_track >= 0)
                if len(there):
                    other = self.groups[place][of_track[there]]
                    mark = np.zeros(len(there), dtype=np.int64)
                    members.append(Relation(kinds=("rank", "party"), one=there, other=other, mark=mark))
        if whole.program.stages > 1 and whole.program.chained:
            every = np.arange(len(whole.tracks))
            mark = np.zeros(len(every), dtype=np.int64)
            members.append(Relation(kinds=("rank", "rank"), one=every, other=whole.last_track, mark=mark))
        counts = [leg.flows.count for leg in self._legs]
        owner = np.repeat(self._owner[:, 2], counts)
        belonging = Relation(
            kinds=("flow", "party"), one=np.arange(len(owner)), other=owner, mark=np.zeros(len(owner), dtype=np.int64)
        )
        crossing = Relation(
            kinds=("flow", "wire"), one=self.crossings.flow, other=self.crossings.wire, mark=alike(self.crossings.use)
        )
        return (*members, belonging, crossing)


_FACTS = ("latency_s", "port_share", "limit")


class _Quotient:
    """What all flows of a class put on one wire of a class, per unit of progress of each: the sum over the flows."""

    def __init__(self, parts: _Parts, flow_class: Ints, column: Ints) -> None:
        crossings, wires = parts.crossings, len(column)
        pair, where = np.unique(flow_class[crossings.flow] * wires + crossings.wire, return_inverse=True)
        use = np.bincount(where.ravel(), weights=crossings.use, minlength=len(pair)).astype(np.float64)
        size = np.bincount(column, minlength=1)
        key, where = np.unique(pair // wires * len(size) + column[pair % wires], return_inverse=True)
        where = where.ravel()
        self._flow, self._column = key // len(size), key % len(size)
        self._use = np.bincount(where, weights=use, minlength=len(key)) / size[self._column]
        alone = np.bincount(where, minlength=len(key)) != size[self._column]
        if alone.any() or not np.allclose(use, self._use[where], rtol=1e-9, atol=0):
            raise BrokenLawError("wires of one class are not loaded alike")

    def of(self, flows: Ints) -> Crossings:
        """The crossings of some classes of flows, numbered from 0 in their order."""
        start, stop = np.searchsorted(self._flow, flows), np.searchsorted(self._flow, flows, "right")
        entry = np.concatenate([np.zeros(0, dtype=np.int64), *map(np.arange, start, stop)])
        return Crossings(
            flow=np.repeat(np.arange(len(flows)), stop - start),
            wire=self._column[entry],
            use=self._use[entry],
            count=len(flows),
        )


def _folded_meeting(
    meeting: Meeting, flows: Sequence[Ints], flow_class: Ints, quotient: _Quotient, column: Ints
) -> Meeting:
    """A group's collective, standing for those of all groups of its class."""
    legs = [_folded_leg(leg, mine, flow_class, quotient, column)
            for leg, mine in zip(meeting.traffic.legs, flows, strict=True)]  # fmt: skip
    return replace(meeting, traffic=replace(meeting.traffic, legs=tuple(legs)))


def _folded_leg(leg: Leg, flows: Ints, flow_class: Ints, quotient: _Quotient, column: Ints) -> Leg:
    mine, first = np.unique(flow_class[flows], return_index=True)
    shares: Floats = leg.flow_share[first]
    full = int(column[leg.full_wire]) if leg.full_wire >= 0 else -1
    return replace(leg, flows=quotient.of(mine), flow_share=shares, full_wire=full)


def _parties(whole: Parties, party_class: Ints, tracks: Tracks) -> Parties:
    number = numbered(party_class)
    names = tuple(whole.name[group] for group in _firsts(number).tolist())
    count = np.bincount(number, weights=whole.count).astype(np.int64)
    mine, gets = (of_track[tracks.first] for of_track in (whole.of_track, whole.to_track))
    of_class, to_class = (np.where(group >= 0, number[group], -1) for group in (mine, gets))
    return Parties.of(of_class, count, names, to_class)


def _firsts(number: Ints) -> Ints:
    """The first member of each class, classes being numbered from 0."""
    return np.unique(number, return_index=True)[1]
