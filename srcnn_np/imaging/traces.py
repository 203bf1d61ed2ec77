"""Traces of a picture's past: the quality of its JPEG, and noise.

JPEG cuts luma into blocks of 8 x 8, takes the cosine transform of each, and rounds its 64
coefficients to multiples of 64 steps. The steps are the quantisation table. libjpeg, like most
programs, computes the table for each quality from one table in the standard.

A picture that was a JPEG keeps the marks in another format. Its coefficients still lie near
multiples of the steps: only the rounding of the pixels has moved the coefficients.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

# Table K.1 of ITU-T T.81, for luma at quality 50: rows are vertical frequencies.
_STANDARD = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


@cache
def table_of(quality: int) -> np.ndarray:
    """Return the steps (8, 8) by which libjpeg divides luma's coefficients at a quality, 1 to 100.

    References
    ----------
    libjpeg, jcparam.c.
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((_STANDARD * percent + 50) // 100).clip(1, 255)


def quality_of_tables(tables: Mapping[int, Sequence[int]]) -> int | None:
    """Return the quality, 1 to 100, whose table is nearest to the first.

    Parameters
    ----------
    tables : dict of int to 64 numbers
        The tables of a JPEG as Pillow gives them, line by line. The first is luma's.

    Returns
    -------
    quality : int or None
        None where there are no such tables.
    """
    steps = np.asarray(next(iter(tables.values()), ()), float)
    if steps.shape != (64,) or not (steps > 0).all():
        return None
    return _nearest(np.log(steps.reshape(8, 8)), np.ones((8, 8)))


def _nearest(logarithms: np.ndarray, weights: np.ndarray) -> int:
    """Return the quality whose steps' logarithms differ least from these."""
    differences = {
        quality: float((weights * abs(np.log(table_of(quality)) - logarithms)).sum())
        for quality in range(1, 101)
    }
    return min(differences, key=differences.get)


def quality_of_pixels(pixels: np.ndarray) -> int | None:
    """Return the quality of the JPEG that a picture once was, 1 to 100; None if no JPEG is seen.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8 array
        Grey or RGB. It may have been cropped since then, but not resized.

    Notes
    -----
    This is done for some low frequencies, and for each of them with every step q. Let r be the
    distance of a coefficient from the nearest multiple of q; coefficients nearest to 0 do not
    count. Without JPEG, all r in [-q/2, q/2] are equally likely. With JPEG, r has a normal
    distribution, whose deviation comes from the rounding of the pixels. The logarithm of the ratio
    of the two likelihoods is summed over all coefficients. The best q counts if its sum is far
    above 0. If enough frequencies have such a step, the result is the quality whose table is
    nearest to these steps.

    References
    ----------
    Fan, de Queiroz 2003, "Identification of bitmap compression history".
    """
    y = _brightness(pixels)
    found: dict[tuple[int, int], int] = {}
    for row, column in {(0, 0), _grid(y)}:
        blocks = _coefficients(y[row:, column:], _MOST_BLOCKS)
        here = {(u, v): _step(blocks[:, u, v]) for u, v in _FREQUENCIES} if len(blocks) else {}
        here = {place: step for place, step in here.items() if step}
        found = max(found, here, key=len)
    if len(found) < _LEAST_FREQUENCIES:
        return None
    logarithms, weights = np.zeros((8, 8)), np.zeros((8, 8))
    for place, step in found.items():
        logarithms[place], weights[place] = math.log(step), 1
    return _nearest(logarithms, weights)


_FREQUENCIES = [(u, v) for u in range(5) for v in range(5) if 0 < u + v < 5]  # 14
_LEAST_FREQUENCIES = 4
_LARGEST_STEP = 120
_OFF = 0.45  # a coefficient's deviation: pixels are rounded, and some are clipped
_STRAY = 0.05  # this share of all coefficients may be anywhere
_SURE = 25.0  # e^25 times as likely
_MOST_BLOCKS, _FEW_BLOCKS = 8192, 256


def _brightness(pixels: np.ndarray) -> np.ndarray:
    """Return Y as JPEG defines it, from 0 to 255."""
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    return pixels @ np.array([0.299, 0.587, 0.114], np.float32)


def _grid(y: np.ndarray) -> tuple[int, int]:
    """Find where the 8 x 8 blocks begin: blocks cut there have the most coefficients near 0."""

    def zeros(corner: tuple[int, int]) -> float:
        blocks = _coefficients(y[corner[0] :, corner[1] :], most=_FEW_BLOCKS)
        return float((abs(blocks) < _OFF).mean()) if len(blocks) else 0.0

    return max(np.ndindex(8, 8), key=zeros)


def _coefficients(y: np.ndarray, most: int) -> np.ndarray:
    """Return the cosine transforms (N, 8, 8) of up to `most` blocks all over the picture."""
    from scipy.fft import dctn  # slow to import, and only a picture to enlarge needs it

    H, W = (side // 8 for side in y.shape)
    chosen = np.arange(0, H * W, -(-H * W // most) or 1)
    blocks = y[: 8 * H, : 8 * W].reshape(H, 8, W, 8).transpose(0, 2, 1, 3)  # a view
    blocks = blocks[chosen // max(W, 1), chosen % max(W, 1)]
    # Blocks say nothing if JPEG's rounding may have clipped their pixels.
    inside = (blocks.min((1, 2)) > 0) & (blocks.max((1, 2)) < 255)
    return dctn(blocks[inside], axes=(1, 2), norm="ortho")


def _step(coefficients: np.ndarray) -> int:
    """Return the step that the coefficients are multiples of; 0 if no step is sure."""
    steps = np.arange(2, _LARGEST_STEP)[:, None]
    multiples = np.rint(coefficients / steps)
    off = coefficients - multiples * steps
    normal = np.exp(-0.5 * (off / _OFF) ** 2) / (_OFF * math.sqrt(2 * math.pi))
    gains = np.log(steps * ((1 - _STRAY) * normal + _STRAY / steps))
    # A step shows in coefficients other than 0, at three or more multiples.
    counted = multiples != 0
    sums = np.where(counted, gains, 0).sum(1)
    several = [len(np.unique(row[some])) > 2 for row, some in zip(multiples, counted, strict=True)]
    sums = np.where(several, sums, 0)
    best = int(np.argmax(sums))
    return int(steps[best, 0]) if sums[best] > _SURE else 0


def noise_of(pixels: np.ndarray) -> float:
    """Estimate the noise of a colour picture: the standard deviation of R, G and B; white is 255.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array

    Returns
    -------
    sigma : float
        With few 8 x 8 blocks rather too low than too high; with at most 8 blocks it is 0.

    Notes
    -----
    A camera's noise differs between channels, while the scene is nearly the same in all. The noise
    is therefore sought in R - G and B - G. A second difference in both directions removes slow
    changes. The quietest tenth of all blocks has almost only noise. Noise that is the same in R, G
    and B, or in a grey picture, cannot be told from texture. Of a large picture, only some squares
    are examined, which lie all over it.
    """
    H, W, _ = pixels.shape
    alike = (pixels[:, 1:] == pixels[:, :-1]).all(2)
    if alike.size and alike.mean() > _DRAWN:
        return 0.0
    corners = np.array([(i, j) for i in range(0, H, _TILE) for j in range(0, W, _TILE)])
    some = np.random.default_rng(0).permutation(len(corners))[:_MOST_TILES]
    squares = [
        _squares(pixels[i : i + _TILE + 2, j : j + _TILE + 2]) for i, j in corners[np.sort(some)]
    ]
    squares = np.concatenate(squares, 1)  # (2, blocks)
    if squares.shape[1] <= _UNSURE:
        return 0.0
    quiet = float(np.quantile(squares, 0.1, axis=1).min())
    return _QUIETEST * math.sqrt(quiet / 2) * (1 - _UNSURE / squares.shape[1])


_TILE, _MOST_TILES = 256, 16
_DRAWN = 0.3  # if a larger share of pixels equal their neighbours, it is a drawing without noise
# A block has 64 overlapping differences. Their mean square in the quietest tenth of the blocks is
# 1 / 1.22² of that in all blocks. Random numbers gave this.
_QUIETEST = 1.22
_UNSURE = 8  # blocks; with so few, or fewer, the noise is taken to be 0


def _squares(pixels: np.ndarray) -> np.ndarray:
    """Return means (2, blocks) of 8 x 8 squared second differences of R - G and B - G."""
    x = pixels[..., ::2].astype(np.float32) - pixels[..., 1:2]  # (H, W, 2)
    for _ in range(2):
        x = (x[:-2] - 2 * x[1:-1] + x[2:]).swapaxes(0, 1) / math.sqrt(6)  # deviation 1 stays 1
    H, W = (side // 8 for side in x.shape[:2])
    return (x[: 8 * H, : 8 * W] ** 2).reshape(H, 8, W, 8, 2).mean((1, 3)).reshape(-1, 2).T


def has_all_tones(pixels: np.ndarray) -> bool:
    """Whether a picture has most values between its darkest and its lightest.

    Photographs have most. Pixel art, palettes and posterised pictures have few: `quality_of_pixels`
    would take such pictures for rounded ones, and `noise_of` for noisy ones.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8 array
    """
    grey = pixels if pixels.ndim == 2 else pixels[..., 1]
    step = math.isqrt(grey.size >> 20) + 1
    counts = np.bincount(grey[::step, ::step].ravel(), minlength=256)
    dark, light = np.searchsorted(counts.cumsum(), [0.01 * counts.sum(), 0.99 * counts.sum()])
    return bool((counts[dark : light + 1] > 0).mean() > _MOST_TONES)


_MOST_TONES = 0.7
