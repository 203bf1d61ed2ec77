"""What a file holds besides its pixels is kept, or named if it is lost."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from srcnn_np import upscale
from srcnn_np.imaging import Picture, read_picture, write_picture
from srcnn_np.imaging.files import picture_of
from srcnn_np.imaging.metadata import read_metadata

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 8, 3), np.uint8)
EXIF, WIDTH, HEIGHT, EXPOSURE = 0x8769, 0xA002, 0xA003, 0x829A
XMP = b'<x tiff:Orientation="6" exif:PixelXDimension="8"><tiff:ImageLength>6</tiff:ImageLength></x>'
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def camera_exif(orientation=1):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0100], exif[0x0101] = 8, 6
    exif[0x0112] = orientation
    exif.get_ifd(EXIF).update({EXPOSURE: 0.01, WIDTH: 8, HEIGHT: 6})
    exif.get_ifd(0x8825)[1] = "N"
    return exif


def rich(path, **options):
    """Write a picture's file with all metadata that its format holds."""
    image = Image.fromarray(COLOUR)
    ending = path.suffix
    if ending != ".bmp":
        options |= {"exif": camera_exif().tobytes(), "icc_profile": SRGB}
    if ending in (".jpg", ".webp"):
        options["xmp"] = XMP
    if ending == ".png":
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
        chunks.add_text("Author", "me")
        options["pnginfo"] = chunks
    if ending == ".tif":
        exif = Image.Exif()
        exif.load(camera_exif().tobytes())
        exif[700] = XMP
        options["exif"] = exif
    if ending == ".webp":
        options["lossless"] = True
    else:
        options["dpi"] = (300, 300)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("source", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("target", ["jpg", "png", "tif", "webp"])
def test_exif_goes_along_from_any_format_to_any_with_the_new_size(tmp_path, source, target):
    picture = read_picture(rich(tmp_path / f"in.{source}"))
    assert picture.lost == []
    write_picture(tmp_path / f"out.{target}", upscale(picture, 2, "bicubic"))
    with Image.open(tmp_path / f"out.{target}") as out:
        exif = out.getexif()
        assert exif[0x010F] == "a camera"
        assert exif.get_ifd(EXIF)[EXPOSURE] == pytest.approx(0.01)
        assert exif.get_ifd(0x8825)[1] == "N"
        assert (exif.get_ifd(EXIF)[WIDTH], exif.get_ifd(EXIF)[HEIGHT]) == (16, 12)
        assert exif.get(0x0100, 16) == 16
        assert exif.get(0x0101, 12) == 12
        assert out.size == (16, 12)
        assert out.info["icc_profile"] == SRGB
        xmp = out.info["xmp"]
        assert b'exif:PixelXDimension="16"' in xmp
        assert b"<tiff:ImageLength>12<" in xmp
        assert b"Orientation" not in xmp
        if "webp" not in (source, target):
            assert out.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_a_turned_picture_says_so_no_more(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "in.jpg", exif=camera_exif(6).tobytes(), xmp=XMP)
    picture = read_picture(tmp_path / "in.jpg")
    assert picture.pixels.shape == (8, 6, 3)
    write_picture(tmp_path / "out.png", picture)
    with Image.open(tmp_path / "out.png") as out:
        assert 0x0112 not in out.getexif()
        assert out.getexif().get_ifd(EXIF)[WIDTH] == 6
        assert b"Orientation" not in out.info["xmp"]


def test_a_pngs_texts_gamma_and_primaries_are_kept_in_png_and_named_elsewhere(tmp_path):
    chunks = PngInfo()
    chunks.add_text("Author", "me")
    chunks.add_itxt("Titel", "Füße")
    chunks.add(b"gAMA", struct.pack(">I", 100000))
    points = (31270, 32900, 70000, 30000, 20000, 70000, 15000, 4000)
    chunks.add(b"cHRM", struct.pack(">8I", *points))
    Image.fromarray(COLOUR).save(tmp_path / "in.png", pnginfo=chunks)
    picture = read_picture(tmp_path / "in.png")
    assert write_picture(tmp_path / "out.png", picture) == []
    with Image.open(tmp_path / "out.png") as out:
        out.load()
        assert out.text == {"Author": "me", "Titel": "Füße"}
        assert out.info["gamma"] == 1
        assert out.info["chromaticity"] == pytest.approx([n / 1e5 for n in points])
    assert write_picture(tmp_path / "out.jpg", picture) == ["texts", "gamma", "primaries"]


def test_a_gamma_that_is_srgbs_is_no_loss(tmp_path):
    chunks = PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 45455))
    Image.fromarray(COLOUR).save(tmp_path / "in.png", pnginfo=chunks)
    picture = read_picture(tmp_path / "in.png")
    assert write_picture(tmp_path / "out.jpg", picture) == []


