"""Choose the shipped model for a picture: one that learnt from pictures with the same harm."""

import numpy as np

from .errors import InputError, brief
from .imaging import Picture
from .imaging.files import to_8_bits
from .imaging.traces import has_all_tones, noise_of, quality_of_pixels
from .model import default_name

# Each level's least JPEG quality, or least standard deviation of noise (white is 255).
_JPEG = {"jpeg95": 88, "jpeg75": 70, "jpeg50": 40, "jpeg30": 18, "jpeg10": 1}
_NOISE = {"noise20": 8.5, "noise5": 4.3}  # weaker noise may be a clean picture's texture
_CLEAN = 98  # from this quality on, the model for clean pictures is better
LEVELS = (*_JPEG, *reversed(_NOISE))
REPAIRS = ("auto", "off", *LEVELS)


def choose(picture: Picture, scale: int, repair: str = "auto") -> tuple[str, str]:
    """Return the name of the shipped model for a picture, and the traces seen in it.

    Parameters
    ----------
    picture : Picture
    scale : int
    repair : str
        One of REPAIRS: "auto" looks for traces of JPEG and noise; "off" is for a clean picture; a
        level is for a picture with that harm.

    Returns
    -------
    name : str
    why : str
        Such as "JPEG, quality about 75"; empty if there is nothing to say.

    Raises
    ------
    InputError
        If there is no such level.
    """
    check_repair(repair)
    level, why = _seen(picture) if repair == "auto" else (repair, "")
    name = default_name(scale)
    return (name if level == "off" else f"{name}-{level}"), why


def check_repair(repair: str) -> None:
    """Raise an InputError unless this is one of REPAIRS."""
    if repair not in REPAIRS:
        raise InputError(f"unknown repair {brief(repair)}: choose one of {', '.join(REPAIRS)}")


def _seen(picture: Picture) -> tuple[str, str]:
    pixels = _in_8_bits(picture.pixels)
    quality, words = picture.quality, "JPEG"
    if quality is None and not has_all_tones(pixels):
        return "off", ""
    # Noise that JPEG has left visible is worse than the traces of JPEG.
    noise = noise_of(pixels) if pixels.ndim == 3 else 0.0
    for level, least in _NOISE.items():
        if noise >= least:
            return level, f"noise of about {noise:.0f} of 255"
    if quality is None:
        quality, words = quality_of_pixels(pixels), "once a JPEG"
    if quality is None:
        return "off", ""
    why = f"{words}, quality about {quality}"
    if quality >= _CLEAN:
        return "off", why
    return next(level for level, least in _JPEG.items() if quality >= least), why


def _in_8_bits(pixels: np.ndarray) -> np.ndarray:
    if np.issubdtype(pixels.dtype, np.floating):
        return np.rint(255 * pixels).astype(np.uint8)
    return to_8_bits(pixels)
