"""What a terminal sees: colour and folding there and nowhere else, bars for long work, and silence where asked for."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from simcluster.cli.main import COMMANDS
from simcluster.cli.screen import fitted, painted
from tests.edge_helpers import DOES_NOT_FIT, changed, scenario_file, simcluster

ESCAPE = "\x1b["


def terminal(*arguments: object, columns: int = 80, environment: dict[str, str] | None = None) -> str:
    """Everything that a command writes into a terminal of that width."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    child = subprocess.Popen(
        [sys.executable, "-m", "simcluster", *map(str, arguments)],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**kept, "TERM": "xterm-256color", **(environment or {})},
    )  # fmt: skip
    os.close(theirs)
    chunks = []
    try:
        while select.select([ours], [], [], 60)[0]:
            chunk = os.read(ours, 65536)
            if not chunk:
                break
            chunks.append(chunk)
    except OSError:  # the other end was closed
        pass
    finally:
        child.wait(60)
        os.close(ours)
    return b"".join(chunks).decode().replace("\r\n", "\n")


def bare(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", ["run", "check"])
def test_no_line_is_wider_than_the_window(command: str, columns: int, tmp_path: Path) -> None:
    text = terminal(command, scenario_file(tmp_path), columns=columns)
    assert ESCAPE in text
    assert [line for line in bare(text).splitlines() if len(line) > columns] == []


def test_a_terminal_has_colour_unless_it_was_refused(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    assert ESCAPE in terminal("check", path)
    assert ESCAPE not in terminal("check", path, environment={"NO_COLOR": "1"})
    assert ESCAPE not in terminal("check", path, environment={"TERM": "dumb"})
    assert ESCAPE not in terminal("check", path, "--json")


def test_a_file_has_colour_only_where_it_is_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scenario_file(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    plain = simcluster("run", path).out
    assert ESCAPE not in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    forced = simcluster("run", path).out
    assert ESCAPE in forced
    assert bare(forced) == plain
    assert json.loads(simcluster("run", path, "--json").out)["scenario"] == "small"


def test_folding_loses_no_word_and_goes_on_below_the_last_column() -> None:
    row = "weights    33.55 MB  " + " ".join(f"word{index}" for index in range(30))
    text = f"Title\n-----\n{row}\n\n{' '.join(f'w{index}' for index in range(60))}"
    folded = fitted(text, 60)
    assert folded.split() == text.split()
    assert max(map(len, folded.splitlines())) <= 60
    assert folded.splitlines()[3].startswith(" " * row.index("word0") + "word")
    assert fitted(text, 1000) == text


def test_wrapped_prose_is_filled_anew_and_a_list_keeps_its_lines() -> None:
    prose = "\n".join(["a " * 50 + "end", "b " * 50 + "end", "the last"])
    folded = fitted(f"Why\n---\n{prose}", 60).splitlines()
    assert [len(line) > 50 for line in folded[2:-1]] == [True] * len(folded[2:-1])
    listed = fitted(f"Listed\n------\nfirst: x\nsecond: {'y ' * 40}\nthird: z", 60).splitlines()
    assert (listed[2], listed[-1]) == ("first: x", "third: z")


def test_a_table_of_many_columns_goes_on_in_a_second_one() -> None:
    header = "name    " + "  ".join(f" column{at}" for at in range(10))
    row = "a       " + "  ".join(f"{at:>5} GB" for at in range(10))
    folded = fitted(f"Title\n-----\n{header}\n{row}", 60).splitlines()
    assert folded[:2] == ["Title", "-----"]
    assert max(map(len, folded)) <= 60
    first, second = folded[2:4], folded[5:7]
    assert (first[0].split(), second[0].split()) == (
        ["name", *(f"column{at}" for at in range(5))], ["name", *(f"column{at}" for at in range(5, 10))]
    )  # fmt: skip
    assert second[1].startswith("a           5 GB")
    assert second[0].index("column9") + len("column9") == len(second[1])


def test_paint_changes_no_character() -> None:
    text = "Name\n====\n\nBound by its kernels: x\n\ncomputing  1 ms  ███\nok    a\nFAIL  b\n      refuted (so): c\n"
    assert bare(painted(text)) == text
    assert painted(text).count(ESCAPE) >= 2 * 7


def test_quiet_gives_the_answer_in_a_line(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    run, check = simcluster("run", path, "--quiet"), simcluster("check", path, "-q")
    values = simcluster("run", path, "--json").json()
    assert re.fullmatch(
        r"EP4_TP2_PP1: [\d.]+ us a step, [\d,]+ tokens/s, MFU [\d.]+ %, [\d.]+ % of a GPU's memory\.\n", run.out
    )
    assert f"{values['latency_s'] * 1e6:.4g} us" in run.out
    assert re.fullmatch(r"\d+ of \d+ checks hold, 0 fail\.\n", check.out)
    search = simcluster("search", path, "-q", "--workers", 1)
    assert (search.out.count("\n"), search.err) == (1, "")
    unfit = simcluster("run", path, "-q", "--set", DOES_NOT_FIT)
    assert (unfit.code, unfit.err) == (1, "")
    assert "does not fit" in unfit.out


def test_quiet_keeps_errors_and_drops_notes(tmp_path: Path) -> None:
    wrong = scenario_file(tmp_path, changed(("hidden: 256", "hiden: 256")), "wrong.yaml")
    assert "did you mean hidden?" in simcluster("run", wrong, "--quiet").err
    path, figure = scenario_file(tmp_path), tmp_path / "plans.svg"
    assert "figure:" in simcluster("search", path, "--plot", figure, "--workers", 1).err
    assert simcluster("search", path, "--plot", figure, "--workers", 1, "--quiet").err == ""


def test_long_work_shows_a_bar_on_a_terminal_and_none_when_quiet(tmp_path: Path) -> None:
    asked = ("search", scenario_file(tmp_path), "--workers", 1)
    assert re.search(r"plans .*\d+/\d+", bare(terminal(*asked)))
    assert not re.search(r"plans .*\d+/\d+", bare(terminal(*asked, "--quiet")))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_in_80_columns(command: str) -> None:
    outcome = simcluster(command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: simcluster {command} ")
    assert max(map(len, outcome.out.splitlines())) <= 80
