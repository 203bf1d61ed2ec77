"""How pictures and filters lie in memory for the kernels.

Pictures lie as (N, H, W, C): all channels of a pixel side by side ("channels last"). A filter then
sees one run of kw·C neighbouring numbers in a row, and the run of the next pixel begins C numbers
on. So all columns of `im2col` are there without copies. Other modules see views of the shape
(N, C, H, W), so that nothing is copied from one layer to the next.

Filters lie as their products need them: a *unit* is one or two vectors of neighbouring filters,
and all taps of a unit follow each other.
"""

import math
from typing import NamedTuple

import numpy as np

from ..compiling import part
from .vectors import LANES, load, store


def channels_last(x: np.ndarray) -> np.ndarray:
    """Return x (N, C, H, W) as a C-contiguous array (N, H, W, C): a view if possible, else a copy.

    A read-only array is copied too: Numba would compile kernels anew for that type.
    """
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return last if last.flags.writeable else last.copy()


def channels_first(x: np.ndarray) -> np.ndarray:
    """Return x (N, H, W, C) as a view of shape (N, C, H, W)."""
    return x.transpose(0, 3, 1, 2)


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Return an empty float32 array that begins at a multiple of a vector's size in memory."""
    count = math.prod(shape)
    full = np.empty(count + LANES, np.float32)
    first = -full.ctypes.data // 4 % LANES
    return full[first : first + count].reshape(shape)


def whole_vectors(count: int) -> int:
    """Return `count` rounded up to whole vectors."""
    return -(-count // LANES) * LANES


def unit_of(filters: int) -> tuple[int, ...]:
    """Return where a unit's vectors begin: two if filters fill whole pairs of vectors, else one.

    The result is a tuple, because kernels are compiled for its length.
    """
    return (0, LANES) if whole_vectors(filters) % (2 * LANES) == 0 else (0,)


def packed(w: np.ndarray) -> np.ndarray:
    """Return filters (K, C, kh, kw) as (units, kh, kw·C, width), zeros filling the last unit."""
    K, C, kh, kw = w.shape
    full = np.zeros((kh, kw, C, whole_vectors(K)), w.dtype)
    full[..., :K] = w.transpose(2, 3, 1, 0)
    width = len(unit_of(K)) * LANES
    return np.ascontiguousarray(full.reshape(kh, kw * C, -1, width).transpose(2, 0, 1, 3))


def turned(w: np.ndarray) -> np.ndarray:
    """Return filters (K, C, kh, kw) turned by 180 degrees, filters and channels exchanged."""
    return w[:, :, ::-1, ::-1].swapaxes(0, 1)


def padded(b: np.ndarray) -> np.ndarray:
    """Return the biases with zeros filling the last vector."""
    full = np.zeros(whole_vectors(len(b)), b.dtype)
    full[: len(b)] = b
    return full


class Piece(NamedTuple):
    """Which results are to be computed: a rectangle of some pictures.

    Attributes
    ----------
    first, last : int
        Pictures [first, last).
    x_top, x_left : int
        Row and column of x where the window of the first result begins.
    y_top, y_left : int
        Row and column of y where the first result goes.
    rows, columns : int
        How many of each the results have.
    """

    first: int
    last: int
    x_top: int
    x_left: int
    y_top: int
    y_left: int
    rows: int
    columns: int


class Window(NamedTuple):
    """Pixels in an array: pixel (row i, column j) begins at element `at` + i·row + j·pixel."""

    array: np.ndarray
    at: int
    row: int
    pixel: int


@part
def whole_window(x, height, width, channels, size, full, spare):
    """Return a window of size x size pixels of `full` channels; height x width of them exist.

    This is x itself if all of them exist, else a copy in `spare`, with zeros for the others.
    """
    if height >= size and width >= size and channels == full:
        return x
    for i in range(size):
        for j in range(size):
            to = (i * size + j) * full
            if i < height and j < width:
                copy(x.array, x.at + i * x.row + j * x.pixel, spare, to, channels)
                spare[to + channels : to + full] = 0
            else:
                spare[to : to + full] = 0
    return Window(spare, 0, size * full, full)


@part
def put_back(window, x, height, width, channels, size):
    """Copy a window back to x, unless the window is x itself."""
    if window.array is x.array:
        return
    for i in range(min(size, height)):
        for j in range(min(size, width)):
            at = window.at + i * window.row + j * window.pixel
            copy(window.array, at, x.array, x.at + i * x.row + j * x.pixel, channels)


@part
def copy(x, at, y, to, count):
    """Copy `count` numbers."""
    vectors = count // LANES * LANES
    for n in range(0, vectors, LANES):
        store(y, to + n, load(x, at + n))
    for n in range(vectors, count):
        y[to + n] = x[at + n]
