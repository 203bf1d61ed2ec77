"""Model files: what is written is read again, and what is damaged is refused."""

import json
import shutil

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from scipy.io import loadmat, savemat

from srcnn_np import (
    SRCNN,
    ClippedLeakyReLU,
    Conv2D,
    InputError,
    LeakyReLU,
    Model,
    Sequential,
    evaluate,
    load_model,
    paper,
    save_model,
)
from srcnn_np.model import default_model, shipped_models

AUTHORS = SHARED / "authors/9-1-5_91-images_x3.mat"


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.npz"
    net = SRCNN("3-1-3", filters=(4, 2), border="zero", seed=5)
    save_model(path, Model(net, 3, training={"by": "a test"}))
    return path


def rewrite(path, **changes):
    """Replace (or with None remove) arrays of a model file, or a dict of entries of its card."""
    with np.load(path) as file:
        arrays = dict(file)
    for name, value in changes.items():
        name = name.replace("_", ".")
        if name == "card" and isinstance(value, dict):
            value = np.array(json.dumps({**json.loads(str(arrays["card"])), **value}))
        arrays[name] = value
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None})


def test_a_model_is_read_as_it_was_written(saved):
    model = load_model(saved)
    assert (model.scale, model.colour, model.enlargement) == (3, "luma", "bicubic")
    assert model.training == {"by": "a test"}
    expected = SRCNN("3-1-3", filters=(4, 2), border="zero", seed=5)
    picture = np.random.default_rng(0).random((9, 7))
    np.testing.assert_array_equal(model.network.predict(picture), expected.predict(picture))
    card = model.card()
    assert (card["structure"], card["predict_border"]) == ("3-1-3", "replicate")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"conv1_w": None}, "conv1.w is missing"),
        ({"conv3_b": None}, "conv3.b is missing"),
        ({"conv1_w": np.zeros((4, 1, 3, 2), np.float32)}, r"conv1.w has shape \(4, 1, 3, 2\)"),
        ({"conv2_b": np.array([np.nan, 0], np.float32)}, "conv2.b does not hold finite"),
        ({"conv2_b": np.array([np.inf, 0], np.float32)}, "conv2.b does not hold finite"),
        ({"conv2_b": np.array(["a", "b"])}, "conv2.b does not hold finite"),
        ({"card": None}, "no card"),
        ({"card": np.array("{")}, "damaged"),
        ({"card": np.array("[]")}, "no model of a format"),
        ({"card": {"format": "other 2"}}, "no model of a format"),
        ({"card": {"layers": "x"}}, "describes no network"),
        ({"card": {"layers": [{"kind": "Conv3D"}]}}, "describes no network"),
        ({"card": {"layers": [{"kind": "Conv2D"}]}}, "describes no network"),
        ({"card": {"layers": []}}, "describes no network"),
        ({"card": {"predict_border": "mirror"}}, "describes no network"),
        ({"conv1_b": np.array([1e300, 0, 0, 0])}, "conv1.b does not hold finite"),
        ({"card": {"scale": 2.5}}, "a scale is a whole number"),
        ({"card": {"colour": "rgb"}}, "unknown colour"),
        ({"card": {"colour": "ycbcr"}}, "has 3 channels"),
        ({"card": {"enlargement": "cubic"}}, "unknown enlargement"),
    ],
)
def test_a_damaged_model_is_refused(saved, changes, words):
    rewrite(saved, **changes)
    with pytest.raises(InputError, match=words) as raised:
        load_model(saved)
    assert str(saved) in str(raised.value)


@pytest.mark.parametrize(
    "layer, change",
    [
        (0, {"stride": [2, 2]}),
        (0, {"backend": "gpu"}),
        (1, {"kind": "LeakyReLU", "slope": "steep"}),
        (1, {"kind": "LeakyReLU", "slope": float("nan")}),
    ],
)
def test_a_card_of_an_impossible_layer_is_refused(saved, layer, change):
    layers = load_model(saved).card()["layers"]
    layers[layer].update(change)
    rewrite(saved, card={"layers": layers})
    with pytest.raises(InputError, match=r"describes no network|has no stride"):
        load_model(saved)


def test_layers_that_do_not_fit_together_are_refused(saved):
    layers = load_model(saved).card()["layers"]
    layers[2]["in_channels"] = 5
    rewrite(saved, card={"layers": layers}, conv2_w=np.zeros((2, 5, 1, 1), np.float32))
    with pytest.raises(InputError, match="describes no network"):
        load_model(saved)


def test_every_setting_of_a_layer_is_read_as_it_was_written(tmp_path):
    layers = [Conv2D(1, 2, (3, 2), border="replicate"), LeakyReLU(0.3)]
    layers += [Conv2D(2, 1, (1, 4), border="zero"), ClippedLeakyReLU()]
    model = Model(Sequential(layers, predict_border="replicate-once"), 2, enlargement="nearest")
    save_model(tmp_path / "m.npz", model)
    loaded = load_model(tmp_path / "m.npz")
    assert loaded.card() == model.card()
    picture = np.random.default_rng(0).normal(0, 3, (9, 7))
    np.testing.assert_array_equal(loaded.network.predict(picture), model.network.predict(picture))


