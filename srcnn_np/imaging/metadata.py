"""The metadata of a picture file: what still holds after enlarging is kept.

Profile, EXIF, XMP, resolution, comments, texts, gamma and primaries are kept if the format that is
written has a place for them. Sizes in EXIF and XMP become the new ones. The orientation is
dropped, because the pixels have been turned. A small preview is dropped too.
"""

import math
import re
import struct

from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

# A TIFF's tags that describe the picture, not how it lies in the file:
# description, maker, model, software, date, artist, host, rating, copyright, and three groups.
_ABOUT = {270, 271, 272, 305, 306, 315, 316, 18246, 33432, 34665, 34853}
_ABOUT |= set(range(40091, 40096))
_ORIENTATION, _X_RESOLUTION = 0x0112, 0x011A
_EXIF, _WIDTH, _HEIGHT = 0x8769, (0x0100, 0xA002), (0x0101, 0xA003)
_IPTC_AND_PHOTOSHOP, _PRIMARIES_AND_TRANSFER = {33723, 34377}, {301, 318, 319}
_XMP_SIZES = {
    "tiff:ImageWidth": 1,
    "tiff:ImageLength": 0,
    "exif:PixelXDimension": 1,
    "exif:PixelYDimension": 0,
}
_XMP_ORIENTATION = re.compile(
    rb"\s*tiff:Orientation\s*=\s*[\"'][^\"']*[\"']|<tiff:Orientation>[^<]*</tiff:Orientation>"
)
_SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_JPEG_SEGMENT = 65533  # bytes: two of 65,535 are for the length
_XMP_HEADER = 29

# The metadata that each format holds.
_HOLDS = {
    "PNG": {"icc_profile", "exif", "xmp", "dpi", "comment", "text", "gamma", "chromaticity"},
    "JPEG": {"icc_profile", "exif", "xmp", "dpi", "comment"},
    "TIFF": {"icc_profile", "exif", "xmp", "dpi"},
    "WEBP": {"icc_profile", "exif", "xmp"},
    "BMP": {"dpi"},
}
_NAMES = {
    "icc_profile": "colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "dpi": "resolution",
    "comment": "comment",
    "text": "texts",
    "gamma": "gamma",
    "chromaticity": "primaries",
}


def read_metadata(image: ImageFile.ImageFile, channels: str) -> tuple[dict, list[str]]:
    """Read a file's metadata.

    Parameters
    ----------
    image : ImageFile
        As Pillow opened and loaded it.
    channels : "grey" or "colour"
        The kind of the pixels that are read from it.

    Returns
    -------
    metadata : dict
        "icc_profile", "exif", "xmp" and "comment" as bytes, "dpi" as a pair, "text" as a dict of
        str to str, "gamma" as a number, "chromaticity" as eight numbers: those that the file has.
    lost : list of str
        The metadata that cannot be kept.
    """
    info, lost = image.info, []
    found = {"exif": _read_exif(image, lost), "icc_profile": _profile_for(info, channels)}
    if info.get("icc_profile") and not found["icc_profile"] and image.mode not in ("CMYK", "LAB"):
        lost.append("colour profile, which is not for such pixels")
    xmp = info.get("xmp")
    found["xmp"] = _XMP_ORIENTATION.sub(b"", xmp) if isinstance(xmp, bytes) else None
    found["dpi"] = _resolution(image)
    comment = info.get("comment")
    found["comment"] = comment.encode() if isinstance(comment, str) else comment
    found["text"] = {
        key: str(value)
        for key, value in getattr(image, "text", {}).items()
        if key != "XML:com.adobe.xmp" and not key.startswith("Raw profile type")
    }
    # A profile or the sRGB chunk says more, and replaces gamma and primaries.
    if not found["icc_profile"] and "srgb" not in info:
        found["gamma"], found["chromaticity"] = _unlike_srgb(info)
    if "photoshop" in info or _has_tags(image, _IPTC_AND_PHOTOSHOP):
        lost.append("IPTC and Photoshop data")
    if _has_tags(image, _PRIMARIES_AND_TRANSFER):
        lost.append("primaries and transfer")
    return {name: value for name, value in found.items() if value}, lost


