"""One row of a layer, and its gradients, as small matrix products summed in registers.

Maps are laid out (row, column, channel), channels filled up with zeros to whole units of two
vectors. What a filter sees is then, row by row, one run of kw · channels neighbouring
numbers, and a layer is, for each row u of its taps, the matrix product

    sums[pixel, filter] += Σ_t  x[start + u rows + pixel · channels + t] · w[filter, u, t]

over the run t. A block of 8 pixels (6 where there are but 16 registers) by two vectors of
filters is 16 vectors of sums, kept in registers while t runs: each turn loads two vectors of
weights and 8 numbers, and makes 16 fused multiply-adds, so that the processor is kept busy by
arithmetic, not by memory. The remaining pixels of a row go in blocks of 4, 2 and 1. The
gradients are the same products with the parts exchanged: of dy with turned filters for dx, of
dy with x, summed over pixels, for dw.

Arrays are addressed by element, so that any row of any array can be given as a start. `packed`
brings filters into the order in which the products want them.
"""

from typing import NamedTuple

import numpy as np

from ..compiling import kernel
from .simd import (
    LANES,
    REGISTERS,
    add_scaled,
    add_strided_products,
    add_windows,
    added,
    load,
    load_block,
    load_like,
    relu_block,
    repeated,
    store_block,
    store_totals,
    where_positive,
    zeros,
)

UNIT = 2 * LANES  # filters come in units of two vectors
MOST = 8 if REGISTERS == 32 else 6  # and pixels in blocks of at most so many
MOST2 = 2 * MOST
LAST_PIXELS = 8  # the last layer's block of pixels
LAST_ROW = LAST_PIXELS + 4  # and the pixels that five taps in a row meet


class Map(NamedTuple):
    """Pixels in an array: that of row i, column j begins at element i·row + j·pixel."""

    array: np.ndarray
    row: int
    pixel: int


