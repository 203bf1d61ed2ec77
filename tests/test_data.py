"""Drawn pictures, folders, and sub-images."""

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srcnn_np import InputError
from srcnn_np.data import (
    cut_sub_images,
    draw_pictures,
    hold_out,
    read_folder,
    shrink,
    to_channels,
    turn,
    with_copies,
)
from srcnn_np.imaging import Picture, imresize


def test_drawn_pictures_are_seeded_and_varied():
    a, b = draw_pictures(2, size=64, seed=1), draw_pictures(2, size=64, seed=1)
    for one, other in zip(a, b, strict=True):
        assert one.shape == (64, 64)
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, other)
    assert (a[0] != a[1]).mean() > 0.9
    assert (a[0] != draw_pictures(1, size=64, seed=2)[0]).mean() > 0.9
    assert len(np.unique(a[0])) > 50


def test_detail_is_spread_over_scales_as_in_photographs():
    """Power falls with frequency like f^-1.6; Set14's photographs lie between -0.8 and -2.3."""
    window = np.hanning(256)
    pictures = [(p / 255 - np.mean(p / 255)) * window for p in draw_pictures(8)]
    power = np.mean([np.abs(np.fft.rfft(p, axis=1)) ** 2 for p in pictures], axis=(0, 1))
    slope = np.polyfit(np.log(np.arange(4, 64)), np.log(power[4:64]), 1)[0]
    assert -2.0 < slope < -1.2


def test_shrink_crops_at_the_bottom_and_right():
    picture = np.arange(7 * 8, dtype=np.uint8).reshape(7, 8)
    target, small = shrink(picture, 3)
    np.testing.assert_array_equal(target, picture[:6, :6] / 255)
    np.testing.assert_array_equal(small, imresize(target, size=(2, 2)))
    with pytest.raises(InputError, match="8 x 7 is too small for scale 9"):
        shrink(picture, 9)
    with pytest.raises(TypeError, match="give uint8"):
        shrink(picture / 255, 3)


@needs_shared
def test_t91_gives_as_many_sub_images_as_the_protocol_says():
    pictures, skipped = read_folder(SHARED / "data/T91")
    assert (len(pictures), skipped) == (91, [])
    sub_images = cut_sub_images(pictures, 3, margin=(6, 6, 6, 6))
    assert len(sub_images) == 21884


