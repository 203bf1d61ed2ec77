"""Resizing against MATLAB, measures against scikit-image, files of every kind."""

import os
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import color as skimage_color
from skimage import metrics as skimage_metrics

from srcnn_np import InputError
from srcnn_np.imaging import (
    Picture,
    enlarge,
    imresize,
    list_pictures,
    psnr,
    read_picture,
    rgb_to_ycbcr,
    ssim,
    write_picture,
    ycbcr_to_rgb,
)
from srcnn_np.imaging.files import check_format

sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))


# --- resize --------------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_imresize_is_matlabs_to_the_pixel(scale):
    folder = SHARED / f"data/Set5_matlab/image_SRF_{scale}"
    pairs = sorted(folder.glob("*_HR.png"))
    assert len(pairs) == 5
    for path in pairs:
        large = read_picture(path).pixels
        small = read_picture(str(path).replace("_HR", "_LR")).pixels
        ours = imresize(large, 1 / scale, border="replicate")
        assert ours.shape == small.shape
        assert np.count_nonzero(ours != small) == 0


def dense_resize(x, length, factor, border):
    """Resize one axis by the docstring's formula, pixel by pixel, counted from 1."""
    n = len(x)
    result = np.empty(length)
    for i in range(1, length + 1):
        u = i / factor + (1 - 1 / factor) / 2
        total = weight_sum = 0.0
        for j in range(int(u - 4 / min(factor, 1)) - 2, int(u + 4 / min(factor, 1)) + 3):
            t = abs(min(factor, 1) * (u - j))
            k = 0.0
            if t <= 1:
                k = 1.5 * t**3 - 2.5 * t**2 + 1
            elif t <= 2:
                k = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
            inside = j
            if border == "symmetric":
                while not 1 <= inside <= n:
                    inside = 1 - inside if inside < 1 else 2 * n + 1 - inside
            else:
                inside = min(max(inside, 1), n)
            total += k * x[inside - 1]
            weight_sum += k
        result[i - 1] = total / weight_sum
    return result


@given(
    sizes,
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.sampled_from(["symmetric", "replicate"]),
)
def test_imresize_is_the_formula(size, new, border):
    picture = np.random.default_rng(0).random(size)
    expected = np.apply_along_axis(dense_resize, 0, picture, new[0], new[0] / size[0], border)
    expected = np.apply_along_axis(dense_resize, 1, expected, new[1], new[1] / size[1], border)
    np.testing.assert_allclose(imresize(picture, size=new, border=border), expected, atol=1e-12)


@given(sizes, st.floats(0.1, 4))
def test_imresize_keeps_what_is_constant_and_is_linear(size, scale):
    flat = np.full((*size, 3), 0.7)
    np.testing.assert_allclose(imresize(flat, scale), 0.7, rtol=1e-12)
    a, b = np.random.default_rng(0).random((2, *size))
    np.testing.assert_allclose(
        imresize(2 * a - 3 * b, scale), 2 * imresize(a, scale) - 3 * imresize(b, scale), atol=1e-12
    )


def test_imresize_keeps_dtype_and_rounds_uint8():
    for dtype in (np.float32, np.float64, np.uint8):
        assert imresize(np.ones((4, 5), dtype), 2).dtype == dtype
    assert imresize(np.array([[0, 255]], np.uint8), size=(1, 4)).tolist() == [[0, 52, 203, 255]]


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ((np.ones((0, 3)), 2), ValueError, "not empty"),
        ((np.ones(3), 2), ValueError, "not empty"),
        ((np.ones((3, 3), int), 2), TypeError, "not int64"),
        ((np.ones((3, 3)),), ValueError, "either scale or size"),
        ((np.ones((3, 3)), 0), ValueError, "must be positive"),
        ((np.ones((3, 3)), float("nan")), ValueError, "must be positive"),
        ((np.ones((3, 3)), float("inf")), ValueError, "must be positive"),
    ],
)
def test_imresize_refuses(arguments, error, words):
    with pytest.raises(error, match=words):
        imresize(*arguments)
    with pytest.raises(ValueError, match="unknown border"):
        imresize(np.ones((3, 3)), 2, border="wrap")
    with pytest.raises(ValueError, match="at least 1"):
        imresize(np.ones((3, 3)), size=(0, 3))


