"""Enlarging a whole picture: luma through the network, colour by interpolation.

The eye sees detail in brightness, hardly in colour, so the paper sharpens luma alone.
"""

import numpy as np

from .imaging import Picture, enlarge, rgb_to_ycbcr, ycbcr_to_rgb
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
    """
    if model is not None:
        model.check_scale(scale)
    x = picture.pixels.astype(np.float32) / picture.peak
    if x.ndim == 2:
        y = _sharpen_grey(x, scale, model)
    else:
        ycbcr = rgb_to_ycbcr(x)
        if model is not None and model.colour == "ycbcr":
            y = model.predict(enlarge(ycbcr, scale, model.enlargement))
        else:
            y = enlarge(ycbcr, scale)
            y[..., 0] = _sharpen_grey(ycbcr[..., 0], scale, model)
        y = ycbcr_to_rgb(y)
    alpha = None
    if picture.alpha is not None:
        alpha = _as_in(picture, enlarge(picture.alpha.astype(np.float32) / picture.peak, scale))
    return Picture(_as_in(picture, y), alpha, picture.metadata)


def beside(left: Picture, right: Picture) -> Picture:
    """One picture of two of the same size and kind, side by side."""
    alpha = None if left.alpha is None else np.hstack([left.alpha, right.alpha])
    return Picture(np.hstack([left.pixels, right.pixels]), alpha, right.metadata)


def _sharpen_grey(x: np.ndarray, scale: int, model: Model | None) -> np.ndarray:
    """Luma, or a grey picture, of (H, W): enlarged, and through the network if there is one."""
    if model is None:
        return enlarge(x, scale)
    x = enlarge(x, scale, model.enlargement)
    if model.colour == "luma":
        return model.predict(x)
    neutral = np.full_like(x, 128 / 255)
    return model.predict(np.dstack([x, neutral, neutral]))[..., 0]


def _as_in(picture: Picture, x: np.ndarray) -> np.ndarray:
    """[0, 1] in floating point, as the picture holds it."""
    return np.rint(x.clip(0, 1) * picture.peak).astype(picture.pixels.dtype)
