r"""The transposed convolution: a convolution's backward pass, used as a layer.

A convolution takes a large picture to a small one, and its input gradient takes a small one, dy, to
a large one, dx. A transposed convolution is just that: x goes in where dy went in, and y comes out
where dx came out,

    y[n,k,p,r] = b[k] + Σ_{c,i,j,u,v: p = sh·i+u, r = sw·j+v} x[n,c,i,j] · w[c,k,u,v]

Each number of x is spread over kh x kw places of y. The places of the next number begin sw columns
further right, or sh rows further down. Where they overlap, the values add up. The picture becomes
sh times as high and sw times as wide.

The gradients need no new formula either. y is linear in x and in w, and sums the same products as
the convolution. So the three functions change places:

    ============  ================================
    here          there (`srcnn_np.conv.naive`)
    ============  ================================
    y from x      dx from dy: (4)
    dx from dy    y from x: (1), without b
    dw            dw, with x and dy exchanged: (3)
    ============  ================================

w has the same shape as in the convolution. It has a filter for each of x's C channels, and a filter
has a channel for each of y's K channels. (About the name: the matrix that multiplies all numbers of
x at once is the convolution's matrix, transposed. The operation does not undo the convolution.)
"""

import numpy as np

from .backends import check_biases, check_same_dtype, implementation_of
from .geometry import Pads, apart, pad_backward, pad_forward, pair, together


def conv_transpose2d_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    *,
    stride: int | tuple[int, int] = 1,
    crop: Pads = (0, 0, 0, 0),
    backend: str = "numba",
) -> np.ndarray:
    """Spread every number of x over y by its channel's filter.

    Parameters
    ----------
    x : (N, C, H, W) array of float32, float64 or (naive and im2col) complex128
    w : (C, K, kh, kw) array of the same dtype
    b : (K,) array of the same dtype
    stride : int or (rows, columns), at least 1
    crop : (top, bottom, left, right)
        Rows and columns of y that are dropped.
    backend : "naive", "im2col" or "numba"

    Returns
    -------
    y : (N, K, OH, OW) array of the same dtype
        OH = sh·(H - 1) + kh - top - bottom, and OW likewise.

    Raises
    ------
    ValueError, TypeError
        As `conv2d_forward`; also if nothing is left of y.

    Examples
    --------
    Each of three numbers is spread over three places. The next one begins two places later:

    >>> x, w = np.array([[[[1.0, 10.0, 100.0]]]]), np.array([[[[1.0, 2.0, 3.0]]]])
    >>> conv_transpose2d_forward(x, w, np.zeros(1), stride=(1, 2), backend="naive")[0, 0]
    array([[  1.,   2.,  13.,  20., 130., 200., 300.]])
    """
    implementation, stride, full, _ = _prepare(x, w, stride, crop, backend)
    check_biases(b, w.shape[1])
    check_same_dtype(x=x, w=w, b=b)
    y = implementation.input_gradient(x, w, full, stride)
    return pad_backward(y, crop) + b[:, None, None]


def conv_transpose2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    *,
    stride: int | tuple[int, int] = 1,
    crop: Pads = (0, 0, 0, 0),
    backend: str = "numba",
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Return gradients of a scalar L through `conv_transpose2d_forward`, from dy = ∂L/∂y.

    Parameters
    ----------
    dy : (N, K, OH, OW) array
    x, w, stride, crop, backend
        As given to `conv_transpose2d_forward`.
    need_dx : bool
        False leaves dx out (None).

    Returns
    -------
    dx : (N, C, H, W) array, or None
    dw : (C, K, kh, kw) array
    db : (K,) array

    Raises
    ------
    ValueError, TypeError
        As `conv_transpose2d_forward`; also if dy does not have the shape of y.
    """
    implementation, stride, _, y_shape = _prepare(x, w, stride, crop, backend)
    if dy.shape != y_shape:
        raise ValueError(f"dy has shape {dy.shape}, but y has {y_shape}")
    check_same_dtype(x=x, w=w, dy=dy)
    full = pad_forward(dy, crop)
    dx = None
    if need_dx:
        dx = implementation.forward(full, w, np.zeros(len(w), w.dtype), stride)
    dw = implementation.weight_gradient(x, full, w.shape, stride)
    return dx, dw, dy.sum(axis=3).sum(axis=(0, 2))


def as_convolution(
    w: np.ndarray, b: np.ndarray, stride: tuple[int, int], shift: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return filters and biases of a convolution at stride 1 that computes all places of a pixel.

    A pixel has sh x sw places in y. Each place is a sum over the pixel and its neighbours, weighted
    by the taps that meet there. These taps are the same for all pixels. So a transposed convolution
    is sh·sw small convolutions of x, whose results lie in y as `together` lays them.

    Parameters
    ----------
    w : (C, K, kh, kw) array
    b : (K,) array
    stride : (sh, sw)
    shift : (int, int)
        Rows and columns of y from the start of a pixel's filter to the pixel's own places.

    Returns
    -------
    filters : (sh·sw·K, C, ceil((kh + up) / sh), ...) array
        `up` rows of zeros come first, so that whole pixels lie before the pixel's own places.
    biases : (sh·sw·K,) array
    """
    up, left = (-f % s for f, s in zip(shift, stride, strict=True))
    parts = apart(pad_forward(w, (up, 0, left, 0)), stride)  # (C, sh·sw·K, h, v)
    turned = parts[:, :, ::-1, ::-1].swapaxes(0, 1)
    return np.ascontiguousarray(turned), np.tile(b, stride[0] * stride[1])


def from_convolution(
    dfilters: np.ndarray,
    dbiases: np.ndarray,
    w_shape: tuple[int, int, int, int],
    stride: tuple[int, int],
    shift: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return dw (C, K, kh, kw) and db (K,) from the gradients of what `as_convolution` gives."""
    _, K, kh, kw = w_shape
    up, left = (-f % s for f, s in zip(shift, stride, strict=True))
    parts = dfilters[:, :, ::-1, ::-1].swapaxes(0, 1)
    dw = together(parts, stride, (up + kh, left + kw))[:, :, up:, left:]
    return np.ascontiguousarray(dw), dbiases.reshape(-1, K).sum(0)


def _prepare(x, w, stride, crop, backend):
    """Check both functions' inputs; return module, stride, and y's shape, whole and cropped."""
    implementation = implementation_of(backend, x, w, channels=0)
    stride = pair("stride", stride, 1)
    H, W = (s * (n - 1) + k for s, n, k in zip(stride, x.shape[2:], w.shape[2:], strict=True))
    top, bottom, left, right = crop
    if min(crop) < 0 or top + bottom >= H or left + right >= W:
        raise ValueError(
            f"crop is {crop}: give (top, bottom, left, right) of at least 0 that leave something "
            f"of {H} x {W}"
        )
    N, K = len(x), w.shape[1]
    return implementation, stride, (N, K, H, W), (N, K, H - top - bottom, W - left - right)
