"""One claimed line, `metric (==|<=|>=|<|>) value`: parsed, never evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from simcluster.timeline import metric

Relation = Literal["==", "<=", ">=", "<", ">"]

_LINE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(==|<=|>=|<|>)\s*(\S.*?)\s*", re.ASCII)

_NUMBER = re.compile(r"[-+]?\d*(?:_\d+)*\.?(\d*)(?:[eE]([-+]?\d+))?", re.ASCII)

LONGEST = 200
"""Characters of the longest claim that is looked at."""

EQUAL_WITHIN = 0.01
"""Equalities hold within 1 %: a document rounds its figures."""

ZERO_WITHIN = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A claim about one metric: `path` in `run --json`, the relation, and the claimed SI value.

    `figure` is the value as written, `numeral` its number alone, `unit` the rest, and `resolution` half a unit of its
    last written digit (counts are exact).
    """

    line: str
    path: str
    relation: Relation
    value: float
    figure: str
    numeral: float
    unit: str
    resolution: float

    @property
    def figure_alone(self) -> str:
        """The number as it was written, without its unit."""
        return self.figure.removesuffix(self.unit).strip()

    def prints(self, value: float) -> bool:
        """Whether an SI value, written with the claim's digits and unit, gives the claimed figure."""
        return self.prints_figure(value * self.numeral / self.value)

    def prints_figure(self, numeral: float) -> bool:
        """Whether a bare number, written with the claim's digits, gives the claimed figure."""
        return abs(numeral - self.numeral) <= self.resolution * (1 + 1e-9)

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
    match = _LINE.fullmatch(line) if len(line) <= LONGEST else None
    if match is None:
        raise ValueError(f"{line!r:.60} is not a claim; write metric == value, with one of == <= >= < >")
    path, figure = metric.full_path(match[1]), match[3]
    value = metric.parse_value(path, figure)
    number = _NUMBER.match(figure)
    if number is None or abs(int(number[2] or 0)) > 300:
        raise ValueError(f"{figure!r:.40} is not a number with a unit")
    numeral = float(number[0].replace("_", ""))
    exponent = int(number[2] or 0)
    exact = metric.METRICS[path] == "count"
    return Expectation(
        line=line,
        path=path,
        relation=cast(Relation, match[2]),
        value=value,
        figure=figure,
        numeral=numeral,
        unit=figure[number.end() :].strip(),
        resolution=1e-9 * abs(numeral) if exact else 0.5 * 10.0 ** (exponent - len(number[1] or "")),
    )
