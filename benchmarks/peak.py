"""The most a processor can do: fused multiply-adds in registers, on all threads."""

import time

import numpy as np
from numba import njit

from srcnn_np.conv.threads import THREADS, share
from srcnn_np.fused.simd import (
    LANES,
    add_scaled,
    load,
    load_block,
    repeated,
    store_block,
)

_TURNS = 3_000_000


@njit(nogil=True, cache=True)
def _multiply_add(x, turns):
    sums = load_block(x, 0, LANES, 12)  # all different, or the compiler sums but one
    block = repeated(load_block(x, 0, LANES, 1), 12)
    factor = load(x, 0)
    for _ in range(turns):
        sums = add_scaled(sums, block, factor)
    store_block(x, 0, LANES, 0, 1, sums)


def fused_multiply_adds() -> float:
    """GFLOP/s of twelve independent sums of vectors a thread, the best of five."""
    xs = 1e-6 * np.random.default_rng(0).random((THREADS, 12 * LANES), dtype=np.float32)
    share(lambda n: _multiply_add(xs[n], 1), THREADS)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        share(lambda n: _multiply_add(xs[n], _TURNS), THREADS)
        seconds.append(time.perf_counter() - start)
    return THREADS * _TURNS * 12 * LANES * 2 / min(seconds) / 1e9
