"""The benchmarks' own arithmetic, and that a contestant with another result is found."""

import itertools
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from benchmarks import contestants, recipes
from benchmarks import race as races
from benchmarks import races as listed
from benchmarks.__main__ import _rows, main
from benchmarks.contestants import CONTESTANTS, Absent, Contestant, network_of
from benchmarks.race import DisagreementError, Entry, Result, race
from benchmarks.tasks import NETWORKS, Inference, Layer, Network, TrainingStep
from srcnn_np import InputError
from srcnn_np.layers import clipped_leaky_relu_forward

ROOT = Path(__file__).parents[1]
LAYER = Layer("forward", 2, 3, 7, 8, 4, 3)


def test_flops_are_those_of_the_loops():
    places = itertools.product(range(5), range(6))
    assert LAYER.flops == 2 * 2 * 4 * sum(3 * 3 * 3 for _ in places)
    assert Inference("9-1-5", 10, 20).flops == 2 * 200 * 8032
    layers = [  # side of the result, weights, products of forward, dw and dx
        (25, 64 * 81, 2),
        (25, 64 * 32, 3),
        (21, 32 * 25, 3),
    ]
    expected = sum(2 * 5 * side**2 * weights * times for side, weights, times in layers)
    assert TrainingStep("9-1-5", N=5).flops == expected
    both = Layer("dx and dw", 2, 3, 7, 8, 4, 3)
    assert both.flops == 2 * LAYER.flops
    colour = 3 * 32 * 25 + 32 * 32 + 32 * 3 * 9
    assert Inference("5-1-3 in colour", 10, 20).flops == 2 * 200 * colour
    weights = [9 * C * K for C, K in ((1, 16), (16, 32), (32, 32), (32, 64), (64, 1))]
    sides = (18, 28), (16, 26), (14, 24), (12, 22), (10, 20)  # wide at first, as it reaches so far
    expected = sum(2 * H * W * n for (H, W), n in zip(sides, weights, strict=True))
    assert Inference("theanonSR's", 10, 20).flops == expected


def test_targets_are_of_the_size_that_borders_leave():
    shapes = {name: TrainingStep(name, N=2).batch()[1].shape for name in NETWORKS}
    assert shapes["9-1-5"] == (2, 1, 21, 21)
    assert shapes["5-1-3 in colour"] == (2, 3, 33, 33)
    assert shapes["theanonSR's"] == (2, 1, 23, 23)


def results_of(task):
    """Each contestant's result, as a list; without compiled PyTorch, which takes minutes."""
    found = {}
    for name, contestant in CONTESTANTS.items():
        if "compiled" not in name and "1 thread" not in name:
            with suppress(Absent):
                result = contestant.build(task)()
                found[name] = [
                    np.asarray(a) for a in (result if isinstance(result, list) else [result])
                ]
    return found


def check_all_agree(results, reference):
    for name, result in results.items():
        assert races._difference(result, results[reference]) < CONTESTANTS[name].tolerance, name


@pytest.mark.parametrize("what", ["forward", "dx", "dw", "dx and dw"])
def test_all_do_the_same_layer(what):
    results = results_of(Layer(what, 2, 3, 7, 8, 4, 3))
    assert len(results) >= (7 if what == "forward" else 4)
    assert {len(result) for result in results.values()} == {2 if what == "dx and dw" else 1}
    check_all_agree(results, "plain Python")


@pytest.mark.parametrize("name", ["9-5-5", "5-1-3 in colour", "theanonSR's"])
def test_all_run_the_same_network(name):
    results = results_of(Inference(name, 17, 18))
    assert len(results) >= 4
    assert results["srcnn_np"][0].shape[:2] == (17, 18)
    check_all_agree(results, "srcnn_np, layers, im2col")


@pytest.mark.parametrize("name", ["9-5-5", "5-1-3 in colour", "theanonSR's"])
def test_all_make_the_same_training_step(name):
    results = results_of(TrainingStep(name, N=2))
    assert len(results) >= 4
    assert len(results["srcnn_np"]) == 1 + 2 * len(NETWORKS[name].sides)
    check_all_agree(results, "srcnn_np, layers, im2col")


def test_a_clipped_activation_is_bent_in_all_its_places(monkeypatch):
    picture = np.linspace(-6, 7, 17 * 18, dtype=np.float32).reshape(17, 18)
    monkeypatch.setattr(Inference, "picture", lambda task: picture)
    one = Network((1,), (1, 1), "clipped", last=True)
    monkeypatch.setitem(NETWORKS, "one", one)
    identity = np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32)
    network = network_of(Inference("one", 17, 18), "im2col")
    network.params = dict(zip(network.params, identity, strict=True))
    monkeypatch.setattr(contestants, "network_of", lambda task, backend: network)
    for name, (result,) in results_of(Inference("one", 17, 18)).items():
        expected = clipped_leaky_relu_forward(picture)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("second", [[1, np.nan], [1, 1, 1], [1, 1.01]])
def test_who_differs_is_refused(second):
    reference = [np.float64(1), np.ones(2)]
    assert races._difference(reference, reference) == 0
    assert not races._difference([np.float64(1), np.array(second)], reference) < 1e-3


