"""Optimiser steps against their closed forms."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from srcnn_np.optim import SGD, Adam, Muon, clip_gradients, constant, cosine, orthogonal, steps

numbers = st.floats(-3, 3)
rates = st.floats(1e-3, 0.5)
momenta = st.floats(0, 0.95)


def run(optimiser, p, gradients):
    params = {"conv1.w": np.array([p])}
    for g in gradients:
        optimiser.step(params, {"conv1.w": np.array([g])})
    return params["conv1.w"][0]


@given(numbers, numbers, rates, momenta, st.integers(1, 12))
def test_sgd_under_a_constant_gradient(p, g, rate, momentum, n):
    """v_k = -rate·g·(1 - m^k)/(1 - m); p moves by the sum of all v_k."""
    m = momentum
    sum_v = -rate * g * sum((1 - m**k) / (1 - m) for k in range(1, n + 1))
    assert run(SGD(rate, m), p, [g] * n) == pytest.approx(p + sum_v, abs=1e-9)
    # Nesterov's p is the plain one seen one step ahead: p + m·v - rate·g from v_k.
    nesterov = sum(-rate * g * (m * (1 - m**k) / (1 - m) + 1) for k in range(1, n + 1))
    assert run(SGD(rate, m, nesterov=True), p, [g] * n) == pytest.approx(p + nesterov, abs=1e-9)


@given(numbers, st.lists(numbers, min_size=1, max_size=10), rates, momenta)
def test_sgd_is_a_weighted_sum_of_all_gradients(p, gradients, rate, m):
    """Plain momentum: gradient k of n has moved p by -rate·g·(1 - m^(n-k))/(1 - m)."""
    n = len(gradients)
    moved = sum(-rate * g * (1 - m ** (n - k)) / (1 - m) for k, g in enumerate(gradients))
    assert run(SGD(rate, m), p, gradients) == pytest.approx(p + moved, abs=1e-9)


@given(numbers, st.lists(numbers.filter(lambda g: abs(g) > 1e-3), min_size=1, max_size=10), rates)
def test_adam_against_its_sums(p, gradients, rate):
    b1, b2 = 0.9, 0.999
    expected = p
    for t in range(1, len(gradients) + 1):
        seen = gradients[:t]
        m = sum((1 - b1) * b1 ** (t - 1 - k) * g for k, g in enumerate(seen)) / (1 - b1**t)
        s = sum((1 - b2) * b2 ** (t - 1 - k) * g * g for k, g in enumerate(seen)) / (1 - b2**t)
        expected -= rate * m / (math.sqrt(s) + 1e-8)
    assert run(Adam(rate), p, gradients) == pytest.approx(expected, abs=1e-9)


def test_adams_first_step_is_the_rate_whatever_the_gradient():
    for g in (1e-4, 1.0, 1e4):
        assert run(Adam(0.1), 0.0, [g]) == pytest.approx(-0.1, rel=1e-3)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.sampled_from([-1, 0, 1]))
def test_orthogonal_is_what_the_svd_says(A, B, seed, power):
    m = np.random.default_rng(seed).normal(size=(A, B))
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    for dtype, largest, tolerance in ((np.float64, 1e200, 1e-7), (np.float32, 1e25, 1e-4)):
        o = orthogonal((m * largest**power).astype(dtype), damping=0)
        assert o.dtype == dtype
        np.testing.assert_allclose(o, u @ vt, atol=tolerance * s[0] / s[-1])


def test_orthogonal_leaves_what_is_nearly_nothing_small():
    m = np.diag([1.0, 1e-3, 1e-8])
    np.testing.assert_allclose(orthogonal(m, 1e-10), np.diag([1, 1, 1e-3]), rtol=1e-3, atol=1e-12)
    assert not orthogonal(np.zeros((2, 3))).any()
    assert not np.isfinite(orthogonal(np.array([[1.0, np.nan], [1, 2]]))).any()


@given(st.integers(1, 4), st.integers(0, 99), rates, momenta)
def test_muon_against_its_sums(n, seed, rate, m):
    shapes = {"conv1.w": (3, 2, 2, 2), "conv1.b": (3,), "conv2.w": (1, 3, 2, 2)}
    matrices = {"conv1.w": (3, 8), "conv1.b": (3, 1), "conv2.w": (3, 4)}
    rng = np.random.default_rng(seed)
    grads = [{name: rng.normal(size=shape) for name, shape in shapes.items()} for _ in range(n)]
    params = {name: np.ones(shape) for name, shape in shapes.items()}
    optimiser = Muon(rate, m, layer_rates={"conv2": 0.5})
    for g in grads:
        optimiser.step(params, g)
    for name, shape in shapes.items():
        expected = np.ones(shape)
        for t in range(1, n + 1):
            v = sum(m ** (t - 1 - k) * g[name] for k, g in enumerate(grads[:t]))
            u, _, vt = np.linalg.svd(
                (grads[t - 1][name] + m * v).reshape(matrices[name]), full_matrices=False
            )
            expected -= rate * (0.5 if name == "conv2.w" else 1) * (u @ vt).reshape(shape)
        np.testing.assert_allclose(params[name], expected, atol=1e-4)


@pytest.mark.parametrize("optimiser", [SGD, Adam, Muon])
def test_layers_have_their_own_rates(optimiser):
    params = {"conv1.w": np.zeros(1), "conv10.w": np.zeros(1)}
    optimiser(0.1, layer_rates={"conv1": 0.5}).step(params, {n: np.ones(1) for n in params})
    assert params["conv1.w"][0] == pytest.approx(0.5 * params["conv10.w"][0])


@pytest.mark.parametrize("optimiser", [SGD, Adam, Muon])
def test_a_rate_for_a_layer_that_is_not_there_is_refused(optimiser):
    params = {"conv1.w": np.zeros(1)}
    with pytest.raises(ValueError, match="no layers named conv9"):
        optimiser(0.1, layer_rates={"conv9": 0.5}).step(params, params)


def test_clipping_neither_hides_nor_overflows():
    grads = {"a": np.full(3, 1e20, np.float32)}
    assert clip_gradients(grads, 1.0) == pytest.approx(np.sqrt(3) * 1e20)
    np.testing.assert_allclose(grads["a"], 1 / np.sqrt(3), rtol=1e-6)
    grads = {"a": np.array([np.inf, 1.0]), "b": np.array([2.0])}
    assert clip_gradients(grads, 1.0) == np.inf
    assert (grads["a"].tolist(), grads["b"].tolist()) == ([np.inf, 1.0], [2.0])


@pytest.mark.parametrize("optimiser", [SGD(0.1, nesterov=True), Adam(0.1)])
def test_parameters_change_in_place_and_keep_their_dtype(optimiser):
    p = np.zeros(3, np.float32)
    params = {"conv1.w": p}
    optimiser.step(params, {"conv1.w": np.ones(3, np.float32)}, 0.5)
    assert params["conv1.w"] is p
    assert p.dtype == np.float32
    assert (p < 0).all()


@given(st.lists(st.lists(numbers, min_size=1, max_size=5), min_size=1, max_size=4), rates)
def test_clipping(lists, limit):
    grads = {f"g{n}": np.array(values) for n, values in enumerate(lists)}
    flat = np.concatenate(lists)
    norm = np.linalg.norm(flat)
    assert clip_gradients(grads, limit) == pytest.approx(norm)
    expected = flat * min(1, limit / norm) if norm > 0 else flat
    np.testing.assert_allclose(np.concatenate(list(grads.values())), expected, atol=1e-12)


def test_schedules():
    assert constant(0.7) == 1
    assert [cosine(p) for p in (0, 1 / 3, 0.5, 1)] == pytest.approx([1, 0.75, 0.5, 0])
    assert [steps(0.1, (0.5, 0.8))(p) for p in (0.4, 0.5, 0.9)] == pytest.approx([1, 0.1, 0.01])


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: SGD(0), "rate is 0"),
        (lambda: SGD(math.nan), "rate is nan"),
        (lambda: SGD(math.inf), "rate is inf"),
        (lambda: Adam(-1), "rate is -1"),
        (lambda: Muon(math.inf), "rate is inf"),
        (lambda: SGD(0.1, 1.0), r"momentum is 1\.0"),
        (lambda: SGD(0.1, -0.1), r"momentum is -0\.1"),
        (lambda: Muon(0.1, 1.0), r"momentum is 1\.0"),
        (lambda: Muon(0.1, math.nan), "momentum is nan"),
        (lambda: Adam(0.1, (0.9, 1.0)), "betas are"),
        (lambda: Adam(0.1, (-0.1, 0.9)), "betas are"),
        (lambda: Adam(0.1, (0.9,)), "betas are"),
        (lambda: Adam(0.1, epsilon=0), "epsilon is 0"),
        (lambda: Adam(0.1, epsilon=-1e-8), "epsilon is -1e-08"),
        (lambda: Adam(0.1, epsilon=math.inf), "epsilon is inf"),
        (lambda: SGD(0.1, layer_rates={"conv1": -1}), "layer conv1 is -1"),
        (lambda: Adam(0.1, layer_rates={"conv1": math.nan}), "layer conv1 is nan"),
        (lambda: Muon(0.1, layer_rates={"conv1": math.inf}), "layer conv1 is inf"),
        (lambda: steps(-1, (0.5,)), "factor is -1"),
        (lambda: steps(0.1, (50, 80)), r"at is \(50, 80\)"),
        (lambda: cosine(3), "progress is 3"),
        (lambda: cosine(math.nan), "progress is nan"),
        (lambda: orthogonal(np.ones((2, 2)), -1), "damping is -1"),
        (lambda: orthogonal(np.ones(2)), "give a matrix"),
    ],
)
def test_impossible_settings_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("max_norm", [-1, 0, -math.inf, math.nan])
def test_a_limit_that_would_turn_the_gradient_round_is_refused(max_norm):
    grads = {"a": np.array([3.0, 4.0])}
    with pytest.raises(ValueError, match="max_norm is"):
        clip_gradients(grads, max_norm)
    assert grads["a"].tolist() == [3, 4]
    assert clip_gradients(grads, math.inf) == 5
    assert grads["a"].tolist() == [3, 4]


ones = np.ones((2, 3), np.float32)


@pytest.mark.parametrize("optimiser", [SGD, Adam, Muon])
@pytest.mark.parametrize(
    "params, grads, factor, error, words",
    [
        ({"a": ones}, {"a": ones}, math.nan, ValueError, "factor is nan"),
        ({"a": ones}, {"a": ones}, -1, ValueError, "factor is -1"),
        ({"a": ones}, {"a": ones}, math.inf, ValueError, "factor is inf"),
        ({"a": ones, "b": ones}, {"a": ones}, 1, ValueError, "one of both lacks: b"),
        ({"a": ones}, {"a": ones, "b": ones}, 1, ValueError, "one of both lacks: b"),
        ({"a": ones}, {}, 1, ValueError, "one of both lacks: a"),
        ({"a": ones}, {"a": ones[0]}, 1, ValueError, r"a has shape \(2, 3\), its gradient \(3,\)"),
        ({"a": ones}, {"a": ones[:, :1]}, 1, ValueError, "a has shape"),
        ({"a": ones.astype(int)}, {"a": ones.astype(int)}, 1, TypeError, "a is int"),
        ({"a": ones}, {"a": ones.astype(int)}, 1, TypeError, "the gradient of a is int"),
        ({"a": np.float16(ones)}, {"a": np.float16(ones)}, 1, TypeError, "a is float16"),
        ({"a": 1j * ones}, {"a": 1j * ones}, 1, TypeError, "a is complex"),
    ],
)
def test_a_step_that_does_not_fit_changes_nothing(optimiser, params, grads, factor, error, words):
    params = {name: p.copy() for name, p in params.items()}
    before = {name: p.copy() for name, p in params.items()}
    stepper = optimiser(0.1)
    with pytest.raises(error, match=words):
        stepper.step(params, grads, factor)
    for name, p in params.items():
        np.testing.assert_array_equal(p, before[name])
    assert stepper.memory == {}


@pytest.mark.parametrize("optimiser", [SGD, Adam, Muon])
def test_a_memory_of_other_parameters_is_refused(optimiser):
    stepper = optimiser(0.1)
    stepper.step({"a": np.ones((2, 3))}, {"a": np.ones((2, 3))})
    with pytest.raises(ValueError, match="a in memory is float64"):
        stepper.step({"a": np.ones((3, 2))}, {"a": np.ones((3, 2))})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1e-8, 1e-44, 5e-324])
def test_adam_stays_where_there_is_no_gradient(dtype, epsilon):
    p, optimiser = np.ones(2, dtype), Adam(0.1, epsilon=epsilon)
    for _ in range(3):
        optimiser.step({"a": p}, {"a": np.zeros(2, dtype)})
    assert p.tolist() == [1, 1]


@pytest.mark.parametrize("optimiser", [SGD, Adam, Muon])
def test_a_single_number_is_a_parameter_too(optimiser):
    params = {"slope1.slope": np.array(0.5)}
    optimiser(0.1).step(params, {"slope1.slope": np.array(2.0)})
    assert params["slope1.slope"] < 0.5


def test_whole_numbers_are_not_made_orthogonal_nor_clipped():
    whole = np.array([[3, 0], [0, 2]])
    with pytest.raises(TypeError, match="m is int"):
        orthogonal(whole)
    with pytest.raises(TypeError, match="a is int"):
        clip_gradients({"a": whole}, 1.0)


# --- BLAS's threads --------------------------------------------------------------------------


def blas_threads():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}


@pytest.fixture
def at_rest():
    """How many threads BLAS has without a limit, which would keep other threads' limits out."""
    found = blas_threads()
    if max(found.values(), default=1) < 2:
        pytest.skip("this machine's BLAS has one thread only")
    return found


