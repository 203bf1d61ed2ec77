"""Every backend computes what the definition says, and its gradients are the right ones."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import assert_close, convolutions, random
from hypothesis import event, given, settings
from hypothesis import strategies as st
from scipy.signal import convolve, correlate, correlate2d

from srcnn_np.conv import (
    BACKENDS,
    col2im,
    compiled,
    conv2d_backward,
    conv2d_forward,
    im2col,
    naive,
    pad_backward,
    pad_forward,
    threads,
)
from srcnn_np.conv.threads import _kind, share
from srcnn_np.gradcheck import check_convolution
from srcnn_np.kernels.convolution import Convolution

FAST = [backend for backend in BACKENDS if backend != "naive"]

needs_core = pytest.mark.skipif(
    not compiled.AVAILABLE, reason="this processor has no fused multiply-adds"
)


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


def by_scipy(x, w, b, dy):
    """y, dx and dw at stride 1, by another library."""
    y = np.stack([[correlate(xn, wk, "valid", "direct")[0] for wk in w] for xn in x])
    dx = [
        sum(convolve(d[None], wk, "full", "direct") for d, wk in zip(dn, w, strict=True))
        for dn in dy
    ]
    dw = [
        sum(correlate(xn, d[None], "valid", "direct") for xn, d in zip(x, dk, strict=True))
        for dk in dy.swapaxes(0, 1)
    ]
    return y + b[:, None, None], np.stack(dx), np.stack(dw)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "shape, kernel, channels",
    [
        ((1, 1, 1, 1), (1, 1), 1),
        ((1, 2, 1, 40), (1, 9), 5),  # one pixel high
        ((2, 1, 40, 1), (9, 1), 3),  # one pixel wide
        ((3, 9, 9, 9), (9, 9), 4),  # one place only
        ((17, 1, 9, 7), (5, 3), 7),  # more pictures than the weight gradient has parts
        ((1, 33, 6, 7), (3, 3), 2),
        ((1, 1, 70, 40), (3, 3), 1),  # several strips
    ],
)
def test_sizes_at_the_edge(backend, shape, kernel, channels, dtype):
    rng = np.random.default_rng(1)
    x = rng.random(shape, dtype)
    w, b = rng.random((channels, shape[1], *kernel), dtype), rng.random(channels, dtype)
    y = conv2d_forward(x, w, b, backend=backend)
    dy = rng.random(y.shape, dtype)
    dx, dw, db = conv2d_backward(dy, x, w, backend=backend)
    expected = *by_scipy(*(a.astype(float) for a in (x, w, b, dy))), dy.sum((0, 2, 3), float)
    for a, e in zip((y, dx, dw, db), expected, strict=True):
        assert_close(a, e.astype(dtype))


# --- the kernels of float32 at stride 1 ------------------------------------------------------

# method, pictures, channels, filters, their size, results: whole vectors and not, whole tiles and
# not, and, last, pictures of several bands.
CORE = [
    ("direct", 1, 1, 1, (1, 1), (1, 1)),
    ("direct", 2, 3, 5, (3, 3), (9, 8)),
    ("direct", 3, 5, 33, (1, 1), (7, 4)),
    ("direct", 2, 20, 20, (2, 4), (5, 17)),
    ("direct", 1, 33, 16, (7, 7), (8, 3)),
    ("direct", 2, 64, 32, (3, 3), (1, 1)),
    ("direct", 1, 3, 5, (3, 3), (101, 83)),
    ("few", 2, 16, 1, (5, 5), (8, 8)),
    ("few", 3, 32, 3, (3, 3), (7, 9)),
    ("few", 1, 64, 1, (1, 1), (4, 5)),
    ("few", 2, 16, 3, (9, 2), (3, 16)),
    ("few", 1, 16, 1, (3, 3), (97, 90)),
    ("winograd", 1, 16, 5, (3, 3), (8, 8)),
    ("winograd", 3, 20, 33, (3, 3), (8, 12)),
    ("winograd", 2, 16, 16, (3, 3), (15, 16)),
    ("winograd", 2, 33, 20, (5, 5), (9, 8)),
    ("winograd", 3, 64, 32, (5, 5), (13, 17)),
    ("winograd", 1, 32, 33, (3, 3), (100, 91)),
    ("winograd", 2, 16, 5, (5, 5), (91, 100)),
    ("first", 1, 1, 64, (8, 8), (24, 32)),
    ("first", 3, 1, 64, (9, 9), (39, 40)),
    ("first", 1, 1, 1, (9, 9), (16, 16)),
    ("first", 4, 1, 33, (9, 9), (15, 16)),
    ("first", 1, 1, 20, (9, 9), (100, 89)),
]


def method_of(y_shape, w):
    """The kernels that such a convolution runs on."""
    piece = compiled.pieces_of(y_shape[0], *y_shape[2:])[0]
    return Convolution(w, np.zeros(len(w), np.float32), piece.rows, piece.columns).method


def assert_core_is_right(x, w, b, dy, tolerance):
    """Compare the kernels' results with float64; `tolerance` is a part of the largest value."""
    exact = [a.astype(float) for a in (x, w, b, dy)]
    y = conv2d_forward(*exact[:3], backend="im2col")
    dx, dw, _ = conv2d_backward(exact[3], *exact[:2], backend="im2col")
    actual = {
        "y": (compiled.forward(x, w, b, (1, 1)), y),
        "dw": (compiled.weight_gradient(dy, x, w.shape, (1, 1)), dw),
        "dx": (compiled.input_gradient(dy, w, x.shape, (1, 1)), dx),
    }
    both = compiled.gradients(dy, x, w, (1, 1))
    actual |= {"dx with dw": (both[0], dx), "dw with dx": (both[1], dw)}
    for name, (a, e) in actual.items():
        assert (a.shape, a.dtype) == (e.shape, np.float32), name
        assert np.abs(a - e).max() <= tolerance * np.abs(e).max(), name


