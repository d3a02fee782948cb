"""Shipped hardware and models by name, as the same mappings a scenario would write out."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

from simcluster.errors import nearest
from simcluster.scenario.document import Value, read

Section = Literal["gpu", "cluster", "model", "library"]

_FOLDERS: dict[Section, tuple[str, str]] = {
    "gpu": ("simcluster.gpu", "catalogue"),
    "cluster": ("simcluster.cluster", "catalogue/clusters"),
    "model": ("simcluster.model", "catalogue"),
    "library": ("simcluster.cluster", "catalogue/libraries"),
}


def names(section: Section) -> tuple[str, ...]:
    """The names a scenario may use for a section."""
    package, folder = _FOLDERS[section]
    files = resources.files(package).joinpath(folder).iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


@cache
def text(section: Section, name: str) -> str:
    """The file of a name as it stands, comments and all."""
    package, folder = _FOLDERS[section]
    return resources.files(package).joinpath(folder, f"{name}.yaml").read_text(encoding="utf-8")


def look_up(section: Section, name: str) -> dict[str, Value]:
    """The mapping behind a catalogue name, fresh for every caller; ValueError names what there is.

    A cluster's GPU, named in its file, is written out too.
    """
    known = names(section)
    if name not in known:
        raise ValueError(f"no {section} is called {name!r:.60} in the catalogue{nearest(name, known)}")
    tree = read(text(section, name), f"catalogue {section} {name}").root
    assert isinstance(tree, dict)
    if isinstance(tree.get("gpu"), str):
        tree["gpu"] = look_up("gpu", str(tree["gpu"]))
    return tree
