"""Enlarge a whole picture: luma through the network, colour by interpolation.

The eye sees detail in brightness, but hardly in colour. So the paper sharpens luma alone.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .choice import check_repair, choose
from .errors import InputError, brief
from .imaging import Picture, enlarge, read_picture, rgb_to_ycbcr, ycbcr_to_rgb
from .imaging.colour import grey_to_luma, luma_to_grey
from .imaging.files import picture_of, to_pillow, white
from .imaging.resize import resized_rows
from .model import Model, default_name, load_model

BICUBIC = "bicubic"  # this name stands for no model
SCALES = (2, 3, 4)  # there are models for these
LARGEST_SCALE = max(SCALES) ** 2  # with two models in turn


def upscale(
    picture: Any,
    scale: float | None = None,
    model: Model | str | Path | None = None,
    *,
    size: tuple[int, int] | None = None,
    repair: str = "auto",
) -> Any:
    """Enlarge a picture.

    Parameters
    ----------
    picture : array, PIL image, path or Picture
        An array is (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGB and alpha, of uint8, uint16, or
        floating point in [0, 1].
    scale : number, optional
        Factor for both sides, up to 16; by default the model's.
    model : Model, str or Path, optional
        A model, its name or its file, or "bicubic" for interpolation alone. The default is the
        shipped model that suits the scale and the picture.
    size : (H, W), optional
        The size of the result, instead of a scale.
    repair : str
        How to treat traces of JPEG and noise if no model is given: "auto" looks for them,
        see `srcnn_np.choice`.

    Returns
    -------
    enlarged
        An array (of the same dtype and channels) for an array, a Picture for a Picture; otherwise a
        PIL image.

    Raises
    ------
    InputError
        If the picture cannot be read or is none of the above, or if the model does not exist, was
        trained for another scale, or gives a result that is not finite.

    Notes
    -----
    If no model gives exactly the size, the next larger scale is used, if necessary with two models
    in turn. Then `imresize` makes the size exact.

    Beyond its border, the picture is continued by its mirror image. Without this, each layer would
    continue its input by copies of the outermost pixels. The mirror image is more like what a
    camera would have seen. (`srcnn_np.evaluation` measures with copies, as the paper does.)

    Examples
    --------
    >>> upscale(np.zeros((20, 30), np.uint8), 2).shape
    (40, 60)
    """
    given, back = _as_picture(picture)
    goal = Goal(scale, size=size, model=model, repair=repair)
    way = goal.way(given)
    return back(way.enlarge(given))


@dataclass(frozen=True)
class Goal:
    """The size that is wanted: one of scale, width, height, fit and size, or none of them.

    Attributes
    ----------
    scale : number, optional
        By default the model's.
    width, height : int, optional
        One side of the result; the other follows.
    fit : (W, H), optional
        The result is the largest that fits into this.
    size : (H, W), optional
    model : Model, str, Path or None
    repair : str
        See `upscale`.
    name : str
        The model's name.

    Raises
    ------
    InputError
        If several sizes are given, or a number is not allowed.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None
    fit: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    model: Model | str | Path | None = None
    repair: str = "auto"
    name: str = field(default="model", init=False)

    def __post_init__(self) -> None:
        sizes = ("scale", "width", "height", "fit", "size")
        given = [name for name in sizes if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} do not go together; give one of them")
        scale = self.scale
        if scale is not None and not (_is_number(scale) and 0 < scale <= LARGEST_SCALE):
            raise InputError(
                f"scale is {brief(scale)}; give a number above 0, up to {LARGEST_SCALE}"
            )
        for name in given:
            if name != "scale" and not _is_size(getattr(self, name), name in ("fit", "size")):
                two = {"fit": "(width, height)", "size": "(height, width)"}
                how = f"{two[name]}, two whole numbers" if name in two else "a whole number"
                raise InputError(f"{name} is {brief(getattr(self, name))}; give {how} of 1 or more")
        if self.model is not None and not isinstance(self.model, (Model, str, Path)):
            raise InputError(
                f"the model is a {type(self.model).__name__}; give a name, a file or a Model, such "
                "as Model(network, scale)"
            )
        check_repair(self.repair)
        if self.model is not None and self.repair != "auto":
            raise InputError("repair chooses a model, and one is given; leave out one of them")
        if isinstance(self.model, (str, Path)) and self.model != BICUBIC:
            object.__setattr__(self, "name", Path(self.model).name)
            object.__setattr__(self, "model", load_model(self.model))
        if not given and self._own_scale() is None:
            raise InputError("there is no scale; give one, or a model that has one")

    def _own_scale(self) -> int | None:
        return self.model.scale if isinstance(self.model, Model) else None

    @property
    def label(self) -> str:
        """The label added to results' names, such as "x3", "w800" or "800x600"."""
        if self.width is not None or self.height is not None:
            return f"w{self.width}" if self.height is None else f"h{self.height}"
        if self.fit is not None or self.size is not None:
            return "x".join(map(str, self.fit or self.size[::-1]))
        return f"x{self._own_scale() if self.scale is None else self.scale:g}"

    def size_of(self, H: int, W: int) -> tuple[int, int]:
        """Return the result's size (H, W) for a picture of H x W pixels."""
        if self.size is not None:
            return int(self.size[0]), int(self.size[1])
        factor = self._own_scale() if self.scale is None else self.scale
        if self.width is not None:
            factor = self.width / W
        elif self.height is not None:
            factor = self.height / H
        elif self.fit is not None:
            factor = min(self.fit[0] / W, self.fit[1] / H)
        if factor == int(factor):
            return int(factor) * H, int(factor) * W
        return max(1, round(factor * H)), max(1, round(factor * W))

    def way(self, picture: Picture) -> "Way":
        """Return the steps that enlarge a picture."""
        H, W = picture.pixels.shape[:2]
        size = self.size_of(H, W)
        factor = max(size[0] / H, size[1] / W)
        if factor > LARGEST_SCALE:
            raise InputError(
                f"{W} x {H} pixels would become {size[1]} x {size[0]}, more than "
                f"{LARGEST_SCALE} times as wide or high; give a smaller size"
            )
        if factor <= 1 or self.model == BICUBIC:
            return Way(size, (), BICUBIC, "made smaller" if factor < 1 else "")
        if self.model is None:
            scales = _scales(factor)
            name, seen = choose(picture, scales[0], self.repair)
            names = [name, *map(default_name, scales[1:])]
            passes = tuple(zip(scales, map(_shipped, names), strict=True))
            name = ", ".join(names)
            asked = self.repair not in ("auto", "off")
            said = f"model {name}" if asked else f"{seen}: model {name}" if seen else ""
            return Way(size, passes, name, said)
        model = self.model
        if self.scale is not None and self.scale == int(self.scale):
            model.check_scale(int(self.scale))
        scale = model.scale or math.ceil(factor)
        times = 1 if factor <= scale else 2
        if factor > scale**times:
            raise InputError(
                f"the model was trained for scale {scale}, and {factor:g} is more than two in "
                "turn reach; choose another model"
            )
        return Way(size, ((scale, model),) * times, self.name)


class Way(NamedTuple):
    """The steps that enlarge a picture.

    Attributes
    ----------
    size : (H, W)
        The result's size.
    passes : tuple of (scale, Model)
        The models in turn; `imresize` follows if they do not give exactly the size.
    name : str
        The names of the models, or "bicubic" without models.
    said : str
        The traces seen in the picture and the model chosen for them; else empty.
    """

    size: tuple[int, int]
    passes: tuple[tuple[int, Model], ...]
    name: str
    said: str = ""

    def enlarge(self, picture: Picture, progress: Callable[[Iterable], Iterable] = iter) -> Picture:
        """Return the enlarged picture, of the same kind and with its metadata.

        Between two steps an 8-bit picture has 16 bits. `progress` wraps the strips of a step, as
        `tqdm.tqdm` does.
        """
        H, W = picture.pixels.shape[:2]
        if not self.passes and self._is_whole(H, W):
            return _enlarged(picture, self.size[0] // H, None, progress)
        dtype, result = picture.pixels.dtype, picture
        factor = math.prod(scale for scale, _ in self.passes)
        if dtype == np.uint8 and (len(self.passes) > 1 or self.size != (factor * H, factor * W)):
            result = _of_dtype(picture, np.uint16)
        for scale, model in self.passes:
            result = _enlarged(result, scale, model, progress)
        return _of_dtype(_resized(result, self.size), dtype)

    def _is_whole(self, H: int, W: int) -> bool:
        factor = self.size[0] // H
        return factor >= 1 and self.size == (factor * H, factor * W)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _is_size(value: object, two: bool) -> bool:
    """Whether a value is one side of a picture, or both."""
    sides = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value,)
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in sides)
    return len(sides) == 1 + two and whole and min(sides) >= 1