def test_weights_too_large_to_use_are_refused(tmp_path):
    model = Model(SRCNN("3-1-1", filters=(2, 2)), 2)
    model.network.params["conv1.w"][:] = 1e38
    model.network.params["conv2.w"][:] = 1e38
    with pytest.raises(InputError, match="not finite"):
        model.predict(np.ones((5, 5)))
    model.network.params["conv1.w"][0] = np.nan
    with pytest.raises(InputError, match=r"conv1\.w holds values that are not finite"):
        save_model(tmp_path / "m.npz", model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_picture_that_is_not_finite_is_not_blamed_on_the_weights(bad):
    picture = np.full((9, 9), 0.5, np.float32)
    picture[4, 4] = bad
    for layers in ([Conv2D(1, 1, 3)], [Conv2D(1, 1, 3), ClippedLeakyReLU()]):
        with pytest.raises(InputError, match="the picture holds values that are not finite"):
            Model(Sequential(layers), 2).predict(picture)


def test_a_write_that_fails_leaves_the_old_model(saved, monkeypatch):
    before = saved.read_bytes()

    def half_written(path, **arrays):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", half_written)
    with pytest.raises(InputError, match="No space left on device"):
        save_model(saved, Model(SRCNN(), 2), force=True)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_card_that_claims_a_huge_layer_is_refused_before_it_is_built(saved):
    card = load_model(saved).card()
    card["layers"][0]["out_channels"] = 10**9
    rewrite(saved, card=card)
    with pytest.raises(InputError, match="instead of"):
        load_model(saved)


def test_files_that_are_no_models(tmp_path, saved):
    whole = saved.read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.mat").write_text("hello")
    np.savez(tmp_path / "pickled.npz", card=np.array([{}], dtype=object))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    for name in ("cut.npz", "text.npz", "empty.npz", "text.mat", "pickled.npz", "array.npz"):
        with pytest.raises(InputError, match="not a model file"):
            load_model(tmp_path / name)
    for name in ("absent.npz", "nonsense", "."):
        with pytest.raises(InputError, match="there is no model"):
            load_model(name)


def test_saving_refuses(tmp_path):
    model = Model(SRCNN("3-1-3", filters=(2, 2)), 2)
    with pytest.raises(InputError, match=r"ends in \.npz"):
        save_model(tmp_path / "model.bin", model)
    save_model(tmp_path / "model.npz", model)
    with pytest.raises(InputError, match="exists already"):
        save_model(tmp_path / "model.npz", model)
    save_model(tmp_path / "model.npz", model, force=True)


def test_a_model_for_another_scale_is_refused():
    with pytest.raises(InputError, match="trained for scale 2, not 3"):
        Model(SRCNN(), 2).check_scale(3)
    Model(SRCNN(), None).check_scale(3)


@pytest.mark.parametrize("structure", ["9-1-5", "9-5-5"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_shipped_model_has_its_card(structure, scale):
    model = load_model(f"{structure}-x{scale}")
    assert (model.scale, model.network.structure) == (scale, structure)
    words = model.training["command"].split()
    assert words[:3] == ["srcnn-np", "train", "T91"]
    assert words[words.index("--scale") + 1] == str(scale)
    assert {"pictures", "recipe", "seed", "seconds", "held_out"} <= set(model.training)
    assert set(model.figures) == set(paper.SETS)


def test_the_default_is_the_best_that_is_shipped():
    models = {name: load_model(name) for name in shipped_models()}
    for scale in (2, 3, 4):
        best = default_model(scale).training["held_out"]["psnr"]
        for model in models.values():
            if model.scale == scale:
                assert best >= model.training["held_out"]["psnr"]


def test_the_shipped_models_are_small():
    assert sum(path.stat().st_size for path in shipped_models().values()) < 2e6


@needs_shared
@pytest.mark.parametrize("test_set", paper.SETS)
@pytest.mark.parametrize("name", shipped_models())
def test_a_card_says_what_is_measured(name, test_set):
    """And that is at least what the paper has, where it was trained on ImageNet too."""
    model = load_model(name)
    mean = evaluate(SHARED / "data" / test_set, model.scale, model)["mean"]["model"]
    assert model.figures[test_set]["psnr"] == pytest.approx(mean["psnr"], abs=1e-3)
    assert model.figures[test_set]["ssim"] == pytest.approx(mean["ssim"], abs=1e-5)
    method = {"9-1-5": "SRCNN 9-1-5, 91 images", "9-5-5": "SRCNN 9-5-5, ImageNet"}
    figures = paper.figures(test_set, model.scale)[method[model.network.structure]]
    if figures["psnr"] is not None:
        assert mean["psnr"] >= figures["psnr"]
    if figures["ssim"] is not None:
        assert mean["ssim"] >= figures["ssim"] - 0.001


# --- the authors' weights ------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize(
    "name, bicubic, model",
    [
        ("Set5", (30.3922, 0.86821), (32.3897, 0.90334)),
        ("Set14", (27.5405, 0.77361), (29.0032, 0.81448)),
    ],
)
def test_the_authors_weights_give_the_papers_figures(name, bicubic, model):
    mean = evaluate(SHARED / "data" / name, 3, load_model(AUTHORS))["mean"]
    for method, (psnr, ssim) in (("bicubic", bicubic), ("model", model)):
        assert mean[method]["psnr"] == pytest.approx(psnr, abs=1e-3)
        assert mean[method]["ssim"] == pytest.approx(ssim, abs=1e-4)


@needs_shared
def test_the_authors_filters_are_laid_out_column_by_column():
    raw, net = loadmat(AUTHORS), load_model(AUTHORS).network
    u, v, c, k = 2, 7, 11, 5
    w1, w2, w3 = (net.params[f"conv{n}.w"] for n in (1, 2, 3))
    assert w1[k, 0, u, v] == np.float32(raw["weights_conv1"][u + 9 * v, k])
    assert w2[k, c, 0, 0] == np.float32(raw["weights_conv2"][c, 0, k])
    assert w3[0, c, 2, 3] == np.float32(raw["weights_conv3"][c, 2 + 5 * 3])


def authors_file(path, f1=3, f2=3, f3=5, n1=4, n2=2, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "weights_conv1": rng.random((f1 * f1, n1)),
        "biases_conv1": rng.random((n1, 1)),
        "weights_conv2": rng.random((n1, f2 * f2, n2)),
        "biases_conv2": rng.random((n2, 1)),
        "weights_conv3": rng.random((n2, f3 * f3)),
        "biases_conv3": rng.random((1, 1)),
        **changes,
    }
    savemat(path, {name: a for name, a in arrays.items() if a is not None})
    return arrays


@pytest.mark.parametrize("n2", [2, 1])
def test_other_files_of_the_authors_form(tmp_path, n2):
    arrays = authors_file(tmp_path / "x4.mat", n2=n2)
    model = load_model(tmp_path / "x4.mat")
    assert model.scale == 4
    assert model.network.structure == "3-3-5"
    w2 = model.network.params["conv2.w"]
    assert w2[n2 - 1, 3, 1, 2] == np.float32(arrays["weights_conv2"][3, 1 + 3 * 2, n2 - 1])


@pytest.mark.parametrize(
    "name, scale",
    [
        ("x3.mat", 3),
        ("9-5-5_X2.mat", 2),
        ("net(x4).mat", None),
        ("max3.mat", None),
        ("w.mat", None),
    ],
)
def test_the_scale_of_a_mat_file_is_read_from_its_name(tmp_path, name, scale):
    authors_file(tmp_path / name)
    assert load_model(tmp_path / name).scale == scale


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"weights_conv2": None}, "holds no array weights_conv2"),
        ({"biases_conv3": None}, "holds no array biases_conv3"),
        ({"weights_conv1": np.ones((8, 4))}, "weights_conv1 has shape"),
        ({"weights_conv2": np.ones((3, 9, 2))}, "weights_conv2 has shape"),
        ({"biases_conv1": np.ones((3, 1))}, "conv1.b has shape"),
        ({"weights_conv3": np.full((2, 25), np.nan)}, "weights_conv3 does not hold finite"),
        ({"weights_conv3": np.ones(3)}, "damaged"),
    ],
)
def test_a_damaged_mat_file_is_refused(tmp_path, changes, words):
    authors_file(tmp_path / "x3.mat", **changes)
    with pytest.raises(InputError, match=words):
        load_model(tmp_path / "x3.mat")


