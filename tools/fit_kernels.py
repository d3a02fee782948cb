"""Derives the shipped kernel profiles from the raw tables.

    python -m tools.fit_kernels ../shared/data       # writes the files and prints the errors on rows kept back

Runs from the root of the checkout; same data, same files.  Each profile is fitted twice: to 85 % of the rows, for the
errors on the others, and to all rows.  Four minutes of CPU time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simcluster.gpu.fitting import profile_of
from simcluster.gpu.profile_file import SUFFIX, write
from simcluster.scenario import build
from simcluster.scenario.catalogue import look_up
from simcluster.scenario.hardware import GpuForm
from simcluster.validation.kernel_rows import rows
from tools.kernel_errors import TITLE, held_out, summary, with_errors

PROFILES = Path(__file__).resolve().parent.parent / "simcluster" / "gpu" / "profiles"

TABLES = "kernel tables of aiconfigurator-core 0.12.0 (Apache-2.0, Copyright NVIDIA CORPORATION & AFFILIATES)"
SOURCES = {
    "a100-sxm": f"{TABLES}: TensorRT-LLM 1.0.0 on A100 SXM",
    "h100-sxm": f"{TABLES}: TensorRT-LLM 1.3.0rc20 on H100 SXM",
    "h200-sxm": f"{TABLES}: TensorRT-LLM 1.3.0rc20 on H200 SXM",
    "b200-sxm": f"{TABLES}: TensorRT-LLM 1.3.0rc20 on B200 SXM",
}

SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with measured/")
    parser.add_argument("--gpu", action="append", choices=list(SOURCES), help="only this one; may be repeated")
    options = parser.parse_args()
    say = sys.stdout.write
    say(f"{TITLE}\n")
    for name in options.gpu or SOURCES:
        # Without a profile of its own: a fit must not see an earlier one.
        gpu = build.gpu(GpuForm.model_validate(look_up("gpu", name) | {"profile": None}))
        measured = list(rows(options.data / "measured", name))
        found = held_out(gpu, measured, SEED)
        profile = with_errors(profile_of(gpu, SOURCES[name], measured), found)
        for line in summary(profile, found):
            say(f"{line}\n")
        write(profile, PROFILES / f"{name}{SUFFIX}")


if __name__ == "__main__":
    main()