def test_what_a_format_has_no_place_for_is_named(tmp_path):
    picture = read_picture(rich(tmp_path / "in.png"))
    lost = write_picture(tmp_path / "out.bmp", picture)
    assert sorted(lost) == ["EXIF", "XMP", "colour profile", "texts"]
    Image.fromarray(COLOUR).save(tmp_path / "c.jpg", comment=b"hello")
    picture = read_picture(tmp_path / "c.jpg")
    assert write_picture(tmp_path / "c.webp", picture) == ["comment"]
    assert write_picture(tmp_path / "c.png", picture) == []
    with Image.open(tmp_path / "c.png") as out:
        out.load()
        assert out.text["Comment"] == "hello"


def test_metadata_too_long_for_jpeg_are_left_out_and_named(tmp_path):
    huge = b"<x>" + b" " * 70_000 + b"</x>"
    Image.fromarray(COLOUR).save(tmp_path / "in.webp", xmp=huge, lossless=True)
    picture = read_picture(tmp_path / "in.webp")
    assert write_picture(tmp_path / "out.jpg", picture) == ["XMP"]
    assert write_picture(tmp_path / "out.png", picture) == []


def test_a_profile_goes_only_with_colours_it_speaks_of(tmp_path):
    grey = Image.fromarray(COLOUR[..., 0])
    grey.save(tmp_path / "in.png", icc_profile=SRGB)  # a colour profile on a grey picture
    assert "icc_profile" not in read_picture(tmp_path / "in.png").metadata
    gray = SRGB[:16] + b"GRAY" + SRGB[20:]
    grey.save(tmp_path / "g.png", icc_profile=gray)
    picture = read_picture(tmp_path / "g.png")
    assert picture.metadata["icc_profile"] == gray
    assert write_picture(tmp_path / "g.webp", picture) == ["colour profile of its greys"]
    with Image.open(tmp_path / "g.webp") as out:
        assert "icc_profile" not in out.info


@pytest.mark.parametrize("dpi", [(0, 0), (float("inf"), 1), (-1, 2)])
def test_a_resolution_that_is_none_is_not_kept(tmp_path, dpi):
    picture = Picture(COLOUR, metadata={})
    write_picture(tmp_path / "p.png", picture)
    with Image.open(tmp_path / "p.png") as image:
        image.load()
        image.info["dpi"] = dpi
        assert "dpi" not in read_metadata(image, "colour")[0]


# --- pixels that Pillow gives otherwise than they are -------------------------------------------


def tiff16(path, values, photometric=1, bits=16):
    H, W = values.shape
    data = values.astype("<u2").tobytes()
    tags = [(256, W), (257, H), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    tags += [(278, H), (279, len(data))]
    head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags))
    path.write_bytes(head + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags) + b"\0" * 4)
    return path


