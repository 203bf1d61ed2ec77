"""The transposed convolution is the convolution's backward pass, in every backend."""

import numpy as np
import pytest
from conftest import assert_close, random
from hypothesis import given
from hypothesis import strategies as st

from srcnn_np.conv import (
    BACKENDS,
    conv2d_backward,
    conv2d_forward,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
)
from srcnn_np.conv.geometry import apart, together

FAST = [backend for backend in BACKENDS if backend != "naive"]


@st.composite
def transposed(draw, dtypes=("float32", "float64")):
    """x, w, b and the other arguments of a transposed convolution."""
    N, C, K = (draw(st.integers(1, most)) for most in (3, 20, 3))
    H, W, kh, kw = (draw(st.integers(1, most)) for most in (7, 6, 5, 4))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 3)))
    full = [s * (n - 1) + k for s, n, k in zip(stride, (H, W), (kh, kw), strict=True)]
    crop = []
    for size in full:
        first = draw(st.integers(0, size - 1))
        crop += [first, draw(st.integers(0, size - 1 - first))]
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, w, b = (random(rng, s, dtype) for s in ((N, C, H, W), (C, K, kh, kw), (K,)))
    return x, w, b, {"stride": stride, "crop": tuple(crop)}


def test_the_definition():
    """Each number of x is multiplied by its filter and added into y."""
    rng = np.random.default_rng(0)
    x, w, b = rng.random((2, 3, 4, 5)), rng.random((3, 2, 3, 4)), rng.random(2)
    expected = np.zeros((2, 2, 2 * 3 + 3, 3 * 4 + 4)) + b[:, None, None]
    for n, c, i, j in np.ndindex(x.shape):
        expected[n, :, 2 * i : 2 * i + 3, 3 * j : 3 * j + 4] += x[n, c, i, j] * w[c]
    y = conv_transpose2d_forward(x, w, b, stride=(2, 3), backend="naive")
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    cropped = conv_transpose2d_forward(x, w, b, stride=(2, 3), crop=(1, 2, 3, 4), backend="naive")
    np.testing.assert_array_equal(cropped, y[:, :, 1:-2, 3:-4])


@pytest.mark.parametrize("backend", FAST)
@given(transposed(), st.integers(0, 2**32 - 1))
def test_backends_equal_naive(backend, arrays, seed):
    x, w, b, how = arrays
    y = conv_transpose2d_forward(x, w, b, **how, backend="naive")
    assert_close(conv_transpose2d_forward(x, w, b, **how, backend=backend), y)
    dy = random(np.random.default_rng(seed), y.shape, y.dtype)
    expected = conv_transpose2d_backward(dy, x, w, **how, backend="naive")
    actual = conv_transpose2d_backward(dy, x, w, **how, backend=backend)
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e)


@pytest.mark.parametrize("backend", BACKENDS)
@given(transposed(("float64",)), st.integers(0, 2**32 - 1))
def test_it_is_the_adjoint_of_a_convolution(backend, arrays, seed):
    """<conv(x), y> = <x, transposed(y)> for all x and y."""
    y, w, b, how = arrays
    stride, zeros = how["stride"], np.zeros_like(b)
    back = conv_transpose2d_forward(y, w, zeros, stride=stride, backend=backend)
    x = np.random.default_rng(seed).standard_normal(back.shape)
    there = conv2d_forward(x, w, np.zeros(len(w)), stride=stride, backend=backend)
    assert np.vdot(there, y) == pytest.approx(np.vdot(x, back), rel=1e-12, abs=1e-12)
    # And the other way round: what goes back through it is a convolution, what it learns the same.
    dx, dw, _ = conv_transpose2d_backward(x, y, w, stride=stride, backend=backend)
    np.testing.assert_allclose(dx, there, rtol=1e-12, atol=1e-12)
    expected = conv2d_backward(y, x, w, stride=stride, backend=backend)[1]
    np.testing.assert_allclose(dw, expected, rtol=1e-12, atol=1e-12)


