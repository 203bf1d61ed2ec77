"""What a stack of layers is to the fused network: convolutions, borders and activations."""

from typing import NamedTuple

import numpy as np

from ..kernels.convolution import LINEAR, Activation

Pads = tuple[int, int, int, int]


class Stage(NamedTuple):
    """A convolution at stride 1 with what comes before and after it.

    Attributes
    ----------
    w, b : (K, C, kh, kw) and (K,) array of float32
    pads : (top, bottom, left, right)
        Rows and columns by which x is widened first.
    fill : "zero" or "replicate"
        What with.
    activation : Activation
    """

    w: np.ndarray
    b: np.ndarray
    pads: Pads = (0, 0, 0, 0)
    fill: str = "zero"
    activation: Activation = LINEAR

    def results(self, count: int, axis: int) -> int:
        """How many rows (axis 0) or columns (axis 1) come out where `count` go in."""
        return count + sum(self.pads[2 * axis :][:2]) - self.w.shape[2 + axis] + 1
