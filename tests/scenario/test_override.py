"""`--set PATH=VALUE`: one value replaced, names written out on the way, mistakes traced to the option."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simcluster.errors import InputError
from simcluster.scenario import catalogue
from simcluster.scenario.compile import compile_text
from simcluster.scenario.scenario import Scenario
from tests.edge_helpers import SMALL, changed, refusal, scenario_file, simcluster

BY_NAME = changed(
    (SMALL[SMALL.index("cluster:") : SMALL.index("model:")], "cluster: dgx-h100\n"),
    (SMALL[SMALL.index("model:") : SMALL.index("plan:")], "model: mixtral-8x7b\n"),
    ("plan: EP4_TP2_PP1", "plan: EP8_TP1_PP1"),
)
"""A scenario whose cluster and model are catalogue names."""


def compiled(*overrides: str, text: str = SMALL) -> Scenario:
    return compile_text(text, "small.yaml", overrides)


def refused(*overrides: str, text: str = SMALL) -> list[str]:
    with pytest.raises(InputError) as raised:
        compiled(*overrides, text=text)
    return [str(mistake) for mistake in raised.value.mistakes]


def test_a_value_is_the_same_set_or_written() -> None:
    written = changed(("64 GB", "80 GB"), ("layers: 2", "layers: 4"), ("400 Gbit/s", "200 Gbit/s"))
    options = ("cluster.gpu.memory=80 GB", "model.layers=4", "cluster.infiniband.bandwidth=200 Gbit/s")
    assert compiled(*options) == compiled(text=written)


def test_blanks_around_path_and_value_do_not_matter() -> None:
    assert compiled(" cluster.gpu.memory =  80 GB ") == compiled("cluster.gpu.memory=80 GB")


def test_the_last_of_several_wins() -> None:
    assert compiled("model.layers=4", "model.layers=6").model.layers == 6


def test_a_value_may_hold_an_equals_sign() -> None:
    assert compiled("name=a=b=c").name == "a=b=c"
    assert compiled("expect=[gpus == 8, 'mfu >= 0.1']").expect[0].line == "gpus == 8"


def test_a_missing_section_is_opened() -> None:
    text = changed(("    memory: 64 GB\n", ""))
    assert compiled("cluster.gpu.memory=64 GB", text=text) == compiled()
    assert compiled("cluster.gpu.efficiency.memory=0.5").cluster.gpu.memory_efficiency == 0.5


def test_a_whole_section_can_be_set() -> None:
    assert compiled("workload={phase: decode, batch: 8, context: 64}").workload.phase == "decode"
    assert compiled("workload.batch={per_gpu: 2}").workload.batch == 16
    assert compiled("expect=[]").expect == ()


@pytest.mark.parametrize(
    ("option", "tp", "ep", "etp"),
    [("plan.tp=4", 4, 4, 1), ("plan.tp=1", 1, 4, 1), ("plan.ep=8", 2, 8, 1), ("plan.ep=2", 2, 2, 2),
     ("plan.etp=1", 2, 4, 1), ("plan={tp: 8}", 8, 1, 8), ("plan=EP8", 1, 8, 1)],
)  # fmt: skip
def test_parts_of_a_plan_name_can_be_set(option: str, tp: int, ep: int, etp: int) -> None:
    degrees = compiled(option).plan.degrees
    assert (degrees.tp, degrees.ep, degrees.etp) == (tp, ep, etp)
    assert degrees.gpus == 8


def test_the_convention_of_a_plan_name_can_be_set() -> None:
    assert compiled().plan.convention == "orthogonal"
    folded = compiled("plan.convention=folded").plan
    assert (folded.convention, folded.degrees.etp) == ("folded", 1)


def test_a_label_does_not_outlive_the_degrees_it_named() -> None:
    text = changed(("plan: EP4_TP2_PP1", "plan: {name: EP4_TP2_PP1, tp: 2, ep: 4}"))
    assert compiled("plan.tp=1", text=text).plan.name != "EP4_TP2_PP1"


@pytest.mark.parametrize(("plan", "option"), [("EP2_TP2_DP2", "plan.tp=2"), ("EP4_TP2_DP1", "plan.ep=4")])
def test_the_dp_of_an_orthogonal_name_keeps_its_meaning(plan: str, option: str) -> None:
    """DP in an orthogonal name counts replicas of the whole; setting a degree to what it is changes nothing."""
    text = changed(("plan: EP4_TP2_PP1", f"plan: {plan}"))
    assert compiled(option, text=text).plan.degrees == compiled(text=text).plan.degrees


def test_parts_of_a_precision_word_can_be_set() -> None:
    precision = compiled("model.precision.kv_cache=bf16").model.precision
    assert (precision.kv_cache, precision.weights, precision.compute) == ("bf16", "fp8", "fp8")
    assert precision.communication == "bf16"
    assert compiled("model.precision.communication=fp8").model.precision.communication == "fp8"


def test_one_compute_efficiency_of_several_peaks_can_be_set() -> None:
    """`show` writes an efficiency for each peak, so each is a path of the resolved scenario."""
    text = changed(("{fp8: 400 TFLOPS}", "{fp8: 400 TFLOPS, bf16: 200 TFLOPS}"))
    efficiency = compiled("cluster.gpu.efficiency.compute.fp8=0.5", text=text).cluster.gpu.compute_efficiency
    assert dict(efficiency) == {"fp8": 0.5, "bf16": 0.75}


def test_parts_of_catalogue_names_can_be_set() -> None:
    base, more = compiled(text=BY_NAME), compiled("cluster.gpu.memory=96 GB", "model.layers=4", text=BY_NAME)
    assert more.cluster.gpu.memory_bytes == 96e9
    assert more.model.layers == 4
    assert more.cluster.gpu.peak_flops_per_s == base.cluster.gpu.peak_flops_per_s
    assert more.cluster.nvlink == base.cluster.nvlink
    assert more.model.ffn == base.model.ffn


def test_a_catalogue_gpu_can_be_set_and_then_changed() -> None:
    gpu = compiled("cluster.gpu=h100-sxm", "cluster.gpu.memory=96 GB").cluster.gpu
    assert gpu.memory_bytes == 96e9
    assert compiled("cluster.gpu=h100-sxm").cluster.gpu.memory_bytes == 80e9


def test_setting_one_scenario_leaves_the_catalogue_as_it_was() -> None:
    before = catalogue.look_up("cluster", "dgx-h100")
    compiled("cluster.infiniband.bandwidth=1 GB/s", "cluster.gpu.memory=1 TB", text=BY_NAME)
    assert catalogue.look_up("cluster", "dgx-h100") == before


SECTIONS: tuple[catalogue.Section, ...] = ("gpu", "cluster", "model")


@pytest.mark.parametrize(
    ("section", "name"), [(section, name) for section in SECTIONS for name in catalogue.names(section)]
)
def test_every_catalogue_name_compiles(section: catalogue.Section, name: str) -> None:
    """A model whose compute type the GPU has no peak for is told so, and is no fault of the catalogue."""
    path = "cluster.gpu" if section == "gpu" else section
    error = refusal(lambda: compiled(f"{path}={name}", "plan=TP4", text=BY_NAME))
    assert error is None or "no peak for" in str(error)


@pytest.mark.parametrize("option", ["", "nothing", "=3", ".a=3", "a..b=3", "a.=3", " =3", "plan", "."])
def test_what_is_no_assignment_is_told_how_to_write_one(option: str) -> None:
    assert refused(option) == [f"--set {option}: expected PATH=VALUE, such as plan=EP8_TP1_PP1"]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("cluster.gpu.memory=64", "cluster.gpu.memory: 64 has no unit; write it as 64 GB or 60 GiB"),
        ("cluster.gpu.memry=64 GB", "cluster.gpu.memry: unknown key; did you mean memory?"),
        ("clustr.nodes=4", "clustr: unknown key; did you mean cluster?"),
        ("model.layers=1e1", "model.layers: 10.0 is not a whole number as written; write 10"),
        ("model.layers=", "model.layers: expected a whole number, got nothing"),
        ("cluster.nodes.x=3", "cluster.nodes.x: cluster.nodes is 2, which has no part x"),
        ("cluster.gpu.memory.x=3", "cluster.gpu.memory.x: cluster.gpu.memory is '64 GB', which has no part x"),
        ("cluster.gpu=h100", "cluster.gpu: no gpu is called 'h100' in the catalogue; did you mean h100-sxm?"),
        ("cluster=dgx-h10", "cluster: no cluster is called 'dgx-h10' in the catalogue; did you mean dgx-h100?"),
        ("plan=EP3", "plan: EP3 asks for 3 GPUs"),
        ("workload.batch=9", "workload.batch: 9 sequences do not divide over dp 4 replicas; use 8 or 12"),
        ("model.moe.top_k=20", "model.moe.top_k: top_k 20 is more than the 8 experts"),
        ("expect=gpus == 8", "expect: expected a list of lines"),
        ("model.precision.kv_cache=fp9", "model.precision.kv_cache: fp9 is not one of"),
        ("<<=3", "<<: unknown key"),
    ],
)
def test_a_mistake_names_the_option_it_came_from(option: str, told: str) -> None:
    (mistake,) = refused(option)
    assert mistake.startswith(f"--set {option}: {told}")


@pytest.mark.parametrize(
    ("option", "told"),
    [("cluster.nodes=010", "write 10"), ("cluster.nodes=[", "not valid YAML"), ("cluster.nodes=*a", "not supported"),
     ("cluster.nodes=2\n---\n3", "a second document"), ("model.layers=.nan", "not a finite number"),
     ("plan=!!python/name:os.system x", "is not supported"), ("name=a\x00b", "not allowed in YAML")],
)  # fmt: skip
def test_a_value_is_read_with_the_same_guard_as_a_file(option: str, told: str) -> None:
    (mistake,) = refused(option)
    assert mistake.startswith("--set ")
    assert told in mistake


def test_a_value_nested_without_end_is_refused() -> None:
    assert "nested deeper than" in refused("cluster=" + "[" * 100_000)[0]


def test_a_mistake_inside_a_set_section_names_the_option() -> None:
    (mistake,) = refused("workload={phase: prefill, batch: 8, sequense: 128, sequence: 128}")
    assert mistake.startswith("--set workload=")
    assert "workload.sequense: unknown key; did you mean sequence?" in mistake


def test_a_part_of_something_opened_by_an_option_names_that_option() -> None:
    """`steps` is not in the file, so the file's line is not where the mistake is."""
    (mistake,) = refused("workload.steps.first=3")
    assert mistake.startswith("--set workload.steps.first=3: workload.steps")


