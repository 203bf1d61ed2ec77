"""The plain sums, row by row, as matrix products: for any filters at stride 1.

A filter sees one run of kw·C neighbouring numbers in a row of x, and the run of the next pixel
begins C numbers on. So a row of results is the product of `srcnn_np.kernels.product`, with
pixels as its lines, filters as its lanes, the kh rows of the window as outer turns and the run as
inner ones. The weight gradient has the run as lines, filters as lanes, and places as turns.

A layer of few filters would leave most lanes empty. For such a layer a vector holds some of a
pixel's channels, and neighbouring taps share the pixels that they load.
"""

import numpy as np

from ..compiling import kernel, part
from .activations import activate
from .layouts import copy
from .product import Factor, Lines, Turns, multiply, multiply_block
from .vectors import (
    LANES,
    add_scaled,
    add_windows,
    load,
    load_line,
    stacked,
    store_totals,
    zeros,
)

SEGMENT = 128  # pixels of a row, activated while they are in the first-level cache
FEW = 4  # with up to so many filters, lanes are channels
PIXELS = 8  # for few filters: pixels whose sums are in registers at once
MOST_TERMS = 128  # of a weight gradient that one register sums (at least a row): more lose digits


def few(K: int, C: int) -> bool:
    """Whether `forward_few` is for K filters of C channels."""
    return K <= FEW and C % LANES == 0


@kernel
def forward(unit, kh, kw, x, w, b, y, piece, kind, slopes, streamed):
    """Write an activated piece of y (N, OH, OW, K) from x (N, H, W, C).

    w is `packed`; b and slopes fill whole vectors. y may be `streamed` if it is `aligned` and K
    fills whole vectors.
    """
    first, last, top, left, to, y_left, rows, columns = piece
    _, H, W, C = x.shape
    _, OH, OW, K = y.shape
    filters, width = len(b), len(unit) * LANES
    xs, ys = x.reshape(-1), y.reshape(-1)
    taps = Factor(w.reshape(-1), 0, kh * kw * C, kw * C * width, width)
    turns, biases = Turns(kh, kw * C), Lines(b, 0, 0, False)
    spare = np.empty(SEGMENT * filters if filters > K else 0, np.float32)
    for n in range(first, last):
        for i in range(rows):
            for j in range(0, columns, SEGMENT):
                some = min(SEGMENT, columns - j)
                pixels = Factor(xs, ((n * H + top + i) * W + left + j) * C, C, W * C, 1)
                at = ((n * OH + to + i) * OW + y_left + j) * K
                goal = Lines(ys, at, K, streamed)
                if filters > K:
                    goal = Lines(spare, 0, filters, False)
                multiply(zeros(unit), pixels, taps, turns, biases, goal, some, filters)
                if filters > K:
                    for p in range(some):
                        copy(spare, p * filters, ys, at + p * K, K)
                activate(ys[at : at + some * K], kind, slopes)


