"""Winograd for layers of few channels, such as the first, whose lanes are neighbouring pixels.

Such a layer's pictures are small beside its results, so that values are taken of the windows at
every column, not only where a tile begins: lanes run along the rows, all channels of a pixel side
by side. And then a 9 x 9 filter on one channel (7 x 7 and 8 x 8 alike, filled up by zeros) is nine
pieces of 3 x 3, each on the picture moved by multiples of 3: as if they were nine channels, whose
values at a tile are one channel's values at other columns and rows. Sums over the pieces are taken
before going back from products to results: 9 · 36 products where the plain sum needs 16 · 81.
"""

from typing import NamedTuple

import numpy as np

from ..compiling import kernel, part
from .layouts import Window, copy
from .product import MOST, NOTHING, Factor, Lines, Turns, multiply, rounded
from .vectors import (
    LANES,
    add_block,
    add_outer_product,
    load_line,
    stacked,
    store,
    store_block,
    store_line,
    zeros,
)
from .winograd import STEP, all_finite, interpolate, pixel_values, places, spread_tile

PIECE = 3  # taps of a piece in a row, and in a column
SLACK = MOST * STEP * LANES  # numbers that the lines of tiles past a row's end may touch
MOST_TILES = 48  # in one go, so that their products stay in the second-level cache


class Grid(NamedTuple):
    """How many tiles there are, and in one go; how long rows are, and how much of it is needed."""

    down: int
    across: int
    rows: int
    tiles: int
    length: int
    needed: int