@given(
    st.lists(st.tuples(st.integers(20, 40), st.integers(20, 40)), min_size=1, max_size=3),
    st.integers(2, 4),
    st.integers(9, 18),
    st.integers(1, 9),
    st.tuples(*[st.integers(0, 4)] * 4),
    st.integers(0, 7),
)
def test_sub_images_are_where_they_should_be(sizes, scale, size, stride, margin, how):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, s, np.uint8) for s in sizes]
    sub_images = cut_sub_images(pictures, scale, size=size, stride=stride, margin=margin)
    counts = [
        ((H // scale * scale - size) // stride + 1) * ((W // scale * scale - size) // stride + 1)
        for H, W in sizes
    ]
    assert len(sub_images) == sum(counts)
    x, target = sub_images.batch(np.arange(len(sub_images)), np.full(len(sub_images), how))
    top, bottom, left, right = margin
    with pytest.MonkeyPatch.context() as patch:  # as without Numba's compiler
        patch.setattr("srcnn_np.compiling.COMPILES", False)
        plain = sub_images.batch(np.arange(len(x)), np.full(len(x), how))
    np.testing.assert_allclose(x, plain[0], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(target, plain[1])
    # The last of the last picture, by hand.
    whole, small = shrink(pictures[-1], scale)
    given_ = imresize(small, size=whole.shape)
    i = (whole.shape[0] - size) // stride * stride
    j = (whole.shape[1] - size) // stride * stride
    window = np.s_[i : i + size, j : j + size]
    np.testing.assert_allclose(x[-1, 0], turn(given_[window], how), rtol=0, atol=5e-7)
    expected = turn(whole[window], how)[top : size - bottom, left : size - right]
    np.testing.assert_array_equal(target[-1, 0], expected.astype(np.float32))


def test_the_eight_turns_are_the_symmetries_of_a_square():
    square = np.arange(9).reshape(3, 3)
    results = [turn(square, how) for how in range(8)]
    assert len({r.tobytes() for r in map(np.ascontiguousarray, results)}) == 8
    for r in results:
        assert r[1, 1] == 4
        assert sorted(r.ravel()) == list(range(9))
        assert abs(r[0, 1] - r[2, 1]) in (2, 6)  # neighbours stay neighbours


def test_colours_of_a_picture():
    colour = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    assert to_channels(Picture(colour)).shape == (4, 5)
    np.testing.assert_array_equal(
        to_channels(Picture(colour), "ycbcr")[..., 0], to_channels(Picture(colour))
    )
    grey = colour[..., 0]
    deep = Picture(grey.astype(np.uint16) * 257)
    for kind in ("luma", "ycbcr"):
        same = to_channels(Picture(np.dstack([grey] * 3)), kind)
        np.testing.assert_array_equal(to_channels(Picture(grey), kind), same)
        np.testing.assert_array_equal(to_channels(deep, kind), same)
    for picture in (Picture(grey), deep):
        np.testing.assert_array_equal(to_channels(picture, grey_is_luma=True), grey)
        ycbcr = to_channels(picture, "ycbcr", grey_is_luma=True)
        np.testing.assert_array_equal(ycbcr[..., 0], grey)
        assert (ycbcr[..., 1:] == 128).all()


def test_sub_images_refuse():
    with pytest.raises(InputError, match="none of 2 pictures is as large"):
        cut_sub_images([np.zeros((32, 40), np.uint8)] * 2, 3)
    with pytest.raises(InputError, match="leave none"):
        cut_sub_images([np.zeros((40, 40), np.uint8)], 3, size=12, margin=(6, 6, 6, 6))
    for shape in ((40, 40), (40, 40, 2)):
        with pytest.raises(InputError, match="the network takes 3 channels, and a picture of"):
            cut_sub_images([np.zeros(shape, np.uint8)], 3, channels=3)


def test_words_and_numbers_that_mean_nothing_are_refused(tmp_path):
    picture = np.zeros((40, 40), np.uint8)
    Image.fromarray(picture).save(tmp_path / "p.png")
    for call, words in (
        (lambda: to_channels(Picture(picture), "rgb"), "unknown colour 'rgb'"),
        (lambda: read_folder(tmp_path, "rgb"), "unknown colour 'rgb'"),
        (lambda: cut_sub_images([picture], 3, stride=0), "stride 0"),
        (lambda: cut_sub_images([picture, np.dstack([picture] * 3)], 3), "grey, some are not"),
        (lambda: cut_sub_images([picture], 3, stride=-14), "stride -14"),
        (lambda: cut_sub_images([picture], 3, enlargement="nearst"), "unknown enlargement"),
        (lambda: shrink(picture, 0), "scale is 0"),
        (lambda: shrink(picture, -3), "scale is -3"),
        (lambda: turn(picture, 8), "how is 8"),
        (lambda: turn(picture, -1), "how is -1"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="integer"):
        draw_pictures(1, size=8, seed=None)


def test_folders(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_folder(tmp_path / "absent")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="no picture that can be read"):
        read_folder(tmp_path)
    Image.new("RGB", (8, 6)).save(tmp_path / "good.png")
    (tmp_path / "notes.txt").write_text("")
    pictures, skipped = read_folder(tmp_path)
    assert pictures.names == ["good.png"]
    assert skipped[0] == "notes.txt"
    assert "broken.png is not a picture" in skipped[1]


def test_copies_are_the_pictures_made_smaller():
    grey, colour = draw_pictures(1, size=50)[0], np.dstack(draw_pictures(3, size=40, seed=1))
    for picture in (grey, colour):
        whole, also, half, half_of_also = with_copies([picture, picture[5:]], [0.5])
        np.testing.assert_array_equal(whole, picture)
        np.testing.assert_array_equal(also, picture[5:])
        np.testing.assert_array_equal(half, imresize(picture, 0.5))
        size = round((len(picture) - 5) / 2), picture.shape[1] // 2
        np.testing.assert_array_equal(half_of_also, imresize(picture[5:], size=size))


def test_copies_are_smaller():
    for factors in ([1.5], [0], [-1], [0.5, 1]):
        with pytest.raises(ValueError, match="give numbers above 0, below 1"):
            with_copies([np.zeros((9, 9), np.uint8)], factors)


def test_every_tenth_picture_is_held_out():
    pictures = [np.full((40, 40 + n), n) for n in range(21)]
    learn, held_out = hold_out(pictures, 3)
    assert [p[0, 0] for p in held_out] == [0, 10, 20]
    assert sorted(p[0, 0] for p in learn + held_out) == list(range(21))
    small = [np.zeros((32, 40)), np.zeros((1, 1))]
    learn, held_out = hold_out(small + pictures, 3)
    assert len(learn) + len(held_out) == 21
    with pytest.raises(InputError, match="sub-image of 33 x 33: 1 of 3 pictures"):
        hold_out([*small, pictures[0]], 3)
