"""The scenario file: read with a guard, checked against its form, compiled into a frozen value, and written back."""

from __future__ import annotations


def json_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of a scenario file: every key with what it means, its unit, values and default.

    >>> schema = json_schema()
    >>> list(schema["properties"])[:5]
    ['name', 'cluster', 'model', 'plan', 'execution']
    """
    from simcluster.scenario.whole import schema  # its forms take a while, and reading a catalogue needs none of them

    return schema()
