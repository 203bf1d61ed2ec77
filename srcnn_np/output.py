"""Writing files so that nothing is lost: never half a file, never over another unasked."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def writing(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Write a file beside its place, then rename it into place.

    Parameters
    ----------
    path : str or Path
        Where the file is to be.
    force : bool
        Whether a file that is there already may be replaced.

    Yields
    ------
    part : Path
        Write here. Where the block ends well this becomes `path`; where it raises,
        it is removed and `path` is as before.

    Raises
    ------
    InputError
        If `path` exists and `force` is not given, or cannot be written.
    """
    check_output(path, force=force)
    path = Path(os.path.realpath(path))  # of a link, the file it leads to
    # The ending stays, as libraries choose the format by it.
    part = path.with_name(f".{os.getpid()}.{threading.get_ident()}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def check_output(path: str | Path, *, force: bool = False) -> None:
    """Raise the InputError that `writing` would, before any work is done."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file to write")
    if path.exists() and not force:
        raise InputError(f"{path} exists already; give another name, or --force to replace it")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no ordinary file; give another name")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written: no permission to write in {path.parent}")
