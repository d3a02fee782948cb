"""One claimed line, `metric (==|<=|>=|<|>) value`: parsed, never evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from simcluster.timeline import metric

Relation = Literal["==", "<=", ">=", "<", ">"]

_LINE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(==|<=|>=|<|>)\s*(\S.*?)\s*", re.ASCII)

EQUAL_WITHIN = 0.01
"""Equalities hold within 1 %: a document rounds its figures."""

ZERO_WITHIN = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A claim about one metric: `path` in `run --json`, the relation, and the claimed SI value."""

    line: str
    path: str
    relation: Relation
    value: float

    def holds(self, actual: float) -> bool:
        """Whether the claim is true of `actual`.

        Counts compare exactly, `== 0` within 1e-9, other equalities within 1 %; inequalities as written.
        """
        match self.relation:
            case "<=":
                return actual <= self.value
            case ">=":
                return actual >= self.value
            case "<":
                return actual < self.value
            case ">":
                return actual > self.value
            case "==":
                return self._equals(actual)

    def _equals(self, actual: float) -> bool:
        if metric.METRICS[self.path] == "count":
            return actual == self.value
        if self.value == 0:
            return abs(actual) <= ZERO_WITHIN
        return abs(actual - self.value) <= EQUAL_WITHIN * abs(self.value)


def parse_expectation(line: object) -> Expectation:
    """The claim in `line`; ValueError says what is wrong with it and how to write it."""
    if not isinstance(line, str):
        raise ValueError("expected a line such as mfu >= 0.5")
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line!r:.60} is not a claim; write metric == value, with one of == <= >= < >")
    path = metric.full_path(match[1])
    return Expectation(
        line=line, path=path, relation=cast(Relation, match[2]), value=metric.parse_value(path, match[3])
    )
