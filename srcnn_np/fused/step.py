"""One training step: the mean squared error of a mini-batch, and all its gradients.

A sample goes forwards and backwards through the network while its feature maps (0.5 MB for
33 x 33) are still in the processor's cache. Samples are shared among threads in at most PARTS
parts, so that more threads than that are idle; the parts' gradients are added in order, so that
the result does not depend on the number of threads.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..compiling import kernel
from ..conv.threads import share
from . import first_layer, winograd
from .first_layer import (
    first_add_value_gradients,
    first_back,
    first_evaluate,
    first_filter_gradient,
    first_multiply,
    first_scratch,
    first_spread_tiles,
)
from .prepared import prepare
from .rows import (
    LAST_ROW,
    Map,
    add_pixels,
    close_gates,
    filter_row,
    last_row,
    last_weight_gradient,
    packed,
    turned,
    unpacked,
    weight_gradient,
)
from .simd import LANES, load, store, store_block, zeros
from .winograd import (
    SIDE,
    STEP,
    add_pixel_gradients,
    add_value_gradients,
    back,
    evaluate,
    exchanged,
    filter_gradient,
    multiply,
    scratch,
    spread_tiles,
)

first_by_winograd, second_by_winograd = first_layer.covers, winograd.covers

PARTS = 16
SLACK = 64  # columns after a row's end that a block of pixels may touch


class Backwards(NamedTuple):
    """What dx of the second and third layers takes: filters and channels exchanged.

    Packed filters are turned by 180 degrees, too; Winograd's transposed steps need no turning.
    """

    w2: np.ndarray
    w3: np.ndarray


class Gradients(NamedTuple):
    """Of the arrays of the same names in `srcnn_np.fused.prepared.Network`."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    b3: np.ndarray


def train_step(
    x: np.ndarray,
    target: np.ndarray,
    ws: Sequence[np.ndarray],
    bs: Sequence[np.ndarray],
    count: int,
) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
    """Loss, gradients of the three layers' weights (K,C,kh,kw), and of their biases.

    x is (N, H, W), target (N, OH, OW): no borders are added. The loss is the sum of
    (y - target)², divided by `count`.
    """
    w1, w2, w3 = ws
    network = prepare(ws, bs)
    channels1, channels2 = len(network.b1), len(network.b2)
    by_winograd = second_by_winograd.py_func(network.f2)
    backwards = Backwards(
        exchanged(network.w2) if by_winograd else packed(turned(w2), channels2),
        packed(turned(w3), 1),
    )
    shapes = Gradients(*(a.shape for a in network[:6]))
    if by_winograd:
        shapes = shapes._replace(w2=(SIDE, SIDE, channels1, channels2))
    samples = len(x)
    parts = min(PARTS, samples)
    gradients = [np.zeros((parts, *shape), np.float32) for shape in shapes]
    losses = np.zeros(parts)

    def work(part: int) -> None:
        begin, end = samples * part // parts, samples * (part + 1) // parts
        sums = Gradients(*(gradient[part] for gradient in gradients))
        factor = np.float32(2 / count)
        losses[part] = step_part(x[begin:end], target[begin:end], factor, network, backwards, sums)

    share(work, parts)
    dw1, db1, dw2, db2, dw3, db3 = (gradient.sum(axis=0) for gradient in gradients)
    by_pieces = first_by_winograd.py_func(network.f1)
    dw1 = first_filter_gradient(dw1, w1.shape) if by_pieces else unpacked(dw1, w1.shape)
    dw2 = filter_gradient(dw2, w2.shape) if by_winograd else unpacked(dw2, w2.shape)
    dw3 = dw3.reshape(1, *w3.shape[2:], channels2)[..., : len(w2)].transpose(0, 3, 1, 2)
    return (
        float(losses.sum()) / count,
        [dw1, dw2, np.ascontiguousarray(dw3)],
        [db1[: len(w1)], db2[: len(w2)], db3],
    )


