"""Winograd's convolution F(4 x 4, r x r): (r + 3)² products where the plain sum needs 16 r².

In one dimension, a filter g of r taps has 4 results on r + 3 pixels d,

    y[i] = Σ_u g[u] · d[i + u],   i = 0 ... 3

which take 4 r products by this formula. Transposed, with 4 numbers e, the sums

    z[k] = Σ_u g[u] · e[k - u],   k = 0 ... r + 2

are the coefficients of the product of two polynomials, g(s) of degree r - 1 and e(s) of degree 3.
The product has degree r + 2, so it is known by its values at r + 3 places. Its value at a place is
the value of g times the value of e. So evaluate g and e (at 0, 1, -1, 2, -2, 1/2, -1/2, or fewer of
them, and "at infinity", where the value is the leading coefficient). Then multiply place by place,
and interpolate. That takes r + 3 products. Written with matrices, z = C ((G g) · (E e)), where G
and E evaluate and C interpolates. This map is linear in e. Its transpose gives y, with the same
r + 3 products:

    y = E^T ((G g) · (C^T d))

`evaluation` and `interpolation` give the matrices in exact fractions. In two dimensions all of it
is done on columns and then on rows. This takes 64 products instead of 400 for 5 x 5 taps, and 36
instead of 144 for 3 x 3 taps. G is applied once for each filter. Pixels' values serve all filters.
Sums over channels are taken before E^T: at each place by a matrix product (values) x (filters'
values). That is nearly all the work.

The price is rounding: the numbers grow by evaluation and cancel in interpolation. In float32
the error stays below 1e-5 of the largest result (or of 1, if that is larger), which a test asserts.
And a NaN or an infinity in one pixel spoils all 16 results that share its values. So the caller
must look for NaN and infinity, and compute such results by the plain sum.

References: Winograd 1980, "Arithmetic complexity of computations"; Lavin and Gray 2016,
arXiv:1509.09308.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..compiling import kernel, part
from .activations import CLIPPED, activate, all_finite
from .layouts import Window, put_back, whole_window
from .product import Factor, Lines, Turns, multiply
from .vectors import (
    LANES,
    Matrix,
    add_spoilt,
    added,
    bent,
    load,
    load_line,
    store,
    store_line,
    transformation,
    zeros,
)

STEP = 4  # results of a tile in a row, and in a column
TILES = 16  # the second-level cache holds their values and products, and the filters' values
TILES_BACK = 48  # more, since each tile adds to as many sums as filters have values
MOST_TERMS = 64  # of a sum over channels in one register: a longer one loses digits
TAPS = (3, 5)  # sides of the filters that become faster
POINTS = [Fraction(p) for p in ("0", "1", "-1", "2", "-2", "1/2", "-1/2")]


# --- the matrices ---------------------------------------------------------------------------


def evaluation(side: int, count: int) -> Matrix:
    """Return E (side, count): coefficients become values at side - 1 points and infinity."""
    infinity = [Fraction(int(n == count - 1)) for n in range(count)]
    return [[p**n for n in range(count)] for p in POINTS[: side - 1]] + [infinity]


def interpolation(side: int) -> Matrix:
    """Return C^T (side, side), each row without a factor that `filter_evaluation` has instead.

    Lagrange's formula multiplies the value at a point p by Π (s - q) / Π (p - q) over the points
    q ≠ p. This polynomial is 0 at every q. Here its denominator is left out. The value at infinity,
    the leading coefficient, multiplies the polynomial that is 0 at all points.
    """
    points = POINTS[: side - 1]
    rows = []
    for left_out in [*points, None]:
        coefficients = [Fraction(1)]
        for q in points:
            if q != left_out:  # times (s - q)
                shifted, same = [Fraction(0), *coefficients], [*coefficients, Fraction(0)]
                coefficients = [a - q * b for a, b in zip(shifted, same, strict=True)]
        rows.append(coefficients + [Fraction(0)] * (side - len(coefficients)))
    return rows


def filter_evaluation(side: int) -> Matrix:
    """Return G (side, taps): E, divided by the denominators that `interpolation` left out."""
    rows = evaluation(side, side - STEP + 1)
    for p, row in zip(POINTS[: side - 1], rows, strict=False):
        for q in POINTS[: side - 1]:
            if q != p:
                row[:] = [n / (p - q) for n in row]
    return rows


def transposed(matrix: Matrix) -> Matrix:
    """Exchange rows and columns."""
    return [list(column) for column in zip(*matrix, strict=True)]


# What kernels do with a line; the length of their second argument, a tuple, is the side.
filter_values = transformation(filter_evaluation)
taps = transformation(lambda side: transposed(filter_evaluation(side)))
pixel_values = transformation(interpolation)
pixel_gradients = transformation(lambda side: transposed(interpolation(side)))
results = transformation(lambda side: transposed(evaluation(side, STEP)))
spread = transformation(lambda side: evaluation(side, STEP))


def _in_two_dimensions(transform, put):
    """Make a function that transforms a window x of whole vectors: first columns, then rows.

    It writes `count` rows of results to the window y by `put`, line by line. Each call of `put`
    gets as `more` what the call before returned. The function returns what the last call returned.
    """

    @part
    def transform_window(side, like, x, y, channels, count, spare, more):
        size = count * len(like)  # of the transformed columns
        for j in range(len(like)):
            for c in range(0, channels, LANES):
                line = load_line(x.array, x.at + j * x.pixel + c, x.row, like)
                line = transform(line, side)
                store_line(spare, c * size + j * LANES, len(like) * LANES, line)
        for i in range(count):
            for c in range(0, channels, LANES):
                line = load_line(spare, c * size + i * len(like) * LANES, LANES, like)
                more = put(transform(line, side), y, y.at + i * y.row + c, c, more)
        return more

    return transform_window


@part
def _write(line, y, at, channel, more):
    store_line(y.array, at, y.pixel, line)
    return more


@part
def _add(line, y, at, channel, spoilt):
    line = added(load_line(y.array, at, y.pixel, line), line)
    store_line(y.array, at, y.pixel, line)
    return add_spoilt(spoilt, line)


@part
def _write_results(line, y, at, channel, more):
    slopes, spoilt = more
    store_line(y.array, at, y.pixel, bent(line, load(slopes, channel)))
    return slopes, add_spoilt(spoilt, line)


_filters_to_values = _in_two_dimensions(filter_values, _write)
_values_to_filters = _in_two_dimensions(taps, _write)
_pixels_to_values = _in_two_dimensions(pixel_values, _write)
_values_to_pixels = _in_two_dimensions(pixel_gradients, _add)
_products_to_results = _in_two_dimensions(results, _write_results)
_results_to_products = _in_two_dimensions(spread, _write)


# --- filters --------------------------------------------------------------------------------


@kernel
def evaluate_filters(side, taps, unit, w, values):
    """Write the values (places, units, C, width) of filters w (r, r, C, K), in whole vectors."""
    _, _, C, K = w.shape
    width = len(unit) * LANES
    spare, flat = np.empty(len(side) ** 2 * LANES, np.float32), w.reshape(-1)
    for c in range(C):
        for k in range(0, K, LANES):
            x = Window(flat, c * K + k, len(taps) * C * K, C * K)
            to = (k // width * C + c) * width + k % width
            y = Window(values, to, len(side) * C * K, C * K)
            _filters_to_values(side, taps, x, y, LANES, len(side), spare, 0)


@kernel
def filter_gradients(side, taps, sums):
    """Return dw (r, r, C, K) from the gradients (places, C, K) of the filters' values."""
    _, C, K = sums.shape
    dw = np.empty((len(taps), len(taps), C, K), np.float32)
    spare, x, y = np.empty(len(side) ** 2 * LANES, np.float32), sums.reshape(-1), dw.reshape(-1)
    for at in range(0, C * K, LANES):
        from_ = Window(x, at, len(side) * C * K, C * K)
        to = Window(y, at, len(taps) * C * K, C * K)
        _values_to_filters(side, side, from_, to, LANES, len(taps), spare, 0)
    return dw


