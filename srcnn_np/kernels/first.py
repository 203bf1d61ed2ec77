"""Winograd for the first layer: one channel, and large filters, cut into 3 x 3 pieces.

A 9 x 9 filter (or an 8 x 8 one, filled up with zeros) is the sum of nine 3 x 3 filters. Each sees
the picture moved by multiples of 3, as if there were nine channels. Only the first channel needs
values of its own: the other eight have the same values at other rows and columns. So values are
taken at every column, with neighbouring columns as lanes. Products are summed over the pieces, and
then become results. So 4 x 4 results take 9 · 36 products where the plain sum needs 16 · 81.
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

PIECE, PIECES = 3, 3  # taps in a row of a piece, and pieces in a row
TAPS = (8, 9)
SIDE = tuple(range(PIECE + STEP - 1))
REACH = len(SIDE) - STEP + (PIECES - 1) * PIECE  # columns that results need beside their own
MOST_TILES = 48  # tiles in one go: their products stay in the second-level cache


class Grid(NamedTuple):
    """Rows and columns of tiles, in all and in one go, and the length of a row of values."""

    down: int
    across: int
    rows: int
    tiles: int
    length: int


@part
def grid(rows, columns):
    """Return the grid for `rows` x `columns` results."""
    down, across = (rows + STEP - 1) // STEP, (columns + STEP - 1) // STEP
    tiles = min(across, MOST_TILES)
    return Grid(down, across, max(1, MOST_TILES // tiles), tiles, tiles * STEP + REACH + LANES)


@kernel
def forward(unit, taps, x, w, b, y, scratch, piece, kind, slopes):
    """Do what `winograd.forward` does, for taps x taps filters; w has their pieces as channels."""
    first, last, top, left, to, y_left, rows, columns = piece
    (_, H, W, _), (_, OH, OW, K) = x.shape, y.shape
    filters, some = len(b), grid(rows, columns)
    xs, ys = x.reshape(-1), y.reshape(-1)
    values, products, spare, edge = cut(scratch, some, filters)
    turns, width = Turns(PIECES, PIECES), len(unit) * LANES
    (spoilt,) = zeros(1)
    for n in range(first, last):
        for i in range(0, some.down, some.rows):
            for j in range(0, some.across, some.tiles):
                down, across = min(some.rows, some.down - i), min(some.tiles, some.across - j)
                window = Window(xs, (n * H + top + i * STEP) * W + left + j * STEP, W, 1)
                height, reach = rows + taps - 1 - i * STEP, columns + taps - 1 - j * STEP
                evaluate(window, height, reach, down, values, some.length)
                for place in range(len(SIDE) ** 2):
                    at = place * filters * PIECES**2
                    factor = Factor(w, at, PIECES**2, PIECES * width, width)
                    for row in range(down):
                        pixels = pixels_at(values, some.length, row, place, STEP, PIECE)
                        at = place * products.step + row * across * products.tile
                        goal = Lines(products.array, at, products.tile, False)
                        # What is written past a row is overwritten by the next row, or never read.
                        count = rounded(across)
                        multiply(zeros(unit), pixels, factor, turns, NOTHING, goal, count, filters)
                for tile in range(down * across):
                    row, column = (i + tile // across) * STEP, (j + tile % across) * STEP
                    at = ((n * OH + to + row) * OW + y_left + column) * K
                    goal, exist = Window(ys, at, OW * K, K), (rows - row, columns - column, K)
                    more = kind, slopes, spoilt
                    spoilt = interpolate(SIDE, products, tile, b, goal, exist, more, edge, spare)
    store(spare, 0, spoilt)
    return all_finite(spare[:LANES])


@kernel
def weight_gradient(unit, taps, dy, x, sums, scratch, piece):
    """Add the share of a piece of dy to `sums` (places, pieces as channels, K in whole vectors)."""
    first, last, top, left, to, y_left, rows, columns = piece
    (_, H, W, _), (_, OH, OW, K), (_, _, filters) = x.shape, dy.shape, sums.shape
    some, dvs = grid(rows, columns), sums.reshape(-1)
    xs, dys = x.reshape(-1), dy.reshape(-1)
    values, products, spare, edge = cut(scratch, some, filters)
    for n in range(first, last):
        for i in range(0, some.down, some.rows):
            for j in range(0, some.across, some.tiles):
                down, across = min(some.rows, some.down - i), min(some.tiles, some.across - j)
                window = Window(xs, (n * H + top + i * STEP) * W + left + j * STEP, W, 1)
                height, reach = rows + taps - 1 - i * STEP, columns + taps - 1 - j * STEP
                evaluate(window, height, reach, down, values, some.length)
                for tile in range(down * across):
                    row, column = (i + tile // across) * STEP, (j + tile % across) * STEP
                    at = ((n * OH + to + row) * OW + y_left + column) * K
                    from_, exist = Window(dys, at, OW * K, K), (rows - row, columns - column, K)
                    spread_tile(SIDE, from_, exist, products, tile, filters, edge, spare)
                for place in range(len(SIDE) ** 2):
                    pixels = pixels_at(values, some.length, 0, place, PIECE, STEP)
                    at, tile = place * products.step, products.tile
                    dproducts = Factor(products.array, at, 1, across * tile, tile)
                    goal = Lines(dvs, place * PIECES**2 * filters, filters, False)
                    add_pieces(unit, pixels, dproducts, Turns(down, across), goal)


@part
def add_pieces(unit, x, dy, turns, goal):
    """Add dy's products with three rows of three pieces; the rows share each load of dy."""
    zero = stacked(zeros(unit), PIECES)
    for k in range(0, goal.row, len(unit) * LANES):
        first, second, third = zero, zero, zero
        for i in range(turns.outer):
            at, dy_at = x.at + i * PIECES * x.next, dy.at + i * dy.next + k
            for _ in range(turns.inner):
                first = add_outer_product(first, x.array, at, x.row, dy.array, dy_at)
                second = add_outer_product(second, x.array, at + x.next, x.row, dy.array, dy_at)
                third = add_outer_product(third, x.array, at + 2 * x.next, x.row, dy.array, dy_at)
                at += x.step
                dy_at += dy.step
        to = goal.at + k
        for block in (first, second, third):
            store_block(goal.array, to, goal.row, add_block(block, goal.array, to, goal.row))
            to += PIECES * goal.row


