"""A network that takes the small picture: its layers, its sub-images, its models."""

import json

import numpy as np
import pytest
from PIL import Image

from srcnn_np import (
    FSRCNN,
    RECIPES,
    SRCNN,
    Conv2D,
    ConvTranspose2D,
    InputError,
    Model,
    PReLU,
    Recipe,
    Sequential,
    draw_pictures,
    evaluate,
    load_model,
    save_model,
    train,
)
from srcnn_np.cli import main
from srcnn_np.data import cut_sub_images, shrink, turn
from srcnn_np.network import for_scale

PICTURES = draw_pictures(4, size=96, seed=0)
SMALL = 8, 4, 1  # d, s and m of a small one


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def drawn(scale, seed=1, **how):
    network, rng = FSRCNN(*SMALL, scale=scale, seed=seed, **how), np.random.default_rng(seed)
    for name, p in network.params.items():
        if not name.endswith(".w"):
            p += rng.normal(0, 0.1, p.shape).astype(p.dtype)
    return network


@pytest.mark.parametrize(
    ("sizes", "weights", "structure"),
    [((56, 12, 4), 12464, "5-1-3-3-3-3-1-9"), ((32, 5, 1), 3937, "5-1-3-1-9")],
)
def test_parameter_counts_of_the_paper(sizes, weights, structure):
    network = FSRCNN(*sizes, scale=3)
    assert sum(p.size for name, p in network.params.items() if name.endswith(".w")) == weights
    assert network.structure == structure
    assert network.channels == (1, 1)
    assert network.zoom == 3


@pytest.mark.parametrize("how", [{"d": 0}, {"s": 2.5}, {"m": -1}, {"scale": "3"}, {"d": True}])
def test_numbers_that_make_no_network_are_refused(how):
    with pytest.raises(InputError, match="give a whole number"):
        FSRCNN(**how)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("border", ["valid", "zero", "replicate"])
def test_forward_and_predict_agree_inside(scale, border):
    network = drawn(scale, border=border)
    picture = np.random.default_rng(0).random((30, 25), np.float32)
    whole, y = network.predict(picture), network.forward(picture[None, None])[0, 0]
    assert whole.shape == (30 * scale, 25 * scale)
    top, bottom, left, right = network.margin
    assert y.shape == (30 * scale - top - bottom, 25 * scale - left - right)
    far = 2 * scale + max(network.reach) * scale
    inside = np.s_[far:-far, far:-far]
    H, W = whole.shape
    np.testing.assert_allclose(
        whole[inside], np.pad(y, ((top, bottom), (left, right)))[:H, :W][inside], atol=5e-6
    )


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_pixels_places_lie_around_it(scale):
    """With a filter that repeats each pixel, y repeats each pixel of x in its place."""
    layer = ConvTranspose2D(1, 1, 9, stride=scale)
    first = layer.shift[0]
    layer.params["w"][0, 0, first : first + scale, first : first + scale] = 1
    x = np.random.default_rng(0).random((1, 1, 9, 8), np.float32)
    network = Sequential([layer])
    expected = x[0, 0].repeat(scale, 0).repeat(scale, 1)
    np.testing.assert_allclose(network.predict(x[0, 0]), expected, rtol=1e-6)
    top, bottom, left, right = network.margin
    y = network.forward(x)[0, 0]
    np.testing.assert_allclose(y, expected[top : 9 * scale - bottom, left : 8 * scale - right])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kernel": 2, "stride": 3}, r"kernel is \(2, 2\): give at least the stride"),
        ({"kernel": 9, "stride": 0}, "stride is 0"),
        ({"kernel": 9, "stride": 3, "border": "wrap"}, "unknown border"),
        ({"kernel": 9, "stride": 3, "backend": "c"}, "unknown backend"),
    ],
)
def test_a_transposed_layer_refuses_what_makes_none(arguments, words):
    with pytest.raises(ValueError, match=words):
        ConvTranspose2D(1, 1, **arguments)


