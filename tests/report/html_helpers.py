"""What the tests of pages share: the pages, a reader of their words, a window of a real browser."""

from __future__ import annotations

import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simcluster.api import compare, load, search, simulate, sweep
from simcluster.report import ranking
from simcluster.report.html.compare import compared
from simcluster.report.html.page import html
from simcluster.report.html.run import page
from simcluster.report.html.search import searched
from simcluster.report.html.sweep import swept
from simcluster.timeline.result import Result

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EXAMPLE = "scenarios/ep64_tp2_pp1.yaml"
HOSTILE = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
CHROMIUM = shutil.which("chromium")
OVER = {"cluster.infiniband.bandwidth": ["100 Gbit/s", "400 Gbit/s"], "plan": ["EP64_TP2_PP1", "EP8"]}
KINDS = ["run", "hostile", "pipeline", "unfit", "search", "compare", "sweep"]


def all_pages() -> dict[str, str]:
    """One of each of KINDS."""
    result = simulate(load(EXAMPLE))
    found = search(load("scenarios/mixtral_decode.yaml"))
    hostile = replace(result, identity=replace(result.identity, scenario=HOSTILE, plan=HOSTILE))
    return {
        "run": html(page(result)),
        "hostile": html(page(replace(hostile, checks=tuple(replace(one, why=HOSTILE) for one in result.checks)))),
        "pipeline": html(page(simulate(load(EXAMPLE, ["plan=TP2_PP4_DP16"])))),
        "unfit": html(page(simulate(load("scenarios/llama_3_70b.yaml", ["workload.batch=4096"])))),
        "search": html(searched(found, ranking.answer(found))),
        "compare": html(compared(compare(EXAMPLE, plans=["EP8", "EP3"]))),
        "sweep": html(swept(sweep(EXAMPLE, OVER, workers=1))),
    }


class Reader(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words.append(data)


def words_of(result: Result, **more: Any) -> str:
    return " ".join(" ".join(Reader(html(page(result, **more))).words).split())


def opened(browser: Browser, folder: Path, text: str, **options: Any) -> tuple[Page, list[str]]:
    """The page, and what went wrong or was asked of the network so far; the list grows."""
    file = folder / "page.html"
    file.write_text(text, encoding="utf-8")
    view, wrong = browser.new_page(**options), list[str]()
    view.on("console", lambda message: wrong.append(message.text))
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.on("request", lambda request: wrong.append(request.url) if request.url != file.as_uri() else None)
    view.goto(file.as_uri())
    return view, wrong


in_chromium = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def chromium(test: Any) -> Any:
    for mark in in_chromium:
        test = mark(test)
    return test
