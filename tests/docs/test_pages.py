"""Everything the documentation tells a reader to do works as it stands, and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simcluster.errors import InputError
from tests.docs.pages import ROOT, carry_out, first_missing

PAGES = sorted(
    page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "decisions"
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    carry_out(ROOT / page, tmp_path)


def test_the_guides_have_something_to_do() -> None:
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


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```sh\nsimcluster run nothing.yaml\n```\n", r"page\.md:1: exit status 2"),
        ("```sh\necho one\n```\n\n```text\ntwo\n```\n", r"page\.md:5: not printed: 'two'"),
        ("Text.\n\n```python\nraise SystemExit(4)\n```\n", r"page\.md:3: exit status 4"),
        ("```fortran\nend\n```\n", "nothing carries out a block of fortran"),
    ],
)
def test_a_page_that_is_wrong_is_found(page: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(page, encoding="utf-8")
    with pytest.raises(AssertionError, match=complaint):
        carry_out(tmp_path / "page.md", tmp_path)


def test_a_scenario_with_a_mistake_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("```yaml\nworkload: {phase: training}\n```\n", encoding="utf-8")
    with pytest.raises(InputError, match="phase"):
        carry_out(tmp_path / "page.md", tmp_path)


def test_a_scenario_is_kept_under_its_name(tmp_path: Path) -> None:
    body = (ROOT / "scenarios" / "mixtral_prefill.yaml").read_text(encoding="utf-8")
    text = f"```yaml\n# mine.yaml\n{body}```\n\n```sh\nhead -1 mine.yaml\n```\n\n```text\n# mine.yaml\n```\n"
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    assert carry_out(tmp_path / "page.md", tmp_path) == 3
