"""`simcluster run`."""

from __future__ import annotations

from pathlib import Path

import click

from simcluster.cli.options import json_option, scenario_argument, set_option


@click.command("run")
@scenario_argument
@set_option
@json_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Keep the run in DIR.")
def command(scenario: str, overrides: tuple[str, ...], as_json: bool, out: Path | None) -> int:
    """Simulate SCENARIO and print latency, throughput, where the time goes, memory and wires.

    Exit status 1 if the plan does not fit in memory; nothing is replayed then.
    """
    from simcluster.cli import folder
    from simcluster.pipeline import simulate
    from simcluster.report import machine, text
    from simcluster.scenario.compile import load

    compiled = load(scenario, overrides)
    if out is not None:
        folder.refuse_foreign(out)
    result = simulate(compiled)
    if out is not None:
        folder.write(out, compiled, result)
    click.echo(machine.result_json(result) if as_json else text.summary(result))
    return 0 if result.fits else 1