@kernel
def step_part(x, target, factor, network, backwards, d):
    """Add some samples' gradients to `d`; returns the sum of (y - target)².

    The gradient of y is factor · (y - target).
    """
    w1, b1, w2, b2, w3, b3, f1, f2, f3 = network
    channels1, channels2 = len(b1), len(b2)
    samples, height, width = x.shape
    height1, width1 = height - f1 + 1, width - f1 + 1
    height2, width2 = height1 - f2 + 1, width1 - f2 + 1
    height3, width3 = height2 - f3 + 1, width2 - f3 + 1
    # Maps are as large as whole tiles; what is not filled stays 0.
    down1, across1 = (height1 + STEP - 1) // STEP, (width1 + STEP - 1) // STEP
    down2, across2 = (height2 + STEP - 1) // STEP, (width2 + STEP - 1) // STEP
    row1 = max(across1 * STEP, across2 * STEP + SIDE - STEP) * channels1
    row2 = across2 * STEP * channels2
    full1, full2 = max(down1 * STEP, down2 * STEP + SIDE - STEP), down2 * STEP
    tiles2 = down2 * across2
    values1, products1, spare1 = first_scratch(f1, channels1, down1, width + SLACK, down1 * across1)
    values2, products2, spare2 = scratch(f2, channels1, channels2, tiles2)
    dvalues2 = np.empty_like(values2)
    picture = np.zeros((height + SIDE, width + SLACK), np.float32)
    picture_row = width + SLACK
    a1, da1 = np.zeros((full1, row1), np.float32), np.zeros((full1, row1), np.float32)
    # The last layer's block of pixels may read past the end of the last row.
    a2 = np.zeros((full2 + 1 + LAST_ROW * channels2 // row2, row2), np.float32)
    da2 = np.zeros((full2, row2), np.float32)
    y = np.empty((height3, width3), np.float32)
    # dx of a layer without Winograd needs dy with as many zeros around it as the filter reaches.
    around2, around3 = f2 - 1, f3 - 1
    wide2 = np.zeros((height2 + 2 * around2, (width2 + 2 * around2) * channels2), np.float32)
    wide3 = np.zeros((height3 + 2 * around3, width3 + 2 * around3), np.float32)
    zero1, zero2 = np.zeros_like(b1), np.zeros_like(b2)
    wide2_row, wide3_row = wide2.shape[1], wide3.shape[1]
    starts1, starts2, starts3 = np.empty(f1, np.intp), np.empty(f2, np.intp), np.empty(f3, np.intp)
    starts8, starts4 = np.empty(SIDE, np.intp), np.empty(STEP, np.intp)
    loss, db3 = 0.0, 0.0  # float64
    for n in range(samples):
        for i in range(height):
            for j in range(width):
                picture[i, j] = x[n, i, j]

        # forwards: a1 = max(0, w1 * x + b1)
        if first_by_winograd(f1):
            for i in range(down1):
                start = i * STEP * picture_row
                first_evaluate(picture, start, across1 * STEP, values1, i, spare1)
            first_multiply(values1, down1, 0, w1, across1, products1)
            for i in range(down1):
                begin_rows(starts4, i * STEP * row1, row1)
                first_back(products1, i * across1, b1, a1, starts4, 0, across1, spare1)
            for row in range(full1):
                inside = width1 * channels1 if row < height1 else 0
                clear(a1, row * row1 + inside, row1 - inside)
        else:
            for row in range(height1):
                begin_rows(starts1, row * picture_row, picture_row)
                filter_row(picture, starts1, 1, w1, b1, None, a1, row * row1, width1)
        # a2 = max(0, w2 * a1 + b2)
        if second_by_winograd(f2):
            for i in range(down2):
                begin_rows(starts8, i * STEP * row1, row1)
                evaluate(a1, starts8, 0, channels1, across2, values2, i * across2, spare2)
            multiply(values2, channels1, w2, tiles2, products2)
            for i in range(down2):
                begin_rows(starts4, i * STEP * row2, row2)
                back(products2, i * across2, b2, a2, starts4, 0, across2, spare2)
        else:
            for row in range(height2):
                begin_rows(starts2, row * row1, row1)
                filter_row(a1, starts2, channels1, w2, b2, None, a2, row * row2, width2)
        # y = w3 * a2 + b3
        for row in range(height3):
            begin_rows(starts3, row * row2, row2)
            last_row(a2, starts3, channels2, w3, b3, y, row * width3, width3)

        # the loss, and backwards: dy, dw3, db3
        for i in range(height3):
            for j in range(width3):
                error = y[i, j] - target[n, i, j]
                loss += error * error
                dy = factor * error
                wide3[i + around3, j + around3] = dy
                db3 += dy
        begin_rows(starts3, 0, row2)
        inside = around3 * (wide3_row + 1)
        last_weight_gradient(
            Map(wide3, wide3_row, 1),
            inside,
            Map(a2, row2, channels2),
            starts3,
            height3,
            width3,
            d.w3,
        )
        # da2, through the last layer and where a2 > 0, dw2, db2
        for row in range(height2):
            begin_rows(starts3, row * wide3_row, wide3_row)
            filter_row(wide3, starts3, 1, backwards.w3, zero2, a2, da2, row * row2, width2)
        dy2 = Map(da2, row2, channels2)
        if second_by_winograd(f2):
            for i in range(down2):
                begin_rows(starts4, i * STEP * row2, row2)
                spread_tiles(da2, starts4, channels2, across2, products2, i * across2, spare2)
            add_value_gradients(values2, channels1, products2, channels2, tiles2, d.w2)
            add_pixels(dy2, height2, width2, d.b2)
        else:
            begin_rows(starts2, 0, row1)
            weight_gradient(dy2, Map(a1, row1, channels1), starts2, height2, width2, d.w2, d.b2)
        # da1, through the second layer and where a1 > 0
        if second_by_winograd(f2):
            multiply(products2, channels2, backwards.w2, tiles2, dvalues2)
            clear(da1, 0, da1.size)
            for i in range(down2):
                begin_rows(starts8, i * STEP * row1, row1)
                add_pixel_gradients(dvalues2, i * across2, channels1, across2, da1, starts8, spare2)
            close_gates(a1, da1)
        else:
            for row in range(height2):
                inside = (row + around2) * wide2_row + around2 * channels2
                copy(da2, row * row2, wide2, inside, width2 * channels2)
            for row in range(height1):
                begin_rows(starts2, row * wide2_row, wide2_row)
                to = row * row1
                filter_row(wide2, starts2, channels2, backwards.w2, zero1, a1, da1, to, width1)
        # dw1, db1
        dy1 = Map(da1, row1, channels1)
        if first_by_winograd(f1):
            for i in range(down1):
                begin_rows(starts4, i * STEP * row1, row1)
                first_spread_tiles(da1, starts4, channels1, across1, products1, i * across1, spare1)
            first_add_value_gradients(values1, down1, across1, products1, d.w1)
            add_pixels(dy1, height1, width1, d.b1)
        else:
            begin_rows(starts1, 0, picture_row)
            x1 = Map(picture, picture_row, 1)
            weight_gradient(dy1, x1, starts1, height1, width1, d.w1, d.b1)
    d.b3[0] = db3
    return loss


@kernel
def begin_rows(starts, first, step):
    """starts = first, first + step, ..."""
    for u in range(len(starts)):
        starts[u] = first + u * step


@kernel
def copy(x, x_at, y, y_at, count):
    """Copy `count` numbers, a multiple of the vector's length."""
    for i in range(0, count, LANES):
        store(y, y_at + i, load(x, x_at + i))


@kernel
def clear(x, at, count):
    """Set `count` numbers, a multiple of the vector's length, to 0."""
    for i in range(at, at + count, LANES):
        store_block(x, i, 0, 0, 1, zeros(1))
