"""Sharing work among threads.

Kernels compiled with ``nogil=True`` release Python's lock while they run, so plain
threads suffice. Unlike Numba's own ``parallel=True``, this is safe to use from several
Python threads at once. NUMBA_NUM_THREADS, read when the package is first used, sets the
number of threads. `threadpoolctl` and similar tools limit the BLAS behind NumPy's matrix products.
Only the "im2col" backend and `Muon` use BLAS.
"""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress

import numpy as np

from ..compiling import THREADS

_helpers = ThreadPoolExecutor(max(1, THREADS - 1), thread_name_prefix="srcnn_np")

_compiled: set = set()  # kinds of `work` whose kernels were called before
_compiling = threading.Lock()


def share(work: Callable[[int], None], count: int) -> None:
    """Call work(0), work(1), ... work(count - 1), each once, on all threads; wait for all.

    Chance decides which thread does which call, so results are repeatable only if no two calls
    write to the same place.
    """
    kind = _kind(work)
    numbers = itertools.count()  # next() on it is atomic
    if count and kind not in _compiled:
        # The first call goes alone: Numba compiles behind a lock that an interrupt (Ctrl-C) may
        # leave shut, and no helper should be waiting for that lock.
        with _compiling:
            if kind not in _compiled:
                work(next(numbers))
                _compiled.add(kind)

    stop = threading.Event()

    def work_until_none_is_left() -> None:
        for number in numbers:
            if number >= count or stop.is_set():
                return
            try:
                work(number)
            except BaseException:
                stop.set()
                raise

    helpers = []
    with suppress(RuntimeError):  # Python is shutting down and starts no helpers: go on alone
        for _ in range(min(THREADS, count) - 1):
            helpers.append(_helpers.submit(work_until_none_is_left))
    try:
        work_until_none_is_left()
    finally:
        # A helper that still waits, because the pool serves another caller, is not needed.
        running = [helper for helper in helpers if not helper.cancel()]
        wait(running)
    for helper in running:
        helper.result()  # raises what went wrong there


def _kind(work: Callable[[int], None]) -> tuple:
    """Return all that decides how `work`'s kernels are compiled: its code, its arrays' layouts."""
    cells = (cell.cell_contents for cell in work.__closure__ or ())
    return work.__code__, *map(_cell_kind, cells)


def _cell_kind(cell: object) -> object:
    if isinstance(cell, list):
        return frozenset(map(_cell_kind, cell))
    if isinstance(cell, np.ndarray):
        flags = cell.flags
        return cell.dtype, cell.ndim, flags.c_contiguous, flags.f_contiguous, flags.writeable
    return getattr(cell, "compiled_for", type(cell))