def png16(path, values):
    """A PNG of 16 bits: grey with alpha, or colour."""
    H, W, C = values.shape

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", W, H, 16, {2: 4, 3: 2, 4: 6}[C], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_a_tiff_whose_white_is_0_is_not_negative(tmp_path):
    values = RNG.integers(0, 65536, (6, 8), np.uint16)
    path = tiff16(tmp_path / "w.tif", values, photometric=0)
    np.testing.assert_array_equal(read_picture(path).pixels, 65535 - values)
    eight = Image.fromarray(COLOUR[..., 0])
    eight.save(tmp_path / "e.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_picture(tmp_path / "e.tif").pixels, COLOUR[..., 0])


def test_white_of_12_bits_is_white(tmp_path):
    # Two values of 12 bits in three bytes: all ones, then zero.
    path = tiff16(tmp_path / "w.tif", np.zeros((1, 4), np.uint16), bits=12)
    raw = path.read_bytes()
    path.write_bytes(raw[:8] + b"\xff\xf0\x00" + raw[11:])
    pixels = read_picture(path).pixels
    assert pixels[0, :2].tolist() == [65535, 0]
    np.testing.assert_array_equal(picture_of(Image.open(path)).pixels, read_picture(path).pixels)


def test_deep_pictures_say_how_many_bits_are_lost(tmp_path):
    values = RNG.integers(0, 65536, (6, 8, 4), np.uint16)
    grey = read_picture(png16(tmp_path / "la.png", values[..., :2]))
    assert grey.pixels.shape == (6, 8)
    assert grey.alpha is not None
    assert grey.lost == ["8 of 16 bits"]
    colour = read_picture(png16(tmp_path / "rgb.png", values[..., :3]))
    assert colour.lost == ["8 of 16 bits"]
    (tmp_path / "c.ppm").write_bytes(
        b"P6 8 6 1023\n" + (values[..., :3] >> 6).astype(">u2").tobytes()
    )
    assert read_picture(tmp_path / "c.ppm").lost == ["2 of 10 bits"]
    deep = Image.fromarray(values[..., 0])
    deep.save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png").lost == []
    assert read_picture(rich(tmp_path / "plain.png")).lost == []


def test_deep_grey_with_a_clear_value_keeps_its_transparency(tmp_path):
    values = RNG.integers(0, 65536, (6, 8), np.uint16)
    Image.fromarray(values).save(tmp_path / "key.png", transparency=int(values[2, 3]))
    picture = read_picture(tmp_path / "key.png")
    assert (picture.alpha == 0).sum() == (values == values[2, 3]).sum()
    assert picture.lost == ["8 of 16 bits"]


@pytest.mark.parametrize("name", ["p.tga", "p.dds", "p.png", "p.tif", "p.gif"])
def test_transparency_of_palettes_and_others_is_kept(tmp_path, name):
    alpha = np.repeat(np.array([0, 255], np.uint8), 24).reshape(6, 8)
    image = Image.fromarray(np.dstack([COLOUR // 128 * 255, alpha]))
    if name in ("p.tga", "p.png"):
        image = image.quantize(16, method=Image.Quantize.FASTOCTREE)
        assert image.palette.mode == "RGBA"
    image.save(tmp_path / name)
    picture = read_picture(tmp_path / name)
    np.testing.assert_array_equal(picture.alpha, alpha)


def test_more_frames_are_named(tmp_path):
    frames = [Image.fromarray(255 - COLOUR), Image.fromarray(COLOUR // 2)]
    for name in ("p.gif", "p.tif", "p.png", "p.webp"):
        Image.fromarray(COLOUR).save(tmp_path / name, save_all=True, append_images=frames)
        assert read_picture(tmp_path / name).lost == ["all but the first of 3 frames"]


def ink_profile():
    """A tiny CMYK profile: its colours are not those of the simple formula."""
    pytest.importorskip("PIL.ImageCms")
    grid = np.linspace(1, 0, 2)
    c, m, y, k = np.meshgrid(grid, grid, grid, grid, indexing="ij")
    light = (0.2 + 0.8 * c * m * y) * k  # L; a and b as crude
    lab = np.stack([light, 0.5 + 0.2 * (c - m), 0.5 + 0.2 * (m - y)], -1)
    table = (lab * 65280).round().astype(">u2").tobytes()
    ramp = np.array([0, 65535], ">u2").tobytes()
    body = b"mft2" + b"\0" * 4 + bytes([4, 3, 2, 0])
    body += struct.pack(">9i", *(np.eye(3).ravel() * 65536).astype(int)) + struct.pack(">HH", 2, 2)
    body += ramp * 4 + table + ramp * 3
    white = b"XYZ " + b"\0" * 4 + struct.pack(">3i", 63190, 65536, 54061)
    tags, data, offset = [], b"", 128 + 4 + 12 * 3
    for name, value in ((b"A2B0", body), (b"wtpt", white), (b"desc", b"desc" + b"\0" * 100)):
        value += b"\0" * (-len(value) % 4)
        tags.append(name + struct.pack(">II", offset + len(data), len(value)))
        data += value
    head = struct.pack(">I4sI4s4s4s", 0, b"\0" * 4, 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head = head.ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    profile = head.ljust(128, b"\0") + struct.pack(">I", 3) + b"".join(tags) + data
    return struct.pack(">I", len(profile)) + profile[4:]


def test_ink_looks_as_its_profile_says(tmp_path):
    ink = Image.fromarray(RNG.integers(0, 256, (6, 8, 4), np.uint8), "CMYK")
    profile = ink_profile()
    ink.save(tmp_path / "p.tif", icc_profile=profile)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = ImageCms.profileToProfile(
        ink, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    picture = read_picture(tmp_path / "p.tif")
    np.testing.assert_array_equal(picture.pixels, np.asarray(expected))
    assert np.abs(picture.pixels.astype(int) - np.asarray(ink.convert("RGB"))).mean() > 10
    assert "icc_profile" not in picture.metadata
    assert picture.lost == []
    ink.save(tmp_path / "bad.tif", icc_profile=b"CMYK" * 40)
    picture = read_picture(tmp_path / "bad.tif")
    np.testing.assert_array_equal(picture.pixels, np.asarray(ink.convert("RGB")))
    assert picture.lost == ["colour profile, which cannot be used"]


def test_lab_is_read(tmp_path):
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    soft = Image.fromarray(COLOUR // 4 + 96)
    ImageCms.profileToProfile(soft, srgb, lab, outputMode="LAB").save(tmp_path / "p.tif")
    assert np.abs(read_picture(tmp_path / "p.tif").pixels.astype(int) - np.asarray(soft)).max() <= 6
