"""The loop learns, is repeatable, and leaves the files it says."""

from dataclasses import replace

import numpy as np
import pytest

from srcnn_np import RECIPES, SRCNN, InputError, Model, Recipe, draw_pictures, load_model, train
from srcnn_np.conv.threads import THREADS
from srcnn_np.training import last_path

PICTURES = draw_pictures(4, size=96, seed=0)
QUICK = replace(RECIPES["fast"], epochs=2, batch=16)


def run(recipe=QUICK, seed=0, **options):
    model = Model(SRCNN("5-1-3", filters=(8, 4), init=recipe.init, seed=seed), 2)
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
    psnrs = iter([20.0, 30.0, 10.0, 5.0])
    monkeypatch.setattr("srcnn_np.training._mean_psnr", lambda *_: next(psnrs))
    model, history = run()
    assert [psnr for _, psnr in history.psnrs] == [30.0, 10.0, 5.0]
    assert not np.array_equal(history.best["conv1.w"], model.network.params["conv1.w"])


def test_every_sub_image_is_seen_once_an_epoch():
    from srcnn_np.data import cut_sub_images
    from srcnn_np.training import _batches

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


def test_a_loss_that_is_not_finite_stops(tmp_path):
    with pytest.raises(InputError, match="no longer a finite number after"):
        run(Recipe(rate=1e6, epochs=5, batch=16), out=tmp_path / "model.npz", validations=1)
    assert list(tmp_path.iterdir()) == []


def test_it_needs_a_held_out_picture():
    with pytest.raises(InputError, match="no held-out picture"):
        train(Model(SRCNN("3-1-1"), 2), PICTURES, [], QUICK)
