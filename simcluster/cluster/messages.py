"""What goes over the wires, before it is known which: messages between ranks, and sums the switches form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """A set of messages: `sender[i]` sends `bytes[i]` bytes to the different rank `receiver[i]`."""

    sender: Ints
    receiver: Ints
    bytes: Floats

    def only(self, chosen: NDArray[np.bool_]) -> Messages:
        return Messages(sender=self.sender[chosen], receiver=self.receiver[chosen], bytes=self.bytes[chosen])

    @staticmethod
    def none() -> Messages:
        empty = np.zeros(0, dtype=np.int64)
        return Messages(sender=empty, receiver=empty, bytes=np.zeros(0))

    @staticmethod
    def joined(parts: Sequence[Messages]) -> Messages:
        """All messages of the parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        return Messages(
            sender=np.concatenate([part.sender for part in parts]),
            receiver=np.concatenate([part.receiver for part in parts]),
            bytes=np.concatenate([part.bytes for part in parts]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Everyone:
    """Every member of each of `parts` sends `bytes` bytes to each other member of its part."""

    parts: tuple[tuple[int, ...], ...]
    bytes: float

    def listed(self) -> Messages:
        """The messages one by one."""
        sender, receiver = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for part in self.parts:
            ranks = np.array(part, dtype=np.int64)
            one, other = (axis.ravel() for axis in np.meshgrid(ranks, ranks, indexing="ij"))
            apart = one != other
            sender.append(one[apart])
            receiver.append(other[apart])
        ends = np.concatenate(sender), np.concatenate(receiver)
        return Messages(sender=ends[0], receiver=ends[1], bytes=np.full(len(ends[0]), self.bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """Switches that add: each of `ranks` sends `bytes` bytes to the switches of a tier and receives as many back.

    nvlink: to the NVSwitch of its domain.  infiniband: through its NIC and up a tree of switches, each of which passes
    on one sum, and back down (SHARP).
    """

    tier: Literal["nvlink", "infiniband"]
    ranks: tuple[int, ...]
    bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What messages and reductions put on the wires together.

    `wire` and `bytes` are parallel arrays of the wires crossed; `latency_s` is that of the slowest message;
    `nvlink_bytes` counts each message once per NVLink traversal, forwarding included, `infiniband_bytes` once if it
    leaves its NVLink domain.
    """

    wire: Ints
    bytes: Floats
    latency_s: float
    nvlink_bytes: float
    infiniband_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Message `message[j]` puts `share[j]` of its bytes on wire `wire[j]`; `message` never falls."""

    message: Ints
    wire: Ints
    share: Floats
