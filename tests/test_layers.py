"""Activations, borders, the loss, and what a layer remembers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srcnn_np.conv import pad_backward, pad_forward
from srcnn_np.gradcheck import check_gradients, check_layer, check_network
from srcnn_np.layers import (
    ClippedLeakyReLU,
    Conv2D,
    LeakyReLU,
    ReLU,
    clipped_leaky_relu_backward,
    clipped_leaky_relu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
)
from srcnn_np.loss import mse_backward, mse_forward
from srcnn_np.network import Sequential

ACTIVATIONS = [ReLU(), LeakyReLU(0.2), ClippedLeakyReLU()]


def test_activations_at_known_values():
    x = np.array([-8.0, -2.0, 0.0, 0.5, 2.0, 8.0])
    np.testing.assert_array_equal(ReLU().forward(x), [0, 0, 0, 0.5, 2, 8])
    np.testing.assert_array_equal(LeakyReLU(0.5).forward(x), [-4, -1, 0, 0.5, 2, 8])
    low, high = 1 / 256, 255 / 256
    expected = [0, low - (2 + low) / 1280, low - low / 1280, 0.5, high + (2 - high) / 1280, 1]
    np.testing.assert_allclose(ClippedLeakyReLU().forward(x), expected, rtol=1e-14)


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("method", ["differences", "complex step"])
@given(x=st.lists(st.floats(-8, 8), min_size=1, max_size=20))
def test_activation_gradients(layer, method, x):
    # A value on a kink is skipped by differences; the complex step takes the piece
    # that the layer itself takes there.
    check = check_layer(layer, np.array([*x, 0.7]), method=method)["x"]
    assert check.passes(method)


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=lambda layer: type(layer).__name__)
def test_activations_keep_dtype_and_nan(layer):
    for dtype in (np.float32, np.float64, np.complex128):
        x = np.array([[-1.0, np.nan, 2.0, 0.3]]).astype(dtype)
        y = layer.forward(x)
        assert y.dtype == dtype
        assert np.isnan(y).tolist() == [[False, True, False, False]]
        assert layer.backward(np.ones_like(x)).dtype == dtype


def test_an_infinite_gradient_does_not_pass_a_closed_relu():
    layer = ReLU()
    layer.forward(np.array([-1.0, 1.0]))
    assert layer.backward(np.array([np.inf, np.inf])).tolist() == [0, np.inf]


@pytest.mark.parametrize("border", ["valid", "zero", "replicate"])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (1, 5)])
@pytest.mark.parametrize("backend", ["im2col", "numba"])
def test_borders(border, kernel, backend):
    rng = np.random.default_rng(0)
    x = rng.random((2, 2, 6, 5))
    net = Sequential([Conv2D(2, 3, kernel, border=border, backend=backend)]).astype(float)
    y = net.forward(x)
    if border == "valid":
        assert y.shape == (2, 3, 6 - kernel[0] + 1, 5 - kernel[1] + 1)
    else:
        assert y.shape == (2, 3, 6, 5)
        mode = {"zero": "constant", "replicate": "edge"}[border]
        (kh, kw), w = kernel, net.params["conv1.w"]
        rows, columns = ((kh - 1) // 2, kh // 2), ((kw - 1) // 2, kw // 2)
        wide = np.pad(x, ((0, 0), (0, 0), rows, columns), mode)
        views = np.lib.stride_tricks.sliding_window_view(wide, kernel, (2, 3))
        np.testing.assert_allclose(y, np.einsum("ncijuv,kcuv->nkij", views, w), atol=1e-12)
    for check in check_network(net, x, rng.random(y.shape)).values():
        assert check.passes("differences")


@pytest.mark.parametrize("mean_over, count", [("values", 24), ("pictures", 2)])
def test_mse(mean_over, count):
    rng = np.random.default_rng(0)
    y, target = rng.random((2, 1, 3, 4)), rng.random((2, 1, 3, 4))
    loss = mse_forward(y, target, mean_over)
    assert loss == pytest.approx(((y - target) ** 2).sum() / count, rel=1e-14)
    for method in ("differences", "complex step"):
        checks = check_gradients(
            lambda y: mse_forward(y, target, mean_over),
            lambda dy, y: {"y": dy * mse_backward(y, target, mean_over)},
            {"y": y},
            method=method,
        )
        assert checks["y"].passes(method)


def test_a_loss_of_different_shapes_is_refused():
    for function in (mse_forward, mse_backward):
        with pytest.raises(ValueError, match="but the target"):
            function(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 1)))
        with pytest.raises(ValueError, match="unknown mean_over 'all'"):
            function(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), "all")
    for slope in (np.nan, np.inf, "steep", 1j):
        with pytest.raises(ValueError, match="finite number"):
            LeakyReLU(slope)
    for function in (pad_forward, pad_backward):
        with pytest.raises(ValueError, match="unknown fill 'mirror'"):
            function(np.ones((1, 1, 4, 4)), (1, 1, 1, 1), "mirror")
        with pytest.raises(ValueError, match="pads are"):
            function(np.ones((1, 1, 4, 4)), (1, -1, 1, 1))
    with pytest.raises(ValueError, match="no more than a border"):
        pad_backward(np.ones((1, 1, 4, 4)), (2, 2, 0, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16])
def test_dtypes_that_would_round_or_wrap_around_are_refused(dtype):
    whole, real = np.array([[[[3, 5]]]], dtype), np.array([[[[5.0, 3.0]]]])
    for call in (
        lambda: mse_forward(whole, whole),
        lambda: mse_forward(real, whole),
        lambda: mse_backward(whole, whole),
        lambda: leaky_relu_forward(whole),
        lambda: leaky_relu_backward(whole, real),
        lambda: clipped_leaky_relu_forward(whole),
        lambda: clipped_leaky_relu_backward(real, whole),
    ):
        with pytest.raises(TypeError, match=f"is {np.dtype(dtype)}: convert it to float32"):
            call()


def test_a_slope_may_be_any_real_number():
    for slope in (0, np.float32(0.5), np.int64(2)):
        layer = LeakyReLU(slope)
        assert layer.forward(np.array([-1.0])).tolist() == [-slope]
        assert type(layer.settings()["slope"]) is float


def test_another_border_set_later_is_not_taken_as_one_of_the_three():
    layer = Conv2D(1, 1, 3)
    layer.border = "mirror"
    with pytest.raises(KeyError, match="mirror"):
        layer.forward(np.ones((1, 1, 5, 5), np.float32))


def test_backward_needs_a_forward_that_remembers():
    layer = ReLU()
    with pytest.raises(RuntimeError, match="before forward"):
        layer.backward(np.ones(3))
    layer.forward(np.ones((2, 3)))
    with pytest.raises(ValueError, match="but y had"):
        layer.backward(np.ones(3))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"border": "mirror"}, "unknown border 'mirror'"),
        ({"kernel": 0}, "kernel is 0"),
        ({"in_channels": 0}, "in_channels"),
        ({"stride": (1, 0)}, "stride is"),
        ({"backend": "gpu"}, "unknown backend 'gpu'"),
    ],
)
def test_conv2d_refuses_what_is_no_convolution(arguments, words):
    with pytest.raises(ValueError, match=words):
        Conv2D(**{"in_channels": 1, "out_channels": 1, "kernel": 3, **arguments})
