"""`workload.expert_load` by laws, files and draws, `redundant_experts` and `seed`: written, set, shown, refused."""

from __future__ import annotations

import json
from math import fsum
from pathlib import Path

import pytest

from simcluster.errors import InputError
from simcluster.pipeline import simulate
from simcluster.plan.share import Share
from simcluster.scenario.compile import compile_text, load
from simcluster.scenario.placement import placement_rows, placement_text
from simcluster.scenario.render import as_tree, render
from simcluster.scenario.scenario import Scenario
from tests.edge_helpers import SMALL, scenario_file, simcluster


def compiled(*overrides: str) -> Scenario:
    return compile_text(SMALL, "small.yaml", overrides)


def share(scenario: Scenario) -> Share:
    return Share(model=scenario.model, degrees=scenario.plan.degrees, workload=scenario.workload)


def refused(*overrides: str) -> str:
    with pytest.raises(InputError) as raised:
        compiled(*overrides)
    return str(raised.value)


@pytest.mark.parametrize("load_", ["uniform", "{}", "{zipf: 0}", "{weights: {3: 1}}"])
def test_ways_to_say_that_all_are_equally_popular(load_: str) -> None:
    assert compiled(f"workload.expert_load={load_}") == compiled()


def test_zipf_is_permuted_by_the_seed() -> None:
    law = sorted(k**-0.9 for k in range(1, 9))
    found = [share(compiled("workload.expert_load={zipf: 0.9}", f"seed={seed}")).expert_weights for seed in range(8)]
    assert len(set(found)) == 8
    for weights in found:
        assert sorted(weight / max(weights) for weight in weights) == pytest.approx(law, rel=1e-12)
    assert share(compiled("workload.expert_load={zipf: 0.9}")).expert_weights == found[0]


def test_a_named_expert_has_its_own_weight_beside_a_law() -> None:
    law, mixed = (share(compiled(f"workload.expert_load={{zipf: 1{more}}}")).expert_weights for more in ("", ", 5: 2"))
    assert mixed[5] == 2
    assert mixed[:5] + mixed[6:] == law[:5] + law[6:]


def test_a_law_is_cut_where_a_token_would_send_an_expert_two_copies() -> None:
    weights = share(compiled("workload.expert_load={zipf: 3}")).expert_weights
    assert max(weights) * 2 == pytest.approx(fsum(weights), rel=1e-9)


def test_a_power_law_follows_the_tokens_of_the_experts() -> None:
    """1,024 tokens over edp 1; with half as many the range of loads is half as wide."""
    wide = share(compiled("workload.expert_load={power_law: 1}", "model.moe.top_k=1")).expert_weights
    half = share(
        compiled("workload.expert_load={power_law: 1}", "model.moe.top_k=1", "workload.batch=4")
    ).expert_weights
    assert max(wide) / min(wide) == pytest.approx((0.8 * 1024) ** (7 / 8), rel=1e-9)
    assert max(half) / min(half) == pytest.approx((0.8 * 512) ** (7 / 8), rel=1e-9)


@pytest.mark.parametrize(
    "overrides",
    [
        ("workload.expert_load={zipf: 1.1}", "seed=7"),
        ("workload.expert_load={power_law: 1.2, drawn: true}", "seed=3"),
        ("workload.expert_load={drawn: true}",),
        ("workload.expert_load={5: 2, drawn: true}", "workload.redundant_experts=4"),
        ("workload.expert_load={zipf: 1}", "workload.redundant_experts=8"),
        ("workload={phase: decode, batch: 8, context: 64, expert_load: {drawn: true}}",),
        ("workload={phase: generate, batch: 8, sequence: 64, output: 4, expert_load: {drawn: true}}",),
    ],
)
def test_show_gives_the_same_scenario_and_result(overrides: tuple[str, ...]) -> None:
    scenario = compiled(*overrides)
    again = compile_text(render(scenario), "shown.yaml")
    assert again == scenario
    assert again.workload.expert_load == scenario.workload.expert_load
    assert simulate(again).as_dict() == simulate(scenario).as_dict()


def test_show_writes_weights_in_place_of_a_law() -> None:
    shown = as_tree(compiled("workload.expert_load={zipf: 1}", "seed=5"))
    workload = shown["workload"]
    assert isinstance(workload, dict)
    assert list(workload["expert_load"]) == list(range(8))
    assert shown["seed"] == 5