def test_an_unknown_name_on_the_way_says_where_it_was_written() -> None:
    text = changed((SMALL[SMALL.index("cluster:") : SMALL.index("model:")], "cluster: dgx-h10\n"))
    told = "cluster: no cluster is called 'dgx-h10'"
    assert refused("cluster.nodes=1", text=text)[0].startswith(f"small.yaml:2:1: {told}")
    assert refused("cluster=dgx-h10", "cluster.nodes=1")[0].startswith(f"--set cluster=dgx-h10: {told}")
    text = changed(("plan: EP4_TP2_PP1", "plan: EP4_QP2"))
    assert refused("plan.tp=1", text=text)[0].startswith("small.yaml:17:1: plan: 'EP4_QP2' is not a plan")


def test_mistakes_of_the_file_and_of_several_options_come_together() -> None:
    text = changed(("64 GB", "64"))
    told = refused("model.layers=two", "workload.batch=no", text=text)
    assert len(told) == 3
    starts = {mistake.split(": ")[0] for mistake in told}
    assert starts == {"small.yaml:6:5", "--set model.layers=two", "--set workload.batch=no"}


def test_several_malformed_options_come_together() -> None:
    told = refused("nothing", "model.layers=010", "=3")
    assert [mistake.split(":")[0] for mistake in told] == ["--set nothing", "--set model.layers=010", "--set =3"]


