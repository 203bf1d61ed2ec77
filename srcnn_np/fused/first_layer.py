"""The first layer by Winograd: one channel, and large filters, cut into 3 x 3 pieces.

A 9 x 9 filter (7 x 7 and 8 x 8 alike, filled up with zeros) is the sum of nine 3 x 3 filters,
each on the picture shifted by multiples of 3. For a 3 x 3 filter, F(4 x 4, 3 x 3) makes
4 x 4 results from 6 x 6 pixels with 36 products instead of 144 (see `srcnn_np.fused.winograd`
for how), and sums over the nine pieces are taken before going back from products to results:
324 products where the plain sum of a 9 x 9 filter needs 1,296.

The pixels' values at the places (0, 1, -1, 2, -2, infinity) are taken at every column, so
that they serve all pieces.
"""

import numpy as np

from ..compiling import kernel
from .rows import MOST, MOST2, UNIT, whole_units
from .simd import (
    LANES,
    add_strided_products,
    added,
    load,
    load_block,
    load_like,
    relu_block,
    store_block,
    zeros,
)
from .winograd import FIRST, STEP, Scratch

PIECE, PIECES, SIDE = 3, 3, 6  # 3 x 3 pieces of 3 x 3 taps, 6 x 6 places
TILES = 64

FILTER_VALUES = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)


@kernel
def covers(f1):
    """Whether a layer of f1 x f1 filters is one for this file."""
    return FIRST and (f1 + PIECE - 1) // PIECE == PIECES


@kernel
def first_scratch(f1, channels, rows, columns, tiles):
    """For a layer of f1 x f1 filters; empty where this file is not for it."""
    places = SIDE * SIDE if covers(f1) else 0
    return Scratch(
        np.empty((rows, PIECES * places, columns), np.float32),
        np.empty((places, (tiles + MOST) * channels + LANES), np.float32),
        np.empty(SIDE * (columns + LANES), np.float32),
    )


def first_filter_values(w):
    """Filters (K,1,f,f) as values (36, units, pieces, UNIT), zeros filling the gaps."""
    filters, _, f, _ = w.shape
    full = np.zeros((filters, PIECES * PIECE, PIECES * PIECE))
    full[:, :f, :f] = w[:, 0]
    full = full.reshape(filters, PIECES, PIECE, PIECES, PIECE)
    values = np.zeros((SIDE * SIDE, whole_units(filters), PIECES * PIECES), np.float32)
    values[:, :filters] = np.einsum(
        "iu,kpuqj->ijkpq", FILTER_VALUES, full @ FILTER_VALUES.T
    ).reshape(SIDE * SIDE, filters, -1)
    return np.ascontiguousarray(
        values.reshape(SIDE * SIDE, -1, UNIT, PIECES * PIECES).swapaxes(2, 3)
    )


@kernel
def first_pixel_values(d0, d1, d2, d3, d4, d5):
    """Six pixels' values at the 6 places."""
    even1, odd1 = d4 - 4.0 * d2, d3 - 4.0 * d1
    even2, odd2 = d4 - d2, 2.0 * (d3 - d1)
    return (
        4.0 * d0 - 5.0 * d2 + d4,
        even1 + odd1,
        even1 - odd1,
        even2 + odd2,
        even2 - odd2,
        4.0 * d1 - 5.0 * d3 + d5,
    )


@kernel
def first_results(m0, m1, m2, m3, m4, m5):
    """Four results from the products at the 6 places."""
    sum1, sum2, difference1, difference2 = m1 + m2, m3 + m4, m1 - m2, m3 - m4
    return (
        m0 + sum1 + sum2,
        difference1 + 2.0 * difference2,
        sum1 + 4.0 * sum2,
        difference1 + 8.0 * difference2 + m5,
    )


@kernel
def first_rows(picture, start, weights, biases, y, goals, count, scratch):
    """Four rows of `count` pixels of results after ReLU; row i goes to y from goals[i] on.

    The first pixel's window begins at element `start` of the picture.
    """
    values, products, spare = scratch
    filters = len(biases)
    tiles = (count + STEP - 1) // STEP
    first_evaluate(picture, start, tiles * STEP, values, 0, spare)
    for first in range(0, tiles, TILES):
        some = min(TILES, tiles - first)
        first_multiply(values, 1, first * STEP, weights, some, products)
        first_back(products, 0, biases, y, goals, first * STEP * filters, some, spare)


@kernel
def first_evaluate(picture, start, count, values, n, spare):
    """values[n, (piece, place), column]: at every column, the 36 values of 6 x 6 pixels.

    `piece` counts rows of pieces.
    """
    columns = count + PIECE * PIECES
    row_step = picture.shape[1]
    row = values.shape[2]  # spare: rows of that many columns, too
    for piece in range(PIECES):
        at = start + piece * PIECE * row_step
        for column in range(0, columns + LANES, LANES):
            d0, d1, d2, d3, d4, d5 = load_block(picture, at + column, row_step, 6)
            store_block(spare, column, 0, row, 6, first_pixel_values(d0, d1, d2, d3, d4, d5))
        for i in range(SIDE):
            to = (n * values.shape[1] + (piece * SIDE + i) * SIDE) * row
            for column in range(0, columns, LANES):
                d0, d1, d2, d3, d4, d5 = load_block(spare, i * row + column, 1, 6)
                store_block(
                    values, to + column, 0, row, 6, first_pixel_values(d0, d1, d2, d3, d4, d5)
                )