def test_slopes_are_one_for_each_channel():
    layer = PReLU(2, slope=0.5)
    x = np.array([-4.0, 0.0, 6.0]).reshape(1, 1, 1, 3).repeat(2, axis=1)
    layer.params["a"] = np.array([0.5, -1.0])
    np.testing.assert_array_equal(layer.forward(x)[0, :, 0], [[-2, 0, 6], [4, 0, 6]])
    dx = layer.backward(np.ones_like(x))
    np.testing.assert_array_equal(dx[0, :, 0], [[0.5, 0.5, 1], [-1, -1, 1]])
    np.testing.assert_array_equal(layer.grads["a"], [-4, -4])
    with pytest.raises(ValueError, match="but there are 2 slopes"):
        layer.forward(x[:, :1])
    network = Sequential([Conv2D(1, 3, 1), PReLU(3), Conv2D(3, 1, 1)])
    network.params["prelu1.a"] = np.array([1, 2, 3], np.float32)
    network.initialise("he", 0)
    np.testing.assert_array_equal(network.params["prelu1.a"], [0.25] * 3)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("colour", [False, True])
def test_sub_images_are_small_ones_and_their_targets(scale, colour):
    pictures = [PICTURES[0], PICTURES[1]]
    if colour:
        pictures = [np.dstack([p, p[::-1], p.T]) for p in pictures]
    pictures[1] = pictures[1][:-5]
    margin = scale, 2 * scale, 0, 3 * scale
    sub_images = cut_sub_images(
        pictures, scale, size=25, stride=7, margin=margin, enlargement="none"
    )
    size = 25 // scale * scale
    stride = -(-7 // scale) * scale
    indices = np.arange(len(sub_images))
    for how in range(8):
        x, target = sub_images.batch(indices, np.full(len(indices), how))
        n = 0
        for picture in pictures:
            whole, small = shrink(picture, scale)
            for i in range(0, len(whole) - size + 1, stride):
                for j in range(0, whole.shape[1] - size + 1, stride):
                    here = small[i // scale : (i + size) // scale, j // scale : (j + size) // scale]
                    there = whole[i : i + size, j : j + size]
                    for c in range(3 if colour else 1):
                        a, b = (v[..., c] if colour else v for v in (here, there))
                        np.testing.assert_allclose(x[n, c], turn(a, how), atol=1e-6)
                        b = turn(b, how)[margin[0] : size - margin[1], margin[2] : size - margin[3]]
                        np.testing.assert_allclose(target[n, c], b, atol=1e-6)
                    n += 1
        assert n == len(sub_images)


def test_models_say_that_they_take_the_small_picture():
    model = Model(drawn(3), 3)
    assert model.enlargement == "none"
    assert Model(SRCNN(), 3).enlargement == "bicubic"
    save_model("m.npz", model)
    loaded = load_model("m.npz")
    assert loaded.card() == model.card()
    assert loaded.card()["enlargement"] == "none"
    small = np.random.default_rng(0).random((20, 17), np.float32)
    np.testing.assert_array_equal(loaded.predict(small), model.predict(small))
    for network, scale, how, words in (
        (drawn(3), 2, None, "the network enlarges 3 times, which does not go with scale 2"),
        (drawn(3), None, None, "with scale None and enlargement none"),
        (drawn(3), 3, "bicubic", "enlarges 3 times, which does not go with scale 3 and .* bicubic"),
        (SRCNN(), 3, "none", "enlarges 1 times, which does not go with scale 3 and .* none"),
        (SRCNN(), 3, "linear", "choose bicubic, nearest or none"),
    ):
        with pytest.raises(InputError, match=words):
            Model(network, scale, enlargement=how)


def test_a_card_that_claims_large_layers_is_refused():
    save_model("m.npz", Model(drawn(2), 2))
    with np.load("m.npz") as file:
        arrays = dict(file)
    for layer, name, words in (
        (1, "channels", "prelu1"),
        (-1, "in_channels", "convtranspose1"),
    ):
        card = json.loads(str(arrays["card"]))
        for value in (10**12, "many", None):
            card["layers"][layer][name] = value
            np.savez("bad.npz", **arrays | {"card": np.array(json.dumps(card))})
            with pytest.raises(InputError, match=rf"too large|no size of {words}"):
                load_model("bad.npz")


@pytest.mark.parametrize("scale", [2, 3])
def test_it_learns_and_is_repeatable(scale):
    recipe = Recipe(
        epochs=30, optimiser="muon", rate=0.02, batch=8, size=60, stride=12, schedule="cosine"
    )

    def run():
        model = Model(FSRCNN(*SMALL, scale=scale), scale)
        return train(model, PICTURES[1:], PICTURES[:1], recipe, show=False), model

    (history, model), (_, again) = run(), run()
    losses = [row["loss"] for row in history.rows]
    assert losses[-1] < 0.4 * np.mean([np.var(p / 255) for p in PICTURES])
    for name, p in model.network.params.items():
        np.testing.assert_array_equal(p, again.network.params[name])


def test_for_another_scale_only_the_last_layer_learns():
    network = drawn(3)
    other = for_scale(network, 2)
    assert other.zoom == 2
    before = {name: p.copy() for name, p in other.params.items()}
    for name, p in network.params.items():
        if not name.startswith("convtranspose"):
            np.testing.assert_array_equal(other.params[name], p)
            assert not np.shares_memory(other.params[name], p)
    assert other.params["convtranspose1.w"].any()
    recipe = Recipe(epochs=1, batch=4, size=48, init=None, only_last=True, optimiser="muon")
    train(Model(other, 2), PICTURES[1:], PICTURES[:1], recipe, show=False)
    for name, p in other.params.items():
        same = np.array_equal(p, before[name])
        assert same != name.startswith("convtranspose"), name
    with pytest.raises(InputError, match="only a network whose last layer is a transposed"):
        for_scale(SRCNN(), 2)


def run(capsys, *words):
    try:
        code = main([str(word) for word in words])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


def test_the_commands_take_it_as_any_other(capsys):
    quick = ["--epochs", 0.5, "--batch", 4, "--validations", 1]
    words = ["train", "--drawn", 3, "--scale", 3, "--arch", "fsrcnn-s", *quick, "--out", "x3.npz"]
    assert run(capsys, *words)[0] == 0
    card = load_model("x3.npz").card()
    assert card["structure"] == "5-1-3-1-9"
    assert card["training"]["recipe"]["size"] == RECIPES["fsrcnn"].size
    words = ["train", "--drawn", 3, "--scale", 2, "--from", "x3.npz", "--only-last", *quick]
    assert run(capsys, *words, "--out", "x2.npz")[0] == 0
    was, now = (load_model(name).network.params for name in ("x3.npz", "x2.npz"))
    np.testing.assert_array_equal(now["conv1.w"], was["conv1.w"])
    assert load_model("x2.npz").scale == 2
    Image.fromarray(np.dstack([p[:40, :33] for p in PICTURES[:3]])).save("p.png")
    for words in (
        ["upscale", "p.png", "--model", "x3.npz"],
        ["upscale", "p.png", "--model", "x3.npz", "--width", "77", "-o", "w.png"],
        ["show", "filters", "--model", "x3.npz", "-o", "f.png"],
        ["show", "features", "p.png", "--model", "x3.npz", "-o", "g.png"],
        ["show", "compare", "p.png", "--model", "x3.npz", "-o", "c.png"],
        ["report", "p.png", "--model", "x3.npz", "-o", "r.html"],
        ["evaluate", ".", "--model", "x3.npz", "--json", "e.json"],
    ):
        code, out, err = run(capsys, *words)
        assert code == 0, (words, out, err)
    assert Image.open("p_x3.png").size == (99, 120)
    assert evaluate(".", 3, load_model("x3.npz"))["mean"]["model"]["psnr"] > 5


def test_words_that_do_not_go_together_are_a_sentence(capsys):
    save_model("m.npz", Model(SRCNN("3-1-1", filters=(2, 2)), 3))
    start = ["train", "--drawn", 2, "--scale", 2, "--out", "o.npz"]
    for words, why in (
        (["--arch", "fsrcnn", "--filters", "4-2"], "says its filters; leave out --filters"),
        (["--only-last"], "--only-last goes with --from"),
        (["--arch", "fsrcnn", "--size", "20"], "too small: the network's filters take"),
    ):
        code, _, err = run(capsys, *start, *words)
        assert (code, why in err) == (1, True), err


def test_sides_of_their_own_strides():
    network = Sequential([ConvTranspose2D(1, 1, 9, stride=(2, 3))])
    assert network.margin == (4, 4, 3, 3)
    x = np.random.default_rng(0).random((1, 1, 8, 9), np.float32)
    y = network.forward(x)
    assert y.shape[2:] == (2 * 8 - 8, 3 * 9 - 6)
    loss, grads = network.loss_and_gradients(x, np.zeros_like(y))
    grads = dict(grads)
    expected, by_layers = network.loss_and_gradients_by_layers(x, np.zeros_like(y))
    assert loss == pytest.approx(expected, rel=1e-5)
    for name, g in by_layers.items():
        np.testing.assert_allclose(grads[name], g, rtol=1e-4, atol=1e-6)
    narrow = Sequential([ConvTranspose2D(1, 1, (1, 2), stride=(1, 2))])
    x = np.zeros((2, 1, 5, 1), np.float32)
    with pytest.raises(ValueError, match="but the target"):
        narrow.loss_and_gradients(x, x)


def test_what_does_not_fit_together_makes_no_network():
    with pytest.raises(ValueError, match="4 channels are followed by a PReLU of 1"):
        Sequential([Conv2D(1, 4, 3), PReLU(1), Conv2D(4, 1, 3)])
    with pytest.raises(ValueError, match="only if that is the last"):
        Sequential(
            [ConvTranspose2D(1, 1, 2, stride=2), Conv2D(1, 1, 3)], predict_border="replicate-once"
        )
    for channels in ((3, 3), 0, 2.0, True):
        with pytest.raises(ValueError, match="channels is"):
            PReLU(channels)
    with pytest.raises(InputError, match="scale is 10; give a whole number from 1 to 9"):
        FSRCNN(scale=10)
    small = Sequential([Conv2D(1, 2, 1), ConvTranspose2D(2, 1, 3, stride=2)])
    with pytest.raises(InputError, match="a last filter of 3 x 3 is too small for scale 4"):
        for_scale(small, 4)


def test_another_scale_has_the_same_dtype_and_its_own_seed():
    double = for_scale(FSRCNN(4, 2, 0, scale=2).astype(np.float64), 3)
    assert {p.dtype for p in double.params.values()} == {np.dtype(np.float64)}
    one, two = (for_scale(drawn(2), 3, seed).params["convtranspose1.w"] for seed in (1, 2))
    assert np.abs(one - two).max() > 0.01


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_sub_images_that_leave_nothing_are_refused(scale):
    margin = (9, 9, 9, 9)
    for size in range(1, 18 + 2 * scale):
        how = {"size": size, "margin": margin, "enlargement": "none"}
        if size // scale * scale <= 18:
            with pytest.raises(InputError, match="too small"):
                cut_sub_images(PICTURES, scale, **how)
        else:
            x, target = cut_sub_images(PICTURES, scale, **how).batch(np.arange(2))
            assert min(target.shape[2:]) > 0
            assert x.shape[2] == size // scale


def test_slopes_that_are_not_finite_stay_where_they_are():
    network = drawn(2)
    network.params["prelu1.a"][0] = np.inf
    picture = np.random.default_rng(0).random((20, 20), np.float32) - 0.5
    with np.errstate(all="ignore"):
        found = network.predict(picture), network.predict_by_layers(picture)
    np.testing.assert_array_equal(*map(np.isnan, found))
