"""Harm that is done to small pictures before they are enlarged: rounding, noise, JPEG."""

import io
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from .data import to_channels
from .imaging import Picture, imresize, ycbcr_to_rgb
from .imaging.colour import luma_to_grey
from .pictures import Pictures, room_for
from .team import ALONE, Team

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


class Degradation(NamedTuple):
    """The ranges from which a picture's harm is drawn at random.

    Attributes
    ----------
    jpeg : (int, int) or None
        The lowest and the highest quality of JPEG, 1 to 100, as libjpeg counts it.
    noise : (float, float) or None
        The least and the largest standard deviation of Gaussian noise; white is 255. The noise
        comes before JPEG, as in a camera.
    """

    jpeg: tuple[int, int] | None = None
    noise: tuple[float, float] | None = None

    def harm(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a grey (H, W) or RGB (H, W, 3) uint8 picture with harm, in the same shape.

        Quality and noise are drawn evenly from their ranges. JPEG's way to keep colours is drawn
        from SUBSAMPLINGS.
        """
        if self.noise is not None:
            picture = with_noise(picture, rng.uniform(*self.noise), rng)
        if self.jpeg is not None:
            low, high = self.jpeg
            quality, subsampling = rng.integers(low, high + 1), rng.choice(SUBSAMPLINGS)
            picture = through_jpeg(picture, int(quality), str(subsampling))
        return picture


def with_noise(picture: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise to every value of a uint8 picture, and round.

    Parameters
    ----------
    picture : uint8 array
    sigma : float
        Standard deviation; white is 255.
    rng : numpy.random.Generator

    Returns
    -------
    noisy : uint8 array of the same shape
    """
    noisy = picture + np.float32(sigma) * rng.standard_normal(picture.shape, np.float32)
    return np.rint(noisy.clip(0, 255)).astype(np.uint8)


def through_jpeg(picture: np.ndarray, quality: int, subsampling: str = "4:2:0") -> np.ndarray:
    """Save a picture as JPEG, and read it again.

    Parameters
    ----------
    picture : (H, W) or (H, W, 3) uint8 array
        Grey or RGB.
    quality : int
        1 to 100, as libjpeg counts it.
    subsampling : str
        One of SUBSAMPLINGS: JPEG keeps colour differences at full size, at half the width, or at
        half the width and half the height.

    Returns
    -------
    picture : uint8 array of the same shape
    """
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(
        file, "JPEG", quality=quality, subsampling=subsampling
    )
    return np.asarray(Image.open(file))


def in_rgb(channels: np.ndarray) -> np.ndarray:
    """Return a uint8 picture, grey or RGB, from luma (H, W) or Y, Cb, Cr (H, W, 3) in [0, 1]."""
    rgb = luma_to_grey(channels) if channels.ndim == 2 else ycbcr_to_rgb(channels)
    return np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)


class SmallPictures:
    """Small pictures of 8 bits, which get new harm in each epoch of a training.

    Parameters
    ----------
    pictures : Pictures
        Luma, or Y, Cb, Cr.
    scale : int
    colour : "luma" or "ycbcr"
        The part of the pictures that the network sees.
    degradation : Degradation
    seed : int
        For everything that is drawn at random.
    team : Team, optional
        Processes with the same memory share the pictures and the work.
    """

    def __init__(
        self,
        pictures: Pictures,
        scale: int,
        colour: Literal["luma", "ycbcr"],
        degradation: Degradation,
        seed: int,
        team: Team = ALONE,
    ) -> None:
        self.colour, self.degradation, self.seed = colour, degradation, seed
        self._machine = team.on_this_machine()
        sizes = [(H // scale, W // scale) for H, W, *_ in pictures.shapes]
        shapes = [(*size, *shape[2:]) for size, shape in zip(sizes, pictures.shapes, strict=True)]
        self._whole = room_for(shapes, self._machine)

        def shrink(n: int) -> None:
            h, w = sizes[n]
            target = pictures[n][: scale * h, : scale * w] / np.float32(255)
            self._whole[n][...] = in_rgb(imresize(target, size=(h, w)))

        self._machine.each(shrink, len(sizes))
        shapes = [size if colour == "luma" else (*size, 3) for size in sizes]
        self._harmed = [room_for(shapes, self._machine) for _ in range(2)]
        self._epochs = [None, None]

    def of_epoch(self, epoch: int) -> Pictures:
        """Return an epoch's pictures; they are valid until those of `epoch + 2` are asked for.

        All processes call this at the same time.
        """
        harmed = self._harmed[epoch % 2]
        if self._epochs[epoch % 2] != epoch:

            def harm(n: int) -> None:
                rng = np.random.default_rng([self.seed, epoch, n])
                picture = self.degradation.harm(self._whole[n], rng)
                harmed[n][...] = to_channels(Picture(picture), self.colour)

            self._machine.each(harm, len(harmed))
            self._epochs[epoch % 2] = epoch
        return harmed
