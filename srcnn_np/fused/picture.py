"""A whole picture through the three layers, so that no feature map is ever whole in memory.

The picture is cut into tiles, shared among threads. A tile goes from top to bottom: a row of
the result needs the last f3 rows of the second map, a row of which needs the last f2 rows of
the first. These rows are kept in two rings, one or two megabytes with all else a tile needs,
which the processor's caches hold; a row is made when it is first needed, and overwritten when
no longer. Only what neighbouring tiles share is computed twice.

Maps are laid out (row, column, channel), see `srcnn_np.fused.rows`. Each convolution keeps
the picture's size by repeating its own input's border pixels, as `Sequential.predict` does.
"""

import numpy as np
from numba import njit

from ..conv.threads import share
from .first_layer import PIECE, first_filter_values, first_rows
from .first_layer import SIDE as FIRST_SIDE
from .first_layer import TILES as FIRST_TILES
from .rows import MOST, UNIT, filter_row, last_row, packed, packed_last, padded, whole_units
from .simd import LANES, load, store
from .winograd import SIDE, STEP, TILES, filter_values, winograd_rows

SLACK = 48  # columns after a row's end that a block of pixels may touch
TILE_HEIGHT, TILE_WIDTH = 128, 256


def prepare(weights, biases):
    """The network as the kernels want it, from three arrays w (K, C, f, f) and b (K,)."""
    (w1, w2, w3), dtype = weights, np.float32
    w1, w2, w3 = (np.asarray(w, dtype) for w in (w1, w2, w3))
    middle1, middle2 = whole_units(len(w1)), whole_units(len(w2))
    second = filter_values(w2, middle1, UNIT) if w2.shape[2:] == (5, 5) else packed(w2, middle1)
    first = first_filter_values(w1) if by_pieces(w1.shape[2]) else packed(w1, 1)[..., None, :]
    return (
        first,
        padded(biases[0], middle1),
        second,
        padded(biases[1], middle2),
        packed_last(w3, middle2),
        np.asarray(biases[2], dtype),
        *(w.shape[2] for w in weights),
    )


@njit(nogil=True, cache=True)
def by_pieces(f1):
    """Whether a first layer of f1 x f1 goes by Winograd: where it is faster and SLACK suffices."""
    return 5 <= f1 <= 12


