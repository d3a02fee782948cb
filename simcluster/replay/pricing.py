"""Choosing a collective's algorithm and giving it its time, on hardware with and without measured constants."""

from __future__ import annotations

from dataclasses import replace

from simcluster.cluster.routes import Routes
from simcluster.program.program import ALGORITHMS, Collective, CollectiveKind, Copies
from simcluster.replay.collectives import refusal
from simcluster.replay.pattern import Group
from simcluster.replay.timing import ADDED_IN_SWITCH, SHOTS, Timing, exchange_timing, timing
from simcluster.replay.traffic import Traffic, traffic

DEDUP = "node-dedup"


class Pricing:
    """The traffic of collectives on one cluster; patterns are put on their routes once and priced for every size."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._shapes: dict[tuple[object, ...], Traffic] = {}

    def of(self, op: Collective, group: Group) -> Traffic:
        """One group's part of a program's collective, by the algorithm its cluster chooses for the kind."""
        chosen = self._routes.cluster.algorithms.get(op.kind, "auto")
        return self.traffic(op.kind, group, op.payload_bytes, op.dtype, chosen, op.copies, back=op.back)

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
        if self._routes.cluster.library is not None:
            all_names = tuple(name for name in ALGORITHMS[kind] if name not in SHOTS)
            names = all_names if algorithm == "auto" else (algorithm,)
            timed = self._timings(kind, names, group, payload_bytes, dtype, copies, back)
        if algorithm == "auto" and not timed and kind == "all_reduce" and dtype not in ADDED_IN_SWITCH:
            algorithm = "ring"
        if not timed:
            return self._shape(kind, group, algorithm, copies, back)
        best = min(timed, key=lambda name: timed[name].preferred_s)
        return _priced(self._shape(kind, group, best, copies, back), timed[best], payload_bytes)

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
        shape = self._shape("all_to_all", group, algorithm, copies, back)
        timed = self._exchange_timing(group, payload_bytes, copies, mode, back, sms)
        return shape if timed is None else _priced(shape, timed, payload_bytes)

    def _exchange_timing(
        self, group: Group, payload_bytes: float, copies: Copies, mode: str, back: bool, sms: int | None
    ) -> Timing | None:
        if self._routes.cluster.library is None:
            return None
        tokens = payload_bytes / copies.top_k / copies.token_bytes
        phase = "moe_combine" if back else "moe_dispatch"
        return exchange_timing(phase, mode, group, tokens, copies, self._routes.cluster, sms)

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
            if refusal(kind, name, group, self._routes.cluster, copies) is not None:
                continue
            if name != DEDUP:
                one = timing(kind, name, group, payload_bytes, self._routes.cluster, dtype)
            elif len(names) == 1 and copies is not None:
                one = self._exchange_timing(group, payload_bytes, copies, "normal", back, None)
            else:
                one = None
            if one is not None:
                found[name] = one
        return found

    def _shape(self, kind: CollectiveKind, group: Group, algorithm: str, copies: Copies | None, back: bool) -> Traffic:
        spread = None if copies is None else (copies.top_k, copies.experts)
        key = (kind, group, algorithm, spread if algorithm == DEDUP else None, back)
        if key not in self._shapes:
            self._shapes[key] = traffic(kind, group, self._routes, algorithm=algorithm, copies=copies, back=back)
        return self._shapes[key]


def _priced(shape: Traffic, timed: Timing, payload_bytes: float) -> Traffic:
    """The measured latency before the first leg, and no leg faster than its share of the measured transfer."""
    moved = sum(leg.port_share for leg in shape.legs)
    pace = payload_bytes * moved / timed.transfer_s if timed.transfer_s > 0 else float("inf")
    first = replace(shape.legs[0], latency_s=timed.latency_s, limit=pace)
    rest = (replace(leg, latency_s=0.0, limit=pace) for leg in shape.legs[1:])
    return replace(shape, algorithm=f"{shape.algorithm}/{timed.protocol}", legs=(first, *rest))