def scratch_for(filters: int) -> int:
    """Return how many numbers `cut` cuts up at most."""
    rows = MOST_TILES * (STEP + REACH + LANES)  # the most, reached with one column of tiles
    return len(SIDE) ** 2 * (PIECES * rows + (MOST_TILES + MOST + 2) * filters) + 2048


@part
def cut(scratch, some, filters):
    """Cut up memory for values [row of tiles, row of pieces, place, column], and for products."""
    slack = MOST * STEP  # that the lines of tiles past a row's end may touch
    count = some.rows * PIECES * len(SIDE) ** 2 * some.length + slack
    products, end = places(SIDE, scratch, count, filters, some.rows * some.tiles + MOST)
    size = len(SIDE) ** 2 * filters
    edge = scratch[end + size : end + size + STEP * STEP * filters]
    return scratch[:count], products, scratch[end : end + size], edge


@part
def pixels_at(values, length, row, place, line, step):
    """Return the values at one place as a factor; each outer turn takes the next row of pieces."""
    at = (row * PIECES * len(SIDE) ** 2 + place) * length
    return Factor(values, at, line, len(SIDE) ** 2 * length, step)


@part
def evaluate(x, height, width, down, values, length):
    """Write the values of `down` rows of tiles; pixels of x beyond height x width are zeros."""
    high, side = len(SIDE) + (PIECES - 1) * PIECE, len(SIDE)
    strip, half = np.empty(high * length, np.float32), np.empty(side * length, np.float32)
    for row in range(down):
        for i in range(high):
            count = min(length, width) if row * STEP + i < height else 0
            copy(x.array, x.at + (row * STEP + i) * x.row, strip, i * length, count)
            strip[i * length + count : (i + 1) * length] = 0
        for p in range(PIECES):
            for m in range(0, length - LANES + 1, LANES):
                line = load_line(strip, p * PIECE * length + m, length, SIDE)
                store_line(half, m, length, pixel_values(line, SIDE))
            for i in range(side):
                to = ((row * PIECES + p) * side + i) * side * length
                for m in range(0, length - LANES - side + 2, LANES):
                    line = load_line(half, i * length + m, 1, SIDE)
                    store_line(values, to + m, length, pixel_values(line, SIDE))
