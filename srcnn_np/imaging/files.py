"""Reading and writing pictures through Pillow."""

import io
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from ..errors import PROCESS, InputError
from ..output import writing
from .metadata import read_metadata, save_options
from .traces import quality_of_tables

STANDARD_INPUT = ("-", "/dev/stdin")
STANDARD_OUTPUT = "-"
_MOST_FROM_STANDARD_INPUT = 1 << 30  # bytes
# The formats to read: still pictures that Pillow decodes itself. (It would give EPS to
# Ghostscript, a separate program.)
FORMATS = (
    *("PNG", "JPEG", "TIFF", "WEBP", "AVIF", "GIF", "BMP", "DIB", "ICO", "ICNS", "JPEG2000"),
    *("PPM", "TGA", "DDS", "PCX", "PSD", "QOI", "SGI"),
)
_WRITTEN = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
_SAVE = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_deflate"},
}
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF
_WITH_FRAMES = ("GIF", "PNG", "TIFF", "WEBP", "MPO", "AVIF")


@dataclass
class Picture:
    """A picture as it lies in a file.

    Attributes
    ----------
    pixels : (H, W) grey or (H, W, 3) RGB array of uint8, uint16, or floating point in [0, 1]
        From a file, RGB is uint8, and grey is uint8 or uint16. A pixel with `alpha` 0 cannot be
        seen. It gets the colour of the nearest visible one; its hidden colour affects nothing.
    alpha : (H, W) array of a dtype that pixels may have, or None
        Opacity.
    metadata : dict
        Data to write along with the pixels, see `srcnn_np.imaging.metadata`.
    lost : list of str
        The parts of the picture's file that are missing here, such as "8 of 16 bits".
    quality : int or None
        The JPEG file's quality, 1 to 100, see `srcnn_np.imaging.traces`.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: dict = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    quality: int | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None and not self.alpha.all():
            self.pixels = _hidden_filled(self.pixels, self.alpha == 0)

    @property
    def peak(self) -> int:
        """The value of white: 255, 65535, or 1 in floating point."""
        return white(self.pixels.dtype)


def white(dtype: np.dtype) -> int:
    """Return the largest value of pixels of a dtype; 1 in floating point."""
    return int(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1


def read_picture(path: str | Path, *, max_pixels: int | None = None) -> Picture:
    """Read a still picture of one of `FORMATS`.

    The picture is turned upright by its EXIF orientation. A palette becomes the colours that it
    stands for, CMYK and Lab become RGB by their profiles, and 16-bit grey stays 16-bit. Of several
    frames, only the first is read. (Pillow gives 16-bit colour as 8-bit.)

    Parameters
    ----------
    path : str or Path
        An ordinary file, or "-" for standard input.
    max_pixels : int, optional
        The largest size allowed; by default 178,956,970, twice Pillow's MAX_IMAGE_PIXELS.

    Returns
    -------
    picture : Picture

    Raises
    ------
    InputError
        If there is no such ordinary file; or if it is no picture, is damaged, cut short or too
        large, or has pixels that `Picture` cannot hold.
    """
    with _opened(path, max_pixels) as (image, head):
        bits = _bits_in_file(image, head)
        grey = bool(image.tile) and str(image.tile[0].args).startswith("LA")
        image.load()
        picture = _from_pillow(image, bits, grey)
        if image.format == "PNG" and b"cICP" in head:
            picture.lost.append("colours by cICP")
        return picture


def picture_area(path: str | Path, *, max_pixels: int | None = None) -> int:
    """Return a picture's number of pixels, as its file says it.

    Raises
    ------
    InputError
        If there is no such ordinary file, or if it is no picture or too large.
    """
    with _opened(path, max_pixels) as (image, _):
        return image.width * image.height


@contextmanager
def _opened(path: str | Path, max_pixels: int | None) -> Iterator[tuple[Image.Image, bytes]]:
    """Open a picture's file with Pillow; yield the image and the file's first bytes."""
    check_readable(path, "picture")
    piped = str(path) in STANDARD_INPUT
    name = "standard input" if piped else path
    try:
        with _standard_input() if piped else open(path, "rb") as file:
            head = file.read(4096)
            file.seek(0)
            with _pillow(head, max_pixels), Image.open(file, formats=FORMATS) as image:
                yield image, head
    except InputError as error:
        raise InputError(f"{name} {error}") from error
    except MemoryError:
        raise
    except Image.UnidentifiedImageError as error:
        kinds = "PNG, JPEG, TIFF, WebP and the like"
        raise InputError(f"{name} is not a picture of a format that is read ({kinds})") from error
    except Image.DecompressionBombError as error:
        limit = max_pixels or 2 * Image.MAX_IMAGE_PIXELS
        raise InputError(
            f"{name} has more than {limit:,} pixels; upscale, show and report allow more by "
            "--max-pixels N"
        ) from error
    except Exception as error:  # Pillow's readers raise a dozen types on damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{name} cannot be read: {error.strerror}") from error
        raise InputError(f"{name} is damaged or cut short, and cannot be read") from error


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise InputError("is closed; give a file")
    content = sys.stdin.buffer.read(_MOST_FROM_STANDARD_INPUT + 1)
    if len(content) > _MOST_FROM_STANDARD_INPUT:
        raise InputError("holds more than 1 GB; give a file")
    return io.BytesIO(content)


def check_readable(path: str | Path, what: str) -> None:
    """Raise an InputError unless `path` is an ordinary file, or standard input.

    A folder, a pipe or a device is neither: reading one may last for ever.
    """
    if str(path) in STANDARD_INPUT:
        return
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the name") from error
    except ValueError as error:  # a zero byte
        raise InputError(f"{path} is no file's name") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder; give a {what}")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is no ordinary file but a pipe or a device; give a {what}'s file")


def write_picture(
    path: str | Path, picture: Picture, *, force: bool = False, quality: int | None = None
) -> list[str]:
    """Write a picture in the format that the file's name ends in.

    Without `quality`, JPEG has quality 95 and WebP is lossless. JPEG has no chroma subsampling.
    TIFF is compressed unless it has EXIF or XMP: Pillow's compressed TIFFs cannot hold all EXIF.

    Parameters
    ----------
    path : str or Path
    picture : Picture
    force : bool
        Replace a file that is there already.
    quality : int, optional
        1 to 100, for JPEG, or for WebP, which is then not lossless.

    Returns
    -------
    lost : list of str
        The metadata that the format has no place for.

    Raises
    ------
    InputError
        If the ending is unknown, the format cannot hold the picture (see `check_format`), the file
        exists and `force` is not given, or the file cannot be written.
    """
    check_format(path, picture, picture.pixels.shape[:2], quality)
    with writing(path, force=force) as part:
        return _save(picture, part, picture_format(path), quality)


def encoded(picture: Picture, ending: str, quality: int | None = None) -> bytes:
    """Return a picture as a file's bytes, in the format that an ending such as ".png" names.

    Parameters and errors are those of `write_picture`.
    """
    check_format(f"picture{ending}", picture, picture.pixels.shape[:2], quality)
    file = io.BytesIO()
    _save(picture, file, picture_format(f"picture{ending}"), quality)
    return file.getvalue()


def _save(picture: Picture, file: Path | BinaryIO, format_: str, quality: int | None) -> list[str]:
    """Write a picture; return the metadata that the format has no place for."""
    metadata = dict(picture.metadata)
    lost = []
    if format_ == "WEBP" and picture.pixels.ndim == 2 and metadata.pop("icc_profile", None):
        lost = ["colour profile of its greys"]  # WebP knows colour only
    options, homeless = save_options(format_, metadata, picture.pixels.shape[:2])
    options = {**_SAVE.get(format_, {}), **options}
    if quality is not None:
        options |= {"quality": quality, "lossless": False}
    if format_ == "TIFF" and picture.pixels.nbytes > 1 << 31:
        options["big_tiff"] = True
    with _quiet(format_ == "TIFF"):
        to_pillow(picture).save(file, format_, **options)
    return lost + homeless


def check_format(
    path: str | Path, picture: Picture, size: tuple[int, int], quality: int | None = None
) -> None:
    """Raise an InputError if the format that a name ends in cannot hold such a picture.

    Parameters
    ----------
    path : str or Path
    picture : Picture
        A picture of the kind to write.
    size : (H, W)
        The size to write.
    quality : int, optional
        The quality to write.
    """
    format_ = picture_format(path)
    if quality is not None and format_ not in ("JPEG", "WEBP"):
        raise InputError(f"{path}: {format_} has no quality; give a name ending in .jpg or .webp")
    why = None
    if picture.alpha is not None and format_ not in ("PNG", "TIFF", "WEBP"):
        why = "transparency"
    elif picture.pixels.dtype == np.uint16 and format_ not in ("PNG", "TIFF"):
        why = "16 bits"
    elif max(size) > _LONGEST_SIDE.get(format_, 1 << 31):
        why = f"{size[1]} x {size[0]} pixels (at most {_LONGEST_SIDE[format_]:,} a side)"
    elif format_ == "BMP" and 3 * size[0] * size[1] >= 1 << 32:
        why = "4 GB"
    if why:
        raise InputError(f"{path}: {format_} cannot hold {why}; give a name ending in .png")


def picture_format(path: str | Path) -> str:
    """Return Pillow's name of the format that a file name ends in.

    Raises
    ------
    InputError
        If it is not a format that we write.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITTEN:
        raise InputError(
            f"{path} does not say a format to write; give a name ending in one of "
            f"{', '.join(_WRITTEN)}, or in / for a folder"
        )
    return _WRITTEN[suffix]


