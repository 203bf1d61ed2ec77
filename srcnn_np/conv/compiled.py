"""The convolution by compiled kernels, shared among threads.

float32 runs on the core, `srcnn_np.kernels`. The plainer `srcnn_np.conv.shifted` serves float64,
strides larger than the filter, and processors without fused multiply-adds. The core knows only
stride 1. For another stride, pictures and filters are taken apart, see
`srcnn_np.conv.geometry.apart`.

The work is cut into pieces. A piece is a few rows of a picture, or a few whole pictures if they are
not large. dw is a sum over pieces. It is taken in parts, which are added in order. The number of
parts depends only on the sizes. So the number of threads changes no bit of a result.
"""

import math

import numpy as np

from ..compiling import COMPILES
from ..kernels.convolution import Convolution
from ..kernels.layouts import Piece, aligned, channels_first, channels_last, turned
from ..kernels.vectors import FUSED
from ..kernels.winograd import STEP
from . import shifted
from .geometry import apart, output_size, pad_forward, together
from .threads import share

AVAILABLE = FUSED and COMPILES
PIXELS = 8192  # results in a piece: so many that handing out a piece costs nothing
# The rows of a band are a multiple of BAND: whole tiles, and at least as many as two bands share.
BAND = 2 * STEP
STREAMED = 1 << 24  # bytes of results, far more than a thread's caches hold
ALONE = 1 << 18  # one thread adds up fewer numbers than this before another thread wakes
MOST_PARTS = 64
PARTS_NUMBERS = 1 << 21  # the most in all parts of dw, unless the parts are few, see `parts_of`


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: tuple[int, int]) -> np.ndarray:
    """Compute y (N, K, OH, OW) from x (N, C, H, W), w (K, C, kh, kw), b (K,)."""
    if not _on_the_core(x, w.shape, stride):
        return shifted.forward(x, w, b, stride)
    if stride != (1, 1):
        size = output_size(x.shape[2:], w.shape[2:], stride)
        y = forward(_needed(x, w.shape, stride, size), apart(w, stride), b, (1, 1))
        return y if np.isfinite(y).all() else shifted.forward(x, w, b, stride)
    x = channels_last(x)
    N, H, W, _ = x.shape
    K, _, kh, kw = w.shape
    y = aligned((N, H - kh + 1, W - kw + 1, K))
    pieces = pieces_of(*y.shape[:3])
    convolution = Convolution(w, b, pieces[0].rows, pieces[0].columns)
    streamed = y.nbytes >= STREAMED
    share(lambda n: convolution.forward(x, y, pieces[n], streamed=streamed), len(pieces))
    return channels_first(y)


