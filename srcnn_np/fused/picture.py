"""A whole picture through the three layers, so that no feature map is ever whole in memory.

The picture is cut into tiles, shared among threads. A tile goes from top to bottom: a row of
the result needs the last f3 rows of the second map, a row of which needs the last f2 rows of
the first. These rows are kept in two rings, one or two megabytes with all else a tile needs,
which the processor's caches hold; a row is made when it is first needed, and overwritten when
no longer. Only what neighbouring tiles share is computed twice.

Maps are laid out (row, column, channel), see `srcnn_np.fused.rows`. Each convolution keeps
the picture's size by repeating its own input's border pixels, as `Sequential.predict` does.
"""

from typing import NamedTuple

import numpy as np

from ..compiling import kernel
from ..conv.threads import share
from . import first_layer, winograd
from .first_layer import first_rows, first_scratch
from .prepared import Network
from .rows import filter_row, last_row
from .simd import LANES, load, store
from .winograd import STEP, scratch, winograd_rows

first_by_winograd, second_by_winograd = first_layer.covers, winograd.covers

SLACK = 48  # columns after a row's end that a block of pixels may touch
TILE_HEIGHT, TILE_WIDTH = 128, 256


def predict(picture: np.ndarray, network: Network) -> np.ndarray:
    """The picture (H, W) the network makes of a picture (H, W), float32."""
    height, width = picture.shape
    before, after = (network.f1 - 1) // 2, network.f1 // 2
    bordered = np.pad(picture, ((before, after + STEP + 2), (before, after + SLACK)), "edge")
    result = np.empty((height, width), np.float32)
    across = -(-width // TILE_WIDTH)
    # A small picture is halved all the same, for two threads.
    down = max(1, min(2, height // 32), round(height / TILE_HEIGHT))

    def work(tile: int) -> None:
        i, j = divmod(tile, across)
        rows = height * i // down, height * (i + 1) // down
        columns = width * j // across, width * (j + 1) // across
        predict_tile(bordered, network, result, rows, columns)

    share(work, down * across)
    return result


class Ring(NamedTuple):
    """The rows of a map that are still needed: row n is rows[n % len(rows)].

    Of a row's `total` columns, `count` are computed, from `begin` on; the others repeat the
    first or the last of these.
    """

    rows: np.ndarray
    channels: int
    begin: int
    count: int
    total: int


@kernel
def ring(rows, channels, begin, count, total):
    """An empty one."""
    return Ring(
        np.empty((rows, (total + SLACK) * channels), np.float32), channels, begin, count, total
    )


@kernel
def predict_tile(bordered, network, result, rows, columns):
    """Fill the given rows (top, bottom) and columns (left, right) of the result."""
    f1, f2, f3 = network.f1, network.f2, network.f3
    height, width = result.shape
    (top, bottom), (left, right) = rows, columns
    before2, before3, after2, after3 = (f2 - 1) // 2, (f3 - 1) // 2, f2 // 2, f3 // 2
    # the columns that are needed of the second map, and for these of the first
    left2, right2 = max(0, left - before3), min(width, right + after3)
    left1, right1 = max(0, left2 - before2), min(width, right2 + after2)
    # rows of the maps that are made in one go
    step1 = STEP if first_by_winograd(f1) else 1
    step2 = STEP if second_by_winograd(f2) else 1
    channels1, channels2 = len(network.b1), len(network.b2)
    count1, count2 = right1 - left1, right2 - left2
    ring1 = ring(
        f2 + step2 + step1 - 2,
        channels1,
        left1 - (left2 - before2),
        count1,
        count2 + f2 + step2 - 2,
    )
    ring2 = ring(f3 + step2 - 1, channels2, left2 - (left - before3), count2, right - left + f3 - 1)
    scratch1 = first_scratch(f1, channels1, 1, count1 + SLACK, first_layer.TILES)
    scratch2 = scratch(f2, channels1, channels2, winograd.TILES)
    starts1, starts3 = np.empty(f1, np.intp), np.empty(f3, np.intp)
    starts2 = np.empty(f2 + step2 - 1, np.intp)
    goals = np.empty(STEP, np.intp)
    # the next rows to make
    next2 = max(0, top - before3)
    next1 = max(0, next2 - before2)
    for row in range(top, bottom):
        while next2 <= min(row + after3, height - 1):
            while next1 <= min(next2 + step2 - 1 + after2, height - 1):
                put_goals(goals, ring1, next1, step1)
                start = next1 * bordered.shape[1] + left1
                if first_by_winograd(f1):
                    first_rows(
                        bordered, start, network.w1, network.b1, ring1.rows, goals, count1, scratch1
                    )
                else:
                    for u in range(f1):
                        starts1[u] = start + u * bordered.shape[1]
                    filter_row(
                        bordered,
                        starts1,
                        1,
                        network.w1,
                        network.b1,
                        None,
                        ring1.rows,
                        goals[0],
                        count1,
                    )
                repeat_ends(ring1, next1, step1)
                next1 += step1
            put_starts(starts2, ring1, next2 - before2, height)
            put_goals(goals, ring2, next2, step2)
            if second_by_winograd(f2):
                winograd_rows(
                    ring1.rows,
                    starts2,
                    channels1,
                    network.w2,
                    network.b2,
                    ring2.rows,
                    goals,
                    count2,
                    scratch2,
                )
            else:
                filter_row(
                    ring1.rows,
                    starts2,
                    channels1,
                    network.w2,
                    network.b2,
                    None,
                    ring2.rows,
                    goals[0],
                    count2,
                )
            repeat_ends(ring2, next2, step2)
            next2 += step2
        put_starts(starts3, ring2, row - before3, height)
        at = row * width + left
        last_row(ring2.rows, starts3, channels2, network.w3, network.b3, result, at, right - left)


@kernel
def put_starts(starts, ring, first, height):
    """Where rows first, first + 1, ... of a map of `height` rows begin; border rows repeat."""
    for u in range(len(starts)):
        starts[u] = min(max(first + u, 0), height - 1) % len(ring.rows) * ring.rows.shape[1]


@kernel
def put_goals(goals, ring, first, count):
    """Where the first computed pixels of `count` rows go."""
    for i in range(count):
        row = (first + i) % len(ring.rows)
        goals[i] = row * ring.rows.shape[1] + ring.begin * ring.channels


@kernel
def repeat_ends(ring, first, count):
    """Fill the columns of `count` rows that are not computed."""
    for i in range(count):
        at = (first + i) % len(ring.rows) * ring.rows.shape[1]
        for column in range(ring.total):
            inside = min(max(column, ring.begin), ring.begin + ring.count - 1)
            if inside != column:
                to, source = at + column * ring.channels, at + inside * ring.channels
                for channel in range(0, ring.channels, LANES):
                    store(ring.rows, to + channel, load(ring.rows, source + channel))
