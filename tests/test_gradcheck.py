"""The checker passes what is right and catches what is wrong."""

import numpy as np
import pytest

from srcnn_np import layers, loss
from srcnn_np.conv import columns, compiled, conv2d_backward, naive, pad_backward
from srcnn_np.gradcheck import (
    check_convolution,
    check_gradients,
    check_layer,
    check_network,
    standard_checks,
)
from srcnn_np.kernels.layouts import padded
from srcnn_np.network import SRCNN


def test_everything_this_package_differentiates():
    rows = 0
    for what, backend, gradient, checks in standard_checks():
        rows += 1
        for method, check in checks.items():
            assert check.passes(method), (what, backend, gradient, method, check)
    assert rows > 40


@pytest.mark.parametrize("place", ["conv.compiled", "fused.step"])
def test_filters_that_float32_does_not_turn_are_noticed(place, monkeypatch):
    monkeypatch.setattr(
        f"srcnn_np.{place}.turned", lambda w: np.ascontiguousarray(w.swapaxes(0, 1))
    )
    wrong = {
        (what, method)
        for what, _, _, checks in standard_checks()
        for method, check in checks.items()
        if not check.passes(method)
    }
    assert {method for _, method in wrong} == {"float32"}
    expected = {
        "conv.compiled": "conv2d, stride 1, padding 0",
        "fused.step": "SRCNN 9-5-5 with its loss",
    }
    assert (expected[place], "float32") in wrong


def test_biases_that_winograd_loses_in_float32_are_noticed(monkeypatch):
    monkeypatch.setattr("srcnn_np.kernels.convolution.padded", lambda b: 0 * padded(b))
    wrong = [
        what
        for what, _, _, checks in standard_checks()
        if "float32" in checks and not checks["float32"].passes("float32")
    ]
    assert {"SRCNN 9-5-5 with its loss", "FSRCNN 56-12-4 with its loss"} <= set(wrong)


def test_no_network_is_checked_that_is_dead():
    found = [checks for what, _, _, checks in standard_checks(seed=5) if "its loss" in what]
    errors = [checks["differences"].error for checks in found if "differences" in checks]
    assert len(errors) > 40
    assert min(errors) > 0


def errors_of_network(method, backend="im2col"):
    rng = np.random.default_rng(0)
    net = SRCNN("3-1-3", filters=(3, 2), border="zero", backend=backend)
    for name, b in net.params.items():
        if name.endswith(".b"):
            b += 0.05
    x, target = rng.random((2, 1, 6, 5)), rng.random((2, 1, 6, 5))
    return check_network(net, x, target, method=method)


def flipped_kernel(monkeypatch):
    right = columns.input_gradient

    def wrong(dy, w, x_shape, stride):
        return right(dy, w[:, :, ::-1, ::-1], x_shape, stride)

    monkeypatch.setattr(columns, "input_gradient", wrong)


def lost_bias_gradient(monkeypatch):
    def wrong(*arguments, **options):
        dx, dw, db = conv2d_backward(*arguments, **options)
        return dx, dw, 0 * db

    monkeypatch.setattr(layers, "conv2d_backward", wrong)


def padding_off_by_one(monkeypatch):
    def wrong(dy, pads, fill):
        top, bottom, left, right = pads
        return pad_backward(dy, (top + 1, bottom - 1, left, right) if bottom else pads, fill)

    monkeypatch.setattr(layers, "pad_backward", wrong)


def missing_relu_mask(monkeypatch):
    monkeypatch.setattr(layers, "relu_backward", lambda dy, x: dy)


def gradient_averaged_twice(monkeypatch):
    def wrong(y, target):
        return loss.mse_backward(y, target) / len(y)

    monkeypatch.setattr("srcnn_np.gradcheck.mse_backward", wrong)


@pytest.mark.parametrize("method", ["differences", "complex step"])
@pytest.mark.parametrize(
    "plant",
    [
        flipped_kernel,
        lost_bias_gradient,
        padding_off_by_one,
        missing_relu_mask,
        gradient_averaged_twice,
    ],
)
def test_planted_bugs_are_caught(monkeypatch, plant, method):
    assert all(check.passes(method) for check in errors_of_network(method).values())
    plant(monkeypatch)
    worst = max(check.error for check in errors_of_network(method).values())
    assert worst > 0.05


@pytest.mark.parametrize("backend", [naive, columns, compiled], ids=lambda m: m.__name__)
@pytest.mark.parametrize("gradient", ["weight_gradient", "input_gradient"])
def test_one_value_wrong_in_one_backend_is_caught(monkeypatch, backend, gradient):
    right = getattr(backend, gradient)

    def wrong(*arguments):
        result = right(*arguments)
        result[-1, -1, -1, -1] *= 1.001
        return result

    monkeypatch.setattr(backend, gradient, wrong)
    assert any(
        not check.passes("differences")
        for what, _, _, checks in standard_checks()
        for check in checks.values()
        if what.startswith("conv2d")
    )


def test_nan_gradients_are_caught():
    checks = check_gradients(
        lambda x: x**2, lambda dy, x: {"x": dy * np.nan}, {"x": np.array([1.0, 2.0])}
    )
    assert not checks["x"].passes("differences")


def test_a_difference_across_a_kink_is_skipped_and_counted():
    x = np.array([-1.0, 3e-5, 1.0])

    def check(pieces):
        return check_gradients(
            layers.relu_forward,
            lambda dy, x: {"x": layers.relu_backward(dy, x)},
            {"x": x},
            pieces=pieces,
        )["x"]

    assert not check(None).passes("differences")
    openly = check(lambda x: x > 0)
    assert openly.passes("differences")
    assert (openly.compared, openly.skipped) == (2, 1)