def _scales(factor: float) -> tuple[int, ...]:
    """Return the scales of one model, or of two in turn, that just reach a factor."""
    ways = [(scale,) for scale in SCALES] + [(a, b) for a in SCALES for b in SCALES if a <= b]
    enough = [way for way in ways if math.prod(way) >= factor]
    return min(enough, key=lambda way: (len(way), math.prod(way)))


@lru_cache(maxsize=8)
def _shipped(name: str) -> Model:
    return load_model(name)


def _as_picture(thing: Any) -> tuple[Picture, Callable[[Picture], Any]]:
    """Return a thing as a Picture, and a function that turns a Picture into such a thing."""
    if isinstance(thing, Picture):
        return thing, lambda result: result
    if isinstance(thing, Image.Image):
        return picture_of(thing), to_pillow
    if isinstance(thing, (str, Path)):
        return read_picture(thing), to_pillow
    if not isinstance(thing, np.ndarray):
        raise InputError(f"{brief(thing)} is no picture; give an array, a PIL image or a path")
    if isinstance(thing, np.ma.MaskedArray):
        raise InputError("the picture is a masked array; give its .filled() values")
    x = thing.astype(thing.dtype.newbyteorder("="), copy=False)
    if not (x.ndim == 2 or (x.ndim == 3 and x.shape[2] in (3, 4))) or x.size == 0:
        more = "; give x[..., 0]" if x.ndim == 3 and x.shape[2] == 1 else ""
        raise InputError(
            f"a picture is an array (H, W), (H, W, 3) or (H, W, 4), not one of {x.shape}{more}"
        )
    if np.issubdtype(x.dtype, np.floating):
        if not (x.min() >= 0 and x.max() <= 1):  # a NaN fails this too
            if not np.isfinite(x).all():
                raise InputError("the picture holds values that are not finite (NaN or infinite)")
            raise InputError(
                f"the picture has values from {x.min():g} to {x.max():g}; in floating point white "
                "is 1 and black 0"
            )
    elif x.dtype not in (np.uint8, np.uint16):
        raise InputError(f"the picture is of {x.dtype}; give uint8, uint16 or floating point")
    if x.ndim == 3 and x.shape[2] == 4:
        return Picture(x[..., :3], x[..., 3]), lambda y: np.dstack([y.pixels, y.alpha])
    return Picture(x), lambda result: result.pixels


