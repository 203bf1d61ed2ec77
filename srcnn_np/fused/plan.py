"""A stack of layers as the fused network sees it: convolutions, borders and activations."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..conv.geometry import Fill, Pads
from ..kernels.convolution import LINEAR, Activation
from ..kernels.layouts import whole_vectors


class Stage(NamedTuple):
    """A convolution at stride 1 with what comes before and after it.

    Attributes
    ----------
    w, b : (K, C, kh, kw) and (K,) array of float32
    pads : (top, bottom, left, right)
        Rows and columns by which x is widened first.
    fill : "zero" or "replicate"
        The values that widen x.
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


def in_whole_vectors(stages: Sequence[Stage], *, last: bool = False) -> list[Stage]:
    """Return the stages with filters of zeros added: maps between them fill whole vectors.

    These filters cost nothing, because their lanes are computed anyway. Pixels that begin at
    multiples of a vector are stored and loaded directly. But the next stage has more channels to
    sum over. So a map that would get more than 1.5 times its channels stays as it is. Unless `last`
    is True, the last stage's filters also stay as they are, because its map is the result.
    """
    result, C = [], stages[0].w.shape[1]
    for stage in stages:
        K = len(stage.w)
        full = whole_vectors(K)
        if stage is stages[-1]:
            full = full if last else K
        elif 2 * full > 3 * K:
            full = K
        if (full, C) != stage.w.shape[:2]:
            w = np.zeros((full, C, *stage.w.shape[2:]), np.float32)
            w[:K, : stage.w.shape[1]] = stage.w
            b = np.zeros(full, np.float32)
            b[:K] = stage.b
            kind, slope = stage.activation
            if np.ndim(slope):
                slope = np.concatenate([slope, np.zeros(full - K, np.float32)])
            stage = stage._replace(w=w, b=b, activation=Activation(kind, slope))
        result.append(stage)
        C = full
    return result
