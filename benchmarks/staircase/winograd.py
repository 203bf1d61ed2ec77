"""Step 5: fewer multiplications, by Winograd's convolution, `srcnn_np.kernels.winograd`.

Here filters are 5 x 5. A tile of 4 x 4 results takes 8 x 8 products for each channel and filter
instead of 16 x 25. So GFLOP/s, which count the direct sum, may exceed what the processor can do.
"""

import sys
from collections.abc import Callable

import numpy as np

from srcnn_np.kernels import winograd
from srcnn_np.kernels.activations import NONE
from srcnn_np.kernels.layouts import (
    Piece,
    aligned,
    channels_first,
    channels_last,
    padded,
    unit_of,
    whole_vectors,
)

from .measure import main

IDEA = "Winograd: 64 products for 16 results instead of 400"
SIZES = 8, 25, 25


def prepare(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that computes y from filters evaluated before, as networks do."""
    N, C, H, W = x.shape
    K, _, k, _ = w.shape
    side, unit = tuple(range(k + winograd.STEP - 1)), unit_of(K)
    full = np.zeros((k, k, whole_vectors(C), whole_vectors(K)), np.float32)
    full[:, :, :C, :K] = w.transpose(2, 3, 1, 0)
    values = aligned((len(side) ** 2 * full.shape[2] * full.shape[3],))
    winograd.evaluate_filters(side, side[:k], unit, full, values)
    y = np.empty((N, H - k + 1, W - k + 1, K), np.float32)
    arrays, slopes = (channels_last(x), values, padded(b), y), padded(np.ones_like(b))
    piece = tuple(Piece(0, N, 0, 0, 0, 0, *y.shape[1:3]))
    scratch = aligned((winograd.scratch_for(side, *full.shape[2:]),))

    def run() -> np.ndarray:
        winograd.forward(side, unit, *arrays, scratch, piece, NONE, slopes)
        return channels_first(y)

    return run


if __name__ == "__main__":
    main([sys.modules[__name__]])
