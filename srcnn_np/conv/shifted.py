"""The convolution without columns: compiled loops over shifted pictures.

Lay the rows of a picture (C, H, W) end to end. Then the value under tap (c, u, v) of a
filter at place (i, j) stands a fixed distance after the value under tap (0, 0, 0):

    x[c, i+u, j+v] = flat[p + shift[t]],   p = i·W + j,   shift[t] = (c·H + u)·W + v

So a result is a sum over shifted copies of one long row, and no columns are ever written:

    forward           y[k,p]  = b[k] + Σ_t w[k,t] · flat[p + shift[t]]

The places p beyond a row's end (j >= OW) are computed, then dropped. One pass over the row
sums eight taps, so that each visit to the sum in memory serves eight multiplications. The compiler
turns the inner loop into vector instructions.

The input gradient needs no loop of its own. By (4) of `srcnn_np.conv.naive`, dx[p] sums
dy[p - shift] · w over all taps. That is a convolution of dy, widened by kh - 1 and kw - 1
zeros, with the filters turned by 180 degrees and the roles of C and K exchanged.

A stride only drops places: y is computed at stride 1 and thinned out, and dy is spread
out with zeros between.

Two flags are set for the compiler. "reassoc" lets it add in another order, which vector
sums need. "contract" lets it multiply and add in one instruction. Neither lets it assume
that there is no NaN or infinity.
"""

import numpy as np

from ..compiling import kernel
from .geometry import pad_forward
from .threads import share

_jit = kernel(fastmath={"reassoc", "contract"})

