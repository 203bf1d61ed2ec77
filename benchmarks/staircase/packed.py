"""Step 4: pictures and filters lie in memory in the order in which the product reads them.

A vector holds neighbouring filters, and a block's numbers come from neighbouring pixels. A pixel's
channels lie side by side. So in each row, a filter sees one run of numbers. Only the places that
are wanted are computed. This step runs the package's kernels, `srcnn_np.kernels.direct`.
"""

import sys
from collections.abc import Callable

import numpy as np

from srcnn_np.kernels import direct
from srcnn_np.kernels.activations import NONE
from srcnn_np.kernels.layouts import Piece, channels_first, channels_last, packed, padded, unit_of

from .measure import main

IDEA = "filters packed, channels last: each number is read where the last one ended"
SIZES = 8, 25, 25


def prepare(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that computes y from layouts made before, as networks do."""
    N, _, H, W = x.shape
    K, _, kh, kw = w.shape
    y = np.empty((N, H - kh + 1, W - kw + 1, K), np.float32)
    arrays, slopes = (channels_last(x), packed(w), padded(b), y), padded(np.ones_like(b))
    piece = tuple(Piece(0, N, 0, 0, 0, 0, *y.shape[1:3]))

    def run() -> np.ndarray:
        direct.forward(unit_of(K), kh, kw, *arrays, piece, NONE, slopes, False)
        return channels_first(y)

    return run


if __name__ == "__main__":
    main([sys.modules[__name__]])
