"""The loop learns, is repeatable, and leaves the files that it says."""

import csv
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace

import numpy as np
import pytest

from srcnn_np import (
    RECIPES,
    SRCNN,
    InputError,
    Model,
    Recipe,
    draw_pictures,
    load_model,
    train,
    training,
)
from srcnn_np.checkpoint import last_path, log_path
from srcnn_np.conv.threads import THREADS
from srcnn_np.data import cut_sub_images, shrink
from srcnn_np.evaluation import measure
from srcnn_np.imaging import enlarge
from srcnn_np.loss import mse_backward, mse_forward
from srcnn_np.optim import SGD, Adam, Muon, clip_gradients

PICTURES = draw_pictures(4, size=96, seed=0)
QUICK = replace(RECIPES["sgd"], epochs=2, batch=16)
MUON = {"optimiser": "muon", "rate": 0.02, "last_layer": 1.0, "clip_norm": None}
MUON |= {"init": "contrast"}


def run(recipe=QUICK, seed=0, **options):
    model = Model(SRCNN("5-1-3", filters=(8, 4)), 2)
    options = {"show": False, "validations": 3, **options}
    history = train(model, PICTURES[1:], PICTURES[:1], recipe, seed=seed, **options)
    return model, history


def column(history, name):
    return [row[name] for row in history.rows if row[name] is not None]


@pytest.mark.parametrize("name", ["sgd", "adam", "fast"])
def test_it_learns(name):
    _, history = run(replace(RECIPES[name], epochs=20, batch=16))
    losses, psnrs = column(history, "loss"), column(history, "psnr")
    # The best that a network could answer which gives the same value everywhere.
    constant, *others = (np.var(picture / 255) for picture in PICTURES)
    assert losses[-1] < 0.5 * np.mean(others)
    assert psnrs[-1] > psnrs[0] + 1
    assert psnrs[-1] > 4 - 10 * np.log10(constant)


def test_same_seed_same_parameters_to_the_bit():
    one, other, third = run()[0], run()[0], run(seed=1)[0]
    for name, p in one.network.params.items():
        np.testing.assert_array_equal(p, other.network.params[name])
    assert not np.array_equal(one.network.params["conv1.w"], third.network.params["conv1.w"])


@pytest.mark.skipif(THREADS < 2, reason="this machine has one processor")
def test_the_number_of_threads_does_not_change_a_bit(monkeypatch):
    one = run()[0]
    monkeypatch.setattr("srcnn_np.conv.threads.THREADS", 1)
    other = run()[0]
    for name, p in one.network.params.items():
        np.testing.assert_array_equal(p, other.network.params[name])


def test_best_and_last_state_are_saved(tmp_path):
    out = tmp_path / "model.npz"
    model, history = run(out=out)
    last, best = load_model(last_path(out)), load_model(out)
    for name, p in model.network.params.items():
        np.testing.assert_array_equal(last.network.params[name], p)
        np.testing.assert_array_equal(best.network.params[name], history.best[name])
    assert best.scale == 2
    assert best.training["recipe"]["batch"] == 16
    assert best.training["held_out"]["psnr"] == max(column(history, "psnr"))
    assert last.training["held_out"]["psnr"] == column(history, "psnr")[-1]
    names = ["model-last.npz", "model-log.csv", "model.npz"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_the_log_is_the_history(tmp_path):
    _, history = run(out=tmp_path / "model.npz", watched=PICTURES[1:2])
    with open(log_path(tmp_path / "model.npz"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in history.rows
    ]
    assert len(column(history, "watched")) == len(column(history, "psnr")) == 3
    assert column(history, "watched") != column(history, "psnr")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"average": 0.9},
        {"optimiser": "adam", "rate": 1e-3},
        MUON,
        {"epochs": 4, "turns": False},
    ],
)
@pytest.mark.parametrize("after", [1, 5, 8])
def test_an_interrupted_run_goes_on_to_the_same_parameters(tmp_path, monkeypatch, change, after):
    recipe = replace(QUICK, **change)
    whole, history = run(recipe, out=tmp_path / "whole.npz")
    update, out = training._Training.update, tmp_path / "model.npz"

    def interrupted(self):
        update(self)
        if self.done == after:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "update", interrupted)
        with pytest.raises(KeyboardInterrupt, match=f"after {after} of .* --resume goes on"):
            run(recipe, out=out)
    model, resumed = run(recipe, out=out, resume=True)
    for name, p in whole.network.params.items():
        np.testing.assert_array_equal(model.network.params[name], p)
        np.testing.assert_array_equal(resumed.best[name], history.best[name])
    for name in ("sub_images", "rate", "loss", "psnr"):
        assert column(resumed, name) == column(history, name)
    for name in ("model.npz", "model-last.npz"):
        one = load_model(tmp_path / name).network.params
        other = load_model(tmp_path / name.replace("model", "whole")).network.params
        for key, p in one.items():
            np.testing.assert_array_equal(p, other[key])


