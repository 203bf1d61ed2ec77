"""Training data: pictures, and sub-images cut from them.

Pictures come from a folder of photographs, or `draw_pictures` draws them. Then nothing must be
downloaded.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import index
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from .conv.geometry import Pads
from .errors import InputError
from .imaging import Picture, imresize, list_pictures, read_picture, rgb_to_luma, rgb_to_ycbcr
from .imaging.files import picture_area, to_8_bits
from .imaging.resize import Enlargement, enlarging, shrinking
from .pictures import Pictures, room_for
from .team import ALONE, Team


def draw_pictures(count: int, *, size: int = 256, seed: int = 0) -> list[np.ndarray]:
    """Draw pictures of "dead leaves": discs, ellipses and rectangles that hide each other.

    Photographs show things of all sizes in front of each other. The drawn pictures also have what
    matters to super-resolution: sharp edges in all directions between smooth areas, equally at all
    scales. For this the leaves' radii must have a density ~ r^-3 (Lee, Mumford, Huang 2001,
    "Occlusion models for natural images").

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
    # The inverse of the cumulative distribution of a density ~ r^-3 between these two.
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
    folder: str | Path,
    colour: Literal["luma", "ycbcr"] = "luma",
    *,
    grey_is_luma: bool = False,
    team: Team = ALONE,
    progress: Callable[[Iterable], Iterable] = iter,
) -> tuple[Pictures, list[str]]:
    """Read the photographs of a folder.

    Parameters
    ----------
    folder : str or Path
    colour, grey_is_luma
        See `to_channels`.
    team : Team, optional
        The processes that share the work; those on one machine share the memory of the pictures.
    progress : function, optional
        Wraps this process's share of the files, as `tqdm.tqdm` does, to show progress.

    Returns
    -------
    pictures : Pictures
        As `to_channels` returns them, with their files' names.
    skipped : list of str
        The names of the other files, and for each picture that cannot be read, why.

    Raises
    ------
    InputError
        If there is no such folder, no readable picture in it, or not enough room.
    """
    machine, planes = team.on_this_machine(), 3 if colour == "ycbcr" else 1
    paths, skipped = machine.by_first(lambda: list_pictures(folder))

    def area(n: int) -> int | str:
        try:
            return picture_area(paths[n])
        except InputError as error:
            return str(error)
        except MemoryError:
            return f"{paths[n]}: there is not enough memory for it"

    areas = machine.each(area, len(paths))
    room = room_for([(0 if isinstance(a, str) else planes * a,) for a in areas], machine)

    def read(n: int) -> tuple[int, ...] | str:
        if isinstance(areas[n], str):
            return areas[n]
        try:
            pixels = to_channels(read_picture(paths[n]), colour, grey_is_luma=grey_is_luma)
        except InputError as error:
            return str(error)
        except MemoryError:
            return f"{paths[n]}: there is not enough memory for it"
        if pixels.size != room.shapes[n][0]:
            return f"{paths[n]} has another size than its head says"
        Pictures(room.pixels, [pixels.shape], [room.starts[n]])[0][...] = pixels
        return pixels.shape

    found = machine.each(read, len(paths), progress)
    skipped += [why for why in found if isinstance(why, str)]
    whole = [n for n, shape in enumerate(found) if not isinstance(shape, str)]
    if not whole:
        raise InputError(f"{folder} holds no picture that can be read")
    starts, names = [room.starts[n] for n in whole], [paths[n].name for n in whole]
    return Pictures(room.pixels, [found[n] for n in whole], starts, names), skipped


def hold_out(
    pictures: Sequence[np.ndarray], scale: int, size: int = 33
) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
    """Split off every tenth picture, from the first on, to measure progress.

    Parameters
    ----------
    pictures : Pictures, or list of (H, W) or (H, W, 3) arrays
    scale : int
    size : int
        A sub-image's side. Smaller pictures are left out.

    Returns
    -------
    pictures, held_out : Pictures, or lists of arrays

    Raises
    ------
    InputError
        If fewer than two pictures are left.
    """
    large = [n for n, p in enumerate(pictures) if is_large_enough(p.shape, scale, size)]
    if len(large) < 2:
        raise InputError(
            f"large enough for a sub-image of {size} x {size}: {len(large)} of {len(pictures)} "
            "pictures, but two are needed: to learn from, and to measure progress on"
        )
    learnt, held_out = [number for n, number in enumerate(large) if n % 10], large[::10]
    if isinstance(pictures, Pictures):
        return pictures.some(learnt), pictures.some(held_out)
    return [pictures[n] for n in learnt], [pictures[n] for n in held_out]


