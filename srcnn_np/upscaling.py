"""Enlarging a whole picture: luma through the network, colour by interpolation.

The eye sees detail in brightness, hardly in colour, so the paper sharpens luma alone.
"""

import numpy as np

from .errors import InputError
from .imaging import Picture, enlarge, rgb_to_ycbcr, ycbcr_to_rgb
from .imaging.colour import LUMA_BLACK, LUMA_RANGE
from .model import Model


def upscale(picture: Picture, scale: int, model: Model | None = None) -> Picture:
    """Enlarge a picture.

    Parameters
    ----------
    picture : Picture
        Grey or colour, 8 or 16 bits, with or without alpha.
    scale : int
    model : Model, optional
        None enlarges by bicubic interpolation alone.

    Returns
    -------
    enlarged : Picture
        Of the same kind. Alpha is enlarged by bicubic interpolation; metadata are kept.

    Raises
    ------
    InputError
        If the model was trained for another scale, or its result is not finite.

    Notes
    -----
    Beyond its border the picture goes on as its mirror image, which is more like what a camera
    would have seen there than the copies of the outermost pixels that each layer would take
    (`srcnn_np.evaluation` measures with those, as the paper does).

    In floating point a large picture is many times its file, so it is enlarged in strips
    of rows, each with as many rows around it as its result depends on.
    """
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
        raise InputError(f"scale is {scale!r}; give a whole number of at least 1")
    if model is not None:
        model.check_scale(scale)
    H, W = picture.pixels.shape[:2]
    halo = _halo(scale, model)
    rows = max(_STRIP_PIXELS // (W * scale * scale), 4 * halo)
    shape = (H * scale, W * scale)
    pixels = np.empty(shape + picture.pixels.shape[2:], picture.pixels.dtype)
    alpha = None if picture.alpha is None else np.empty(shape, picture.alpha.dtype)
    columns = _mirrored(-halo, W + halo, W)
    for start in range(0, H, rows):
        end = min(start + rows, H)
        around = np.ix_(_mirrored(start - halo, end + halo, H), columns)
        inside = np.s_[halo * scale : (halo + end - start) * scale, halo * scale : -halo * scale]
        there = np.s_[start * scale : end * scale]
        strip = picture.pixels[around].astype(np.float32) / picture.peak
        pixels[there] = _whole(_upscale_strip(strip, scale, model)[inside], pixels.dtype)
        if alpha is not None:
            strip = picture.alpha[around].astype(np.float32) / np.iinfo(alpha.dtype).max
            alpha[there] = _whole(enlarge(strip, scale)[inside], alpha.dtype)
    result = Picture(pixels, None, picture.metadata, picture.lost)
    result.alpha = alpha  # nothing that is hidden in it was visible before: nothing to fill
    return result


# A strip's result has about this many pixels; in float32 and three channels, 13 MB.
_STRIP_PIXELS = 1 << 20


def _halo(scale: int, model: Model | None) -> int:
    """How many rows around a row of a picture its result depends on.

    Bicubic interpolation looks at two rows on each side, the network at its reach in the
    enlarged picture.
    """
    reach = 0 if model is None else max(model.network.reach)
    return 2 + -(-reach // scale)


def _mirrored(start: int, end: int, length: int) -> np.ndarray:
    """The places start, start + 1, ... end - 1 of a line, which goes on mirrored at its ends."""
    places = np.arange(start, end) % (2 * length)
    return np.where(places < length, places, 2 * length - 1 - places)


def _upscale_strip(x: np.ndarray, scale: int, model: Model | None) -> np.ndarray:
    """A strip (H, W) or (H, W, 3) in [0, 1], enlarged."""
    if x.ndim == 2:
        # A grey picture's luma is what the same picture in RGB has, as the network learnt from.
        luma = _sharpen((LUMA_BLACK + LUMA_RANGE * x) / 255, scale, model)
        return (luma * 255 - LUMA_BLACK) / LUMA_RANGE
    ycbcr = rgb_to_ycbcr(x)
    if model is not None and model.colour == "ycbcr":
        return ycbcr_to_rgb(model.predict(enlarge(ycbcr, scale, model.enlargement)))
    luma = _sharpen(ycbcr[..., 0], scale, model)
    return ycbcr_to_rgb(np.dstack([luma, enlarge(ycbcr[..., 1:], scale)]))


def beside(left: Picture, right: Picture) -> Picture:
    """Return two pictures of the same size and kind as one, side by side."""
    alpha = None if left.alpha is None else np.hstack([left.alpha, right.alpha])
    both = Picture(np.hstack([left.pixels, right.pixels]), None, right.metadata)
    both.alpha = alpha
    return both


def _sharpen(luma: np.ndarray, scale: int, model: Model | None) -> np.ndarray:
    """Luma (H, W), enlarged, and through the network if there is one."""
    if model is None:
        return enlarge(luma, scale)
    luma = enlarge(luma, scale, model.enlargement)
    if model.colour == "luma":
        return model.predict(luma)
    neutral = np.full_like(luma, 128 / 255)
    return model.predict(np.dstack([luma, neutral, neutral]))[..., 0]


def _whole(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """[0, 1] in floating point as whole numbers from 0 to the dtype's largest."""
    return np.rint(x.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)
