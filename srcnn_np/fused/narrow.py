"""A whole picture through a stack of narrow layers, whose filters would leave lanes empty.

The kernels, `srcnn_np.kernels.pixels`, have pixels as lanes. This module decides for which stacks
they are faster, and plans what they need to know about a tile.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..conv.geometry import put_in
from ..conv.threads import THREADS, share
from ..kernels import pixels
from ..kernels.activations import CLIPPED
from ..kernels.convolution import costs_of, slopes_of
from ..kernels.layouts import aligned
from ..kernels.memory import buffer
from ..kernels.vectors import LANES
from .plan import Stage, sizes_of, tiles_of, whole_shapes

TILE_WIDTH = 640
GAIN = 1.0  # how many times as large the other kernels' cost must be


def gains(stages: Sequence[Stage], W: int, *, last: bool) -> bool:
    """Whether a map of W columns costs less with pixels as lanes than with filters.

    The filters are those of `in_whole_vectors`, which explains `last`.
    """
    if any(stage.activation.kind == CLIPPED for stage in stages):
        return False
    for w, _, (above, _, before, _), _, _ in stages[1:]:
        if above >= w.shape[2] or before >= w.shape[3]:  # a window of nothing but border
            return False
    pixels_computed = -(-W // pixels.SPAN) * pixels.SPAN / W
    ours = sum(stage.w.size for stage in stages) / LANES * pixels_computed
    theirs = sum(min(costs_of(shape).values()) for shape in whole_shapes(stages, last=last))
    return GAIN * ours < theirs


def predict(
    stages: Sequence[Stage], picture: np.ndarray, zoom: tuple[int, int]
) -> tuple[np.ndarray, bool]:
    """Return the same map as `srcnn_np.fused.picture.predict`, and whether all of it is finite.

    If it is not, there may be NaN where there should be a number: a ReLU makes NaN of -inf, not 0.
    """
    (sh, sw), sizes = zoom, sizes_of(stages, *picture.shape[:2])
    H, W = sizes[-1]
    M = len(stages[-1].w) // sh
    lines, (numbers, places) = _lines(stages[0], picture), _numbers(stages)
    tiles = tiles_of(H, W, TILE_WIDTH, THREADS)
    plans = {
        columns: _plan(stages, sizes, columns, places)
        for columns in {(left, right) for _, _, left, right in tiles}
    }
    result = np.empty(H * sh * W * M, np.float32)
    finite = np.ones(len(tiles), bool)

    def work(number: int) -> None:
        top, bottom, left, right = tiles[number]
        layers, count = plans[left, right]
        arrays = numbers, lines, buffer("maps", (count,)), result
        tile = top, bottom, left, W, sh, M
        finite[number] = pixels.forward(layers, *arrays, tile)

    share(work, len(tiles))
    return result.reshape(sh * H, sw * W, -1), bool(finite.all())


def _lines(stage, picture):
    """Return the picture (H, W, C) with its border as flat lines (H, C, W), and room behind."""
    (H, W, C), (top, bottom, left, right) = picture.shape, stage.pads
    shape = top + H + bottom, C, left + W + right
    count = math.prod(shape)
    flat = aligned((count + pixels.SPAN - 1,))
    lines = flat[:count].reshape(shape)
    x = picture.transpose(2, 0, 1)[None]
    put_in(lines.transpose(1, 0, 2)[None], x, stage.pads, stage.fill)
    return flat


def _numbers(stages):
    """Return all filters, biases and slopes in one array, and the places of each stage's."""
    arrays = []
    for w, b, _, _, activation in stages:
        arrays += w.transpose(0, 2, 1, 3).ravel(), b, slopes_of(activation, len(b))[: len(b)]
    ends = np.cumsum([array.size for array in arrays])
    places = np.concatenate([[0], ends[:-1]]).reshape(-1, 3)
    return np.concatenate(arrays), places


def _plan(stages, sizes, columns, places):
    """Return the layers for tiles of these [begin, end) columns, and how many numbers maps take."""
    # The windows that see each stage's map. What sees the last map takes single pixels.
    windows = [(s.pads, s.fill, *s.w.shape[2:]) for s in stages[1:]]
    windows.append(((0, 0, 0, 0), "zero", 1, 1))
    spans, ahead = [columns], [0]
    for (pads, _, kh, kw), (_, W) in zip(windows[::-1], sizes[:0:-1], strict=True):
        above, _, before, _ = pads
        begin, end = spans[0]
        spans.insert(0, (max(0, begin - before), min(W, end - before + kw - 1)))
        ahead.insert(0, ahead[0] + kh - 1 - above)
    above, below, before, after = stages[0].pads
    H, W = sizes[0]
    x, x_left = (0, before + W + after, above + H + below), spans[0][0]
    layers, count = [], 0
    for n, (stage, (pads, fill, kh, kw)) in enumerate(zip(stages, windows, strict=True)):
        above, below, before, _ = pads
        (begin, end), (window, window_end) = spans[n : n + 2]
        # The map's memory begins with the column base of the widened map.
        base = min(begin + before, window)
        y_left, width = begin + before - base, max(end + before, window_end + kw - 1) - base
        whole = y_left + -(-(end - begin) // pixels.SPAN) * pixels.SPAN
        # An odd number of vectors, so that the lines of a map use all sets of a cache.
        line = (-(-max(width, whole) // LANES) | 1) * LANES
        # Results are stored in aligned vectors.
        y = count + -y_left % LANES, line, kh + below
        borders = width, above, below, fill == "replicate"
        numbers = *stage.w.shape, *places[n], *x, x_left, *y, y_left, end - begin, *borders
        layers.append((*numbers, sizes[n + 1][0], ahead[n]))
        x, x_left = y, window - base
        count += (kh + below) * len(stage.w) * line + LANES
    return np.array(layers, pixels.LAYER), count