def save_options(format_: str, metadata: dict, size: tuple[int, int]) -> tuple[dict, list[str]]:
    """Return Pillow's options to write metadata, and the names of what the format cannot hold.

    Parameters
    ----------
    format_ : "PNG", "JPEG", "TIFF", "WEBP" or "BMP"
    metadata : dict
        As `read_metadata` gives it.
    size : (H, W)
        The size of the picture to write.

    Returns
    -------
    options : dict
    lost : list of str
    """
    kept = {name: value for name, value in metadata.items() if name in _HOLDS[format_]}
    if "exif" in kept:
        kept["exif"] = _with_size(kept["exif"], size)
    if "xmp" in kept:
        kept["xmp"] = _xmp_with_size(kept["xmp"], size)
    if format_ == "JPEG":
        limits = {"exif": 0, "xmp": _XMP_HEADER, "comment": 0}
        for name, header in limits.items():
            if len(kept.get(name, b"")) > _JPEG_SEGMENT - header:
                del kept[name]
        if not all(1 <= round(n) <= 65535 for n in kept.get("dpi", (1,))):
            del kept["dpi"]
    lost = [_NAMES[name] for name in metadata if name not in kept]
    if format_ == "PNG":
        kept = _png_options(kept)
    if format_ == "TIFF" and ("exif" in kept or "xmp" in kept):
        exif = Image.Exif()
        exif.load(kept.get("exif", b""))
        if "xmp" in kept:
            exif[700] = kept.pop("xmp")
        # Pillow's compressed TIFFs have no place for EXIF's groups of tags.
        kept |= {"exif": exif, "compression": "raw"}
    return kept, lost


def _read_exif(image: ImageFile.ImageFile, lost: list[str]) -> bytes | None:
    """Return EXIF as Pillow writes it anew, with the header that EXIF in a WebP lacks."""
    try:
        exif = image.getexif()
        for tag in set(exif) - _ABOUT if image.format == "TIFF" else {_ORIENTATION}:
            exif.pop(tag, None)
        return exif.tobytes() if exif else None
    except Exception:  # Pillow's reader raises a dozen types on damaged blocks
        lost.append("EXIF, which is damaged")
        return None


def _with_size(raw: bytes, size: tuple[int, int]) -> bytes:
    exif = Image.Exif()
    exif.load(raw)
    groups = (exif, exif.get_ifd(_EXIF) if _EXIF in exif else {})
    for n, tags in zip(size, (_HEIGHT, _WIDTH), strict=True):
        for tag, group in zip(tags, groups, strict=True):
            if tag in group:
                group[tag] = n
    return exif.tobytes()


def _xmp_with_size(xmp: bytes, size: tuple[int, int]) -> bytes:
    """Set the size in attributes, exif:PixelXDimension="640", or elements, <...>640</...>."""
    for name, axis in _XMP_SIZES.items():
        pattern = rf"({name}\s*=\s*[\"']|<{name}>)\s*\d+".encode()
        xmp = re.sub(pattern, rf"\g<1>{size[axis]}".encode(), xmp)
    return xmp


def _has_tags(image: ImageFile.ImageFile, tags: set[int]) -> bool:
    return image.format == "TIFF" and not tags.isdisjoint(image.tag_v2)


def _profile_for(info: dict, channels: str) -> bytes | None:
    """Return the profile, unless it is for another kind of colours than the pixels now have."""
    profile = info.get("icc_profile") or b""
    spaces = {b"GRAY": "grey", b"RGB ": "colour", b"CMYK": "ink", b"Lab ": "lab"}
    return profile if spaces.get(profile[16:20], channels) == channels else None


def _resolution(image: ImageFile.ImageFile) -> tuple[float, float] | None:
    """Return dots per inch if the file has them: for some other files Pillow makes them up."""
    if image.format == "JPEG" and image.info.get("jfif_unit") not in (1, 2):
        return None
    if image.format == "TIFF" and _X_RESOLUTION not in image.tag_v2:
        return None
    try:
        x, y = (float(n) for n in image.info.get("dpi"))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def _unlike_srgb(info: dict) -> tuple[float | None, tuple | None]:
    """Return a PNG's gamma and primaries, each None if it is missing or the same as sRGB's."""
    gamma, primaries = info.get("gamma"), info.get("chromaticity")
    if gamma is not None and math.isclose(gamma, 1 / 2.2, rel_tol=0.01):
        gamma = None
    if primaries and all(
        math.isclose(a, b, abs_tol=0.001) for a, b in zip(primaries, _SRGB_PRIMARIES, strict=True)
    ):
        primaries = None
    return gamma, primaries


def _png_options(kept: dict) -> dict:
    chunks = PngInfo()
    for key, value in kept.pop("text", {}).items():
        chunks.add_itxt(key, value)
    if "comment" in kept:
        chunks.add_itxt("Comment", kept.pop("comment").decode("utf-8", "replace"))
    if "xmp" in kept:
        chunks.add_itxt("XML:com.adobe.xmp", kept.pop("xmp").decode("utf-8", "replace"))
    if "gamma" in kept:
        chunks.add(b"gAMA", struct.pack(">I", round(kept.pop("gamma") * 1e5)))
    if "chromaticity" in kept:
        points = (round(n * 1e5) for n in kept.pop("chromaticity"))
        chunks.add(b"cHRM", struct.pack(">8I", *points))
    return {**kept, "pnginfo": chunks}