@given(
    st.tuples(*(st.integers(1, n) for n in (2, 3, 9, 8))),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_what_is_taken_apart_is_put_together(shape, stride):
    x = np.random.default_rng(0).random(shape)
    parts = apart(x, stride)
    np.testing.assert_array_equal(together(parts, stride, shape[2:]), x)
    for a, d, c in np.ndindex(*stride, shape[1]):
        part = parts[:, (a * stride[1] + d) * shape[1] + c]
        every = x[:, c, a :: stride[0], d :: stride[1]]
        rows, columns = every.shape[1:]
        np.testing.assert_array_equal(part[:, :rows, :columns], every)
        assert not part[:, rows:].any()
        assert not part[:, :, columns:].any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_reaches_what_depends_on_it(backend, bad):
    rng = np.random.default_rng(1)
    x, w = (rng.random(s, np.float32) for s in ((1, 16, 6, 6), (16, 2, 3, 3)))
    b = np.zeros(2, np.float32)
    x[0, 3, 2, 4] = bad
    y = conv_transpose2d_forward(x, w, b, stride=2, backend=backend)
    reached = np.zeros(y.shape, bool)
    reached[0, :, 4:7, 8:11] = True
    np.testing.assert_array_equal(~np.isfinite(y), reached)
    dy = rng.random(y.shape, np.float32)
    dx, dw, _ = conv_transpose2d_backward(dy, x, w, stride=2, backend=backend)
    assert np.isfinite(dx).all()
    np.testing.assert_array_equal(~np.isfinite(dw).all((1, 2, 3)), np.arange(16) == 3)
    x[0, 3, 2, 4] = 0
    dy[0, 1, 5, 6] = bad
    dx, dw, _ = conv_transpose2d_backward(dy, x, w, stride=2, backend=backend)
    # Row 5 lies under tap 1 of row 2; column 6 under tap 2 of column 2, and tap 0 of column 3.
    reached = np.zeros(x.shape, bool)
    reached[0, :, 2, 2:4] = True
    np.testing.assert_array_equal(~np.isfinite(dx), reached)
    reached = np.zeros(w.shape, bool)
    reached[:, 1, 1, [0, 2]] = True
    np.testing.assert_array_equal(~np.isfinite(dw), reached)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"stride": 0}, ValueError, "stride is 0"),
        ({"crop": (0, 0, -1, 0)}, ValueError, r"crop is \(0, 0, -1, 0\)"),
        ({"crop": (3, 4, 0, 0)}, ValueError, "that leave something of 7 x 9"),
        ({"backend": "torch"}, ValueError, "unknown backend"),
        ({"x": np.zeros((1, 3, 3, 4))}, ValueError, "x has 3 channels, but the filters in w 2"),
        ({"x": np.zeros((3, 4))}, ValueError, r"w as \(C, K, kh, kw\)"),
        ({"b": np.zeros(2)}, ValueError, "b has shape"),
        ({"x": np.zeros((1, 2, 3, 4), int)}, TypeError, "not int64"),
        ({"w": np.zeros((2, 5, 3, 3), "float32")}, TypeError, "differ in dtype"),
    ],
)
def test_what_does_not_fit_is_refused(how, error, words):
    arrays = {"x": np.zeros((1, 2, 3, 4)), "w": np.zeros((2, 5, 3, 3)), "b": np.zeros(5)}
    arrays |= {name: how.pop(name) for name in list(how) if name in arrays}
    with pytest.raises(error, match=words):
        conv_transpose2d_forward(**arrays, **{"stride": 2, **how})


def test_dy_has_the_shape_of_y():
    x, w = np.zeros((1, 2, 3, 4)), np.zeros((2, 5, 3, 3))
    with pytest.raises(ValueError, match=r"but y has \(1, 5, 6, 9\)"):
        conv_transpose2d_backward(np.zeros((1, 5, 7, 9)), x, w, stride=2, crop=(1, 0, 0, 0))


@pytest.mark.parametrize("stride", [(2, 2), (3, 3), (4, 4), (2, 3)])
@pytest.mark.parametrize("kernel", [(3, 4), (5, 5), (9, 9)])
def test_strides_on_the_core(stride, kernel):
    """float32 with a stride is computed in parts, also for pictures of several bands."""
    rng = np.random.default_rng(2)
    x = rng.random((2, 5, 101, 96), np.float32)
    w, b = rng.random((7, 5, *kernel), np.float32), rng.random(7, np.float32)
    y = conv2d_forward(x, w, b, stride=stride)
    dy = rng.random(y.shape, np.float32)
    found = y, *conv2d_backward(dy, x, w, stride=stride)
    exact = [a.astype(float) for a in (x, w, b, dy)]
    expected = (
        conv2d_forward(*exact[:3], stride=stride, backend="im2col"),
        *conv2d_backward(exact[3], *exact[:2], stride=stride, backend="im2col"),
    )
    for a, e in zip(found, expected, strict=True):
        assert a.dtype == np.float32
        assert_close(a, e.astype(np.float32))


def test_a_picture_of_two_by_two_overlaps():
    x = np.ones((1, 1, 2, 2))
    y = conv_transpose2d_forward(x, np.ones((1, 1, 3, 3)), np.zeros(1), stride=2, backend="naive")
    np.testing.assert_array_equal(y[0, 0], np.outer([1, 1, 2, 1, 1], [1, 1, 2, 1, 1]))
