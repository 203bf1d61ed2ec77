"""Measure the machine's own rates, to compare with."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from subprocess import PIPE

import numpy as np
from numba import njit

from srcnn_np.conv.threads import THREADS, share
from srcnn_np.kernels.vectors import LANES, add_scaled, load, load_line, store_line

from .contestants import ALL_THREADS

_TURNS = 3_000_000


def rates() -> dict[str, float]:
    """Return GFLOP/s of multiply-adds (FMA) and of SGEMM (2048), GB/s of copying; all threads."""
    environment = {**os.environ, **ALL_THREADS}
    command = [sys.executable, "-m", "benchmarks.machine"]
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=PIPE).stdout)


def _rates() -> dict[str, float]:
    a = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    sgemm = least_seconds(lambda: a @ a)
    return {"FMA": fma(), "SGEMM": 2 * 2048**3 / sgemm / 1e9, "copy": copying()}


def fma() -> float:
    """Return GFLOP/s of fused multiply-adds in registers, on this process's threads."""
    xs = 1e-6 * np.random.default_rng(0).random((THREADS, 12 * LANES), dtype=np.float32)
    seconds = least_seconds(lambda: share(lambda n: _multiply_add(xs[n], _TURNS), THREADS))
    return THREADS * _TURNS * 12 * LANES * 2 / seconds / 1e9


def copying() -> float:
    """Return GB/s of copying more than caches hold; bytes read and written both count."""
    x = np.ones((4 * THREADS, 1 << 23), np.float32)
    y = np.empty_like(x)
    seconds = least_seconds(lambda: share(lambda n: np.copyto(y[n], x[n]), len(x)))
    return 2 * x.nbytes / seconds / 1e9


@njit(nogil=True)
def _multiply_add(x, turns):
    sums = load_line(x, 0, LANES, 12)  # all different; else the compiler sums only one
    line = load_line(x, 0, 0, 12)  # the same vector twelve times
    factor = load(x, LANES)
    for _ in range(turns):
        sums = add_scaled(sums, line, factor)
    store_line(x, 0, LANES, sums)


def least_seconds(run: Callable[[], object]) -> float:
    """Return the best time of five, after one run that compiles and wakes threads."""
    run()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    print(json.dumps(_rates()))
