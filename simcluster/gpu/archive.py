"""The two parts of a profile's file, header and steps, read from an archive that anyone may have made."""

from __future__ import annotations

import json
import re
from os import SEEK_END
from typing import BinaryIO, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
from numpy.typing import NDArray

MOST_HEADER_BYTES, MOST_STEPS_BYTES = 16 << 20, 64 << 20
"""Unpacked."""

_HEAD = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([^']{3})', 'fortran_order': False, 'shape': \((\d{1,12}),\), \} *\n", re.DOTALL
)
"""What numpy writes before the numbers of a row."""


def read(file: BinaryIO) -> tuple[dict[str, object], NDArray[np.int16]]:
    """The header and the steps; ValueError, or an error of the zip file, if they are not there as they should be.

    Sizes are looked at before anything is unpacked, and no more is unpacked than the archive says.
    """
    if file.seek(0, SEEK_END) > MOST_HEADER_BYTES + MOST_STEPS_BYTES:
        raise ValueError("it is too large")
    with ZipFile(file) as archive:
        header = json.loads(_row(archive, "header", np.uint8, MOST_HEADER_BYTES).tobytes())
        if not isinstance(header, dict):
            raise ValueError("its header is no mapping")
        return header, cast("NDArray[np.int16]", _row(archive, "steps", np.int16, MOST_STEPS_BYTES))


def _row(archive: ZipFile, name: str, dtype: type[np.integer], most: int) -> NDArray[np.integer]:
    """The numbers of one part, which are a single row of this type."""
    parts = [part for part in archive.infolist() if part.filename == f"{name}.npy"]
    if len(parts) != 1:
        raise ValueError(f"it has {len(parts)} parts {name}")
    (part,) = parts
    if part.file_size > most:
        raise ValueError(f"its {name} is larger than {most >> 20} MiB")
    if part.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ValueError(f"its {name} is packed in another way")
    with archive.open(part) as packed:
        data = packed.read(part.file_size)
    kind = np.dtype(dtype).newbyteorder("<")
    head = _HEAD.match(data)
    if head is None or head[1].decode("latin-1") != kind.str:
        raise ValueError(f"its {name} is no row of {kind}")
    numbers = np.frombuffer(data, dtype=kind, offset=head.end())
    if numbers.size != int(head[2]):
        raise ValueError(f"its {name} has not as many numbers as it says")
    return numbers