def test_a_killed_run_goes_on_to_the_same_parameters(tmp_path):
    def command(name, *options):
        words = "train --drawn 3 --scale 3 --arch 5-1-3 --filters 4-4 --epochs 6 --validations 6"
        return [
            sys.executable,
            "-m",
            "srcnn_np",
            *words.split(),
            "--out",
            tmp_path / name,
            *options,
        ]

    subprocess.run(command("whole.npz"), check=True, capture_output=True)
    killed = subprocess.Popen(command("model.npz"), stderr=subprocess.DEVNULL)
    while not last_path(tmp_path / "model.npz").exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    subprocess.run(command("model.npz", "--resume"), check=True, capture_output=True)
    expected = load_model(tmp_path / "whole-last.npz").network.params
    for name, p in load_model(tmp_path / "model-last.npz").network.params.items():
        np.testing.assert_array_equal(p, expected[name])


def test_the_result_is_the_running_mean_if_that_is_asked_for(monkeypatch):
    states, update = [], training._Training.update

    def record(self):
        if not states:
            states.append({n: p.copy() for n, p in self.model.network.params.items()})
        update(self)
        states.append({n: p.copy() for n, p in self.model.network.params.items()})

    monkeypatch.setattr(training._Training, "update", record)
    model, _ = run(replace(QUICK, average=0.75))
    mean = states[0]
    for state in states[1:]:
        mean = {name: 0.75 * a + 0.25 * state[name] for name, a in mean.items()}
    for name, p in model.network.params.items():
        np.testing.assert_allclose(p, mean[name], rtol=1e-5, atol=1e-7)


def test_epochs_in_some_minutes(monkeypatch):
    monkeypatch.setattr(training, "_TRIAL", 0.2)
    model = Model(SRCNN("5-1-3", filters=(8, 4), seed=5), 2)
    before = {name: p.copy() for name, p in model.network.params.items()}
    # The recipe's own epochs, of which these are one update, and many, are not to count.
    short, long = replace(QUICK, epochs=0.01), replace(QUICK, epochs=1000)
    one = training.epochs_in(1, model, PICTURES, short)
    for minutes, recipe in ((1, long), (10, short)):
        assert (
            minutes / 5 < training.epochs_in(minutes, model, PICTURES, recipe) / one < 5 * minutes
        )
    for name, p in before.items():
        np.testing.assert_array_equal(model.network.params[name], p)
    for minutes in (0, -1, float("nan"), 1e308):
        with pytest.raises(InputError, match="minutes is"):
            training.epochs_in(minutes, model, PICTURES, QUICK)


def test_after_an_error_the_network_has_its_own_parameters_not_the_mean(monkeypatch):
    states, update = [], training._Training.update

    def record(self):
        update(self)
        states.append({n: p.copy() for n, p in self.model.network.params.items()})

    def fail(self):
        raise OSError("no disk")

    monkeypatch.setattr(training._Training, "update", record)
    monkeypatch.setattr(training._Measure, "psnr", fail)
    model = Model(SRCNN("5-1-3", filters=(8, 4)), 2)
    with pytest.raises(OSError, match="no disk"):
        train(model, PICTURES[1:], PICTURES[:1], replace(QUICK, average=0.9), show=False)
    for name, p in model.network.params.items():
        np.testing.assert_array_equal(p, states[-1][name])
    assert "held_out" not in model.training


