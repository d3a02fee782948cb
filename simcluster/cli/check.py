"""`simcluster check`."""

from __future__ import annotations

import click

from simcluster.cli.options import json_option, scenario_argument, set_option


@click.command("check")
@scenario_argument
@set_option
@json_option
def command(scenario: str, overrides: tuple[str, ...], as_json: bool) -> int:
    """Check SCENARIO's plan and every line under `expect`, each with its arithmetic.

    Exit status 1 if a check or an expectation fails.
    """
    from simcluster.pipeline import simulate
    from simcluster.report import listing, machine
    from simcluster.scenario.compile import load

    result = simulate(load(scenario, overrides))
    click.echo(machine.check_json(result) if as_json else listing.checks(result.checks))
    return 0 if all(check.passed for check in result.checks) else 1