def weight_gradient(
    dy: np.ndarray, x: np.ndarray, w_shape: tuple[int, int, int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Compute dw (K, C, kh, kw) from dy (N, K, OH, OW) and x (N, C, H, W)."""
    if not _on_the_core(x, w_shape, stride):
        return shifted.weight_gradient(dy, x, w_shape, stride)
    if stride != (1, 1):
        K, C, kh, kw = w_shape
        parts = _needed(x, w_shape, stride, dy.shape[2:])
        shape = (K, parts.shape[1], -(-kh // stride[0]), -(-kw // stride[1]))
        return together(weight_gradient(dy, parts, shape, (1, 1)), stride, (kh, kw))
    w = np.broadcast_to(np.float32(0), w_shape)
    return _gradients(channels_last(dy), channels_last(x), w, need_dx=False)[1]


def input_gradient(
    dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, int, int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Compute dx (N, C, H, W) from dy (N, K, OH, OW) and w (K, C, kh, kw)."""
    if not _on_the_core(dy, w.shape, stride):
        return shifted.input_gradient(dy, w, x_shape, stride)
    if stride != (1, 1):
        parts = _gradients(channels_last(dy), None, apart(w, stride), need_dx=True)[0]
        found = together(parts, stride, x_shape[2:])
        if not np.isfinite(found).all():
            return shifted.input_gradient(dy, w, x_shape, stride)
        rest = x_shape[2] - found.shape[2], x_shape[3] - found.shape[3]  # seen by no filter
        return pad_forward(found, (0, rest[0], 0, rest[1]))
    return _gradients(channels_last(dy), None, w, need_dx=True)[0]


def gradients(
    dy: np.ndarray, x: np.ndarray, w: np.ndarray, stride: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Compute dx and dw together: they share some of the work."""
    if stride != (1, 1) or not _on_the_core(x, w.shape, stride):
        dx = input_gradient(dy, w, x.shape, stride)
        return dx, weight_gradient(dy, x, w.shape, stride)
    return _gradients(channels_last(dy), channels_last(x), w, need_dx=True)


def _on_the_core(x, w_shape, stride):
    fits = stride[0] <= w_shape[2] and stride[1] <= w_shape[3]  # else most of x is not seen
    return AVAILABLE and x.dtype == np.float32 and fits


def _needed(x, w_shape, stride, size):
    """Take apart the rows and columns of x that `size` places of y need, with zeros beyond x."""
    rows, columns = (
        s * (n + -(-k // s) - 1) for s, n, k in zip(stride, size, w_shape[2:], strict=True)
    )
    parts = apart(x[:, :, :rows, :columns], stride)
    h, w = rows // stride[0] - parts.shape[2], columns // stride[1] - parts.shape[3]
    return pad_forward(parts, (0, h, 0, w))


def _gradients(dy, x, w, *, need_dx, exact=False):
    """Compute dx, if needed, and dw, if there is x; dy and x are (N, H, W, channels)."""
    N, OH, OW, _ = dy.shape
    _, C, kh, kw = w.shape
    pieces = pieces_of(N, OH, OW)
    size = pieces[0].rows, pieces[0].columns
    convolution = Convolution(w, np.zeros(len(w), np.float32), *size, exact=exact)
    at_once = need_dx and convolution.method == "winograd" and np.isfinite(w).all()
    dx = np.zeros((N, OH + kh - 1, OW + kw - 1, C), np.float32) if at_once else None
    # Neighbouring bands of a picture add to the same rows of dx, so every other band goes first.
    bands = at_once and pieces[0].rows < OH
    dw, clean = None, True
    if at_once or x is not None:
        phases = [pieces[::2], pieces[1::2]] if bands else [pieces]
        cleans, sums = zip(*(_backward(convolution, dy, x, dx, p) for p in phases), strict=True)
        clean = all(cleans)
        if x is not None:
            dw = convolution.weight_gradient(added_up(np.concatenate(sums)))
            clean = exact or (clean and np.isfinite(dw).all())
    if not clean:
        return _gradients(dy, x, w, need_dx=need_dx, exact=True)
    if need_dx and not at_once:
        return _input_gradient(channels_first(dy), w), dw
    return None if dx is None else channels_first(dx), dw


def _input_gradient(dy, w):
    """Compute dx (N, C, H, W) as a convolution of dy widened by zeros, see `shifted`."""
    N, _, OH, OW = dy.shape
    _, C, kh, kw = w.shape
    if not np.isfinite(w).all():
        x_shape = (N, C, OH + kh - 1, OW + kw - 1)
        return shifted.input_gradient_by_taps(dy, w, x_shape, (1, 1))
    bordered = pad_forward(dy, (kh - 1, kh - 1, kw - 1, kw - 1))
    return forward(bordered, turned(w), np.zeros(C, np.float32), (1, 1))


def _backward(convolution, dy, x, dx, pieces):
    """Add the pieces' share to dx, if any; return whether dx is finite, and dw's sums, if any."""
    shape = convolution.sums_shape
    parts = len(pieces) if x is None else parts_of(len(pieces), math.prod(shape))
    sums = np.zeros((0 if x is None else parts, *shape), np.float32)
    finite = np.ones(parts, bool)

    def work(part: int) -> None:
        for piece in pieces[len(pieces) * part // parts : len(pieces) * (part + 1) // parts]:
            to = None if x is None else sums[part]
            finite[part] &= convolution.backward(dy, dx if x is None else x, piece, sums=to, dx=dx)

    share(work, parts)
    return finite.all(), sums


def pieces_of(N: int, OH: int, OW: int) -> list[Piece]:
    """Cut N pictures of OH x OW results into bands, or group them: about PIXELS in a piece."""
    if OH * OW <= PIXELS:
        some = PIXELS // (OH * OW)
        ends = [min(n + some, N) for n in range(0, N, some)]
        starts = [0, *ends]
        return [Piece(a, b, 0, 0, 0, 0, OH, OW) for a, b in zip(starts, ends, strict=False)]
    rows = max(1, PIXELS // OW // BAND) * BAND
    bands = [(row, min(rows, OH - row)) for row in range(0, OH, rows)]
    return [Piece(n, n + 1, row, 0, row, 0, count, OW) for n in range(N) for row, count in bands]


def parts_of(pieces: int, numbers: int) -> int:
    """Return the number of parts in which pieces are summed.

    There are as many parts as pieces, or fewer if all parts together would have more than
    PARTS_NUMBERS numbers. But half as many parts as pieces, up to MOST_PARTS, are always allowed.
    """
    return min(pieces, max(min(-(-pieces // 2), MOST_PARTS), PARTS_NUMBERS // numbers))


def added_up(parts: np.ndarray) -> np.ndarray:
    """Return the sum over the first axis, added in order."""
    if parts.size < ALONE:
        with np.errstate(over="ignore", invalid="ignore"):
            return parts.sum(0)
    flat, some = parts.reshape(len(parts), -1), 1 << 14
    total = np.empty(flat.shape[1], parts.dtype)

    def work(n: int) -> None:
        here = slice(n * some, (n + 1) * some)
        with np.errstate(over="ignore", invalid="ignore"):  # each thread has its own
            np.add.reduce(flat[:, here], 0, out=total[here])

    share(work, -(-flat.shape[1] // some))
    return total.reshape(parts.shape[1:])
