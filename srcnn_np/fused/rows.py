"""One row of a layer, and its gradients, as small matrix products summed in registers.

Maps are laid out (row, column, channel), channels filled up with zeros to whole units of two
vectors. What a filter sees is then, row by row, one run of kw · channels neighbouring
numbers, and a layer is, for each row u of its taps, the matrix product

    sums[pixel, filter] += Σ_t  x[start + u rows + pixel · channels + t] · w[filter, u, t]

over the run t. A block of 8 pixels by two vectors of filters is 16 vectors of sums, kept in
registers while t runs: each turn loads two vectors of weights and 8 numbers, and makes 16
fused multiply-adds, so that the processor is kept busy by arithmetic, not by memory. The
remaining pixels of a row go in blocks of 4, 2 and 1. The gradients are the same products
with the parts exchanged: of dy with turned filters for dx, of dy with x, summed over pixels,
for dw.

Arrays are addressed by element, so that any row of any array can be given as a start.
"""

import numpy as np
from numba import njit

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


@njit(nogil=True, cache=True)
def window_sums(sums, x, starts, offset, channels, weights, weight_at, length):
    """Add to the block of sums the products of the pixels' windows with one unit of weights.

    Row u of the first pixel's window begins at element starts[u] + offset of x and is
    `length` numbers long.
    """
    for u in range(len(starts)):
        start = starts[u] + offset
        for at in range(start, start + length):
            sums = add_strided_products(
                sums, x, at, channels, load_block(weights, weight_at, LANES, 2)
            )
            weight_at += 2 * LANES
    return sums


@njit(nogil=True, cache=True)
def filter_row(x, starts, channels, weights, biases, y, y_at, count):
    """`count` pixels of a row of a layer's results, after ReLU, to y from element y_at on."""
    units, kh, length, unit = weights.shape
    filters = units * unit
    for k in range(units):
        bias = load_block(biases, k * unit, LANES, 2)
        weight_at = k * kh * length * unit
        pixel = 0
        while pixel < count:
            left = count - pixel
            offset, to = pixel * channels, y_at + pixel * filters + k * unit
            if left >= MOST:
                sums = window_sums(
                    repeated(bias, MOST), x, starts, offset, channels, weights, weight_at, length
                )
                store_block(y, to, filters, LANES, 2, relu_block(sums))
                pixel += MOST
            elif left >= 4:
                sums4 = window_sums(
                    repeated(bias, 4), x, starts, offset, channels, weights, weight_at, length
                )
                store_block(y, to, filters, LANES, 2, relu_block(sums4))
                pixel += 4
            elif left >= 2:
                sums2 = window_sums(
                    repeated(bias, 2), x, starts, offset, channels, weights, weight_at, length
                )
                store_block(y, to, filters, LANES, 2, relu_block(sums2))
                pixel += 2
            else:
                sums1 = window_sums(bias, x, starts, offset, channels, weights, weight_at, length)
                store_block(y, to, filters, LANES, 2, relu_block(sums1))
                pixel += 1


@njit(nogil=True, cache=True)
def input_gradient_row(x, starts, channels, weights, gates, y, y_at, count):
    """As `filter_row`, but no biases, and instead of ReLU 0 where `gates` (as y) is 0 or less."""
    units, kh, length, unit = weights.shape
    filters = units * unit
    for k in range(units):
        none = zeros(2)
        weight_at = k * kh * length * unit
        pixel = 0
        while pixel < count:
            left = count - pixel
            offset, to = pixel * channels, y_at + pixel * filters + k * unit
            if left >= MOST:
                sums = window_sums(
                    repeated(none, MOST), x, starts, offset, channels, weights, weight_at, length
                )
                store_gated(gates, y, to, filters, sums)
                pixel += MOST
            elif left >= 4:
                sums4 = window_sums(
                    repeated(none, 4), x, starts, offset, channels, weights, weight_at, length
                )
                store_gated(gates, y, to, filters, sums4)
                pixel += 4
            elif left >= 2:
                sums2 = window_sums(
                    repeated(none, 2), x, starts, offset, channels, weights, weight_at, length
                )
                store_gated(gates, y, to, filters, sums2)
                pixel += 2
            else:
                sums1 = window_sums(none, x, starts, offset, channels, weights, weight_at, length)
                store_gated(gates, y, to, filters, sums1)
                pixel += 1


@njit(nogil=True, cache=True)
def store_gated(gates, y, at, step, sums):
    """Write two vectors for each pixel, 0 where the gate is 0 or less."""
    store_block(y, at, step, LANES, 2, where_positive(load_like(gates, at, step, sums), sums))


