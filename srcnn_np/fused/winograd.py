"""Winograd's convolution F(4 x 4, 5 x 5): 64 products where the plain sum needs 400.

In one dimension, let the 4 results of a filter g of 5 taps on 8 pixels d be wanted,

    y[i] = Σ_u g[u] · d[i + u],   i = 0 ... 3

20 products as it stands. The other way round (transposed), with d' of 4 numbers,

    z[k] = Σ_u g[u] · d'[k - u],   k = 0 ... 7

are the coefficients of the product of two polynomials, g(s) of degree 4 and d'(s) of degree
3. A polynomial of degree 7 is known by its values at 8 places, and its value at a place is the
product of g's and d''s: so evaluate both at 8 places (0, 1, -1, 2, -2, 1/2, -1/2 and, as the
leading coefficient, infinity), multiply place by place, and interpolate: 8 products. Written
with matrices, z = C ((G g) · (A d')), where G and A evaluate and C interpolates. Transposing
this linear map of d' gives the one that was wanted, at the same 8 products:

    y = A^T ((G g) · (C^T d))

`FILTER_VALUES` is G, `pixel_values` is C^T, `results` is A^T, but for a factor at each place
that is moved into G. In two dimensions all of it is done on columns and then on rows:
8 x 8 products for 4 x 4 results. G is applied once for each filter; pixels' values
serve all filters; and sums over channels are taken before A^T, at each of the 64 places by
a matrix product (values) x (filters' values), which is nearly all the work.

The price is rounding: the numbers grow by evaluation and cancel in interpolation. In float32
the error stays below 1e-5 of the largest result (or of 1), which a test asserts.

References: Winograd 1980, "Arithmetic complexity of computations"; Lavin and Gray 2016,
arXiv:1509.09308.
"""

from typing import NamedTuple

import numpy as np

from ..compiling import SWITCHES, kernel
from .rows import MOST, MOST2, UNIT, Map, gradient_sums, whole_units
from .simd import (
    LANES,
    add_strided_products,
    added,
    load,
    load_block,
    relu_block,
    store_block,
    zeros,
)

TILES = 16  # tiles in one go
SIDE, STEP = 8, 4


class Scratch(NamedTuple):
    """Where the steps leave what the next one needs: values and products at every place."""

    values: np.ndarray
    products: np.ndarray
    spare: np.ndarray


_WHICH = SWITCHES["SRCNN_NP_WINOGRAD"]
FIRST, SECOND = _WHICH != "none", _WHICH == "both"


@kernel
def covers(f2):
    """Whether a layer of f2 x f2 filters is one for this file."""
    return SECOND and f2 == 5


@kernel
def scratch(f2, channels, filters, tiles):
    """For a layer of f2 x f2 filters; empty where this file is not for it."""
    places = SIDE * SIDE if covers(f2) else 0
    return Scratch(
        np.empty((places, tiles * channels + LANES), np.float32),
        np.empty((places, tiles * filters + LANES), np.float32),
        np.empty(SIDE * SIDE * LANES, np.float32),
    )


# the values of a filter of 5 taps at the 8 places
FILTER_VALUES = np.array(
    [
        [1, 0, 0, 0, 0],
        [-2 / 9, -2 / 9, -2 / 9, -2 / 9, -2 / 9],
        [-2 / 9, 2 / 9, -2 / 9, 2 / 9, -2 / 9],
        [1 / 90, 1 / 45, 2 / 45, 4 / 45, 8 / 45],
        [1 / 90, -1 / 45, 2 / 45, -4 / 45, 8 / 45],
        [32 / 45, 16 / 45, 8 / 45, 4 / 45, 2 / 45],
        [32 / 45, -16 / 45, 8 / 45, -4 / 45, 2 / 45],
        [0, 0, 0, 0, 1],
    ]
)


def filter_values(w, channels):
    """Filters (K,C,5,5) as values (64, units, channels, UNIT), zeros filling the gaps."""
    filters, old_channels, _, _ = w.shape
    # first on columns, then on rows: a filter's 25 taps to its 64 values
    both = np.kron(FILTER_VALUES, FILTER_VALUES)
    taps = w.transpose(2, 3, 1, 0).reshape(25, -1).astype(np.float64)
    values = np.einsum("pt,tn->pn", both, taps).reshape(SIDE * SIDE, old_channels, filters)
    full = np.zeros((SIDE * SIDE, channels, whole_units(filters)), np.float32)
    full[:, :old_channels, :filters] = values
    return np.ascontiguousarray(full.reshape(SIDE * SIDE, channels, -1, UNIT).transpose(0, 2, 1, 3))