def test_the_best_state_is_kept_when_a_later_one_is_worse(monkeypatch):
    psnrs = iter([20.0, 30.0, 10.0, 5.0])  # bicubic, then three validations
    monkeypatch.setattr(
        "srcnn_np.training._Measure._mean",
        lambda self, restored: next(psnrs) if self.pictures else None,
    )
    model, history = run()
    assert column(history, "psnr") == [30.0, 10.0, 5.0]
    assert not np.array_equal(history.best["conv1.w"], model.network.params["conv1.w"])


def test_every_sub_image_is_seen_once_an_epoch():
    recipe = replace(QUICK, batch=5)
    seen, turns, count = [], [], 83

    class Counted:
        def __len__(self):
            return count

        def batch(self, some, how, small):
            seen.extend(some)
            turns.extend(how)
            return np.array(some), np.array(how)

    batches = training._Batches(Counted(), None, recipe, 0)
    for number in range(3 * count // 5):
        batches[number]
    for epoch in range(2):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert seen[:count] != seen[count : 2 * count]
    assert set(turns) == set(range(8))


def test_the_papers_recipe_is_the_papers():
    recipe = RECIPES["paper"]
    assert recipe.epochs * 21884 == pytest.approx(8e8)
    assert (recipe.optimiser, recipe.rate, recipe.momentum) == ("sgd", 1e-4, 0.9)
    assert recipe.rate * recipe.last_layer == pytest.approx(1e-5)
    assert (recipe.batch, recipe.size, recipe.stride) == (128, 33, 14)
    assert (recipe.init, recipe.schedule, recipe.turns) == ("gaussian", "constant", False)
    assert recipe.mean_over == "pictures"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimiser": "adam", "rate": 1e-3},
        MUON,
        {"nesterov": False, "momentum": 0.5, "last_layer": 1.0, "schedule": "constant"},
        {"turns": False, "clip_norm": None, "rate": 0.01},
        {"mean_over": "pictures", "init": "glorot"},
        {**vars(RECIPES["paper"]), "batch": 16},
        {"size": 24, "stride": 9, "init": None},
    ],
)
def test_two_updates_by_hand(change):
    """`train` does the same as its parts in a row, and every field of a recipe counts."""
    recipe = replace(QUICK, **change)
    epochs = (
        2
        * recipe.batch
        / len(cut_sub_images(PICTURES[1:], 2, size=recipe.size, stride=recipe.stride))
    )
    recipe = replace(recipe, epochs=epochs)
    model = Model(SRCNN("5-1-3", filters=(8, 4), seed=7), 2, enlargement="nearest")
    history = train(model, PICTURES[1:], PICTURES[:1], recipe, seed=3, show=False)

    net = SRCNN("5-1-3", filters=(8, 4), seed=7)
    if recipe.init is not None:
        net.initialise(recipe.init, 3)
    sub_images = cut_sub_images(
        PICTURES[1:],
        2,
        size=recipe.size,
        stride=recipe.stride,
        margin=net.margin,
        enlargement="nearest",
    )
    rates = {"conv3": recipe.last_layer}
    if recipe.optimiser == "adam":
        optimiser = Adam(recipe.rate, layer_rates=rates)
    elif recipe.optimiser == "muon":
        optimiser = Muon(recipe.rate, recipe.momentum, layer_rates=rates)
    else:
        optimiser = SGD(recipe.rate, recipe.momentum, nesterov=recipe.nesterov, layer_rates=rates)
    rng, losses = np.random.default_rng([3, 0]), []
    order, turns = rng.permutation(len(sub_images)), rng.integers(0, 8, len(sub_images))
    for update in range(2):
        some = np.s_[update * recipe.batch : (update + 1) * recipe.batch]
        x, target = sub_images.batch(order[some], turns[some] if recipe.turns else None)
        y = net.forward(x)
        losses.append(mse_forward(y, target, recipe.mean_over))
        net.backward(mse_backward(y, target, recipe.mean_over))
        if recipe.clip_norm is not None:
            clip_gradients(net.grads, recipe.clip_norm)
        factor = {0: 1.0, 1: 0.5}[update] if recipe.schedule == "cosine" else 1.0
        optimiser.step(net.params, net.grads, factor)
    for name, p in net.params.items():
        # An orthogonal step enlarges what rounding left of a gradient's weakest directions.
        atol = 3e-4 if recipe.optimiser == "muon" else 1e-6
        np.testing.assert_allclose(model.network.params[name], p, rtol=1e-4, atol=atol)
    assert column(history, "loss") == pytest.approx(losses, rel=1e-4)
    # What is measured on the held-out picture, by hand.
    target, small = shrink(PICTURES[0], 2)
    given = enlarge(small, 2, "nearest")
    expected = measure(model.network.predict(given), target, 2)["psnr"]
    assert history.validations[-1]["psnr"] == pytest.approx(expected)
    assert history.bicubic["psnr"] == pytest.approx(measure(enlarge(small, 2), target, 2)["psnr"])


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_a_recipe_that_makes_no_sense_is_refused(name):
    """Values of another type, or out of the range, are refused for every field."""
    odd = ["rmsprop", "1", b"x", [], {}, (1,), np.ones(2), np.float32(0.5), np.int64(1), 1j]
    odd += [-1, -0.5, float("nan"), float("inf"), 1e308, 10**400, Recipe]
    odd += [] if name in ("nesterov", "turns", "only_last") else [True, False]
    odd += [] if name in ("momentum", "average", "nesterov", "turns", "only_last") else [0, 0.0]
    odd += [] if name in ("init", "clip_norm", "jpeg", "noise") else [None]
    odd += [(0, 5), (50.5, 60), (50, 101)] if name == "jpeg" else []
    odd += [(-1, 5), (0, float("nan")), "55"] if name == "noise" else []
    odd += [(5, 4), (1, 2, 3), (1, True)] if name in ("jpeg", "noise") else []
    odd += {"momentum": [1, 1.0], "average": [1.0], "nesterov": [1, 0], "turns": [1]}.get(name, [])
    odd += [1.0, 2.5] if name in ("batch", "size", "stride") else []
    for value in odd:
        with pytest.raises(InputError, match=name) as raised:
            Recipe(**{name: value})
        assert len(str(raised.value)) < 150
    right = {"clip_norm": [None, 0.05, 1], "epochs": [1, 0.01], "init": [None, "he"]}
    right |= {"average": [0, 0.99], "momentum": [0, 0.9], "turns": [True, False], "batch": [1]}
    right |= {"jpeg": [None, (1, 100)], "noise": [None, (0, 2.5)]}
    for value in right.get(name, []):
        assert getattr(Recipe(**{name: value}), name) == value