def test_whole_numbers_that_matlab_stores_in_bytes_are_numbers(tmp_path):
    """MATLAB writes doubles that hold small whole numbers as bytes, in a matrix "of doubles"."""
    authors_file(tmp_path / "x3.mat", biases_conv1=np.zeros((4, 1)))
    raw = (tmp_path / "x3.mat").read_bytes()
    name = raw.index(b"biases_conv1")
    start = raw.rindex(b"\x0e\x00\x00\x00", 0, name)  # where the matrix begins
    data = raw.index(b"\x09\x00\x00\x00\x20\x00\x00\x00", name)  # 32 bytes of doubles
    # The same matrix, its data as four bytes in a "small data element".
    packed = raw[start + 8 : data] + b"\x02\x00\x04\x00" + bytes([0, 1, 0, 2])
    element = b"\x0e\x00\x00\x00" + len(packed).to_bytes(4, "little") + packed
    (tmp_path / "x3.mat").write_bytes(raw[:start] + element + raw[data + 40 :])
    assert load_model(tmp_path / "x3.mat").network.params["conv1.b"].tolist() == [0, 1, 0, 2]


@needs_shared
def test_a_mat_file_that_is_cut_short_is_refused(tmp_path):
    whole = AUTHORS.read_bytes()
    (tmp_path / "x3.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a model file"):
        load_model(tmp_path / "x3.mat")
    shutil.copy(AUTHORS, tmp_path / "whole_x3.mat")
    assert load_model(tmp_path / "whole_x3.mat").scale == 3
