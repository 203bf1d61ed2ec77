"""The exercises' functions as plain loops, as one begins. Write your own before you read on."""

import numpy as np


def conv_forward(x, w, b):
    N, C, H, W = x.shape
    K, C, kh, kw = w.shape
    OH, OW = H - kh + 1, W - kw + 1
    y = np.zeros((N, K, OH, OW))
    for n in range(N):
        for k in range(K):
            for i in range(OH):
                for j in range(OW):
                    y[n, k, i, j] = b[k]
                    for c in range(C):
                        for u in range(kh):
                            for v in range(kw):
                                y[n, k, i, j] += w[k, c, u, v] * x[n, c, i + u, j + v]
    return y


def conv_db(dy):
    N, K, OH, OW = dy.shape
    db = np.zeros(K)
    for n in range(N):
        for k in range(K):
            for i in range(OH):
                for j in range(OW):
                    db[k] += dy[n, k, i, j]
    return db


def conv_dw(dy, x, kh, kw):
    N, C, H, W = x.shape
    N, K, OH, OW = dy.shape
    dw = np.zeros((K, C, kh, kw))
    for n in range(N):
        for k in range(K):
            for i in range(OH):
                for j in range(OW):
                    for c in range(C):
                        for u in range(kh):
                            for v in range(kw):
                                dw[k, c, u, v] += dy[n, k, i, j] * x[n, c, i + u, j + v]
    return dw


def conv_dx(dy, w, x_shape):
    N, K, OH, OW = dy.shape
    K, C, kh, kw = w.shape
    dx = np.zeros(x_shape)
    for n in range(N):
        for k in range(K):
            for i in range(OH):
                for j in range(OW):
                    for c in range(C):
                        for u in range(kh):
                            for v in range(kw):
                                dx[n, c, i + u, j + v] += dy[n, k, i, j] * w[k, c, u, v]
    return dx


def relu_backward(dy, x):
    dx = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        if x[index] > 0:
            dx[index] = dy[index]
    return dx


def mse(y, target):
    L, dy = 0.0, np.zeros(y.shape)
    for index in np.ndindex(y.shape):
        L += (y[index] - target[index]) ** 2 / y.size
        dy[index] = 2 * (y[index] - target[index]) / y.size
    return L, dy


def psnr(a, b, peak):
    total = 0.0
    for one, other in zip(a.ravel(), b.ravel(), strict=True):
        total += (float(one) - float(other)) ** 2
    return np.inf if total == 0 else 10 * np.log10(peak**2 * a.size / total)


def bicubic_kernel(t):
    k = np.zeros(t.shape)
    for index, d in np.ndenumerate(np.abs(t)):
        if d <= 1:
            k[index] = 3 / 2 * d**3 - 5 / 2 * d**2 + 1
        elif d <= 2:
            k[index] = -1 / 2 * d**3 + 5 / 2 * d**2 - 4 * d + 2
    return k


def im2col(x, kh, kw):
    N, C, H, W = x.shape
    OH, OW = H - kh + 1, W - kw + 1
    cols = np.zeros((N, C * kh * kw, OH * OW))
    for n in range(N):
        for c in range(C):
            for u in range(kh):
                for v in range(kw):
                    for i in range(OH):
                        for j in range(OW):
                            t, p = (c * kh + u) * kw + v, i * OW + j
                            cols[n, t, p] = x[n, c, i + u, j + v]
    return cols


def col2im(cols, x_shape, kh, kw):
    N, C, H, W = x_shape
    OH, OW = H - kh + 1, W - kw + 1
    x = np.zeros(x_shape)
    for n in range(N):
        for c in range(C):
            for u in range(kh):
                for v in range(kw):
                    for i in range(OH):
                        for j in range(OW):
                            t, p = (c * kh + u) * kw + v, i * OW + j
                            x[n, c, i + u, j + v] += cols[n, t, p]
    return x


def conv_transpose(x, w, b, s):
    N, C, H, W = x.shape
    _, K, kh, kw = w.shape
    y = np.zeros((N, K, s * (H - 1) + kh, s * (W - 1) + kw))
    for n in range(N):
        for k in range(K):
            y[n, k] = b[k]
            for c in range(C):
                for i in range(H):
                    for j in range(W):
                        for u in range(kh):
                            for v in range(kw):
                                y[n, k, s * i + u, s * j + v] += x[n, c, i, j] * w[c, k, u, v]
    return y


def transpose_dw(dy, x, kh, kw, s):
    N, C, H, W = x.shape
    K = dy.shape[1]
    dw = np.zeros((C, K, kh, kw))
    for n in range(N):
        for c in range(C):
            for k in range(K):
                for i in range(H):
                    for j in range(W):
                        for u in range(kh):
                            for v in range(kw):
                                dw[c, k, u, v] += x[n, c, i, j] * dy[n, k, s * i + u, s * j + v]
    return dw


def prelu_backward(dy, x, a):
    dx, da = np.zeros(x.shape), np.zeros(a.shape)
    N, C, H, W = x.shape
    for n in range(N):
        for c in range(C):
            for i in range(H):
                for j in range(W):
                    if x[n, c, i, j] > 0:
                        dx[n, c, i, j] = dy[n, c, i, j]
                    else:
                        dx[n, c, i, j] = a[c] * dy[n, c, i, j]
                        da[c] += dy[n, c, i, j] * x[n, c, i, j]
    return dx, da
