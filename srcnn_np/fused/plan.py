"""A stack of layers as the fused network sees it: convolutions, borders and activations."""

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
        What x is widened with.
    activation : Activation
    """

    w: np.ndarray
    b: np.ndarray
    pads: Pads = (0, 0, 0, 0)
    fill: Fill = "zero"
    activation: Activation = LINEAR


def sizes_of(stages: Sequence[Stage], H: int, W: int) -> list[tuple[int, int]]:
    """Return rows and columns of the first stage's input, and of each stage's output."""
    sizes = [(H, W)]
    for stage in stages:
        top, bottom, left, right = stage.pads
        kh, kw = stage.w.shape[2:]
        H, W = H + top + bottom - kh + 1, W + left + right - kw + 1
        sizes.append((H, W))
    return sizes
