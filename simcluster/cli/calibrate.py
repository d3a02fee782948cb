"""`simcluster calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from simcluster.cli.options import catalogue_names, json_option, quiet_option
from simcluster.cli.progress import progress
from simcluster.cli.screen import put
from simcluster.errors import InputError, Mistake


@click.command("calibrate")
@click.argument("file", metavar="FILE.csv", type=click.Path(path_type=Path))
@json_option
@quiet_option
@click.option(
    "--gpu",
    "name",
    required=True,
    metavar="NAME",
    shell_complete=catalogue_names("gpu"),
    help="The catalogue's GPU that was measured.",
)
@click.option("-o", "--out", "output", type=click.Path(path_type=Path), metavar="PROFILE.npz",
              help="Write the profile there.")  # fmt: skip
def command(file: Path, as_json: bool, name: str, output: Path | None) -> int:
    """Fit measured kernels: a profile for scenarios and `simcluster kernel`, with its errors on rows kept back.

    FILE.csv has a row for each kernel, in the columns kernel, dtype, the sizes by the names that `simcluster kernel`
    has (m, n, k, kv_dtype, batch, sequence, context, heads, kv_heads, head_dim, window, tokens, hidden, inner, experts,
    top_k, ep, tp, gated, skew; empty where a kernel has none), and the time as latency_s, latency_ms or latency_us.
    """
    from simcluster.cli.place import make_folder
    from simcluster.gpu import profile_file
    from simcluster.report import calibration_text, machine
    from simcluster.validation.calibrate import calibrate

    if output is not None:
        output = _place(output, file)
    with progress("tables", quiet=as_json) as told:
        found = calibrate(file, name, output, told)
    if output is not None:
        make_folder(output.parent)
        profile_file.write(found.profile, output)
    path = None if output is None else str(output)
    if as_json:
        put(machine.calibration_json(found.tables, found.roofline, found.gpu, found.notes, path), plain=True)
    else:
        put(calibration_text.calibration(found.tables, found.roofline, found.gpu, found.notes, path))
    return 0


def _place(output: Path, file: Path) -> Path:
    """Where the profile goes, absolute and behind all links; InputError if it cannot, or if something else is there."""
    from simcluster.cli.place import refuse_unwritable
    from simcluster.gpu import profile_file

    try:
        place = output.resolve()
        same = place == file.resolve() or (place.exists() and file.exists() and place.samefile(file))
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(Mistake(what=f"cannot be written: {error}", origin=str(output))) from None
    if same:
        raise InputError(Mistake(what="holds the measurements; name a new file", origin=str(output)))
    if output.name in (profile_file.SUFFIX, "") and not place.is_dir():
        what = f"has no name before {profile_file.SUFFIX}; name a file such as mine{profile_file.SUFFIX}"
        raise InputError(Mistake(what=what, origin=str(output)))
    if place.suffix != profile_file.SUFFIX and not place.is_dir():
        what = f"the name of a profile ends in {profile_file.SUFFIX}, such as {output.stem}{profile_file.SUFFIX}"
        raise InputError(Mistake(what=what, origin=str(output)))
    refuse_unwritable(place)
    if place.exists():
        try:
            profile_file.read(str(place))
        except InputError:
            raise InputError(Mistake(what="holds something else; name a new file", origin=str(output))) from None
    return place