def is_written(suffix: str) -> bool:
    """Whether a picture can be written with this ending."""
    return suffix.lower() in _WRITTEN


def list_pictures(
    folder: str | Path, *, none_is_fine: bool = False
) -> tuple[list[Path], list[str]]:
    """List the pictures of a folder, by the endings of their names.

    Parameters
    ----------
    folder : str or Path
    none_is_fine : bool
        Do not raise an error if there is no picture.

    Returns
    -------
    paths : list of Path
        The pictures, in order of name.
    others : list of str
        The other names that are there and not hidden; the name of a folder ends in a slash.

    Raises
    ------
    InputError
        If there is no such folder, it cannot be read, or there is no picture in it.
    """
    folder = Path(folder)
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        paths = [path for path in entries if is_picture_name(path) and path.is_file()]
    except FileNotFoundError as error:
        raise InputError(f"{folder} does not exist; give a folder of pictures") from error
    except NotADirectoryError as error:
        raise InputError(f"{folder} is not a folder; give a folder of pictures") from error
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}") from error
    if not paths and not none_is_fine:
        raise InputError(f"{folder} holds no pictures: no file ends in .png, .jpg or the like")
    taken = set(paths)
    others = [path.name + "/" * path.is_dir() for path in entries if path not in taken]
    return paths, others