def with_copies(
    pictures: Sequence[np.ndarray], factors: Sequence[float], team: Team = ALONE
) -> Pictures:
    """Return the pictures and, for each factor, smaller copies of all, as FSRCNN's authors do.

    Parameters
    ----------
    pictures : Pictures, or list of (H, W) or (H, W, 3) uint8 arrays
    factors : list of number
        Above 0, below 1.
    team : Team, optional
        The processes that share the work; those on one machine share the memory.

    Raises
    ------
    ValueError
        If a factor is not between 0 and 1.

    References
    ----------
    Dong, Loy, Tang 2016, arXiv:1608.00367, section 4.1.
    """
    if not all(0 < factor < 1 for factor in factors):
        raise ValueError(f"factors are {factors}: give numbers above 0, below 1")
    pictures, machine = Pictures.of(pictures), team.on_this_machine()
    shapes = [
        (*(max(1, round(factor * side)) for side in shape[:2]), *shape[2:])
        for factor in (1, *factors)
        for shape in pictures.shapes
    ]
    copies = room_for(shapes, machine)

    def fill(n: int) -> None:
        picture = pictures[n % len(pictures)]
        if n >= len(pictures):
            picture = imresize(picture, size=shapes[n][:2])
        copies[n][...] = picture

    machine.each(fill, len(shapes))
    return copies


def is_large_enough(shape: tuple[int, ...], scale: int, size: int) -> bool:
    """Whether size x size pixels fit into a picture (H, W, ...) after `shrink` has cropped it."""
    return min(shape[:2]) // scale * scale >= size


def check_channels(pictures: Pictures, channels: int) -> None:
    """Raise an InputError if one of the pictures has fewer channels than a network takes."""
    for shape in pictures.shapes:
        if (*shape, 1)[2] < channels:
            raise InputError(
                f"the network takes {channels} channels, and a picture of shape {shape} has "
                f"{(*shape, 1)[2]}; give Y, Cb and Cr (`to_channels`), or a network of fewer"
            )


def to_channels(
    picture: Picture, colour: Literal["luma", "ycbcr"] = "luma", *, grey_is_luma: bool = False
) -> np.ndarray:
    """Return a picture's 8-bit luma (H, W), or Y, Cb, Cr (H, W, 3).

    Parameters
    ----------
    picture : Picture
    colour : "luma" or "ycbcr"
    grey_is_luma : bool
        Whether the values of a grey file, from 0 to 255, are luma already, as in the paper's
        protocol. If not, they become the luma that the same picture has in RGB: 16 to 235.

    Raises
    ------
    ValueError
        If the colour is any other word.
    """
    if colour not in ("luma", "ycbcr"):
        raise ValueError(f"unknown colour {colour!r}: choose luma or ycbcr")
    pixels = to_8_bits(picture.pixels)
    if pixels.ndim == 2 and not grey_is_luma:
        pixels = np.dstack([pixels] * 3)
    if pixels.ndim == 3:
        return rgb_to_ycbcr(pixels) if colour == "ycbcr" else rgb_to_luma(pixels)
    neutral = np.full_like(pixels, 128)
    return np.dstack([pixels, neutral, neutral]) if colour == "ycbcr" else pixels