def exchanged(values):
    """Filters' values with the parts of filters and channels exchanged."""
    places, units, channels, unit = values.shape
    return np.ascontiguousarray(
        values.reshape(places, units, channels // unit, unit, unit)
        .transpose(0, 2, 1, 4, 3)
        .reshape(places, channels // unit, units * unit, unit)
    )


@kernel
def pixel_values(d0, d1, d2, d3, d4, d5, d6, d7):
    """Eight pixels' values at the 8 places."""
    even1, odd1 = d2 + d6 - 4.25 * d4, d1 + d5 - 4.25 * d3
    even2, odd2 = d6 + 0.25 * d2 - 1.25 * d4, 0.5 * d1 - 2.5 * d3 + 2.0 * d5
    even3, odd3 = d6 + 4.0 * d2 - 5.0 * d4, 2.0 * d1 - 2.5 * d3 + 0.5 * d5
    return (
        d0 - d6 + 5.25 * (d4 - d2),
        even1 + odd1,
        even1 - odd1,
        even2 + odd2,
        even2 - odd2,
        even3 + odd3,
        even3 - odd3,
        d7 - d1 + 5.25 * (d3 - d5),
    )


@kernel
def results(m0, m1, m2, m3, m4, m5, m6, m7):
    """Four results from the products at the 8 places."""
    sum1, sum2, sum3 = m1 + m2, m3 + m4, m5 + m6
    difference1, difference2, difference3 = m1 - m2, m3 - m4, m5 - m6
    return (
        m0 + sum1 + sum2 + sum3,
        difference1 + 2.0 * difference2 + 0.5 * difference3,
        sum1 + 4.0 * sum2 + 0.25 * sum3,
        m7 + difference1 + 8.0 * difference2 + 0.125 * difference3,
    )


@kernel
def spread(y0, y1, y2, y3):
    """`results` transposed: four results' gradients to those of the products at the 8 places."""
    even1, odd1 = y0 + y2, y1 + y3
    even2, odd2 = y0 + 4.0 * y2, 2.0 * y1 + 8.0 * y3
    even3, odd3 = y0 + 0.25 * y2, 0.5 * y1 + 0.125 * y3
    return (
        y0,
        even1 + odd1,
        even1 - odd1,
        even2 + odd2,
        even2 - odd2,
        even3 + odd3,
        even3 - odd3,
        y3,
    )


@kernel
def pixel_gradients(v0, v1, v2, v3, v4, v5, v6, v7):
    """`pixel_values` transposed: gradients of the 8 values to those of eight pixels."""
    sum1, sum2, sum3 = v1 + v2, v3 + v4, v5 + v6
    difference1, difference2, difference3 = v1 - v2, v3 - v4, v5 - v6
    return (
        v0,
        difference1 + 0.5 * difference2 + 2.0 * difference3 - v7,
        sum1 + 0.25 * sum2 + 4.0 * sum3 - 5.25 * v0,
        5.25 * v7 - 4.25 * difference1 - 2.5 * difference2 - 2.5 * difference3,
        5.25 * v0 - 4.25 * sum1 - 1.25 * sum2 - 5.0 * sum3,
        difference1 + 2.0 * difference2 + 0.5 * difference3 - 5.25 * v7,
        sum1 + sum2 + sum3 - v0,
        v7,
    )


@kernel
def winograd_rows(x, starts, channels, weights, biases, y, goals, count, scratch):
    """Four rows of `count` pixels of results after ReLU; row i goes to y from goals[i] on.

    Window row u of the first pixel begins at element starts[u] of x (8 rows).
    """
    values, products, spare = scratch
    tiles = (count + STEP - 1) // STEP
    for first in range(0, tiles, TILES):
        some = min(TILES, tiles - first)
        evaluate(x, starts, first * STEP * channels, channels, some, values, 0, spare)
        multiply(values, channels, weights, some, products)
        back(products, 0, biases, y, goals, first * STEP * len(biases), some, spare)


@kernel
def evaluate(x, starts, offset, channels, tiles, values, first, spare):
    """values[place, first + tile, channel] of tiles that begin `offset` after the rows' starts."""
    place_step = values.shape[1]
    for tile in range(tiles):
        for channel in range(0, channels, LANES):
            at = offset + tile * STEP * channels + channel
            for j in range(SIDE):
                v = pixel_values(
                    load(x, starts[0] + at),
                    load(x, starts[1] + at),
                    load(x, starts[2] + at),
                    load(x, starts[3] + at),
                    load(x, starts[4] + at),
                    load(x, starts[5] + at),
                    load(x, starts[6] + at),
                    load(x, starts[7] + at),
                )
                store_block(spare, j * LANES, 0, SIDE * LANES, 8, v)
                at += channels
            to = (first + tile) * channels + channel
            for i in range(SIDE):
                d0, d1, d2, d3, d4, d5, d6, d7 = load_block(spare, i * SIDE * LANES, LANES, 8)
                store_block(
                    values, to, 0, place_step, 8, pixel_values(d0, d1, d2, d3, d4, d5, d6, d7)
                )
                to += SIDE * place_step


@kernel
def multiply(values, channels, weights, tiles, products):
    """products[place, tile, filter]: at every place, values times filters' values."""
    places, units, _, unit = weights.shape
    filters = units * unit
    for place in range(places):
        for k in range(units):
            taps = weights[place, k]
            tile = 0
            while tile < tiles:
                left = tiles - tile
                at = place * values.shape[1] + tile * channels
                to = place * products.shape[1] + tile * filters + k * unit
                if left >= MOST:
                    store_sums(products, to, filters, zeros(MOST2), values, at, taps)
                    tile += MOST
                elif left >= 4:
                    store_sums(products, to, filters, zeros(8), values, at, taps)
                    tile += 4
                elif left >= 2:
                    store_sums(products, to, filters, zeros(4), values, at, taps)
                    tile += 2
                else:
                    store_sums(products, to, filters, zeros(2), values, at, taps)
                    tile += 1


@kernel
def store_sums(products, to, filters, sums, values, at, taps):
    """Sums over channels, of neighbouring tiles and one unit of filters, at one place."""
    channels, unit = taps.shape
    for channel in range(channels):
        vectors = load_block(taps, channel * unit, LANES, 2)
        sums = add_strided_products(sums, values, at + channel, channels, vectors)
    store_block(products, to, filters, LANES, 2, sums)


@kernel
def back(products, first, biases, y, goals, offset, tiles, spare):
    """The tiles' 4 x 4 results, biases added, after ReLU, of products[place, first + tile]."""
    filters = len(biases)
    place_step = products.shape[1]
    for tile in range(tiles):
        for k in range(0, filters, LANES):
            at = (first + tile) * filters + k
            bias = load(biases, k)
            for j in range(SIDE):
                m0, m1, m2, m3, m4, m5, m6, m7 = load_block(
                    products, at + j * place_step, SIDE * place_step, 8
                )
                store_block(
                    spare, j * LANES, 0, SIDE * LANES, 4, results(m0, m1, m2, m3, m4, m5, m6, m7)
                )
            to = offset + tile * STEP * filters + k
            for i in range(STEP):
                m0, m1, m2, m3, m4, m5, m6, m7 = load_block(spare, i * SIDE * LANES, LANES, 8)
                y0, y1, y2, y3 = results(m0, m1, m2, m3, m4, m5, m6, m7)
                store_block(
                    y,
                    goals[i] + to,
                    0,
                    filters,
                    4,
                    relu_block((y0 + bias, y1 + bias, y2 + bias, y3 + bias)),
                )


# --- gradients: the same steps transposed, in the opposite order ---------------------------


def filter_gradient(products, shape):
    """Filters' gradient (K,C,5,5) from that of their values, (8, 8, channels, filters)."""
    filters, channels, _, _ = shape
    values = products[:, :, :channels, :filters].reshape(SIDE * SIDE, -1)
    taps = np.einsum(
        "pt,pn->tn", np.kron(FILTER_VALUES, FILTER_VALUES).astype(products.dtype), values
    )
    return np.ascontiguousarray(taps.reshape(5, 5, channels, filters).transpose(3, 2, 0, 1))


@kernel
def spread_tiles(dy, starts, filters, tiles, products, first, spare):
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
                    8,
                    spread(
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
                store_block(products, to, 0, place_step, 8, spread(y0, y1, y2, y3))
                to += SIDE * place_step


@kernel
def add_pixel_gradients(values, first, channels, tiles, dx, starts, spare):
    """Add to 8 rows of dx the gradients of values[place, first + tile, channel]; tiles overlap."""
    place_step = values.shape[1]
    for tile in range(tiles):
        for channel in range(0, channels, LANES):
            at = (first + tile) * channels + channel
            for j in range(SIDE):
                v0, v1, v2, v3, v4, v5, v6, v7 = load_block(
                    values, at + j * place_step, SIDE * place_step, 8
                )
                store_block(
                    spare,
                    j * LANES,
                    0,
                    SIDE * LANES,
                    8,
                    pixel_gradients(v0, v1, v2, v3, v4, v5, v6, v7),
                )
            to = tile * STEP * channels + channel
            for i in range(SIDE):
                v0, v1, v2, v3, v4, v5, v6, v7 = load_block(spare, i * SIDE * LANES, LANES, 8)
                old = load_block(dx, starts[i] + to, channels, 8)
                store_block(
                    dx,
                    starts[i] + to,
                    0,
                    channels,
                    8,
                    added(old, pixel_gradients(v0, v1, v2, v3, v4, v5, v6, v7)),
                )


@kernel
def add_value_gradients(values, channels, products, filters, tiles, sums):
    """Add to sums[place, channel, filter] values times products' gradients, over tiles."""
    x, dy = Map(values, 0, channels), Map(products, 0, filters)
    blocks = channels // MOST * MOST
    for place in range(SIDE * SIDE):
        x_at, dy_at = place * values.shape[1], place * products.shape[1]
        for k in range(0, filters, UNIT):
            to = place * channels * filters + k
            for c in range(0, blocks, MOST):
                at = to + c * filters
                gradient_sums(zeros(MOST2), dy, dy_at + k, x, x_at + c, 1, tiles, sums, at, filters)
            for c in range(blocks, channels, 2):
                at = to + c * filters
                gradient_sums(zeros(4), dy, dy_at + k, x, x_at + c, 1, tiles, sums, at, filters)