# --- pictures -------------------------------------------------------------------------------


@kernel
def forward(side, unit, x, w, b, y, scratch, piece, kind, slopes):
    """Write a piece of y (N, OH, OW, K) from x (N, H, W, C), activated.

    w comes from `evaluate_filters`; b and slopes fill whole vectors. Returns whether all is finite.
    """
    first, last, top, left, to, y_left, rows, columns = piece
    _, H, W, C = x.shape
    _, OH, OW, K = y.shape
    filters, reach = len(b), len(side) - STEP
    channels = len(w) // (len(side) ** 2 * filters)
    xs, ys = x.reshape(-1), y.reshape(-1)
    values, products, spare, edge = cut(side, scratch, TILES, channels, filters)
    (spoilt,) = zeros(1)
    across = (columns + STEP - 1) // STEP
    tiles = (rows + STEP - 1) // STEP * across
    for begin in range(0, (last - first) * tiles, TILES):
        some = min(TILES, (last - first) * tiles - begin)
        for tile in range(some):
            n, i, j = place_of(begin + tile, tiles, across)
            window = Window(xs, (((first + n) * H + top + i) * W + left + j) * C, W * C, C)
            height, width = rows + reach - i, columns + reach - j
            evaluate(side, window, height, width, C, values, tile, channels, edge, spare)
        multiply_places(side, unit, values, channels, w, products, filters, some)
        for tile in range(some):
            n, i, j = place_of(begin + tile, tiles, across)
            goal = Window(ys, (((first + n) * OH + to + i) * OW + y_left + j) * K, OW * K, K)
            size = rows - i, columns - j, K
            spoilt = interpolate(
                side, products, tile, b, goal, size, (kind, slopes, spoilt), edge, spare
            )
    store(spare, 0, spoilt)
    return all_finite(spare[:LANES])


