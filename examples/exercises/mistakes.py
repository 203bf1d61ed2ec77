"""Mistakes that are often made: what to say of each, and what it would answer.

The answer is a function of the exercise's arguments. Where the mistake cannot be made, as a
reshape that does not fit, it raises.
"""

from collections.abc import Callable

import numpy as np

from srcnn_np.conv import im2col

from .checks import (
    right_col2im,
    right_db,
    right_dw,
    right_dx,
    right_forward,
    right_im2col,
    right_psnr,
)


def _turned(w):
    return w[:, :, ::-1, ::-1]


def _padded(x, rows, columns):
    return np.pad(x, ((0, 0), (0, 0), (rows, rows), (columns, columns)))


_PADDED = "The picture is padded with {}. Here it is not padded: OH = H - kh + 1, OW = W - kw + 1."
_SHORT = "The last row and column of places are missing: there are H - kh + 1 and W - kw + 1."
_STEPS = "The filter goes on by its own size. The stride, the step to the next place, is 1."
_SAME = "Every tap takes the pixels x[n, c, i, j]. Tap (u, v) takes x[n, c, i+u, j+v]."

# What is done to arrays whose axes 2 and 3 are a filter's rows and columns.
_MIRRORED = {
    "The filter is mirrored, left to right: v counts its columns from the left.": (
        lambda w: w[:, :, :, ::-1]
    ),
    "The filter is mirrored, top to bottom: u counts its rows from the top.": (
        lambda w: w[:, :, ::-1]
    ),
}


def _zeroed(where: tuple) -> Callable:
    """A change of dy: 0 where it is left out."""

    def change(dy):
        dy = dy.copy()
        dy[where] = 0
        return dy

    return change


_DY_CHANGED = {
    "The last row of places is left out: sum over all of dy.": _zeroed(np.s_[:, :, -1]),
    "The last column of places is left out: sum over all of dy.": _zeroed(np.s_[:, :, :, -1]),
    "The last place is left out: sum over all of dy.": _zeroed(np.s_[:, :, -1, -1]),
    "A reshape of dy mixes pictures and filters: it does not exchange axes, .transpose does.": (
        lambda dy: dy.reshape(dy.shape[1], len(dy), *dy.shape[2:]).swapaxes(0, 1)
    ),
}


def _of_changed_dy(right: Callable) -> list:
    """The mistakes of a gradient that are those of dy."""
    return [
        (words, lambda dy, *others, change=change: right(change(dy), *others))
        for words, change in _DY_CHANGED.items()
    ]


def _with_axes(change: Callable) -> Callable:
    """`im2col` with its result's axes changed before they are joined."""

    def answer(x, kh, kw):
        cols = right_im2col(x, kh, kw)
        return change(_split(cols, x.shape, kh, kw)).reshape(cols.shape)

    return answer


def _split(cols, x_shape, kh, kw):
    """Columns with the axes (N, C, kh, kw, OH, OW)."""
    N, C, H, W = x_shape
    return cols.reshape(N, C, kh, kw, H - kh + 1, W - kw + 1)