def is_picture_name(path: str | Path) -> bool:
    """Whether a name has an ending of one of `FORMATS`."""
    kind = Image.registered_extensions().get(Path(path).suffix.lower())
    return kind in FORMATS or kind == "MPO"  # MPO is several JPEGs in a file


@contextmanager
def _pillow(head: bytes, max_pixels: int | None) -> Iterator[None]:
    """Let Pillow read a file that begins with `head`, of up to `max_pixels`, without warnings."""
    with PROCESS, warnings.catch_warnings(), _quiet(head[:2] in (b"II", b"MM")):
        warnings.simplefilter("ignore")  # Pillow warns when it repairs a file
        before = Image.MAX_IMAGE_PIXELS
        if max_pixels is not None:
            Image.MAX_IMAGE_PIXELS = max_pixels / 2  # Pillow refuses more than twice that
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _quiet(wanted: bool) -> Iterator[None]:
    """Silence the TIFF library, which writes to the process's standard error."""
    if not wanted:
        yield
        return
    with PROCESS, open(os.devnull, "wb") as nowhere:
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _bits_in_file(image: Image.Image, head: bytes) -> int:
    """Return the bits of a sample in the file: Pillow keeps only eight for colours."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (8,)))
    if image.format == "JPEG2000":  # 42 bytes after the start marker: a sample's bits
        at = head.find(b"\xff\x4f\xff\x51")
        return 1 + (head[at + 42] & 0x7F) if 0 <= at < len(head) - 42 else 8
    if image.format == "AVIF":  # the same, 9 bytes after the name "pixi" of a box
        at = head.find(b"pixi")
        return head[at + 9] if 0 <= at < len(head) - 9 else 8
    codec = image.tile[0].args if image.tile else ""
    if image.format == "PPM" and isinstance(codec, tuple):
        return int(codec[-1]).bit_length()
    return 16 if ";16" in str(codec) else 8


def _from_pillow(image: Image.Image, bits: int, grey: bool) -> Picture:
    deep = image.mode.startswith("I")
    lost: list[str] = []
    turned = _upright(image)
    if image.mode == "F":
        raise InputError("has floating-point pixels; convert it to 8 or 16 bits")
    pixels, alpha = _deep_grey(image, turned, bits) if deep else _eight_bits(turned, lost)
    if grey:  # Pillow reads deep grey with alpha as colour
        pixels = pixels[..., 0] if pixels.ndim == 3 else pixels
    channels = "grey" if pixels.ndim == 2 else "colour"
    metadata, unkept = read_metadata(image, channels)
    if image.mode in ("CMYK", "LAB"):
        metadata.pop("icc_profile", None)  # it is not for the RGB that the pixels have become
    if bits > 8 and image.mode == "RGB" and "transparency" in image.info:
        alpha = None  # the clear colour has more bits than the pixels have here
        lost.append("the colour that is clear")
    if bits > 8 and pixels.dtype == np.uint8:
        lost.append(f"{bits - 8} of {bits} bits")
    with suppress(Exception):  # a later frame may be damaged: it is not needed
        if image.format in _WITH_FRAMES and image.n_frames > 1:
            lost.append(f"all but the first of {image.n_frames} frames")
    quality = quality_of_tables(getattr(image, "quantization", None) or {})
    return Picture(pixels, alpha, metadata, lost + unkept, quality)


def picture_of(image: Image.Image) -> Picture:
    """Return the `Picture` that a Pillow image of 8 bits, or of 16-bit grey, holds.

    Raises
    ------
    InputError
        If its pixels are of a kind that `Picture` cannot hold, or its file is damaged.

    Notes
    -----
    The result has a `quality` unless the image was loaded before: loaded pixels may have changed.
    """
    if 0 in image.size:
        raise InputError(f"the image is empty: {image.width} x {image.height} pixels")
    bits = {"I": 32}.get(image.mode, 16 if image.mode.startswith("I;16") else 8)
    if image.format == "TIFF" and bits == 16:
        bits = _bits_in_file(image, b"")
    with PROCESS:
        untouched = bool(getattr(image, "tile", None))  # loaded pixels may have changed since
        try:
            image.load()
            picture = _from_pillow(image, bits, image.mode == "LA")
        except InputError as error:
            raise InputError(f"the image {error}") from error
        except MemoryError:
            raise
        except Exception as error:  # the same as in `_opened`
            why = "the image is closed, damaged or cut short, and cannot be read"
            raise InputError(why) from error
    if not untouched:
        picture.quality = None
    return picture


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged EXIF block does no harm to the pixels
        return image


def _deep_grey(
    image: Image.Image, turned: Image.Image, bits: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return 9- to 16-bit grey as uint16, white at 65535; with a clear grey, uint8 and alpha."""
    values = np.asarray(turned)
    key = image.info.get("transparency")
    signed = image.format == "TIFF" and 2 in image.tag_v2.get(_SAMPLE_FORMAT, ())
    if bits > 16 or signed or values.min() < 0 or values.max() > 65535:
        raise InputError("is signed or deeper than 16-bit grey; convert it to 8 or 16 bits")
    pixels = values.astype(np.uint16)
    if image.format == "TIFF":
        if 8 < bits < 16:
            pixels = np.rint(pixels * (65535 / (2**bits - 1))).astype(np.uint16)
        if image.tag_v2.get(_PHOTOMETRIC) == 0:  # white is 0
            pixels = 65535 - pixels
    if key is None:
        return pixels, None
    return to_8_bits(pixels), np.where(pixels == key, 0, 255).astype(np.uint8)