@needs_core
@pytest.mark.parametrize("method, N, C, K, kernel, size", CORE)
def test_each_method_of_the_core(method, N, C, K, kernel, size):
    rng = np.random.default_rng(0)
    x, w, b, dy = core_arrays(rng, N, C, K, kernel, size)
    assert method_of(dy.shape, w) == method
    assert_core_is_right(x, w, b, dy, 1e-5)


def core_arrays(rng, N, C, K, kernel, size):
    x_size = [n + k - 1 for n, k in zip(size, kernel, strict=True)]
    shapes = (N, C, *x_size), (K, C, *kernel), (K,), (N, K, *size)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


# Channels, filters, and their sizes that mostly run so.
FAMILIES = {
    "direct": ([1, 3, 5, 16, 20, 33, 64], [5, 16, 20, 33, 64], [(1, 1), (2, 3), (3, 3), (7, 7)]),
    "few": ([16, 32, 64], [1, 2, 3], [(1, 1), (2, 3), (3, 3), (5, 5)]),
    "winograd": ([16, 20, 32, 33, 64], [5, 16, 20, 32, 33, 64], [(3, 3), (5, 5)]),
    "first": ([1], [1, 5, 16, 20, 32, 33], [(8, 8), (9, 9)]),
}


@needs_core
@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=20)
@given(data=st.data())
def test_the_core_at_any_size(family, data):
    C, K, kernel = (data.draw(st.sampled_from(some)) for some in FAMILIES[family])
    about_whole_tiles = st.integers(0, 4), st.sampled_from([4, 3, 1])
    size = [4 * n + more for n, more in data.draw(st.tuples(*[st.tuples(*about_whole_tiles)] * 2))]
    N, seed = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 2**32 - 1))
    arrays = core_arrays(np.random.default_rng(seed), N, C, K, kernel, size)
    with pytest.MonkeyPatch.context() as patch:
        # Bands of small pictures, too.
        patch.setattr(compiled, "PIXELS", data.draw(st.sampled_from([64, compiled.PIXELS])))
        event(method_of(arrays[3].shape, arrays[1]))  # --hypothesis-show-statistics tells
        assert_core_is_right(*arrays, 5e-5)  # a small picture's largest value is not large


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


# --- NaN and infinity: where the definition has them, and nowhere else ------------------------

BAD = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", BAD)
def test_nan_and_infinity_stay_visible(backend, bad):
    rng = np.random.default_rng(0)
    x, w, b = rng.random((1, 2, 9, 9)), rng.random((3, 2, 3, 3)), rng.random(3)
    x[0, 1, 4, 4] = bad
    y = conv2d_forward(x, w, b, backend=backend)
    assert not np.isfinite(y[:, :, 2:5, 2:5]).any()
    assert np.isfinite(y).sum() == y.size - 3 * 9
    _, dw, _ = conv2d_backward(np.ones_like(y), x, w, backend=backend)
    assert not np.isfinite(dw[:, 1]).any()
    assert np.isfinite(dw[:, 0]).all()


