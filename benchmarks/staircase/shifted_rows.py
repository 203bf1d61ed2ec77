"""Step 2: `srcnn_np.conv.shifted`, loops over long rows; a compiler makes vectors of them.

A picture's rows lie end to end, so that one tap sees a shifted copy of one long row.
The sums lie in memory: eight products are added on each visit.
"""

import sys
from collections.abc import Callable

import numpy as np

from srcnn_np.conv import shifted

from .measure import main

IDEA = "compiled: sums of shifted rows, eight taps at a time"
SIZES = 8, 25, 25


def prepare(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that computes y."""
    return lambda: shifted.forward(x, w, b, (1, 1))


if __name__ == "__main__":
    main([sys.modules[__name__]])
