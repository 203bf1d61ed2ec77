"""Sub-images of pictures shrunk and enlarged again, made from the pictures alone.

Shrinking and enlarging are linear, and local: a square of the enlarged picture depends on a
somewhat larger square of the picture, by two small matrices for each of the two steps,

    small = S_rows · picture · S_columnsᵀ,   given = E_rows · small · E_columnsᵀ

Each row of a matrix has only a few numbers that are not 0 (`Taps`). So only the picture itself is
kept, a byte for each pixel. If the small picture is another one, say after JPEG, it is kept too,
and S is 1.
"""

from typing import NamedTuple

import numpy as np

from ..compiling import kernel, part
from .vectors import LANES, add_outer_product, stacked, store_block, zeros


class Taps(NamedTuple):
    """Rows of sparse matrices: which numbers each row sums, and with which weights.

    Attributes
    ----------
    indices : (L, T) int array
    weights : (L, T) float32 array
    """

    indices: np.ndarray
    weights: np.ndarray


class Places(NamedTuple):
    """Where sub-images lie: arrays of N numbers, one for each sub-image.

    Attributes
    ----------
    at : int array
        The element where the picture's first plane begins.
    plane, width : int array
        The steps from one plane, and from one row, to the next, in elements.
    source, source_plane, source_width : int array
        The same for what x is made from: the small picture, or the picture again.
    row, column : int array
        The sub-image's first pixel.
    turn : int array
        0 to 7, see `srcnn_np.data.turn`.
    down_rows, down_columns, up_rows, up_columns : int array
        Where the rows of the picture's matrices begin in the taps.
    """

    at: np.ndarray
    plane: np.ndarray
    width: np.ndarray
    source: np.ndarray
    source_plane: np.ndarray
    source_width: np.ndarray
    row: np.ndarray
    column: np.ndarray
    turn: np.ndarray
    down_rows: np.ndarray
    down_columns: np.ndarray
    up_rows: np.ndarray
    up_columns: np.ndarray


def cut_plainly(pixels, given, places, down, up, ratio, x_turns, turns, top, left, x, target, most):
    """Do what `cut` does, in NumPy: this says what `cut` means, and needs no compiler."""
    N, C, side, _ = x.shape
    OH, OW = target.shape[2:]
    size = ratio * side
    for n in range(N):
        at, plane, width, *source, i, j, turn = (column[n] for column in places[:9])
        begins = [column[n] for column in places[9:]]
        down_rows, down_columns, up_rows, up_columns = begins
        rows, columns = turns[0, turn], turns[1, turn]
        wanted = rows[top : top + OH, left : left + OW], columns[top : top + OH, left : left + OW]
        for c in range(C):
            picture = pixels[at + c * plane : at + (c + 1) * plane].reshape(-1, width)
            start = source[0] + c * source[1]
            y = given[start : start + source[1]].reshape(-1, source[2])
            # First columns, then rows, each by both steps.
            for begin, begin_up, first in (
                (down_columns, up_columns, j // ratio),
                (down_rows, up_rows, i // ratio),
            ):
                used = up.indices[begin_up + first : begin_up + first + side]
                small = down.indices[begin + used]  # (side, T, taps)
                weights = up.weights[begin_up + first : begin_up + first + side, :, None]
                weights = weights * down.weights[begin + used]
                y = np.einsum("stk,stkm->sm", weights, y.T[small])
            x[n, c] = y[x_turns[0, turn], x_turns[1, turn]] / 255
            target[n, c] = picture[i : i + size, j : j + size][wanted] / 255


@kernel
def cut(pixels, given, places, down, up, ratio, x_turns, turns, top, left, x, target, most):
    """Write sub-images to x (N, C, side, side), and what is wanted to target (N, C, OH, OW).

    x is made from `given`, the target from `pixels`; `down` and `up` are taps. A pixel of x is as
    high and wide as `ratio` pixels of the picture, so x covers a square of size x size of these,
    size = ratio·side. `x_turns` (2, 8, side, side) says which row and column of x comes where in
    each turn; `turns` (2, 8, size, size) says the same of the square. The target begins in the
    square's row `top` and column `left`. A sub-image depends on a part of `given` with sides of at
    most `most`.
    """
    N, C, size, _ = x.shape
    OH, OW = target.shape[2:]
    row = (most + LANES - 1) // LANES * LANES
    one, two = np.empty(most * row, np.float32), np.empty(most * row, np.float32)
    for n in range(N):
        i, j = places.row[n] // ratio, places.column[n] // ratio
        rows, small_i = reach(up, places.up_rows[n] + i, size)
        columns, small_j = reach(up, places.up_columns[n] + j, size)
        high, first = reach(down, places.down_rows[n] + small_i, rows)
        wide, left_most = reach(down, places.down_columns[n] + small_j, columns)
        x_rows, x_columns = x_turns[0, places.turn[n]], x_turns[1, places.turn[n]]
        rows_of, columns_of = turns[0, places.turn[n]], turns[1, places.turn[n]]
        for c in range(C):
            plane = places.source[n] + c * places.source_plane[n]
            for u in range(high):
                at = plane + (first + u) * places.source_width[n] + left_most
                for v in range(wide):
                    one[u * row + v] = given[at + v]
            # (high, wide) -> (rows, wide) -> (wide, rows) -> (columns, rows) -> (size, rows)
            combine(down, places.down_rows[n] + small_i, rows, first, one, wide, two, row)
            transpose(two, rows, wide, one, row)
            at = places.down_columns[n] + small_j
            combine(down, at, columns, left_most, one, rows, two, row)
            combine(up, places.up_columns[n] + j, size, small_j, two, rows, one, row)
            # (size, rows) -> (rows, size) -> (size, size)
            transpose(one, size, rows, two, row)
            combine(up, places.up_rows[n] + i, size, small_i, two, size, one, row)
            for p in range(size):
                for q in range(size):
                    x[n, c, p, q] = one[x_rows[p, q] * row + x_columns[p, q]] / np.float32(255)
            corner = places.at[n] + c * places.plane[n]
            corner += places.row[n] * places.width[n] + places.column[n]
            for p in range(OH):
                for q in range(OW):
                    u, v = rows_of[top + p, left + q], columns_of[top + p, left + q]
                    target[n, c, p, q] = pixels[corner + u * places.width[n] + v] / 255


@part
def reach(taps, begin, count):
    """Return how many numbers some rows of a matrix span, and which is the first."""
    first, last = taps.indices[begin, 0], taps.indices[begin, 0]
    for n in range(begin, begin + count):
        for k in range(taps.indices.shape[1]):
            first, last = min(first, taps.indices[n, k]), max(last, taps.indices[n, k])
    return last - first + 1, first


@part
def combine(taps, begin, count, first, x, length, y, row):
    """Write y (count, length) = rows of a matrix times x; x's rows are counted from `first`.

    Rows are `row` elements (whole vectors) apart; numbers past `length` have no meaning.
    """
    weights, T = taps.weights.reshape(-1), taps.weights.shape[1]
    for n in range(count):
        for v in range(0, length, LANES):
            sums = stacked(zeros(1), 1)
            for k in range(T):
                at = (taps.indices[begin + n, k] - first) * row + v
                sums = add_outer_product(sums, weights, (begin + n) * T + k, 0, x, at)
            store_block(y, n * row + v, 0, sums)


@part
def transpose(x, rows, columns, y, row):
    """Write x (rows, columns) to y (columns, rows), transposed."""
    for n in range(rows):
        for m in range(columns):
            y[m * row + n] = x[n * row + m]
