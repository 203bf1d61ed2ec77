"""The loop learns, is repeatable, and leaves the files it says."""

from dataclasses import replace

import numpy as np
import pytest

from srcnn_np import RECIPES, SRCNN, InputError, Model, Recipe, draw_pictures, load_model, train
from srcnn_np.conv.threads import THREADS
from srcnn_np.data import cut_sub_images, shrink
from srcnn_np.evaluation import measure
from srcnn_np.imaging import enlarge
from srcnn_np.loss import mse_backward, mse_forward
from srcnn_np.optim import SGD, Adam, clip_gradients
from srcnn_np.training import _batches, last_path

PICTURES = draw_pictures(4, size=96, seed=0)
QUICK = replace(RECIPES["fast"], epochs=2, batch=16)


def run(recipe=QUICK, seed=0, **options):
    model = Model(SRCNN("5-1-3", filters=(8, 4)), 2)
    options = {"show": False, "validations": 3, **options}
    history = train(model, PICTURES[1:], PICTURES[:1], recipe, seed=seed, **options)
    return model, history


@pytest.mark.parametrize("optimiser, rate", [("sgd", 1.0), ("adam", 1e-3)])
def test_it_learns(optimiser, rate):
    _, history = run(replace(QUICK, optimiser=optimiser, rate=rate, epochs=20))
    losses = [loss for _, loss in history.losses]
    assert losses[-1] < 0.4 * losses[0]
    assert history.psnrs[-1][1] > history.psnrs[0][1] + 1


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
    assert best.training["held_out"]["psnr"] == max(psnr for _, psnr in history.psnrs)
    assert last.training["held_out"]["psnr"] == history.psnrs[-1][1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model-last.npz", "model.npz"]


def test_the_best_state_is_kept_when_a_later_one_is_worse(monkeypatch):
    psnrs = iter([20.0, 30.0, 10.0, 5.0])  # bicubic, then three validations
    monkeypatch.setattr("srcnn_np.training._mean_psnr", lambda *_: next(psnrs))
    model, history = run()
    assert [psnr for _, psnr in history.psnrs] == [30.0, 10.0, 5.0]
    assert not np.array_equal(history.best["conv1.w"], model.network.params["conv1.w"])


def test_every_sub_image_is_seen_once_an_epoch():
    sub_images = cut_sub_images(PICTURES[:1], 2)
    seen = []
    sub_images.batch = lambda indices, turns: (seen.extend(indices), None)
    batches = _batches(sub_images, replace(QUICK, batch=5), np.random.default_rng(0))
    for _ in range(3 * len(sub_images) // 5):
        next(batches)
    for epoch in range(2):
        part = seen[epoch * len(sub_images) : (epoch + 1) * len(sub_images)]
        assert sorted(part) == list(range(len(sub_images)))


def test_the_papers_recipe_is_the_papers():
    recipe = RECIPES["paper"]
    assert recipe.epochs * 21884 == pytest.approx(8e8)
    assert (recipe.optimiser, recipe.rate, recipe.momentum) == ("sgd", 1e-4, 0.9)
    assert recipe.rate * recipe.last_layer == pytest.approx(1e-5)
    assert (recipe.batch, recipe.size, recipe.stride) == (128, 33, 14)
    assert (recipe.init, recipe.schedule, recipe.turns) == ("gaussian", "constant", False)
    assert recipe.mean_over == "pictures"
    _, history = run(replace(recipe, epochs=2, batch=16))
    assert history.losses[-1][1] < history.losses[0][1]


def test_the_default_recipe_is_sgd_with_momentum():
    assert RECIPES["fast"].optimiser == "sgd"
    assert RECIPES["fast"].momentum > 0


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimiser": "adam", "rate": 1e-3},
        {"nesterov": False, "momentum": 0.5, "last_layer": 1.0, "schedule": "constant"},
        {"turns": False, "clip_norm": None, "rate": 0.01},
        {"mean_over": "pictures", "init": "glorot"},
        {"size": 24, "stride": 9, "init": None},
    ],
)
def test_two_updates_by_hand(change):
    """`train` is its parts in a row, and every field of a recipe counts."""
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
    else:
        optimiser = SGD(recipe.rate, recipe.momentum, nesterov=recipe.nesterov, layer_rates=rates)
    rng = np.random.default_rng(3)
    order, losses = rng.permutation(len(sub_images)), []
    for update in range(2):
        indices = order[update * recipe.batch : (update + 1) * recipe.batch]
        turns = rng.integers(0, 8, recipe.batch) if recipe.turns else None
        x, target = sub_images.batch(indices, turns)
        y = net.forward(x)
        losses.append(mse_forward(y, target, recipe.mean_over))
        net.backward(mse_backward(y, target, recipe.mean_over))
        if recipe.clip_norm is not None:
            clip_gradients(net.grads, recipe.clip_norm)
        factor = {0: 1.0, 1: 0.5}[update] if recipe.schedule == "cosine" else 1.0
        optimiser.step(net.params, net.grads, factor)
    for name, p in net.params.items():
        np.testing.assert_allclose(model.network.params[name], p, rtol=1e-4, atol=1e-6)
    assert [loss for _, loss in history.losses] == pytest.approx(losses, rel=1e-4)
    # What is measured on the held-out picture, by hand.
    target, small = shrink(PICTURES[0], 2)
    given = enlarge(small, 2, "nearest")
    expected = measure(model.network.predict(given), target, 2)["psnr"]
    assert history.psnrs[-1][1] == pytest.approx(expected)
    assert history.bicubic == pytest.approx(measure(enlarge(small, 2), target, 2)["psnr"])


@pytest.mark.parametrize(
    "change",
    [
        {"optimiser": "rmsprop"},
        {"schedule": "cosin"},
        {"init": "xavier"},
        {"mean_over": "all"},
        {"batch": 0},
        {"epochs": -1},
        {"epochs": 1e308},
        {"rate": float("nan")},
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        Recipe(**change)


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
