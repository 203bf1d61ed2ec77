"""Model files: what is written is read again, and what is damaged is refused."""

import json
import os
import re
import shutil
import sys
import tracemalloc
import zipfile
import zlib
from contextlib import suppress

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
    Recipe,
    ReLU,
    Sequential,
    draw_pictures,
    evaluate,
    load_model,
    paper,
    save_model,
    train,
)
from srcnn_np.layers import KINDS, Layer
from srcnn_np.model import default_model, shipped_models

AUTHORS = SHARED / "authors/9-1-5_91-images_x3.mat"


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.npz"
    net = SRCNN("3-1-3", filters=(4, 2), border="zero", seed=5)
    save_model(path, Model(net, 3, training={"by": "a test"}))
    return path


def rewrite(path, **changes):
    """Replace arrays of a model file (None removes one), or entries of its card by a dict."""
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
        ({"card": {"layers": "x"}}, "lists no layers"),
        ({"card": {"layers": [{"kind": "Conv3D"}]}}, "a kind that is not known here, 'Conv3D'"),
        ({"card": {"layers": [{"kind": "Conv2D"}]}}, "no size of conv1"),
        ({"card": {"layers": []}}, "lists no layers"),
        ({"card": {"layers": [{"kind": "ReLU"}]}}, "a network needs at least one convolution"),
        ({"card": {"predict_border": "mirror"}}, "no predict_border that is known"),
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
    "layer, change, words",
    [
        (0, {"stride": [2, 2]}, "keeps a picture's size"),
        (0, {"backend": "gpu"}, "layer 1 of its card, 'Conv2D', cannot be built"),
        (1, {"kind": "LeakyReLU", "slope": "steep"}, "layer 2 of its card, 'LeakyReLU', cannot"),
        (1, {"kind": "LeakyReLU", "slope": float("nan")}, "damaged"),
    ],
)
def test_a_card_of_an_impossible_layer_is_refused(saved, layer, change, words):
    layers = load_model(saved).card()["layers"]
    layers[layer].update(change)
    rewrite(saved, card={"layers": layers})
    with pytest.raises(InputError, match=words):
        load_model(saved)


def test_layers_that_do_not_fit_together_are_refused(saved):
    layers = load_model(saved).card()["layers"]
    layers[2]["in_channels"] = 5
    rewrite(saved, card={"layers": layers}, conv2_w=np.zeros((2, 5, 1, 1), np.float32))
    with pytest.raises(InputError, match="a layer of 4 filters is followed by one for 5 channels"):
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
    for count, words in ((10**9, "is too large"), (10**5, "instead of")):
        card["layers"][0]["out_channels"] = count
        rewrite(saved, card=card)
        with pytest.raises(InputError, match=words):
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
    for name in ("cut.npz", "text.npz", "empty.npz", "text.mat", "array.npz"):
        with pytest.raises(InputError, match="not a model file"):
            load_model(tmp_path / name)
    with pytest.raises(InputError, match="card has shape"):
        load_model(tmp_path / "pickled.npz")
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


@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_model_has_its_card(name):
    model = load_model(name)
    kind, _, rest = name.partition("-x")
    assert model.scale == int(rest[0])
    if not kind.startswith("fsrcnn"):
        assert model.network.structure == kind
    words = model.training["command"].split()
    assert words[:3] == ["srcnn-np", "train", "T91"]
    assert words[words.index("--scale") + 1] == str(model.scale)
    assert {"pictures", "recipe", "seed", "seconds", "held_out"} <= set(model.training)
    begin = words[words.index("--from") + 1] if "--from" in words else None
    assert model.training.get("from") == begin != name
    harmed = "-" in rest
    assert set(model.figures) == (set() if harmed else set(paper.SETS))


CLEAN = {  # by their first words, the paper's figures to reach
    "9-1-5": "SRCNN 9-1-5, 91 images",
    "9-5-5": "SRCNN 9-5-5, ImageNet",
    "fsrcnn": "FSRCNN, 91 images",
    "fsrcnn-s": "FSRCNN-s, 191 images",
}