def _eight_bits(image: Image.Image, lost: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return grey (H, W) or RGB (H, W, 3), and alpha if there is any."""
    if image.mode in ("CMYK", "LAB"):
        image = _by_profile(image, lost)
    grey = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return np.asarray(image.convert("L" if grey else "RGB")), None
    if image.mode in ("1", "L"):  # one of its greys is clear
        image = image.convert("RGBA")
    values = np.asarray(image.convert("LA" if grey else "RGBA"))
    return values[..., 0] if grey else values[..., :3], values[..., -1]


def _by_profile(image: Image.Image, lost: list[str]) -> Image.Image:
    """Convert CMYK (by its own profile) or Lab to sRGB."""
    try:
        from PIL import ImageCms

        if image.mode == "LAB":
            source = ImageCms.createProfile("LAB")
        elif profile := image.info.get("icc_profile"):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        else:
            return image
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    except Exception:  # a damaged profile, or a Pillow without colour management
        lost.append("colour profile, which cannot be used")
        return image


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Return uint16 pixels as uint8; return others unchanged."""
    return np.rint(pixels / 257).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _hidden_filled(pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Give each pixel that the mask `hidden` (H, W) marks the colour of the nearest other pixel."""
    from scipy.ndimage import distance_transform_edt  # slow to import, and seldom needed

    if hidden.all():
        return np.zeros_like(pixels)
    i, j = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return pixels[i, j]


def to_pillow(picture: Picture) -> Image.Image:
    """Return a picture of 8 bits, or of 16-bit grey, as a Pillow image."""
    pixels, alpha = picture.pixels, picture.alpha
    if alpha is not None:
        pixels = np.dstack([pixels, alpha])
    return Image.fromarray(np.ascontiguousarray(pixels))