def test_a_race_ends_where_two_disagree(monkeypatch):
    class Worker:
        def __init__(self, name):
            self.factor = {"one": 1.0, "other": 1.1}[name]

        def send(self, what, *_):
            self.what = what

        def receive(self):
            return "done", (self.factor * np.ones(3), None, 1) if self.what == "build" else 0.5

        def end(self):
            pass

    monkeypatch.setattr(races, "Worker", Worker)
    monkeypatch.setattr(races, "PAUSE", 0)
    some = {"one": Contestant(None, {}), "other": Contestant(None, {}, 0.05)}
    monkeypatch.setattr(races, "CONTESTANTS", some)
    (result,) = race([Entry("one", "one", LAYER)], 3)
    assert result.seconds == [0.5] * 3
    with pytest.raises(DisagreementError, match="other gives another result"):
        race([Entry("one", "one", LAYER), Entry("other", "other", LAYER)], 3)


def test_a_worker_does_a_task_in_a_process_of_its_own():
    first, second = race([Entry(n, n, LAYER) for n in ("srcnn_np, layers, numba", "srcnn_np")], 2)
    assert len(first.seconds) == 2
    assert min(first.seconds) > 0
    assert first.threads >= 1
    assert (second.why, second.failed) == ("is for whole networks", False)


def test_ratios_are_those_of_the_same_round():
    entries = [Entry(name, name, LAYER) for name in "abc"]
    results = [
        Result(seconds=[1.0, 2.0, 4.0]),
        Result(seconds=[3.0, 6.0, 16.0]),
        Result(why="is not installed"),
    ]
    rows = _rows(entries, results, {"FMA": 1.0, "SGEMM": 2.0})
    assert [row.get("times") for row in rows] == [1.0, 3.0, None]
    assert rows[1]["quarters"] == [3.0, 3.5]
    assert rows[0]["gflops"] == pytest.approx(LAYER.flops / 2 / 1e9)
    assert rows[0]["of_sgemm"] == pytest.approx(rows[0]["of_fma"] / 2)


@pytest.mark.parametrize(
    "words, message",
    [
        (["network", "--only", "9-9-9"], "no race has 9-9-9 in its title"),
        (["kernels", "--rounds", "0"], "--rounds is 0; give at least 1"),
        (["scaling", "--json", "nowhere/a.json"], "there is no folder nowhere"),
        (["scaling", "--plot", "a.xyz"], "a plot's name ends in .png"),
        (["enlarging", "--plot", "a.png"], "draws no plot"),
        (["scaling", "--plot", "a.png", "--json", "a.png"], "cannot be both"),
    ],
)
def test_bad_input_gets_a_sentence(words, message, monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmarks", *words])
    with pytest.raises(InputError, match=message):
        main()


def test_one_race_from_end_to_end(monkeypatch, tmp_path, capsys):
    files = [str(tmp_path / name) for name in ("a.json", "a.png")]
    title = "1 x 1, 64 -> 32, one sub-image, dx and dw"
    words = ["kernels", "--only", title, "--rounds", "2"]
    monkeypatch.setattr("sys.argv", ["benchmarks", *words, "--json", files[0], "--plot", files[1]])
    monkeypatch.setattr(races, "PAUSE", 0)
    main()
    (table,) = json.loads(Path(files[0]).read_text())["tables"]
    there = {row["name"]: row for row in table["rows"] if "seconds" in row}
    assert {"plain Python", "NumPy einsum", "srcnn_np, layers, numba"} <= set(there)
    assert there["plain Python"]["times"] > there["srcnn_np, layers, numba"]["times"]
    assert Path(files[1]).stat().st_size > 1000
    assert title in capsys.readouterr().out


def test_every_race_has_contestants_and_a_title_of_its_own():
    every = [*listed.kernels(), *listed.network(), *listed.scaling()]
    titles = [title for title, _ in every]
    assert len(set(titles)) == len(titles)
    assert {entry.contestant for _, entries in every for entry in entries} == set(CONTESTANTS)


def test_contestants_say_how_they_are_set_up():
    for name, contestant in CONTESTANTS.items():
        winograd = contestant.environment.get("SRCNN_NP_WINOGRAD", "1")
        assert winograd == ("0" if "no Winograd" in name else "1")
        kept = "MALLOC_TRIM_THRESHOLD_" in contestant.environment
        assert kept == (name.startswith(("PyTorch tuned", "PyTorch, m", "srcnn_np, layers, numba")))
    one = CONTESTANTS["PyTorch tuned, 1 thread"].environment
    assert {one[name] for name in one if name.endswith("NUM_THREADS")} == {"1"}


def test_the_curves_are_drawn(tmp_path, monkeypatch):
    log = [
        {"sub_images": 64.0 * n, "seconds": n, "psnr": 30 + n, "watched": 31 + n} for n in (1, 2)
    ]
    monkeypatch.setattr(recipes, "RESULTS", tmp_path / "recipes")
    recipes.draw({"fast": log, "filters-64-32": log})
    assert (tmp_path / "recipes.png").stat().st_size > 10_000
    assert (tmp_path / "filters.png").stat().st_size > 10_000
    assert recipes.first_above(log, 32)["sub_images"] == 128
    assert recipes.first_above(log, 64) is None
