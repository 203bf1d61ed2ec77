"""Every backend computes what the definition says, and its gradients are the right ones."""

import threading

import numpy as np
import pytest
from conftest import assert_close, convolutions, random
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate2d

from srcnn_np.conv import (
    BACKENDS,
    col2im,
    conv2d_backward,
    conv2d_forward,
    im2col,
    pad_backward,
    pad_forward,
)
from srcnn_np.conv.threads import _kind, share
from srcnn_np.gradcheck import check_convolution

FAST = [backend for backend in BACKENDS if backend != "naive"]


def test_naive_is_scipys_correlation():
    rng = np.random.default_rng(0)
    x, w, b = rng.random((2, 3, 7, 6)), rng.random((4, 3, 3, 2)), rng.random(4)
    y = conv2d_forward(x, w, b, backend="naive")
    for n in range(2):
        for k in range(4):
            expected = sum(correlate2d(x[n, c], w[k, c], "valid") for c in range(3)) + b[k]
            np.testing.assert_allclose(y[n, k], expected)


@pytest.mark.parametrize("backend", FAST)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_backends_equal_naive(backend, convolution, seed):
    x, w, b, how = convolution
    y = conv2d_forward(x, w, b, **how, backend="naive")
    assert_close(conv2d_forward(x, w, b, **how, backend=backend), y)
    dy = random(np.random.default_rng(seed), y.shape, y.dtype)
    expected = conv2d_backward(dy, x, w, **how, backend="naive")
    for actual, array in zip(
        conv2d_backward(dy, x, w, **how, backend=backend), expected, strict=True
    ):
        assert_close(actual, array)


@given(convolutions(("complex128",)))
def test_im2col_equals_naive_in_complex_numbers(convolution):
    x, w, b, how = convolution
    y = conv2d_forward(x, w, b, **how, backend="naive")
    assert_close(conv2d_forward(x, w, b, **how, backend="im2col"), y)
    expected = conv2d_backward(y, x, w, **how, backend="naive")
    actual = conv2d_backward(y, x, w, **how, backend="im2col")
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "shape, kernel, channels",
    [
        ((1, 1, 1, 1), (1, 1), 1),
        ((1, 2, 1, 40), (1, 9), 5),  # one pixel high
        ((2, 1, 40, 1), (9, 1), 3),  # one pixel wide
        ((3, 9, 9, 9), (9, 9), 4),  # one place only
        ((17, 1, 12, 19), (5, 3), 7),  # more pictures than the weight gradient has parts
        ((1, 33, 6, 7), (3, 3), 2),
        ((1, 1, 70, 40), (3, 3), 1),  # several strips
    ],
)
def test_sizes_at_the_edge(backend, shape, kernel, channels):
    rng = np.random.default_rng(1)
    x = rng.random(shape)
    w, b = rng.random((channels, shape[1], *kernel)), rng.random(channels)
    y = conv2d_forward(x, w, b, backend="im2col")
    assert_close(conv2d_forward(x, w, b, backend=backend), y)
    expected = conv2d_backward(y, x, w, backend="im2col")
    actual = conv2d_backward(y, x, w, backend=backend)
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e)


@pytest.mark.parametrize(
    "backend, method",
    [(backend, "differences") for backend in BACKENDS]
    + [(backend, "complex step") for backend in ("naive", "im2col")],
)
@given(convolutions(("float64",), most=2))
def test_gradients_agree_with_numerical_derivatives(backend, method, convolution):
    x, w, b, how = convolution
    checks = check_convolution(x, w, b, method=method, backend=backend, **how)
    assert list(checks) == ["x", "w", "b"]
    for check in checks.values():
        assert check.passes(method), check


@pytest.mark.parametrize("backend", BACKENDS)
@given(convolutions(("float64",)), st.integers(0, 2**32 - 1))
def test_backward_is_the_adjoint_of_forward(backend, convolution, seed):
    """Without b, y is linear in x and linear in w: <conv(x), dy> = <x, dx> = <w, dw>."""
    x, w, b, how = convolution
    y = conv2d_forward(x, w, 0 * b, **how, backend=backend)
    dy = np.random.default_rng(seed).standard_normal(y.shape)
    dx, dw, _ = conv2d_backward(dy, x, w, **how, backend=backend)
    scale = np.linalg.norm(y) * np.linalg.norm(dy) + 1e-300
    assert abs(np.vdot(y, dy) - np.vdot(x, dx)) < 1e-13 * scale * y.size
    assert abs(np.vdot(y, dy) - np.vdot(w, dw)) < 1e-13 * scale * y.size


@given(convolutions(("float64",)), st.integers(0, 2**32 - 1))
def test_col2im_is_the_adjoint_of_im2col(convolution, seed):
    x, w, _, how = convolution
    cols = im2col(x, w.shape[2:], **how)
    other = np.random.default_rng(seed).standard_normal(cols.shape)
    back = col2im(other, x.shape, w.shape[2:], **how)
    np.testing.assert_allclose(np.vdot(cols, other), np.vdot(x, back), atol=1e-11)


