"""Write files and lose nothing: never leave half a file, and replace no file unasked.

A file is first written under a hidden name in the same folder, and then renamed. A killed process
leaves its hidden file behind. The next process that writes into the folder removes this file: it
knows it by its name, and by its lock, which no process holds any more. Without locks (on Windows,
on some network file systems) hidden files are left alone.
"""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from .errors import InputError

_OURS = re.compile(r"\.srcnn-np-[0-9a-f]{16}\.(part|lock)(\..*)?")


@contextmanager
def writing(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """Write a file under a hidden name in the same folder, then rename it.

    Parameters
    ----------
    path : str or Path
        The file's final path.
    force : bool
        Whether to replace a file that is there already.

    Yields
    ------
    part : Path
        The file to write. If the block ends well, this file becomes `path`. If the block raises an
        error, this file is removed, and `path` is as before.

    Raises
    ------
    InputError
        If `path` exists and `force` is false, or if it cannot be written.
    """
    check_output(path, force=force)
    path = Path(os.path.realpath(path))  # the file that a link leads to
    _remove_left_overs(path.parent)
    part = None
    try:
        part, held = _new_part(path)
        try:
            yield part
            _reach_the_disk(part)
            _put_into_place(part, path, force)
        finally:
            _let_go(part, held)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def check_output(path: str | Path, *, force: bool = False) -> None:
    """Raise the InputError that `writing` would raise, before any work is done."""
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
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


@contextmanager
def claiming(paths: Iterable[str | Path]) -> Iterator[None]:
    """Reserve files for this block, which writes them again and again.

    Parameters
    ----------
    paths : list of str or Path
        They need not exist.

    Raises
    ------
    InputError
        If another block, of this process or another, claims one of them.

    Notes
    -----
    A claim is a lock on a hidden file beside each file. It ends when its process ends in any way.
    """
    with ExitStack() as claims:
        for path in paths:
            claims.enter_context(_claimed(Path(path)))
        yield


@contextmanager
def _claimed(path: Path) -> Iterator[None]:
    check_output(path, force=True)
    real = Path(os.path.realpath(path))
    name = hashlib.sha256(os.fsencode(real.name)).hexdigest()[:16]
    lock = real.with_name(f".srcnn-np-{name}.lock")
    try:
        try:
            held = _hold(lock)
        except BlockingIOError:  # briefly held by a search for left-overs?
            time.sleep(0.1)
            held = _hold(lock)
    except BlockingIOError:
        raise InputError(
            f"{path} is being written by another run; wait until that has ended, or give another "
            "name"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        _let_go(lock, held)


def _new_part(path: Path) -> tuple[Path, int | None]:
    """Return a new file to write `path`'s contents to, and the lock on it."""
    while True:
        # The ending stays: libraries choose the format by it.
        part = path.with_name(f".srcnn-np-{secrets.token_hex(8)}.part{path.suffix}")
        with suppress(BlockingIOError):  # raised if a search for left-overs has removed it
            return part, _hold(part)


def _hold(file: Path) -> int | None:
    """Lock a file until `_let_go` or the process's end; make it if missing.

    Returns
    -------
    held : int or None
        The argument of `_let_go`; None where there are no locks.

    Raises
    ------
    BlockingIOError
        If somebody else holds it, or has just removed it.
    """
    if fcntl is None:
        return None
    held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(held), os.stat(file))
    except (BlockingIOError, FileNotFoundError):
        ours = False
    except OSError:  # a file system without locks
        os.close(held)
        return None
    if not ours:
        os.close(held)
        raise BlockingIOError
    return held


def _let_go(file: Path, held: int | None) -> None:
    file.unlink(missing_ok=True)  # before the lock is given up: only its holder may remove a file
    if held is not None:
        os.close(held)


def _reach_the_disk(part: Path) -> None:
    """Wait until a file is on disk: a full disk shows here, and a power cut leaves the old file."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())


def _put_into_place(part: Path, path: Path, force: bool) -> None:
    if not force:
        # A link fails if a file has come meanwhile; some file systems have no links.
        with suppress(OSError):
            os.link(part, path)
            return
        check_output(path)
    os.replace(part, path)


@cache
def _remove_left_overs(folder: Path) -> None:
    """Remove the files that killed processes left in a folder; look only once."""
    with suppress(OSError):
        for file in sorted(folder.iterdir()):
            if _OURS.fullmatch(file.name):
                with suppress(OSError):  # it is in use
                    if (held := _hold(file)) is not None:
                        _let_go(file, held)