def spoilt(arrays, name, seed, bad):
    """Copies of the arrays, rounded to whole numbers (many are 0), with a bad number somewhere."""
    rng = np.random.default_rng(seed)
    arrays = {name: np.round(a) for name, a in arrays.items()}
    arrays[name].flat[rng.integers(arrays[name].size)] = bad
    return arrays


def assert_spoils_the_same(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(e))


@pytest.mark.parametrize("backend", FAST)
@given(
    convolutions(),
    st.sampled_from(["x", "w", "b", "dy"]),
    st.sampled_from(BAD),
    st.integers(0, 2**32 - 1),
)
def test_nan_and_infinity_reach_only_what_depends_on_them(backend, convolution, name, bad, seed):
    x, w, b, how = convolution
    dy = np.random.default_rng(seed).standard_normal(conv2d_forward(x, w, b, **how).shape)
    found = spoilt({"x": x, "w": w, "b": b, "dy": dy.astype(x.dtype)}, name, seed, bad)
    x, w, b, dy = found.values()
    with np.errstate(invalid="ignore"):
        y, expected = (conv2d_forward(x, w, b, **how, backend=n) for n in (backend, "naive"))
        assert_spoils_the_same([y], [expected])
        grads, expected = (conv2d_backward(dy, x, w, **how, backend=n) for n in (backend, "naive"))
        assert_spoils_the_same(grads, expected)


@needs_core
@pytest.mark.parametrize("name, bad", [("x", np.nan), ("w", np.nan), ("b", np.inf), ("dy", np.inf)])
@pytest.mark.parametrize(
    "method, N, C, K, kernel, size",
    [
        ("direct", 2, 3, 5, (3, 3), (9, 6)),
        ("few", 2, 16, 1, (3, 3), (9, 6)),
        ("winograd", 1, 16, 5, (3, 3), (20, 8)),
        ("winograd", 2, 20, 17, (3, 3), (8, 8)),
        ("first", 1, 1, 3, (9, 9), (24, 16)),
    ],
)
def test_nan_and_infinity_in_the_core(method, N, C, K, kernel, size, name, bad, monkeypatch):
    monkeypatch.setattr(compiled, "PIXELS", 64)  # results in a band
    arrays = core_arrays(np.random.default_rng(0), N, C, K, kernel, size)
    assert method_of(arrays[3].shape, arrays[1]) == method
    x, w, b, dy = spoilt(
        dict(zip(["x", "w", "b", "dy"], arrays, strict=True)), name, 1, bad
    ).values()
    with np.errstate(invalid="ignore"):
        y = naive.forward(x, w, b, (1, 1))
        dx = naive.input_gradient(dy, w, x.shape, (1, 1))
        dw = naive.weight_gradient(dy, x, w.shape, (1, 1))
        alone = (
            compiled.forward(x, w, b, (1, 1)),
            compiled.input_gradient(dy, w, x.shape, (1, 1)),
            compiled.weight_gradient(dy, x, w.shape, (1, 1)),
        )
        assert_spoils_the_same(alone, (y, dx, dw))
        assert_spoils_the_same(compiled.gradients(dy, x, w, (1, 1)), (dx, dw))


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_need_not_be_contiguous(backend, dtype):
    rng = np.random.default_rng(0)
    x = np.moveaxis(rng.random((9, 8, 2, 3), dtype), (2, 3), (0, 1))[..., ::-1]
    w, b = rng.random((4, 3, 3, 3), dtype)[:, :, ::-1], rng.random(8, dtype)[::2]
    dy = rng.random((2, 4, 6, 7), dtype)[..., ::-1].swapaxes(2, 3)
    y = conv2d_forward(x, w, b, backend="naive")
    assert_close(conv2d_forward(x, w, b, backend=backend), y)
    expected = conv2d_backward(dy, x, w, backend="naive")
    for found, right in zip(conv2d_backward(dy, x, w, backend=backend), expected, strict=True):
        assert_close(found, right)


