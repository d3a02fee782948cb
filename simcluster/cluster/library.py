"""A communication library's measured constants: how its protocols spend time when nothing else uses the wires.

    time = floor + hypot(latency, transfer)
    latency  = sum over tiers of step * rounds on the tier
    transfer = max over tiers of bytes through the busiest port / (efficiency * datasheet bandwidth)

Latency and transfer overlap in part, because a round is cut into chunks that follow each other; the hypotenuse lies
between their maximum and their sum.  The library takes the protocol with the smallest preference * time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

Tier = str
"""nvlink, or the network between nodes: infiniband or efa."""

Factors = tuple[float, float]
"""Factors on a tier's efficiency and on its latency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTerms:
    """One tier of a protocol.

    `step_s` is a latency-bound round, `efficiency` the share of the tier's datasheet bandwidth, `own` the weight of the
    bytes a rank copies to itself, `peer_efficiency` (instead of efficiency) the pace of the bytes for one peer.
    """

    step_s: float = 0.0
    efficiency: float = 1.0
    own: float = 0.0
    peer_efficiency: float | None = None

    def paced(self, factors: Factors) -> TierTerms:
        efficiency, latency = factors
        peer = None if self.peer_efficiency is None else min(1.0, efficiency * self.peer_efficiency)
        own_pace = min(1.0, efficiency * self.efficiency)
        return replace(self, step_s=latency * self.step_s, efficiency=own_pace, peer_efficiency=peer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One way of an algorithm to move data, such as NCCL's ll, ll128 and simple."""

    name: str
    floor_s: float
    preference: float
    tiers: Mapping[Tier, TierTerms]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeProtocol:
    """One way of expert dispatch or combine, beside the tiers' terms.

    `token_bytes_per_s`: one token's own pace; `per_expert_s`: work per expert of the model; an SM of the kernel spends
    `sm_per_token_s` on a token and copies at `sm_bytes_per_s` over NVLink, at `sm_rail_bytes_per_s` towards the NIC.
    """

    name: str
    floor_s: float
    tiers: Mapping[Tier, TierTerms]
    token_bytes_per_s: float
    per_expert_s: float
    sm_per_token_s: float
    sm_bytes_per_s: float
    sm_rail_bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """Protocols by kind and algorithm, as the catalogue's file names them; `network` is the tier between nodes."""

    name: str
    network: Tier
    source: str
    protocols: Mapping[tuple[str, str], tuple[Protocol, ...]]
    exchanges: Mapping[tuple[str, str], tuple[ExchangeProtocol, ...]]

    def paced(self, near: Factors, far: Factors) -> Library:
        """The library on wires with so many times their efficiency, 1 at most, and latency: NVLink and between nodes.

        What has no tier of its own, such as a floor, goes with the outermost tier the protocol uses; the pace of
        copying SMs goes with the wire they feed.
        """

        def tiers(terms: Mapping[Tier, TierTerms]) -> dict[Tier, TierTerms]:
            return {tier: one.paced(near if tier == "nvlink" else far) for tier, one in terms.items()}

        def outer(terms: Mapping[Tier, TierTerms]) -> Factors:
            return far if any(tier != "nvlink" for tier in terms) else near

        def protocol(one: Protocol) -> Protocol:
            _, latency = outer(one.tiers)
            return replace(one, floor_s=latency * one.floor_s, tiers=tiers(one.tiers))

        def exchange(one: ExchangeProtocol) -> ExchangeProtocol:
            efficiency, latency = outer(one.tiers)
            return replace(
                one,
                floor_s=latency * one.floor_s,
                tiers=tiers(one.tiers),
                token_bytes_per_s=efficiency * one.token_bytes_per_s,
                per_expert_s=latency * one.per_expert_s,
                sm_per_token_s=one.sm_per_token_s / near[0],
                sm_bytes_per_s=near[0] * one.sm_bytes_per_s,
                sm_rail_bytes_per_s=far[0] * one.sm_rail_bytes_per_s,
            )

        return replace(
            self,
            protocols={key: tuple(map(protocol, members)) for key, members in self.protocols.items()},
            exchanges={key: tuple(map(exchange, members)) for key, members in self.exchanges.items()},
        )
