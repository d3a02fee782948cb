"""The printed factors of every kernel multiply out to its FLOPs."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path

import pytest

import simcluster

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def product(factors: str) -> float:
    """`2 x 8,192 x 1,024 / 2 (causal)` as a number."""
    over = 2 if factors.endswith("/ 2 (causal)") else 1
    return prod(float(factor.replace(",", "")) for factor in factors.removesuffix(" / 2 (causal)").split(" x ")) / over


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_the_formula_of_every_operation_gives_its_flops(path: Path) -> None:
    result = simcluster.simulate(simcluster.load(path))
    assert result.work
    for name, work in result.work.items():
        terms = re.findall(r"([\d,]+) x \((.*?)\)(?= \+ |$)", work.formula)
        added = sum(int(times.replace(",", "")) * product(factors) for times, factors in terms)
        assert added == pytest.approx(work.flops, rel=1e-9), name
    counted = {row.name: row.flops for row in result.by_operation if row.flops}
    assert {name: work.flops for name, work in result.work.items()} == pytest.approx(counted, rel=1e-9)
