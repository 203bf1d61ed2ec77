"""Step 1: the definition, `srcnn_np.conv.naive`; slow, because it takes numbers one by one."""

import sys
from collections.abc import Callable

import numpy as np

from srcnn_np.conv import naive

from .measure import main

IDEA = "the definition: seven loops in Python"
SIZES = 1, 6, 6


def prepare(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], np.ndarray]:
    """Return a function that computes y."""
    return lambda: naive.forward(x, w, b, (1, 1))


if __name__ == "__main__":
    main([sys.modules[__name__]])
