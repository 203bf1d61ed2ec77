"""Compiling kernels, and keeping the machine code for the next time.

By itself Numba keeps machine code beside the source. It stops if it can write nowhere, or if a kept
file is damaged. If a kernel calls a function of another file and that file changes, Numba does not
compile the kernel anew. Here all kernels are kept in one folder of the user's cache. The folder is
named after the source that they were made from. If the folder cannot be written, nothing is kept; a
damaged file counts as missing.
"""

import hashlib
import logging
import os
import pickle
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import platformdirs

from .errors import InputError, brief

try:
    from numba import config, njit
    from numba.core import event
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile
except ValueError as error:  # NUMBA_NUM_THREADS=0
    raise InputError(f"Numba cannot be loaded, see the variables NUMBA_...: {error}") from error

_log = logging.getLogger(__name__)
_PATIENCE = 3  # seconds
_FOLDERS_KEPT = 8  # of other sources: other checkouts, other switches


def kernel(function: Callable | None = None, **options: object) -> Callable:
    """Compile a function when it is first called, and keep the result: a decorator.

    Parameters
    ----------
    function : function
    **options
        Options of Numba's njit. A kernel always releases Python's lock while it runs ("nogil").
    """
    if function is None:
        return lambda function: kernel(function, **options)
    dispatcher = njit(nogil=True, no_cfunc_wrapper=True, error_model="numpy", **options)(function)
    if FOLDER is not None:
        dispatcher._cache = _Cache(function)
    return dispatcher


def part(function: Callable | None = None, **options: object) -> Callable:
    """Compile a function together with the kernels that call it: a decorator like `kernel`."""
    if function is None:
        return lambda function: part(function, **options)
    without = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
    return njit(nogil=True, **without, **options)(function)


def _folder() -> Path | None:
    """Return the folder for kernels made from this source; None if nothing can be kept."""
    digest = hashlib.sha256(repr(SWITCHES).encode())
    package = Path(__file__).parent
    for path in sorted([Path(__file__), *package.glob("conv/*.py"), *package.glob("kernels/*.py")]):
        digest.update(path.read_bytes())
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    parent = Path(chosen, "srcnn_np") if chosen else Path(platformdirs.user_cache_dir("srcnn_np"))
    folder = parent / f"kernels-{digest.hexdigest()[:16]}"
    if not folder.is_absolute() and not chosen:
        return None  # there is no home folder
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            _forget_others(folder)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    return folder


def _forget_others(folder: Path) -> None:
    ours = re.compile(r"kernels-[0-9a-f]{16}")
    others = [p for p in folder.parent.iterdir() if ours.fullmatch(p.name) and p != folder]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-_FOLDERS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


class _Locator:
    """Tells Numba where a function's machine code is kept."""

    def __init__(self, function: Callable) -> None:
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Callable, file: str) -> "_Locator":
        return cls(function)

    def get_cache_path(self) -> str:
        return str(FOLDER)

    def ensure_cache_path(self) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)

    def get_source_stamp(self) -> str:
        return FOLDER.name

    def get_disambiguator(self) -> str:
        return str(self._line)


class _Implementation(CompileResultCacheImpl):
    """Numba's way to write machine code, but in our folder."""

    _locator_classes = (_Locator,)


class _Files(IndexDataCacheFile):
    """Files that count as missing if they are damaged, for example by a power cut.

    Damaged machine code would crash, so a digest stands before it.
    """

    def _load_index(self) -> dict:
        try:
            return super()._load_index()
        except Exception:  # `pickle` may raise any error
            return {}

    def _load_data(self, name: str) -> object:
        content = Path(self._data_path(name)).read_bytes()
        digest, data = content[:32], content[32:]
        return pickle.loads(data) if hashlib.sha256(data).digest() == digest else None

    def _save_data(self, name: str, data: object) -> None:
        data = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(data).digest() + data)


class _Cache(FunctionCache):
    """Where Numba looks for a function's machine code, and leaves it."""

    _impl_class = _Implementation

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        files = self._cache_file
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, files._source_stamp)

    def save_overload(self, signature: object, result: object) -> None:
        with suppress(OSError):  # the disk is full
            super().save_overload(signature, result)


class _Announcer(event.Listener):
    """Logs that Numba compiles, if that takes longer than _PATIENCE in all.

    Numba reports every function that it compiles, but neither functions that it finds kept nor
    other long work. One function is compiled within another: `_depth` counts how deep.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._patience = _PATIENCE

    def on_start(self, _: event.Event) -> None:
        self._depth += 1
        if self._depth == 1 and self._patience > 0:
            self._start = time.monotonic()
            self._news = threading.Timer(self._patience, lambda: _log.info(_sentence()))
            self._news.daemon = True
            self._news.start()

    def on_end(self, _: event.Event) -> None:
        self._depth -= 1
        if self._depth == 0 and self._patience > 0:
            self._news.cancel()
            self._patience -= time.monotonic() - self._start


def _sentence() -> str:
    if FOLDER is None:
        return (
            "compiling for this processor; it cannot be kept for the next time, as no folder can "
            "be written: the variable NUMBA_CACHE_DIR may name one ..."
        )
    return "compiling for this processor, which is done once and kept ..."


_announcer = _Announcer()
event.register("numba:compile", _announcer)


# Variables with which tests and benchmarks compile kernels differently, and their values. The first
# value holds if a variable is not set, or empty.
_VALUES = {
    # Whether layers may use Winograd's convolution.
    "SRCNN_NP_WINOGRAD": ("1", "0"),
    # Whether kernels check that they stay inside their arrays, see kernels/vectors.py.
    "SRCNN_NP_CHECK_BOUNDS": ("0", "1"),
}


def _switches() -> dict[str, str]:
    found = {name: os.environ.get(name) or values[0] for name, values in _VALUES.items()}
    for name, values in _VALUES.items():
        if found[name] not in values:
            raise InputError(
                f"the environment variable {name} is {brief(found[name])}; unset it, or give one "
                f"of {', '.join(values)}"
            )
    return found


SWITCHES = _switches()
FOLDER = _folder()
# How many processors this process may use, or the value of the variable NUMBA_NUM_THREADS.
THREADS = config.NUMBA_NUM_THREADS
COMPILES = not config.DISABLE_JIT
