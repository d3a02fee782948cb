"""`simcluster schema`."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of a scenario, for editors: every key, its unit, its values and its default.

    Keep it beside your scenarios with `simcluster schema > scenario.schema.json`, and open a scenario with the line
    `# yaml-language-server: $schema=scenario.schema.json`.
    """
    import json

    from simcluster.scenario import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