@kernel
def weight_gradient(unit, dy, x, dw, piece):
    """Add the share of a piece of dy (N, OH, OW, K) to dw (kh, kw·C, K in whole vectors)."""
    first, last, top, left, to, y_left, rows, columns = piece
    _, H, W, C = x.shape
    _, OH, OW, K = dy.shape
    kh, run, filters = dw.shape
    xs, dys, sums = x.reshape(-1), dy.reshape(-1), dw.reshape(-1)
    some = max(1, MOST_TERMS // columns)
    spare = np.zeros(some * columns * filters if filters > K else 0, np.float32)
    for n in range(first, last):
        for i in range(0, rows, some):
            count = min(some, rows - i)
            at = ((n * OH + to + i) * OW + y_left) * K
            places = Factor(dys, at, 1, OW * K, K)
            if filters > K:
                for row in range(count):
                    for j in range(columns):
                        for k in range(K):
                            spare[(row * columns + j) * filters + k] = dys[
                                at + (row * OW + j) * K + k
                            ]
                places = Factor(spare, 0, 1, columns * filters, filters)
            for u in range(kh):
                pixels = Factor(xs, ((n * H + top + i + u) * W + left) * C, 1, W * C, C)
                goal = Lines(sums, u * run * filters, filters, False)
                turns = Turns(count, columns)
                multiply(zeros(unit), pixels, places, turns, goal, goal, run, filters)


@kernel
def forward_few(group, window, kh, kw, x, w, b, y, piece, kind, slopes):
    """Do what `forward` does, for few filters; w is (K, kh, kw, C), C whole vectors.

    `group` is a tuple as long as a group of taps, see `group_of`. `window` is a tuple as long as
    the row of pixels that such a group meets at PIXELS neighbouring places.
    """
    first, last, top, left, to, y_left, rows, columns = piece
    _, H, W, C = x.shape
    _, OH, OW, K = y.shape
    xs, ws, ys = x.reshape(-1), w.reshape(-1), y.reshape(-1)
    # Past a row's end lies another row, but past the last row lies nothing.
    end = len(xs) - (PIXELS + kw - 1) * C
    spare = np.zeros(kh * (PIXELS + kw - 1) * C, np.float32)
    totals = np.empty(PIXELS, np.float32)
    for n in range(first, last):
        for i in range(rows):
            row, goal = (n * H + top + i) * W + left, ((n * OH + to + i) * OW + y_left) * K
            for j in range(0, columns, PIXELS):
                some, inside = min(PIXELS, columns - j), (row + j + (kh - 1) * W) * C <= end
                if not inside:
                    for u in range(kh):
                        at, wide = (row + j + u * W) * C, (PIXELS + kw - 1) * C
                        copy(xs, at, spare, u * wide, (some + kw - 1) * C)
                for k in range(K):
                    taps = k * kh * kw * C
                    if not inside:
                        at, wide = 0, (PIXELS + kw - 1) * C
                        sum_taps(
                            *(group, window, kh, kw * C, spare, at, wide, C),
                            *(ws, taps, b[k], totals, 0),
                        )
                    elif K == 1 and some == PIXELS:
                        at = (row + j) * C
                        sum_taps(
                            *(group, window, kh, kw * C, xs, at, W * C, C),
                            *(ws, taps, b[k], ys, goal + j),
                        )
                        continue
                    else:
                        at = (row + j) * C
                        sum_taps(
                            *(group, window, kh, kw * C, xs, at, W * C, C),
                            *(ws, taps, b[k], totals, 0),
                        )
                    for p in range(some):
                        ys[goal + (j + p) * K + k] = totals[p]
            activate(ys[goal : goal + columns * K], kind, slopes)


def group_of(kw: int) -> int:
    """Return how many neighbouring taps share loaded pixels: 3 if 3 divides kw, else 5."""
    return 3 if kw % 3 == 0 else 5


@part
def sum_taps(group, window, kh, run, x, at, row, C, w, w_at, bias, y, y_at):
    """Write the results of one filter (kh, run) at PIXELS pixels, with its bias, to y."""
    sums = zeros(PIXELS)
    whole = run // (len(group) * C) * len(group) * C
    for _ in range(kh):
        for t in range(0, whole, len(group) * C):
            for c in range(t, t + C, LANES):
                pixels = load_line(x, at + c, C, window)
                sums = add_windows(sums, pixels, load_line(w, w_at + c, C, group))
        for t in range(whole, run, LANES):
            pixels = load_line(x, at + t, C, PIXELS)
            sums = add_scaled(sums, pixels, load(w, w_at + t))
        at, w_at = at + row, w_at + run
    store_totals(y, y_at, bias, sums)


@kernel
def weight_gradient_few(dy, x, dw, piece):
    """Do what `weight_gradient` does, for few filters; dw is (K, kh, kw·C), C whole vectors."""
    first, last, top, left, to, y_left, rows, columns = piece
    _, H, W, C = x.shape
    _, OH, OW, K = dy.shape
    _, kh, run = dw.shape
    xs, dys, sums = x.reshape(-1), dy.reshape(-1), dw.reshape(-1)
    some = max(1, MOST_TERMS // columns)
    eight, two, one = stacked(zeros(8), 1), stacked(zeros(2), 1), stacked(zeros(1), 1)
    for n in range(first, last):
        for i in range(0, rows, some):
            count = min(some, rows - i)
            turns = Turns(count, columns)
            for k in range(K):
                places = Factor(dys, ((n * OH + to + i) * OW + y_left) * K + k, 0, OW * K, K)
                for u in range(kh):
                    t = 0
                    while t < run:
                        at = ((n * H + top + i + u) * W + left) * C + t
                        pixels = Factor(xs, at, 0, W * C, C)
                        goal = Lines(sums, (k * kh + u) * run + t, 0, False)
                        vectors = (run - t) // LANES
                        if vectors >= 8:
                            multiply_block(eight, 0, 0, places, pixels, turns, goal, goal)
                            t += 8 * LANES
                        elif vectors >= 2:
                            multiply_block(two, 0, 0, places, pixels, turns, goal, goal)
                            t += 2 * LANES
                        else:
                            multiply_block(one, 0, 0, places, pixels, turns, goal, goal)
                            t += LANES
