"""How is a ZIP archive of arrays read, when anybody may have written it?

No pickle, and no more memory than the file's size justifies: neither what it says of the sizes of
its members nor what a member says of the size of its array is believed.
"""

from __future__ import annotations

import io
import math
import os
import zipfile

import numpy as np

# What fastnn writes is not compressed at all; what skops compresses becomes a few times smaller.
MAX_EXPANSION = 30
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def open_archive(path: str | os.PathLike[str]) -> zipfile.ZipFile:
    """Open an archive to read.

    Raises
    ------
    ValueError
        If its members would unpack to more than ``MAX_EXPANSION`` times its size.
    Exception
        Others of zipfile's, if it is damaged.
    """
    archive = zipfile.ZipFile(path)
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > MAX_EXPANSION * os.path.getsize(path):
        archive.close()
        raise ValueError(f"it would unpack to {unpacked} bytes")
    return archive


def read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Return the array of a member in NumPy's format ``.npy``.

    Raises
    ------
    ValueError
        If it holds pickled objects or fewer bytes than its shape says; memory is not allocated.
    Exception
        Others of zipfile's and NumPy's, if it is damaged.
    """
    file = io.BytesIO(archive.read(name))
    version = np.lib.format.read_magic(file)
    shape, _, dtype = HEADERS[version](file)
    there = file.getbuffer().nbytes - file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * max(1, dtype.itemsize) > there:
        raise ValueError(f"{name} says that its shape is {shape}, but holds {there} bytes")
    file.seek(0)
    return np.load(file, allow_pickle=False)


def is_later(found: object, known: str) -> bool:
    """Whether a format's name is that of ``known`` with a higher number, its last word."""
    name, _, number = str(found).rpartition(" ")
    known_name, _, known_number = known.rpartition(" ")
    return name == known_name and number.isdecimal() and int(number[:9]) > int(known_number)
