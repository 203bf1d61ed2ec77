"""Activations, and their gradients, on a run of numbers that is still in the cache.

They are those of `srcnn_np.layers`, by number, so that one kernel serves all. The compiler turns
loops like these into vector instructions by itself.
"""

import numpy as np

from ..compiling import kernel, part

NONE, RELU, LEAKY, CLIPPED = range(4)
# Where the clipped one bends: see `srcnn_np.layers.clipped_leaky_relu_forward`.
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
def activate(y, kind, slope):
    """Replace numbers by their activations."""
    if kind == RELU:
        for i in range(len(y)):
            y[i] = ZERO if y[i] <= 0 else y[i]
    elif kind == LEAKY:
        for i in range(len(y)):
            y[i] = slope * y[i] if y[i] <= 0 else y[i]
    elif kind == CLIPPED:
        for i in range(len(y)):
            v = y[i]
            inside = v if v >= LOW else LOW + FLAT * (v - LOW)
            inside = HIGH + FLAT * (v - HIGH) if v > HIGH else inside
            inside = ZERO if v < FLOOR else inside
            y[i] = ONE if v > CEILING else inside


@part
def slope_of(kind, slope):
    """Return the slope below 0 of an activation that bends only there."""
    if kind == RELU:
        return ZERO
    return slope if kind == LEAKY else ONE


@kernel
def activated(z, y, kind, slope):
    """Write the activations of an array to another one."""
    flat, goal = z.reshape(-1), y.reshape(-1)
    for i in range(len(flat)):
        goal[i] = flat[i]
    activate(goal, kind, slope)


@kernel
def back_through(dy, z, db, kind, slope):
    """Multiply dy (N, H, W, K) by the activation's derivative at z; add its sums to db (K,).

    z may be a ReLU's output instead of its input.
    """
    N, H, W, K = dy.shape
    line = np.empty(K, np.float32)
    for n in range(N):
        for i in range(H):
            line[:] = 0
            for j in range(W):
                for k in range(K):
                    v, d = z[n, i, j, k], dy[n, i, j, k]
                    if kind == RELU:
                        d = ZERO if v <= 0 else d
                    elif kind == LEAKY:
                        d = slope * d if v <= 0 else d
                    elif kind == CLIPPED:
                        flat = FLAT * d if v < LOW or v > HIGH else d
                        d = ZERO if v < FLOOR or v > CEILING else flat
                    dy[n, i, j, k] = d
                    line[k] += d
            for k in range(K):
                db[k] += line[k]