@pytest.mark.parametrize("fill", ["zero", "replicate"])
@given(st.tuples(*[st.integers(0, 4)] * 4), st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_pad_backward_is_the_adjoint_of_pad_forward(fill, pads, size):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 2, *size))
    y = pad_forward(x, pads, fill)
    dy = rng.standard_normal(y.shape)
    np.testing.assert_allclose(np.vdot(y, dy), np.vdot(x, pad_backward(dy, pads, fill)), atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_need_dx_false_leaves_dx_out(backend):
    x, w = np.ones((1, 2, 4, 4)), np.ones((3, 2, 2, 2))
    dy = np.ones((1, 3, 3, 3))
    dx, dw, db = conv2d_backward(dy, x, w, backend=backend, need_dx=False)
    _, expected_dw, expected_db = conv2d_backward(dy, x, w, backend=backend)
    assert dx is None
    np.testing.assert_array_equal(dw, expected_dw)
    np.testing.assert_array_equal(db, expected_db)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_stay_visible(backend, bad):
    rng = np.random.default_rng(0)
    x, w, b = rng.random((1, 2, 9, 9)), rng.random((3, 2, 3, 3)), rng.random(3)
    x[0, 1, 4, 4] = bad
    y = conv2d_forward(x, w, b, backend=backend)
    assert not np.isfinite(y[:, :, 2:5, 2:5]).any()
    assert np.isfinite(np.delete(y, np.s_[2:5], axis=2)).all()
    _, dw, _ = conv2d_backward(np.ones_like(y), x, w, backend=backend)
    assert not np.isfinite(dw[:, 1]).any()


@pytest.mark.parametrize("backend", FAST)
def test_arrays_need_not_be_contiguous(backend):
    rng = np.random.default_rng(0)
    x = np.moveaxis(rng.random((9, 8, 2, 3)), (2, 3), (0, 1))[..., ::-1]
    w, b = rng.random((4, 3, 3, 3))[:, :, ::-1], rng.random(8)[::2]
    y = conv2d_forward(x, w, b, backend="naive")
    assert_close(conv2d_forward(x, w, b, backend=backend), y)


def test_calls_from_several_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(0)
    xs = rng.random((4, 3, 2, 40, 40), dtype=np.float32)
    w, b = rng.random((5, 2, 3, 3), dtype=np.float32), np.zeros(5, np.float32)
    expected = [conv2d_forward(x, w, b) for x in xs]
    wrong = []

    def call(x, y):
        for _ in range(20):
            if not np.array_equal(conv2d_forward(x, w, b), y):
                wrong.append(1)

    threads = [threading.Thread(target=call, args=pair) for pair in zip(xs, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_shared_work_is_done_once_each_and_its_errors_are_raised():
    done = []
    share(lambda number: done.append(number), 100)
    assert sorted(done) == list(range(100))

    def fail(number):
        if number == 3:
            raise KeyError(number)
        done.append(number)

    with pytest.raises(KeyError):
        share(fail, 1000)
    share(lambda number: done.append(number), 10)  # and the threads are there for the next


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"backend": "gpu"}, ValueError, "unknown backend 'gpu'"),
        ({"stride": 0}, ValueError, "stride is 0"),
        ({"stride": 1.5}, ValueError, "stride is 1.5"),
        ({"stride": -1}, ValueError, "stride is -1"),
        ({"stride": True}, ValueError, "stride is True"),
        ({"padding": -1}, ValueError, "padding is -1"),
        ({"padding": (1, -1)}, ValueError, "padding is"),
        ({"x": np.ones((3, 5, 5))}, ValueError, "give x as"),
        ({"x": np.ones((0, 2, 5, 5))}, ValueError, "empty"),
        ({"x": np.ones((1, 3, 5, 5))}, ValueError, "x has 3 channels"),
        ({"x": np.ones((1, 2, 2, 5))}, ValueError, "does not fit"),
        ({"x": np.ones((1, 2, 5, 5), int)}, TypeError, "not int64"),
        ({"x": np.ones((1, 2, 5, 5), "float16")}, TypeError, "not float16"),
        ({"x": np.ones((1, 2, 5, 5), "complex128")}, TypeError, "not complex128"),
        ({"x": np.ones((1, 2, 5, 5), "float32")}, TypeError, "differ in dtype"),
        ({"x": np.ones((1, 2, 5, 5), ">f8")}, TypeError, "not >f8"),
        ({"b": np.ones(3)}, ValueError, "b has shape"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, words):
    arguments = {"x": np.ones((1, 2, 5, 5)), "w": np.ones((4, 2, 3, 3)), "b": np.ones(4)}
    with pytest.raises(error, match=words):
        conv2d_forward(**{**arguments, **change})


def test_a_gradient_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="dy has shape"):
        conv2d_backward(np.ones((1, 1, 5, 5)), np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)))
    with pytest.raises(ValueError, match="cols has shape"):
        col2im(np.ones((1, 4, 4)), (1, 1, 4, 4), (2, 2))
    with pytest.raises(ValueError, match="kernel is"):
        im2col(np.ones((1, 1, 4, 4)), (0, 2))


def test_a_layout_of_memory_that_was_not_seen_before_is_compiled_by_one_thread_alone():
    def work_on(x):
        return lambda number: x

    arrays = (np.zeros((2, 3)), np.zeros((2, 3)).T, np.zeros((4, 6))[::2, ::2], np.zeros(6))
    assert len({_kind(work_on(x)) for x in arrays}) == 4
    assert _kind(work_on(np.ones(6))) == _kind(work_on(np.zeros(9)))