@pytest.mark.parametrize(
    "options, words",
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, r"seed is 1\.5"),
        ({"seed": True}, "seed is True"),
        ({"validations": 0}, "validations is 0"),
        ({"validations": 10**9}, "validations is 1000000000"),
        ({"validations": None}, "validations is None"),
        ({"out": "model.bin"}, r"ends in \.npz"),
    ],
)
def test_what_train_is_told_must_make_sense(options, words):
    with pytest.raises(InputError, match=words):
        run(**options)


def test_a_network_whose_result_is_nan_is_not_called_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(SRCNN, "predict", lambda self, picture: picture * np.nan)
    with pytest.raises(InputError, match="no longer a finite number after"):
        run(out=tmp_path / "model.npz", validations=1)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_stops(tmp_path):
    with pytest.raises(InputError, match="no longer a finite number after"):
        run(Recipe(rate=1e6, epochs=5, batch=16), out=tmp_path / "model.npz", validations=1)
    assert list(tmp_path.iterdir()) == []


def test_it_needs_a_scale_and_a_held_out_picture():
    with pytest.raises(InputError, match="no scale"):
        train(Model(SRCNN("3-1-1"), None), PICTURES, PICTURES, QUICK)
    with pytest.raises(InputError, match="no held-out picture"):
        train(Model(SRCNN("3-1-1"), 2), PICTURES, [], QUICK)


