"""RGB to YCbCr and back by ITU-R BT.601 in studio range, like MATLAB's `rgb2ycbcr`.

On a scale of 255, luma Y lies in [16, 235]. The colour differences Cb and Cr lie in
[16, 240], around 128. SRCNN works on Y alone: the eye sees detail in Y, but hardly in colour.
"""

import numpy as np

# Rows Y, Cb, Cr; columns R, G, B in [0, 1]; results on a scale of 255.
_MATRIX = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
)
_OFFSET = np.array([16.0, 128.0, 128.0])
LUMA_BLACK, LUMA_RANGE = 16, 219  # a grey g in [0, 1] has luma (16 + 219 g) / 255
_INVERSE = np.linalg.inv(_MATRIX)


def rgb_to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """Return Y, Cb, Cr of a colour picture.

    Parameters
    ----------
    rgb : (H, W, 3) array
        uint8, or floating point with white at 1.

    Returns
    -------
    ycbcr : (H, W, 3) array of the same dtype
        uint8 is rounded to whole numbers. In floating point, Y lies in [16/255, 235/255]
        for rgb in [0, 1].

    Raises
    ------
    ValueError, TypeError
        If the shape or dtype is not as above.

    Examples
    --------
    >>> rgb_to_ycbcr(np.array([[[255, 255, 255], [255, 0, 0]]], np.uint8))
    array([[[235, 128, 128],
            [ 81,  90, 240]]], dtype=uint8)
    """
    if rgb.dtype == np.uint8:
        _check(rgb)
        return np.stack([_plane(rgb, n) for n in range(3)], axis=2)
    return _convert(rgb, _MATRIX / 255, np.zeros(3), _OFFSET)


def rgb_to_luma(rgb: np.ndarray) -> np.ndarray:
    """Return only the Y of `rgb_to_ycbcr`: (H, W) uint8 from (H, W, 3) uint8."""
    _check(rgb)
    return _plane(rgb, 0)


def _plane(rgb: np.ndarray, which: int) -> np.ndarray:
    """Return Y, Cb or Cr of uint8 pixels, exactly: in units of 1 / 255,000 all numbers are whole.

    In floating point a half would be rounded up on one machine and down on another.
    """
    row = np.rint(1000 * _MATRIX[which]).astype(np.int32)
    r, g, b = (np.arange(256, dtype=np.int32) * n for n in row)
    total = r[rgb[..., 0]]
    total += g[rgb[..., 1]]
    total += b[rgb[..., 2]]
    total += 255_000 * int(_OFFSET[which]) + 127_500
    total //= 255_000
    return total.astype(np.uint8)


def grey_to_luma(grey: np.ndarray) -> np.ndarray:
    """Return the luma that a grey picture has in RGB; floating point, with white at 1."""
    return (LUMA_BLACK + LUMA_RANGE * grey) / 255


def luma_to_grey(luma: np.ndarray) -> np.ndarray:
    """Return the grey picture that has this luma: the inverse of `grey_to_luma`, not clipped."""
    return (luma * 255 - LUMA_BLACK) / LUMA_RANGE


def ycbcr_to_rgb(ycbcr: np.ndarray) -> np.ndarray:
    """Return R, G, B of a picture in YCbCr: the inverse of `rgb_to_ycbcr`.

    Parameters
    ----------
    ycbcr : (H, W, 3) array
        uint8, or floating point, as `rgb_to_ycbcr` gives it.

    Returns
    -------
    rgb : (H, W, 3) array of the same dtype
        uint8 is rounded and clipped. Floating point is not clipped: colours outside RGB
        fall outside [0, 1].

    Raises
    ------
    ValueError, TypeError
        If the shape or dtype is not as above.
    """
    return _convert(ycbcr, _INVERSE * 255, _OFFSET, np.zeros(3))


def _convert(
    picture: np.ndarray, matrix: np.ndarray, before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """Return matrix · (pixel - before) + after, on a scale of 255."""
    _check(picture)
    if picture.dtype == np.uint8:
        result = (picture - before) @ matrix.T + after
        return np.floor(result.clip(0, 255) + 0.5).astype(np.uint8)
    if not np.issubdtype(picture.dtype, np.floating):
        raise TypeError(f"colours are converted in floating point or uint8, not {picture.dtype}")
    matrix, before, after = (a.astype(picture.dtype) for a in (matrix, before / 255, after / 255))
    return (picture - before) @ matrix.T + after


def _check(picture: np.ndarray) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a colour picture is (H, W, 3), but this has {picture.shape}")
