"""The one matrix product that all fast kernels are built on, summed in registers.

    y[r, s] = begin[r, s] + Σ_i Σ_j  x[r·row + i·next + j·step] · v[s + i·next + j·step]

x gives single numbers, one for each line r of the sums; v gives vectors, so that s runs over
neighbouring lanes. In a convolution, r runs over the pixels of a row, s over the filters, i over
the rows of the window, and j over the run of numbers in each row. In the weight gradient, r runs
over that run, s over the filters, and i and j over the places. Winograd's convolution does such a
product at each of its places.

With 32 registers MOST is 8: 8 lines of two vectors are 16 sums, kept in registers while i and j
run. Each turn loads two vectors and 8 numbers and makes 16 fused multiply-adds. So the processor is
busy with arithmetic, not with memory. (With 16 registers MOST is 6.) Lines left over are computed
4, 2 and 1 at a time.
"""

from typing import NamedTuple

import numpy as np

from ..compiling import part
from .vectors import (
    LANES,
    REGISTERS,
    add_block,
    add_outer_product,
    stacked,
    store_block,
    stream_block,
)

MOST = 8 if REGISTERS == 32 else 6  # lines: two vectors each, and some registers left


class Factor(NamedTuple):
    """Where a factor's numbers lie, in elements.

    Attributes
    ----------
    array : array
    at : int
        The place of the first number.
    row : int
        The step from one line of the sums to the next. In v, it is the step from one lane to the
        next, used only for whole units of lanes.
    next, step : int
        The step from one outer turn of the sum to the next, and from one inner turn to the next.
    """

    array: np.ndarray
    at: int
    row: int
    next: int
    step: int


class Lines(NamedTuple):
    """Where lines of sums lie: the first at element `at`, the next `row` elements later.

    `streamed` lines are written past the caches, see `stream_block`.
    """

    array: np.ndarray | None
    at: int
    row: int
    streamed: bool


class Turns(NamedTuple):
    """How far i and j run."""

    outer: int
    inner: int


NOTHING = Lines(None, 0, 0, False)  # a `begin` that adds nothing


@part
def multiply(zero, x, v, turns, begin, y, count, lanes):
    """Write `count` lines of `lanes` numbers to y, in units as long as `zero`, see above."""
    whole = count // MOST * MOST
    for r in range(0, whole, MOST):
        for k in range(0, lanes, len(zero) * LANES):
            multiply_block(stacked(zero, MOST), r, k, x, v, turns, begin, y)
    for k in range(0, lanes, len(zero) * LANES):
        r = whole
        if (count - whole) & 4:
            multiply_block(stacked(zero, 4), r, k, x, v, turns, begin, y)
            r += 4
        if (count - whole) & 2:
            multiply_block(stacked(zero, 2), r, k, x, v, turns, begin, y)
            r += 2
        if (count - whole) & 1:
            multiply_block(stacked(zero, 1), r, k, x, v, turns, begin, y)


@part
def rounded(count):
    """Return how many lines take no longer than `count`: 8 for 5, 6 or 7 lines, and 4 for 3."""
    left = count % MOST
    return count + (MOST - left if left > 4 else left == 3)


@part(inline="always")
def multiply_block(zero, r, k, x, v, turns, begin, y):
    """Write as many lines of a unit as `zero` has, from line r and lane k on.

    `begin` is added last: sums of many parts keep more digits if each part is rounded while small.
    """
    sums = sum_block(zero, r, k, x, v, turns)
    sums = add_block(sums, begin.array, begin.at + r * begin.row + k, begin.row)
    if y.streamed:
        stream_block(y.array, y.at + r * y.row + k, y.row, sums)
    else:
        store_block(y.array, y.at + r * y.row + k, y.row, sums)


@part(inline="always")
def sum_block(zero, r, k, x, v, turns):
    """Return the sums of as many lines as `zero` has, from line r and lane k on."""
    sums = zero
    for i in range(turns.outer):
        at, v_at = x.at + r * x.row + i * x.next, v.at + k * v.row + i * v.next
        for _ in range(turns.inner):
            sums = add_outer_product(sums, x.array, at, x.row, v.array, v_at)
            at += x.step
            v_at += v.step
    return sums
