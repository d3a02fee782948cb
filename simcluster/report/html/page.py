"""A page as one HTML file: no remote address, and only the scripts and styles that it brings may run."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from simcluster.report.html.blocks import Chart, Page

SCRIPTS = ("draw.js", "timeline.js", "chart.js", "tables.js")

_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def html(page: Page) -> str:
    """The whole file."""
    style, script = _asset("page.css"), "\n".join(map(_asset, SCRIPTS))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    charts = [block for block in page.blocks if isinstance(block, Chart)]
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.from_string(_asset("page.html")).render(
        page=page,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        data=Markup(embedded([{"chart": one.chart, "data": one.data} for one in charts])),
    )


def embedded(data: object) -> str:
    """JSON that may stand inside a script element: no sign that could end it."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _asset(name: str) -> str:
    return (files("simcluster.report.html") / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a browser counts it: of what stands between the tags."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