def test_a_picture_without_any_error_is_no_divergence(tmp_path):
    """A flat picture is restored whole: its PSNR is infinite, which is not the loss's fault."""
    flat, out = np.full((96, 96), 90, np.uint8), tmp_path / "model.npz"
    perfect = SRCNN("1-1-1", filters=(1, 1))
    for name, p in perfect.params.items():
        p[:] = 1 if name.endswith(".w") else 0
    recipe = replace(QUICK, init=None, rate=1e-9)
    history = train(Model(perfect, 2), PICTURES, [flat], recipe, out=out, show=False)
    assert {row["psnr"] for row in history.validations} == {100.0} == {history.bicubic["psnr"]}
    assert history.advice == ""
    held_out = load_model(out).training["held_out"]
    assert held_out == {"bicubic": 100.0, "psnr": 100.0}


@pytest.mark.parametrize(
    "rate, epochs, words",
    [
        (100, 3, "its ReLUs let nothing through any more, .* choose a lower rate"),
        (0.01, 1, "^train longer, or on more pictures$"),
    ],
)
def test_advice_is_by_what_happened(rate, epochs, words):
    _, history = run(replace(RECIPES["sgd"], rate=rate, epochs=epochs))
    assert re.search(words, history.advice)


@pytest.mark.parametrize(
    "losses, words",
    [
        (
            [0.2, 0.3, 0.3, 0.5, 0.4, 0.5, 0.4, 0.6],
            "the loss rose, from 0.2 to 0.6; choose a lower",
        ),
        ([0.9, 0.3, 0.2, 0.3, 0.2, 0.3, 0.2, 0.3], "no longer falls from 0.25; choose a lower"),
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], "train longer"),
    ],
)
def test_advice_is_by_the_course_of_the_loss(losses, words):
    grads = {"conv1.w": np.ones(1), "conv1.b": np.ones(1)}
    assert words in training._advice([loss for loss in losses for _ in range(5)], grads)
    # Too few to say whether it still falls, but not that it rose.
    few = words if "rose" in words else "train longer, or on more pictures"
    assert few in training._advice(losses, grads)


def test_too_little_memory_is_said_with_what_is_needed(monkeypatch):
    def no_memory(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("srcnn_np.training.cut_sub_images", no_memory)
        with pytest.raises(InputError, match=r"for 0 million pixels .* about 0\.0 GB; give fewer"):
            run()
    monkeypatch.setattr("srcnn_np.network.Sequential.loss_and_gradients", no_memory)
    with pytest.raises(InputError, match="for a mini-batch of 16; choose a smaller --batch"):
        run()


def test_progress_that_nobody_reads_does_not_end_a_training(monkeypatch):
    class Gone:
        def isatty(self):
            return False

        def write(self, text):
            raise BrokenPipeError

        flush = write

    monkeypatch.setattr("sys.stderr", Gone())
    _, history = run(show=True)
    assert len(history.validations) == 3


def test_pictures_have_the_channels_that_the_network_takes():
    model = Model(SRCNN("3-1-1", filters=(2, 2), channels=3), 2, "ycbcr")
    colour = [np.dstack([picture] * 3) for picture in PICTURES]
    for learnt, held_out, watched in (
        (PICTURES[1:], colour[:1], []),
        (colour[1:], PICTURES[:1], []),
        (colour[1:], colour[:1], PICTURES[:1]),
    ):
        with pytest.raises(InputError, match="the network takes 3 channels, and a picture"):
            train(model, learnt, held_out, QUICK, watched=watched)
