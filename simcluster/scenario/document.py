"""The guarded reader of YAML: text in, plain values with their places out.

PyYAML's own loaders turn `1e3` into text, `010` into 8, `no` into False, let a duplicate key win silently, and hang or
crash on hostile nesting and aliases.  This reader takes PyYAML's event stream, with limits on size, depth and number of
nodes, refuses aliases, tags and duplicate keys, and reads scalars as YAML 1.2 does.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import isinf

import yaml

from simcluster.errors import InputError, Mistake

Path = tuple[str | int, ...]
Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]

LARGEST_TEXT = 1_000_000
DEEPEST = 20
MOST_NODES = 50_000

_INT = re.compile(r"[-+]?[0-9]{1,30}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(slots=True)
class Document:
    """A tree of plain values, and where each path was written (`file:line:col`, or the option that set it).

    `mistakes` are values that could not be taken as written; they stand in the tree as None.
    """

    root: Value
    origin: str
    places: dict[Path, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, path: Path) -> str:
        """Where `path` was written, or the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return self.origin

    def mistake(self, path: Path, what: str) -> Mistake:
        return Mistake(what=what, path=dotted(path), origin=self.place(path))


def dotted(path: Path) -> str:
    return ".".join(str(key) for key in path)


def read(text: str, origin: str) -> Document:
    """The one document in `text`; InputError with its line and column for anything hostile or no YAML at all."""
    known = _read(text, origin)
    return replace(known, root=deepcopy(known.root), places=dict(known.places), mistakes=list(known.mistakes))


@lru_cache(maxsize=8)
def _read(text: str, origin: str) -> Document:
    """The document, which a sweep reads again for every point."""
    if len(text) > LARGEST_TEXT:
        raise InputError(Mistake(what=f"longer than {LARGEST_TEXT:,} characters; a scenario is a page", origin=origin))
    builder = _Builder(origin)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax(error, origin)) from None
    except yaml.reader.ReaderError as error:
        place = f"character {error.character!r} at offset {error.position}"
        what = f"{place} is not allowed in YAML; save the file as UTF-8 text"
        raise InputError(Mistake(what=what, origin=origin)) from None
    builder.document.mistakes = builder.mistakes
    return builder.document


def scalar(text: str) -> Value:
    """The value of a plain (unquoted) scalar under YAML 1.2; ValueError for one that YAML readers disagree on."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        digits = text.lstrip("+-")
        if len(digits) > 1 and digits[0] == "0":
            raise ValueError(f"{text} means one number to some YAML readers and another to others; write {int(text)}")
        return int(text)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number")
    if _FLOAT.fullmatch(text) is None:
        return text
    if isinf(float(text)):
        raise ValueError(f"{text:.40} is not a finite number here: it is too large")
    return float(text)


def _syntax(error: yaml.MarkedYAMLError, origin: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    place = f"{origin}:{mark.line + 1}:{mark.column + 1}" if mark else origin
    problem = error.problem or "not YAML"
    hint = "; indent with spaces" if "\\t" in problem else ""
    return Mistake(what=f"not valid YAML: {problem}{hint}", origin=place)


class _Builder:
    """Builds the tree from events, and stops at the first hostile one."""

    def __init__(self, origin: str) -> None:
        self.document = Document(root=None, origin=origin)
        self.mistakes: list[Mistake] = []
        self._open: list[tuple[Path, list[Value] | dict[str, Value]]] = []
        self._key: list[str | None] = []
        self._nodes = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        assert mark is not None
        place = f"{self.document.origin}:{mark.line + 1}:{mark.column + 1}"
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._refuse(place, "a second document; a scenario file holds one")
            case yaml.AliasEvent():
                self._refuse(place, f"the alias *{event.anchor:.30} is not supported; write the value out")
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._guard(event, place)
                if len(self._open) >= DEEPEST:
                    self._refuse(place, f"nested deeper than {DEEPEST} levels; no scenario is")
                child: list[Value] | dict[str, Value] = {} if isinstance(event, yaml.MappingStartEvent) else []
                path = self._attach(child, place)
                self._open.append((path, child))
                self._key.append(None)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()
                self._key.pop()
            case yaml.ScalarEvent():
                self._guard(event, place)
                self._scalar(event, place)
            case _:
                pass

    def _guard(self, event: yaml.NodeEvent, place: str) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            self._refuse(place, f"more than {MOST_NODES:,} values; no scenario has so many")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._refuse(place, f"the tag {tag:.40} is not supported; remove it")
        if self._wants_key and not isinstance(event, yaml.ScalarEvent):
            self._refuse(place, "a mapping's key must be a word")

    @property
    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1][1], dict) and self._key[-1] is None

    def _scalar(self, event: yaml.ScalarEvent, place: str) -> None:
        if self._wants_key:
            self._take_key(event.value, place)
            return
        try:
            value = scalar(event.value) if event.implicit[0] else event.value
        except ValueError as error:
            path = self._attach(None, place)
            self.mistakes.append(Mistake(what=str(error), path=dotted(path), origin=place))
            return
        self._attach(value, place)

    def _take_key(self, key: Hashable, place: str) -> None:
        path, mapping = self._open[-1]
        assert isinstance(mapping, dict)
        text = str(key)
        if text == "<<":
            self._refuse(place, "merge keys (<<) are not supported; write the values out")
        if text in mapping:
            what = "written twice; keep one"
            self.mistakes.append(Mistake(what=what, path=dotted((*path, text)), origin=place))
        self._key[-1] = text
        self.document.places[(*path, text)] = place

    def _attach(self, value: Value, place: str) -> Path:
        """Put a value where it belongs and remember the place (a mapping's entry: its key's)."""
        if not self._open:
            self.document.root = value
            self.document.places[()] = place
            return ()
        path, parent = self._open[-1]
        if isinstance(parent, dict):
            key = self._key[-1]
            assert key is not None
            self._key[-1] = None
            parent[key] = value
            return (*path, key)
        parent.append(value)
        own = (*path, len(parent) - 1)
        self.document.places[own] = place
        return own

    def _refuse(self, place: str, what: str) -> None:
        raise InputError([*self.mistakes, Mistake(what=what, origin=place)])
