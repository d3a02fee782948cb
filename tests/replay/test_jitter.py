"""Jitter: lognormal factors of mean 1, the same for the same seed, none for none."""

from __future__ import annotations

import numpy as np
import pytest

from simcluster.cluster.cluster import Jitter
from simcluster.errors import InputError
from simcluster.pipeline import simulate
from simcluster.replay.jitter import jittered
from simcluster.report.machine import result_json
from simcluster.scenario.compile import compile_text
from simcluster.scenario.render import as_tree, render
from simcluster.scenario.scenario import Scenario
from simcluster.timeline.result import Result
from tests.edge_helpers import SMALL


def compiled(*overrides: str) -> Scenario:
    return compile_text(SMALL, "small.yaml", overrides)


def run(*overrides: str) -> Result:
    return simulate(compiled(*overrides))


@pytest.mark.parametrize("relative", [0.02, 0.3, 1.0])
def test_the_factors_have_mean_one_and_their_standard_deviation(relative: float) -> None:
    """Over 400,000 draws; a lognormal's kurtosis widens what its sample deviation may be off by."""
    each = np.concatenate([jittered(np.ones(4000), Jitter(relative=relative, seed=3), index) for index in range(100)])
    assert each.mean() == pytest.approx(1, abs=5 * relative / len(each) ** 0.5)
    assert each.std() == pytest.approx(relative, rel=0.02 if relative < 1 else 0.1)
    assert np.log(each).std() == pytest.approx(np.log1p(relative**2) ** 0.5, rel=0.01)


def test_ranks_and_operations_are_independent_and_seeds_differ() -> None:
    one = np.array([np.log(jittered(np.ones(2000), Jitter(relative=0.1, seed=1), index)) for index in range(20)])
    near = np.corrcoef(one) - np.eye(20)
    assert np.abs(near).max() < 0.12
    other = np.log(jittered(np.ones(2000), Jitter(relative=0.1, seed=2), 0))
    assert abs(np.corrcoef(one[0], other)[0, 1]) < 0.1


def test_more_ranks_keep_the_draws_of_the_first() -> None:
    few, many = (jittered(np.ones(count), Jitter(relative=0.1, seed=1), 5) for count in (8, 64))
    assert (many[:8] == few).all()


def test_no_jitter_changes_nothing() -> None:
    assert compiled("faults=[{jitter: 0}]") == compiled()
    assert result_json(run("faults=[{jitter: 0}]")) == result_json(run())


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    jitter = "faults=[{jitter: 0.05}]"
    first, again, other = (result_json(run(jitter, f"seed={seed}")) for seed in (4, 4, 5))
    assert first == again
    assert first != other
    assert result_json(run("faults=[{jitter: 0.05, seed: 4}]", "seed=9")) == first


def test_every_step_repeats_its_draws() -> None:
    one, three = (run("faults=[{jitter: 0.1}]", f"workload.steps={steps}") for steps in (1, 3))
    assert one.timeline is not None
    assert three.timeline is not None
    kernels = three.timeline.on_compute
    spans = zip(three.timeline.track[kernels], three.timeline.operation[kernels], strict=True)
    seconds: dict[tuple[int, int], list[float]] = {}
    lasting = (three.timeline.finish_s - three.timeline.start_s)[kernels]
    for key, value in zip(spans, lasting.tolist(), strict=True):
        seconds.setdefault((int(key[0]), int(key[1])), []).append(value)
    assert all(values == pytest.approx([values[0]] * 3, rel=1e-9) for values in seconds.values())


def test_jitter_folds_no_ranks_and_says_so() -> None:
    result = run("faults=[{jitter: 0.05}]")
    assert result.timeline is not None
    assert result.timeline.folding.split_by == ("jitter",)
    assert result.timeline.folding.tracks == 8
    waiting = result.metrics["waiting"]
    assert waiting is not None
    assert waiting > 0
    assert sum(row.fraction for row in result.waited_for) >= waiting * (1 - 1e-9)


def test_computing_takes_as_long_on_average() -> None:
    """The mean over 20 seeds of all GPUs' computing is that without jitter."""
    found = [run("faults=[{jitter: 0.1}]", f"seed={seed}") for seed in range(20)]
    seconds = [sum(row.seconds for row in result.by_operation if row.kind == "compute") for result in found]
    healthy = sum(row.seconds for row in run().by_operation if row.kind == "compute")
    assert np.mean(seconds) == pytest.approx(healthy, abs=float(4 * np.std(seconds) / 20**0.5))
    assert np.std(seconds) < 0.01 * healthy


def test_jitter_goes_with_slow_gpus_and_survives_show() -> None:
    scenario = compiled("faults=[{gpu: node0.gpu1, factor: 0.5}, {jitter: 0.2, seed: 8}]")
    assert as_tree(scenario)["faults"] == [{"gpu": "node0.gpu1", "factor": 0.5}, {"jitter": 0.2, "seed": 8}]
    assert compile_text(render(scenario), "shown.yaml") == scenario
    named = compiled("faults=[{jitter: 0.2}]", "seed=6")
    assert named.cluster.jitter == Jitter(relative=0.2, seed=6)
    assert compile_text(render(named), "shown.yaml") == named


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("{jitter: -0.1}", "faults.0.jitter: -0.1 is too small"),
        ("{jitter: 1.5}", "faults.0.jitter: 1.5 is too large; it must be at most 1"),
        ("{jitter: some}", "faults.0.jitter: expected a number, got some"),
        ("{jitter: 0.1, factor: 0.5}", "faults.0: factor has no effect beside jitter"),
        ("{jitter: 0.1, gpu: node0.gpu0}", "faults.0: write link"),
        ("{jitter: 0.1, seed: -1}", "faults.0.seed: -1 is too small"),
        ("{gpu: node0.gpu0, factor: 0.5, seed: 1}", "faults.0: seed has no effect without jitter"),
        ("{gpu: node0.gpu0}", "faults.0.factor: missing"),
        ("{jitter: 0.1}, {jitter: 0.2}", "faults.1: jitter has a fault above already"),
    ],
)
def test_what_is_no_jitter(fault: str, told: str) -> None:
    with pytest.raises(InputError) as raised:
        compiled(f"faults=[{fault}]")
    assert told in str(raised.value)
