"""PSNR and SSIM, as the paper's tables measure them."""

import numpy as np


def psnr(a: np.ndarray, b: np.ndarray, *, peak: float | None = None) -> float:
    """Return the peak signal-to-noise ratio, 10 log10(peak² / mean((a - b)²)).

    Parameters
    ----------
    a, b : arrays of one shape
    peak : float, optional
        The value of white. It may be left out if both are uint8 (255) or uint16 (65535).

    Returns
    -------
    psnr : float
        In dB; infinite for equal pictures, NaN if a picture holds a NaN.

    Raises
    ------
    ValueError
        If the shapes differ, the pictures are empty, or white is not known.
    TypeError
        If the pictures are complex numbers.

    Examples
    --------
    >>> psnr(np.zeros((2, 2)), np.full((2, 2), 0.1), peak=1)
    20.0
    """
    _same_shape(a, b)
    peak = _peak(a, b, peak)
    mse = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return float("inf") if mse == 0 else float(10 * np.log10(peak**2 / mse))


def ssim(a: np.ndarray, b: np.ndarray, *, peak: float | None = None) -> float:
    """Return the structural similarity: 1 for equal pictures, less for others.

    Means, variances and the covariance are taken under a Gaussian window of 11 x 11 with
    σ = 1.5; K = (0.01, 0.03). The result is the mean over all positions where the whole window
    lies on the picture.

    Parameters
    ----------
    a, b : (H, W) arrays, at least 11 x 11
    peak : float, optional
        The value of white. It may be left out if both are uint8 (255) or uint16 (65535).

    Returns
    -------
    ssim : float

    Raises
    ------
    ValueError
        If the shapes differ, the pictures are smaller than the window, or white is not known.
    TypeError
        If the pictures are complex numbers.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error
    visibility to structural similarity".
    """
    _same_shape(a, b)
    if a.ndim != 2 or min(a.shape) < 11:
        raise ValueError(
            f"SSIM takes pictures (H, W) of at least 11 x 11, but these have {a.shape}"
        )
    peak = _peak(a, b, peak)
    a, b = a.astype(float), b.astype(float)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mean_a, mean_b = _window(a), _window(b)
    var_a = _window(a * a) - mean_a**2
    var_b = _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float(np.mean(likeness / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


def _window(x: np.ndarray) -> np.ndarray:
    from scipy.ndimage import correlate1d  # slow to import, and only measuring needs it

    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    for axis in (0, 1):
        x = correlate1d(x, weights, axis=axis)
    return x[5:-5, 5:-5]


def _same_shape(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape or a.size == 0:
        raise ValueError(f"the pictures are empty or differ in shape: {a.shape} and {b.shape}")


def _peak(a: np.ndarray, b: np.ndarray, peak: float | None) -> float:
    if np.iscomplexobj(a) or np.iscomplexobj(b):
        raise TypeError(f"pictures are no complex numbers, but these are {a.dtype} and {b.dtype}")
    if peak is None:
        if a.dtype != b.dtype or a.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"of {a.dtype} and {b.dtype} nobody knows which value is white: give peak, such as "
                "1 for pictures in [0, 1] or 255"
            )
        return float(np.iinfo(a.dtype).max)
    if not 0 < peak < np.inf:
        raise ValueError(f"peak is {peak}: give a finite one above 0")
    return float(peak)
