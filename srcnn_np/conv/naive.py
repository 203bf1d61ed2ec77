r"""The definition of a convolution and its gradients, as plain loops.

Read this first. Everything else under `srcnn_np.conv` computes the same three
sums faster, and is tested against this file.

Shapes, here and everywhere::

    x  (N, C, H, W)      N pictures of C channels, H rows, W columns
    w  (K, C, kh, kw)    K filters, each as deep as the picture
    b  (K,)              one bias a filter
    y  (N, K, OH, OW)    one output channel a filter
    OH = (H - kh) // sh + 1,   OW = (W - kw) // sw + 1

The derivation. Filter k slides over the picture in steps of (sh, sw) and, at each
place (i, j), takes the inner product with what lies under it:

    y[n,k,i,j] = b[k] + Σ_{c,u,v} w[k,c,u,v] · x[n, c, sh·i+u, sw·j+v]           (1)

(Deep learning calls this a convolution. It is a cross-correlation: a true
convolution has the filter turned by 180 degrees, `w[:, :, ::-1, ::-1]`.)

Let L be any scalar computed from y, and let dy[n,k,i,j] = ∂L/∂y[n,k,i,j] be known.
By the chain rule, the gradient of any quantity q that y depends on is

    ∂L/∂q = Σ_{n,k,i,j} dy[n,k,i,j] · ∂y[n,k,i,j]/∂q                             (2)

and (1) shows each partial derivative directly:

    q = b[k]         : 1                         at every (n, i, j)
    q = w[k,c,u,v]   : x[n, c, sh·i+u, sw·j+v]   at every (n, i, j)
    q = x[n,c,p,r]   : w[k,c,u,v]                where p = sh·i+u and r = sw·j+v

Put these into (2):

    db[k]        = Σ_{n,i,j}          dy[n,k,i,j]
    dw[k,c,u,v]  = Σ_{n,i,j}          dy[n,k,i,j] · x[n, c, sh·i+u, sw·j+v]       (3)
    dx[n,c,p,r]  = Σ_{k,i,j,u,v: p = sh·i+u, r = sw·j+v}
                                      dy[n,k,i,j] · w[k,c,u,v]                   (4)

Each product dy·w in (4) belongs to exactly one place of dx. So instead of looking
for the terms of one place, we go through all terms and add each where it belongs.
Then all three functions have the same seven loops: (1), (3) and (4) differ only in
which of y, w, x stands on the left.
"""

from itertools import product

import numpy as np


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: tuple[int, int]) -> np.ndarray:
    """Compute y by (1) from x (N, C, H, W), w (K, C, kh, kw), b (K,)."""
    N, C, H, W = x.shape
    K, _, kh, kw = w.shape
    sh, sw = stride
    y = np.empty((N, K, (H - kh) // sh + 1, (W - kw) // sw + 1), x.dtype)
    for n, k, i, j in product(*map(range, y.shape)):
        y[n, k, i, j] = b[k]
        for c, u, v in product(range(C), range(kh), range(kw)):
            y[n, k, i, j] += w[k, c, u, v] * x[n, c, sh * i + u, sw * j + v]
    return y


def weight_gradient(
    dy: np.ndarray, x: np.ndarray, w_shape: tuple[int, int, int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Compute dw (K, C, kh, kw) by (3) from dy (N, K, OH, OW) and x (N, C, H, W)."""
    _, C, kh, kw = w_shape
    sh, sw = stride
    dw = np.zeros(w_shape, dy.dtype)
    for n, k, i, j in product(*map(range, dy.shape)):
        for c, u, v in product(range(C), range(kh), range(kw)):
            dw[k, c, u, v] += dy[n, k, i, j] * x[n, c, sh * i + u, sw * j + v]
    return dw


def input_gradient(
    dy: np.ndarray, w: np.ndarray, x_shape: tuple[int, int, int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Compute dx (N, C, H, W) by (4) from dy (N, K, OH, OW) and w (K, C, kh, kw)."""
    _, C, kh, kw = w.shape
    sh, sw = stride
    dx = np.zeros(x_shape, dy.dtype)
    for n, k, i, j in product(*map(range, dy.shape)):
        for c, u, v in product(range(C), range(kh), range(kw)):
            dx[n, c, sh * i + u, sw * j + v] += dy[n, k, i, j] * w[k, c, u, v]
    return dx
