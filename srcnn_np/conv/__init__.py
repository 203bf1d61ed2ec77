"""One operation, the two-dimensional convolution, in several implementations.

A layer calls `conv2d_forward` and `conv2d_backward`. They check the shapes,
widen the border, and hand over to one of these backends. All backends have the
same three functions.

========  ==========================  ================================================
backend   module                      what it is
========  ==========================  ================================================
naive     `srcnn_np.conv.naive`       the definition and its derivation, plain loops
im2col    `srcnn_np.conv.columns`     NumPy views and a matrix product
numba     `srcnn_np.conv.compiled`    the same sums by compiled kernels, on all threads
========  ==========================  ================================================

The transposed convolution, `srcnn_np.conv.transposed`, is made of the same three functions.
"""

import numpy as np

from .backends import BACKENDS, check_biases, check_same_dtype, implementation_of
from .columns import col2im, im2col
from .geometry import output_size, pad_backward, pad_forward, pair, same_pads
from .transposed import conv_transpose2d_backward, conv_transpose2d_forward

__all__ = [
    "BACKENDS",
    "col2im",
    "conv2d_backward",
    "conv2d_forward",
    "conv_transpose2d_backward",
    "conv_transpose2d_forward",
    "im2col",
    "pad_backward",
    "pad_forward",
    "same_pads",
]


def conv2d_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    backend: str = "numba",
) -> np.ndarray:
    r"""Slide K filters over a batch of pictures.

    At each place (i, j), filter k gives its inner product with the values under it::

        y[n,k,i,j] = b[k] + Σ_{c,u,v} w[k,c,u,v] · x[n, c, sh·i+u, sw·j+v]

    where x is padded by zeros first. Number the taps (c, u, v) by t and the places
    (i, j) by p. Then the sum is a matrix product for each picture::

        y[n,k,p] = b[k] + Σ_t w[k,t] · cols[n,t,p]        (K, T) (T, P) -> (K, P)

    with T = C·kh·kw, P = OH·OW and cols from `im2col`.

    Parameters
    ----------
    x : (N, C, H, W) array of float32, float64 or (naive and im2col) complex128
        N pictures of C channels.
    w : (K, C, kh, kw) array of the same dtype
        K filters of any height and width.
    b : (K,) array of the same dtype
        One bias for each filter.
    stride : int or (rows, columns), at least 1
    padding : int or (rows, columns), at least 0
        Zeros added on both sides of each axis.
    backend : "naive", "im2col" or "numba"

    Returns
    -------
    y : (N, K, OH, OW) array of the same dtype
        OH = (H + 2·padding - kh) // stride + 1, and OW likewise.

    Raises
    ------
    ValueError
        If shapes do not fit together, the batch is empty, the filter does not fit
        into the padded picture, or the backend is unknown.
    TypeError
        If the dtypes differ or the backend cannot compute with them.

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> w = np.array([[[[0.0, 1.0]]]])  # a 1 x 2 filter that picks the right neighbour
    >>> conv2d_forward(x, w, np.zeros(1), backend="naive")[0, 0]
    array([[1., 2.],
           [4., 5.],
           [7., 8.]])
    """
    implementation, stride, pads, _ = _prepare(x, w, stride, padding, backend)
    check_biases(b, len(w))
    check_same_dtype(x=x, w=w, b=b)
    return implementation.forward(pad_forward(x, pads), w, b, stride)


def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    backend: str = "numba",
    need_dx: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    r"""Compute gradients of a scalar L through `conv2d_forward`, from dy = ∂L/∂y.

    By the chain rule ∂L/∂q = Σ_{n,k,i,j} dy[n,k,i,j] · ∂y[n,k,i,j]/∂q. In the sum for y[n,k,i,j],
    the factor of b[k] is 1, the factor of w[k,c,u,v] is x[n, c, sh·i+u, sw·j+v], and the factor of
    x[n,c,p,r] is w[k,c,u,v] where p = sh·i+u and r = sw·j+v. Hence::

        db[k]       = Σ_{n,i,j} dy[n,k,i,j]
        dw[k,c,u,v] = Σ_{n,i,j} dy[n,k,i,j] · x[n, c, sh·i+u, sw·j+v]
        dx[n,c,p,r] = Σ_{k,i,j,u,v: p = sh·i+u, r = sw·j+v} dy[n,k,i,j] · w[k,c,u,v]

    where x is padded, and the part of dx in the padding is dropped. With taps and places
    numbered as in `conv2d_forward`, these are matrix products::

        dw = Σ_n dy[n] cols[n]^T            (K, P) (P, T) -> (K, T)
        dx[n] = col2im(w^T dy[n])           (T, K) (K, P) -> (T, P) -> (C, H, W)

    Parameters
    ----------
    dy : (N, K, OH, OW) array
        Gradient of L with respect to y.
    x, w, stride, padding, backend
        As given to `conv2d_forward`.
    need_dx : bool
        False leaves dx out (None): nobody needs the gradient with respect to a network's
        input, and it costs as much as the forward pass.

    Returns
    -------
    dx : (N, C, H, W) array, or None
    dw : (K, C, kh, kw) array
    db : (K,) array

    Raises
    ------
    ValueError, TypeError
        As `conv2d_forward`; also if dy does not have the shape of y.

    Examples
    --------
    With L = Σ y every dy is 1, so that db counts the places and dw sums x under each tap:

    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.array([[[[0.0, 1.0]]]])
    >>> dx, dw, db = conv2d_backward(np.ones((1, 1, 3, 2)), x, w, backend="naive")
    >>> dw, db
    (array([[[[21., 27.]]]]), array([6.]))
    """
    implementation, stride, pads, y_shape = _prepare(x, w, stride, padding, backend)
    if dy.shape != y_shape:
        raise ValueError(f"dy has shape {dy.shape}, but the convolution's output has {y_shape}")
    check_same_dtype(x=x, w=w, dy=dy)
    padded = pad_forward(x, pads)
    dx = None
    if need_dx and backend == "numba":
        dx, dw = implementation.gradients(dy, padded, w, stride)
    else:
        dw = implementation.weight_gradient(dy, padded, w.shape, stride)
        dx = implementation.input_gradient(dy, w, padded.shape, stride) if need_dx else None
    db = dy.sum(axis=3).sum(axis=(0, 2))  # one sum would lose digits in some memory layouts
    return pad_backward(dx, pads) if need_dx else None, dw, db


def _prepare(x, w, stride, padding, backend):
    """Check both functions' arguments; return the backend's module, stride, pads, y's shape."""
    implementation = implementation_of(backend, x, w, channels=1)
    stride, (ph, pw) = pair("stride", stride, 1), pair("padding", padding, 0)
    padded_size = (x.shape[2] + 2 * ph, x.shape[3] + 2 * pw)
    y_shape = (x.shape[0], w.shape[0], *output_size(padded_size, w.shape[2:], stride))
    return implementation, stride, (ph, ph, pw, pw), y_shape
