"""What a picture went through is seen in it, and nothing is seen where nothing was."""

import io

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from PIL import Image

from srcnn_np import InputError, draw_pictures, upscale
from srcnn_np.choice import REPAIRS, choose
from srcnn_np.degradation import through_jpeg, with_noise
from srcnn_np.imaging import Picture, imresize, list_pictures, read_picture, traces
from srcnn_np.imaging.traces import noise_of, quality_of_pixels, quality_of_tables, table_of
from srcnn_np.model import load_model, shipped_models

GREY = draw_pictures(1, size=256, seed=4)[0]
COLOUR = np.dstack(draw_pictures(3, size=256, seed=4))


@pytest.mark.parametrize("quality", [1, 10, 37, 50, 75, 90, 99, 100])
def test_a_files_tables_say_its_quality(tmp_path, quality):
    Image.fromarray(COLOUR).save(tmp_path / "p.jpg", quality=quality)
    with Image.open(tmp_path / "p.jpg") as image:
        np.testing.assert_array_equal(np.reshape(image.quantization[0], (8, 8)), table_of(quality))
    assert read_picture(tmp_path / "p.jpg").quality == quality


def test_tables_of_other_encoders_are_like_some_quality():
    """A table one and a half times as coarse as quality 75's is between 50 and 75."""
    found = quality_of_tables({0: (table_of(75) * 1.5).ravel().tolist()})
    assert 58 <= found <= 68
    assert quality_of_tables({}) is None
    assert quality_of_tables({0: [0] * 64}) is None
    assert quality_of_tables({0: [3] * 10}) is None


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90])
@pytest.mark.parametrize("picture", [GREY, COLOUR], ids=["grey", "colour"])
def test_pixels_keep_the_marks_of_jpeg(picture, quality):
    seen = quality_of_pixels(through_jpeg(picture, quality))
    assert seen is not None
    assert abs(seen - quality) <= 3
    assert quality_of_pixels(through_jpeg(picture, quality)[5:, 3:]) in (seen - 1, seen, seen + 1)


def test_nothing_is_seen_where_nothing_was():
    rng = np.random.default_rng(0)
    flat = np.full((64, 64, 3), 90, np.uint8)
    for picture in (
        *(GREY, COLOUR, flat, flat[..., 0], np.zeros((3, 5), np.uint8)),
        rng.integers(0, 256, (64, 64), np.uint8),
        (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8),
        np.tile(rng.integers(0, 256, (8, 8), np.uint8), (20, 20)),
    ):
        assert quality_of_pixels(picture) is None
    assert noise_of(flat) == 0
    assert noise_of(np.zeros((9, 9, 3), np.uint8)) == 0


