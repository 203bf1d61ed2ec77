"""A picture enlarged in strips is the picture enlarged in one piece."""

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srcnn_np import (
    FSRCNN,
    SRCNN,
    Conv2D,
    InputError,
    Model,
    ReLU,
    Sequential,
    default_model,
    draw_pictures,
    upscale,
    upscaling,
)
from srcnn_np.imaging import Picture, imresize, list_pictures, read_picture
from srcnn_np.imaging.files import picture_of

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 10, 3), np.uint8)


def model(kind, scale):
    if kind == "bicubic":
        return kind
    if kind == "theanonsr":
        net = Sequential(
            [Conv2D(1, 3, 3), ReLU(), Conv2D(3, 1, 5)], predict_border="replicate-once", seed=1
        )
        return Model(net, scale, enlargement="nearest")
    if kind == "colour":
        return Model(SRCNN("5-1-3", filters=(4, 4), channels=3, seed=1), scale, colour="ycbcr")
    if kind == "fsrcnn":
        return Model(FSRCNN(8, 4, 1, scale=scale, seed=1), scale)
    return Model(SRCNN(kind, filters=(8, 4), seed=1), scale)


@given(
    kind=st.sampled_from(["bicubic", "9-1-5", "9-5-5", "3-2-4", "theanonsr", "colour", "fsrcnn"]),
    scale=st.integers(2, 4),
    size=st.tuples(st.integers(20, 90), st.integers(1, 20)),
    what=st.sampled_from(["grey", "colour", "alpha", "deep"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_strips_do_not_show(kind, scale, size, what, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, size if what in ("grey", "deep") else (*size, 3), np.uint8)
    if what == "deep":
        pixels = pixels.astype(np.uint16) * 257
    alpha = rng.integers(0, 256, size, np.uint8) if what == "alpha" else None
    picture = Picture(pixels, alpha)
    whole = upscale(picture, scale, model(kind, scale))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srcnn_np.upscaling._STRIP_PIXELS", 1)  # the shortest strips there are
        strips = upscale(picture, scale, model(kind, scale))
    # A value within rounding of a half may be rounded the other way; of 65535 steps, more are.
    step = 2 if what == "deep" else 1
    assert whole.pixels.shape == tuple(scale * n for n in size) + pixels.shape[2:]
    assert np.abs(strips.pixels.astype(int) - whole.pixels).max() <= step
    assert what == "deep" or (strips.pixels != whole.pixels).sum() <= 3 + 0.01 * strips.pixels.size
    if alpha is not None:
        np.testing.assert_array_equal(strips.alpha, whole.alpha)


# --- what the result is ------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_grey_comes_out_as_the_same_picture_saved_in_colour(scale):
    network = default_model(scale)
    ramp = np.repeat(np.arange(0, 256, 4, np.uint8), 4)[None].repeat(24, axis=0)
    grey = upscale(Picture(ramp), scale, network).pixels
    colour = upscale(Picture(np.dstack([ramp] * 3)), scale, network).pixels
    assert np.abs(colour - grey[..., None].astype(int)).max() <= 1
    deep = upscale(Picture(ramp.astype(np.uint16) * 257), scale, network).pixels
    assert np.abs(deep / 257 - grey).max() <= 1
    for value in (0, 4, 8, 128, 251, 255):
        flat = upscale(Picture(np.full((16, 16), value, np.uint8)), scale, network).pixels
        assert np.abs(flat.astype(int) - value).max() <= 1
    # Dark to bright, at the dark end too.
    assert (np.diff(grey[30].astype(int)[2:-2]) >= -1).all()


def disc(radius, size, hidden):
    """A yellow disc with a smooth edge, on a clear background of the colour `hidden`."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    alpha = np.rint(255 * (radius + 0.5 - np.hypot(y, x)).clip(0, 1)).astype(np.uint8)
    pixels = np.where(alpha[..., None] > 0, np.array([250, 220, 30]), hidden).astype(np.uint8)
    return Picture(pixels, alpha)


@pytest.mark.parametrize("kind", [None, "9-5-5"])
def test_what_is_invisible_takes_no_part(kind):
    network = "bicubic" if kind is None else default_model(3)
    results = [upscale(disc(9, 30, hidden), 3, network) for hidden in (0, 255, (0, 0, 255))]
    for result in results:
        np.testing.assert_array_equal(result.pixels, results[0].pixels)
        visible = result.alpha > 0
        assert np.abs(result.pixels[visible].astype(int) - (250, 220, 30)).max() <= 1
        assert ((result.alpha > 0) & (result.alpha < 255)).sum() > 50


def test_a_picture_that_is_all_invisible_is_still_one():
    result = upscale(Picture(COLOUR, np.zeros((12, 10), np.uint8)), 2, default_model(2))
    assert result.pixels.shape == (24, 20, 3)
    assert not result.alpha.any()


@pytest.mark.parametrize("kind", ["9-1-5", "9-5-5", "3-2-4", "theanonsr", "colour"])
def test_beyond_its_border_a_picture_goes_on_as_its_mirror_image(kind):
    large = RNG.integers(0, 256, (60, 50, 3), np.uint8)
    mirrored = np.pad(large, ((20, 20), (20, 20), (0, 0)), "symmetric")
    expected = upscale(Picture(mirrored), 2, model(kind, 2)).pixels[40:-40, 40:-40]
    result = upscale(Picture(large), 2, model(kind, 2)).pixels
    assert np.abs(result.astype(int) - expected).max() <= 1


@needs_shared
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_outermost_pixels_are_better_than_bicubic_interpolations(scale):
    errors = {"model": [], "bicubic": []}
    for path in list_pictures(SHARED / "data/Set5")[0]:
        pixels = read_picture(path).pixels
        H, W = (n // scale for n in pixels.shape[:2])
        target = pixels[: scale * H, : scale * W]
        small = Picture(imresize(target, size=(H, W)))
        border = np.ones(target.shape[:2], bool)
        border[1:-1, 1:-1] = False
        for name, network in (("model", default_model(scale)), ("bicubic", "bicubic")):
            wrong = upscale(small, scale, network).pixels[border] - target[border].astype(float)
            errors[name].append((wrong**2).mean())
    # When each layer repeated its border: 1.26, 0.95, 0.95.
    assert np.sqrt(np.mean(errors["model"]) / np.mean(errors["bicubic"])) < 0.93


# --- any size, and whatever Python has as a picture --------------------------------------------

LEAVES = np.dstack(draw_pictures(3, size=48, seed=1))[:40]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [None, 3, 4])
@pytest.mark.parametrize("how", [{"scale": 2}, {"scale": 2.5}, {"scale": 6}, {"size": (7, 100)}])
def test_arrays_come_back_as_what_they_were(dtype, channels, how):
    x = LEAVES[..., 0] if channels is None else np.dstack([LEAVES, LEAVES[..., 0]])[..., :channels]
    given = (x / 255).astype(dtype)
    if np.issubdtype(dtype, np.integer):
        given = x.astype(dtype) * dtype(np.iinfo(dtype).max // 255)
    before = given.copy()
    result = upscale(given, model=None, repair="off", **how)
    np.testing.assert_array_equal(given, before)
    size = how.get("size") or tuple(round(how["scale"] * n) for n in x.shape[:2])
    assert (result.shape, result.dtype) == (size + x.shape[2:], dtype)
    # The same as of 8 bits, but for rounding.
    plain = upscale(x, repair="off", **how)
    white = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    assert np.abs(result.astype(float) / white - plain / 255).max() < 1.2 / 255


def test_pillow_images_and_paths_become_pillow_images(tmp_path):
    for mode in ("L", "LA", "RGB", "RGBA", "P", "1", "CMYK", "I;16"):
        image = Image.fromarray(LEAVES).convert("L" if mode == "I;16" else mode)
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
        result = upscale(image, 2, repair="off")
        assert isinstance(result, Image.Image)
        assert result.size == (96, 80)
        assert ("A" in result.mode) == ("A" in mode)
    Image.fromarray(LEAVES).save(tmp_path / "a.png")
    result = upscale(tmp_path / "a.png", 2, repair="off")
    np.testing.assert_array_equal(np.asarray(result), upscale(LEAVES, 2, repair="off"))
    again = upscale(str(tmp_path / "a.png"), 2, repair="off")
    np.testing.assert_array_equal(np.asarray(again), result)


def test_a_size_that_no_model_has_is_the_next_larger_one_made_smaller():
    larger = upscale(LEAVES.astype(np.float64) / 255, 3, "fsrcnn-x3")
    expected = np.rint(imresize(larger, size=(100, 120)).clip(0, 1) * 255)
    result = upscale(LEAVES, 2.5, repair="off")
    assert np.abs(result - expected).max() <= 1
    twice = upscale(upscale(LEAVES / 255, 2, "fsrcnn-x2"), 4, "fsrcnn-x4")
    assert np.abs(upscale(LEAVES, 8, repair="off") - np.rint(twice * 255)).max() <= 1
    plain = imresize(LEAVES / 255, size=(50, 60))
    result = upscale(LEAVES, size=(50, 60), model="bicubic")
    assert np.abs(result - np.rint(plain.clip(0, 1) * 255)).max() <= 1


def test_no_model_is_the_default_and_bicubic_has_a_name():
    grey = LEAVES[..., 0]
    np.testing.assert_array_equal(upscale(grey, 3), upscale(grey, 3, default_model(3)))
    assert (upscale(grey, 3) != upscale(grey, 3, "bicubic")).mean() > 0.3
    np.testing.assert_array_equal(upscale(LEAVES, model="9-1-5-x4").shape, (160, 192, 3))


@pytest.mark.parametrize(
    ("picture", "how", "words"),
    [
        (LEAVES, {}, "there is no scale"),
        (LEAVES, {"scale": 0}, "scale is 0; give a number above 0, up to 16"),
        (LEAVES, {"scale": True}, "scale is True"),
        (LEAVES, {"scale": 2, "size": (80, 96)}, "scale and size do not go together"),
        (
            LEAVES,
            {"size": (0, 5)},
            r"give \(height, width\), two whole numbers of 1",
        ),
        (LEAVES, {"size": (2.5, 5)}, "size is"),
        (LEAVES, {"size": (5,)}, "size is"),
        (LEAVES, {"size": 5}, "size is 5"),
        (LEAVES, {"size": "80"}, "size is '80'"),
        (LEAVES, {"scale": 2, "model": "absent"}, "there is no model 'absent'"),
        (LEAVES, {"scale": 2, "model": "9-5-5-x3"}, "trained for scale 3, not 2"),
        (LEAVES, {"scale": 2, "repair": "much"}, "unknown repair 'much'"),
        (LEAVES * 2.0, {"scale": 2}, "values from .* in floating point white is 1"),
        (LEAVES * np.nan, {"scale": 2}, "not finite"),
        (LEAVES.astype(int), {"scale": 2}, "is of int64; give uint8, uint16 or floating"),
        (LEAVES[..., :2], {"scale": 2}, r"not one of \(40, 48, 2\)"),
        (np.zeros((0, 5)), {"scale": 2}, r"not one of \(0, 5\)"),
        (LEAVES[..., :1], {"scale": 2}, r"not one of \(40, 48, 1\); give x\[..., 0\]"),
        (np.ma.masked_array(LEAVES), {"scale": 2}, "is a masked array; give its .filled"),
        (Image.new("RGB", (0, 5)), {"scale": 2}, "the image is empty: 0 x 5 pixels"),
        (LEAVES, {"scale": 2, "model": SRCNN()}, r"is a SRCNN; give a name.*Model\(network, scale"),
        (LEAVES, {"scale": 2, "model": 5}, "the model is a int"),
        (LEAVES, {"scale": 2, "model": "bicubic", "repair": "jpeg50"}, "leave out one of them"),
        ([[1]], {"scale": 2}, "is no picture; give an array, a PIL image or a path"),
        ("absent.png", {"scale": 2}, "absent.png does not exist"),
    ],
)
def test_upscale_refuses(picture, how, words):
    with pytest.raises(InputError, match=words):
        upscale(picture, **how)


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA"])
def test_resizing_in_strips_does_not_show(monkeypatch, kind):
    grey = LEAVES[..., 0]
    picture = {"L": grey, "RGB": LEAVES, "RGBA": np.dstack([LEAVES, grey | 1])}[kind]
    for size in ((61, 70), (33, 20), (90, 13), (7, 90)):
        whole = upscale(picture, size=size, repair="off")
        with monkeypatch.context() as patch:
            patch.setattr(upscaling, "_STRIP_PIXELS", 600)
            np.testing.assert_array_equal(upscale(picture, size=size, repair="off"), whole)
        if kind == "L" and size[0] < 40 and size[1] < 48:
            plain = imresize(picture / 255, size=size)
            assert np.abs(whole - np.rint(plain.clip(0, 1) * 255)).max() <= 1


def test_a_pillow_image_that_may_have_changed_has_lost_its_quality(tmp_path):
    Image.fromarray(LEAVES).save(tmp_path / "p.jpg", quality=50)
    assert picture_of(Image.open(tmp_path / "p.jpg")).quality == 50
    image = Image.open(tmp_path / "p.jpg")
    image.paste("red", (0, 0, 9, 9))
    assert picture_of(image).quality is None
    image = Image.open(tmp_path / "p.jpg")
    image.thumbnail((20, 20))
    assert picture_of(image).quality is None


def test_pillow_images_that_cannot_be_are_a_sentence(tmp_path):
    with pytest.raises(InputError, match="the image has floating-point pixels; convert it"):
        upscale(Image.new("F", (9, 9)), 2)
    Image.fromarray(LEAVES).save(tmp_path / "p.jpg")
    Image.fromarray(LEAVES).save(tmp_path / "p.png")
    for name in ("p.jpg", "p.png"):
        short = tmp_path / f"short_{name}"
        short.write_bytes((tmp_path / name).read_bytes()[:-400])
        with pytest.raises(InputError, match="the image is closed, damaged or cut short"):
            upscale(Image.open(short), 2)


def test_the_order_of_bytes_does_not_matter():
    for dtype in (">u2", ">f4"):
        x = LEAVES.astype(float) / 255 if dtype == ">f4" else LEAVES.astype(np.uint16) * 257
        result = upscale(x.astype(dtype), 2, "bicubic")
        np.testing.assert_array_equal(result, upscale(x.astype(dtype[1:]), 2, "bicubic"))