@njit(nogil=True, cache=True)
def weight_gradient(dy, dy_row_step, x, starts, row_step, channels, rows, columns, dw, db):
    """Add one sample's part to the gradients dw (units, kh, run, UNIT), packed, and db.

    dy is (rows, columns, filters), its rows dy_row_step elements apart; row u of the first
    pixel's window begins at element starts[u] of x, the next row of pixels row_step on.
    """
    units, kh, length, unit = dw.shape
    filters = units * unit
    for k in range(units):
        for u in range(kh):
            t = 0
            while t < length:
                left = length - t
                to = ((k * kh + u) * length + t) * unit
                at = starts[u] + t
                if left >= MOST:
                    gradient_sums(
                        zeros(MOST2),
                        dy,
                        k * unit,
                        dy_row_step,
                        filters,
                        x,
                        at,
                        row_step,
                        channels,
                        rows,
                        columns,
                        dw,
                        to,
                        unit,
                    )
                    t += MOST
                elif left >= 4:
                    gradient_sums(
                        zeros(8),
                        dy,
                        k * unit,
                        dy_row_step,
                        filters,
                        x,
                        at,
                        row_step,
                        channels,
                        rows,
                        columns,
                        dw,
                        to,
                        unit,
                    )
                    t += 4
                elif left >= 2:
                    gradient_sums(
                        zeros(4),
                        dy,
                        k * unit,
                        dy_row_step,
                        filters,
                        x,
                        at,
                        row_step,
                        channels,
                        rows,
                        columns,
                        dw,
                        to,
                        unit,
                    )
                    t += 2
                else:
                    gradient_sums(
                        zeros(2),
                        dy,
                        k * unit,
                        dy_row_step,
                        filters,
                        x,
                        at,
                        row_step,
                        channels,
                        rows,
                        columns,
                        dw,
                        to,
                        unit,
                    )
                    t += 1
    add_pixels(dy, dy_row_step, rows, columns, db)


@njit(nogil=True, cache=True)
def add_pixels(dy, dy_row_step, rows, columns, db):
    """Add to db the sum of all pixels of dy (rows, columns, filters)."""
    filters = len(db)
    for k in range(0, filters, 2 * LANES):
        sums = load_block(db, k, LANES, 2)
        for row in range(rows):
            at = row * dy_row_step + k
            for _ in range(columns):
                sums = added(sums, load_block(dy, at, LANES, 2))
                at += filters
        store_block(db, k, 2 * LANES, LANES, 2, sums)


@njit(nogil=True, cache=True)
def gate_row(gates, y, at, count):
    """Set `count` numbers of y, from element `at` on, to 0 where `gates` is 0 or less there."""
    for i in range(at, at + count, 2 * LANES):
        store_block(
            y,
            i,
            2 * LANES,
            LANES,
            2,
            where_positive(load_block(gates, i, LANES, 2), load_block(y, i, LANES, 2)),
        )


@njit(nogil=True, cache=True)
def gradient_sums(
    sums, dy, dy_at, dy_row_step, filters, x, x_at, row_step, channels, rows, columns, dw, to, step
):
    """Add to dw the sums over pixels of a few neighbouring numbers times dy's two vectors.

    The first number's part of dw is at element `to`, each next `step` elements on.
    """
    for row in range(rows):
        at, at_dy = x_at + row * row_step, dy_at + row * dy_row_step
        for _ in range(columns):
            sums = add_strided_products(sums, x, at, 1, load_block(dy, at_dy, LANES, 2))
            at += channels
            at_dy += filters
    store_block(dw, to, step, LANES, 2, added(load_like(dw, to, step, sums), sums))


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def last_weight_gradient(dy, dy_at, dy_row_step, x, starts, row_step, channels, rows, columns, dw):
    """Add one sample's part to the gradient dw (1, kh, run) of the last layer's one filter.

    dy begins at element dy_at of its array, its rows are dy_row_step elements apart.
    """
    _, kh, length = dw.shape
    for u in range(kh):
        t = 0
        while t < length:
            if length - t >= 8 * LANES:
                sums = load_block(dw, u * length + t, LANES, 8)
                for row in range(rows):
                    at = starts[u] + t + row * row_step
                    for column in range(columns):
                        sums = add_strided_products(
                            sums,
                            dy,
                            dy_at + row * dy_row_step + column,
                            1,
                            load_block(x, at, LANES, 8),
                        )
                        at += channels
                store_block(dw, u * length + t, 0, LANES, 8, sums)
                t += 8 * LANES
            else:
                sums2 = load_block(dw, u * length + t, LANES, 2)
                for row in range(rows):
                    at = starts[u] + t + row * row_step
                    for column in range(columns):
                        sums2 = add_strided_products(
                            sums2,
                            dy,
                            dy_at + row * dy_row_step + column,
                            1,
                            load_block(x, at, LANES, 2),
                        )
                        at += channels
                store_block(dw, u * length + t, 0, LANES, 2, sums2)
                t += 2 * LANES
