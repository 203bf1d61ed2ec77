"""Step 3: the same sums of shifted rows, but they stay in registers until all taps are added.

A block is the sums of MOST filters at two vectors of neighbouring places. For each tap, two vectors
of x are multiplied by MOST numbers of w. The last block of filters, or of places, overlaps the one
before.
"""

import sys
from collections.abc import Callable

import numpy as np
from numba import njit

from srcnn_np.kernels.product import MOST
from srcnn_np.kernels.vectors import LANES, add_outer_product, stacked, store_block, zeros

from .measure import main

IDEA = "sums stay in registers"
SIZES = 8, 25, 25


def prepare(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that computes y, for at least MOST filters and 2 LANES places."""
    (N, _, H, W), (K, _, kh, kw) = x.shape, w.shape
    rows = np.empty((N, K, H - kh + 1, W), np.float32)  # also for places that run over a row's end

    def run() -> np.ndarray:
        sum_rows(x, w, rows)
        return rows[..., : W - kw + 1] + b[:, None, None]

    return run


@njit(nogil=True)
def sum_rows(x, w, y):
    """Write y (N, K, OH, W) without biases, but not the last kw - 1 places of each last row."""
    (N, C, H, W), (K, _, kh, kw) = x.shape, w.shape
    xs, ws, ys = x.reshape(-1), w.reshape(-1), y.reshape(-1)
    taps, length = C * kh * kw, y.shape[2] * W
    places = length - kw + 1
    for n in range(N):
        for first in range(0, places, 2 * LANES):
            p = min(first, places - 2 * LANES)
            for first_filter in range(0, K, MOST):
                k = min(first_filter, K - MOST)
                sums, t = stacked(zeros(2), MOST), k * taps
                for c in range(C):
                    for u in range(kh):
                        at = ((n * C + c) * H + u) * W + p
                        for v in range(kw):
                            sums = add_outer_product(sums, ws, t, taps, xs, at + v)
                            t += 1
                store_block(ys, (n * K + k) * length + p, length, sums)


if __name__ == "__main__":
    main([sys.modules[__name__]])
