"""A stack of layers on a tile of a picture, with neighbouring pixels as lanes.

Other kernels have filters as lanes, and a layer of 12 filters leaves a quarter of the lanes empty.
Here a row of a map lies as one line for each channel: (H, C, W). A vector is some neighbouring
pixels of one channel, and taps are single numbers. So a row of results is a sum of kh products of
`srcnn_np.kernels.product`, one for each row of the window, with filters as lines, pixels as lanes,
channels as outer turns, and the window's columns as inner ones.

A tile is computed from top to bottom. Each map in turn gets one row, which the next map needs now.
A map keeps only the rows of one window of the next layer, and the border below it, as a ring: a new
row goes where the oldest was. The loop over rows is compiled too: in Python, a turn would take as
long as its arithmetic.
"""

import numpy as np

from ..compiling import kernel, part
from .activations import all_finite
from .layouts import copy
from .product import Factor, Turns, sum_block
from .vectors import LANES, REGISTERS, beginning, bend_block, store_block, zeros

SPAN = 2 * LANES  # pixels of a block of sums
# Filters of a block, as many as registers hold. Of 32, FSRCNN's layers leave blocks of 9 and 8.
SIZES = (12, 9, 8, 4, 1) if REGISTERS == 32 else (6, 4, 3, 2, 1)

# A layer, for tiles of some columns. The border that the next layer needs belongs to this layer's
# map y. Columns are counted from where a line begins in memory.
LAYER = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("K", "C", "kh", "kw"),
            *("w", "b", "slopes"),  # where filters (K, kh, C, kw), biases and slopes begin
            *("x", "x_line", "x_rows", "x_left"),  # as for y; x_left is the first window's column
            "y",  # where y begins
            "y_line",  # how long its lines are
            "y_rows",  # how many rows it keeps
            "y_left",  # the column of the first result
            "columns",  # how many columns of results
            "width",  # how many columns with the border
            *("above", "below", "copies"),  # rows of border; whether it has copies, or zeros
            "H",  # how many rows of results
            "ahead",  # how many rows the layer is ahead of the last one
        )
    ]
)


@kernel
def forward(layers, numbers, picture, memory, y, tile):
    """Fill a tile of y (H, sh, W, M) from a picture (H, C, W); return whether all is finite.

    Arrays are flat. `numbers` holds filters, biases and slopes; `memory` is for maps. The last map
    has sh·M channels, which are M numbers side by side in each of sh rows of y.
    """
    top, bottom, left, W, sh, M = tile
    last, begin, finite = len(layers) - 1, top, True
    firsts = np.empty(last + 1, np.int64)  # rows that a layer computes first
    firsts[last] = top
    for n in range(last, 0, -1):
        firsts[n - 1] = max(0, firsts[n] - layers[n - 1].above)
        begin = min(begin, firsts[n - 1] - layers[n - 1].ahead)
    rows = np.empty(layers["kh"].max(), np.int64)
    for row in range(begin, bottom):  # of the last map
        for n in range(last + 1):
            layer, i = layers[n], row + layers[n].ahead
            if firsts[n] <= i < layer.H:
                x = picture if n == 0 else memory
                convolve(layer, numbers, x, i, memory, rows)
                if n < last:
                    add_borders(layer, memory, i)
                else:
                    finite &= lay_out(layer, memory, y, (i * sh * W + left) * M, W * M, sh, M)
    return finite


@part
def convolve(layer, numbers, x, i, y, rows):
    """Write row i of results to y, activated; `rows` is for the places of the window's rows."""
    size = layer.C * layer.x_line
    for u in range(layer.kh):
        rows[u] = layer.x + (i + u) % layer.x_rows * size + layer.x_left
    to = row_at(layer, i + layer.above) + layer.y_left
    for j in range(0, layer.columns, SPAN):
        places = numbers, x, rows, j, y, to + j
        k = _largest(0, layer, places)
        k = _large(k, layer, places)
        k = _middle(k, layer, places)
        k = _small(k, layer, places)
        _one(k, layer, places)


@part
def row_at(layer, row):
    """Return where a row of y begins."""
    return layer.y + row % layer.y_rows * layer.K * layer.y_line


def _in_blocks_of(size):
    """Make a function that writes filters k, k + 1, ... in whole blocks; it returns the next k."""

    @part(inline="always")
    def write_blocks(k, layer, places):
        numbers, x, rows, j, y, to = places
        run, turns = layer.C * layer.kw, Turns(layer.C, layer.kw)
        while layer.K - k >= size:
            sums = beginning(zeros(2), size, numbers, layer.b + k)
            for u in range(layer.kh):
                tap = layer.w + (k * layer.kh + u) * run
                taps = Factor(numbers, tap, layer.kh * run, layer.kw, 1)
                pixels = Factor(x, rows[u] + j, 0, layer.x_line, 1)
                sums = sum_block(sums, 0, 0, taps, pixels, turns)
            sums = bend_block(sums, numbers, layer.slopes + k)
            store_block(y, to + k * layer.y_line, layer.y_line, sums)
            k += size
        return k

    return write_blocks


_largest, _large, _middle, _small, _one = (_in_blocks_of(size) for size in SIZES)


@part
def add_borders(layer, y, i):
    """Fill the border beside row i of a map; above it if it is the first, below it if the last."""
    at, right = row_at(layer, i + layer.above), layer.y_left + layer.columns
    for k in range(layer.K if layer.width > layer.columns else 0):
        line = y[at + k * layer.y_line : at + k * layer.y_line + layer.width]
        line[: layer.y_left] = line[layer.y_left] if layer.copies else 0
        line[right:] = line[right - 1] if layer.copies else 0
    if i == 0:
        add_rows(layer, y, at, 0, layer.above)
    if i == layer.H - 1:
        add_rows(layer, y, at, layer.above + layer.H, layer.below)


@part
def add_rows(layer, y, at, first, count):
    """Fill rows of border with zeros, or with copies of the row that begins at `at`."""
    size = layer.K * layer.y_line
    for row in range(first, first + count):
        to = row_at(layer, row)
        if layer.copies:
            copy(y, at, y, to, size)
        else:
            y[to : to + size] = 0


@part
def lay_out(layer, memory, y, to, next_row, sh, M):
    """Lay the row of the last map into sh rows of y; return whether all is finite."""
    finite = True
    for a in range(sh):
        for m in range(M):
            at = layer.y + layer.y_left + (a * M + m) * layer.y_line
            for j in range(layer.columns):
                y[to + j * M + m] = memory[at + j]
            finite &= all_finite(memory[at : at + layer.columns])
        to += next_row
    return finite
