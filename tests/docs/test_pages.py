"""Everything the documentation tells a reader to do works as it stands, and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, carry_out, first_missing

PAGES = sorted(
    page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "decisions"
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    carry_out(ROOT / page, tmp_path)


def test_the_guides_have_something_to_do(tmp_path: Path) -> None:
    guides = [ROOT / page for page in PAGES if "howto/" in page or page == "docs/tutorial.md"]
    assert len(guides) >= 10
    for guide in guides:
        assert re.search(r"^```(sh|python)$", guide.read_text(encoding="utf-8"), re.MULTILINE), guide


@pytest.mark.parametrize(
    ("excerpt", "missing"),
    [
        ("one\ntwo\n", None),
        ("two\nthree  \n", None),
        ("one\n…\nthree\n", None),
        ("one\nthree\n", "three"),
        ("three\none\n", "one"),
        ("one …\nt …\n", None),
        ("four\n", "four"),
        ("three\nfour\n", "four"),
    ],
)
def test_an_excerpt_is_what_was_printed(excerpt: str, missing: str | None) -> None:
    assert first_missing(excerpt, "one\ntwo\nthree\n") == missing


def test_a_command_that_fails_is_found(tmp_path: Path) -> None:
    page = ROOT / "docs" / "howto" / "best_plan.md"
    bad = tmp_path / "page.md"
    bad.write_text(page.read_text(encoding="utf-8") + "\n```sh\nsimcluster run nothing.yaml\n```\n", encoding="utf-8")
    with pytest.raises((AssertionError, ValueError)):
        carry_out(bad, tmp_path)