def test_nothing_compared_is_not_a_pass():
    check = check_gradients(
        layers.relu_forward,
        lambda dy, x: {"x": layers.relu_backward(dy, x)},
        {"x": np.zeros(2)},
        pieces=lambda x: x > 0,
    )["x"]
    assert (check.compared, check.skipped) == (0, 2)
    assert not check.passes("differences")


def test_a_gradient_of_the_wrong_shape_is_caught():
    checks = check_gradients(lambda x: x.sum(), lambda dy, x: {"x": dy * 1.0}, {"x": np.ones(3)})
    assert not checks["x"].passes("differences")


def test_a_constant_function_has_no_gradient():
    check = check_gradients(
        lambda x: 0 * x, lambda dy, x: {"x": 0 * dy}, {"x": np.ones(3)}, method="complex step"
    )["x"]
    assert check.passes("complex step")


def test_differences_and_complex_step_of_any_function():
    rng = np.random.default_rng(0)
    inputs = {"a": rng.random((2, 3)), "b": rng.random((3, 2))}

    def backward(dy, a, b):
        d = dy * np.cos(a @ b)
        return {"a": d @ b.T, "b": a.T @ d}

    for method, limit in (("differences", 1e-7), ("complex step", 1e-13)):
        checks = check_gradients(lambda a, b: np.sin(a @ b), backward, inputs, method=method)
        assert all(check.error < limit for check in checks.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fails", [False, True])
def test_checking_leaves_the_network_as_it_was(dtype, fails, monkeypatch):
    net, rng = SRCNN("3-1-3", filters=(3, 2)).astype(dtype), np.random.default_rng(0)
    y = net.forward(rng.random((2, 1, 9, 9)).astype(dtype))
    net.backward(y)
    before = {"params": net.params, "grads": net.grads}
    copies = {kind: {n: a.copy() for n, a in arrays.items()} for kind, arrays in before.items()}
    assert all(g.any() for g in copies["grads"].values())
    x = rng.random((1, 1, 6, 6))
    if fails:
        monkeypatch.setattr(layers, "relu_backward", None)
        with pytest.raises(TypeError):
            check_network(net, x, x[:, :, 2:4, 2:4])
        monkeypatch.undo()
    else:
        check_network(net, x, x[:, :, 2:4, 2:4])
    for kind, arrays in before.items():
        for name, a in getattr(net, kind).items():
            assert a is arrays[name]
            np.testing.assert_array_equal(a, copies[kind][name])
            assert a.dtype == dtype
    net.backward(y)  # goes the same way as before
    for name, g in net.grads.items():
        np.testing.assert_array_equal(g, copies["grads"][name])


def test_checking_leaves_a_layer_as_it_was():
    layer, x = layers.ReLU(), np.array([-1.0, 2.0])
    layer.forward(x)
    check_layer(layer, np.array([3.0, -4.0]))
    assert layer.backward(np.ones(2)).tolist() == [0, 1]


def check_square(**options):
    inputs = {"x": np.array([1.0, 2.0]), **options.pop("inputs", {})}
    backward = options.pop("backward", lambda dy, x: {"x": 2 * x * dy})
    return check_gradients(lambda x: x**2, backward, inputs, **options)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"method": "complex"}, ValueError, "unknown method 'complex': choose one of differences"),
        ({"method": "Differences"}, ValueError, "unknown method"),
        ({"step": 0}, ValueError, "step is 0"),
        ({"step": -1e-4}, ValueError, r"step is -0\.0001"),
        ({"step": np.nan, "method": "complex step"}, ValueError, "step is nan"),
        ({"step": np.inf}, ValueError, "step is inf"),
        ({"inputs": {"x": np.array([1, 2])}}, TypeError, "x is int64: convert it to float64"),
        ({"inputs": {"x": np.ones(2, np.float32)}}, TypeError, "x is float32"),
        ({"backward": lambda dy, x: {}}, ValueError, "backward gives nothing"),
        ({"backward": lambda dy, x: {"X": dy}}, ValueError, "gives X, but the inputs are x"),
    ],
)
def test_a_check_that_would_check_something_else_is_refused(options, error, words):
    assert check_square()["x"].passes("differences")
    assert check_square(step=1e-3)["x"].passes("differences")
    with pytest.raises(error, match=words):
        check_square(**options)


@pytest.mark.parametrize("check", [check_network, check_layer, check_convolution])
def test_every_check_refuses_a_misspelt_method(check):
    x = np.random.default_rng(0).random((1, 1, 4, 4))
    net = SRCNN("1-1-1", filters=(1, 1), backend="im2col")
    arguments = {
        check_network: (net, x, x),
        check_layer: (layers.ReLU(), x),
        check_convolution: (x, x, x[0, 0, 0, :1]),
    }[check]
    with pytest.raises(ValueError, match="unknown method 'difference'"):
        check(*arguments, method="difference")


def test_no_gradient_of_the_network_hides_behind_a_dead_relu(monkeypatch):
    backward = loss.mse_backward
    monkeypatch.setattr("srcnn_np.gradcheck.mse_backward", lambda *args: backward(*args) / 2)
    rows = [row for row in standard_checks() if row[0].startswith("SRCNN 3-1-3")]
    assert len(rows) == 21
    for _, _, _, checks in rows:
        assert not any(check.passes(method) for method, check in checks.items())
