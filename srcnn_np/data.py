"""What a network learns from: pictures, and sub-images cut from them.

Pictures come from a folder of photographs, or are drawn by `draw_pictures`, so that
nothing need be downloaded.
"""

from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from .conv.geometry import Pads
from .errors import InputError
from .imaging import Picture, enlarge, imresize, list_pictures, read_picture, rgb_to_ycbcr
from .imaging.files import to_8_bits
from .imaging.resize import Enlargement


def draw_pictures(count: int, *, size: int = 256, seed: int = 0) -> list[np.ndarray]:
    """Draw pictures of "dead leaves": discs, ellipses and rectangles that hide each other.

    Photographs consist of things of all sizes in front of each other, and share with
    these pictures what matters to super-resolution: sharp edges in all directions
    between smooth areas, at all scales alike, for which the leaves' radii must have a
    density ~ r^-3 (Lee, Mumford, Huang 2001, "Occlusion models for natural images").

    Parameters
    ----------
    count : int
    size : int
        Height and width in pixels.
    seed : int

    Returns
    -------
    pictures : list of (size, size) uint8 arrays
        Drawn at twice the size and shrunk, so that edges are smooth.
    """
    if count < 1 or size < 1:
        raise ValueError(f"count is {count}, size {size}: give at least 1")
    rng = np.random.default_rng(index(seed))
    return [_draw_leaves(rng, size) for _ in range(count)]


def _draw_leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    canvas = 2 * size
    smallest, largest = 4.0, canvas / 3
    leaves = canvas * canvas // 100
    # The inverse of the cumulative distribution of a density ~ r^-3 between the two.
    share = rng.random(leaves)
    radii = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
    centres = rng.uniform(-0.1 * canvas, 1.1 * canvas, (leaves, 2))
    greys = rng.integers(16, 236, leaves)
    kinds = rng.integers(0, 3, leaves)
    turns = rng.uniform(0, np.pi, leaves)
    flatness = rng.uniform(0.2, 1, leaves)
    image = Image.new("L", (canvas, canvas), int(rng.integers(16, 236)))
    draw = ImageDraw.Draw(image)
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)])  # (2, 48)
    square = np.array([[-1.0, 1.0, 1.0, -1.0], [-1.0, -1.0, 1.0, 1.0]])  # (2, 4)
    for kind, radius, centre, grey, turn, flat in zip(
        kinds, radii, centres, greys, turns, flatness, strict=True
    ):
        outline = square if kind == 2 else circle
        if kind > 0:  # 0 are discs
            outline = outline * np.array([[1.0], [flat]])
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        corners = centre + radius * (rotation @ outline).T  # (points, 2)
        draw.polygon(list(map(tuple, corners.tolist())), fill=int(grey))
    return np.asarray(image.reduce(2))


