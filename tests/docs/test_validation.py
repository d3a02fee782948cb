"""The errors on the page about validation are those that `simcluster validate` finds."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from simcluster.timeline.table import Cell
from simcluster.units import show_percent
from simcluster.validation.validate import validate
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")

ROW = re.compile(r"^\| (.+?) \| ([\d,]+) \| (.*?) \| (.*?) \| (.*?) \| (yes|no) \|$", re.MULTILINE)


def _percent(value: Cell) -> str:
    return "" if value is None else show_percent(float(str(value)))


@pytest.fixture(scope="module")
def regimes() -> dict[str, tuple[str, ...]]:
    def rows() -> Iterator[tuple[str, tuple[str, ...]]]:
        for row in validate().regimes.rows:
            errors = (_percent(row[name]) for name in ("mean", "median", "worst"))
            yield str(row["regime"]), (f"{row['points']:,}", *errors, str(row["fitted"]))

    return dict(rows())


@pytest.mark.slow
@pytest.mark.exhaustive
def test_every_row_is_what_the_command_finds(regimes: dict[str, tuple[str, ...]]) -> None:
    rows = ROW.findall(PAGE)
    assert len(rows) > 80
    for regime, *told in rows:
        assert tuple(told) == regimes[regime], regime
    unread = set(regimes) - {row[0] for row in rows}
    assert not {name for name in unread if not name.endswith("all sizes")}


def test_the_page_has_every_kind_of_regime_once() -> None:
    names = [row[0] for row in ROW.findall(PAGE)]
    assert len(names) == len(set(names))
    for part in ("rows kept back", "one node, from 1 MiB", "several nodes, from 16 MiB", "EP64", "Llama-2", "DeepGEMM"):
        assert any(part in name for name in names), part
