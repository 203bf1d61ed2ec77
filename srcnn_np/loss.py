"""The mean squared error and its gradient.

The mean can be taken over two things. The choice changes the gradient by a constant factor,
and with it the useful learning rate of `SGD`:

- over ``"values"``, the default: L = 1/(N·C·H·W) Σ (y - target)². It does not depend on the
  size of the batch or of the sub-images. PSNR = -10 log10 L for pictures in [0, 1].
- over ``"pictures"``, as in the paper: L = 1/N Σ (y - target)². It is C·H·W times larger
  (441 times for the paper's 21 x 21 outputs). The paper's rate of 1e-4 is for this mean.
"""

from typing import Literal

import numpy as np

from .errors import check_dtype

MeanOver = Literal["values", "pictures"]


def mse_forward(y: np.ndarray, target: np.ndarray, mean_over: MeanOver = "values") -> float:
    """Compute the mean squared error.

    Parameters
    ----------
    y, target : (N, C, H, W) arrays
    mean_over : "values" or "pictures"
        See the head of this module.

    Returns
    -------
    L : float, or complex for complex y
        It sums squares, not squared moduli, so that a complex step passes through.

    Raises
    ------
    ValueError
        If the shapes differ or `mean_over` is another word.
    TypeError
        If an array is not float32, float64 or complex128.
    """
    count = _count(y, target, mean_over)
    return ((y - target) ** 2).sum(dtype=_wide(y)).item() / count


def mse_backward(y: np.ndarray, target: np.ndarray, mean_over: MeanOver = "values") -> np.ndarray:
    """Compute the gradient of `mse_forward`, which has the same parameters and errors.

    Each value stands in one term of the sum, (y - target)² / count, so

        dy = ∂L/∂y = 2 (y - target) / count.

    Returns
    -------
    dy : (N, C, H, W) array of y's dtype
    """
    count = _count(y, target, mean_over)
    return (y - target) * y.dtype.type(2 / count)


def divisor(target: np.ndarray, mean_over: MeanOver) -> int:
    """Return what divides the sum of squares: how many values, or pictures, there are.

    Raises
    ------
    ValueError
        If `mean_over` is another word.
    """
    if mean_over not in ("values", "pictures"):
        raise ValueError(f"unknown mean_over {mean_over!r}: choose values or pictures")
    return target.size if mean_over == "values" else len(target)


def _count(y: np.ndarray, target: np.ndarray, mean_over: MeanOver) -> int:
    check_dtype(y=y, target=target)
    if y.shape != target.shape or y.size == 0:
        raise ValueError(f"y has shape {y.shape}, but the target {target.shape}; none is empty")
    return divisor(target, mean_over)


def _wide(y: np.ndarray) -> type:
    # A float32 sum over a batch would lose digits that a loss curve shows.
    return np.complex128 if np.iscomplexobj(y) else np.float64
