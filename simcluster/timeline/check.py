"""The verdict on one claim."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the audit: what was claimed, what came out, and why, in a sentence with its arithmetic."""

    name: str
    passed: bool
    claimed: str
    actual: str
    why: str

    def as_dict(self) -> dict[str, object]:
        return asdict(self)