def test_enlarge():
    x = np.array([[0.0, 1.0]])
    assert enlarge(x, 2, "nearest").tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]
    np.testing.assert_array_equal(enlarge(x, 2), imresize(x, 2))
    with pytest.raises(ValueError, match="unknown enlargement 'lanczos'"):
        enlarge(x, 2, "lanczos")
    for enlargement in ("nearest", "bicubic"):
        for scale in (0, -1, 1.5):
            with pytest.raises(ValueError, match="scale is"):
                enlarge(x, scale, enlargement)


# --- colour --------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_colours_against_scikit_image(seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), np.uint8)
    reference = skimage_color.rgb2ycbcr(rgb)
    np.testing.assert_array_equal(rgb_to_ycbcr(rgb), np.floor(reference + 0.5))
    np.testing.assert_allclose(rgb_to_ycbcr(rgb / 255) * 255, reference, atol=1e-10)


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_colours_there_and_back(seed, dtype):
    rgb = np.random.default_rng(seed).random((5, 4, 3)).astype(dtype)
    back = ycbcr_to_rgb(rgb_to_ycbcr(rgb))
    assert back.dtype == dtype
    np.testing.assert_allclose(back, rgb, atol=20 * np.finfo(dtype).eps)
    whole = (rgb * 255).astype(np.uint8)
    # Rounding Y, Cb, Cr costs up to half a step each.
    assert np.abs(ycbcr_to_rgb(rgb_to_ycbcr(whole)).astype(int) - whole).max() <= 2


def test_colours_refuse():
    for convert in (rgb_to_ycbcr, ycbcr_to_rgb):
        with pytest.raises(ValueError, match="colour picture"):
            convert(np.ones((4, 4)))
        with pytest.raises(TypeError, match="not int64"):
            convert(np.ones((4, 4, 3), int))


# --- measures ------------------------------------------------------------------------------


@given(st.tuples(st.integers(11, 30), st.integers(11, 30)), st.integers(0, 2**32 - 1))
def test_measures_against_scikit_image(size, seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, size, np.uint8)
    b = np.clip(a + rng.normal(0, 20, size), 0, 255).astype(np.uint8)
    if (a == b).all():
        return
    assert psnr(a, b) == pytest.approx(skimage_metrics.peak_signal_noise_ratio(a, b))
    reference = skimage_metrics.structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(a, b) == pytest.approx(reference, abs=1e-10)


def test_measures_of_equal_and_of_unequal_shapes():
    a = np.random.default_rng(0).random((12, 12))
    assert psnr(a, a, peak=1) == float("inf")
    assert ssim(a, a, peak=1) == pytest.approx(1)
    assert np.isnan(psnr(a, np.where(a > 0.5, np.nan, a), peak=1))
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match="differ in shape"):
            measure(a, a[:, :11], peak=1)
        with pytest.raises(ValueError, match="empty"):
            measure(a[:0], a[:0], peak=1)
    with pytest.raises(ValueError, match="at least 11 x 11"):
        ssim(a[:10], a[:10], peak=1)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 255, 65535]))
