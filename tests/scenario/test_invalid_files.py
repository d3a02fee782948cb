"""Each file in invalid/ holds one mistake (or several); its first lines say which words the user must read.

`# expects: line:col: path: how the message begins` stands for one mistake each, and no other may be reported.
`# fits: words` must stand somewhere in the messages: what would be right.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simcluster.errors import InputError
from simcluster.scenario.compile import load
from tests.edge_helpers import simcluster

INVALID = sorted((Path(__file__).parent / "invalid").glob("*.yaml"))


def _headers(path: Path, word: str) -> list[str]:
    start = f"# {word}: "
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(start) for line in lines if line.startswith(start)]


def test_there_are_invalid_files() -> None:
    assert len(INVALID) > 150
    assert all(path.read_text(encoding="utf-8").startswith("# expects: ") for path in INVALID)
    assert all(_headers(path, "fits") for path in INVALID)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_a_mistake_is_told_with_its_place_and_what_would_fit(path: Path) -> None:
    outcome = simcluster("run", path)
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    told = outcome.err.splitlines()
    for expected in _headers(path, "expects"):
        matching = [line for line in told if line.startswith(f"{path}:{expected}")]
        assert len(matching) == 1, f"expected {expected!r} in:\n{outcome.err}"
    for fitting in _headers(path, "fits"):
        assert fitting in outcome.err
    assert len(told) == len(_headers(path, "expects")), f"more is reported than is wrong:\n{outcome.err}"


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_the_library_raises_what_the_command_prints(path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load(path)
    mistakes = raised.value.mistakes
    assert mistakes
    assert all(mistake.origin.startswith(f"{path}:") and mistake.what for mistake in mistakes)
    assert str(raised.value).splitlines() == [str(mistake) for mistake in mistakes]
