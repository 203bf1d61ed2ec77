"""The mean squared error and its gradient.

What the mean is taken over is a choice that moves the gradient, and with it the
useful learning rate, by a constant factor. Both choices in use:

- over ``"values"``:  L = 1/(N·C·H·W) Σ (y - t)², independent of the batch's and the
  sub-image's size; PSNR = -10 log10 L for pictures in [0, 1]. The default.
- over ``"pictures"``: L = 1/N Σ (y - t)², the paper's equation: C·H·W times larger
  (441 times for its 21 x 21 outputs), which is how its rate of 1e-4 is to be read.
"""

from typing import Literal

import numpy as np

MeanOver = Literal["values", "pictures"]


def mse_forward(y: np.ndarray, target: np.ndarray, mean_over: MeanOver = "values") -> float:
    """Mean squared error.

    Parameters
    ----------
    y, target : (N, C, H, W) arrays
    mean_over : "values" or "pictures"
        See the head of this module.

    Returns
    -------
    L : float, or complex for complex y
        A square, not a squared modulus, so that a complex step passes through.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if y.shape != target.shape:
        raise ValueError(f"y has shape {y.shape}, but the target {target.shape}")
    return ((y - target) ** 2).sum(dtype=_wide(y)).item() / _count(y, mean_over)


def mse_backward(y: np.ndarray, target: np.ndarray, mean_over: MeanOver = "values") -> np.ndarray:
    """∂L/∂y = 2 (y - t) / count, of y's shape and dtype; parameters as `mse_forward`."""
    if y.shape != target.shape:
        raise ValueError(f"y has shape {y.shape}, but the target {target.shape}")
    return (y - target) * y.dtype.type(2 / _count(y, mean_over))


def _count(y: np.ndarray, mean_over: MeanOver) -> int:
    return {"values": y.size, "pictures": len(y)}[mean_over]


def _wide(y: np.ndarray) -> type:
    # A float32 sum over a batch would lose digits that a loss curve shows.
    return np.complex128 if np.iscomplexobj(y) else np.float64