@needs_shared
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_no_clean_photograph_is_taken_for_another(scale):
    for folder in ("T91", "Set5", "Set14"):
        for path in list_pictures(SHARED / "data" / folder)[0]:
            pixels = read_picture(path).pixels
            size = tuple(n // scale for n in pixels.shape[:2])
            small = Picture(imresize(pixels, size=size))
            assert choose(small, scale) == (f"fsrcnn-x{scale}", ""), path


@pytest.mark.parametrize("sigma", [5, 10, 20])
def test_the_noise_of_colours_is_estimated(sigma):
    noisy = with_noise(np.dstack([GREY] * 3), sigma, np.random.default_rng(0))
    assert noise_of(noisy) == pytest.approx(sigma, rel=0.12)


def jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return Image.open(file)


def test_the_model_that_learnt_from_such_pictures_is_chosen(tmp_path):
    for quality, level in (
        (100, ""),
        (95, "-jpeg95"),
        (75, "-jpeg75"),
        (50, "-jpeg50"),
        (30, "-jpeg30"),
        (10, "-jpeg10"),
    ):
        jpeg(COLOUR, quality).save(tmp_path / "p.jpg", quality=quality)
        picture = read_picture(tmp_path / "p.jpg")
        assert choose(picture, 3) == (f"fsrcnn-x3{level}", f"JPEG, quality about {quality}")
        assert choose(picture, 3, "off") == ("fsrcnn-x3", "")
    grey = np.dstack([GREY] * 3)
    for sigma, level in ((5, "noise5"), (20, "noise20")):
        noisy = with_noise(grey, sigma, np.random.default_rng(0))
        name, why = choose(Picture(noisy), 2)
        assert name == f"fsrcnn-x2-{level}"
        assert why.startswith("noise of about ")
    name, why = choose(Picture(through_jpeg(GREY, 60)), 2)
    assert (name, why) == ("fsrcnn-x2-jpeg50", "once a JPEG, quality about 60")
    for of_another_dtype in (GREY.astype(np.uint16) * 257, GREY / 255):
        assert choose(Picture(of_another_dtype), 2) == ("fsrcnn-x2", "")
    harmed = through_jpeg(GREY, 60)
    for of_another_dtype in (harmed.astype(np.uint16) * 257, harmed / np.float32(255)):
        assert choose(Picture(of_another_dtype), 2)[0] == "fsrcnn-x2-jpeg50"
    with pytest.raises(InputError, match="unknown repair 'much': choose one of auto, off, jpeg95"):
        choose(Picture(GREY), 2, "much")


def test_every_level_is_shipped_for_every_scale():
    for repair in REPAIRS[2:]:
        for scale in (2, 3, 4):
            assert f"fsrcnn-x{scale}-{repair}" in shipped_models()


def test_a_clean_picture_gets_the_clean_models_result():
    small = COLOUR[:90, :80]
    expected = upscale(small, 2, load_model("fsrcnn-x2"))
    np.testing.assert_array_equal(upscale(small, 2), expected)
    harmed = through_jpeg(small, 50)
    expected = upscale(harmed, 2, "fsrcnn-x2-jpeg50")
    result = upscale(jpeg(small, 50), 2)
    np.testing.assert_array_equal(result.size, expected.shape[1::-1])
    expected = upscale(np.asarray(jpeg(small, 50)), 2, "fsrcnn-x2-jpeg50")
    np.testing.assert_array_equal(np.asarray(result), expected)


def drawings():
    """Pictures of few colours, each with a name."""
    rng = np.random.default_rng(0)
    small = imresize(COLOUR, size=(96, 96))
    for levels in (2, 3, 4, 8, 16, 40):
        colours = rng.integers(0, 256, (levels, 3), np.uint8)
        sprite = colours[rng.integers(0, levels, (64, 64))]
        posterised = (small // (256 // levels) * (255 // levels)).astype(np.uint8)
        dots = Image.fromarray(small).convert("P", colors=levels, palette=Image.Palette.ADAPTIVE)
        for times in (1, 2, 3, 4):
            art = sprite.repeat(times, axis=0).repeat(times, axis=1)
            yield f"pixel art of {levels} colours, {times} times", art
            yield f"pixel art of {levels} greys, {times} times", np.ascontiguousarray(art[..., 0])
        yield f"posterised to {levels}", posterised
        yield f"a palette of {levels}", np.asarray(dots.convert("RGB"))
    yield "a palette for the web", np.asarray(Image.fromarray(small).convert("P").convert("RGB"))
    yield "black and white", np.asarray(Image.fromarray(small).convert("1").convert("L"))


def test_nothing_is_said_about_drawings():
    for name, pixels in drawings():
        assert choose(Picture(pixels), 2) == ("fsrcnn-x2", ""), name


def test_of_a_large_picture_some_parts_say_its_noise(monkeypatch):
    noisy = with_noise(np.dstack([GREY] * 3), 12, np.random.default_rng(1))
    whole = noise_of(noisy)
    monkeypatch.setattr(traces, "_TILE", 32)
    monkeypatch.setattr(traces, "_MOST_TILES", 64)
    assert noise_of(noisy) == pytest.approx(whole, rel=1e-6)  # the same blocks
    monkeypatch.setattr(traces, "_MOST_TILES", 16)
    assert noise_of(noisy) == pytest.approx(whole, rel=0.1)


def test_noise_in_a_jpeg_is_seen_where_its_colours_are_whole():
    clean = np.dstack([GREY] * 3)
    noisy = with_noise(clean, 20, np.random.default_rng(0))
    for quality in (90, 95, 100):
        picture = Picture(through_jpeg(noisy, quality, "4:4:4"), quality=quality)
        name, why = choose(picture, 3)
        assert name == "fsrcnn-x3-noise20"
        assert why.startswith("noise of about ")
        picture = Picture(through_jpeg(clean, quality, "4:4:4"), quality=quality)
        assert "noise" not in choose(picture, 3)[0]


def test_flat_tiles_of_many_colours_are_not_noisy():
    tiles = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    for times in (2, 3, 4, 8):
        assert choose(Picture(tiles.repeat(times, 0).repeat(times, 1)), 2) == ("fsrcnn-x2", "")