def _enlarged(
    picture: Picture,
    scale: int,
    model: Model | None,
    progress: Callable[[Iterable], Iterable],
) -> Picture:
    """Enlarge a picture by a whole factor, by a model or else by bicubic interpolation.

    In floating point, a large picture takes many times as much memory as its file. It is therefore
    enlarged in strips of rows, each with the surrounding rows that its result depends on.
    """
    if model is not None:
        model.check_scale(scale)
    H, W = picture.pixels.shape[:2]
    halo = _halo(scale, model)
    rows = max(_STRIP_PIXELS // (W * scale * scale), 4 * halo)
    shape = (H * scale, W * scale)
    pixels = np.empty(shape + picture.pixels.shape[2:], picture.pixels.dtype)
    alpha = None if picture.alpha is None else np.empty(shape, picture.alpha.dtype)
    columns = _mirrored(-halo, W + halo, W)
    for start in progress(range(0, H, rows)):
        end = min(start + rows, H)
        around = np.ix_(_mirrored(start - halo, end + halo, H), columns)
        inside = np.s_[halo * scale : (halo + end - start) * scale, halo * scale : -halo * scale]
        there = np.s_[start * scale : end * scale]
        strip = picture.pixels[around].astype(np.float32) / picture.peak
        pixels[there] = _whole(_upscale_strip(strip, scale, model)[inside], pixels.dtype)
        if alpha is not None:
            strip = picture.alpha[around].astype(np.float32) / white(alpha.dtype)
            alpha[there] = _whole(enlarge(strip, scale)[inside], alpha.dtype)
    result = Picture(pixels, None, picture.metadata, picture.lost)
    result.alpha = alpha  # what it hides was hidden before: nothing to fill
    return result


# A strip's result has about this many pixels; in float32 and three channels, 13 MB.
_STRIP_PIXELS = 1 << 20


def _halo(scale: int, model: Model | None) -> int:
    """Return on how many rows above and below a row of the picture the result of this row depends.

    Bicubic interpolation looks at two rows on each side. The network looks at as many rows of its
    own input as its reach.
    """
    reach = 0 if model is None else max(model.network.reach)
    return 2 + -(-reach // (scale // (1 if model is None else model.network.zoom)))


def _mirrored(start: int, end: int, length: int) -> np.ndarray:
    """Return indices start, ..., end - 1 of a line; those beyond its ends are mirrored into it."""
    places = np.arange(start, end) % (2 * length)
    return np.where(places < length, places, 2 * length - 1 - places)


def _upscale_strip(x: np.ndarray, scale: int, model: Model | None) -> np.ndarray:
    """Enlarge a strip (H, W) or (H, W, 3) in [0, 1]."""
    if x.ndim == 2:
        # Grey becomes the luma that the same picture in RGB has: the network learnt from that.
        return luma_to_grey(_sharpen(grey_to_luma(x), scale, model))
    ycbcr = rgb_to_ycbcr(x)
    if model is not None and model.colour == "ycbcr":
        return ycbcr_to_rgb(model.predict(enlarge(ycbcr, scale, model.enlargement)))
    luma = _sharpen(ycbcr[..., 0], scale, model)
    return ycbcr_to_rgb(np.dstack([luma, enlarge(ycbcr[..., 1:], scale)]))


def beside(pictures: Mapping[str, Picture]) -> Picture:
    """Join pictures of the same size and kind side by side, each below its caption."""
    captioned = [_captioned(caption, picture) for caption, picture in pictures.items()]
    alphas = [picture.alpha for picture in captioned]
    metadata = list(pictures.values())[-1].metadata
    whole = Picture(np.hstack([picture.pixels for picture in captioned]), None, metadata)
    whole.alpha = None if alphas[0] is None else np.hstack(alphas)
    return whole


def caption_height(width: int) -> int:
    """Return how many rows the caption of a picture of this width takes."""
    return min(32, max(14, width // 16))


def _captioned(caption: str, picture: Picture) -> Picture:
    """Put a white strip with a caption above a picture."""
    W = picture.pixels.shape[1]
    height = caption_height(W)
    image = Image.new("L", (W, height), 255)
    font = ImageFont.load_default(0.7 * height)
    ImageDraw.Draw(image).text((3, height / 2), caption, fill=0, font=font, anchor="lm")
    grey = (np.asarray(image) / 255 * picture.peak).astype(picture.pixels.dtype)
    strip = grey if picture.pixels.ndim == 2 else np.dstack([grey] * 3)
    result = Picture(np.vstack([strip, picture.pixels]), None, picture.metadata)
    if picture.alpha is not None:
        opaque = np.full((height, W), white(picture.alpha.dtype), picture.alpha.dtype)
        result.alpha = np.vstack([opaque, picture.alpha])
    return result


def _sharpen(luma: np.ndarray, scale: int, model: Model | None) -> np.ndarray:
    """Enlarge luma (H, W), and put it through the network if there is one."""
    if model is None:
        return enlarge(luma, scale)
    luma = enlarge(luma, scale, model.enlargement)
    if model.colour == "luma":
        return model.predict(luma)
    neutral = np.full_like(luma, 128 / 255)
    return model.predict(np.dstack([luma, neutral, neutral]))[..., 0]


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize a picture to exactly this size, by bicubic interpolation."""
    if picture.pixels.shape[:2] == size:
        return picture

    def strips(x: np.ndarray) -> np.ndarray:
        H, W = size
        y = np.empty((H, W, *x.shape[2:]), x.dtype)
        step = max(1, _STRIP_PIXELS * H // (max(W, x.shape[1]) * max(H, len(x))))
        for start in range(0, H, step):
            rows = start, min(start + step, H)
            y[slice(*rows)] = _whole(resized_rows(x, size, rows, white(x.dtype)), x.dtype)
        return y

    return _changed(picture, strips)


def _of_dtype(picture: Picture, dtype: np.dtype) -> Picture:
    """Convert a picture between 8 and 16 bits."""
    if picture.pixels.dtype == dtype:
        return picture

    def converted(x: np.ndarray) -> np.ndarray:
        if np.dtype(dtype) == np.uint16:
            return x.astype(np.uint16) * np.uint16(257)
        return ((x.astype(np.uint32) + 128) // 257).astype(np.uint8)

    return _changed(picture, converted)


def _changed(picture: Picture, change: Callable[[np.ndarray], np.ndarray]) -> Picture:
    """Return a picture with its pixels and alpha changed."""
    result = Picture(change(picture.pixels), None, picture.metadata, picture.lost)
    result.alpha = None if picture.alpha is None else change(picture.alpha)
    return result


def _whole(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert floating point in [0, 1] to a dtype's whole numbers, up to its white."""
    x = x.clip(0, 1)
    if np.issubdtype(dtype, np.integer):
        x = np.rint(x * white(dtype))
    return x.astype(dtype)