def test_the_default_is_the_best_that_is_shipped_or_hardly_worse_and_much_smaller():
    def mean(model):
        return np.mean([figures["psnr"] for figures in model.figures.values()])

    def size(model):
        return sum(p.size for p in model.network.params.values())

    for scale in (2, 3, 4):
        default = default_model(scale)
        for kind in CLEAN:
            other = load_model(f"{kind}-x{scale}")
            allowed = 0.05 if size(default) < size(other) / 4 else 0
            assert mean(other) - mean(default) <= allowed


def test_the_shipped_models_are_small():
    assert sum(path.stat().st_size for path in shipped_models().values()) < 4e6


@needs_shared
@pytest.mark.parametrize("test_set", paper.SETS)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kind", CLEAN)
def test_a_card_says_what_is_measured(kind, scale, test_set):
    """The PSNR is at least the paper's, even if the paper's network learnt from more pictures."""
    model = load_model(f"{kind}-x{scale}")
    mean = evaluate(SHARED / "data" / test_set, model.scale, model)["mean"]["model"]
    assert model.figures[test_set]["psnr"] == pytest.approx(mean["psnr"], abs=1e-3)
    assert model.figures[test_set]["ssim"] == pytest.approx(mean["ssim"], abs=1e-5)
    figures = paper.figures(test_set, scale)[CLEAN[kind]]
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


def test_of_a_mat_file_no_more_is_unpacked_than_is_asked_for(tmp_path):
    path = tmp_path / "x3.mat"
    arrays = authors_file(path)
    large = np.zeros((1 << 20, 8))
    # Beside what is asked for, and nested, which a shape does not show.
    cells = np.empty((1, 1), object)
    cells[0, 0] = large
    stray = {"stray": large, "nested": {"inner": large}, "cells": cells}
    savemat(path, arrays | stray, do_compression=True)
    load_model(path)  # imports SciPy
    assert peak_memory(lambda: load_model(path)) < 10e6
    savemat(path, stray | arrays)
    assert peak_memory(lambda: load_model(path)) < 10e6
    assert load_model(path).scale == 3
    # Instead of it.
    for other in (np.zeros((1 << 13, 1 << 13), np.int8), {"inner": large}, cells, "text"):
        savemat(path, arrays | {"biases_conv1": other}, do_compression=True)

        def refused():
            with pytest.raises(InputError, match=r"x3.mat is (too large|damaged|not a model)"):
                load_model(path)

        assert peak_memory(refused) < 10e6
    # In it: more than its shape says.
    savemat(path, arrays, do_compression=True)
    raw = path.read_bytes()
    count = int.from_bytes(raw[132:136], "little")
    packed = zlib.compress(zlib.decompress(raw[136 : 136 + count]) + bytes(1 << 26))
    head = raw[:132] + len(packed).to_bytes(4, "little")
    path.write_bytes(head + packed + raw[136 + count :])
    assert peak_memory(refused) < 10e6


