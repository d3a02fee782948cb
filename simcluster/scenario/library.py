"""Reading a communication library's constants from the catalogue."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from simcluster.cluster.library import ExchangeProtocol, Library, Protocol, TierTerms
from simcluster.errors import InputError, Mistake
from simcluster.scenario import catalogue
from simcluster.scenario.document import Value
from simcluster.scenario.forms import Bandwidth, Form, Line, Seconds, Share

EFA = "-efa"
"""Ending of a library's name that takes its constants for AWS's fabric between nodes."""

EXCHANGES = ("moe_dispatch", "moe_combine")


class TierForm(Form):
    step: Seconds = 0.0
    efficiency: Share = 1.0
    own: Annotated[float, Field(ge=0)] = 0.0
    peer_efficiency: Share | None = None


class SmForm(Form):
    per_token: Seconds = 0.0
    rate: Bandwidth
    rail_rate: Bandwidth | None = None


class ProtocolForm(Form):
    floor: Seconds
    preference: Annotated[float, Field(gt=0, le=1)] = 1.0
    token_rate: Bandwidth | None = None
    per_expert: Seconds = 0.0
    nvlink: TierForm | None = None
    infiniband: TierForm | None = None
    efa: TierForm | None = None
    sm: SmForm | None = None

    def tiers(self) -> dict[str, TierTerms]:
        forms = {"nvlink": self.nvlink, "infiniband": self.infiniband, "efa": self.efa}
        return {name: _terms(form) for name, form in forms.items() if form is not None}


class LibraryForm(Form):
    """A file of the catalogue: kind -> algorithm -> protocol -> constants."""

    source: Line
    kinds: dict[str, dict[str, dict[str, ProtocolForm]]]

    @model_validator(mode="before")
    @classmethod
    def _gather_kinds(cls, tree: object) -> object:
        if not isinstance(tree, dict):
            return tree
        kinds = {key: value for key, value in tree.items() if key != "source"}
        return {"source": tree.get("source"), "kinds": kinds}


def _terms(form: TierForm) -> TierTerms:
    return TierTerms(step_s=form.step, efficiency=form.efficiency, own=form.own, peer_efficiency=form.peer_efficiency)


def names() -> tuple[str, ...]:
    """Libraries a cluster may name."""
    files = catalogue.names("library")
    return tuple(sorted([*files, *(f"{name}{EFA}" for name in files)]))


@cache
def library(name: str) -> Library:
    """The library of that name; ValueError lists those there are."""
    tree: Value = catalogue.look_up("library", name.removesuffix(EFA))
    try:
        form = LibraryForm.model_validate(tree)
    except ValidationError as error:
        raise InputError(Mistake(what=str(error), origin=f"catalogue library {name}")) from None
    protocols: dict[tuple[str, str], tuple[Protocol, ...]] = {}
    exchanges: dict[tuple[str, str], tuple[ExchangeProtocol, ...]] = {}
    for kind, algorithms in form.kinds.items():
        for algorithm, members in algorithms.items():
            if kind in EXCHANGES:
                exchanges[kind, algorithm] = tuple(_exchange(name, one) for name, one in members.items())
            else:
                protocols[kind, algorithm] = tuple(
                    Protocol(name=name, floor_s=one.floor, preference=one.preference, tiers=one.tiers())
                    for name, one in members.items()
                )
    return Library(
        name=name,
        network="efa" if name.endswith(EFA) else "infiniband",
        source=form.source,
        protocols=protocols,
        exchanges=exchanges,
    )


def _exchange(name: str, form: ProtocolForm) -> ExchangeProtocol:
    assert form.sm is not None
    return ExchangeProtocol(
        name=name,
        floor_s=form.floor,
        tiers=form.tiers(),
        token_bytes_per_s=form.token_rate or float("inf"),
        per_expert_s=form.per_expert,
        sm_per_token_s=form.sm.per_token,
        sm_bytes_per_s=form.sm.rate,
        sm_rail_bytes_per_s=form.sm.rail_rate or float("inf"),
    )