@kernel
def backward(side, unit, unit_back, dy, x, w, sums, dx, scratch, piece, need_dw, need_dx):
    """Add the share of a piece of dy to dx and to `sums` (places, C, K), in whole vectors.

    w comes from `evaluate_filters`, for the filters with C and K exchanged; `unit_back` is their
    unit. Returns whether dx is finite.
    """
    first, last, top, left, to, y_left, rows, columns = piece
    _, H, W, C = x.shape
    _, OH, OW, K = dy.shape
    _, channels, filters = sums.shape
    reach = len(side) - STEP
    xs, dys, dxs, dvs = x.reshape(-1), dy.reshape(-1), dx.reshape(-1), sums.reshape(-1)
    values, products, spare, edge = cut(side, scratch, TILES_BACK, channels, filters)
    (spoilt,) = zeros(1)
    across = (columns + STEP - 1) // STEP
    tiles = (rows + STEP - 1) // STEP * across
    for begin in range(0, (last - first) * tiles, TILES_BACK):
        some = min(TILES_BACK, (last - first) * tiles - begin)
        for tile in range(some):
            n, i, j = place_of(begin + tile, tiles, across)
            window = Window(dys, (((first + n) * OH + to + i) * OW + y_left + j) * K, OW * K, K)
            size = rows - i, columns - j, K
            spread_tile(side, window, size, products, tile, filters, edge, spare)
            if need_dw:
                window = Window(xs, (((first + n) * H + top + i) * W + left + j) * C, W * C, C)
                height, width = rows + reach - i, columns + reach - j
                evaluate(side, window, height, width, C, values, tile, channels, edge, spare)
        if need_dw:
            add_value_gradients(side, unit, values, channels, products, filters, some, dvs)
        if need_dx:
            multiply_places(side, unit_back, products, filters, w, values, channels, some)
            for tile in range(some):
                n, i, j = place_of(begin + tile, tiles, across)
                goal = Window(dxs, (((first + n) * H + top + i) * W + left + j) * C, W * C, C)
                height, width = rows + reach - i, columns + reach - j
                window = whole_window(goal, height, width, C, len(side), channels, edge)
                v = at_places(side, values, tile)
                spoilt = _values_to_pixels(
                    side, side, v, window, channels, len(side), spare, spoilt
                )
                put_back(window, goal, height, width, C, len(side))
    store(spare, 0, spoilt)
    return all_finite(spare[:LANES])


@part
def place_of(tile, tiles, across):
    """Return picture, row and column where a tile's results begin; a picture has `tiles` tiles."""
    n, tile = tile // tiles, tile % tiles
    return n, tile // across * STEP, tile % across * STEP


class Places(NamedTuple):
    """Numbers by tile, place and channel: a place takes `step` elements, a tile `tile` elements."""

    array: np.ndarray
    step: int
    tile: int