def predict(picture, network):
    """The picture (H, W) the network makes of a picture (H, W). `network` comes from `prepare`."""
    w1, b1, w2, b2, w3, b3, f1, f2, f3 = network
    height, width = picture.shape
    before, after = (f1 - 1) // 2, f1 // 2
    bordered = np.pad(
        np.asarray(picture, np.float32),
        ((before, after + STEP + 2), (before, after + SLACK)),
        "edge",
    )
    result = np.empty((height, width), np.float32)
    down, across = max(1, round(height / TILE_HEIGHT)), -(-width // TILE_WIDTH)

    def work(i):
        i, j = divmod(i, across)
        predict_tile(
            bordered,
            w1,
            b1,
            w2,
            b2,
            w3,
            b3,
            f1,
            f2,
            f3,
            result,
            height * i // down,
            height * (i + 1) // down,
            width * j // across,
            width * (j + 1) // across,
        )

    share(work, down * across)
    return result


@njit(nogil=True, cache=True)
def predict_tile(bordered, w1, b1, w2, b2, w3, b3, f1, f2, f3, result, top, bottom, left, right):
    """Fill result[top:bottom, left:right]."""
    height, width = result.shape
    before2, after2, before3, after3 = (f2 - 1) // 2, f2 // 2, (f3 - 1) // 2, f3 // 2
    left2, right2 = (
        max(0, left - before3),
        min(width, right + after3),
    )  # the columns needed of the second map
    left1, right1 = max(0, left2 - before2), min(width, right2 + after2)  # and of the first
    channels1, channels2 = len(b1), len(b2)
    first_by_winograd, by_winograd = by_pieces(f1), f2 == 5
    step1 = STEP if first_by_winograd else 1  # rows of the maps made in one go
    step = STEP if by_winograd else 1
    row1, row2 = (
        (right2 - left2 + f2 - 1 + SLACK) * channels1,
        (right - left + f3 - 1 + SLACK) * channels2,
    )
    ring1 = np.empty((f2 + step + step1 - 2, row1), np.float32)
    ring2 = np.empty((f3 + step - 1, row2), np.float32)
    made1, made2 = (
        max(0, max(0, top - before3) - before2),
        max(0, top - before3),
    )  # the next row to make
    starts1, starts2, starts3 = (
        np.empty(f1, np.intp),
        np.empty(f2 + step - 1, np.intp),
        np.empty(f3, np.intp),
    )
    goals = np.empty(STEP, np.intp)
    if first_by_winograd:
        pieces = (f1 + PIECE - 1) // PIECE
        columns = right1 - left1 + SLACK
        values1 = np.empty((1, pieces * FIRST_SIDE * FIRST_SIDE, columns), np.float32)
        products1 = np.empty(
            (FIRST_SIDE * FIRST_SIDE, (FIRST_TILES + MOST) * channels1 + LANES), np.float32
        )
        spare1 = np.empty(FIRST_SIDE * (columns + LANES), np.float32)
    if by_winograd:
        values = np.empty((SIDE * SIDE, TILES * channels1 + LANES), np.float32)
        products = np.empty((SIDE * SIDE, TILES * channels2 + LANES), np.float32)
        spare = np.empty(SIDE * SIDE * LANES, np.float32)
    for row in range(top, bottom):
        while made2 <= min(row + after3, height - 1):
            while made1 <= min(made2 + step - 1 + after2, height - 1):
                offset = (left1 - left2 + before2) * channels1
                for i in range(step1):
                    goals[i] = (made1 + i) % len(ring1) * row1 + offset
                if first_by_winograd:
                    first_rows(
                        bordered,
                        made1 * bordered.shape[1] + left1,
                        bordered.shape[1],
                        w1,
                        b1,
                        ring1,
                        goals,
                        right1 - left1,
                        values1,
                        products1,
                        spare1,
                    )
                else:
                    for u in range(f1):
                        starts1[u] = (made1 + u) * bordered.shape[1] + left1
                    filter_row(
                        bordered,
                        starts1,
                        1,
                        w1.reshape(w1.shape[0], w1.shape[1], w1.shape[2], w1.shape[4]),
                        b1,
                        ring1,
                        goals[0],
                        right1 - left1,
                    )
                for i in range(step1):
                    repeat_ends(
                        ring1,
                        (made1 + i) % len(ring1) * row1,
                        channels1,
                        left1 - left2 + before2,
                        right1 - left1,
                        right2 - left2 + f2 + step - 2,
                    )
                made1 += step1
            for u in range(len(starts2)):
                starts2[u] = (min(max(made2 + u - before2, 0), height - 1) % len(ring1)) * row1
            offset = left2 - (left - before3)
            for i in range(step):
                goals[i] = (made2 + i) % len(ring2) * row2 + offset * channels2
            if by_winograd:
                winograd_rows(
                    ring1,
                    starts2,
                    channels1,
                    w2,
                    b2,
                    ring2,
                    goals,
                    right2 - left2,
                    values,
                    products,
                    spare,
                )
            else:
                filter_row(ring1, starts2, channels1, w2, b2, ring2, goals[0], right2 - left2)
            for i in range(step):
                repeat_ends(
                    ring2,
                    (made2 + i) % len(ring2) * row2,
                    channels2,
                    offset,
                    right2 - left2,
                    right - left + f3 - 1,
                )
            made2 += step
        for u in range(f3):
            starts3[u] = min(max(row + u - before3, 0), height - 1) % len(ring2) * row2
        last_row(ring2, starts3, channels2, w3, b3, result, row * width + left, right - left)


@njit(nogil=True, cache=True)
def repeat_ends(ring, at, channels, begin, count, total):
    """Fill columns [0, total) of the row that begins at element `at`, by repetition.

    There are `count` from column `begin` on: the first stands for those before, the last for
    those behind.
    """
    for column in range(total):
        inside = min(max(column, begin), begin + count - 1)
        if inside != column:
            for channel in range(at, at + channels, LANES):
                store(ring, channel + column * channels, load(ring, channel + inside * channels))
