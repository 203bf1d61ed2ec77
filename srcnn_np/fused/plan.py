"""A stack of layers as the fused network sees it: convolutions, borders and activations."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..conv.geometry import Fill, Pads
from ..kernels.convolution import LINEAR, Activation
from ..kernels.layouts import whole_vectors

LEAST_ROWS = 16  # of a tile


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


def whole_shapes(stages: Sequence[Stage], *, last: bool) -> list[tuple[int, int, int, int]]:
    """Return the shapes of the filters that `in_whole_vectors` makes."""
    shapes, C = [], stages[0].w.shape[1]
    for stage in stages:
        K, _, kh, kw = stage.w.shape
        full = whole_vectors(K)
        if stage is stages[-1]:
            full = full if last else K
        elif 2 * full > 3 * K:
            full = K
        shapes.append((full, C, kh, kw))
        C = full
    return shapes


def in_whole_vectors(stages: Sequence[Stage], *, last: bool = False) -> list[Stage]:
    """Return the stages with filters of zeros added: maps between them fill whole vectors.

    These filters cost nothing, because their lanes are computed anyway. Pixels that begin at
    multiples of a vector are stored and loaded directly. But the next stage has more channels to
    sum over. So a map that would get more than 1.5 times its channels stays as it is. Unless `last`
    is True, the last stage's filters also stay as they are, because its map is the result.
    """
    result = []
    for stage, shape in zip(stages, whole_shapes(stages, last=last), strict=True):
        if shape != stage.w.shape:
            (full, *_), (K, C, _, _) = shape, stage.w.shape
            w, b = np.zeros(shape, np.float32), np.zeros(full, np.float32)
            w[:K, :C], b[:K] = stage.w, stage.b
            kind, slope = stage.activation
            if np.ndim(slope):
                slope = np.concatenate([slope, np.zeros(full - K, np.float32)])
            stage = stage._replace(w=w, b=b, activation=Activation(kind, slope))
        result.append(stage)
    return result


def tiles_of(
    H: int, W: int, width: int, threads: int, *, step: int = 1
) -> list[tuple[int, int, int, int]]:
    """Return tiles (top, bottom, left, right), about the same number for each thread.

    They are `width` wide or less, up to rounding: they begin at multiples of `step`.
    """
    across = -(-W // width)
    most = max(1, H // LEAST_ROWS)
    down = min(most, -(-threads // across))
    while down < most and down * across % threads and down * across < 4 * threads:
        down += 1
    rows, columns = _cuts(H, down, step), _cuts(W, across, step)
    return [(*r, *c) for r in rows for c in columns]


def _cuts(size, count, step):
    """Return [begin, end) of nearly equal ranges that begin at multiples of `step`."""
    ends = [size * n // count // step * step for n in range(count)] + [size]
    return [(a, b) for a, b in pairwise(ends) if a < b]
