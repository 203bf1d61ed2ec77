"""The commands: what they write, print, refuse, and leave alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from PIL import Image

from srcnn_np import SRCNN, Model, load_model, paper, save_model, training
from srcnn_np.cli import main
from srcnn_np.data import draw_pictures, shrink
from srcnn_np.evaluation import as_measured
from srcnn_np.imaging import enlarge, psnr, read_picture
from srcnn_np.model import shipped_models

RNG = np.random.default_rng(0)
COMPILING = "srcnn-np: compiling for this processor, which is done once and kept ...\n"
COLOUR = RNG.integers(0, 256, (12, 10, 3), np.uint8)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model():
    """A small model for x2 that enlarges as bicubic interpolation does."""
    net = SRCNN("3-1-1", filters=(2, 2))
    for n, w in ((1, "conv1"), (2, "conv2"), (3, "conv3")):
        net.params[f"{w}.w"][:] = 0
        net.params[f"{w}.w"][0, 0, 1 if n == 1 else 0, 1 if n == 1 else 0] = 1
    save_model("model.npz", Model(net, 2))
    return "model.npz"


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys, *arguments, code=1):
    """The one sentence with which a command refuses, after a progress bar at most."""
    found, out, err = run(capsys, *arguments)
    assert found == code
    *progress, sentence = err.splitlines()
    assert sentence.startswith("srcnn-np")
    assert all("updates, loss" in line or line + "\n" == COMPILING for line in progress)
    assert "Traceback" not in out + err
    assert not list(Path().rglob("*.part*"))
    return sentence


def save(path, pixels=COLOUR, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


# --- upscale -------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_upscale_works_at_once(capsys, scale):
    save("photo.jpg")
    code, out, err = run(capsys, "upscale", "photo.jpg", "--scale", scale)
    assert code == 0
    assert err in ("", COMPILING)
    assert f"photo_x{scale}.png" in out
    assert read_picture(f"photo_x{scale}.png").pixels.shape == (12 * scale, 10 * scale, 3)


def test_upscale_keeps_the_kind_of_picture(capsys, model):
    grey = COLOUR[..., 0]
    for name, pixels in {
        "grey.png": grey,
        "colour.png": COLOUR,
        "alpha.png": np.dstack([COLOUR, grey]),
        "deep.png": grey.astype(np.uint16) * 257,
    }.items():
        save(name, pixels)
        code, _, _ = run(
            capsys, "upscale", name, "-o", f"out-{name}", "--scale", 2, "--model", model
        )
        assert code == 0
        with Image.open(name) as before, Image.open(f"out-{name}") as after:
            assert after.mode == before.mode
            assert after.size == (20, 24)


def test_an_identity_network_gives_bicubic_enlargement(capsys, model):
    save("p.png")
    run(capsys, "upscale", "p.png", "--scale", 2, "--model", model, "--compare", "c.png")
    both = read_picture("c.png").pixels.astype(int)
    caption, both = both[:14], both[14:]
    assert both.shape == (24, 40, 3)
    assert caption.min() < 50
    assert caption.max() == 255
    assert np.abs(both[:, :20] - both[:, 20:]).max() <= 1
    np.testing.assert_array_equal(both[:, 20:], read_picture("p_x2.png").pixels)


@pytest.fixture
def brighter():
    """A model for x2 that adds 0.1 to what bicubic interpolation gives."""
    net = SRCNN("1-1-1", filters=(1, 1))
    for name, p in net.params.items():
        p[:] = 1 if name.endswith(".w") else 0
    net.params["conv3.b"][:] = 0.1
    save_model("brighter.npz", Model(net, 2))
    return "brighter.npz"


def test_luma_goes_through_the_network_and_colour_does_not(capsys, brighter):
    save("p.png", np.full((8, 6, 3), (90, 120, 60), np.uint8))
    run(capsys, "upscale", "p.png", "--scale", 2, "--model", brighter, "--compare", "c.png")
    # 0.1 of Y in studio range is 0.1 · 255/219 of R, G and B each.
    expected = np.rint(np.array((90, 120, 60)) + 0.1 * 255 * 255 / 219)
    result = read_picture("p_x2.png").pixels
    assert np.abs(result - expected).max() <= 1
    both = read_picture("c.png").pixels[14:]
    assert np.abs(both[:, :12].astype(int) - (90, 120, 60)).max() <= 1
    np.testing.assert_array_equal(both[:, 12:], result)


def test_grey_goes_through_the_network_as_the_same_picture_in_colour_does(capsys, brighter):
    save("p.png", np.full((8, 6), 100, np.uint8))
    save("deep.png", np.full((8, 6), 20000, np.uint16))
    for name, value in (("p", 100 + 0.1 * 255 * 255 / 219), ("deep", 20000 + 6553.5 * 255 / 219)):
        run(capsys, "upscale", f"{name}.png", "--scale", 2, "--model", brighter)
        assert np.abs(read_picture(f"{name}_x2.png").pixels - value).max() <= 1


def test_a_colour_model_gets_all_three_channels(capsys):
    net = SRCNN("1-1-1", filters=(3, 3), channels=3)
    for n in (1, 2, 3):
        net.params[f"conv{n}.w"][:] = np.eye(3)[:, :, None, None]
    net.params["conv3.b"][:] = (0.0, 0.0, 0.1)  # more Cr: redder
    save_model("red.npz", Model(net, 2, colour="ycbcr"))
    for name, pixels in {
        "colour.png": np.full((8, 6, 3), (90, 120, 60), np.uint8),
        "grey.png": np.full((8, 6), 100, np.uint8),
    }.items():
        save(name, pixels)
        assert run(capsys, "upscale", name, "--scale", 2, "--model", "red.npz")[0] == 0
    red, green, blue = read_picture("colour_x2.png").pixels[5, 5]
    assert red > 90 + 20
    assert green < 120 - 10
    assert abs(int(blue) - 60) <= 1
    # A grey picture has no colour to change: Y alone comes back.
    assert np.abs(read_picture("grey_x2.png").pixels - 100.0).max() <= 1


def test_a_model_that_gives_nothing_finite_is_refused(capsys, tmp_path):
    net = SRCNN("1-1-1", filters=(1, 1))
    for name, p in net.params.items():
        p[:] = 1e38 if name.endswith(".w") else 0
    save_model("huge.npz", Model(net, 2))
    save("p.png")
    (tmp_path / "set").mkdir()
    save("set/p.png", np.full((40, 40), 9, np.uint8))
    for command in (["upscale", "p.png"], ["evaluate", "set"]):
        why = refused(capsys, *command, "--scale", 2, "--model", "huge.npz")
        assert "not finite" in why
    assert not (tmp_path / "p_x2.png").exists()


def test_a_flat_picture_stays_flat_and_alpha_is_enlarged(capsys, model):
    flat = np.full((9, 7, 4), (200, 30, 60, 255), np.uint8)
    flat[:, :3, 3] = 0
    save("p.png", flat)
    run(capsys, "upscale", "p.png", "--scale", 2, "--model", model)
    result = read_picture("p_x2.png")
    assert np.abs(result.pixels.astype(int) - flat[0, 0, :3]).max() <= 1
    assert result.alpha[:, :4].max() == 0
    assert result.alpha[:, 9:].min() == 255


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (3, 2)])
def test_pictures_smaller_than_the_network_are_enlarged_too(capsys, size):
    save("p.png", RNG.integers(0, 256, size, np.uint8))
    assert run(capsys, "upscale", "p.png", "--scale", 3)[0] == 0
    assert read_picture("p_x3.png").pixels.shape == (3 * size[0], 3 * size[1])


def test_upscale_a_folder(capsys, model, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.jpg", "b.png"):
        save(f"in/{name}")
    (tmp_path / "in/notes.txt").write_text("")
    code, out, err = run(capsys, "upscale", "in", "--scale", 2, "--model", model)
    assert code == 0
    assert out.count("\n") == 4
    assert out.endswith("\n3 enlarged, 0 skipped, 0 failed\n")
    assert err == "srcnn-np: left out: in/notes.txt\n"
    names = ["a_x2.png", "b.jpg_x2.png", "b.png_x2.png"]
    assert sorted(p.name for p in (tmp_path / "in_x2").iterdir()) == names
    why = refused(capsys, "upscale", "in", "--scale", 2, "--model", model)
    assert "in_x2/a_x2.png and 2 more exist already" in why
    assert run(capsys, "upscale", "in", "--scale", 2, "--model", model, "--force")[0] == 0
    assert run(capsys, "upscale", "in", "-o", "out", "--scale", 2, "--model", model)[0] == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names


def test_no_picture_of_a_folder_is_written_over_another(capsys, model, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a_x2.png"):
        save(f"in/{name}")
    words = ("upscale", "in", "-o", "in", "--scale", 2, "--model", model, "--force")
    code, _, err = run(capsys, *words)
    assert code == 1
    assert "in/a.png is not enlarged, as in/a_x2.png is one of the pictures" in err
    assert read_picture("in/a_x2.png").pixels.shape == (12, 10, 3)
    assert read_picture("in/a_x2_x2.png").pixels.shape == (24, 20, 3)
    (tmp_path / "three").mkdir()
    for name in ("b.jpg", "b.png", "b.jpg.png"):
        save(f"three/{name}")
    assert run(capsys, "upscale", "three", "--scale", 2, "--model", model)[0] == 0
    assert len(list((tmp_path / "three_x2").iterdir())) == 3


def test_one_bad_picture_does_not_stop_a_folder(capsys, model, tmp_path):
    (tmp_path / "in").mkdir()
    save("in/good.png")
    (tmp_path / "in/bad.png").write_text("no picture")
    code, _, err = run(capsys, "upscale", "in", "--scale", 2, "--model", model)
    assert code == 1
    assert "bad.png is not a picture" in err
    assert "1 enlarged, 0 skipped, 1 failed: in/bad.png" in err
    assert [p.name for p in (tmp_path / "in_x2").iterdir()] == ["good_x2.png"]
    (tmp_path / "in/good.png").unlink()
    assert run(capsys, "upscale", "in", "-o", "out", "--scale", 2, "--model", model)[0] == 1
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()  # an empty folder that was there before stays
    assert run(capsys, "upscale", "in", "-o", "out", "--scale", 2, "--model", model)[0] == 1
    assert (tmp_path / "out").is_dir()


def test_a_folder_that_cannot_be_written_is_one_sentence(capsys, model, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in "abc":
        save(f"in/{name}.png")
    save("out.png")
    words = ("upscale", "in", "-o", "out.png", "--scale", 2, "--model", model)
    assert "out.png names a file" in refused(capsys, *words)
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("srcnn_np.output.os.access", lambda path, mode: False)
    words = ("upscale", "in", "-o", "out", "--scale", 2, "--model", model)
    assert "no permission to write in out" in refused(capsys, *words)


def test_upscale_refuses(capsys, model, tmp_path):
    save("p.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("hello")
    whole = (tmp_path / "p.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:200])
    before = sorted(p.name for p in tmp_path.iterdir())

    def why(*arguments):
        return refused(capsys, "upscale", *arguments, "--scale", 2, "--model", model)

    assert "absent.png does not exist" in why("absent.png")
    assert "not a picture" in why("text.png")
    assert "damaged" in why("cut.png")
    assert "holds no pictures" in why("empty")
    assert "does not say a format" in why("p.png", "-o", "q.xyz")
    assert "no folder" in why("p.png", "-o", "absent/q.png")
    assert "exists already" in why("p.png", "-o", "cut.png")
    assert "one picture" in why("p.png", "p.png", "cut.png", "--compare", "c.png")
    assert "both" in why("p.png", "-o", "q.png", "--compare", "q.png")
    assert "exists already" in why("p.png", "-o", "q.png", "--compare", "cut.png")
    save("alpha.png", np.dstack([COLOUR, COLOUR[..., 0]]))
    before.append("alpha.png")
    assert "cannot hold transparency" in why("alpha.png", "--compare", "c.jpg")
    assert "too long" in why("n" * 300 + ".png")
    assert "too long" in why("p.png", "-o", "n" * 300 + ".png")
    assert "the picture to enlarge" in why("p.png", "-o", "./p.png", "--force")
    assert "the picture to enlarge" in why("p.png", "--compare", "p.png", "--force")
    assert "absent/p.png does not exist" in why("absent/p.png")
    for arguments in (["", "q.png"], ["p.png", "-o", ""], ["p.png", "--compare", ""]):
        found = ["upscale", *arguments, "--scale", 2, "--model", model]
        assert "the name is empty" in refused(capsys, *found, code=2)
    assert "trained for scale 2, not 3" in refused(
        capsys, "upscale", "p.png", "--scale", 3, "--model", model
    )
    assert "no model 'best'" in refused(capsys, "upscale", "p.png", "--scale", 2, "--model", "best")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(before)
    assert "give --scale" in refused(capsys, "upscale", "p.png")
    assert "up to 16" in refused(capsys, "upscale", "p.png", "--scale", 20)


def test_an_output_is_replaced_only_with_force(capsys, model, tmp_path):
    save("p.png")
    (tmp_path / "q.png").write_text("mine")
    assert "exists already" in refused(
        capsys, "upscale", "p.png", "-o", "q.png", "--scale", 2, "--model", model
    )
    assert (tmp_path / "q.png").read_text() == "mine"
    assert (
        run(capsys, "upscale", "p.png", "-o", "q.png", "--scale", 2, "--model", model, "--force")[0]
        == 0
    )
    assert read_picture("q.png").pixels.shape == (24, 20, 3)


# --- evaluate ------------------------------------------------------------------------------


def test_evaluate_table_and_json(capsys, model, tmp_path):
    (tmp_path / "set").mkdir()
    for n, picture in enumerate(draw_pictures(2, size=48)):
        save(f"set/{n}.png", picture)
    code, out, _ = run(
        capsys, "evaluate", "set", "--scale", 2, "--model", model, "--json", "r.json"
    )
    assert code == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert list(report) == ["scale", "model", "images", "mean", "failed", "others"]
    assert (report["scale"], report["model"]) == (2, "model.npz")
    assert [image["name"] for image in report["images"]] == ["0.png", "1.png"]
    for method in ("bicubic", "model"):
        for key in ("psnr", "ssim"):
            values = [image[method][key] for image in report["images"]]
            assert report["mean"][method][key] == pytest.approx(np.mean(values))
    # The identity network changes nothing but rounding.
    mean = report["mean"]
    assert mean["model"]["psnr"] == pytest.approx(mean["bicubic"]["psnr"], abs=1e-3)
    assert f"{mean['model']['psnr']:.2f}" in out.splitlines()[-1]
    code, out, _ = run(capsys, "evaluate", "set", "--model", model, "--json", "-")
    assert (code, json.loads(out)) == (0, report)
    why = refused(capsys, "evaluate", "set", "--scale", 2, "--model", model, "--json", "r.json")
    assert "exists already" in why


def test_json_has_no_infinity(capsys, model, tmp_path):
    (tmp_path / "set").mkdir()
    save("set/flat.png", np.full((40, 40), 9, np.uint8))
    run(capsys, "evaluate", "set", "--scale", 2, "--model", model, "--json", "r.json")
    report = json.loads((tmp_path / "r.json").read_text(), parse_constant=lambda word: 1 / 0)
    assert report["mean"]["bicubic"]["psnr"] is None
    assert report["mean"]["bicubic"]["ssim"] == pytest.approx(1)


@needs_shared
def test_evaluate_the_authors_weights(capsys):
    authors = SHARED / "authors/9-1-5_91-images_x3.mat"
    shutil.copytree(SHARED / "data/Set5", "Set5")
    code, out, _ = run(capsys, "evaluate", "Set5", "--scale", 3, "--model", authors)
    assert code == 0
    assert out.splitlines()[-1].split() == ["mean", "30.39", "0.8682", "32.39", "0.9033"]
    why = refused(capsys, "evaluate", "Set5", "--scale", 2, "--model", authors)
    assert "trained for scale 3, not 2" in why


@needs_shared
@pytest.mark.parametrize("scale, gain", [(2, 1.5), (3, 1.0), (4, 0.7)])
def test_the_shipped_models_are_better_than_bicubic_on_photographs(capsys, scale, gain):
    main(["evaluate", str(SHARED / "data/Set5"), "--scale", str(scale), "--json", "r.json"])
    with open("r.json") as file:
        mean = json.load(file)["mean"]
    assert mean["model"]["psnr"] > mean["bicubic"]["psnr"] + gain
    assert mean["model"]["ssim"] > mean["bicubic"]["ssim"]


def test_evaluate_refuses(capsys, model, tmp_path):
    (tmp_path / "set").mkdir()

    def why():
        return refused(capsys, "evaluate", "set", "--scale", 2, "--model", model)

    assert "holds no pictures" in why()
    save("set/small.png", COLOUR)
    assert "small.png: a picture of 10 x 12 is too small" in why()
    (tmp_path / "set/small.png").write_bytes(b"")
    assert "not a picture" in why()
    assert "does not exist" in refused(capsys, "evaluate", "absent", "--scale", 2)


@needs_shared
def test_evaluate_beside_the_paper(capsys, monkeypatch, tmp_path):
    names = ["9-1-5-x3", "9-1-5-x4"]
    found = {name: path for name, path in shipped_models().items() if name in names}
    monkeypatch.setattr("srcnn_np.model.shipped_models", lambda: found)
    code, out, _ = run(capsys, "evaluate", SHARED / "data", "--paper", "--json", "report.json")
    assert code == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report) == ["Set5 x3", "Set5 x4", "Set14 x3", "Set14 x4"]
    for column, rows in report.items():
        for measure, tolerance in (("psnr", 0.006), ("ssim", 6e-5)):
            here, paper = rows["bicubic, here"][measure], rows["bicubic"][measure]
            assert here == pytest.approx(paper, abs=tolerance), column
        assert rows["9-1-5"]["psnr"] > rows["bicubic"]["psnr"] + 1
    lines = out.splitlines()
    assert "mean PSNR in dB" in lines
    assert "A+                           32.59     30.28     29.13     27.32" in lines


def test_evaluate_beside_the_paper_refuses(capsys, tmp_path):
    assert "leave out" in refused(capsys, "evaluate", "sets", "--paper", "--scale", 2)
    assert "holds no folder Set5" in refused(capsys, "evaluate", "sets", "--paper")
    assert "give --scale 2, 3 or 4, or --paper" in refused(capsys, "evaluate", "sets")


@needs_shared
def test_the_papers_figures_are_the_papers():
    tables = json.loads((SHARED / "reference/paper_tables.json").read_text())
    for test_set in paper.SETS:
        for scale in (2, 3, 4):
            rows = list(paper.figures(test_set, scale).values())
            for measure in ("psnr", "ssim"):
                expected = tables[test_set][measure.upper()][str(scale)]
                assert [row[measure] for row in rows[:7]] == expected
    assert paper.figures("Set5", 3)["SRCNN 9-1-5, 91 images"]["psnr"] == 32.39
    by_filters = tables["Set5_x3_9-1-5_by_filters_PSNR"]
    assert {f"n1={a},n2={b}": psnr for (a, b), psnr in paper.BY_FILTERS.items()} == by_filters


# --- train ---------------------------------------------------------------------------------

QUICK = ["--scale", 2, "--arch", "3-1-3", "--filters", "4-2", "--epochs", 1, "--batch", 8]


def test_train_on_a_folder(capsys, tmp_path):
    (tmp_path / "set").mkdir()
    for n, picture in enumerate(draw_pictures(3, size=64)):
        save(f"set/{n}.png", picture)
    (tmp_path / "set/notes.txt").write_text("")
    code, out, _ = run(capsys, "train", "set", *QUICK, "--out", "m.npz", "--seed", 3)
    assert code == 0
    assert "skipped in set: notes.txt\n" in out
    model = load_model("m.npz")
    assert model.network.structure == "3-1-3"
    assert model.training["pictures"] == "3 pictures of set"
    assert model.training["seed"] == 3
    assert model.training["command"].startswith("srcnn-np train set --scale 2")
    assert (tmp_path / "m-last.npz").exists()
    assert "exists already" in refused(capsys, "train", "set", *QUICK, "--out", "m.npz")
    assert run(capsys, "train", "set", *QUICK, "--out", "m.npz", "--force")[0] == 0
    save("p.png")
    assert run(capsys, "upscale", "p.png", "--scale", 2, "--model", "m.npz")[0] == 0


def test_train_on_drawn_pictures(capsys):
    code, out, _ = run(capsys, "train", "--drawn", 2, *QUICK, "--out", "m.npz")
    assert code == 0
    assert "held-out pictures" in out
    assert load_model("m.npz").training["pictures"] == "2 drawn pictures"


def test_seed_and_recipe_change_what_is_learnt(capsys):
    def weights(*arguments):
        code, _, _ = run(
            capsys, "train", "--drawn", 2, *QUICK, "--out", "m.npz", "--force", *arguments
        )
        assert code == 0
        return load_model("m.npz").network.params["conv1.w"]

    first = weights()
    np.testing.assert_array_equal(weights(), first)
    assert not np.array_equal(weights("--seed", 1), first)
    assert np.abs(weights("--recipe", "paper")).max() < 0.01  # still near N(0, 0.001²)
    assert not np.array_equal(weights("--rate", 0.1), first)
    assert not np.array_equal(weights("--batch", 5), first)


def test_train_says_how_to_go_on_after_an_interrupt(capsys, monkeypatch):
    update = training._Training.update

    def interrupted(self):
        update(self)
        if self.done == 2:
            signal.raise_signal(signal.SIGINT)

    command = ["train", "--drawn", 2, *QUICK, "--out", "m.npz", "--validations", 2]
    assert "nothing to resume: m-last.npz does not exist" in refused(capsys, *command, "--resume")
    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "update", interrupted)
        sentence = refused(capsys, *command, code=130)
    assert "interrupted after 2 of" in sentence
    assert "with --resume goes on" in sentence
    assert "exists already" in refused(capsys, *command)
    assert run(capsys, *command, "--resume")[0] == 0
    assert "--resume" not in load_model("m.npz").training["command"]


def test_train_in_colour_on_drawn_pictures(capsys):
    """Drawn pictures have no colour, and so their Cb and Cr are 128."""
    words = ["train", "--drawn", 2, *QUICK, "--out", "m.npz", "--colour", "ycbcr"]
    assert run(capsys, *words, "--rate", 1e-7, "--epochs", 0.01)[0] == 0
    held_out = load_model("m.npz").training["held_out"]
    target, small = shrink(draw_pictures(2, seed=0)[0], 2)
    result = as_measured(enlarge(small, 2), 2)
    assert held_out["bicubic"] == pytest.approx(psnr(result, as_measured(target, 2), peak=255))


def test_train_on_smaller_copies_too(capsys):
    words = ["train", "--drawn", 3, *QUICK, "--out", "m.npz", "--copies"]
    assert run(capsys, *words[:-1])[0] == 0
    seen = load_model("m.npz").training["sub_images_seen"]
    assert run(capsys, *words, "0.9,0.5", "--force")[0] == 0
    said = load_model("m.npz").training
    assert said["pictures"] == "3 drawn pictures, and copies at 0.9, 0.5 of their size"
    assert 1.8 * seen < said["sub_images_seen"] < 2.2 * seen  # 0.9² + 0.5² more


def test_train_on_what_harms_pictures(capsys):
    code, _, why = run(
        *(capsys, "train", "--drawn", 2, *QUICK, "--out", "m.npz"),
        *("--jpeg", "60-90", "--noise", "0-2.5", "--colour", "ycbcr"),
    )
    assert code == 0, why
    model = load_model("m.npz")
    assert model.colour == "ycbcr"
    assert model.training["recipe"]["jpeg"] == [60, 90]
    assert model.training["recipe"]["noise"] == [0, 2.5]
    save("p.png")
    assert run(capsys, "upscale", "p.png", "--scale", 2, "--model", "m.npz")[0] == 0


def test_train_from_a_model(capsys):
    start = ["train", "--drawn", 2, "--scale", 2, "--epochs", 0.01, "--batch", 8, "--rate", 1e-7]
    assert run(capsys, *start, "--from", "9-1-5-x3", "--out", "m.npz")[0] == 0
    was, now = load_model("9-1-5-x3"), load_model("m.npz")
    assert (now.scale, now.training["from"]) == (2, "9-1-5-x3")
    for name, p in was.network.params.items():
        np.testing.assert_allclose(now.network.params[name], p, rtol=0, atol=1e-5)
    assert "--arch is the model's of --from" in refused(
        capsys, *start, "--from", "m.npz", "--arch", "9-1-5", "--out", "n.npz"
    )
    assert "there is no model 'absent'" in refused(
        capsys, *start, "--from", "absent", "--out", "n.npz"
    )


def test_train_for_some_minutes_and_watch_a_folder(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("srcnn_np.training._TRIAL", 0.05)
    (tmp_path / "set").mkdir()
    save("set/a.png", draw_pictures(1, size=64, seed=9)[0])
    quick = [*QUICK[:6], *QUICK[8:]]
    words = ["train", "--drawn", 2, *quick, "--out", "m.npz", "--minutes", 0.002, "--watch", "set"]
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "0.002 minutes are about" in out
    header, *rows = (tmp_path / "m-log.csv").read_text().splitlines()
    assert header == "sub_images,seconds,rate,loss,psnr,watched"
    assert all(rows[-1].split(","))
    assert "not allowed with" in refused(capsys, *words, "--epochs", 2, code=2)


def test_train_refuses(capsys, tmp_path):
    (tmp_path / "set").mkdir()
    before = sorted(p.name for p in tmp_path.iterdir())

    def why(*arguments, folder="set", out="m.npz", code=1):
        start = ["train", *([folder] if folder else [])]
        return refused(capsys, *start, *QUICK, "--out", out, *arguments, code=code)

    assert "holds no pictures" in why()
    assert "does not exist" in why(folder="absent")
    assert "either a folder" in why(folder=None)
    assert "either a folder" in why("--drawn", 3)
    assert "ends in .npz" in why(out="m.bin")
    assert "no folder" in why(out="absent/m.npz")
    assert "unknown --arch 'nine'" in why("--arch", "nine")
    assert "fsrcnn or fsrcnn-s" in why("--arch", "")
    assert "unknown structure '9-x'" in why("--arch", "9-x")
    assert "--arch fsrcnn says its filters" in why("--arch", "FSRCNN", "--filters", "4-2")
    assert "needs 2 filter counts" in why("--filters", "4-2-1")
    assert "whole number above 0, not 'many'" in why("--filters", "many", code=2)
    assert "number above 0, not '-1'" in why("--epochs", -1, code=2)
    assert "fewer than a mini-batch" in why("--drawn", 2, "--batch", 999999999, folder=None)
    assert "epochs is 1e+308" in why("--drawn", 2, "--epochs", 1e308, folder=None)
    assert "whole number above 0, not '0'" in why("--batch", 0, code=2)
    assert "at least 0, not '-1'" in why("--seed", -1, code=2)
    assert "such as 60-90, not 'good'" in why("--jpeg", "good", code=2)
    assert "jpeg is (0, 90); give the lowest and the highest, from 1" in why("--jpeg", "0-90")
    assert "noise is (9.0, 2.0)" in why("--noise", "9-2")
    assert "give 0 or more, below 1, not '1'" in why("--average", 1, code=2)
    assert "numbers above 0, below 1, such as 0.9,0.8, not '0.9,1'" in why(
        "--copies", "0.9,1", code=2
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    save("set/a.png", np.zeros((40, 40), np.uint8))
    assert "sub-image of 33 x 33: 1 of 1 pictures" in why()
    save("set/b.png", np.zeros((1, 40), np.uint8))
    assert "sub-image of 33 x 33: 1 of 2 pictures" in why()
    assert "no longer a finite number" in why(
        "--drawn", 2, "--rate", 9e8, "--epochs", 9, folder=None
    )


# --- the others ----------------------------------------------------------------------------


def test_models(capsys):
    code, out, _ = run(capsys, "models")
    assert code == 0
    for scale in (2, 3, 4):
        assert f"fsrcnn-x{scale} *" in out
        figures = load_model(f"9-1-5-x{scale}").figures
        row = next(line for line in out.splitlines() if line.startswith(f"9-1-5-x{scale}"))
        assert f"{figures['Set5']['psnr']:.2f}  {figures['Set14']['psnr']:.2f}" in row
    code, out, _ = run(capsys, "models", "9-1-5-x3")
    card = json.loads(out)
    assert card["scale"] == 3
    assert card["figures"] == load_model("9-1-5-x3").figures
    assert "no model 'best'" in refused(capsys, "models", "best")
    row = next(line for line in run(capsys, "models")[1].splitlines() if "x3-jpeg75" in line)
    assert row.endswith("-      -  saved as JPEG of quality 68 to 90")
    assert json.loads(run(capsys, "models", "--json")[1])["9-1-5-x3"] == card


def test_gradcheck(capsys, monkeypatch):
    code, out, _ = run(capsys, "gradcheck")
    assert code == 0
    assert "gradients agree" in out
    assert "WRONG" not in out
    from srcnn_np import layers

    monkeypatch.setattr(layers, "relu_backward", lambda dy, x: dy)
    code, out, _ = run(capsys, "gradcheck")
    assert code == 1
    assert "WRONG" in out
    assert "gradients are wrong" in out


def test_no_command_and_an_unknown_one(capsys):
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert "enlarge pictures" in out
    assert "invalid choice: 'sharpen'" in refused(capsys, "sharpen", code=2)


def test_interrupt(capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("srcnn_np.model.shipped_models", interrupt)
    assert "interrupted" in refused(capsys, "models", code=130)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from srcnn_np.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'numba', 'scipy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_numba_is_imported_only_where_it_is_needed():
    code = (
        "import sys, srcnn_np.training, srcnn_np.upscaling, srcnn_np.gradcheck, srcnn_np.cli\n"
        "print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_first_use_says_that_it_compiles_and_later_ones_do_not(tmp_path, model):
    save("p.png")
    code = (
        "from srcnn_np import cli, compiling\n"
        "compiling._announcer._patience = 0.2\n"  # the model is too small to take long
        f"cli.main(['upscale', 'p.png', '--scale', '2', '--model', '{model}', '--force'])"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", code]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        for _ in range(2)
    )
    assert first.stderr == COMPILING
    assert second.stderr == ""


def test_the_module_runs_as_the_command_does():
    done = subprocess.run(
        [sys.executable, "-m", "srcnn_np", "upscale", "absent.png", "--scale", "2"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "srcnn-np: error: absent.png does not exist; check the name\n"


@pytest.mark.parametrize("opens", [True, False])
def test_explore_opens_the_page_or_says_where_it_is(capsys, monkeypatch, opens):
    asked = []
    monkeypatch.setattr("webbrowser.open", lambda address: asked.append(address) or opens)
    code, out, _ = run(capsys, "explore")
    assert code == 0
    assert ("open this file in a browser: " in out) != opens
    page = Path(out.rpartition(": ")[2].strip())
    assert asked == [page.as_uri()]
    assert "<h1" in page.read_text("utf-8")
