"""`simcluster check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simcluster.cli.options import fold_option, json_option, quiet_answer_option, scenario_argument, set_option
from simcluster.cli.progress import note, waiting
from simcluster.cli.screen import put

if TYPE_CHECKING:
    from simcluster.replay.run import Fold


@click.command("check")
@scenario_argument
@set_option
@json_option
@quiet_answer_option
@fold_option
def command(scenario: str, overrides: tuple[str, ...], as_json: bool, quiet: bool, fold: Fold) -> int:
    """Check SCENARIO's plan and every line under `expect`, each with its arithmetic.

    Exit status 1 if a check or an expectation fails.
    """
    from simcluster.pipeline import simulate
    from simcluster.report import listing, machine
    from simcluster.scenario.compile import load
    from simcluster.scenario.without_effect import without_effect

    compiled = load(scenario, overrides)
    for unused in without_effect(compiled):
        note(f"no effect: {unused}")
    with waiting("simulating"):
        result = simulate(compiled, fold=fold)
    told = listing.tally(result.checks) if quiet else listing.checks(result.checks)
    put(machine.check_json(result) if as_json else told, plain=as_json)
    return 0 if all(check.passed for check in result.checks) else 1