def whole_units(count):
    """`count` rounded up to a multiple of UNIT."""
    return -(-count // UNIT) * UNIT


def packed(w, channels):
    """Filters (K,C,kh,kw) as (units, kh, kw * channels, UNIT), zeros filling the gaps."""
    filters, old_channels, kh, kw = w.shape
    full = np.zeros((whole_units(filters), kh, kw, channels), w.dtype)
    full[:filters, :, :, :old_channels] = w.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(full.reshape(-1, UNIT, kh, kw * channels).transpose(0, 2, 3, 1))


def unpacked(w, shape):
    """The filters (K,C,kh,kw) of that shape which `packed` packed."""
    filters, channels, kh, kw = shape
    full = w.transpose(0, 3, 1, 2).reshape(-1, kh, kw, w.shape[2] // kw)
    return np.ascontiguousarray(full[:filters, :, :, :channels].transpose(0, 3, 1, 2))


def turned(w):
    """Filters (K, C, kh, kw) turned by 180 degrees, filters and channels exchanged."""
    return w[:, :, ::-1, ::-1].swapaxes(0, 1)


def padded(b, length):
    """The biases, filled up with zeros."""
    full = np.zeros(length, b.dtype)
    full[: len(b)] = b
    return full


@kernel
def filter_row(x, starts, channels, weights, biases, gates, y, y_at, count):
    """`count` pixels of a row of a layer's results, to y from element y_at on.

    Row u of the first pixel's window begins at element starts[u] of x. After the sums comes
    ReLU, or, if `gates` is not None but laid out as y, its gradient: 0 where the gate is 0
    or less.
    """
    units, kh, length, unit = weights.shape
    filters = units * unit
    for k in range(units):
        bias, taps = load_block(biases, k * unit, LANES, 2), weights[k]
        pixel = 0
        while pixel < count:
            left = count - pixel
            at, to = pixel * channels, y_at + pixel * filters + k * unit
            if left >= MOST:
                sums = repeated(bias, MOST)
                filter_pixels(sums, x, starts, at, channels, taps, gates, y, to, filters)
                pixel += MOST
            elif left >= 4:
                sums4 = repeated(bias, 4)
                filter_pixels(sums4, x, starts, at, channels, taps, gates, y, to, filters)
                pixel += 4
            elif left >= 2:
                sums2 = repeated(bias, 2)
                filter_pixels(sums2, x, starts, at, channels, taps, gates, y, to, filters)
                pixel += 2
            else:
                filter_pixels(bias, x, starts, at, channels, taps, gates, y, to, filters)
                pixel += 1


@kernel
def filter_pixels(sums, x, starts, offset, channels, taps, gates, y, to, filters):
    """`filter_row` for a block of neighbouring pixels and one unit of filters.

    `sums` holds the biases; the first pixel's window begins `offset` after the starts.
    """
    kh, length, unit = taps.shape
    tap = 0
    for u in range(kh):
        start = starts[u] + offset
        for at in range(start, start + length):
            sums = add_strided_products(sums, x, at, channels, load_block(taps, tap, LANES, 2))
            tap += 2 * LANES
    if gates is None:
        sums = relu_block(sums)
    else:
        sums = where_positive(load_like(gates, to, filters, sums), sums)
    store_block(y, to, filters, LANES, 2, sums)


@kernel
def weight_gradient(dy, x, starts, rows, columns, dw, db):
    """Add one sample's part to the gradients dw (units, kh, run, UNIT), packed, and db.

    dy and x are `Map`s, dy's pixels being (rows, columns); row u of the first pixel's window
    begins at element starts[u] of x.
    """
    units, kh, length, unit = dw.shape
    for k in range(units):
        for u in range(kh):
            t = 0
            while t < length:
                left = length - t
                at, to = starts[u] + t, ((k * kh + u) * length + t) * unit
                if left >= MOST:
                    sums = zeros(MOST2)
                    gradient_sums(sums, dy, k * unit, x, at, rows, columns, dw, to, unit)
                    t += MOST
                elif left >= 4:
                    gradient_sums(zeros(8), dy, k * unit, x, at, rows, columns, dw, to, unit)
                    t += 4
                elif left >= 2:
                    gradient_sums(zeros(4), dy, k * unit, x, at, rows, columns, dw, to, unit)
                    t += 2
                else:
                    gradient_sums(zeros(2), dy, k * unit, x, at, rows, columns, dw, to, unit)
                    t += 1
    add_pixels(dy, rows, columns, db)


@kernel
def gradient_sums(sums, dy, dy_at, x, x_at, rows, columns, dw, to, step):
    """Add to dw the sums over pixels of a few neighbouring numbers of x times two vectors of dy.

    For the first pixel these are at elements x_at and dy_at. The first number's part of dw
    is at element `to`, each next `step` elements on.
    """
    for row in range(rows):
        at, at_dy = x_at + row * x.row, dy_at + row * dy.row
        for _ in range(columns):
            vectors = load_block(dy.array, at_dy, LANES, 2)
            sums = add_strided_products(sums, x.array, at, 1, vectors)
            at += x.pixel
            at_dy += dy.pixel
    store_block(dw, to, step, LANES, 2, added(load_like(dw, to, step, sums), sums))


@kernel
def add_pixels(dy, rows, columns, db):
    """Add to db the sum of all pixels (rows, columns) of the map dy."""
    for k in range(0, len(db), 2 * LANES):
        sums = load_block(db, k, LANES, 2)
        for row in range(rows):
            at = row * dy.row + k
            for _ in range(columns):
                sums = added(sums, load_block(dy.array, at, LANES, 2))
                at += dy.pixel
        store_block(db, k, 0, LANES, 2, sums)


@kernel
def close_gates(gates, y):
    """Set y to 0 where `gates`, of its shape, is 0 or less."""
    for at in range(0, y.size, 2 * LANES):
        block = where_positive(load_block(gates, at, LANES, 2), load_block(y, at, LANES, 2))
        store_block(y, at, 0, LANES, 2, block)


@kernel
def last_row(x, starts, channels, weights, biases, y, y_at, count):
    """`count` pixels of a row of the last layer's results. Lanes are channels here."""
    spare = np.empty(LAST_PIXELS, x.dtype)
    for pixel in range(0, count, LAST_PIXELS):
        sums = last_sums(x, starts, pixel * channels, channels, weights)
        if pixel + LAST_PIXELS <= count:
            store_totals(y, y_at + pixel, biases[0], sums)
        else:
            store_totals(spare, 0, biases[0], sums)
            for i in range(count - pixel):
                y.flat[y_at + pixel + i] = spare[i]


@kernel
def last_sums(x, starts, offset, channels, weights):
    """The sums of LAST_PIXELS pixels, five taps at a time: a pixel loaded once serves five sums."""
    _, kh, length = weights.shape
    sums = zeros(LAST_PIXELS)
    fives = length // (5 * channels) * 5 * channels
    for u in range(kh):
        for first in range(0, fives, 5 * channels):
            for at in range(first, first + channels, LANES):
                sums = add_windows(
                    sums,
                    load_block(x, starts[u] + offset + at, channels, LAST_ROW),
                    load_block(weights, u * length + at, channels, 5),
                )
        for at in range(fives, length, LANES):
            sums = add_scaled(
                sums,
                load_block(x, starts[u] + offset + at, channels, LAST_PIXELS),
                load(weights, u * length + at),
            )
    return sums


def packed_last(w, channels):
    """The last layer's filters (K,C,kh,kw) as (K, kh, kw * channels)."""
    full = np.zeros((w.shape[0], w.shape[2], w.shape[3], channels), w.dtype)
    full[:, :, :, : w.shape[1]] = w.transpose(0, 2, 3, 1)
    return full.reshape(w.shape[0], w.shape[2], -1)


@kernel
def last_weight_gradient(dy, dy_at, x, starts, rows, columns, dw):
    """Add one sample's part to the gradient dw (1, kh, run) of the last layer's one filter.

    dy and x are `Map`s; dy's first pixel is at element dy_at. Lanes are channels here.
    """
    _, kh, length = dw.shape
    for u in range(kh):
        t = 0
        while t < length:
            to = u * length + t
            if length - t >= 8 * LANES:
                sums = load_block(dw, to, LANES, 8)
                last_gradient_sums(sums, dy, dy_at, x, starts[u] + t, rows, columns, dw, to)
                t += 8 * LANES
            else:
                sums2 = load_block(dw, to, LANES, 2)
                last_gradient_sums(sums2, dy, dy_at, x, starts[u] + t, rows, columns, dw, to)
                t += 2 * LANES


@kernel
def last_gradient_sums(sums, dy, dy_at, x, x_at, rows, columns, dw, to):
    """Write to dw, from element `to` on, sums + the sum over pixels of x's vectors times dy."""
    for row in range(rows):
        at, at_dy = x_at + row * x.row, dy_at + row * dy.row
        for _ in range(columns):
            vectors = load_block(x.array, at, LANES, sums)
            sums = add_strided_products(sums, dy.array, at_dy, 1, vectors)
            at += x.pixel
            at_dy += dy.pixel
    store_block(dw, to, 0, LANES, 8, sums)
