"""The command as the process a user starts: streams, pipes, other folders, hash seeds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.edge_helpers import FILES, changed, process, program_file, scenario_file


def test_module_and_script_are_the_same_command(tmp_path: Path) -> None:
    """From another folder than the checkout's, with a file name of spaces and letters beyond ASCII."""
    scenario_file(tmp_path, name="ein Plan für 日本.yaml")
    script = process("run", "ein Plan für 日本.yaml", "--json", folder=tmp_path)
    module = process("run", "ein Plan für 日本.yaml", "--json", folder=tmp_path, module=True)
    assert script == module
    assert (script.code, script.err) == (0, "")
    assert script.json()["gpus"] == 8


def test_hash_seed_and_locale_change_no_byte(tmp_path: Path) -> None:
    scenario_file(tmp_path)
    for out, environment in (
        ("a", {"PYTHONHASHSEED": "1"}),
        ("b", {"PYTHONHASHSEED": "4242", "LC_ALL": "C", "TZ": "Pacific/Kiritimati", "COLUMNS": "40"}),
    ):
        assert process("run", "small.yaml", "--out", out, folder=tmp_path, environment=environment).code == 0
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_mistakes_end_the_process_with_two_and_no_traceback(tmp_path: Path) -> None:
    scenario_file(tmp_path, changed(("64 GB", "64")))
    outcome = process("run", "small.yaml", folder=tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "small.yaml:6:5: cluster.gpu.memory: 64 has no unit; write it as 64 GB or 60 GiB\n"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_signs_that_an_encoding_lacks_are_question_marks(encoding: str, tmp_path: Path) -> None:
    scenario_file(tmp_path)
    outcome = process("run", "small.yaml", folder=tmp_path, environment={"PYTHONIOENCODING": encoding})
    assert (outcome.code, outcome.err) == (0, "")
    assert "computing" in outcome.out
    assert "???" in outcome.out


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    """As in `simcluster run … | head -1`: the other end of the pipe is closed before anything is written."""
    scenario_file(tmp_path)
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [program_file(), "run", "small.yaml", "--json"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
            timeout=100,
        )
    finally:
        os.close(write)
    assert done.stderr == ""
    assert done.returncode != 3


@pytest.mark.parametrize("stdout", ["full", "closed"])
def test_an_output_that_cannot_be_written_is_not_called_our_bug(stdout: str, tmp_path: Path) -> None:
    scenario_file(tmp_path)
    target = "> /dev/full" if stdout == "full" else ">&-"
    done = subprocess.run(
        ["bash", "-c", f'"$0" run small.yaml {target}', program_file()],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
        timeout=100,
    )
    assert done.returncode != 3
    assert "Traceback" not in done.stderr
    if stdout == "full":
        assert done.returncode != 0
        assert "No space left on device" in done.stderr


def test_interrupting_a_sweep_ends_with_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    scenario_file(tmp_path)
    command = [
        program_file(),
        "sweep",
        "small.yaml",
        "--over",
        "workload.steps=1..2000",
        "--out",
        "out",
        "--workers",
        "1",
    ]
    # Not measured: a signal that arrives inside coverage's own lock leaves it locked, and the process waits forever.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    # A job that a shell put in the background ignores Ctrl-C, and its children inherit that; a handler they do not.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, inherited)
    try:
        wait_for_points(tmp_path / "out" / "state.sqlite", running)
        os.kill(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
        running.communicate()
    assert (running.returncode, out) == (130, "")
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "results.csv").exists()


def wait_for_points(file: Path, running: subprocess.Popen[str]) -> None:
    """Return once the running sweep has kept a point."""
    program = (
        "import sqlite3, sys, time\n"
        "end = time.monotonic() + 60\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        found = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)\n"
        "        count = found.execute('SELECT count(*) FROM points').fetchone()[0]\n"
        "        found.close()\n"
        "        if count >= 3:\n"
        "            sys.exit(0)\n"
        "    except sqlite3.Error:\n"
        "        pass\n"
        "    time.sleep(0.01)\n"
        "sys.exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, timeout=100)
    assert running.poll() is None, "the sweep ended before it could be interrupted"
