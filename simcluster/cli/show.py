"""`simcluster show`."""

from __future__ import annotations

import click

from simcluster.cli.options import json_option, quiet_option, scenario_argument, set_option
from simcluster.cli.progress import waiting


@click.command("show")
@scenario_argument
@set_option
@json_option
@quiet_option
@click.option("--placement", is_flag=True, help="Show where every rank sits instead.")
@click.option("--csv", "as_csv", is_flag=True, help="Write the placement as CSV.")
def command(scenario: str, overrides: tuple[str, ...], as_json: bool, placement: bool, as_csv: bool) -> int:
    """Print SCENARIO as it was understood, every default filled in: a valid scenario with the same result."""
    import json

    from simcluster.scenario.compile import load
    from simcluster.scenario.placement import placement_csv, placement_rows, placement_text
    from simcluster.scenario.render import as_tree, render

    if as_csv and (as_json or not placement):
        raise click.UsageError("--csv goes with --placement and without --json")
    compiled = load(scenario, overrides)
    if placement:
        with waiting("listing ranks"):
            rows = placement_rows(compiled)
            text = (
                placement_csv(rows) if as_csv else json.dumps({"placement": rows}) if as_json else placement_text(rows)
            )
        click.echo(text, nl=not as_csv)
    else:
        click.echo(json.dumps(as_tree(compiled), indent=2) if as_json else render(compiled), nl=as_json)
    return 0