def test_damaged_bytes_of_a_mat_file_are_refused_or_do_no_harm(tmp_path):
    path = tmp_path / "x3.mat"
    arrays = authors_file(path)
    savemat(path, arrays, do_compression=True)
    whole, expected = path.read_bytes(), load_model(path).network.params
    rng = np.random.default_rng(0)
    read = 0
    for _ in range(400):
        flipped = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped[: rng.integers(len(whole) // 2, 2 * len(whole))])
        with suppress(InputError):
            for name, p in load_model(path).network.params.items():
                np.testing.assert_array_equal(p, expected[name])
            read += 1
    assert 0 < read < 100


@needs_shared
def test_a_mat_file_that_is_cut_short_is_refused(tmp_path):
    whole = AUTHORS.read_bytes()
    (tmp_path / "x3.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a model file"):
        load_model(tmp_path / "x3.mat")
    shutil.copy(AUTHORS, tmp_path / "whole_x3.mat")
    assert load_model(tmp_path / "whole_x3.mat").scale == 3


# --- files that nobody vouches for ---------------------------------------------------------

ODD = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2.0,
    1e308,
    float("nan"),
    float("-inf"),
    10**9,
    10**18,
    10**30,
    10**5000,
    "",
    "3",
    "x" * 100_000,
    "\x1b[31m\n\ud800 名",
    [],
    [3],
    [3, 3, 3],
    [0, 0],
    [-3, -3],
    [True, True],
    [3.0, 3.0],
    ["3", "3"],
    [10**9, 10**9],
    [[3, 3]],
    list(range(50_000)),
    {},
    {"kind": "Conv2D"},
]
DEEP = "[" * 300 + "]" * 300  # and as an entry that is read, but cannot be printed


def odd_cards(card):
    """Texts of cards, each of which is wrong in one entry, or only looks odd."""
    layers = [
        {"kind": "LeakyReLU", "slope": 0.1} if n == 1 else e for n, e in enumerate(card["layers"])
    ]
    card = {**card, "layers": layers}
    sys.set_int_max_str_digits(0)
    for name in [*card, "unknown"]:
        for value in ODD:
            yield json.dumps({**card, name: value})
        yield json.dumps({**card, name: 0}).replace(f'"{name}": 0', f'"{name}": {DEEP}')
        yield json.dumps({key: entry for key, entry in card.items() if key != name})
        yield json.dumps(card)[:-1] + f', "{name}": 1, "{name}": 2}}'
    for turn in (0, 1, 2):
        for name in [*card["layers"][turn], "unknown", "backend", "self"]:
            for value in ODD:
                changed = [dict(entry) for entry in layers]
                changed[turn][name] = value
                yield json.dumps({**card, "layers": changed})
            changed = [dict(entry) for entry in layers]
            changed[turn].pop(name, None)
            yield json.dumps({**card, "layers": changed})
    for changed in (
        layers[:-1],
        layers[1:],
        [*layers, *layers],
        layers * 500,
        [[]] * 10**5,
        [1],
        layers[1:2],
    ):
        yield json.dumps({**card, "layers": changed})
    for name in ("training", "figures"):
        for value in ODD:
            yield json.dumps({**card, name: {"held_out": value, "Set5": value, "": value}})
    sys.set_int_max_str_digits(4300)
    yield from ("", "null", "{}", "[]", "{", '"card"', "0", "nan", "[" * 10**5, "\0", " " * 2**21)


PYTHONS = re.compile(r"Error|Traceback|object|None|argument|expected|class '|subscript|iterable")


def test_any_card_is_read_as_it_is_or_refused_in_one_sentence(saved):
    model = load_model(saved)
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files}
    refused = read = 0
    for text in odd_cards(model.card()):
        np.savez(saved, **{**arrays, "card": np.array(text)})
        try:
            loaded = load_model(saved)
        except InputError as error:
            refused += 1
            sentence = str(error).replace(str(saved), "m.npz")
            assert sentence.isprintable(), sentence
            assert len(sentence) < 250, sentence
            assert not PYTHONS.search(sentence), sentence
        else:
            read += 1
            assert loaded.card() == {"figures": {}, **json.loads(text)}
            with suppress(InputError):  # of a slope of 1e308
                loaded.predict(np.zeros((4, 4)))
            json.dumps(loaded.card(), indent=1)
    assert refused > 700
    assert read > 20


