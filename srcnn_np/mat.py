"""Reading a MATLAB ``.mat`` file that cannot be trusted, through SciPy.

SciPy unpacks whatever it finds. So it gets shortened copies in memory. The first copy has only the
beginning of every variable, which says its name and shape. The second copy has as much of each
wanted variable as its shape needs.
"""

import io
import math
import os
import struct
import warnings
import zlib
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

import numpy as np

from .errors import PROCESS, InputError

_BEGINNING = 4096  # bytes that surely hold a variable's name and shape
_MOST_VARIABLES = 1000
_PACKED, _MATRIX = 15, 14  # kinds of elements


def read_mat(
    path: str | Path, names: list[str], most_values: int, what: str
) -> dict[str, np.ndarray]:
    """Read arrays of a ``.mat`` file, and leave the rest unread.

    Parameters
    ----------
    path : str or Path
        An ordinary file.
    names : list of str
    most_values : int
        The largest number of values in all arrays together.
    what : str
        What the file should be, in words for the error.

    Returns
    -------
    arrays : dict of str to array
        Each has at least two axes, as in MATLAB.

    Raises
    ------
    InputError
        If the file is damaged, is something else, or cannot be read; or if an array is missing, or
        all arrays together exceed the limit.
    """
    from scipy.io import loadmat, whosmat  # slow to import, and seldom needed

    try:
        with PROCESS, warnings.catch_warnings():
            warnings.simplefilter("error")  # about what is there twice, or cannot be read
            found = whosmat(_shortened(path, repeat(_BEGINNING)))
            shapes = {name: shape for name, shape, _ in found}
            for name in names:
                if name not in shapes:
                    raise InputError(f"{path} holds no array {name}")
            if sum(math.prod(shapes[name]) for name in names) > most_values:
                raise InputError(f"{path} is too large: more than {most_values} numbers")
            sizes = [
                _BEGINNING + 8 * math.prod(shape) * (name in names) for name, shape, _ in found
            ]
            # MATLAB stores whole numbers in fewer bytes; mat_dtype makes them doubles again.
            arrays = loadmat(_shortened(path, sizes), mat_dtype=True, variable_names=names)
            return {name: np.atleast_2d(arrays[name]) for name in names}
    except (InputError, MemoryError):
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # SciPy raises many kinds
        raise InputError(f"{path} is not {what}, or damaged") from error


def _shortened(path: str | Path, sizes: Iterable[int]) -> io.BytesIO:
    """Return a copy of the file, with each variable unpacked and cut to its number of bytes."""
    with open(path, "rb") as file:
        parts = [file.read(128)]
        order = {b"IM": "<", b"MI": ">"}[parts[0][126:]]
        end = os.fstat(file.fileno()).st_size
        for size in sizes:
            if file.tell() >= end:
                break
            if len(parts) > _MOST_VARIABLES:
                raise ValueError("too many variables")
            kind, count = struct.unpack(f"{order}II", file.read(8))
            after = file.tell() + count
            if after > end:
                raise ValueError("cut short")
            data = file.read(min(count, 2 * size))
            if kind == _PACKED:
                unpacker = zlib.decompressobj()
                data = unpacker.decompress(data, size)[8:]  # after a matrix's own kind and count
                if size > _BEGINNING and not unpacker.eof:
                    raise ValueError("more or less than the shape asks for")
            elif kind != _MATRIX:
                raise ValueError("no variable")
            parts.append(struct.pack(f"{order}II", _MATRIX, len(data[:size])) + data[:size])
            file.seek(after)
    return io.BytesIO(b"".join(parts))
