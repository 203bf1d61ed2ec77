"""The harm to small pictures, and trainings with it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srcnn_np import (
    RECIPES,
    SRCNN,
    InputError,
    Model,
    draw_pictures,
    load_model,
    train,
    training,
)
from srcnn_np.data import cut_sub_images, shrink, to_channels, turn
from srcnn_np.degradation import (
    Degradation,
    SmallPictures,
    in_rgb,
    through_jpeg,
    with_noise,
)
from srcnn_np.imaging import Picture, enlarge, imresize, rgb_to_ycbcr
from srcnn_np.pictures import Pictures

LEAVES = draw_pictures(6, size=128, seed=3)
# Y, Cb and Cr of something with colours.
COLOURS = [
    rgb_to_ycbcr(np.dstack([a, b, c]))
    for a, b, c in zip(LEAVES, LEAVES[1:] + LEAVES[:1], LEAVES[2:] + LEAVES[:2], strict=True)
]
HARD = replace(RECIPES["fast"], batch=16, epochs=2, jpeg=(20, 60), noise=(0, 9))


@pytest.mark.parametrize("quality", [5, 50, 95])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_jpeg_is_what_pillow_writes(tmp_path, quality, subsampling):
    for picture in (LEAVES[0][:31, :50], np.dstack(LEAVES[:3])[:31, :50]):
        file = tmp_path / "p.jpg"
        Image.fromarray(picture).save(file, quality=quality, subsampling=subsampling)
        found = through_jpeg(picture, quality, subsampling)
        np.testing.assert_array_equal(found, np.asarray(Image.open(file)))
        assert found.shape == picture.shape


def test_noise_has_the_deviation_that_is_asked_for():
    grey = np.full((200, 300, 3), 100, np.uint8)
    noisy = with_noise(grey, 12, np.random.default_rng(0)).astype(float)
    assert abs(noisy.mean() - 100) < 0.1
    assert abs(noisy.std() - 12) < 0.1
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.02
    white = with_noise(np.full((50, 50), 250, np.uint8), 30, np.random.default_rng(0))
    assert white.max() == 255  # clipped, not wrapped
    assert white.min() > 100


def test_what_is_drawn_covers_its_range_and_no_more(monkeypatch):
    qualities, ways, deviations = set(), set(), []

    def jpeg(picture, quality, subsampling):
        qualities.add(quality)
        ways.add(subsampling)
        return picture

    monkeypatch.setattr("srcnn_np.degradation.through_jpeg", jpeg)
    monkeypatch.setattr(
        "srcnn_np.degradation.with_noise", lambda p, sigma, rng: deviations.append(sigma) or p
    )
    rng = np.random.default_rng(0)
    for _ in range(200):
        Degradation((70, 74), (2, 5)).harm(LEAVES[0], rng)
    assert qualities == {70, 71, 72, 73, 74}
    assert ways == {"4:4:4", "4:2:2", "4:2:0"}
    assert 2 <= min(deviations) < 2.2
    assert 4.8 < max(deviations) <= 5


def test_luma_and_colours_go_to_rgb_and_back():
    for channels, colour in ((LEAVES[0], "luma"), (COLOURS[0], "ycbcr")):
        again = to_channels(Picture(in_rgb(channels / 255)), colour).astype(int)
        # Luma has 220 levels of 256; what is outside RGB's cube is clipped.
        inside = np.s_[...] if colour == "ycbcr" else (channels >= 16) & (channels <= 235)
        assert abs(again - channels)[inside].max() <= 2
    np.testing.assert_array_equal(
        to_channels(Picture(LEAVES[0]), "luma"),
        to_channels(Picture(np.dstack([LEAVES[0]] * 3)), "ycbcr")[..., 0],
    )


@pytest.mark.parametrize("colour", ["luma", "ycbcr"])
def test_small_pictures_are_harmed_anew_in_each_epoch(colour):
    pictures = Pictures.of([p[: 128 - 7 * n] for n, p in enumerate(COLOURS)])
    how = Degradation((30, 34), None)
    small = SmallPictures(pictures, 3, colour, how, 5)
    first = [p.copy() for p in small.of_epoch(0)]
    second = [p.copy() for p in small.of_epoch(1)]
    assert [p.tobytes() for p in small.of_epoch(0)] == [p.tobytes() for p in first]
    small.of_epoch(2)
    assert [p.tobytes() for p in small.of_epoch(1)] == [p.tobytes() for p in second]
    again = SmallPictures(pictures, 3, colour, how, 5)
    assert [p.tobytes() for p in again.of_epoch(1)] == [p.tobytes() for p in second]
    assert any((a != b).any() for a, b in zip(first, second, strict=True))
    # By hand.
    _, shrunk = shrink(pictures[2], 3)
    rgb = in_rgb(shrunk)
    ways = ((q, s) for q in range(30, 35) for s in ("4:4:4", "4:2:2", "4:2:0"))
    results = (to_channels(Picture(through_jpeg(rgb, *way)), colour) for way in ways)
    assert any(np.array_equal(first[2], result) for result in results)


@given(
    st.lists(st.tuples(st.integers(20, 40), st.integers(20, 40)), min_size=1, max_size=3),
    st.integers(2, 4),
    st.sampled_from([1, 3]),
    st.integers(0, 7),
)
def test_sub_images_are_of_the_small_pictures_that_are_given(sizes, scale, channels, how):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    small = [rng.integers(0, 256, (H // scale, W // scale, 3), np.uint8) for H, W in sizes]
    if channels == 1:
        small = [p[..., 0] for p in small]
    sub_images = cut_sub_images(
        pictures, scale, size=12, stride=5, margin=(2, 1, 3, 2), channels=channels
    )
    turns = np.full(len(sub_images), how)
    x, target = sub_images.batch(np.arange(len(turns)), turns, Pictures.of(small))
    with pytest.MonkeyPatch.context() as patch:  # as without Numba's compiler
        patch.setattr("srcnn_np.compiling.COMPILES", False)
        plain = sub_images.batch(np.arange(len(turns)), turns, Pictures.of(small))
    np.testing.assert_allclose(x, plain[0], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(target, plain[1])
    given_ = enlarge(small[0] / 255, scale)
    first = np.moveaxis(np.atleast_3d(given_)[:12, :12], 2, 0)
    np.testing.assert_allclose(x[0], turn(first, how), rtol=0, atol=1e-6)
    whole = np.moveaxis(pictures[0][:12, :12, :channels], 2, 0) / 255
    np.testing.assert_array_equal(target[0], turn(whole, how)[:, 2:11, 3:10].astype(np.float32))


def run(recipe, model=None, pictures=COLOURS, **options):
    model = model or Model(SRCNN("5-1-3", filters=(8, 4)), 2)
    options = {"show": False, "validations": 2, **options}
    return model, train(model, pictures[1:], pictures[:1], recipe, **options)


def test_a_luma_model_learns_from_the_first_of_three_channels():
    grey = [p[..., 0].copy() for p in COLOURS]
    plain = replace(HARD, jpeg=None, noise=None)
    one, _ = run(plain)
    other, _ = run(plain, pictures=grey)
    for name, p in one.network.params.items():
        np.testing.assert_array_equal(other.network.params[name], p)


def test_what_learns_from_harm_mends_it():
    noisy = replace(HARD, epochs=40, jpeg=(80, 95), noise=(20, 30))
    models = {"clean": run(replace(noisy, jpeg=None, noise=None))[0]}
    models["harmed"], history = run(noisy)
    assert history.validations[-1]["psnr"] > history.bicubic["psnr"]  # of harmed pictures
    errors = {"clean": 0, "harmed": 0}
    for n, picture in enumerate(draw_pictures(4, size=64, seed=9)):
        picture = np.dstack([picture] * 3)
        small = noisy.degradation.harm(imresize(picture, size=(32, 32)), np.random.default_rng(n))
        x, wanted = (to_channels(Picture(p)) / 255 for p in (small, picture))
        for name, model in models.items():
            result = model.predict(enlarge(x, 2))
            errors[name] += ((result - wanted)[4:-4, 4:-4] ** 2).mean()
    assert errors["harmed"] < 0.8 * errors["clean"]


def test_a_model_of_colours_learns_from_harm():
    model = Model(SRCNN("5-1-3", filters=(8, 4), channels=3), 2, "ycbcr")
    _, history = run(replace(HARD, epochs=20), model)
    assert history.rows[-1]["loss"] < 0.5 * history.rows[0]["loss"]


def test_it_goes_on_to_the_same_bits(tmp_path):
    """Also in the middle of an epoch, and if a mini-batch takes its sub-images from two epochs."""
    whole, _ = run(HARD)
    out = tmp_path / "model.npz"

    class StopError(Exception):
        pass

    def stop(self, before=training._Training.update):
        if self.done == 23:
            self.save(out)
            raise StopError
        return before(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srcnn_np.training._Training.update", stop)
        with pytest.raises(StopError):
            run(HARD, out=out)
    resumed, _ = run(HARD, out=out, resume=True)
    for name, p in whole.network.params.items():
        np.testing.assert_array_equal(resumed.network.params[name], p)
    assert load_model(out).training["recipe"]["jpeg"] == [20, 60]
    with pytest.raises(InputError, match=r"its jpeg was .*20, 60.*, not .*20, 70"):
        run(replace(HARD, jpeg=(20, 70)), out=out, resume=True)