def add_to_zip(path, name, header, content):
    """Add an array to a model file that is not as NumPy would write it."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open(name, "w") as member:
        text = repr(header).ljust(117) + "\n"
        member.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
        for piece in content:
            member.write(piece)


ZEROS = [bytes(1 << 20)] * 64  # 64 MB, that are 64 kB in a zip


def peak_memory(work):
    tracemalloc.start()
    try:
        work()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_what_a_card_does_not_name_is_not_read(saved):
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 24,)}
    add_to_zip(saved, "stray.npy", header, ZEROS)
    add_to_zip(saved, "broken.npy", {"descr": "|O"}, [b"no pickle"])
    add_to_zip(saved, "picture.png", {}, ZEROS)
    assert peak_memory(lambda: load_model(saved)) < 10e6
    assert load_model(saved).scale == 3


@pytest.mark.parametrize(
    "shape, content, words",
    [
        ((1 << 24,), ZEROS, r"conv2\.b has shape \(16777216,\) instead of \(2,\)"),
        ((2,), ZEROS, "damaged"),
        ((2,), [b"\0" * 4], "damaged"),
        ((2, -1), ZEROS, r"conv2\.b has shape \(2, -1\)"),
    ],
)
def test_no_more_is_unpacked_than_a_card_asks_for(saved, shape, content, words):
    rewrite(saved, conv2_b=None)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    add_to_zip(saved, "conv2.b.npy", header, content)

    def refused():
        with pytest.raises(InputError, match=words):
            load_model(saved)

    assert peak_memory(refused) < 10e6


def test_a_card_is_no_longer_than_cards_are(saved):
    rewrite(saved, card=None)
    header = {"descr": f"<U{1 << 24}", "fortran_order": False, "shape": ()}
    add_to_zip(saved, "card.npy", header, ZEROS)

    def refused():
        with pytest.raises(InputError, match="damaged"):
            load_model(saved)

    assert peak_memory(refused) < 10e6


def test_two_arrays_of_one_name_are_refused(saved):
    header = {"descr": "<f4", "fortran_order": False, "shape": (2,)}
    with pytest.warns(UserWarning, match="Duplicate"):
        add_to_zip(saved, "conv2.b.npy", header, [b"\0" * 8])
    with pytest.raises(InputError, match="damaged"):
        load_model(saved)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_unpack_much_at_once_are_refused(saved, compression):
    with zipfile.ZipFile(saved) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(saved, "w", compression) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    with pytest.raises(InputError, match="damaged"):
        load_model(saved)


def test_damaged_bytes_are_refused_or_do_no_harm(saved):
    whole, expected = saved.read_bytes(), load_model(saved).network.params
    rng = np.random.default_rng(0)
    for _ in range(400):
        flipped = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            flipped[place] ^= 1 << rng.integers(8)
        saved.write_bytes(flipped)
        with suppress(InputError):
            for name, p in load_model(saved).network.params.items():
                np.testing.assert_array_equal(p, expected[name])


def test_what_is_no_ordinary_file_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "fifo.npz")
    os.mkfifo(tmp_path / "fifo.mat")
    for name in (tmp_path / "fifo.npz", tmp_path / "fifo.mat", "/dev/zero", "/dev/null"):
        with pytest.raises(InputError, match="that is no ordinary file; give the path"):
            load_model(name)
    with pytest.raises(InputError, match="there is no model") as raised:
        load_model("x" * 100_000)
    assert len(str(raised.value)) < 250


# --- layers of the reader's own ------------------------------------------------------------


class Bent(Layer):
    """y = x where x > 0, else slope·x; a slope for each channel is learnt."""

    def __init__(self, channels, start=0.25):
        super().__init__()
        self.start = start
        self.params["slope"] = np.full(channels, start, np.float32)

    def settings(self):
        return {"channels": self.params["slope"].size, "start": self.start}

    def apply(self, x):
        return np.where(x > 0, x, self.params["slope"][:, None, None] * x)

    def gradient(self, dy, x, need_dx):
        self.grads["slope"] = np.where(x > 0, 0, dy * x).sum(axis=(0, 2, 3))
        return np.where(x > 0, dy, self.params["slope"][:, None, None] * dy)


class Dilated(Conv2D):
    """A layer whose `settings` leave out `apart`, which a file then loses."""

    def __init__(self, *sizes, apart=1):
        super().__init__(*sizes)
        self.apart = apart


def model_with(*layers):
    network = Sequential([Conv2D(1, 3, 3), *layers, Conv2D(3, 1, 3)])
    return Model(network, 2)


def test_a_layer_of_the_readers_own_is_learnt_saved_and_read(tmp_path, monkeypatch):
    model, pictures = model_with(Bent(3)), draw_pictures(2, size=48)
    recipe = Recipe(epochs=1, batch=4, rate=0.1)
    train(model, pictures[1:], pictures[:1], recipe, out=tmp_path / "m.npz", show=False)
    for name in ("m.npz", "m-last.npz"):
        loaded = load_model(tmp_path / name)
        assert isinstance(loaded.network.layers["bent1"], Bent)
        assert loaded.card()["layers"][1] == {"kind": "Bent", "channels": 3, "start": 0.25}
    slope = loaded.network.params["bent1.slope"]
    np.testing.assert_array_equal(slope, model.network.params["bent1.slope"])
    assert not np.array_equal(slope, np.full(3, 0.25, np.float32))
    picture = np.random.default_rng(0).random((9, 7))
    np.testing.assert_array_equal(loaded.predict(picture), model.predict(picture))
    # As where nobody has defined it.
    monkeypatch.delitem(KINDS, "Bent")
    with pytest.raises(InputError, match="not known here, 'Bent': define or import its class"):
        load_model(tmp_path / "m.npz")


def test_of_two_classes_of_one_name_the_last_counts(tmp_path):
    save_model(tmp_path / "m.npz", model_with(Bent(3)))

    def again():
        return type("Bent", (Bent,), {})

    newer = again()
    assert type(load_model(tmp_path / "m.npz").network.layers["bent1"]) is newer
    save_model(tmp_path / "old.npz", model_with(Bent(3)))  # as a notebook's cell was run again
    KINDS["Bent"] = Bent


@pytest.mark.parametrize(
    "layer, words",
    [
        (Dilated(3, 3, 1, apart=2), "a Dilated cannot be built again from its settings"),
        (type("ReLU", (ReLU,), {})(), "the package has its own ReLU; give your class another name"),
        (
            type("Odd", (ReLU,), {"settings": lambda self: {"of": {1, 2}}})(),
            "an? Odd cannot be built again",
        ),
        (
            type("More", (ReLU,), {"settings": lambda self: {"of": 1}})(),
            "a More cannot be built again",
        ),
    ],
)
def test_a_layer_that_could_not_be_read_again_is_not_written(tmp_path, layer, words):
    with pytest.raises(InputError, match=words):
        save_model(tmp_path / "m.npz", model_with(layer))
    assert list(tmp_path.iterdir()) == []
    assert KINDS["ReLU"] is ReLU


@pytest.mark.parametrize(
    "entry",
    [np.float32(1), float("nan"), float("inf"), 10**30, {1, 2}, b"x", [[]] * 2 + [object()]],
)
def test_what_is_no_json_is_not_written(tmp_path, entry):
    model = Model(SRCNN("3-1-1", filters=(2, 2)), 2, training={"entry": entry})
    with pytest.raises(InputError, match="training or figures hold what is no JSON"):
        save_model(tmp_path / "m.npz", model)
    model = Model(SRCNN("3-1-1", filters=(2, 2)), 2, figures={"x" * 2**20: 1})
    with pytest.raises(InputError, match="too large to be read again"):
        save_model(tmp_path / "m.npz", model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 0},
        {"scale": 17},
        {"scale": True},
        {"scale": "3"},
        {"colour": None},
        {"colour": ["luma"]},
        {"enlargement": {}},
        {"training": None},
        {"figures": []},
    ],
)
def test_a_model_that_makes_no_sense_is_refused(change):
    with pytest.raises(InputError):
        Model(SRCNN("3-1-1", filters=(2, 2)), **{"scale": 2, **change})


def test_parameters_of_another_type_are_read_as_float32_or_not_written(tmp_path):
    model = Model(SRCNN("3-1-1", filters=(2, 2)), 2)
    model.network.astype(np.float64)
    save_model(tmp_path / "m.npz", model)
    for name, p in load_model(tmp_path / "m.npz").network.params.items():
        assert p.dtype == np.float32
        assert p.flags.writeable
        np.testing.assert_array_equal(p, model.network.params[name].astype(np.float32))
    model.network.params["conv1.w"][:] = 1e300
    with pytest.raises(InputError, match=r"conv1\.w holds values that are not finite numbers of f"):
        save_model(tmp_path / "n.npz", model)
    model.network.astype(np.complex128)
    with pytest.raises(InputError, match="not finite numbers of float32"):
        save_model(tmp_path / "n.npz", model)


class Scalar(Layer):
    """Multiplies by an array without axes, which comes back from a file with one axis."""

    def __init__(self):
        super().__init__()
        self.params["a"] = np.array(2.0, np.float32)

    def apply(self, x):
        return self.params["a"] * x


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    model = Model(Sequential([Conv2D(1, 1, 3), Scalar()]), 2)
    with pytest.raises(InputError, match="could not be read again"):
        save_model(tmp_path / "m.npz", model)
    assert list(tmp_path.iterdir()) == []
