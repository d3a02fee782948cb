"""`simcluster new`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from simcluster.cli import place
from simcluster.cli.options import catalogue_names, quiet_option
from simcluster.cli.progress import note, waiting
from simcluster.errors import InputError, Mistake, nearest

if TYPE_CHECKING:
    from simcluster.scenario.starter import Phase


@click.command("new")
@click.argument("file", required=False, metavar="[FILE]", type=click.Path(path_type=Path))
@click.option("--model", default="mixtral-8x7b", show_default=True, metavar="NAME",
              shell_complete=catalogue_names("model"), help="A model of the catalogue.")  # fmt: skip
@click.option("--cluster", default="dgx-h100", show_default=True, metavar="NAME",
              shell_complete=catalogue_names("cluster"), help="A cluster of the catalogue.")  # fmt: skip
@click.option("--gpus", type=click.IntRange(1), metavar="N",
              help="GPUs: a part of one node, or whole nodes [default: as few nodes as hold the model].")  # fmt: skip
@click.option("--phase", type=click.Choice(["prefill", "decode", "generate"]), default="prefill", show_default=True,
              help="What the model is asked to do.")  # fmt: skip
@click.option("--plan", metavar="PLAN", help="Such as EP8_TP2 [default: a first one that fits; `search` finds better].")
@click.option("--force", is_flag=True, help="Write over FILE.")
@quiet_option
def command(
    file: Path | None, model: str, cluster: str, gpus: int | None, phase: Phase, plan: str | None, force: bool
) -> int:
    """Write a starter scenario: commented, valid and ready to run, to FILE or to stdout."""
    from simcluster.pipeline import memory_fraction
    from simcluster.scenario import catalogue
    from simcluster.scenario.compile import compile_text
    from simcluster.scenario.starter import gpus_for, starter
    from simcluster.study.first_plan import first_plan

    _refuse(file, force)
    wrong = []
    for section, name in (("model", model), ("cluster", cluster)):
        known = catalogue.names("model" if section == "model" else "cluster")
        if name not in known:
            what = f"no {section} is called {name!r:.60} in the catalogue{nearest(name, known)}"
            wrong.append(Mistake(what=what, origin=f"--{section}"))
    if wrong:
        raise InputError(wrong)
    with waiting("looking for a plan"):
        if plan is None:
            gpus, plan = first_plan(model=model, cluster=cluster, phase=phase, gpus=gpus)
        elif gpus is None:
            gpus = gpus_for(plan, cluster)
        text = starter(model=model, cluster=cluster, gpus=gpus, phase=phase, plan=plan)
        try:
            fits = memory_fraction(compile_text(text, "starter")) <= 1
        except InputError as error:
            given = f"--plan {plan} --model {model} --gpus {gpus}"
            raise InputError(Mistake(what=one.what, path=one.path, origin=given) for one in error.mistakes) from None
    if not fits:
        note(f"{plan} on {gpus} GPUs does not fit into their memory; `simcluster run` says what would")
    if file is None:
        click.echo(text, nl=False)
        return 0
    place.make_folder(file.parent)
    place.write_text(file, text)
    note(f"{file}: {model} {phase} on {gpus} GPUs of {cluster}, plan {plan}. Next: simcluster run {file}")
    return 0


def _refuse(file: Path | None, force: bool) -> None:
    """InputError where FILE could not be written, or is there already."""
    if file is None:
        return
    if str(file) == "-":
        raise InputError(Mistake(what="is no file's name; without one the scenario goes to stdout", origin="-"))
    place.refuse_unwritable(file)
    if not force and file.exists():
        raise InputError(Mistake(what="is there already; name another file, or write over it with --force",
                                 origin=str(file)))  # fmt: skip
