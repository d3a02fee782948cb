"""How much more, or how much less, a plan's memory allows."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """Changes with which a plan fits that did not, each the value of a `--set`; the fullest GPU's memory over its
    capacity then, and a step's latency."""

    changes: tuple[str, ...]
    memory_fraction: float
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The most sequences of the whole deployment, and the longest `length_name` (sequence or context, in tokens), that
    fit with all else as it is; 0 where not even one does.  `remedies` are for a plan that does not fit."""

    largest_batch: int
    largest_length: int
    length_name: str
    remedies: tuple[Remedy, ...] = ()

    def as_dict(self) -> dict[str, object]:
        return {
            "largest_batch": self.largest_batch,
            f"largest_{self.length_name}": self.largest_length,
            "remedies": [asdict(remedy) for remedy in self.remedies],
        }
