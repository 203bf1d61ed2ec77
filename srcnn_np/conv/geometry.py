"""Sizes, the widening of an array's border, and the gradient of the widening.

A padded convolution is two operations, one after the other: widen the border,
then convolve without padding. So no backend of this package knows about padding, and
each way to fill a border is written, and checked, once.
"""

from typing import Literal

import numpy as np

Pads = tuple[int, int, int, int]
Fill = Literal["zero", "replicate"]


def pad_forward(x: np.ndarray, pads: Pads, fill: Fill = "zero") -> np.ndarray:
    """Widen the last two axes of an array.

    Parameters
    ----------
    x : (N, C, H, W) array
    pads : (top, bottom, left, right)
        Rows and columns to add, each at least 0.
    fill : "zero" or "replicate"
        What the new places hold: 0, or the nearest value of x.

    Returns
    -------
    y : (N, C, top + H + bottom, left + W + right) array
        x itself if there is nothing to add.

    Raises
    ------
    ValueError
        If a pad is below 0, or the fill is another word.
    """
    _check(pads, fill)
    top, bottom, left, right = pads
    if not any(pads):
        return x
    N, C, H, W = x.shape
    rows, columns = top + H, left + W
    if x.strides[1] == x.itemsize:  # channels lie side by side in x, so they do in y
        y = np.empty((N, rows + bottom, columns + right, C), x.dtype).transpose(0, 3, 1, 2)
    else:
        y = np.empty((N, C, rows + bottom, columns + right), x.dtype)
    put_in(y, x, pads, fill)
    return y


def put_in(y: np.ndarray, x: np.ndarray, pads: Pads, fill: Fill) -> None:
    """Write to y what `pad_forward` makes of x."""
    top, bottom, left, right = pads
    rows, columns = y.shape[2] - bottom, y.shape[3] - right
    y[:, :, top:rows, left:columns] = x
    copies = fill == "replicate"
    y[:, :, top:rows, :left] = x[:, :, :, :1] if copies else 0
    y[:, :, top:rows, columns:] = x[:, :, :, -1:] if copies else 0
    y[:, :, :top] = y[:, :, top : top + 1] if copies else 0
    y[:, :, rows:] = y[:, :, rows - 1 : rows] if copies else 0


def pad_backward(dy: np.ndarray, pads: Pads, fill: Fill = "zero") -> np.ndarray:
    """Compute the gradient of `pad_forward`: each new place's gradient goes to its source.

    Zeros have no source, so their gradient is dropped. A replicated place is a
    copy of a border value, and the gradient of a copied value is the sum over
    its copies. So the added rows are summed onto the first and last row, and then
    the added columns onto the first and last column.

    Parameters
    ----------
    dy : (N, C, top + H + bottom, left + W + right) array
    pads, fill
        As given to `pad_forward`.

    Returns
    -------
    dx : (N, C, H, W) array

    Raises
    ------
    ValueError
        As `pad_forward`; also if dy is no larger than its border.
    """
    _check(pads, fill)
    top, bottom, left, right = pads
    if not any(pads):
        return dy
    rows, columns = dy.shape[2] - bottom, dy.shape[3] - right
    if rows <= top or columns <= left:
        raise ValueError(f"dy has shape {dy.shape}, which is no more than a border of {pads}")
    if fill == "zero":
        return dy[:, :, top:rows, left:columns]
    dx = dy[:, :, top:rows].copy()  # (N, C, H, left + W + right)
    dx[:, :, 0] += dy[:, :, :top].sum(axis=2)
    dx[:, :, -1] += dy[:, :, rows:].sum(axis=2)
    wide, dx = dx, dx[:, :, :, left:columns].copy()  # (N, C, H, W)
    dx[:, :, :, 0] += wide[:, :, :, :left].sum(axis=3)
    dx[:, :, :, -1] += wide[:, :, :, columns:].sum(axis=3)
    return dx


def _check(pads: Pads, fill: str) -> None:
    if min(pads) < 0:
        raise ValueError(f"pads are {pads}: give (top, bottom, left, right) of at least 0")
    if fill not in ("zero", "replicate"):
        raise ValueError(f"unknown fill {fill!r}: choose zero or replicate")


def same_pads(kernel: tuple[int, int]) -> Pads:
    """Return pads (top, bottom, left, right) with which y has the size of x at stride 1.

    A filter of height kh reaches kh - 1 rows beyond its first row. If kh - 1 is odd, one row
    more is added below than above. In the same way, one column more is added on the right.
    """
    kh, kw = kernel
    return (kh - 1) // 2, kh // 2, (kw - 1) // 2, kw // 2


def output_size(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> tuple[int, int]:
    """Return the (OH, OW) that a filter gives on a picture of (H, W), padding included.

    Raises
    ------
    ValueError
        If the filter does not fit.
    """
    if size[0] < kernel[0] or size[1] < kernel[1]:
        raise ValueError(
            f"a {kernel[0]} x {kernel[1]} filter does not fit into a picture of "
            f"{size[0]} x {size[1]} (rows x columns, padding included)"
        )
    return (size[0] - kernel[0]) // stride[0] + 1, (size[1] - kernel[1]) // stride[1] + 1


def pair(name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    """Return (rows, columns) from one whole number for both, or from two.

    Raises
    ------
    ValueError
        If `value` is neither, or is below `least`; the message calls it `name`.
    """
    values = (value, value) if np.ndim(value) == 0 else tuple(value)
    whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values)
    if len(values) != 2 or not whole or min(values) < least:
        raise ValueError(
            f"{name} is {value!r}; give a whole number of at least {least}, or (rows, columns)"
        )
    return int(values[0]), int(values[1])


def apart(x: np.ndarray, stride: tuple[int, int]) -> np.ndarray:
    """Take pictures apart: every sh-th row and sw-th column goes into a picture of its own.

    Parameters
    ----------
    x : (N, C, H, W) array
    stride : (sh, sw)

    Returns
    -------
    parts : (N, sh·sw·C, ceil(H / sh), ceil(W / sw)) array
        Channel (a·sw + d)·C + c holds x[:, c, a::sh, d::sw], with zeros at the end where
        this slice is shorter. In memory, the channels of a pixel lie side by side.

    Notes
    -----
    If pictures and filters are both taken apart, a convolution at stride (sh, sw) becomes one at
    stride 1: when u' and a run, u = sh·u' + a runs over the taps.
    """
    (N, C, H, W), (sh, sw) = x.shape, stride
    h, w = -(-H // sh), -(-W // sw)
    parts = np.zeros((N, h, w, sh, sw, C), x.dtype)
    last = x.transpose(0, 2, 3, 1)
    for a in range(sh):
        for d in range(sw):
            part = last[:, a::sh, d::sw]
            parts[:, : part.shape[1], : part.shape[2], a, d] = part
    return parts.reshape(N, h, w, sh * sw * C).transpose(0, 3, 1, 2)


def together(parts: np.ndarray, stride: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return the pictures (N, C, H, W) that `apart` took apart; `size` is (H, W)."""
    (N, K, h, w), (sh, sw) = parts.shape, stride
    C = K // (sh * sw)
    x = parts.transpose(0, 2, 3, 1).reshape(N, h, w, sh, sw, C)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(N, h * sh, w * sw, C)
    return x[:, : size[0], : size[1]].transpose(0, 3, 1, 2)