def test_copies_can_be_drawn_over_weights_and_uniform_by_set() -> None:
    assert compiled("workload.expert_load.drawn=true") == compiled("workload.expert_load={drawn: true}")
    assert compiled("workload.expert_load=uniform", "workload.expert_load.drawn=true").workload.drawn_by == 0
    drawn = compiled("workload.expert_load={5: 2}", "workload.expert_load.drawn=true", "seed=9").workload
    assert (drawn.expert_load, drawn.drawn_by) == ({5: 2.0}, 9)


def test_even_routing_drawn_has_skew_that_fades_with_tokens() -> None:
    few, many = (
        simulate(compiled("workload.expert_load={drawn: true}", f"workload.sequence={length}")).balance
        for length in (16, 16384)
    )
    assert few["expert_load_max_over_mean"] > many["expert_load_max_over_mean"] > 1
    assert many["expert_load_max_over_mean"] < 1.02


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("expert,count\n" + "".join(f"{e},{e + 1}\n" for e in range(8)), range(1, 9)),
        ("".join(f"{e}, {9 - e}\n" for e in reversed(range(8))), range(9, 1, -1)),
        ("# counted\n\nExpert,Count\n" + "".join(f"{e},{e + 1}.5\n" for e in range(8)), [e + 1.5 for e in range(8)]),
        ("1,2,3,4,5,6,7,8\n", range(1, 9)),
        ("a,b,c,d,e,f,g,h\n1,2,3,4,5,6,7,8\n", range(1, 9)),
        ("1,2,3,4,5,6,7,8\n80,70,60,50,40,30,20,10\n", [1] * 8),
        ("1,1,1,1,0,0,0,0\n0,0,0,4,4,4,4,0\n", [1, 1, 1, 2, 1, 1, 1, 0]),
    ],
)
def test_counts_of_a_file(tmp_path: Path, text: str, weights: list[float]) -> None:
    (tmp_path / "counts.csv").write_text(text)
    path = scenario_file(tmp_path)
    found = share(load(path, ["workload.expert_load={file: counts.csv}"])).expert_weights
    total, wanted = fsum(found), fsum(weights)
    assert [weight / total for weight in found] == pytest.approx([one / wanted for one in weights], rel=1e-12)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("# nothing\n\n", "is empty"),
        ("expert,count\n0,5\n1,6\n", "has 2 experts and the model 8; a count is missing for 2, 3"),
        ("expert,count\n0,5\n8,6\n", "line 3: there is no expert 8; the model has 0 … 7"),
        ("0,5\n0,6\n", "line 2: expert 0 stands in line 1 already"),
        ("0,5\n1,-6\n", "line 2: -6 is negative"),
        ("0,5\n1,many\n", "line 2: 'many' is no count"),
        ("0,5\n1,nan\n", "line 2: 'nan' is no count"),
        ("0,5\n1,inf\n", "line 2: 'inf' is no count"),
        ("0,5\none,2\n", "line 2: 'one' is no expert"),
        ("0,5\n1,2,3\n", "line 2: has 3 columns"),
        ("expert,count\n" + "".join(f"{e},0\n" for e in range(8)), "no expert got a copy"),
        ("1,2,3\n", "line 1: has 3 counts, and the model 8 experts"),
        ("1,2,3,4,5,6,7,8\n1,2,3,4,5,6,7\n", "line 2: has 7 counts"),
        ("1,2,3,4,5,6,7,8\n0,0,0,0,0,0,0,0\n", "line 2: no expert got a copy"),
        ("a,b,c,d,e,f,g,h\n", "has a header and no counts"),
        ('"1,2\n', "is no CSV"),
        ("0,100\n" + "".join(f"{e},1\n" for e in range(1, 8)), "expert 0 with weight 100 would get 1.87 copies"),
    ],
)
def test_a_file_of_counts_that_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "counts.csv").write_text(text)
    outcome = simcluster("run", scenario_file(tmp_path), "--set", "workload.expert_load={file: counts.csv}")
    assert outcome.code == 2
    assert told in outcome.err
    assert "workload.expert_load" in outcome.err


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name, told in (("absent.csv", "is no file that can be read"), ("binary.csv", "is not UTF-8 text")):
        with pytest.raises(InputError, match=f"workload.expert_load.file: {name}: {told}"):
            load(path, [f"workload.expert_load={{file: {name}}}"])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("workload.expert_load={zipf: -1}", "workload.expert_load.zipf: -1 is too small"),
        ("workload.expert_load={power_law: steep}", "workload.expert_load.power_law: expected a number, got steep"),
        ("workload.expert_load={zipf: 1, power_law: 1}", "zipf and power_law both say how popular experts are"),
        ("workload.expert_load={zipf: 1, 5: 50}", "workload.expert_load.5: expert 5 with weight 50 would get 1."),
        ("workload.expert_load={zipf: 1, 9: 1}", "workload.expert_load.9: there is no expert 9"),
        ("workload.expert_load={zpf: 1.1}", "'zpf' is no expert"),
        ("workload.expert_load={zipf: 1, drawn: 2}", "workload.expert_load.drawn: expected true or false"),
        ("workload.expert_load=skewed", "expected a mapping such as {5: 4, 9: 2}; got skewed"),
        ("workload.redundant_experts=3", "8 experts and 3 redundant ones do not divide over ep 4 ranks; use 0 or 4"),
        ("workload.redundant_experts=-4", "workload.redundant_experts: -4 is too small"),
        ("workload.redundant_experts=28", "28 is too many: with 24 each of ep 4 ranks holds all 8 experts"),
        ("seed=1.5", "seed: expected a whole number from 0 to 2**63 - 1, got 1.5"),
        ("seed=true", "seed: expected a whole number"),
        ("seed=-1", "seed: expected a whole number"),
        ("seed=", "seed: expected a whole number"),
    ],
)
def test_mistakes_say_what_would_fit(override: str, told: str) -> None:
    assert told in refused(override)