def shrink(picture: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture as the target, and the small picture from which to restore it.

    Parameters
    ----------
    picture : (H, W) or (H, W, 3) uint8 array
    scale : int

    Returns
    -------
    target : (h, w) or (h, w, 3) float64 array in [0, 1]
        The picture, cropped at the bottom and the right to sides that are multiples of the
        scale.
    small : (h / scale, w / scale) or (h / scale, w / scale, 3) float64 array
        The target shrunk by `imresize`, not rounded.

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


class SubImages:
    """Square pieces of pictures: the network's inputs x, and their targets.

    Parameters
    ----------
    pictures : Pictures
        Each large enough for at least one sub-image.
    scale : int
    size, stride : int
        A sub-image's side, and the step to the next one, in pixels of the picture.
    margin : (top, bottom, left, right)
        Pixels on each side of a sub-image that have no target, see `Sequential.margin`.
    enlargement : "bicubic", "nearest" or "none"
        With "none" size and stride are multiples of the scale.
    channels : int, optional
        How many of the pictures' channels to cut out; by default all.

    Notes
    -----
    Only the pictures are kept. When a sub-image is cut, its piece of the picture is shrunk and
    enlarged again, to be the network's input; see `srcnn_np.kernels.sub_images`.
    """

    def __init__(
        self,
        pictures: Pictures,
        scale: int,
        size: int,
        stride: int,
        margin: Pads,
        enlargement: Enlargement,
        channels: int | None = None,
    ) -> None:
        self._ratio = scale if enlargement == "none" else 1  # the target's side / x's
        self.pictures, self.size, self.stride, self.margin = pictures, size, stride, margin
        self._most = (size // scale + 11) * scale + 2  # shrinking and enlarging see 2 pixels more
        self._turns, self._x_turns = (
            np.array([[turn(a, how) for how in range(8)] for a in np.indices((side, side))])
            for side in (size, size // self._ratio)
        )  # (2, 8, side, side) each
        sides = np.array([shape[:2] for shape in pictures.shapes])  # (P, 2)
        self.channels = channels or (*pictures.shapes[0], 1)[2]
        steps = (sides // scale * scale - size) // stride + 1  # the grid in each picture
        self._across, self._firsts = steps[:, 1], np.append(0, np.cumsum(steps.prod(1)))
        self._at, self._planes, self._widths = np.array(pictures.starts), sides.prod(1), sides[:, 1]
        lengths, which = np.unique(sides // scale, return_inverse=True)  # of the small pictures
        which = which.reshape(sides.shape)
        down = [shrinking(n, scale) for n in lengths.tolist()]
        kept = [(np.arange(n)[:, None], np.ones((n, 1))) for n in lengths.tolist()]
        up = [enlarging(n, scale, enlargement) for n in lengths.tolist()]
        self._down, self._kept, self._up = _stacked(down), _stacked(kept), _stacked(up)
        self._down_at = np.append(0, np.cumsum(lengths))[which]  # (P, 2)
        self._up_at = scale // self._ratio * self._down_at

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def batch(
        self,
        indices: np.ndarray,
        turns: np.ndarray | None = None,
        small: Pictures | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut out some sub-images.

        Parameters
        ----------
        indices : (N,) int array
            Their numbers.
        turns : (N,) int array, optional
            How to flip and rotate each, see `turn`.
        small : Pictures, optional
            The small pictures to enlarge for the network; by default the pictures are shrunk.

        Returns
        -------
        x : (N, C, side, side) float32 array
            The side is the size, or size / scale if the network enlarges.
        target : (N, C, size - top - bottom, size - left - right) float32 array
        """
        from .compiling import COMPILES  # loads Numba, as the next two do
        from .conv.threads import share
        from .kernels.sub_images import Places, cut, cut_plainly

        count, size = len(indices), self.size
        turns = np.zeros(count, int) if turns is None else turns
        which = np.searchsorted(self._firsts, indices, "right") - 1
        rows, columns = np.divmod(indices - self._firsts[which], self._across[which])
        planes = self._at[which], self._planes[which], self._widths[which]
        source, down, given = self.pictures, self._down, planes
        if small is not None:
            source, down = small, self._kept
            sides = np.array([small.shapes[n][:2] for n in which])
            starts = np.array([small.starts[n] for n in which])
            given = starts, sides.prod(1), sides[:, 1]
        places = Places(
            *planes,
            *given,
            rows * self.stride,
            columns * self.stride,
            turns.astype(int),
            *self._down_at[which].T.copy(),
            *self._up_at[which].T.copy(),
        )
        top, bottom, left, right = self.margin
        side = size // self._ratio
        x = np.empty((count, self.channels, side, side), np.float32)
        inside = size - top - bottom, size - left - right
        target = np.empty((count, self.channels, *inside), np.float32)
        how = self._ratio, self._x_turns, self._turns

        def work(part: int) -> None:
            some = slice(part * _TOGETHER, (part + 1) * _TOGETHER)
            here = Places(*(a[some] for a in places))
            arrays = self.pictures.pixels, source.pixels, here, down, self._up, *how
            rest = top, left, x[some], target[some], self._most
            (cut if COMPILES else cut_plainly)(*arrays, *rest)

        share(work, -(-count // _TOGETHER))
        return x, target


_TOGETHER = 16  # sub-images that a thread cuts at once


def _stacked(taps):
    """Stack the rows of matrices; rows with fewer taps get extra taps of weight 0."""
    from .kernels.sub_images import Taps

    most = max(indices.shape[1] for indices, _ in taps)
    filled = [(most - indices.shape[1], indices, weights) for indices, weights in taps]
    indices = [np.pad(a, ((0, 0), (0, more)), mode="edge") for more, a, _ in filled]
    weights = [np.pad(a, ((0, 0), (0, more))) for more, _, a in filled]
    together = np.concatenate(indices).astype(np.int32), np.concatenate(weights).astype(np.float32)
    return Taps(*map(np.ascontiguousarray, together))


def cut_sub_images(
    pictures: Sequence[np.ndarray],
    scale: int,
    *,
    size: int = 33,
    stride: int = 14,
    margin: Pads = (0, 0, 0, 0),
    enlargement: Enlargement = "bicubic",
    channels: int | None = None,
) -> SubImages:
    """Lay a grid of sub-images over each picture.

    Parameters
    ----------
    pictures : Pictures, or list of (H, W) or (H, W, 3) uint8 arrays
        A list is copied.
    scale : int
    size, stride : int
        A sub-image's side, and the step to the next one, in pixels of the enlarged picture:
        33 and 14 in the paper.
    margin : (top, bottom, left, right)
        The network's, see `Sequential.margin`.
    enlargement : "bicubic", "nearest" or "none"
        With "none", both become multiples of the scale: the size is rounded down, the stride up.
    channels : int, optional
        How many of the pictures' channels to cut out; by default all.

    Returns
    -------
    sub_images : SubImages

    Raises
    ------
    InputError
        If no picture is as large as a sub-image, sub-images are too small for the network, or
        the pictures have too few channels.
    ValueError
        If the size, stride or scale is below 1, or the enlargement is any other word.
    TypeError
        If a picture is not uint8.
    """
    if size < 1 or stride < 1:
        raise ValueError(f"size is {size}, stride {stride}: give at least 1")
    if scale < 1:
        raise ValueError(f"scale is {scale}: give a whole number of at least 1")
    ratio = scale if enlargement == "none" else 1  # so that small pixels are whole
    size, stride = size // ratio * ratio, -(-stride // ratio) * ratio
    if size <= max(margin[0] + margin[1], margin[2] + margin[3]):
        raise InputError(
            f"sub-images of {size} x {size} are too small: the network's filters take "
            f"{max(margin[0] + margin[1], margin[2] + margin[3])} pixels and leave none"
        )
    pictures = Pictures.of(pictures)
    if len({shape[2:] for shape in pictures.shapes}) > 1:
        raise ValueError("some of the pictures are grey, some are not: give all alike")
    check_channels(pictures, channels or 1)
    large = [n for n, shape in enumerate(pictures.shapes) if is_large_enough(shape, scale, size)]
    if not large:
        raise InputError(
            f"none of {len(pictures)} pictures is as large as one sub-image of {size} x {size}; "
            "give larger pictures or smaller sub-images"
        )
    return SubImages(pictures.some(large), scale, size, stride, margin, enlargement, channels)


def turn(x: np.ndarray, how: int) -> np.ndarray:
    """Turn a square in one of eight ways: by quarter turns, with or without mirroring.

    Parameters
    ----------
    x : (..., H, W) array
    how : int
        0 to 7: `how % 4` quarter turns to the left; from 4 on, x is mirrored first.

    Returns
    -------
    turned : view of x
        (..., W, H) after an odd number of quarter turns.

    Raises
    ------
    ValueError
        If `how` is any other number.
    """
    if how not in range(8):
        raise ValueError(f"how is {how}: give a whole number from 0 to 7")
    return np.rot90(x[..., ::-1] if how >= 4 else x, how % 4, axes=(-2, -1))
