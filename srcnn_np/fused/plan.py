"""What a stack of layers is to the fused network: convolutions, borders and activations."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..conv.geometry import Fill, Pads
from ..kernels.convolution import LINEAR, Activation


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
    fill: Fill = "zero"
    activation: Activation = LINEAR


def sizes_of(stages: Sequence[Stage], H: int, W: int) -> list[tuple[int, int]]:
    """Rows and columns of what goes into the first stage, and of what comes out of each."""
    sizes = [(H, W)]
    for stage in stages:
        top, bottom, left, right = stage.pads
        kh, kw = stage.w.shape[2:]
        H, W = H + top + bottom - kh + 1, W + left + right - kw + 1
        sizes.append((H, W))
    return sizes