DENSE = "model={layers: 2, hidden: 256, heads: 8, mlp: {hidden: 512}, precision: fp8}"


@pytest.mark.parametrize("key", ["expert_load={zipf: 1}", "expert_load={drawn: true}", "redundant_experts=8"])
def test_a_model_without_experts_has_no_load(key: str) -> None:
    assert "the model has no experts; leave it out" in refused(DENSE, "plan=TP8", f"workload.{key}")


def test_redundant_experts_need_not_let_ep_divide_the_experts() -> None:
    """8 experts and 4 more on 6 ranks."""
    scenario = compiled("cluster.nodes=3", "plan=EP6_TP2", "workload.redundant_experts=4", "workload.batch=12")
    assert share(scenario).experts == 2
    assert simulate(scenario).balance["experts_per_gpu_group"] == 2


def test_placement_lists_the_redundant_experts() -> None:
    scenario = compiled("workload.expert_load={5: 4}", "workload.redundant_experts=4")
    rows = placement_rows(scenario)
    assert [row["experts"] for row in rows[::2]] == list(share(scenario).expert_places)
    assert all(len(row["experts"]) == 3 for row in rows)  # type: ignore[arg-type]
    assert ",".join(map(str, share(scenario).expert_places[0])) in placement_text(rows)


def test_redundant_experts_cost_memory_and_buy_balance() -> None:
    one, other = (
        simulate(compiled("workload.expert_load={5: 5}", f"workload.redundant_experts={count}")) for count in (0, 4)
    )
    extra = other.memory["expert_weights"].bytes - one.memory["expert_weights"].bytes
    assert extra == 2 * 2 * 256 * 512 / 2  # 2 layers, 2 matrices, width cut over etp 2, fp8
    assert other.balance["expert_load_max_over_mean"] < one.balance["expert_load_max_over_mean"]
    assert one.routing is not None
    rows = {row.redundant_experts: row for row in one.routing.redundancy}
    assert rows[4].extra_bytes == extra
    assert rows[4].expert_load_max_over_mean == other.balance["expert_load_max_over_mean"]
    assert (rows[0].experts_per_gpu, rows[4].experts_per_gpu) == (2, 3)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    options = ("--set", "workload.expert_load={zipf: 1.1, drawn: true}", "--set", "seed=11", "--json")
    first, second = (simcluster("run", path, *options) for _ in range(2))
    assert first.out == second.out
    balance = json.loads(first.out)["balance"]
    assert balance["straggler_factor"] > 1
    assert balance["over_seeds"]["seeds"] == 100
    assert [row["redundant_experts"] for row in balance["redundancy"]] == [0, 4, 8, 12, 16]