def test_options_on_a_file_without_a_mapping_tell_of_the_file() -> None:
    assert refused("model.layers=4", text="- a\n")[0].startswith("small.yaml:1:1: a scenario is a mapping")


def test_a_long_option_is_not_repeated_whole() -> None:
    assert all(len(mistake) < 400 for mistake in refused("name=" + "x" * 10_000))
    assert all(len(mistake) < 400 for mistake in refused("x" * 10_000 + "=1"))


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.text(max_size=30), st.sampled_from(["", "plan.tp=", "cluster.nodes=", "model.moe.", "expect=", "name="]))
@example("plan=", "")
@example("{}", "plan.tp=")
@example("experts.x=1", "model.moe.")
def test_random_options_are_taken_or_refused(rest: str, start: str) -> None:
    error = refusal(lambda: compiled(f"{start}{rest}"))
    assert error is None or error.mistakes


def test_an_option_reaches_every_command(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    assert "80 GB" in simcluster("show", path, "--set", "cluster.gpu.memory=80 GB").out
    assert simcluster("run", path, "--json", "--set", "model.layers=4").json()["tokens"] == 1024
    assert simcluster("check", path, "--set", "expect=[gpus == 9]").code == 1
    for command in ("show", "run", "check"):
        outcome = simcluster(command, path, "--set", "model.layers=two")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == "--set model.layers=two: model.layers: expected a whole number, got two\n"
