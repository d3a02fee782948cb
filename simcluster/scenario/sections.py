"""The sections of a document on their way to values: forms checked, mistakes gathered."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from simcluster.errors import InputError, Mistake
from simcluster.scenario import override
from simcluster.scenario.document import Document, Value
from simcluster.scenario.forms import Form
from simcluster.scenario.validation import validate

F = TypeVar("F", bound=Form)

SEEDS = 2**63
"""How many seeds there are."""


def read_text(path: str | Path) -> str:
    """The text of a scenario file; InputError if it cannot be read."""
    if str(path) in ("", "-"):
        what = "is no file's name; a scenario may be read several times, so not from standard input"
        raise InputError(Mistake(what=what, origin=repr(str(path))))
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(Mistake(what=f"cannot be read: {error.strerror}", origin=str(path))) from None
    except UnicodeDecodeError:
        raise InputError(Mistake(what="is not UTF-8 text", origin=str(path))) from None


class Sections:
    """A document and the mistakes found in it so far."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.mistakes = list(document.mistakes)

    def told_once(self) -> Iterable[Mistake]:
        """The mistakes without repetitions; what could not be read is not complained of a second time."""
        unread = {mistake.path for mistake in self.document.mistakes if mistake.path}
        kept = self.mistakes[len(self.document.mistakes) :]
        return dict.fromkeys([*self.document.mistakes, *(m for m in kept if m.path not in unread)])

    def wrong(self, path: str, what: str) -> None:
        self.mistakes.append(self.document.mistake(tuple(path.split(".")) if path else (), what))

    def report(self, wrong: Iterable[tuple[str, str]]) -> None:
        for path, what in wrong:
            self.wrong(path, what)

    def seed(self, root: dict[str, Value]) -> int:
        """The document's seed, 0 where it has none or a wrong one."""
        seed = root.get("seed", 0)
        return seed if type(seed) is int and 0 <= seed < SEEDS else 0

    def check_seed(self, root: dict[str, Value]) -> None:
        seed = root.get("seed", 0)
        if type(seed) is not int or not 0 <= seed < SEEDS:
            self.wrong("seed", f"expected a whole number from 0 to 2**63 - 1, got {seed!r:.40}")

    def section(self, root: dict[str, Value], key: str, form: type[F]) -> F | None:
        """A section as its form; a catalogue name or a file to import is written out first."""
        if key not in root:
            return None
        try:
            tree = override.written_out((key,), root[key], self.document.origin)
        except InputError as error:
            self.report((mistake.path, mistake.what) for mistake in error.mistakes)
            return None
        value, mistakes = validate(self.document, (key,), tree, form)
        self.mistakes += mistakes
        return value