def test_a_step_has_one_blas_thread(monkeypatch):
    """This is true however many threads BLAS has otherwise; here they are made two."""
    found = []

    def look(m):
        found.extend(blas_threads().values())
        return m

    monkeypatch.setattr("srcnn_np.optim.orthogonal", look)
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        Muon(0.1).step({"a": np.ones((2, 2))}, {"a": np.ones((2, 2))})
        assert blas_threads() == before
    assert set(before.values()) == {2}
    assert 1 in found  # SciPy may have brought another library


def test_two_steps_at_once_leave_blas_as_it_was(at_rest, monkeypatch):
    """The second step begins while the first is under way, if it can, and ends after the first."""
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def slow(m):
        if threading.current_thread() is first:
            first_in.set()
            second_in.wait(0.1)
        else:
            second_in.set()
            first_out.wait(5)
        return m

    monkeypatch.setattr("srcnn_np.optim.orthogonal", slow)

    def step():
        Muon(0.1).step({"a": np.ones((2, 2))}, {"a": np.ones((2, 2))})
        if threading.current_thread() is first:
            first_out.set()

    first, second = (threading.Thread(target=step) for _ in range(2))
    first.start()
    assert first_in.wait(5)
    second.start()
    for thread in (first, second):
        thread.join()
    assert second_in.is_set()
    assert blas_threads() == at_rest


def test_many_steps_at_once_are_those_of_one_after_another(at_rest):
    rng = np.random.default_rng(0)
    starts, grads = rng.normal(size=(2, 8, 5, 20, 30))

    def train(n):
        params, muon = {"a": starts[n, 0].copy()}, Muon(0.1)
        for g in grads[n]:
            muon.step(params, {"a": g})
        return params["a"]

    expected = [train(n) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for result, one in zip(pool.map(train, range(8)), expected, strict=True):
            np.testing.assert_array_equal(result, one)
    assert blas_threads() == at_rest


def test_a_step_that_fails_leaves_blas_as_it_was(at_rest, monkeypatch):
    def fail(m):
        assert blas_threads() != at_rest
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("srcnn_np.optim.orthogonal", fail)
        with pytest.raises(MemoryError):
            Muon(0.1).step({"a": np.ones((2, 2))}, {"a": np.ones((2, 2))})
    assert blas_threads() == at_rest
    Muon(0.1).step({"a": np.ones((2, 2))}, {"a": np.ones((2, 2))})  # and the next can step
