"""Choosing a collective's algorithm and giving it its time, on hardware with and without measured constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from simcluster.cluster.cluster import Cluster
from simcluster.program.program import ALGORITHMS, ONE_WAY, Collective, CollectiveKind, Copies
from simcluster.traffic.algorithms import pattern, refusal
from simcluster.traffic.exchange import uneven
from simcluster.traffic.pattern import Group, Pattern
from simcluster.traffic.timing import ADDED_IN_SWITCH, SHOTS, Timing, exchange_timing, timing
from simcluster.traffic.traffic import Traffic

DEDUP = "node-dedup"

EXCHANGES = {DEDUP: "normal", "low-latency": "low_latency"}
"""Algorithms for tokens only, which `auto` never takes, and DeepEP's name of the mode."""


class Pricing:
    """The traffic of collectives on one cluster.

    `put` puts a group's pattern on its routes, once; the result is priced for every size.
    """

    def __init__(self, cluster: Cluster, put: Callable[[Pattern, Group], Traffic]) -> None:
        self._cluster, self._put = cluster, put
        self._shapes: dict[tuple[object, ...], Traffic] = {}

    def of(self, op: Collective, group: Group, payload_bytes: float) -> Traffic:
        """One group's part of a program's collective, by the algorithm its cluster chooses for the kind."""
        chosen = ONE_WAY if op.axis == "pp" else self._cluster.algorithms.get(op.kind, "auto")
        if op.shares and op.axis == "ep":
            return self._uneven(op, group, payload_bytes, chosen)
        return self.traffic(op.kind, group, payload_bytes, op.dtype, chosen, op.copies, back=op.back)

    def _uneven(self, op: Collective, group: Group, payload_bytes: float, chosen: str) -> Traffic:
        """An all-to-all that gives member j its share j of every buffer, or takes from it as much (`back`): at the pace
        of the even one."""
        if chosen not in ("auto", "direct"):
            raise ValueError(f"{chosen} serves even all-to-alls only, and workload.expert_load is not even; use direct")
        key = ("uneven", group, op.shares, op.back)
        if key not in self._shapes:
            matrix = np.tile(np.array(op.shares), (len(group), 1))
            shape = Pattern(algorithm="direct", phases=(uneven(group, matrix.T if op.back else matrix),))
            self._shapes[key] = self._put(shape, group)
        if self._cluster.library is None:
            return self._shapes[key]
        timed = timing(op.kind, "direct", group, payload_bytes, self._cluster, op.dtype)
        even = self._shape(op.kind, group, "direct", None)
        return self._shapes[key] if timed is None else _priced(self._shapes[key], timed, payload_bytes, like=even)

    def traffic(
        self,
        kind: CollectiveKind,
        group: Group,
        payload_bytes: float,
        dtype: str = "bf16",
        algorithm: str = "auto",
        copies: Copies | None = None,
        *,
        back: bool = False,
    ) -> Traffic:
        """The collective's load and time.

        With a library, `auto` takes the algorithm and protocol whose measured time, as the library's tuner sees it, is
        least; an algorithm without constants goes at the wires' pace.  ValueError says why the group cannot use the
        algorithm, CutOffError that a way is missing.
        """
        timed: dict[str, Timing] = {}
        if self._cluster.library is not None:
            all_names = tuple(name for name in ALGORITHMS[kind] if name not in SHOTS)
            names = all_names if algorithm == "auto" else (algorithm,)
            timed = self._timings(kind, names, group, payload_bytes, dtype, copies, back)
        if algorithm == "auto" and not timed and kind == "all_reduce" and dtype not in ADDED_IN_SWITCH:
            algorithm = "ring"
        if not timed:
            return self._shape(kind, group, algorithm, copies)
        best = min(timed, key=lambda name: timed[name].preferred_s)
        return _priced(self._shape(kind, group, best, copies), timed[best], payload_bytes)

    def exchange(
        self,
        group: Group,
        payload_bytes: float,
        copies: Copies,
        mode: str,
        *,
        back: bool,
        sms: int | None = None,
    ) -> Traffic:
        """Expert dispatch, or combine (`back`), of a payload of all copies of a rank's tokens."""
        algorithm = "direct" if mode == "low_latency" else DEDUP
        shape = self._shape("all_to_all", group, algorithm, copies)
        timed = self._exchange_timing(group, payload_bytes, copies, mode, back, sms)
        return shape if timed is None else _priced(shape, timed, payload_bytes)

    def _exchange_timing(
        self, group: Group, payload_bytes: float, copies: Copies, mode: str, back: bool, sms: int | None
    ) -> Timing | None:
        if self._cluster.library is None:
            return None
        tokens = payload_bytes / copies.top_k / copies.token_bytes
        phase = "moe_combine" if back else "moe_dispatch"
        return exchange_timing(phase, mode, group, tokens, copies, self._cluster, sms)

    def _timings(
        self,
        kind: CollectiveKind,
        names: tuple[str, ...],
        group: Group,
        payload_bytes: float,
        dtype: str,
        copies: Copies | None,
        back: bool,
    ) -> dict[str, Timing]:
        """The measured time of every algorithm that the group can use and the library knows."""
        found: dict[str, Timing] = {}
        for name in names:
            if refusal(kind, name, group, self._cluster, copies) is not None:
                continue
            if name not in EXCHANGES:
                one = timing(kind, name, group, payload_bytes, self._cluster, dtype)
            elif len(names) == 1 and copies is not None:
                one = self._exchange_timing(group, payload_bytes, copies, EXCHANGES[name], back, None)
            else:
                one = None
            if one is not None:
                found[name] = one
        return found

    def _shape(self, kind: CollectiveKind, group: Group, algorithm: str, copies: Copies | None) -> Traffic:
        spread = None if copies is None else (copies.top_k, copies.experts)
        key = (kind, group, algorithm, spread if algorithm == DEDUP else None)
        if key not in self._shapes:
            self._shapes[key] = self._put(pattern(kind, group, self._cluster, algorithm, copies), group)
        return self._shapes[key]


def _priced(shape: Traffic, timed: Timing, payload_bytes: float, like: Traffic | None = None) -> Traffic:
    """The measured latency before the first leg, and no leg faster than its share of the measured transfer.

    The transfer is that of `like`, whose busiest port sets the pace; of the shape itself unless given.
    """
    moved = sum(leg.port_share for leg in (like or shape).legs)
    pace = payload_bytes * moved / timed.transfer_s if timed.transfer_s > 0 else float("inf")
    first = replace(shape.legs[0], latency_s=timed.latency_s, limit=pace)
    rest = (replace(leg, latency_s=0.0, limit=pace) for leg in shape.legs[1:])
    return replace(shape, algorithm=f"{shape.algorithm}/{timed.protocol}", legs=(first, *rest))
