"""One training step: the mean squared error of a mini-batch, and all its gradients.

A sample goes forwards and backwards through the network while its feature maps (0.5 MB) are
still in the processor's cache. Samples are shared among threads in at most PARTS parts; the
parts' gradients are added in order, so that the result does not depend on the number of
threads.
"""

import numpy as np
from numba import njit

from ..conv.threads import share
from .first_layer import (
    PIECE,
    first_add_gradients,
    first_back,
    first_evaluate,
    first_filter_gradient,
    first_filter_values,
    first_multiply,
    first_spread,
)
from .first_layer import SIDE as FIRST_SIDE
from .rows import (
    LAST_ROW,
    MOST,
    UNIT,
    add_pixels,
    filter_row,
    gate_row,
    input_gradient_row,
    last_row,
    last_weight_gradient,
    packed,
    packed_last,
    padded,
    turned,
    unpacked,
    weight_gradient,
    whole_units,
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
    filter_values,
    multiply,
    spread_tiles,
)

PARTS = 16


def train_step(x, target, weights, biases):
    """Loss, gradients of the three layers' weights (K,C,kh,kw), and of their biases.

    x is (N, H, W), target (N, OH, OW): no borders are added. The loss is the mean of
    (y - target)² over all values.
    """
    w1, w2, w3 = weights
    middle1, middle2 = whole_units(len(w1)), whole_units(len(w2))
    by_winograd = w2.shape[2:] == (5, 5)
    if by_winograd:
        second = filter_values(w2, middle1, UNIT)
        second_turned, gradient2_shape = exchanged(second), (SIDE, SIDE, middle1, middle2)
    else:
        second, second_turned = packed(w2, middle1), packed(turned(w2), middle2)
        gradient2_shape = second.shape
    pieces = -(-w1.shape[2] // PIECE)
    first_by_winograd = pieces == 3
    first = first_filter_values(w1) if first_by_winograd else packed(w1, 1)[..., None, :]
    network = (
        first,
        padded(biases[0], middle1),
        second,
        padded(biases[1], middle2),
        packed_last(w3, middle2),
        biases[2],
        second_turned,
        packed(turned(w3), 1),
        w1.shape[2],
        w2.shape[2],
    )
    samples = len(x)
    parts = min(PARTS, samples)
    shapes = [network[0].shape, (middle1,), gradient2_shape, (middle2,), network[4].shape, (1,)]
    gradients = [np.zeros((parts, *shape), np.float32) for shape in shapes]
    losses = np.zeros(parts)

    def work(part):
        first, last = samples * part // parts, samples * (part + 1) // parts
        losses[part] = step_part(
            x, target, first, last, *network, *(gradient[part] for gradient in gradients)
        )

    share(work, parts)
    dw1, db1, dw2, db2, dw3, db3 = (gradient.sum(axis=0) for gradient in gradients)
    dw1 = (
        first_filter_gradient(dw1, w1.shape)
        if first_by_winograd
        else unpacked(dw1[:, :, :, 0], w1.shape)
    )
    dw2 = filter_gradient(dw2, w2.shape) if by_winograd else unpacked(dw2, w2.shape)
    dw3 = dw3.reshape(1, w3.shape[2], w3.shape[3], middle2)[..., : len(w2)].transpose(0, 3, 1, 2)
    return (
        losses.sum() / target.size,
        [dw1, dw2, np.ascontiguousarray(dw3)],
        [db1[: len(w1)], db2[: len(w2)], db3],
    )


@njit(nogil=True, cache=True)
def step_part(
    x,
    target,
    first,
    last,
    w1,
    b1,
    w2,
    b2,
    w3,
    b3,
    turned2,
    turned3,
    f1,
    f2,
    dw1,
    db1,
    dw2,
    db2,
    dw3,
    db3,
):
    """Add the gradients of samples [first, last) to dw1 ... db3; the sum of squared errors."""
    f3 = w3.shape[1]
    channels1, channels2 = len(b1), len(b2)
    _, height, width = x.shape
    height1, width1 = height - f1 + 1, width - f1 + 1
    height2, width2 = height1 - f2 + 1, width1 - f2 + 1
    height3, width3 = height2 - f3 + 1, width2 - f3 + 1
    first_by_winograd, by_winograd = len(w1) == FIRST_SIDE * FIRST_SIDE, f2 == 5
    # maps are as large as whole tiles; what is not filled stays 0
    down1, across1 = (height1 + STEP - 1) // STEP, (width1 + STEP - 1) // STEP
    down2, across2 = (height2 + STEP - 1) // STEP, (width2 + STEP - 1) // STEP
    row1, row2 = (
        max(across1 * STEP, across2 * STEP + SIDE - STEP) * channels1,
        across2 * STEP * channels2,
    )
    full1, full2 = max(down1 * STEP, down2 * STEP + SIDE - STEP), down2 * STEP
    spare = np.empty(SIDE * SIDE * LANES + FIRST_SIDE * (width + 64), np.float32)
    picture_row = width + 64
    picture = np.zeros((height + SIDE, picture_row), np.float32)
    flat1, flat_dw1 = (
        w1.reshape(w1.shape[0], w1.shape[1], -1, w1.shape[4]),
        dw1.reshape(dw1.shape[0], dw1.shape[1], -1, dw1.shape[4]),
    )
    if first_by_winograd:
        values1 = np.empty((down1, 3 * FIRST_SIDE * FIRST_SIDE, width + 64), np.float32)
        products1 = np.empty(
            (FIRST_SIDE * FIRST_SIDE, (down1 * across1 + MOST) * channels1 + LANES), np.float32
        )
    if by_winograd:
        tiles = down2 * across2
        values = np.empty((SIDE * SIDE, tiles * channels1 + LANES), np.float32)
        dvalues = np.empty((SIDE * SIDE, tiles * channels1 + LANES), np.float32)
        products = np.empty((SIDE * SIDE, tiles * channels2 + LANES), np.float32)
    else:
        bordered_row2 = (width2 + 2 * f2 - 2) * channels2
        bordered2 = np.zeros((height2 + 2 * f2 - 2, bordered_row2), np.float32)
    map1, dmap1 = np.zeros((full1, row1), np.float32), np.zeros((full1, row1), np.float32)
    # The last layer's block of pixels may read past the end of the last row.
    spare_rows = 1 + LAST_ROW * channels2 // row2
    map2 = np.zeros((full2 + spare_rows, row2), np.float32)
    dmap2 = np.zeros((full2, row2), np.float32)
    out = np.empty((height3, width3), np.float32)
    bordered3 = np.zeros((height3 + 2 * f3 - 2, width3 + 2 * f3 - 2), np.float32)
    starts1, starts2, starts3 = np.empty(f1, np.intp), np.empty(f2, np.intp), np.empty(f3, np.intp)
    starts8, starts4 = np.empty(SIDE, np.intp), np.empty(STEP, np.intp)
    loss = 0.0
    for n in range(first, last):
        for i in range(height):
            for j in range(width):
                picture[i, j] = x[n, i, j]
        # forwards
        if first_by_winograd:
            for i in range(down1):
                first_evaluate(
                    picture,
                    i * STEP * picture_row,
                    picture_row,
                    3,
                    across1 * STEP,
                    values1,
                    i,
                    spare,
                )
            first_multiply(values1, down1, 0, w1, across1, products1)
            for i in range(down1):
                begin_rows(starts4, i * STEP * row1, row1)
                first_back(products1, i * across1, b1, map1, starts4, 0, across1, spare)
            for row in range(full1):
                inside = width1 * channels1 if row < height1 else 0
                clear(map1, row * row1 + inside, row1 - inside)
        else:
            for row in range(height1):
                begin_rows(starts1, row * picture_row, picture_row)
                filter_row(picture, starts1, 1, flat1, b1, map1, row * row1, width1)
        if by_winograd:
            for i in range(down2):
                begin_rows(starts8, i * STEP * row1, row1)
                evaluate(map1, starts8, 0, channels1, across2, values, i * across2, spare)
            multiply(values, channels1, w2, tiles, products)
            for i in range(down2):
                begin_rows(starts4, i * STEP * row2, row2)
                back(products, i * across2, b2, map2, starts4, 0, across2, spare)
        else:
            for row in range(height2):
                begin_rows(starts2, row * row1, row1)
                filter_row(map1, starts2, channels1, w2, b2, map2, row * row2, width2)
        for row in range(height3):
            begin_rows(starts3, row * row2, row2)
            last_row(map2, starts3, channels2, w3, b3, out, row * width3, width3)
        # the loss
        for i in range(height3):
            for j in range(width3):
                error = out[i, j] - target[n, i, j]
                loss += error * error
                gradient = error * np.float32(2 / target.size)
                bordered3[i + f3 - 1, j + f3 - 1] = gradient
                db3[0] += gradient
        # backwards
        begin_rows(starts3, 0, row2)
        last_weight_gradient(
            bordered3,
            (f3 - 1) * (bordered3.shape[1] + 1),
            bordered3.shape[1],
            map2,
            starts3,
            row2,
            channels2,
            height3,
            width3,
            dw3,
        )
        for row in range(height2):
            begin_rows(starts3, row * bordered3.shape[1], bordered3.shape[1])
            input_gradient_row(bordered3, starts3, 1, turned3, map2, dmap2, row * row2, width2)
        if by_winograd:
            for i in range(down2):
                begin_rows(starts4, i * STEP * row2, row2)
                spread_tiles(dmap2, starts4, channels2, across2, products, i * across2, spare)
            add_value_gradients(values, channels1, products, channels2, tiles, dw2)
            multiply(products, channels2, turned2, tiles, dvalues)
            clear(dmap1, 0, dmap1.size)
            for i in range(down2):
                begin_rows(starts8, i * STEP * row1, row1)
                add_pixel_gradients(dvalues, i * across2, channels1, across2, dmap1, starts8, spare)
            gate_row(map1, dmap1, 0, dmap1.size)
            add_pixels(dmap2, row2, height2, width2, db2)
        else:
            begin_rows(starts2, 0, row1)
            weight_gradient(dmap2, row2, map1, starts2, row1, channels1, height2, width2, dw2, db2)
            if f2 == 1:
                source, source_row = dmap2, row2
            else:
                source, source_row = bordered2, bordered_row2
                for row in range(height2):
                    copy_row(
                        dmap2,
                        row * row2,
                        bordered2,
                        (row + f2 - 1) * bordered_row2 + (f2 - 1) * channels2,
                        width2 * channels2,
                    )
            for row in range(height1):
                begin_rows(starts2, row * source_row, source_row)
                input_gradient_row(
                    source, starts2, channels2, turned2, map1, dmap1, row * row1, width1
                )
        if first_by_winograd:
            for i in range(down1):
                begin_rows(starts4, i * STEP * row1, row1)
                first_spread(dmap1, starts4, channels1, across1, products1, i * across1, spare)
            first_add_gradients(values1, down1, across1, products1, dw1)
            add_pixels(dmap1, row1, height1, width1, db1)
        else:
            begin_rows(starts1, 0, picture_row)
            weight_gradient(
                dmap1, row1, picture, starts1, picture_row, 1, height1, width1, flat_dw1, db1
            )
    return loss


@njit(nogil=True, cache=True)
def begin_rows(starts, first, step):
    """starts = first, first + step, ..."""
    for u in range(len(starts)):
        starts[u] = first + u * step


@njit(nogil=True, cache=True)
def copy_row(x, x_at, y, y_at, count):
    """Copy `count` numbers, a multiple of the vector's length."""
    for i in range(0, count, LANES):
        store(y, y_at + i, load(x, x_at + i))


@njit(nogil=True, cache=True)
def clear(x, at, count):
    """Set `count` numbers, a multiple of the vector's length, to 0."""
    for i in range(at, at + count, LANES):
        store_block(x, i, 0, 0, 1, zeros(1))
