"""The seven degrees of a plan and the law they obey."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Convention = Literal["orthogonal", "folded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Degrees:
    """Tensor, pipeline, attention-data, context and expert parallel degrees; etp and edp inside the expert part.

    The same GPUs serve attention and experts, so tp·cp·dp·pp == etp·ep·edp·pp == gpus.
    """

    tp: int
    pp: int
    dp: int
    cp: int
    ep: int
    etp: int
    edp: int

    def __post_init__(self) -> None:
        if self.tp * self.cp * self.dp != self.etp * self.ep * self.edp:
            attention = f"tp {self.tp} x cp {self.cp} x dp {self.dp} = {self.tp * self.cp * self.dp}"
            experts = f"etp {self.etp} x ep {self.ep} x edp {self.edp} = {self.etp * self.ep * self.edp}"
            raise ValueError(f"{attention} GPUs a stage for attention, but {experts} for experts")

    @property
    def gpus(self) -> int:
        return self.tp * self.cp * self.dp * self.pp

    @property
    def splits_tokens(self) -> bool:
        """Whether a tp group's tokens are split over its lanes for the expert part (the general path).

        With ep = 1 and etp = tp every lane keeps every token and experts are cut like a dense MLP.
        """
        return not (self.ep == 1 and self.etp == self.tp)

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """GPUs each reading of a plan asks for; None where a reading is impossible."""

    orthogonal: int | None
    folded: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan for a given number of GPUs: its name, the degrees it stands for, and which reading that took.

    `named` tells a name that was written from one that was found for written degrees.
    """

    name: str
    named: bool
    degrees: Degrees
    convention: Convention
    counts: Counts
