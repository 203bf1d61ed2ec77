"""The errors for input that cannot be used."""

import reprlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Warnings' filters and standard error belong to the whole process: threads use them in turn.
PROCESS = threading.RLock()


class InputError(ValueError):
    """Something that came from outside (a file, a name, a number) cannot be used.

    The message is one sentence: what is wrong, where, and what to do. The
    command line prints it alone and exits with 1; a Python caller catches a
    ValueError.
    """


@contextmanager
def about(source: str | Path) -> Iterator[None]:
    """Put a picture's name before the message of an InputError that the block raises."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def brief(value: object) -> str:
    """Return a value as Python writes it, cut if it is too long for a sentence."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 1
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 40


DTYPES = ("float32", "float64", "complex128")  # what networks compute with


def check_dtype(allowed: tuple[str, ...] = DTYPES, /, **arrays: object) -> None:
    """Raise a TypeError unless the arrays, given by name, have one of these dtypes.

    Whole numbers would round what is computed from them, and float16 loses small gradients.
    """
    for name, array in arrays.items():
        if array.dtype.name not in allowed:
            raise TypeError(f"{name} is {array.dtype}: convert it to {' or '.join(allowed)}")