@part
def grid(side, pieces, C, rows, columns):
    """The grid of that many results."""
    down, across = (rows + STEP - 1) // STEP, (columns + STEP - 1) // STEP
    tiles = min(across, MOST_TILES)
    width = (tiles * STEP + len(side) - STEP + (pieces - 1) * PIECE) * C
    length, needed = (width // LANES + 2) * LANES, width - (len(side) - 1) * C
    return Grid(down, across, max(1, MOST_TILES // tiles), tiles, length, needed)


@kernel
def forward(side, unit, pieces, size, x, w, b, y, piece, kind, slope):
    """As `winograd.forward`, of size x size filters; w has their pieces as channels."""
    first, last, top, left, to, y_left, rows, columns = piece
    _, H, W, C = x.shape
    _, OH, OW, K = y.shape
    filters, width = len(b), len(unit) * LANES
    some = grid(side, pieces, C, rows, columns)
    inner, step = (pieces, PIECE) if pieces > 1 else (C, 1)
    xs, ys = x.reshape(-1), y.reshape(-1)
    values = np.empty(some.rows * pieces * len(side) ** 2 * some.length + SLACK, np.float32)
    products = places(side, filters, some.rows * some.tiles + MOST)
    spare = np.empty(len(side) ** 2 * filters, np.float32)
    edge = np.empty(STEP * STEP * filters, np.float32)
    (spoilt,) = zeros(1)
    for n in range(first, last):
        for i in range(0, some.down, some.rows):
            for j in range(0, some.across, some.tiles):
                down, across = min(some.rows, some.down - i), min(some.tiles, some.across - j)
                window = Window(xs, ((n * H + top + i * STEP) * W + left + j * STEP) * C, W * C, C)
                height, reach = rows + size - 1 - i * STEP, columns + size - 1 - j * STEP
                evaluate(side, pieces, window, height, reach, down, values, some)
                for place in range(len(side) ** 2):
                    at = place * filters * pieces * inner
                    taps = Factor(w, at, pieces * inner, inner * width, width)
                    for row in range(down):
                        at = (row * pieces * len(side) ** 2 + place) * some.length
                        pixels = Factor(values, at, STEP * C, len(side) ** 2 * some.length, step)
                        at = place * products.step + row * across * products.tile
                        goal = Lines(products.array, at, products.tile, False)
                        # What is written past a row, the next one's overwrite, or nobody reads.
                        multiply(
                            *(zeros(unit), pixels, taps, Turns(pieces, inner)),
                            *(NOTHING, goal, rounded(across), filters),
                        )
                for tile in range(down * across):
                    row, column = (i + tile // across) * STEP, (j + tile % across) * STEP
                    at = ((n * OH + to + row) * OW + y_left + column) * K
                    goal, exist = Window(ys, at, OW * K, K), (rows - row, columns - column, K)
                    more = kind, slope, spoilt
                    spoilt = interpolate(side, products, tile, b, goal, exist, more, edge, spare)
    store(spare, 0, spoilt)
    return all_finite(spare[:LANES])


@kernel
def weight_gradient(side, unit, pieces, size, dy, x, sums, piece):
    """Add to `sums` (places, pieces as channels, K), whole vectors, what a piece of dy gives."""
    first, last, top, left, to, y_left, rows, columns = piece
    _, H, W, C = x.shape
    _, OH, OW, K = dy.shape
    _, _, filters = sums.shape
    some = grid(side, pieces, C, rows, columns)
    inner, step = (pieces, PIECE) if pieces > 1 else (C, 1)
    xs, dys, dvs = x.reshape(-1), dy.reshape(-1), sums.reshape(-1)
    values = np.empty(some.rows * pieces * len(side) ** 2 * some.length + SLACK, np.float32)
    products = places(side, filters, some.rows * some.tiles + MOST)
    spare = np.empty(len(side) ** 2 * filters, np.float32)
    edge = np.empty(STEP * STEP * filters, np.float32)
    (spoilt,) = zeros(1)
    for n in range(first, last):
        for i in range(0, some.down, some.rows):
            for j in range(0, some.across, some.tiles):
                down, across = min(some.rows, some.down - i), min(some.tiles, some.across - j)
                window = Window(xs, ((n * H + top + i * STEP) * W + left + j * STEP) * C, W * C, C)
                height, reach = rows + size - 1 - i * STEP, columns + size - 1 - j * STEP
                evaluate(side, pieces, window, height, reach, down, values, some)
                for tile in range(down * across):
                    row, column = (i + tile // across) * STEP, (j + tile % across) * STEP
                    at = ((n * OH + to + row) * OW + y_left + column) * K
                    from_, exist = Window(dys, at, OW * K, K), (rows - row, columns - column, K)
                    spread_tile(side, from_, exist, products, tile, filters, spoilt, edge, spare)
                for place in range(len(side) ** 2):
                    at, next_row = place * some.length, len(side) ** 2 * some.length
                    pixels = Factor(values, at, step, pieces * next_row, STEP * C)
                    tile = products.tile
                    at = place * products.step
                    dproducts = Factor(products.array, at, 1, across * tile, tile)
                    goal = Lines(dvs, place * pieces * inner * filters, filters, False)
                    if pieces == PIECE:
                        add_pieces(unit, pixels, next_row, dproducts, down, across, goal)
                    else:
                        multiply(
                            *(zeros(unit), pixels, dproducts, Turns(down, across)),
                            *(goal, goal, inner, filters),
                        )


@part
def add_pieces(unit, x, next_row, dy, down, across, goal):
    """The product of three rows of three pieces at once, as their lines share what dy loads."""
    zero = stacked(zeros(unit), PIECE)
    for k in range(0, goal.row, len(unit) * LANES):
        first, second, third = zero, zero, zero
        for i in range(down):
            at, dy_at = x.at + i * x.next, dy.at + i * dy.next + k
            for _ in range(across):
                first = add_outer_product(first, x.array, at, x.row, dy.array, dy_at)
                second = add_outer_product(second, x.array, at + next_row, x.row, dy.array, dy_at)
                third = add_outer_product(third, x.array, at + 2 * next_row, x.row, dy.array, dy_at)
                at += x.step
                dy_at += dy.step
        to = goal.at + k
        for block in (first, second, third):
            store_block(goal.array, to, goal.row, add_block(block, goal.array, to, goal.row))
            to += PIECE * goal.row


@part
def evaluate(side, pieces, x, height, width, down, values, some):
    """values[row of tiles, row of pieces, place, column · C + channel]; zeros for what x lacks.

    Of x, height x width pixels exist.
    """
    high, C, length = len(side) + (pieces - 1) * PIECE, x.pixel, some.length
    strip = np.empty((high, length), np.float32)
    half = np.empty((len(side), length), np.float32)
    flat, halves = strip.reshape(-1), half.reshape(-1)
    for row in range(down):
        for i in range(high):
            count = min(length, width * C) if row * STEP + i < height else 0
            copy(x.array, x.at + (row * STEP + i) * x.row, flat, i * length, count)
            strip[i, count:] = 0
        for p in range(pieces):
            for m in range(0, length, LANES):
                line = load_line(flat, p * PIECE * length + m, length, side)
                store_line(halves, m, length, pixel_values(line, side))
            for i in range(len(side)):
                to = ((row * pieces + p) * len(side) + i) * len(side) * length
                for m in range(0, some.needed, LANES):
                    line = load_line(halves, i * length + m, C, side)
                    store_line(values, to + m, length, pixel_values(line, side))