@needs_core
@pytest.mark.parametrize("method, N, C, K, kernel, size", CORE)
def test_arrays_of_the_core_may_be_read_only(method, N, C, K, kernel, size):
    arrays = core_arrays(np.random.default_rng(0), N, C, K, kernel, size)
    x, w, b, dy = arrays
    x, dy = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for a in (x, dy))
    results = []
    for writeable in (True, False):
        for a in (x, w, b, dy):
            a.flags.writeable = writeable
        results.append([conv2d_forward(x, w, b), *conv2d_backward(dy, x, w)])
    for found, right in zip(*results, strict=True):
        np.testing.assert_array_equal(found, right)


def test_db_keeps_its_digits_in_any_layout():
    dy = np.full((1, 512, 768, 64), 0.1, np.float32).transpose(0, 3, 1, 2)
    x, w = np.ones((1, 1, 512, 768), np.float32), np.ones((64, 1, 1, 1), np.float32)
    _, _, db = conv2d_backward(dy, x, w, need_dx=False)
    np.testing.assert_allclose(db, 0.1 * 512 * 768, rtol=2e-5)


def test_parts_of_a_large_batch_are_not_many():
    assert compiled.parts_of(32, 200_000) == 16
    assert compiled.parts_of(4096, 200_000) == 64
    assert compiled.parts_of(100, 2_000) == 100


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

    callers = [threading.Thread(target=call, args=pair) for pair in zip(xs, expected, strict=True)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
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


def test_an_error_in_one_thread_stops_the_others(monkeypatch):
    """One of two threads fails while the other has much to do."""
    monkeypatch.setattr(threads, "THREADS", 2)
    done, both = [], threading.Barrier(2)

    def work(number):
        if number in (1, 2):  # each by another thread; 0 is called alone
            both.wait(5)
            if number == 1:
                raise KeyError(number)
        time.sleep(0.001)  # that the failing one goes on
        done.append(number)

    with pytest.raises(KeyError):
        share(work, 1000)
    assert len(done) < 500


@needs_core
@pytest.mark.parametrize(
    "N, C, K, kernel, size",
    [
        (2, 3, 5, (3, 3), (101, 83)),  # direct
        (2, 16, 5, (3, 3), (100, 91)),  # by Winograd; bands add to the same rows of dx
        (1, 1, 20, (9, 9), (100, 91)),
        (1, 32, 1, (5, 5), (101, 83)),
        (203, 16, 5, (3, 3), (12, 12)),  # many small ones
    ],
)
def test_the_number_of_threads_changes_no_bit(N, C, K, kernel, size, monkeypatch):
    x, w, b, dy = core_arrays(np.random.default_rng(0), N, C, K, kernel, size)
    found = set()
    for count in (1, 2, 3, 8, 8):
        with ThreadPoolExecutor(max(1, count - 1)) as pool:
            monkeypatch.setattr(threads, "THREADS", count)
            monkeypatch.setattr(threads, "_helpers", pool)
            results = compiled.forward(x, w, b, (1, 1)), *compiled.gradients(dy, x, w, (1, 1))
            found.add(tuple(a.tobytes() for a in results))
    assert len(found) == 1


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
    networks = [
        [Convolution(np.ones((k, c, f, f), "f4"), np.ones(k, "f4"), 16, 16) for f, c, k in layers]
        for layers in ([(9, 1, 64), (1, 64, 32)], [(9, 1, 64), (5, 64, 32)])
    ]
    assert len({_kind(work_on(network)) for network in networks}) == 2


@pytest.mark.parametrize("w, dy", [(0.01, 3e36), (1e17, 1e19)])
def test_a_dx_that_overflows_on_the_way_only_is_computed_again(w, dy):
    shape = (1, 16, 16, 16)
    w, dy = np.full((16, 16, 5, 5), w, "f4"), np.full((1, 16, 12, 12), dy, "f4")
    assert method_of(dy.shape, w) == "winograd"
    with np.errstate(all="ignore"):
        x = np.ones(shape)
        expected = conv2d_backward(dy.astype(float), x, w.astype(float), backend="im2col")[0]
        dx = compiled.input_gradient(dy, w, shape, (1, 1))
        both, _ = compiled.gradients(dy, np.ones(shape, "f4"), w, (1, 1))
    fits = np.abs(expected) < np.finfo("f4").max
    assert fits.any()
    for a in (dx, both):
        np.testing.assert_allclose(a[fits], expected[fits], rtol=1e-4)