_IM2COL = [
    (
        "Transposed: each row is a tap and each column a place, (N, C·kh·kw, OH·OW).",
        lambda x, kh, kw: right_im2col(x, kh, kw).transpose(0, 2, 1),
    ),
    (
        "The taps are in the order (u, v, c). The channel comes first: (c, u, v).",
        _with_axes(lambda cols: cols.transpose(0, 2, 3, 1, 4, 5)),
    ),
    (
        "The taps are in the order (c, v, u). The filter's row comes before its column: (c, u, v).",
        _with_axes(lambda cols: cols.transpose(0, 1, 3, 2, 4, 5)),
    ),
    (
        "The places are numbered down the columns. Number them along the rows: p = i·OW + j.",
        _with_axes(lambda cols: cols.transpose(0, 1, 2, 3, 5, 4)),
    ),
    (
        "The shape is right, but reshape was given the axes (N, C, OH, OW, kh, kw). Transpose them "
        "to (N, C, kh, kw, OH, OW) first.",
        _with_axes(lambda cols: cols.transpose(0, 1, 4, 5, 2, 3)),
    ),
    (
        "The shape is right, but reshape was given the axes (N, OH, OW, C, kh, kw). Transpose them "
        "to (N, C, kh, kw, OH, OW) first.",
        _with_axes(lambda cols: cols.transpose(0, 4, 5, 1, 2, 3)),
    ),
    (
        "The filter is flipped: tap (u, v) is pixel (i+u, j+v), not one from the patch turned by "
        "180 degrees.",
        _with_axes(lambda cols: cols[:, :, ::-1, ::-1]),
    ),
    *((words, _with_axes(mirrored)) for words, mirrored in _MIRRORED.items()),
    (_SAME, _with_axes(lambda cols: np.broadcast_to(cols[:, :, :1, :1], cols.shape))),
    *(
        ("Only the first channel is taken. Take all C.", answer)
        for answer in (
            lambda x, kh, kw: right_im2col(x[:, :1], kh, kw),
            _with_axes(lambda cols: np.broadcast_to(cols[:, :1], cols.shape)),
            _with_axes(lambda cols: np.concatenate([cols[:, :1], 0 * cols[:, 1:]], axis=1)),
        )
    ),
    (
        _PADDED.format("a border of one zero"),
        lambda x, kh, kw: right_im2col(_padded(x, 1, 1), kh, kw),
    ),
    (
        _PADDED.format("zeros to keep its size"),
        lambda x, kh, kw: right_im2col(_padded(x, kh // 2, kw // 2), kh, kw),
    ),
    (_SHORT, lambda x, kh, kw: right_im2col(x[:, :, :-1, :-1], kh, kw)),
    (_STEPS, lambda x, kh, kw: im2col(x, (kh, kw), stride=(kh, kw))),
    (
        "The pictures' columns are side by side in one matrix. Keep pictures apart: "
        "(N, C·kh·kw, OH·OW).",
        lambda x, kh, kw: np.concatenate(list(right_im2col(x, kh, kw)), axis=1),
    ),
]


def _from_columns(add: Callable, change: Callable = lambda cols: cols) -> Callable:
    """`col2im` with another way to add, after a change of its columns' order."""

    def answer(cols, x_shape, kh, kw):
        cols = change(_split(cols, x_shape, kh, kw))
        x = np.zeros(x_shape)
        OH, OW = cols.shape[4:]
        for u in range(kh):
            for v in range(kw):
                add(x[:, :, u : u + OH, v : v + OW], cols[:, :, u, v])
        return x

    return answer


def _by_places(cols, x_shape, kh, kw):
    """`col2im` that overwrites, a place at a time."""
    N, C, H, W = x_shape
    x = np.zeros(x_shape)
    for p, (i, j) in enumerate(np.ndindex(H - kh + 1, W - kw + 1)):
        x[:, :, i : i + kh, j : j + kw] = cols[:, :, p].reshape(N, C, kh, kw)
    return x


def _col2im_mean(cols, x_shape, kh, kw):
    return right_col2im(cols, x_shape, kh, kw) / right_col2im(np.ones_like(cols), x_shape, kh, kw)


def _misread(order: tuple[int, ...]) -> Callable:
    """The columns taken to have these axes, of (N, C, kh, kw, OH, OW), in this order."""

    def change(cols):
        wrong = cols.reshape([cols.shape[axis] for axis in order])
        return wrong.transpose(np.argsort(order))

    return _from_columns(np.ndarray.__iadd__, change)


_by_taps = _from_columns(lambda part, cols: np.copyto(part, cols))

_COL2IM = [
    *(
        ("Where rectangles overlap, the last one wins: write += where you have =.", answer)
        for answer in (_by_taps, _by_places)
    ),
    ("It is the mean of the copies. Take their sum.", _col2im_mean),
    (
        "The taps are read in the order (u, v, c). They are numbered (c, u, v).",
        _misread((0, 2, 3, 1, 4, 5)),
    ),
    (
        "The taps are read in the order (c, v, u). They are numbered (c, u, v).",
        _misread((0, 1, 3, 2, 4, 5)),
    ),
    (
        "The places are read down the columns. They are numbered along the rows: p = i·OW + j.",
        _misread((0, 1, 2, 3, 5, 4)),
    ),
    *(
        ("Places are read before taps. Reshape cols to (N, C, kh, kw, OH, OW).", _misread(order))
        for order in ((0, 1, 4, 5, 2, 3), (0, 4, 5, 1, 2, 3))
    ),
    (
        "The filter is flipped: tap (u, v) goes to pixel (i+u, j+v).",
        _from_columns(np.ndarray.__iadd__, lambda cols: cols[:, :, ::-1, ::-1]),
    ),
    *(
        (words, _from_columns(np.ndarray.__iadd__, mirrored))
        for words, mirrored in _MIRRORED.items()
    ),
]


def _forward_by(matrix: Callable) -> Callable:
    """The convolution with another matrix (K, T) made of w."""

    def answer(x, w, b):
        y = matrix(w) @ right_im2col(x, *w.shape[2:]) + b[:, None]
        return y.reshape(right_forward(x, w, b).shape)

    return answer


def _last_row_and_column(w):
    last = np.zeros_like(w)
    last[:, :, -1, -1] = w[:, :, -1, -1]
    return last


def _last_tap(w):
    matrix = np.zeros((len(w), w[0].size))
    matrix[:, -1] = w[:, -1, -1, -1]
    return matrix


_FORWARD = [
    (
        "The filter is flipped, as in the mathematicians' convolution: w[k,c,u,v] goes with "
        "x[n, c, i+u, j+v].",
        lambda x, w, b: right_forward(x, _turned(w), b),
    ),
    *(
        (words, lambda x, w, b, mirrored=mirrored: right_forward(x, mirrored(w), b))
        for words, mirrored in _MIRRORED.items()
    ),
    (
        "A ReLU is applied to the result. It is no part of the convolution.",
        lambda x, w, b: np.maximum(0, right_forward(x, w, b)),
    ),
    ("The bias is missing.", lambda x, w, b: right_forward(x, w, 0 * b)),
    ("The bias is subtracted. Add it.", lambda x, w, b: right_forward(x, w, -b)),
    (
        "The bias is added once for each channel. Add it once.",
        lambda x, w, b: right_forward(x, w, w.shape[1] * b),
    ),
    (
        "The bias is added once for each tap. Add it once.",
        lambda x, w, b: right_forward(x, w, w[0].size * b),
    ),
    (
        "The bias is added once for each row and column (u, v) of the filter. Add it once.",
        lambda x, w, b: right_forward(x, w, w[0, 0].size * b),
    ),
    (
        "It is a mean over the taps. Take the sum.",
        lambda x, w, b: right_forward(x, w / w[0].size, b),
    ),
    (
        "The filter is transposed: w[k,c,u,v] has its row u before its column v.",
        _forward_by(lambda w: w.transpose(0, 1, 3, 2).reshape(len(w), -1)),
    ),
    (
        "The filters are reshaped to (T, K) and transposed, which mixes them. Reshape them to "
        "(K, T): w.reshape(K, -1).",
        _forward_by(lambda w: w.reshape(-1, len(w)).T),
    ),
    (
        "The taps of w are in the order (u, v, c), those of the columns (c, u, v).",
        _forward_by(lambda w: w.transpose(0, 2, 3, 1).reshape(len(w), -1)),
    ),
    (
        "Only the last tap counts: the sum is overwritten. Write += where you have =.",
        _forward_by(_last_tap),
    ),
    (
        "Only the last (u, v) counts: the sum is overwritten. Write += where you have =.",
        lambda x, w, b: right_forward(x, _last_row_and_column(w), b),
    ),
    (
        "Every filter is filter 0: use all of w.",
        lambda x, w, b: right_forward(x, np.repeat(w[:1], len(w), axis=0), b),
    ),
    ("Only the first channel is summed.", lambda x, w, b: right_forward(x[:, :1], w[:, :1], b)),
    (
        "Only the last channel counts: the sum is overwritten. Write += where you have =.",
        lambda x, w, b: right_forward(x[:, -1:], w[:, -1:], b),
    ),
    (
        _PADDED.format("a border of one zero"),
        lambda x, w, b: right_forward(_padded(x, 1, 1), w, b),
    ),
    (
        _PADDED.format("zeros to keep its size"),
        lambda x, w, b: right_forward(_padded(x, w.shape[2] // 2, w.shape[3] // 2), w, b),
    ),
    (
        _PADDED.format("zeros wherever the filter touches it"),
        lambda x, w, b: right_forward(_padded(x, w.shape[2] - 1, w.shape[3] - 1), w, b),
    ),
    (_SHORT, lambda x, w, b: right_forward(x[:, :, :-1, :-1], w, b)),
    (_STEPS, lambda x, w, b: right_forward(x, w, b)[:, :, :: w.shape[2], :: w.shape[3]]),
]

_DB = [
    (
        "It is summed to one number. Each filter has its own bias: leave axis 1.",
        lambda dy: dy.sum(),
    ),
    (
        "It is one number for each picture. Sum over the pictures, and leave the filters, axis 1.",
        lambda dy: dy.sum(axis=(1, 2, 3)),
    ),
    (
        "It is not yet summed over the pictures: axis 0 is missing.",
        lambda dy: dy.sum(axis=(2, 3)),
    ),
    (
        "It is not yet summed over the places: axes 2 and 3 are missing.",
        lambda dy: dy.sum(axis=0),
    ),
    (
        "It counts the values of y, so it is the gradient of their sum, not of L. Sum dy.",
        lambda dy: np.full(dy.shape[1], float(dy.size / dy.shape[1])),
    ),
    (
        "Only the first picture counts. Sum over all, axis 0.",
        lambda dy: dy[0].sum(axis=(1, 2)),
    ),
    (
        "Only the last picture counts: the sum is overwritten. Write += where you have =.",
        lambda dy: dy[-1].sum(axis=(1, 2)),
    ),
    *_of_changed_dy(right_db),
]


def _dw_reordered(change: Callable) -> Callable:
    """The right values, changed in order, in the right shape."""

    def answer(dy, x, kh, kw):
        dw = right_dw(dy, x, kh, kw)
        return change(dw).reshape(dw.shape)

    return answer


_DW = [
    (
        "The filter is flipped: dw[k,c,u,v] takes x[n, c, i+u, j+v].",
        lambda dy, x, kh, kw: _turned(right_dw(dy, x, kh, kw)),
    ),
    (
        "Only the last picture counts: the sum is overwritten. Write += where you have =.",
        lambda dy, x, kh, kw: right_dw(dy[-1:], x[-1:], kh, kw),
    ),
    (
        "Only the first picture counts. Sum over all of them.",
        lambda dy, x, kh, kw: right_dw(dy[:1], x[:1], kh, kw),
    ),
    (
        "It does not depend on dy: it is the gradient of Σ y, not of L. Multiply by dy.",
        lambda dy, x, kh, kw: right_dw(np.ones_like(dy), x, kh, kw),
    ),
    (
        "It does not depend on x: it is the gradient with respect to the biases. Multiply by x.",
        lambda dy, x, kh, kw: right_dw(dy, np.ones_like(x), kh, kw),
    ),
    (
        "The matrix product is (T, K), and reshape mixes it. Transpose it to (K, T) first.",
        _dw_reordered(lambda dw: dw.reshape(len(dw), -1).T),
    ),
    (
        "The taps are in the order (u, v, c). The channel comes first: (c, u, v).",
        _dw_reordered(lambda dw: dw.transpose(0, 2, 3, 1)),
    ),
    (
        "The filter is transposed: dw[k,c,u,v] has its row u before its column v.",
        _dw_reordered(lambda dw: dw.transpose(0, 1, 3, 2)),
    ),
    (
        "The last row and column of places are missing: sum over all of dy.",
        lambda dy, x, kh, kw: right_dw(dy[:, :, :-1, :-1], x[:, :, :-1, :-1], kh, kw),
    ),
    *_of_changed_dy(right_dw),
    (
        _SAME,
        lambda dy, x, kh, kw: (
            right_dw(dy, x[:, :, : dy.shape[2], : dy.shape[3]], 1, 1).repeat(kh, 2).repeat(kw, 3)
        ),
    ),
]


def _dx_by(matrix: Callable) -> Callable:
    """The gradient with another matrix (T, K) made of w."""

    def answer(dy, w, x_shape):
        dcols = matrix(w) @ dy.reshape(*dy.shape[:2], -1)
        return right_col2im(dcols, x_shape, *w.shape[2:])

    return answer


def _dcols(dy, w, x_shape):
    return w.reshape(len(w), -1).T @ dy.reshape(*dy.shape[:2], -1)


def _dx_correlated(dy, w, x_shape):
    return right_forward(dy, w.transpose(1, 0, 2, 3), np.zeros(w.shape[1]))


_DX = [
    (
        "The filter is flipped. Slid over dy, padded, the filter must be turned by 180 degrees; "
        "with col2im it must not.",
        lambda dy, w, x_shape: right_dx(dy, _turned(w), x_shape),
    ),
    *(
        (
            "Where places overlap, the last one wins: write += where you have =.",
            lambda dy, w, x_shape, to_x=to_x: to_x(_dcols(dy, w, x_shape), x_shape, *w.shape[2:]),
        )
        for to_x in (_by_taps, _by_places)
    ),
    (
        "Of the places that overlap, and of the filters, the last one wins: write += where you "
        "have =.",
        lambda dy, w, x_shape: _by_places(
            _dcols(dy[:, -1:], w[-1:], x_shape), x_shape, *w.shape[2:]
        ),
    ),
    (
        "This is the gradient with respect to the columns. `col2im` is still to come.",
        _dcols,
    ),
    (
        "dy is correlated with w, and shrinks once more. Going back, the picture grows again: "
        "from OH x OW to H x W.",
        _dx_correlated,
    ),
    (
        "It does not depend on dy: it is the gradient of Σ y, not of L. Multiply by dy.",
        lambda dy, w, x_shape: right_dx(np.ones_like(dy), w, x_shape),
    ),
    (
        "It does not depend on w. Multiply by w.",
        lambda dy, w, x_shape: right_dx(dy, np.ones_like(w), x_shape),
    ),
    (
        "Only the first filter counts. Sum over all of them, k.",
        lambda dy, w, x_shape: right_dx(dy[:, :1], w[:1], x_shape),
    ),
    (
        "Only the last filter counts: the sum is overwritten. Write += where you have =.",
        lambda dy, w, x_shape: right_dx(dy[:, -1:], w[-1:], x_shape),
    ),
    *(
        (
            "The filters are reshaped to (T, K), which mixes them. Reshape them to (K, T), then "
            "transpose.",
            _dx_by(matrix),
        )
        for matrix in (
            lambda w: w.reshape(-1, len(w)),
            lambda w: w.swapaxes(0, 1).reshape(-1, len(w)),
        )
    ),
    *(
        (words, lambda dy, w, x_shape, mirrored=mirrored: right_dx(dy, mirrored(w), x_shape))
        for words, mirrored in _MIRRORED.items()
    ),
    *_of_changed_dy(right_dx),
    (
        "The filter is transposed: w[k,c,u,v] has its row u before its column v.",
        _dx_by(lambda w: w.transpose(0, 1, 3, 2).reshape(len(w), -1).T),
    ),
]

_RELU = [
    (
        "This is the ReLU itself, forward. Its gradient is dy where x > 0.",
        lambda dy, x: x * (x > 0),
    ),
    (
        "The sign of dy decides what passes. The sign of x must.",
        lambda dy, x: dy * (dy > 0),
    ),
    ("This is ∂y/∂x alone, 1 or 0. Multiply it by dy.", lambda dy, x: 1.0 * (x > 0)),
    (
        "dy passes at x = 0 as well. There 0 is taken: x > 0, not x >= 0.",
        lambda dy, x: dy * (x >= 0),
    ),
    ("The wrong half passes: keep dy where x > 0.", lambda dy, x: dy * (x <= 0)),
    ("The wrong half passes: keep dy where x > 0.", lambda dy, x: dy * (x < 0)),
    (
        "dy is multiplied by the ReLU of x. Multiply it by ∂y/∂x, 1 or 0.",
        lambda dy, x: dy * x * (x > 0),
    ),
    ("dy is as it was. It becomes 0 where x <= 0.", lambda dy, x: dy),
    (
        "dy passes only where it is positive itself. Its sign does not matter.",
        lambda dy, x: dy * (dy > 0) * (x > 0),
    ),
]

_LOSS = [
    ("It is not yet summed: L is one number.", lambda y, target: (y - target) ** 2),
    (
        "It is the mean of each picture. L is one number: the mean of all values.",
        lambda y, target: np.mean((y - target) ** 2, axis=(1, 2, 3)),
    ),
    (
        "It is the mean of each channel. L is one number: the mean of all values.",
        lambda y, target: np.mean((y - target) ** 2, axis=(0, 2, 3)),
    ),
    (
        "It is the root of the mean squared error. Take no root.",
        lambda y, target: np.sqrt(np.mean((y - target) ** 2)),
    ),
    (
        "It is the mean of |y - target|. Square the differences.",
        lambda y, target: np.mean(np.abs(y - target)),
    ),
    (
        "It is the mean of y - target. Square the differences first.",
        lambda y, target: np.mean(y - target),
    ),
    (
        "It is the square of the mean. Take the mean of the squares.",
        lambda y, target: np.mean(y - target) ** 2,
    ),
]

_LOSS_GRADIENT = [
    (
        "It has the wrong sign, so it is the gradient with respect to target. Here it is the one "
        "with respect to y: y - target.",
        lambda y, target: 2 * (target - y) / y.size,
    ),
    (
        "This is the squared error, not its derivative.",
        lambda y, target: (y - target) ** 2,
    ),
    (
        "This is the squared error divided by M, not its derivative.",
        lambda y, target: (y - target) ** 2 / y.size,
    ),
    (
        "It has lost its sign: 2 (y - target), not 2 |y - target|.",
        lambda y, target: 2 * np.abs(y - target) / y.size,
    ),
    (
        "This is one number. Each value of y has its own derivative.",
        lambda y, target: np.mean(2 * (y - target)),
    ),
]

_VELOCITY = [
    (
        "The step goes up the slope. Subtract rate · g.",
        lambda v, p, g, rate, momentum: momentum * v + rate * g,
    ),
    (
        "The rate is missing, and the sign. (This is another convention, in which p_new = "
        "p - rate · v_new.)",
        lambda v, p, g, rate, momentum: momentum * v + g,
    ),
    ("The rate is missing: rate · g.", lambda v, p, g, rate, momentum: momentum * v - g),
    (
        "The momentum is missing: momentum · v.",
        lambda v, p, g, rate, momentum: v - rate * g,
    ),
    (
        "The old velocity is missing: add momentum · v.",
        lambda v, p, g, rate, momentum: -rate * g,
    ),
    (
        "The momentum is applied to the gradient too. Only the old velocity gets it.",
        lambda v, p, g, rate, momentum: momentum * (v - rate * g),
    ),
    (
        "The momentum is applied to the gradient, not to the old velocity.",
        lambda v, p, g, rate, momentum: v - momentum * rate * g,
    ),
    (
        "The gradient is scaled by 1 - momentum. Here it is not.",
        lambda v, p, g, rate, momentum: momentum * v - (1 - momentum) * rate * g,
    ),
    (
        "The rate and the momentum are in each other's place.",
        lambda v, p, g, rate, momentum: rate * v - momentum * g,
    ),
    (
        "The rate is applied to the old velocity too. Only the gradient gets it.",
        lambda v, p, g, rate, momentum: rate * (momentum * v - g),
    ),
]

_PARAMETERS = [
    (
        "The old velocity is used. Add the new one.",
        lambda v, p, g, rate, momentum: p + v,
    ),
    (
        "The velocity is subtracted. It points down the slope already: add it.",
        lambda v, p, g, rate, momentum: p - (momentum * v - rate * g),
    ),
    (
        "The momentum is not used. Add the new velocity, not -rate · g.",
        lambda v, p, g, rate, momentum: p - rate * g,
    ),
    (
        "The gradient is counted twice. It is in the new velocity already.",
        lambda v, p, g, rate, momentum: p + momentum * v - 2 * rate * g,
    ),
    (
        "This is Nesterov's way, which takes the next step's momentum beforehand. The plain one is "
        "p + v_new.",
        lambda v, p, g, rate, momentum: p + momentum * (momentum * v - rate * g) - rate * g,
    ),
    (
        "This is the step alone. Add it to p.",
        lambda v, p, g, rate, momentum: momentum * v - rate * g,
    ),
    (
        "The rate is applied twice. It is in the new velocity already.",
        lambda v, p, g, rate, momentum: p + rate * (momentum * v - rate * g),
    ),
    ("The parameters have not moved.", lambda v, p, g, rate, momentum: p),
]


def _decibels(ratio):
    return 10 * np.log10(ratio)


def _mean_square(a, b):
    return np.mean((a.astype(float) - b.astype(float)) ** 2)


def _with_inf(words: str, answer: Callable) -> list:
    """A mistake, and the same with the right answer for equal pictures."""
    return [
        (words, answer),
        (words, lambda a, b, peak: np.inf if np.array_equal(a, b) else answer(a, b, peak)),
    ]


_PSNR = [
    (
        "It is computed in uint8, where 3 - 5 is 254, and 16 · 16 is 0. Convert the pictures "
        "first: a.astype(float).",
        lambda a, b, peak: _decibels(peak**2 / np.mean((a - b) ** 2)),
    ),
    (
        "The difference is converted, but in uint8 3 - 5 is 254 already. Convert the pictures: "
        "a.astype(float).",
        lambda a, b, peak: _decibels(peak**2 / np.mean((a - b).astype(float) ** 2)),
    ),
    (
        "The logarithm is the natural one. Decibels take log10.",
        lambda a, b, peak: 10 * np.log(peak**2 / _mean_square(a, b)),
    ),
    (
        "20 goes with peak / root of the mean, 10 with their squares.",
        lambda a, b, peak: 2 * right_psnr(a, b, peak),
    ),
    (
        "The peak is not squared.",
        lambda a, b, peak: _decibels(peak / _mean_square(a, b)),
    ),
    (
        "The peak is missing, or always taken as 1.",
        lambda a, b, peak: _decibels(1 / _mean_square(a, b)),
    ),
    (
        "The peak is always taken as 255.",
        lambda a, b, peak: _decibels(255**2 / _mean_square(a, b)),
    ),
    *_with_inf(
        "It has the wrong sign: the error goes below the line.",
        lambda a, b, peak: -right_psnr(a, b, peak),
    ),
    (
        "The squares are summed. Take their mean.",
        lambda a, b, peak: _decibels(peak**2 / (a.size * _mean_square(a, b))),
    ),
    (
        "The mean is of |a - b|. Square the differences.",
        lambda a, b, peak: _decibels(peak**2 / np.mean(np.abs(a.astype(float) - b))),
    ),
    (
        "The root of the mean is taken, but the peak is squared. Take no root.",
        lambda a, b, peak: _decibels(peak**2 / np.sqrt(_mean_square(a, b))),
    ),
    *_with_inf(
        "This is the mean squared error. The logarithm of peak² / mean is still to come.",
        lambda a, b, peak: _mean_square(a, b),
    ),
]


def _cubic(t, a=-0.5, *, near=None, far=None, end=2.0):
    """Keys' family of kernels: the derivative at a distance of 1 is a."""
    near_t = (a + 2) * t**3 - (a + 3) * t**2 + 1 if near is None else near(t)
    far_t = a * (t**3 - 5 * t**2 + 8 * t - 4) if far is None else far(t)
    return np.where(t <= 1, near_t, np.where(t <= end, far_t, 0))


_KERNEL = [
    (
        "Distances below 0 count by their size: begin with |t|.",
        lambda t: _cubic(t),
    ),
    (
        "This is bicubic interpolation with a = -0.75, as some libraries have it. The factors here "
        "are those of a = -0.5.",
        lambda t: _cubic(np.abs(t), -0.75),
    ),
    (
        "This is bicubic interpolation with a = -1, as some libraries have it. The factors here "
        "are those of a = -0.5.",
        lambda t: _cubic(np.abs(t), -1.0),
    ),
    (
        "Beyond a distance of 2 it must be 0.",
        lambda t: _cubic(np.abs(t), end=np.inf),
    ),
    (
        "Beyond a distance of 1 it is 0 here, but there is another piece, from 1 to 2.",
        lambda t: _cubic(np.abs(t), end=1.0),
    ),
    (
        "The piece between 1 and 2 has the wrong sign.",
        lambda t: _cubic(np.abs(t), far=lambda t: 0.5 * t**3 - 2.5 * t**2 + 4 * t - 2),
    ),
    (
        "The first piece goes on where the second begins, at a distance of 1.",
        lambda t: _cubic(np.abs(t), far=lambda t: 1.5 * t**3 - 2.5 * t**2 + 1),
    ),
    (
        "The first piece goes on beyond a distance of 1.",
        lambda t: 1.5 * np.abs(t) ** 3 - 2.5 * t**2 + 1,
    ),
    (
        "The two pieces are in each other's place.",
        lambda t: _cubic(
            np.abs(t),
            near=lambda t: -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2,
            far=lambda t: 1.5 * t**3 - 2.5 * t**2 + 1,
        ),
    ),
    (
        "This is linear interpolation, 1 - |t|.",
        lambda t: np.maximum(0, 1 - np.abs(t)),
    ),
]

# By exercise, for each array that it returns.
MISTAKES = {
    "im2col": [_IM2COL],
    "col2im": [_COL2IM],
    "conv_forward": [_FORWARD],
    "conv_db": [_DB],
    "conv_dw": [_DW],
    "conv_dx": [_DX],
    "relu_backward": [_RELU],
    "mse": [_LOSS, _LOSS_GRADIENT],
    "sgd_step": [_VELOCITY, _PARAMETERS],
    "psnr": [_PSNR],
    "bicubic_kernel": [_KERNEL],
}
