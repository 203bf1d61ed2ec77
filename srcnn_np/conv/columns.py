r"""The convolution as a matrix product.

Equation (1) of `srcnn_np.conv.naive` sums over (c, u, v) for every place (i, j).
Number the taps (c, u, v) by one index t, and the places (i, j) by one index p:

    y[n,k,p] = b[k] + Σ_t  w[k,t] · cols[n,t,p]

    cols[n,t,p] = x[n, c, sh·i+u, sw·j+v]     T = C·kh·kw taps, P = OH·OW places

This is a matrix product for each picture, w (K, T) times cols (T, P). Column p
holds all that a filter sees at place p. `im2col` writes the columns out: it copies
each value of x once for every filter tap that passes over it. The columns need T/C
times the picture's memory, but a matrix product is the fastest routine that any
computer has.

The gradients (3) and (4) are matrix products too. With dy as (K, P):

    dw    = Σ_n  dy cols^T       (K, P) (P, T) -> (K, T)
    dcols =      w^T dy          (T, K) (K, P) -> (T, P)

If `im2col` copied a value of x to several columns, dx receives the sum of the gradients of its
copies, which are in dcols. `col2im` takes these sums. It is the transpose (adjoint) of `im2col`:
<im2col(x), c> = <x, col2im(c)> for all x and c.
"""

import numpy as np

from .geometry import output_size, pad_backward, pad_forward, pair


def im2col(
    x: np.ndarray,
    kernel: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """Write out all values under a filter, for every place of the filter.

    cols[n, t, p] = x[n, c, sh·i+u, sw·j+v]. Here t numbers (c, u, v) in order, p numbers (i, j),
    and x is padded by zeros first. So a convolution becomes the matrix product w (K, T) times cols
    (T, P).

    Parameters
    ----------
    x : (N, C, H, W) array
    kernel, stride, padding : int or (rows, columns)

    Returns
    -------
    cols : (N, C * kh * kw, OH * OW) array
        A new array. Its rows are ordered by (channel, filter row, filter column), its columns by
        (output row, output column).

    Raises
    ------
    ValueError
        If the filter does not fit into the padded picture.

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> im2col(x, (2, 2))[0]
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    (sh, sw), (ph, pw) = pair("stride", stride, 1), pair("padding", padding, 0)
    x = pad_forward(x, (ph, ph, pw, pw))
    N, C, H, W = x.shape
    kh, kw = pair("kernel", kernel, 1)
    OH, OW = output_size((H, W), (kh, kw), (sh, sw))
    cols = np.empty((N, C, kh, kw, OH, OW), x.dtype)
    for u in range(kh):
        for v in range(kw):
            cols[:, :, u, v] = x[:, :, u : u + sh * OH : sh, v : v + sw * OW : sw]
    return cols.reshape(N, C * kh * kw, OH * OW)


def col2im(
    cols: np.ndarray,
    x_shape: tuple[int, int, int, int],
    kernel: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """Add every column back to where `im2col` took it from: the adjoint of `im2col`.

    x[n, c, p, r] = Σ cols[n, (c,u,v), (i,j)] over all u, v, i, j with p = sh·i+u and
    r = sw·j+v. `im2col` copies values, and the gradient of a copied value is the sum of
    its copies' gradients. So <im2col(x), cols> = <x, col2im(cols)> for all x and cols.

    Parameters
    ----------
    cols : (N, C * kh * kw, OH * OW) array
    x_shape : (N, C, H, W)
        Shape of the picture that `im2col` was given.
    kernel, stride, padding : int or (rows, columns)
        As given to `im2col`.

    Returns
    -------
    x : (N, C, H, W) array

    Raises
    ------
    ValueError
        If `cols` is not what `im2col` makes of such a picture.

    Examples
    --------
    The middle of a 3 x 3 picture lies under all four places of a 2 x 2 filter:

    >>> col2im(np.ones((1, 4, 4)), (1, 1, 3, 3), (2, 2))[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    (sh, sw), (ph, pw) = pair("stride", stride, 1), pair("padding", padding, 0)
    N, C, H, W = x_shape
    kh, kw = pair("kernel", kernel, 1)
    OH, OW = output_size((H + 2 * ph, W + 2 * pw), (kh, kw), (sh, sw))
    if cols.shape != (N, C * kh * kw, OH * OW):
        raise ValueError(
            f"cols has shape {cols.shape}, but a picture of shape {tuple(x_shape)} under a "
            f"{kh} x {kw} filter gives {(N, C * kh * kw, OH * OW)}"
        )
    cols = cols.reshape(N, C, kh, kw, OH, OW)
    x = np.zeros((N, C, H + 2 * ph, W + 2 * pw), cols.dtype)
    for u in range(kh):
        for v in range(kw):
            x[:, :, u : u + sh * OH : sh, v : v + sw * OW : sw] += cols[:, :, u, v]
    return pad_backward(x, (ph, ph, pw, pw))


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: tuple[int, int]) -> np.ndarray:
    """Compute y = w cols + b picture by picture: only one picture's columns exist at a time."""
    N, _, H, W = x.shape
    K, _, kh, kw = w.shape
    OH, OW = output_size((H, W), (kh, kw), stride)
    y = np.empty((N, K, OH * OW), x.dtype)
    for n in range(N):
        cols = im2col(x[n : n + 1], (kh, kw), stride=stride)[0]  # (T, P)
        y[n] = w.reshape(K, -1) @ cols + b[:, None]  # (K, T) (T, P) + (K, 1)
    return y.reshape(N, K, OH, OW)


def weight_gradient(
    dy: np.ndarray, x: np.ndarray, w_shape: tuple[int, int, int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Compute dw = Σ_n dy cols^T."""
    K, _, kh, kw = w_shape
    dw = np.zeros((K, int(np.prod(w_shape[1:]))), dy.dtype)
    for n in range(len(x)):
        cols = im2col(x[n : n + 1], (kh, kw), stride=stride)[0]  # (T, P)
        dw += dy[n].reshape(K, -1) @ cols.T  # (K, P) (P, T)
    return dw.reshape(w_shape)


def input_gradient(
    dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, int, int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Compute dx = col2im(w^T dy)."""
    N = x_shape[0]
    K, _, kh, kw = w.shape
    dx = np.empty(x_shape, dy.dtype)
    for n in range(N):
        dcols = w.reshape(K, -1).T @ dy[n].reshape(K, -1)  # (T, K) (K, P)
        dx[n] = col2im(dcols[None], (1, *x_shape[1:]), (kh, kw), stride=stride)[0]
    return dx