@kernel
def first_multiply(values, rows, column, weights, tiles, products):
    """products[place, row * tiles + tile, filter]: values times filters' values, over pieces.

    Tiles past a row's last one are overwritten by the next row's, or never read.
    """
    places, units, _, unit = weights.shape
    filters = units * unit
    for place in range(places):
        for k in range(units):
            taps = weights[place, k]
            for row in range(rows):
                tile = 0
                while tile < tiles:
                    left = tiles - tile
                    at = (row * values.shape[1] + place) * values.shape[2] + column + tile * STEP
                    to = place * products.shape[1] + (row * tiles + tile) * filters + k * unit
                    if left > 4:
                        first_store_sums(products, to, filters, zeros(MOST2), values, at, taps)
                        tile += MOST
                    elif left > 2:
                        first_store_sums(products, to, filters, zeros(8), values, at, taps)
                        tile += 4
                    elif left == 2:
                        first_store_sums(products, to, filters, zeros(4), values, at, taps)
                        tile += 2
                    else:
                        first_store_sums(products, to, filters, zeros(2), values, at, taps)
                        tile += 1


@kernel
def first_store_sums(products, to, filters, sums, values, at, taps):
    """Sums over all pieces, of neighbouring tiles and one unit of filters, at one place."""
    unit = taps.shape[1]
    tap = 0
    for _ in range(PIECES):
        for piece in range(PIECES):
            vectors = load_block(taps, tap, LANES, 2)
            sums = add_strided_products(sums, values, at + piece * PIECE, STEP, vectors)
            tap += unit
        at += SIDE * SIDE * values.shape[2]
    store_block(products, to, filters, LANES, 2, sums)


@kernel
def first_back(products, first, biases, y, goals, offset, tiles, spare):
    """The tiles' 4 x 4 results, biases added, after ReLU, of products[place, first + tile]."""
    filters = len(biases)
    place_step = products.shape[1]
    for tile in range(tiles):
        for k in range(0, filters, LANES):
            at = (first + tile) * filters + k
            bias = load(biases, k)
            for j in range(SIDE):
                m0, m1, m2, m3, m4, m5 = load_block(
                    products, at + j * place_step, SIDE * place_step, 6
                )
                store_block(
                    spare, j * LANES, 0, SIDE * LANES, 4, first_results(m0, m1, m2, m3, m4, m5)
                )
            to = offset + tile * STEP * filters + k
            for i in range(STEP):
                m0, m1, m2, m3, m4, m5 = load_block(spare, i * SIDE * LANES, LANES, 6)
                y0, y1, y2, y3 = first_results(m0, m1, m2, m3, m4, m5)
                store_block(
                    y,
                    goals[i] + to,
                    0,
                    filters,
                    4,
                    relu_block((y0 + bias, y1 + bias, y2 + bias, y3 + bias)),
                )


# --- the gradient of the weights: the same steps transposed, in the opposite order ---------


def first_filter_gradient(sums, shape):
    """Filters' gradient (K,1,f,f) from that of their values, (36, units, pieces, UNIT)."""
    filters, _, f, _ = shape
    values = sums.reshape(SIDE, SIDE, -1, PIECES, PIECES, UNIT)
    rows = np.einsum("iu,ijapqb->ujapqb", FILTER_VALUES, values)
    full = np.einsum("jv,ujapqb->abpuqv", FILTER_VALUES, rows)
    full = full.reshape(-1, PIECES * PIECE, PIECES * PIECE)
    return np.ascontiguousarray(full[:filters, None, :f, :f], sums.dtype)


@kernel
def first_spread(y0, y1, y2, y3):
    """`first_results` transposed."""
    even1, odd1 = y0 + y2, y1 + y3
    even2, odd2 = y0 + 4.0 * y2, 2.0 * y1 + 8.0 * y3
    return y0, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, y3


@kernel
def first_spread_tiles(dy, starts, filters, tiles, products, first, spare):
    """Gradients of products[place, first + tile, filter] from those of 4 x 4 results."""
    place_step = products.shape[1]
    for tile in range(tiles):
        for k in range(0, filters, LANES):
            at = tile * STEP * filters + k
            for j in range(STEP):
                store_block(
                    spare,
                    j * LANES,
                    0,
                    STEP * LANES,
                    6,
                    first_spread(
                        load(dy, starts[0] + at),
                        load(dy, starts[1] + at),
                        load(dy, starts[2] + at),
                        load(dy, starts[3] + at),
                    ),
                )
                at += filters
            to = (first + tile) * filters + k
            for i in range(SIDE):
                y0, y1, y2, y3 = load_block(spare, i * STEP * LANES, LANES, 4)
                store_block(products, to, 0, place_step, 6, first_spread(y0, y1, y2, y3))
                to += SIDE * place_step


@kernel
def first_add_value_gradients(values, rows, tiles, products, sums):
    """Add to sums[place, unit, piece] values times products' gradients, all tiles."""
    places, units, _, unit = sums.shape
    columns = values.shape[2]
    next_piece = SIDE * SIDE * columns
    for place in range(places):
        for k in range(units):
            sums0, sums1, sums2 = zeros(6), zeros(6), zeros(6)
            for row in range(rows):
                at = (row * values.shape[1] + place) * columns
                at_dy = place * products.shape[1] + row * tiles * units * unit + k * unit
                for _ in range(tiles):
                    dy = load_block(products, at_dy, LANES, 2)
                    sums0 = add_strided_products(sums0, values, at, PIECE, dy)
                    sums1 = add_strided_products(sums1, values, at + next_piece, PIECE, dy)
                    sums2 = add_strided_products(sums2, values, at + 2 * next_piece, PIECE, dy)
                    at += STEP
                    at_dy += units * unit
            to = (place * units + k) * PIECES * PIECES * unit
            for block in (sums0, sums1, sums2):
                store_block(
                    sums,
                    to,
                    2 * LANES,
                    LANES,
                    2,
                    added(load_like(sums, to, 2 * LANES, block), block),
                )
                to += PIECES * unit