def read_folder(
    folder: str | Path, colour: Literal["luma", "ycbcr"] = "luma", *, grey_is_luma: bool = False
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read the photographs of a folder.

    Parameters
    ----------
    folder : str or Path
    colour, grey_is_luma
        See `to_channels`.

    Returns
    -------
    pictures : dict of str to uint8 array
        By file name, as `to_channels` gives them.
    skipped : list of str
        What else is there: names of what is no picture, and why a picture cannot be read.

    Raises
    ------
    InputError
        If there is no such folder, or no picture in it.
    """
    paths, skipped = list_pictures(folder)
    pictures = {}
    for path in paths:
        try:
            picture = read_picture(path)
            pictures[path.name] = to_channels(picture, colour, grey_is_luma=grey_is_luma)
        except InputError as error:
            skipped.append(str(error))
        except MemoryError:
            skipped.append(f"{path}: there is not enough memory for it")
    if not pictures:
        raise InputError(f"{folder} holds no picture that can be read")
    return pictures, skipped


def hold_out(
    pictures: list[np.ndarray], scale: int, size: int = 33
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Split off every tenth picture, from the first on, to measure progress on.

    Parameters
    ----------
    pictures : list of (H, W) or (H, W, 3) arrays
    scale : int
    size : int
        Side of a sub-image. Smaller pictures are left out.

    Returns
    -------
    pictures, held_out : lists of arrays

    Raises
    ------
    InputError
        If fewer than two are left.
    """
    large = [picture for picture in pictures if is_large_enough(picture, scale, size)]
    if len(large) < 2:
        raise InputError(
            f"large enough for a sub-image of {size} x {size}: {len(large)} of {len(pictures)} "
            "pictures, but two are needed: to learn from, and to measure progress on"
        )
    return [picture for n, picture in enumerate(large) if n % 10], large[::10]


def is_large_enough(picture: np.ndarray, scale: int, size: int) -> bool:
    """Whether a sub-image of size x size fits, after `shrink` has cropped the picture."""
    return min(picture.shape[:2]) // scale * scale >= size


def to_channels(
    picture: Picture, colour: Literal["luma", "ycbcr"] = "luma", *, grey_is_luma: bool = False
) -> np.ndarray:
    """Return a picture's 8-bit luma (H, W), or Y, Cb, Cr (H, W, 3).

    Parameters
    ----------
    picture : Picture
    colour : "luma" or "ycbcr"
    grey_is_luma : bool
        Whether a grey file's values, from 0 to 255, are taken as luma as they are, as the
        paper's protocol does. Else they become what the same picture in RGB has: 16 to 235.

    Raises
    ------
    ValueError
        If the colour is another word.
    """
    if colour not in ("luma", "ycbcr"):
        raise ValueError(f"unknown colour {colour!r}: choose luma or ycbcr")
    pixels = to_8_bits(picture.pixels)
    if pixels.ndim == 2 and not grey_is_luma:
        pixels = np.dstack([pixels] * 3)
    if pixels.ndim == 3:
        ycbcr = rgb_to_ycbcr(pixels)
        return ycbcr if colour == "ycbcr" else ycbcr[..., 0]
    neutral = np.full_like(pixels, 128)
    return np.dstack([pixels, neutral, neutral]) if colour == "ycbcr" else pixels


def shrink(picture: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture as the target, and the small picture that it is to be restored from.

    Parameters
    ----------
    picture : (H, W) or (H, W, 3) uint8 array
    scale : int

    Returns
    -------
    target : (h, w) or (h, w, 3) float64 array in [0, 1]
        The picture without the rows at the bottom and columns at the right that are
        too many for both sides to divide by the scale.
    small : (h / scale, w / scale) or (h / scale, w / scale, 3) float64 array
        `imresize` of it, not rounded.

    Raises
    ------
    InputError
        If a side is shorter than the scale.
    ValueError
        If the scale is below 1.
    TypeError
        If the picture is not uint8.
    """
    if scale < 1:
        raise ValueError(f"scale is {scale}: give a whole number of at least 1")
    if picture.dtype != np.uint8:
        raise TypeError(f"the picture is {picture.dtype}; give uint8")
    H, W = (side // scale for side in picture.shape[:2])
    if min(H, W) == 0:
        raise InputError(
            f"a picture of {picture.shape[1]} x {picture.shape[0]} is too small for scale {scale}"
        )
    target = picture[: scale * H, : scale * W] / 255
    return target, imresize(target, size=(H, W))


@dataclass
class SubImages:
    """Square pieces of pictures: what the network is given, and what it should answer.

    Attributes
    ----------
    given : (C, M) float32 array
        The pixels of all pictures, one picture after the other, shrunk and enlarged again.
    targets : (C, M) float32 array
        The same pictures before that.
    corners : (S,) int array
        Where in M each sub-image's first pixel is.
    widths : (S,) int array
        How wide its picture is: its rows are so far apart in M.
    size : int
        Side of a sub-image in pixels.
    margin : (top, bottom, left, right)
        Pixels of a sub-image the network gives no answer to, see `Sequential.margin`.
    """

    given: np.ndarray
    targets: np.ndarray
    corners: np.ndarray
    widths: np.ndarray
    size: int
    margin: Pads

    def __post_init__(self) -> None:
        rows, columns = np.indices((self.size, self.size))
        self._rows = np.array([turn(rows, how) for how in range(8)])  # (8, size, size)
        self._columns = np.array([turn(columns, how) for how in range(8)])

    def __len__(self) -> int:
        return len(self.corners)

    def batch(
        self, indices: np.ndarray, turns: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut out some sub-images.

        Parameters
        ----------
        indices : (N,) int array
            Which ones.
        turns : (N,) int array, optional
            How each is flipped and rotated, see `turn`.

        Returns
        -------
        x : (N, C, size, size) float32 array
        target : (N, C, size - top - bottom, size - left - right) float32 array
        """
        turns = np.zeros(len(indices), int) if turns is None else turns
        corners, widths = (a[indices, None, None] for a in (self.corners, self.widths))
        # Where the pixel is that lies, turned, in row i and column j.
        places = corners + self._rows[turns] * widths + self._columns[turns]  # (N, size, size)
        top, bottom, left, right = self.margin
        inside = places[:, top : self.size - bottom, left : self.size - right]
        return np.moveaxis(self.given[:, places], 0, 1), np.moveaxis(self.targets[:, inside], 0, 1)


def cut_sub_images(
    pictures: list[np.ndarray],
    scale: int,
    *,
    size: int = 33,
    stride: int = 14,
    margin: Pads = (0, 0, 0, 0),
    enlargement: Enlargement = "bicubic",
) -> SubImages:
    """Shrink and enlarge pictures, and lay a grid of sub-images over each.

    Parameters
    ----------
    pictures : list of (H, W) or (H, W, 3) uint8 arrays
    scale : int
    size, stride : int
        Side of a sub-image, and the step from one to the next, in pixels of the
        enlarged picture: 33 and 14 in the paper.
    margin : (top, bottom, left, right)
        Of the network, see `Sequential.margin`.
    enlargement : "bicubic" or "nearest"

    Returns
    -------
    sub_images : SubImages

    Raises
    ------
    InputError
        If no picture is as large as one sub-image, or the network needs more.
    ValueError
        If the size, the stride or the scale is below 1, or the enlargement is another word.
    """
    if size < 1 or stride < 1:
        raise ValueError(f"size is {size}, stride {stride}: give at least 1")
    if size <= max(margin[0] + margin[1], margin[2] + margin[3]):
        raise InputError(
            f"sub-images of {size} x {size} are too small: the network's filters take "
            f"{max(margin[0] + margin[1], margin[2] + margin[3])} pixels and leave none"
        )
    given, targets, corners, widths, pixels = [], [], [], [], 0
    for picture in pictures:
        if not is_large_enough(picture, scale, size):
            continue
        target, small = shrink(picture, scale)
        H, W = target.shape[:2]
        rows, columns = np.arange(0, H - size + 1, stride), np.arange(0, W - size + 1, stride)
        corners.append((pixels + rows[:, None] * W + columns).ravel())
        widths.append(np.full(len(rows) * len(columns), W))
        given.append(_channels_first(enlarge(small, scale, enlargement)))
        targets.append(_channels_first(target))
        pixels += H * W
    if not given:
        raise InputError(
            f"none of {len(pictures)} pictures is as large as one sub-image of {size} x {size}; "
            "give larger pictures or smaller sub-images"
        )
    given, targets = np.concatenate(given, axis=1), np.concatenate(targets, axis=1)
    return SubImages(given, targets, np.concatenate(corners), np.concatenate(widths), size, margin)


def turn(x: np.ndarray, how: int) -> np.ndarray:
    """One of the eight ways to lay a square on its place.

    Parameters
    ----------
    x : (..., H, W) array
    how : int
        0 to 7: quarter turns to the left, how % 4 of them; from 4 on mirrored first.

    Returns
    -------
    turned : view of x
        (..., W, H) after an odd number of quarter turns.

    Raises
    ------
    ValueError
        If `how` is another number.
    """
    if how not in range(8):
        raise ValueError(f"how is {how}: give a whole number from 0 to 7")
    return np.rot90(x[..., ::-1] if how >= 4 else x, how % 4, axes=(-2, -1))


def _channels_first(picture: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) as (C, H * W), float32."""
    pixels = picture.reshape(picture.shape[0] * picture.shape[1], -1)
    return pixels.T.astype(np.float32, order="C")