def scratch_for(side: tuple[int, ...], channels: int, filters: int) -> int:
    """Return how many numbers `cut` cuts up at most."""
    return (TILES_BACK + 2) * (len(side) ** 2 * (channels + filters) + 2 * LANES)


@part
def cut(side, scratch, tiles, channels, filters):
    """Cut up memory for the values of channels and filters at all places, and two spare arrays."""
    values, end = places(side, scratch, 0, channels, tiles)
    products, end = places(side, scratch, end, filters, tiles)
    size = len(side) ** 2 * max(channels, filters)
    return values, products, scratch[end : end + size], scratch[end + size : end + 2 * size]


@part
def places(side, scratch, at, channels, tiles):
    """Return places in memory from `at` on, and where they end.

    One vector is left free between tiles, so that the tiles use all sets of a cache.
    """
    tile = len(side) ** 2 * channels + LANES
    end = at + tiles * tile
    return Places(scratch[at:end], channels, tile), end


@part
def at_places(side, values, tile):
    """Return the window of a tile's places."""
    return Window(values.array, tile * values.tile, len(side) * values.step, values.step)


@part
def evaluate(side, x, height, width, C, values, tile, channels, edge, spare):
    """Write the values of a tile's window; height x width of its pixels exist."""
    window = whole_window(x, height, width, C, len(side), channels, edge)
    v = at_places(side, values, tile)
    _pixels_to_values(side, side, window, v, channels, len(side), spare, 0)


@part
def interpolate(side, products, tile, b, goal, size, more, edge, spare):
    """Write a tile's 4 x 4 activated results, cut to `size`; return new `spoilt`."""
    (height, width, K), (kind, slopes, spoilt) = size, more
    filters, window = len(b), goal
    if height < STEP or width < STEP or filters > K:
        window = Window(edge, 0, STEP * filters, filters)
    m, more = at_places(side, products, tile), (slopes, spoilt)
    one = m.at + m.row + m.pixel  # the place of point 1, which counts once in each result
    for k in range(0, filters, LANES):
        line = added(load_line(m.array, one + k, 0, 1), load_line(b, k, 0, 1))
        store_line(m.array, one + k, 0, line)
    more = _products_to_results(side, side, m, window, filters, STEP, spare, more)
    if kind == CLIPPED:
        for i in range(STEP):
            at = window.at + i * window.row
            activate(window.array[at : at + STEP * window.pixel], kind, slopes)
    put_back(window, goal, height, width, K, STEP)
    return more[1]


@part
def spread_tile(side, dy, size, products, tile, filters, edge, spare):
    """Write the gradients of a tile's products from those of the `size` results that exist."""
    height, width, K = size
    dy = whole_window(dy, height, width, K, STEP, filters, edge)
    m = at_places(side, products, tile)
    _results_to_products(side, (0, 1, 2, 3), dy, m, filters, len(side), spare, 0)


@part
def multiply_places(side, unit, x, channels, w, y, filters, tiles):
    """Write, at every place, y[tile, filter] from x[tile, channel] and the filters' values w."""
    width = len(unit) * LANES
    # The same call begins with zeros or with the sums so far, so that only one product is compiled.
    nothing = Lines(np.zeros(filters, np.float32), 0, 0, False)
    for place in range(len(side) ** 2):
        goal = Lines(y.array, place * y.step, y.tile, False)
        for c in range(0, channels, MOST_TERMS):
            turns = Turns(1, min(MOST_TERMS, channels - c))
            factor = Factor(x.array, place * x.step + c, x.tile, 0, 1)
            at = place * filters * channels + c * width
            taps = Factor(w, at, channels, 0, width)
            begin = nothing if c == 0 else goal
            multiply(zeros(unit), factor, taps, turns, begin, goal, tiles, filters)


@part
def add_value_gradients(side, unit, x, channels, dy, filters, tiles, sums):
    """Add, at every place, the sums over tiles of x times dy to sums[channel, filter]."""
    for place in range(len(side) ** 2):
        factor = Factor(x.array, place * x.step, 1, 0, x.tile)
        other = Factor(dy.array, place * dy.step, 1, 0, dy.tile)
        goal = Lines(sums, place * channels * filters, filters, False)
        turns = Turns(1, tiles)
        multiply(zeros(unit), factor, other, turns, goal, goal, channels, filters)
