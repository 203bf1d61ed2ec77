"""placeholder"""

import numba
import numpy as np

jit = numba.njit(parallel=True, cache=True)


@jit
def forward(x, w, b, stride):
    N, C, H, W = x.shape
    K, _, kh, kw = w.shape
    sh, sw = stride
    OH = (H - kh) // sh + 1
    OW = (W - kw) // sw + 1
    y = np.empty((N, K, OH, OW), x.dtype)
    for nk in numba.prange(N * K):
        n = nk // K
        k = nk % K
        for i in range(OH):
            row = y[n, k, i]
            row[:] = b[k]
            for c in range(C):
                for u in range(kh):
                    src = x[n, c, sh * i + u]
                    for v in range(kw):
                        a = w[k, c, u, v]
                        for j in range(OW):
                            row[j] += a * src[sw * j + v]
    return y


@jit
def weight_gradient(dy, x, w_shape, stride):
    N, C, H, W = x.shape
    K, _, kh, kw = w_shape
    sh, sw = stride
    OH, OW = dy.shape[2:]
    dw = np.zeros(w_shape, x.dtype)
    for kc in numba.prange(K * C):
        k = kc // C
        c = kc % C
        for u in range(kh):
            for v in range(kw):
                total = dw[k, c, u, v]
                for n in range(N):
                    for i in range(OH):
                        for j in range(OW):
                            total += dy[n, k, i, j] * x[n, c, sh * i + u, sw * j + v]
                dw[k, c, u, v] = total
    return dw


@jit
def input_gradient(dy, w, x_shape, stride):
    N, C, H, W = x_shape
    K, _, kh, kw = w.shape
    sh, sw = stride
    OH, OW = dy.shape[2:]
    dx = np.zeros(x_shape, dy.dtype)
    for nc in numba.prange(N * C):
        n = nc // C
        c = nc % C
        for k in range(K):
            for i in range(OH):
                for u in range(kh):
                    row = dx[n, c, sh * i + u]
                    for v in range(kw):
                        a = w[k, c, u, v]
                        for j in range(OW):
                            row[sw * j + v] += a * dy[n, k, i, j]
    return dx
