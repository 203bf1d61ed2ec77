"""The figures: what they draw, what the command writes and refuses."""

import sys

import numpy as np
import pytest
from PIL import Image

from srcnn_np import SRCNN, InputError, Model, draw_pictures, figures, load_model, save_model
from srcnn_np.checkpoint import read_log
from srcnn_np.cli import main
from srcnn_np.data import shrink
from srcnn_np.evaluation import as_measured, evaluate_picture
from srcnn_np.imaging import enlarge
from srcnn_np.loss import mse_backward

PICTURE = draw_pictures(1, size=96)[0]


def small_model(structure="3-1-3", filters=(6, 4), **more):
    return Model(SRCNN(structure, filters=filters), 2, **more)


def drawn_images(figure):
    """Everything drawn as an image, in order."""
    return [image for axis in figure.axes for image in axis.images]


def images(figure):
    """The titles and arrays of the drawn images."""
    return [(image.axes.get_title(), image.get_array().data) for image in drawn_images(figure)]


def find(figure, start):
    return next(array for title, array in images(figure) if title.startswith(start))


def bars(figure):
    """The labels of the colour bars."""
    return [axis.get_ylabel() for axis in figure.axes if hasattr(axis, "_colorbar")]


def test_filters_are_drawn_all_the_largest_first_with_their_scale():
    model = small_model()
    w1, w3 = model.network.params["conv1.w"], model.network.params["conv3.w"]
    w1[4] *= 10
    w1[2] = 0
    drawn = images(figures.filters(model))
    assert len(drawn) == 6 + 4
    largest = abs(w1[4]).max()
    assert drawn[0][0] == f"4: {largest:.2g}"
    np.testing.assert_allclose(drawn[0][1], w1[4, 0] / largest)
    assert drawn[5][0] == "2: 0"
    np.testing.assert_array_equal(drawn[5][1], np.zeros((3, 3)))
    sizes = [float(title.partition(": ")[2]) for title, _ in drawn[6:]]
    assert sizes == sorted(sizes, reverse=True)
    assert {title for title, _ in drawn[6:]} == {
        f"{c}: {abs(w).max():.2g}" for c, w in enumerate(w3[0])
    }


def test_filters_beside_what_training_added():
    model = small_model()
    start = {name: p.copy() for name, p in model.network.params.items()}
    model.network.params["conv1.w"][3, 0, 1, 1] += 0.5
    title, plane = images(figures.filters(model, start))[6 + 4]
    assert title == "3: 0.5"
    np.testing.assert_allclose(plane, [[0, 0, 0], [0, 1, 0], [0, 0, 0]], atol=1e-6)


def test_features_are_those_of_the_network_the_most_varied_first():
    model = small_model(filters=(20, 4))
    figure = figures.features(PICTURE, 2, model)
    target, small = shrink(PICTURE, 2)
    x = enlarge(small, 2)[None, None].astype(np.float32)
    net = model.network
    np.testing.assert_array_equal(find(figure, "x"), x[0, 0])
    np.testing.assert_allclose(find(figure, "y"), net.forward(x)[0, 0], atol=1e-5)
    np.testing.assert_allclose(find(figure, "target"), target[2:-2, 2:-2], atol=1e-6)
    maps = net.layers["relu1"].apply(net.layers["conv1"].apply(x))[0]
    drawn = images(figure)[3:]
    assert len(drawn) == 16 + 4
    for title, plane in drawn[:16]:
        np.testing.assert_array_equal(plane, maps[int(title)])
    spreads = [plane.std() for _, plane in drawn[:16]]
    np.testing.assert_allclose(spreads, sorted(spreads, reverse=True), rtol=1e-5)
    assert spreads[0] == pytest.approx(maps.std(axis=(1, 2)).max(), rel=1e-5)
    assert bars(figure) == ["luma", "value", "value"]


def test_an_fsrcnn_shows_the_small_picture_and_all_its_layers():
    model = load_model("fsrcnn-s-x2")
    figure = figures.features(PICTURE, 2, model)
    titles = [part.get_suptitle() for part in figure.subfigs]
    stages = [name for name in model.network.layers if name.startswith("prelu")]
    assert [title.partition(":")[0] for title in titles[1:]] == stages
    for drawn in (figure, figures.gradients(PICTURE, 2, model)):
        assert images(drawn)[0][0] == "x: the small picture"


