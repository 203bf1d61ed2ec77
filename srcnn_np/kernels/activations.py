"""Activations, and their gradients, on a run of numbers that is still in the cache.

The activations of `srcnn_np.layers` are numbered, so that one kernel serves all. LEAKY has a slope
for each channel. The slopes are repeated until whole pixels fill whole vectors. The compiler turns
loops like these into vector instructions by itself.
"""

import numpy as np

from ..compiling import kernel, part
from .vectors import LANES, bent, load, load_line, store_line

NONE, RELU, LEAKY, CLIPPED = range(4)
# Where CLIPPED bends: see `srcnn_np.layers.clipped_leaky_relu_forward`.
LOW, HIGH, FLOOR, CEILING = (np.float32(n / 256) for n in (1, 255, -1179, 1535))
FLAT = np.float32(1 / 1280)
ZERO, ONE = np.float32(0), np.float32(1)


@part
def all_finite(y):
    """Whether there is no NaN and no infinity."""
    bad = 0
    for i in range(len(y)):
        bad += y[i] - y[i] != 0
    return bad == 0


@part
def activate(y, kind, slopes):
    """Replace the numbers of whole pixels by their activations."""
    if kind == RELU:
        for i in range(len(y)):
            y[i] = ZERO if y[i] <= 0 else y[i]
    elif kind == LEAKY:
        bend(y, y, slopes)
    elif kind == CLIPPED:
        for i in range(len(y)):
            v = y[i]
            inside = v if v >= LOW else LOW + FLAT * (v - LOW)
            inside = HIGH + FLAT * (v - HIGH) if v > HIGH else inside
            inside = ZERO if v < FLOOR else inside
            y[i] = ONE if v > CEILING else inside


@part
def bend(z, y, slopes):
    """Write the leaky activations of z, numbers of whole pixels, to y."""
    vectors, j = len(z) // LANES * LANES, 0
    for i in range(0, vectors, LANES):
        store_line(y, i, 0, bent(load_line(z, i, 0, 1), load(slopes, j)))
        j = j + LANES if j + LANES < len(slopes) else 0
    for i in range(vectors, len(z)):
        y[i] = slopes[i % len(slopes)] * z[i] if z[i] <= 0 else z[i]


@kernel
def activated(z, y, kind, slopes):
    """Write the activations of z (N, H, W, K) to y, of the same shape."""
    flat, goal = z.reshape(-1), y.reshape(-1)
    if kind == LEAKY:
        bend(flat, goal, slopes)
    else:
        goal[:] = flat
        activate(goal, kind, slopes)


@kernel
def back_through(dy, z, db, da, kind, slopes):
    """Multiply dy (N, H, W, K) by the activation's derivative at z; then add dy's sums to db (K,).

    Add LEAKY's slope gradients to da (K,). z is the activation's input. It may be the output
    for RELU, and for LEAKY with fixed slopes > 0.
    """
    N, H, W, K = dy.shape
    line, bend = np.empty(K, np.float32), np.empty(K, np.float32)
    for n in range(N):
        for i in range(H):
            line[:] = 0
            bend[:] = 0
            for j in range(W):
                for k in range(K):
                    v, d = z[n, i, j, k], dy[n, i, j, k]
                    if kind == RELU:
                        d = ZERO if v <= 0 else d
                    elif kind == LEAKY:
                        bend[k] += d * v if v <= 0 else ZERO
                        d = slopes[k] * d if v <= 0 else d
                    elif kind == CLIPPED:
                        flat = FLAT * d if v < LOW or v > HIGH else d
                        d = ZERO if v < FLOOR or v > CEILING else flat
                    dy[n, i, j, k] = d
                    line[k] += d
            for k in range(K):
                db[k] += line[k]
                da[k] += bend[k]
