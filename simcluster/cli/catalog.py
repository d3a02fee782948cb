"""`simcluster catalog`."""

from __future__ import annotations

import click

from simcluster.cli.options import json_option, quiet_option
from simcluster.cli.screen import put
from simcluster.errors import InputError, Mistake, nearest

KINDS = ("gpu", "cluster", "model", "library", "profile")


def _entries(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names that complete what is written after a kind."""
    from simcluster.scenario import shelf

    kind = str(ctx.params.get("kind") or "").removesuffix("s")
    return [name for name in (shelf.names(kind) if kind in KINDS else ()) if name.startswith(incomplete)]


def _kinds(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


@click.command("catalog")
@click.argument("kind", required=False, metavar="[KIND]", shell_complete=_kinds)
@click.argument("name", required=False, metavar="[NAME]", shell_complete=_entries)
@json_option
@quiet_option
def command(kind: str | None, name: str | None, as_json: bool) -> int:
    """List what a scenario may name: key numbers with units, and their sources.

    KIND is gpu, cluster, model, library or profile; NAME prints one entry in full, as YAML to paste into a scenario.
    --json has SI units.
    """
    import json

    from simcluster.report import shelf_text
    from simcluster.scenario import shelf

    one = None if kind is None else _one_of(kind.removesuffix("s"), kind, KINDS, "kind")
    if one is not None and name is not None:
        _one_of(name, name, shelf.names(one), one)
        put(json.dumps(shelf.plain(one, name)) if as_json else shelf.written(one, name), plain=True)
        return 0
    tables = {each: shelf.shelf(each) for each in (KINDS if one is None else (one,))}
    if as_json:
        put(json.dumps({each: [dict(row) for row in table.rows] for each, table in tables.items()}), plain=True)
    else:
        put(shelf_text.shelves(list(tables.values())))
    return 0


def _one_of(word: str, written: str, known: tuple[str, ...], what: str) -> str:
    if word not in known:
        raise InputError(Mistake(what=f"no {what} is called {written!r:.60}{nearest(word, known)}", origin="catalog"))
    return word