def test_gradients_are_those_of_the_network():
    model = small_model()
    figure = figures.gradients(PICTURE, 2, model)
    assert not model.network.grads  # it stays as it was
    target, small = shrink(PICTURE, 2)
    x, target = (a[None, None].astype(np.float32) for a in (enlarge(small, 2), target))
    net = model.network
    dy = mse_backward(net.forward(x), target[:, :, 2:-2, 2:-2])
    dx = net.backward(dy, need_dx=True)
    drawn = images(figure)
    assert drawn[1][1].shape == x.shape[2:]
    np.testing.assert_allclose(drawn[1][1][2:-2, 2:-2], dy[0, 0], atol=1e-9)
    np.testing.assert_allclose(drawn[2][1], dx[0, 0], atol=1e-9)
    assert len(drawn) == 3 + 6
    for title, plane in drawn[3:]:
        np.testing.assert_allclose(plane, net.grads["conv1.w"][int(title), 0], atol=1e-9)
    (line,) = [line for axis in figure.axes for line in axis.lines]
    assert list(line.get_ydata()) == list(net.params)
    sizes = [np.sqrt((g**2).mean()) for g in net.grads.values()]
    np.testing.assert_allclose(line.get_xdata(), sizes, rtol=1e-5)
    assert bars(figure) == ["luma", "∂L/∂y", "∂L/∂x", "∂L/∂w"]


def test_compare_shows_what_the_paper_measures():
    model = small_model()
    figure = figures.compare(PICTURE, 2, model)
    original = as_measured(shrink(PICTURE, 2)[0], 2)
    titles = [title for title, _ in images(figure)]
    for method, m in evaluate_picture(PICTURE, 2, model).items():
        assert f"{method}: {m['psnr']:.2f} dB, SSIM {m['ssim']:.4f}" in titles
        error = find(figure, f"{method} - original")
        np.testing.assert_array_equal(error, find(figure, method) - original)
    np.testing.assert_array_equal(find(figure, "original"), original)


def is_white(image, value=0.0):
    return min(image.to_rgba(np.full((1, 1), value), bytes=True)[0, 0]) > 240


def spotted():
    """A flat picture, and one with too few different pixels to change a quantile."""
    spot = np.full((600, 800), 128, np.uint8)
    spot[300:306, 400:406] = 255
    return np.full((60, 60), 128, np.uint8), spot


@pytest.mark.parametrize("picture", spotted())
def test_no_error_is_white_and_all_errors_are_on_one_scale(picture):
    model = small_model()
    for name, p in model.network.params.items():  # it repeats its input
        p[:] = 0
        if name.endswith("w"):
            p[0, 0, p.shape[2] // 2, p.shape[3] // 2] = 1
    errors = drawn_images(figures.compare(picture, 2, model))[-2:]
    for image in errors:
        low, high = image.get_clim()
        assert low == -high < 0
        assert image.get_clim() == errors[0].get_clim()
        assert is_white(image)
    largest = max(abs(image.get_array()).max() for image in errors)
    assert errors[0].get_clim()[1] == (largest or 1)


def test_red_is_above_0_and_blue_below():
    for draw, arguments in (
        (figures.filters, ()),
        (figures.gradients, (PICTURE, 2)),
        (figures.compare, (PICTURE, 2)),
    ):
        red, _, blue, _ = drawn_images(draw(*arguments, small_model()))[-1].cmap(1.0)
        assert red > blue + 0.2


def test_gradients_that_are_0_are_white_and_said_to_be():
    model = small_model()
    for p in model.network.params.values():
        p[:] = 0
    figure = figures.gradients(PICTURE, 2, model)
    assert all(map(is_white, drawn_images(figure)[3:]))
    names = [label.get_text() for axis in figure.axes for label in axis.get_yticklabels()]
    assert {"conv1.w: all 0", "conv3.b"} <= {*names}


def test_a_colour_bar_says_that_there_is_more():
    picture = np.zeros((120, 120), np.uint8)
    picture[60, 60] = 255
    error = drawn_images(figures.compare(picture, 2, small_model()))[-1]
    assert abs(error.get_array()).max() > error.get_clim()[1]
    assert error.colorbar.extend == "both"


def test_what_the_network_is_given_is_enlarged_in_its_way():
    model = small_model(enlargement="nearest")
    x = enlarge(shrink(PICTURE, 2)[1], 2, "nearest")
    for draw in (figures.features, figures.gradients):
        np.testing.assert_array_equal(images(draw(PICTURE, 2, model))[0][1], x.astype(np.float32))


def test_what_was_there_stays_where_saving_fails(tmp_path, monkeypatch):
    (tmp_path / "f.png").write_text("mine")

    def half(self, path, **how):
        path.write_bytes(b"PNG")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figures.Figure, "savefig", half)
    with pytest.raises(InputError, match="cannot be written"):
        figures.save(tmp_path / "f.png", figures.Figure(), force=True)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_compare_magnifies_where_bicubic_errs_most():
    picture = np.full((180, 200), 128, np.uint8)
    picture[150:158:2, 30:40] = 255
    figure = figures.compare(picture, 2, small_model())
    plane = [array for title, array in images(figure) if title == "original"][1]
    assert plane.shape == (72, 72)
    assert (plane == 255).sum() == 40
    axis = next(axis for axis in figure.axes if axis.get_title() == "original")
    left, top = (round(edge + 0.5) for edge in axis.patches[0].get_xy())
    whole = as_measured(shrink(picture, 2)[0], 2)
    np.testing.assert_array_equal(whole[top : top + 72, left : left + 72], plane)


