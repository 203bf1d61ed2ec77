"""Reading a NumPy ``.npz`` file that cannot be trusted.

Such a file is a zip of ``.npy`` files. Each has a header, with dtype and shape, and then numbers.
Here only the arrays that are asked for are read. Nothing is unpacked before its header is checked.
Python objects are never unpacked.
"""

import json
import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from .errors import PROCESS, InputError, brief

FLOATS = ("float16", "float32", "float64")
MOST_TEXT = 1 << 20  # characters
_PIECE = 1 << 18  # bytes read at a time


class NpzFile:
    """An open ``.npz`` file.

    Parameters
    ----------
    path : str or Path
        An ordinary file.
    what : str
        What the file should be, in words for the error.

    Attributes
    ----------
    names : set of str
        The names of its arrays.

    Raises
    ------
    InputError
        From all methods, if the file is damaged, is something else, or cannot be read.
    """

    def __init__(self, path: str | Path, what: str) -> None:
        self.path, self._what = Path(path), what
        with self._readable():
            self._zip = zipfile.ZipFile(self.path)
            files = self._zip.namelist()
            if len(set(files)) < len(files):
                raise ValueError("two files of one name")
            self.names = {name.removesuffix(".npy") for name in files if name.endswith(".npy")}

    def __enter__(self) -> "NpzFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def array(
        self, name: str, shape: tuple[int, ...], dtypes: tuple[str, ...] = FLOATS
    ) -> np.ndarray:
        """Return an array of this shape and one of these dtypes, without NaN or infinity."""
        self.check(name, shape)
        with self._opened(name) as (file, header):
            array = self._numbers(name, file, *header) if header[2].name in dtypes else None
        if array is None or not np.isfinite(array).all():
            raise InputError(
                f"{self.path} is damaged: {name} does not hold finite {' or '.join(dtypes)} numbers"
            )
        return array

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise an InputError if an array is missing or has another shape; read only its header."""
        if name not in self.names:
            raise InputError(f"{self.path} is damaged: the array {name} is missing")
        found = self.shape(name)
        if found != shape:
            raise InputError(
                f"{self.path} is damaged: {name} has shape {brief(found)} instead of {brief(shape)}"
            )

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array in the file."""
        with self._opened(name) as (_, (shape, _, _)):
            return shape

    def json(self, name: str, most: int = MOST_TEXT) -> object:
        """Parse an array that is one text of at most `most` characters: see `parse_json`."""
        self.check(name, ())
        with self._opened(name) as (file, header):
            dtype = header[2]
            if dtype.kind != "U" or dtype.itemsize > 4 * most:
                raise ValueError("no text, or a long one")
            return parse_json(str(self._numbers(name, file, *header)))

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[IO[bytes], tuple]]:
        """Yield a file, read up to its numbers, and its header: shape, Fortran order, dtype."""
        with self._readable(), self._zip.open(f"{name}.npy") as file:
            if self._zip.getinfo(f"{name}.npy").compress_type not in _COMPRESSIONS:
                raise ValueError("a compression that may unpack much at once")
            if npy.read_magic(file) != (1, 0):
                raise ValueError("a header that may be long")
            yield file, npy.read_array_header_1_0(file)

    def _numbers(
        self, name: str, file: IO[bytes], shape: tuple[int, ...], fortran: bool, dtype: np.dtype
    ) -> np.ndarray:
        left = self._zip.getinfo(f"{name}.npy").file_size - file.tell()
        if left != math.prod(shape) * dtype.itemsize:
            raise ValueError("more or less than the header says")
        data = b"".join(iter(lambda: file.read(_PIECE), b""))  # to the end, where zip checks it
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Raise an InputError for whatever zip, NumPy and JSON raise."""
        try:
            with PROCESS, warnings.catch_warnings():
                warnings.simplefilter("error")  # NumPy's, about what only looks like a header
                yield
        except (InputError, MemoryError):
            raise
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}") from error
        except Exception as error:
            raise InputError(f"{self.path} is not {self._what}, or damaged") from error


_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def parse_json(text: str) -> object:
    """Parse JSON; refuse repeated keys, deep nesting, and numbers that are long or not finite.

    Raises
    ------
    ValueError
        If it is not such JSON.
    """
    found = json.loads(
        text,
        object_pairs_hook=_once_each,
        parse_int=_whole,
        parse_float=_finite,
        parse_constant=_finite,
    )
    _check_depth(found)
    return found


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key that is there twice")
    return found


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError("a number of too many digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number that is not finite")
    return value


def _check_depth(found: object, most: int = 20) -> None:
    if most == 0:
        raise ValueError("too many brackets within each other")
    if isinstance(found, (dict, list)):
        for inner in found.values() if isinstance(found, dict) else found:
            _check_depth(inner, most - 1)