def test_measures_do_not_depend_on_the_scale(seed, peak):
    """The same pictures, on whatever scale, have the same measures if white is given."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (2, 12, 13)).astype(np.uint8)
    assert psnr(peak * (a / 255), peak * (b / 255), peak=peak) == pytest.approx(psnr(a, b))
    assert ssim(peak * (a / 255), peak * (b / 255), peak=peak) == pytest.approx(ssim(a, b))
    a16, b16 = a.astype(np.uint16) * 257, b.astype(np.uint16) * 257
    assert psnr(a16, b16) == pytest.approx(psnr(a, b))
    assert ssim(a16, b16) == pytest.approx(ssim(a, b))


def test_white_is_not_guessed():
    a = np.random.default_rng(0).integers(0, 2, (12, 12)).astype(np.uint8)
    for measure in (psnr, ssim):
        for dtype in (np.float32, np.float64, np.float16, np.int64, np.int16, bool):
            with pytest.raises(ValueError, match="give peak, such as 1 for pictures in"):
                measure(a.astype(dtype), a.astype(dtype))
        for b in (a.astype(float), a.astype(np.uint16)):
            with pytest.raises(ValueError, match="give peak"):
                measure(a, b)
        for peak in (0, -1, np.nan, np.inf):
            with pytest.raises(ValueError, match="peak is"):
                measure(a, a, peak=peak)
        with pytest.raises(TypeError, match="complex"):
            measure(a, 1j * a, peak=1)


# --- files ---------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), np.uint8)
COLOUR = RNG.integers(0, 256, (6, 8, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (6, 8), np.uint16)


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("alpha", [None, GREY.T.reshape(6, 8)], ids=["opaque", "alpha"])
def test_what_is_written_is_read_again(tmp_path, ending, pixels, alpha):
    path = tmp_path / f"p.{ending}"
    write_picture(path, Picture(pixels, alpha))
    again = read_picture(path)
    if ending == "webp" and pixels.ndim == 2:  # WebP knows no grey
        assert (again.pixels == again.pixels[..., :1]).all()
        again.pixels = again.pixels[..., 0]
    visible = np.ones((6, 8), bool) if alpha is None else alpha > 0
    np.testing.assert_array_equal(again.pixels[visible], pixels[visible])
    if alpha is None:
        assert again.alpha is None
    else:
        np.testing.assert_array_equal(again.alpha, alpha)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits(tmp_path, ending):
    path = tmp_path / f"deep.{ending}"
    write_picture(path, Picture(DEEP))
    again = read_picture(path)
    np.testing.assert_array_equal(again.pixels, DEEP)
    assert again.peak == 65535
    with pytest.raises(InputError, match="cannot hold 16 bits"):
        write_picture(tmp_path / "deep.jpg", again)


@pytest.mark.parametrize("ending", ["jpg", "bmp"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_other_formats(tmp_path, ending, pixels):
    path = tmp_path / f"p.{ending}"
    write_picture(path, Picture(pixels))
    assert read_picture(path).pixels.shape == pixels.shape
    with pytest.raises(InputError, match="cannot hold transparency"):
        write_picture(tmp_path / f"q.{ending}", Picture(pixels, GREY))


def test_kinds_of_pillow_pictures(tmp_path):
    colour = Image.fromarray(COLOUR)

    def kind(image, name, **options):
        image.save(tmp_path / name, **options)
        picture = read_picture(tmp_path / name)
        return picture.pixels.shape, picture.pixels.dtype.name, picture.alpha is not None

    rgb, grey = (6, 8, 3), (6, 8)
    assert kind(colour.quantize(16), "palette.png") == (rgb, "uint8", False)
    assert kind(colour.quantize(16), "clear.png", transparency=3) == (rgb, "uint8", True)
    assert kind(Image.fromarray(GREY), "key.png", transparency=7) == (grey, "uint8", True)
    assert kind(colour.convert("1"), "bits.png") == (grey, "uint8", False)
    assert kind(colour.convert("CMYK"), "cmyk.jpg") == (rgb, "uint8", False)
    assert kind(colour.convert("LA"), "la.png") == (grey, "uint8", True)
    assert kind(colour, "moving.gif", save_all=True, append_images=[colour]) == (
        rgb,
        "uint8",
        False,
    )
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match="floating-point pixels"):
        read_picture(tmp_path / "float.tif")


def test_palette_colours_are_those_it_stands_for(tmp_path):
    few = (COLOUR > 127).astype(np.uint8) * 255
    Image.fromarray(few).quantize(8).save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png").pixels, few)


def test_exif_orientation_is_applied_and_metadata_kept(tmp_path):
    image = Image.fromarray(COLOUR)
    exif = image.getexif()
    exif[0x0112] = 6  # turn right to see it upright
    exif[0x010E] = "a bird"
    image.save(tmp_path / "turned.png", exif=exif, icc_profile=b"profile")
    picture = read_picture(tmp_path / "turned.png")
    np.testing.assert_array_equal(picture.pixels, np.rot90(COLOUR, -1))
    write_picture(tmp_path / "again.png", picture)
    with Image.open(tmp_path / "again.png") as again:
        assert again.getexif().get(0x0112, 1) == 1
        assert again.getexif()[0x010E] == "a bird"
        assert again.info["icc_profile"] == b"profile"
    np.testing.assert_array_equal(read_picture(tmp_path / "again.png").pixels, picture.pixels)


def camera_exif(image):
    """EXIF with a sub-directory, as every camera writes it."""
    exif = image.getexif()
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8769)[0x829A] = 0.01  # exposure time
    return exif


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "bmp"])
def test_a_cameras_exif_does_no_harm_in_any_format(tmp_path, ending):
    image = Image.fromarray(COLOUR)
    image.save(tmp_path / "in.jpg", exif=camera_exif(image))
    picture = read_picture(tmp_path / "in.jpg")
    assert "exif" in picture.metadata
    write_picture(tmp_path / f"out.{ending}", picture)
    assert read_picture(tmp_path / f"out.{ending}").pixels.shape == (6, 8, 3)


def test_a_damaged_exif_block_is_dropped(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "p.webp", exif=b"Exif\0\0MM\0*garbage", lossless=True)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.webp").pixels, COLOUR)


def test_a_cmyk_profile_is_not_kept_for_rgb(tmp_path):
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "p.jpg", icc_profile=b"profile")
    assert "icc_profile" not in read_picture(tmp_path / "p.jpg").metadata


def test_grey_deeper_than_16_bits_is_refused(tmp_path):
    Image.fromarray(np.array([[100000, -5]], np.int32)).save(tmp_path / "deep.tif")
    with pytest.raises(InputError, match="deeper than 16-bit"):
        read_picture(tmp_path / "deep.tif")


def test_a_link_stays_a_link(tmp_path):
    write_picture(tmp_path / "real.png", Picture(GREY))
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    write_picture(tmp_path / "link.png", Picture(COLOUR), force=True)
    assert (tmp_path / "link.png").is_symlink()
    np.testing.assert_array_equal(read_picture(tmp_path / "real.png").pixels, COLOUR)


def test_files_that_are_no_pictures(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    Image.fromarray(np.repeat(COLOUR, 50, 0)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "broken.png").write_bytes(whole[:60] + b"\0" * 40 + whole[100:])
    for name, words in {
        "absent.png": "does not exist",
        "empty.png": "not a picture",
        "text.png": "not a picture",
        "cut.png": "damaged",
        "broken.png": "damaged",
        ".": "is a folder",
    }.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(InputError, match=words):
                read_picture(tmp_path / name)


def test_nothing_is_overwritten_or_left_half_written(tmp_path, monkeypatch):
    path = tmp_path / "p.png"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_picture(path, Picture(GREY))
    assert path.read_text() == "mine"

    def fail(image, part, *_, **__):
        part.write_bytes(b"half a picture")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", fail)
        with pytest.raises(InputError, match="No space left"):
            write_picture(path, Picture(GREY), force=True)
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]
    write_picture(path, Picture(GREY), force=True)
    np.testing.assert_array_equal(read_picture(path).pixels, GREY)


def test_places_that_cannot_be_written(tmp_path):
    for name, words in {
        "p.xyz": "does not say a format",
        "p": "does not say a format",
        "absent/p.png": "no folder",
    }.items():
        with pytest.raises(InputError, match=words):
            write_picture(tmp_path / name, Picture(GREY))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write_picture(tmp_path / "folder.png", Picture(GREY))
    with pytest.raises(InputError, match=r"cannot hold 20000 x 1 pixels \(at most 16,383"):
        write_picture(tmp_path / "wide.webp", Picture(np.zeros((1, 20000), np.uint8)))
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


def test_list_pictures(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        list_pictures(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match="is not a folder"):
        list_pictures(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="holds no pictures"):
        list_pictures(tmp_path)
    for name in ("b.PNG", "a.jpg", ".hidden.png"):
        (tmp_path / name).write_text("")
    (tmp_path / "c.png").mkdir()
    (tmp_path / "d.jpg").symlink_to(tmp_path / "absent")
    (tmp_path / "e").write_text("")
    for name in ("f.jfif", "g.avif", "h.ico", "i.jp2"):
        (tmp_path / name).write_text("")
    paths, others = list_pictures(tmp_path)
    assert [path.name for path in paths] == ["a.jpg", "b.PNG", "f.jfif", "g.avif", "h.ico", "i.jp2"]
    assert others == ["c.png/", "d.jpg", "e", "notes.txt"]


# --- hostile files -------------------------------------------------------------------------


def test_a_picture_that_is_a_program_inside_is_none(tmp_path):
    eps = tmp_path / "p.png"
    Image.fromarray(COLOUR).save(eps, "EPS")
    with pytest.raises(InputError, match="not a picture of a format that is read"):
        read_picture(eps)


@pytest.mark.parametrize("what", ["pipe", "device", "socket"])
def test_only_ordinary_files_are_read(tmp_path, what):
    path = tmp_path / "p.png"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(os.path.relpath(path))
    with pytest.raises(InputError, match="no ordinary file but a pipe or a device"):
        read_picture(path)
    paths, others = list_pictures_with(tmp_path, "q.png")
    assert paths == ["q.png"]
    assert others == ["p.png"]


def list_pictures_with(folder, name):
    Image.fromarray(COLOUR).save(folder / name)
    paths, others = list_pictures(folder)
    return [path.name for path in paths], others


@pytest.mark.parametrize("name", ["a\0b.png", "n" * 5000 + ".png"])
def test_names_that_no_file_can_have(name):
    with pytest.raises(InputError) as caught:
        read_picture(name)
    assert "Errno" not in str(caught.value)


def test_more_pixels_are_read_if_that_is_asked_for(tmp_path, monkeypatch):
    Image.fromarray(COLOUR).save(tmp_path / "p.png")  # 48 pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(InputError, match="more than 40 pixels; upscale, show and report"):
        read_picture(tmp_path / "p.png")
    assert read_picture(tmp_path / "p.png", max_pixels=48).pixels.shape == (6, 8, 3)
    assert Image.MAX_IMAGE_PIXELS == 20
    with pytest.raises(InputError, match="more than 47 pixels"):
        read_picture(tmp_path / "p.png", max_pixels=47)


def test_the_tiff_library_says_nothing_of_its_own(tmp_path, capfd):
    for compression in ("tiff_deflate", "tiff_lzw", "jpeg"):
        path = tmp_path / f"{compression}.tif"
        Image.fromarray(COLOUR.repeat(9, 0)).save(path, compression=compression)
        raw = bytearray(path.read_bytes())
        raw[20:60] = bytes(40)
        path.write_bytes(raw)
        with pytest.raises(InputError, match="damaged or cut short"):
            read_picture(path)
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"


def test_what_a_format_cannot_hold_is_known_before_the_work():
    colour = Picture(COLOUR)
    for name, size, words in (
        ("p.jpg", (1, 65_501), "JPEG cannot hold 65501 x 1 pixels"),
        ("p.webp", (16_384, 1), "WEBP cannot hold 1 x 16384 pixels"),
        ("p.bmp", (40_000, 40_000), "BMP cannot hold 4 GB"),
    ):
        with pytest.raises(InputError, match=words):
            check_format(name, colour, size)
    for name in ("p.jpg", "p.webp", "p.bmp", "p.png", "p.tif"):
        check_format(name, colour, (16_383, 16_383))
    check_format("p.png", colour, (1, 1_000_000))


def test_standard_error_is_as_it_was_after_several_threads_wrote(tmp_path):
    before = os.fstat(2)

    def write(n):
        for turn in range(5):
            write_picture(tmp_path / f"{n}-{turn}.tif", Picture(COLOUR.repeat(30, 0)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert os.path.samestat(os.fstat(2), before)