def test_colour_models():
    colour = np.dstack([PICTURE] * 3)
    model = Model(SRCNN("3-1-3", filters=(6, 4), channels=3), 2, "ycbcr")
    model.network.params["conv1.w"][2, 0] *= 100
    model.network.params["conv1.w"][3, 1] *= 1000
    figure = figures.filters(model)
    assert [part.get_suptitle() for part in figure.subfigs] == [
        "first layer: 6 filters for luma, the largest first",
        "last layer: 4 channels of its filter for luma, the largest first",
    ]
    drawn = images(figure)
    assert len(drawn) == 10
    assert drawn[0][0].startswith("2: ")  # the largest for luma, the first channel
    for draw in (figures.features, figures.gradients, figures.compare):
        assert draw(colour, 2, model).axes


@pytest.mark.parametrize("draw", [figures.features, figures.gradients])
def test_of_a_large_picture_the_middle(draw):
    picture = np.zeros((300, 20), np.uint8)
    picture[30:270] = 255
    x = images(draw(picture, 2, small_model()))[0][1]
    assert x.shape == (240, 20)
    np.testing.assert_allclose(x, 1, atol=1e-6)


@pytest.mark.parametrize("draw", [figures.features, figures.gradients, figures.compare])
def test_refusals(draw):
    with pytest.raises(InputError, match="trained for scale 2"):
        draw(PICTURE, 3, small_model())
    with pytest.raises(InputError, match="of 96 x 4 is too small"):
        draw(PICTURE[:4], 2, small_model())
    model = small_model()
    for name in ("conv1.w", "conv2.w", "conv3.w"):
        model.network.params[name][:] = 3e38
    with pytest.raises(InputError, match="not finite"):
        draw(PICTURE, 2, model)


@pytest.mark.parametrize("draw", [figures.features, figures.gradients])
def test_a_picture_that_is_too_small_is_told_what_would_do(draw):
    with pytest.raises(InputError, match=r"5 x 5 is too small .* at least 6 x 6 pixels"):
        draw(PICTURE[:5, :5], 2, small_model())
    assert draw(PICTURE[:6, :6], 2, small_model()).axes


def test_gradients_that_are_not_finite_are_refused():
    model = small_model()
    for number, value in enumerate((1e-38, 1e6, 1e38), 1):
        model.network.params[f"conv{number}.w"][:] = value
    with pytest.raises(InputError, match=r"the gradient of .* is not finite"):
        figures.gradients(PICTURE, 2, model)


def test_equal_values_have_a_scale():
    model = small_model()
    model.network.params["conv1.w"][:] = 0
    model.network.params["conv1.b"][:] = 0.25
    for image in drawn_images(figures.features(PICTURE, 2, model)):
        low, high = image.get_clim()
        assert low < high


def test_loss_curve(tmp_path):
    (tmp_path / "log.csv").write_text(
        "sub_images,seconds,rate,loss,psnr,watched\n32,0.1,1.0,0.5,,\n64,0.2,0.9,0.25,20.0,\n"
    )
    rows = read_log(tmp_path / "log.csv")
    left, right = figures.loss_curve(rows, bicubic=21.5).axes
    assert left.lines[0].get_xydata().tolist() == [[32, 0.5], [64, 0.25]]
    assert right.lines[0].get_xydata().tolist() == [[64, 20]]
    assert right.lines[1].get_ydata() == [21.5, 21.5]
    assert right.get_legend().texts[0].get_text() == "held out"


