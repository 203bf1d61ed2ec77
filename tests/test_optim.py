"""Optimiser steps against their closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srcnn_np.optim import SGD, Adam, clip_gradients, constant, cosine, steps

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


@pytest.mark.parametrize("optimiser", [SGD, Adam])
def test_layers_have_their_own_rates(optimiser):
    params = {"conv1.w": np.zeros(1), "conv10.w": np.zeros(1)}
    optimiser(0.1, layer_rates={"conv1": 0.5}).step(params, {n: np.ones(1) for n in params})
    assert params["conv1.w"][0] == pytest.approx(0.5 * params["conv10.w"][0])


@pytest.mark.parametrize("optimiser", [SGD, Adam])
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
        lambda: Adam(0.1, (0.9, 1.0)),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(ValueError, match="give rate > 0"):
        make()
