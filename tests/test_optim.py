"""Optimiser steps against their closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    """v_k = -rate·g·(1 - m^k)/(1 - m); p is moved by their sum."""
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
    "make",
    [
        lambda: SGD(0),
        lambda: SGD(0.1, 1.0),
        lambda: SGD(math.nan),
        lambda: Adam(-1),
        lambda: Muon(0.1, 1.0),
        lambda: Adam(0.1, (0.9, 1.0)),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(ValueError, match="give rate > 0"):
        make()