# --- the command ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a model and a picture."""
    monkeypatch.chdir(tmp_path)
    save_model("model.npz", small_model())
    Image.fromarray(PICTURE).save("p.png")
    return tmp_path


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("figure", ["filters", "features", "gradients", "compare"])
def test_show_writes_a_picture(capsys, folder, figure, monkeypatch):
    titles = []
    set_title = figures.Figure.suptitle
    monkeypatch.setattr(
        figures.Figure,
        "suptitle",
        lambda self, text, **how: titles.append(text) or set_title(self, text, **how),
    )
    picture = [] if figure == "filters" else ["p.png"]
    code, out, err = run(capsys, "show", figure, *picture, "--model", "model.npz")
    assert code == 0, err
    path = folder / ("filters.png" if figure == "filters" else f"p_{figure}.png")
    assert path.name in out
    assert titles == ["model model.npz" if figure == "filters" else "p.png, x2, model model.npz"]
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 400
    code, out, err = run(capsys, "show", figure, *picture, "--model", "model.npz")
    assert code == 1
    assert "exists already" in err
    assert (
        run(capsys, "show", figure, *picture, "-o", folder, "--model", "model.npz", "--force")[0]
        == 0
    )


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["filters"], "give --scale"),
        (["filters", "-o", "p.png", "--scale", "2"], "exists already"),
        (["filters", "--model", "."], "'.': that is a folder"),
        (["compare", "p.png", "-o", "out.jpg", "--model", "model.npz"], "name ending in .png"),
        (
            ["compare", "p.png", "-o", "p.png", "--model", "model.npz", "--force"],
            "the picture to enlarge",
        ),
        (["compare", "p.png", "-o", "no/out.png", "--model", "model.npz"], "no folder"),
        (["compare", "none.png", "--model", "model.npz"], "does not exist"),
        (["compare", "model.npz", "--model", "model.npz"], "not a picture"),
        (["features", "p.png", "--model", "model.npz", "--scale", "3"], "trained for scale 2"),
        (["features", "p.png", "--model", "none.npz"], "no model"),
    ],
)
def test_show_refuses_in_one_sentence_and_writes_nothing(capsys, folder, arguments, sentence):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, out, err = run(capsys, "show", *arguments)
    assert code == 1
    assert sentence in err.splitlines()[-1]
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_without_matplotlib_there_is_one_sentence(capsys, folder, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for module in ("figures", "report"):
        monkeypatch.delitem(sys.modules, f"srcnn_np.{module}", raising=False)
        monkeypatch.delattr(f"srcnn_np.{module}", raising=False)
    for command in (["show", "filters"], ["report", "p.png"]):
        code, out, err = run(capsys, *command, "--model", "model.npz")
        assert code == 1
        assert err == "srcnn-np: error: figures need matplotlib: pip install matplotlib\n"


def test_how_a_training_began_is_known_from_its_card():
    model = load_model("9-1-5-x3")
    start = figures.starting_params(model)
    other = SRCNN("9-1-5", init="contrast", seed=0).params
    for name, p in start.items():
        np.testing.assert_array_equal(p, other[name])
    figure = figures.filters(model, start)
    assert "what training added to the first layer" in str(
        [part.get_suptitle() for part in figure.subfigs]
    )
    harmed = load_model("fsrcnn-x2-jpeg75")
    start = figures.starting_params(harmed)
    clean = load_model("fsrcnn-x2").network.params
    np.testing.assert_array_equal(start["conv1.w"], clean["conv1.w"])
    for training in (
        {},
        {"recipe": []},
        {"recipe": {"init": "he"}},
        {"recipe": {"init": "he"}, "seed": -1},
        {"recipe": {"init": "odd"}, "seed": 1},
        {"recipe": {"init": None}, "from": "absent"},
        {"recipe": {"init": None}, "from": "9-1-5-x2"},
        {"recipe": {"init": None}, "from": ["9-1-5-x2"]},
    ):
        harmed.training = training
        assert figures.starting_params(harmed) is None


def test_panels_can_stand_below_each_other():
    rows = [{"sub_images": 1, "loss": 1.0, "psnr": 20.0, "watched": None}] * 2
    for draw in (
        lambda **how: figures.filters(small_model(), **how),
        lambda **how: figures.loss_curve(rows, **how),
    ):
        wide, narrow = draw().get_size_inches(), draw(stacked=True).get_size_inches()
        assert wide[0] > wide[1]
        assert narrow[1] > narrow[0]
