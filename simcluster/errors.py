"""Mistakes a user can mend, and bugs that are ours.

A `Mistake` says where, what is wrong and what would fit; an `InputError` carries all mistakes found in one go, so
that a user mends a file once.  A `BrokenLawError` is raised by an assertion that stays on: never the user's fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing wrong with the input.

    `path` is the dotted place in the scenario (`plan.tp`), or empty for the whole document.  `origin` names where the
    text came from: a file, `file:line:col`, or an option such as `--set plan=…`.
    """

    what: str
    path: str = ""
    origin: str = ""

    def __str__(self) -> str:
        return printable(": ".join(part for part in (self.origin, self.path, self.what) if part))


def printable(text: str) -> str:
    """The text with control and formatting characters written out, so that a terminal shows them and does not obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class InputError(ValueError):
    """The input holds one or more mistakes; nothing was run and nothing was written."""

    def __init__(self, mistakes: Iterable[Mistake] | Mistake | str) -> None:
        if isinstance(mistakes, str):
            mistakes = Mistake(what=mistakes)
        self.mistakes: tuple[Mistake, ...] = (mistakes,) if isinstance(mistakes, Mistake) else tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Mistake, ...]]]:
        """Keep the mistakes when the error travels between processes of a sweep."""
        return (InputError, (self.mistakes,))


class Together:
    """The mistakes of several steps that do not need each other, told in one go."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def of(self, step: Callable[[], T]) -> T | None:
        """What the step gives; None where it is wrong."""
        try:
            return step()
        except InputError as error:
            self.mistakes += error.mistakes
            return None

    def tell(self) -> None:
        """InputError if any step was wrong."""
        if self.mistakes:
            raise InputError(self.mistakes)


class BrokenLawError(AssertionError):
    """A law every replay obeys does not hold: a bug of the simulator, not of the scenario."""


def shortened(items: Sequence[object]) -> str:
    """The items, or the first three and the last with their number."""
    if len(items) <= 4:
        return ", ".join(map(str, items))
    return ", ".join(map(str, items[:3])) + f", … {items[-1]} ({len(items)} in all)"


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where a known word is close to `word`, else the list of known words."""
    from difflib import get_close_matches

    words = sorted(known)
    close = get_close_matches(word, words, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(words)}"
