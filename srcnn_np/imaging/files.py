"""Reading and writing pictures through Pillow."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import InputError
from ..output import writing

# What a mode is converted to, to have one of the four we compute with: L, LA, RGB, RGBA.
_CONVERT = {
    "1": "L",
    "La": "LA",
    "PA": "RGBA",
    "RGBX": "RGB",
    "RGBa": "RGBA",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}
_WRITTEN = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
_READ = {*_WRITTEN, ".gif", ".jp2", ".pbm", ".pgm", ".pnm", ".ppm", ".tga"}
_SAVE = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_deflate"},
}


@dataclass
class Picture:
    """A picture as it lies in a file.

    Attributes
    ----------
    pixels : (H, W) grey array of uint8 or uint16, or (H, W, 3) RGB array of uint8
    alpha : (H, W) array of uint8, or None
        Opacity.
    metadata : dict
        "icc_profile" and "exif", as bytes, where the file has them and they still hold.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: dict[str, bytes] = field(default_factory=dict)

    @property
    def peak(self) -> int:
        """The value of white: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)


def read_picture(path: str | Path) -> Picture:
    """Read any still picture Pillow can.

    Turned upright by its EXIF orientation; a palette becomes the colours it stands
    for, CMYK becomes RGB, 16-bit grey stays 16-bit. Of several frames, the first.
    (Pillow gives 16-bit colour as 8-bit.)

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    picture : Picture

    Raises
    ------
    InputError
        If there is no such file, or it is no picture, damaged, cut short, or of
        pixels that `Picture` cannot hold.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the name")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what it mends
            with Image.open(path) as image:
                image.load()
                return _from_pillow(_upright(image), path)
    except (InputError, MemoryError):
        raise
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: no permission") from error
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture that Pillow can read") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} has too many pixels; the limit is {2 * Image.MAX_IMAGE_PIXELS:,}"
        ) from error
    except Exception as error:  # Pillow's readers raise a dozen types on damaged files
        raise InputError(f"{path} is damaged and cannot be read ({error})") from error


def write_picture(path: str | Path, picture: Picture, *, force: bool = False) -> None:
    """Write a picture in the format its name ends in.

    JPEG at quality 95 without chroma subsampling, WebP lossless. Metadata go along,
    but for EXIF in TIFF and BMP.

    Parameters
    ----------
    path : str or Path
    picture : Picture
    force : bool
        Replace a file that is there already.

    Raises
    ------
    InputError
        If the ending is unknown, the format cannot hold the picture's alpha or 16
        bits, the file exists and `force` is not given, or it cannot be written.
    """
    check_format(path, picture)
    format_ = picture_format(path)
    image = _to_pillow(picture)
    options = {**_SAVE.get(format_, {}), **picture.metadata}
    if format_ == "TIFF":  # whose tags Pillow does not take from an EXIF block
        options.pop("exif", None)
    with writing(path, force=force) as part:
        try:
            image.save(part, format_, **options)
        except ValueError as error:  # sides longer than the format can say
            raise InputError(f"{path} cannot be written as {format_}: {error}") from error


def check_format(path: str | Path, picture: Picture) -> None:
    """Raise the InputError that `write_picture` would, where a format cannot hold a picture."""
    format_ = picture_format(path)
    if picture.alpha is not None and format_ not in ("PNG", "TIFF", "WEBP"):
        raise InputError(f"{path}: {format_} cannot hold transparency; give a name ending in .png")
    if picture.pixels.dtype == np.uint16 and format_ not in ("PNG", "TIFF"):
        raise InputError(f"{path}: {format_} cannot hold 16 bits; give a name ending in .png")


def picture_format(path: str | Path) -> str:
    """Pillow's name of the format that a file name ends in.

    Raises
    ------
    InputError
        If it is none of those we write.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITTEN:
        raise InputError(
            f"{path} does not say a format to write; give a name ending in one of "
            f"{', '.join(_WRITTEN)}"
        )
    return _WRITTEN[suffix]


def list_pictures(folder: str | Path) -> list[Path]:
    """Files of a folder whose names end as a picture's, in order of name.

    Raises
    ------
    InputError
        If there is no such folder, or no such file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {problem}; give a folder of pictures")
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _READ and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise InputError(f"{folder} holds no pictures (files ending in {', '.join(sorted(_READ))})")
    return paths


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged EXIF block does no harm to the pixels
        image.info.pop("exif", None)
        return image


def _from_pillow(image: Image.Image, path: Path) -> Picture:
    # A CMYK profile says nothing about the RGB it is converted to.
    keys = ("exif",) if image.mode in ("CMYK", "LAB") else ("exif", "icc_profile")
    metadata = {key: image.info[key] for key in keys if image.info.get(key)}
    if image.mode == "F":
        raise InputError(f"{path} has floating-point pixels; convert it to 8 or 16 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535 or "transparency" in image.info:
            raise InputError(f"{path} is deeper than 16-bit grey; convert it to 8 or 16 bits")
        return Picture(values.astype(np.uint16), None, metadata)
    if image.mode in ("1", "P", "L", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA").convert("LA" if image.mode in "1L" else "RGBA")
    elif image.mode == "P":
        image = image.convert("RGB")
    elif image.mode in _CONVERT:
        image = image.convert(_CONVERT[image.mode])
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise InputError(f"{path} has pixels of a kind ({image.mode}) that is not handled")
    values = np.asarray(image)
    if image.mode in ("LA", "RGBA"):
        return Picture(
            values[..., 0] if image.mode == "LA" else values[..., :3], values[..., -1], metadata
        )
    return Picture(values, None, metadata)


def _to_pillow(picture: Picture) -> Image.Image:
    pixels, alpha = picture.pixels, picture.alpha
    if alpha is not None:
        pixels = np.dstack([pixels, alpha])
    return Image.fromarray(np.ascontiguousarray(pixels))