# A strip of rows has about this many pixels, so that its sum stays in the first-level cache.
_STRIP = 2048
# The weight gradient is summed in at most this many parts. The number of threads changes neither
# the parts nor the rounding.
_PARTS = 16


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: tuple[int, int]) -> np.ndarray:
    """Compute y (N, K, OH, OW) from x (N, C, H, W), w (K, C, kh, kw), b (K,)."""
    N, _, H, W = x.shape
    K, _, kh, kw = w.shape
    y = np.empty((N, K, H - kh + 1, W - kw + 1), x.dtype)
    flat, filters = _rows(x, N), _rows(w, K)
    shifts = _shifts(x.shape, w.shape)
    rows = max(1, _STRIP // W)
    strips = -(-y.shape[2] // rows)

    def work(number: int) -> None:
        n, strip = divmod(number, strips)
        _forward_strip(flat[n], filters, b, shifts, W, strip * rows, (strip + 1) * rows, y[n])

    share(work, N * strips)
    return np.ascontiguousarray(y[:, :, :: stride[0], :: stride[1]])


def weight_gradient(
    dy: np.ndarray, x: np.ndarray, w_shape: tuple[int, int, int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Compute dw (K, C, kh, kw) from dy (N, K, OH, OW) and x (N, C, H, W)."""
    N, _, OH, _ = dy.shape
    dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
    parts = np.zeros((min(N * OH, _PARTS), *w_shape), x.dtype)

    def work(number: int) -> None:
        first, last = N * OH * number // len(parts), N * OH * (number + 1) // len(parts)
        _weight_gradient_part(dy, x, first, last, stride, parts[number])

    share(work, len(parts))
    return parts.sum(axis=0)


def input_gradient(
    dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, int, int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Compute dx (N, C, H, W) from dy (N, K, OH, OW) and w (K, C, kh, kw)."""
    _, C, kh, kw = w.shape
    if not np.isfinite(w).all():
        return input_gradient_by_taps(dy, w, x_shape, stride)
    dy = _spread(dy, x_shape, w.shape, stride)
    bordered = pad_forward(dy, (kh - 1, kh - 1, kw - 1, kw - 1))
    turned = w[:, :, ::-1, ::-1].swapaxes(0, 1)  # (C, K, kh, kw)
    return forward(bordered, turned, np.zeros(C, dy.dtype), (1, 1))


def input_gradient_by_taps(
    dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, int, int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Do what `input_gradient` does, without a border of zeros: 0 times a NaN would be a NaN."""
    (_, _, OH, OW), (_, _, kh, kw), (sh, sw) = dy.shape, w.shape, stride
    dx = np.zeros(x_shape, dy.dtype)
    for u, v in np.ndindex(kh, kw):
        tap = np.einsum("nkij,kc->ncij", dy, w[:, :, u, v])
        dx[:, :, u : u + sh * OH : sh, v : v + sw * OW : sw] += tap
    return dx


def _rows(a: np.ndarray, count: int) -> np.ndarray:
    return np.ascontiguousarray(a).reshape(count, -1)


def _shifts(x_shape: tuple, w_shape: tuple) -> np.ndarray:
    """Return the distances (T,) from the value under tap 0 to the value under tap t."""
    _, _, H, W = x_shape
    _, C, kh, kw = w_shape
    c, u, v = np.ogrid[:C, :kh, :kw]
    return ((c * H + u) * W + v).ravel()


def _spread(dy: np.ndarray, x_shape: tuple, w_shape: tuple, stride: tuple) -> np.ndarray:
    """Return dy spread out to stride 1, with zeros at the places that the stride drops."""
    if stride == (1, 1):
        return dy
    N, _, H, W = x_shape
    K, _, kh, kw = w_shape
    spread = np.zeros((N, K, H - kh + 1, W - kw + 1), dy.dtype)
    spread[:, :, :: stride[0], :: stride[1]] = dy
    return spread


@_jit
def _forward_strip(flat, w, b, shifts, W, top, bottom, y):
    """Write rows [top, bottom) of one picture's y (K, OH, OW) from flat (C·H·W,), w (K, T)."""
    K, OH, OW = y.shape
    bottom = min(bottom, OH)
    length = (bottom - top - 1) * W + OW
    total = np.empty(length, flat.dtype)
    for k in range(K):
        total[:] = b[k]
        t = 0
        while t + 8 <= len(shifts):
            w0, w1, w2, w3 = w[k, t], w[k, t + 1], w[k, t + 2], w[k, t + 3]
            w4, w5, w6, w7 = w[k, t + 4], w[k, t + 5], w[k, t + 6], w[k, t + 7]
            x0, x1 = flat[top * W + shifts[t] :], flat[top * W + shifts[t + 1] :]
            x2, x3 = flat[top * W + shifts[t + 2] :], flat[top * W + shifts[t + 3] :]
            x4, x5 = flat[top * W + shifts[t + 4] :], flat[top * W + shifts[t + 5] :]
            x6, x7 = flat[top * W + shifts[t + 6] :], flat[top * W + shifts[t + 7] :]
            for p in range(length):
                total[p] += (
                    w0 * x0[p]
                    + w1 * x1[p]
                    + w2 * x2[p]
                    + w3 * x3[p]
                    + w4 * x4[p]
                    + w5 * x5[p]
                    + w6 * x6[p]
                    + w7 * x7[p]
                )
            t += 8
        while t < len(shifts):
            x0 = flat[top * W + shifts[t] :]
            for p in range(length):
                total[p] += w[k, t] * x0[p]
            t += 1
        for i in range(top, bottom):
            for j in range(OW):
                y[k, i, j] = total[(i - top) * W + j]


@_jit
def _weight_gradient_part(dy, x, first, last, stride, dw):
    """Add the share of rows [first, last) of dy, numbered (n, i), to dw (K, C, kh, kw)."""
    _, K, OH, OW = dy.shape
    _, C, kh, kw = dw.shape
    sh, sw = stride
    for number in range(first, last):
        n, i = number // OH, number % OH
        for k in range(K):
            for c in range(C):
                for u in range(kh):
                    for v in range(kw):
                        total = dw.dtype.type(0)
                        for j in range(OW):
                            total += dy[n, k, i, j] * x[n, c, sh * i + u, sw * j + v]
                        dw[k, c, u, v] += total
