"""The reader of YAML: scalars as YAML 1.2, places, and nothing hostile or careless gets past it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simcluster.errors import InputError
from simcluster.scenario.compile import compile_text, load
from simcluster.scenario.document import DEEPEST, LARGEST_TEXT, MOST_NODES, read, scalar
from tests.edge_helpers import SMALL, changed, no_longer_than, refusal, scenario_file, simcluster

bounded = settings(max_examples=200, derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e3", 1000.0), ("1E3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-.5e-2", -0.005), ("+7", 7), ("-0", 0), ("0", 0),
        ("01.5", 1.5), ("1.5", 1.5), ("12", 12), ("999999999999999999999", 999999999999999999999),
        ("true", True), ("False", False), ("TRUE", True), ("null", None), ("~", None), ("", None), ("Null", None),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("Off", "Off"), ("y", "y"), ("tRUE", "tRUE"), ("nUll", "nUll"),
        ("12:30:45", "12:30:45"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("1_000", "1_000"), ("=", "="),
        ("1e", "1e"), ("e3", "e3"), (".", "."), ("+", "+"), ("1.2.3", "1.2.3"), ("nan", "nan"), ("inf", "inf"),
        ("400 Gbit/s", "400 Gbit/s"), ("٣", "٣"), ("1e3x", "1e3x"),
    ],
)  # fmt: skip
def test_scalars_mean_what_yaml_1_2_says(written: str, value: object) -> None:
    got = scalar(written)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("written", ["010", "-012", "+00", "00", "0777"])
def test_a_leading_zero_is_refused_because_readers_disagree(written: str) -> None:
    with pytest.raises(ValueError, match=rf"write {int(written)}$"):
        scalar(written)


@pytest.mark.parametrize("written", [".nan", ".NaN", ".inf", "-.Inf", "+.INF", "1e999", "-1e999", "9" * 400])
def test_what_is_no_finite_number_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        scalar(written)


def test_quotes_make_text_of_anything() -> None:
    text = "a: '1e3'\nb: \"no\"\nc: '010'\nd: \".nan\"\ne: |\n  7\nf: ''\n"
    expected = {"a": "1e3", "b": "no", "c": "010", "d": ".nan", "e": "7\n", "f": ""}
    assert read(text, "f.yaml").root == expected


def test_places_are_those_of_keys_and_of_list_entries() -> None:
    document = read("# a comment\na:\n  b: 1\nc: [x,\n  y]\n", "f.yaml")
    assert document.place(("a",)) == "f.yaml:2:1"
    assert document.place(("a", "b")) == "f.yaml:3:3"
    assert document.place(("c", 1)) == "f.yaml:5:3"
    assert document.place(("a", "b", "what is not there")) == "f.yaml:3:3"
    assert str(document.mistake(("a", "b"), "is wrong")) == "f.yaml:3:3: a.b: is wrong"


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    assert compile_text(SMALL.replace("\n", "\r\n"), "f.yaml") == compile_text(SMALL, "f.yaml")
    assert compile_text("\ufeff" + SMALL, "f.yaml") == compile_text(SMALL, "f.yaml")


words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12)
keys = words.filter(lambda word: word != "<<")
plain_values = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
)
trees = st.recursive(
    plain_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@bounded
@given(trees)
@example({"": {"": ""}})
def test_json_is_read_as_json_reads_it(tree: object) -> None:
    """JSON is a part of YAML 1.2: the same text, the same values."""
    text = json.dumps(tree, ensure_ascii=False)
    assert read(text, "f.json").root == json.loads(text)


punctuation = st.sampled_from([*" \t\n\r:-?,[]{}#&*!|>'\"%@`~=<.0123456789eEabnotrufls\\/_+", "<<: ", "- ", ": "])
hostile = st.lists(punctuation | st.characters(), max_size=60).map("".join)


@bounded
@given(hostile)
@example("? ")
@example("!")
@example("&")
@example("*")
@example("%")
@example('"\\')
@example('"\\ud800"')
@example("a: !!binary x")
@example("|9\n x")
@example("- - - ? - a")
def test_random_text_is_read_or_refused_but_never_crashes(text: str) -> None:
    error = refusal(lambda: read(text, "f.yaml"))
    if error is not None:
        assert error.mistakes
        assert all(mistake.what and mistake.origin.startswith("f.yaml") for mistake in error.mistakes)


LINES = SMALL.splitlines()


@bounded
@given(st.integers(0, len(LINES) - 1), st.integers(0, 60), hostile, st.booleans())
@example(16, 5, "", True)
@example(17, 9, "", True)
@example(7, 10, "", True)
@example(14, 6, "[]", True)
def test_a_scenario_with_random_damage_compiles_or_is_refused(line: int, column: int, junk: str, cut: bool) -> None:
    """Junk in place of the rest of a line, or in the middle of it."""
    damaged = LINES[line][:column] + junk + ("" if cut else LINES[line][column:])
    text = "\n".join([*LINES[:line], damaged, *LINES[line + 1 :]]) + "\n"
    error = refusal(lambda: compile_text(text, "f.yaml"))
    if error is not None:
        assert error.mistakes
        assert all(str(mistake).startswith("f.yaml") for mistake in error.mistakes)


keys_of_a_scenario = st.sampled_from(
    ["name", "cluster", "model", "plan", "workload", "expect", "gpu", "nvlink", "infiniband", "memory", "peak", "nodes",
     "gpus_per_node", "efficiency", "compute", "fp8", "moe", "mlp", "layers", "heads", "hidden", "experts", "precision",
     "tp", "pp", "dp", "ep", "etp", "edp", "phase", "batch", "per_gpu", "sequence", "steps", "convention", "bandwidth"]
)  # fmt: skip
values_of_a_scenario = plain_values | st.sampled_from(
    ["64 GB", "1 us", "450 GB/s", "400 TFLOPS", "fp8", "EP4_TP2_PP1", "dgx-h100", "h100-sxm", "mixtral-8x7b", "decode",
     "prefill", "gpus == 8", "folded", 0, -1, 1, 2, 8, 10**30]
)  # fmt: skip
scenarios = st.recursive(
    values_of_a_scenario,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys_of_a_scenario, inner, max_size=6),
    max_leaves=20,
)


@bounded
@given(st.dictionaries(st.sampled_from(["name", "cluster", "model", "plan", "workload", "expect"]), scenarios))
@example({"cluster": None, "model": None, "plan": None, "workload": None})
@example({"cluster": "dgx-h100", "model": "mixtral-8x7b", "plan": None, "workload": {"phase": "decode"}})
@example({"cluster": {"gpu": {"peak": {"fp8": None}, "efficiency": {"compute": None}}}})
@example({"workload": {"batch": {"total": None}}, "plan": {"name": "", "tp": True}})
def test_sections_of_any_shape_are_refused_with_mistakes(tree: dict[str, object]) -> None:
    with pytest.raises(InputError) as raised:
        compile_text(json.dumps(tree), "f.yaml")
    assert raised.value.mistakes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 200_000, f"nested deeper than {DEEPEST} levels"),
        ("{a: " * 200_000, f"nested deeper than {DEEPEST} levels"),
        ("- " * 200_000, f"nested deeper than {DEEPEST} levels"),
        ("? " * 200_000, "a mapping's key must be a word"),
        ("[" + "1," * (MOST_NODES + 1) + "]", f"more than {MOST_NODES:,} values"),
        ("a" * (LARGEST_TEXT + 1), f"longer than {LARGEST_TEXT:,} characters"),
        ("<<: [" + "{a: 1}, " * 3_000 + "]", "merge keys (<<) are not supported"),
        ("a: &a " + "x" * 50_000 + "\nb: [" + "*a, " * 40_000 + "]", "the alias *a is not supported"),
    ],
    ids=["brackets", "braces", "dashes", "questions", "many values", "long", "merge keys", "aliases"],
)  # fmt: skip
def test_hostile_files_are_refused_at_once(text: str, told: str) -> None:
    with no_longer_than(20), pytest.raises(InputError) as raised:
        read(text, "f.yaml")
    assert told in str(raised.value)


@pytest.mark.parametrize(
    "edit",
    [
        ("64 GB", '"' + "1" * 5_000 + 'x\\n\\ny"'),
        ("64 GB", '"' + "1_" * 5_000 + '\\nGB"'),
        ("64 GB", '"1' + " " * 100_000 + '\\n"'),
        ("64 GB", '"' + "1" * 100_000 + ' GB"'),
        ("name: small", 'expect: ["mfu == x' + " " * 100_000 + '\\ny"]'),
        ("name: small", 'expect: ["' + "a." * 50_000 + '"]'),
        ("EP4_TP2_PP1", "EP4_" * 50_000 + "EP4"),
        ("EP4_TP2_PP1", "EP" + "9" * 100_000),
        ("layers: 2", "layers: " + "9" * 100_000),
        ("name: small", "name: " + "n" * 100_000),
        ("precision: fp8", "precision: " + "p" * 100_000),
    ],
    ids=["digits", "underscores", "blanks", "long number", "blanks in a claim", "dots in a claim", "parts of a plan",
         "degree", "whole number", "name", "word"],
)  # fmt: skip
def test_a_long_value_is_refused_at_once_and_not_repeated_whole(edit: tuple[str, str]) -> None:
    with no_longer_than(5), pytest.raises(InputError) as raised:
        compile_text(changed(edit), "f.yaml")
    assert len(str(raised.value)) < 2_000


@pytest.mark.parametrize("content", [b"\xff\xfe\x00n", b"name: caf\xe9\n", b"\x89PNG\r\n\x1a\n\x00\x00", b"\x80"])
def test_what_is_not_utf_8_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "small.yaml"
    path.write_bytes(content)
    outcome = simcluster("run", path)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith(f"{path}: is not UTF-8 text")


@pytest.mark.parametrize(
    "content", [b"name: a\x00b\n", b"\x7fELF\x02\x01\x01", b"PK\x03\x04\x14", b"name: \x1b[31mred\n"]
)
def test_control_characters_are_refused_and_not_printed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "small.yaml"
    path.write_bytes(content)
    outcome = simcluster("run", path)
    assert outcome.code == 2
    assert outcome.err.startswith(f"{path}")
    assert "not allowed in YAML" in outcome.err
    assert outcome.err.rstrip("\n").isprintable()


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n"])
def test_an_empty_file_is_told_what_a_scenario_holds(tmp_path: Path, content: str) -> None:
    path = scenario_file(tmp_path, content)
    outcome = simcluster("run", path)
    assert outcome.code == 2
    assert outcome.err.startswith(f"{path}")
    assert "a scenario is a mapping with name, cluster, model, plan, execution, workload" in outcome.err


def test_a_folder_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.yaml", scenario_file(tmp_path) / "below a file.yaml"):
        with pytest.raises(InputError, match="cannot be read") as raised:
            load(path)
        assert str(path) in str(raised.value)
        assert simcluster("run", path).code == 2


@pytest.mark.parametrize(
    "edit",
    [
        ("name: small", '"\\e[31mred": 1'),
        ("  layers: 2", '  "\\e[2J": 2'),
        ("precision: fp8", 'precision: "\\e]0;title\\a"'),
        ("plan: EP4_TP2_PP1", 'plan: "EP4\\e[31m"'),
        ("name: small", 'expect: ["mfu == \\e[31m"]'),
        ("    memory: 64 GB", '    memory: "64 \\e[31m"'),
        ("layers: 2", 'layers: "\\e[31m"'),
    ],
)
def test_no_message_carries_a_terminal_escape(edit: tuple[str, str]) -> None:
    with pytest.raises(InputError) as raised:
        compile_text(changed(edit), "f.yaml")
    assert all(line.isprintable() for line in str(raised.value).splitlines())
