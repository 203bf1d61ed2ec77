"""The fused network is the network: against its layers, over drawn sizes and structures."""

import copy
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from srcnn_np import (
    FSRCNN,
    SRCNN,
    ClippedLeakyReLU,
    Conv2D,
    ConvTranspose2D,
    LeakyReLU,
    Muon,
    PReLU,
    ReLU,
    Sequential,
    fused,
    prediction,
)
from srcnn_np.conv import threads
from srcnn_np.kernels.vectors import LANES
from srcnn_np.layers import CONVOLUTIONS

SRCNNS = [(9, 1, 5), (9, 3, 5), (9, 5, 5)]
# What `narrow.GAIN` must be for a stack to be computed so, except with clipped activations.
LANES_ARE = {"pixels": 0, "filters": np.inf}
seeds = st.integers(0, 2**32 - 1)
kernels = st.one_of(
    st.sampled_from([3, 5, 9]).map(lambda k: (k, k)),
    st.tuples(st.integers(1, 10), st.integers(1, 10)),
)
counts = st.one_of(st.sampled_from([1, 3, 16, 32, 64]), st.integers(1, 70))
activations = st.sampled_from(
    [None, ReLU(), LeakyReLU(0.2), LeakyReLU(-0.5), LeakyReLU(0.0), "slopes"]
)


@st.composite
def stacks(draw, borders=("valid", "zero", "replicate")):
    """Draw a network: up to five convolutions with biases, each with or without an activation.

    The last convolution may be a transposed one.
    """
    layers, C = [], draw(st.sampled_from([1, 3]))
    border = draw(st.sampled_from(borders))
    for _ in range(draw(st.integers(1, 4))):
        K = draw(counts)
        after = draw(activations)
        after = PReLU(K) if after == "slopes" else after
        layers += [Conv2D(C, K, draw(kernels), border=border), after]
        C = K
    K, stride = draw(st.sampled_from([1, 3])), draw(st.integers(0, 4))
    if stride == 0:
        layers += [Conv2D(C, K, draw(kernels), border=border)]
    else:
        kernel = tuple(draw(st.integers(stride, 9)) for _ in range(2))
        layers += [ConvTranspose2D(C, K, kernel, stride=stride, border=border)]
    layers = [copy.deepcopy(layer) for layer in layers if layer is not None]
    once = draw(st.booleans()) and border == "valid"
    net = Sequential(
        layers, seed=draw(seeds), predict_border="replicate-once" if once else "replicate"
    )
    return with_biases(net)


def with_biases(net, seed=0):
    rng = np.random.default_rng(seed)
    for name, p in net.params.items():
        if not name.endswith(".w"):
            p += rng.normal(0, 0.1, p.shape).astype(p.dtype)
    return net


def network(sizes, filters=(64, 32), seed=0, **options):
    return with_biases(SRCNN("-".join(map(str, sizes)), filters=filters, seed=seed, **options))


def theanonsr():
    layers = []
    for C, K in ((1, 16), (16, 32), (32, 32), (32, 64), (64, 1)):
        layers += [Conv2D(C, K, 3), ClippedLeakyReLU()]
    return with_biases(Sequential(layers, predict_border="replicate-once", seed=2))


def in_colour():
    layers = []
    for C, K, f in ((3, 32, 5), (32, 32, 1), (32, 3, 3)):
        layers += [Conv2D(C, K, f, border="zero"), ReLU()]
    return with_biases(Sequential(layers, init="glorot"))


def wide(net):
    """The same network in float64: then the layers compute, not the fused code."""
    return copy.deepcopy(net).astype(np.float64)


def far_from_kinks(net, x):
    """Move biases so that no activation's input is so near 0 that rounding decides its sign."""
    z = x.astype(np.float64)
    layers = list(wide(net).layers.values())
    own = list(net.layers.values())
    for layer, real, after in zip(layers, own, [*layers[1:], None], strict=True):
        z = layer.apply(z)
        if not isinstance(layer, Conv2D) or isinstance(after, (*CONVOLUTIONS, type(None))):
            continue
        for k in range(z.shape[1]):
            values = np.sort(np.append(z[:, k].ravel(), [z[:, k].min() - 1, z[:, k].max() + 1]))
            near = np.abs(values) < 0.5 * np.abs(values).max() + 1
            gaps = np.diff(values[near])
            if len(gaps):
                widest = np.argmax(gaps)
                shift = np.float32(values[near][widest] + gaps[widest] / 2)
                real.params["b"][k] -= shift
                z[:, k] -= shift
    return net


def assert_close_to(actual, expected, message=""):
    scale = max(1, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * scale, err_msg=message)


def is_fused(net):
    return prediction.stages_of(list(net.layers.values())) is not None


@given(stacks(), st.tuples(st.integers(1, 60), st.integers(1, 70)), seeds)
@settings(max_examples=40)
def test_predict_equals_the_layers(net, size, seed):
    assert is_fused(net)
    picture = np.random.default_rng(seed).random((*size, net.channels[0]), dtype=np.float32)
    expected = wide(net).predict_by_layers(picture)
    for lanes, gain in LANES_ARE.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("srcnn_np.fused.narrow.GAIN", gain)
            actual = net.predict(picture)
            assert actual.dtype == np.float32
            assert_close_to(actual, expected, lanes)
            # the same, with seams
            patch.setattr("srcnn_np.fused.picture.BLOCK_PIXELS", 64)
            patch.setattr("srcnn_np.fused.plan.LEAST_ROWS", 8)
            for module in ("picture", "narrow"):
                patch.setattr(f"srcnn_np.fused.{module}.TILE_WIDTH", 24)
                patch.setattr(f"srcnn_np.fused.{module}.THREADS", 3)
            assert_close_to(net.predict(picture), expected, lanes)


@pytest.fixture(params=LANES_ARE)
def lanes(request, monkeypatch):
    """Compute stacks with pixels, or with filters, as lanes."""
    monkeypatch.setattr("srcnn_np.fused.narrow.GAIN", LANES_ARE[request.param])
    return request.param


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize(
    "make", [theanonsr, in_colour, FSRCNN, *(lambda s=s: network(s) for s in SRCNNS)]
)
@pytest.mark.parametrize("size", [(300, 530), (40, 700), (1, 600), (600, 1)])
def test_predict_in_several_tiles_equals_the_layers(make, size):
    net = make()
    assert is_fused(net)
    shape = size if net.channels[0] == 1 else (*size, 3)
    picture = np.random.default_rng(0).random(shape, dtype=np.float32)
    assert_close_to(net.predict(picture), wide(net).predict_by_layers(picture))


@given(
    stacks(),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.integers(1, 18),
    st.sampled_from(["values", "pictures"]),
    seeds,
)
@settings(max_examples=30)
def test_a_training_step_equals_the_layers(net, out, N, mean_over, seed):
    rng = np.random.default_rng(seed)
    top, bottom, left, right = (-(-side // net.zoom) for side in net.margin)
    size = out[0] + top + bottom, out[1] + left + right
    x = rng.random((N, net.channels[0], *size), dtype=np.float32)
    net = far_from_kinks(net, x)
    # Targets on one side of y: where they agree, or errors cancel, few digits are left.
    y = net.forward(x)
    away = rng.choice([-1, 1]) * rng.uniform(0.5, 1, y.shape)
    target = y + away.astype(np.float32)
    loss, grads = net.loss_and_gradients(x, target, mean_over)
    for name, g in net.grads.items():
        assert g is grads[name]
    doubles = x.astype(np.float64), target.astype(np.float64)
    expected_loss, expected = wide(net).loss_and_gradients(*doubles, mean_over)
    assert loss == pytest.approx(expected_loss, rel=1e-4)
    assert list(grads) == list(expected) == list(net.params)
    for name, g in expected.items():
        scale = np.abs(g).max() + 1e-6
        np.testing.assert_allclose(grads[name], g, rtol=0, atol=1e-4 * scale, err_msg=name)


@pytest.mark.parametrize("make", [theanonsr, in_colour, *(lambda s=s: network(s) for s in SRCNNS)])
def test_a_training_step_to_the_last_digits(make):
    net, rng = make(), np.random.default_rng(0)
    x = rng.random((18, net.channels[0], 33, 33), dtype=np.float32)
    if make is not theanonsr:
        net = far_from_kinks(net, x)
    target = rng.random(net.forward(x).shape, dtype=np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sequential, "loss_and_gradients_by_layers", None)
        _, grads = net.loss_and_gradients(x, target)
    _, expected = wide(net).loss_and_gradients(x.astype(float), target.astype(float))
    for name, g in expected.items():
        assert np.abs(grads[name] - g).max() < 1e-5 * np.abs(g).max(), name


@pytest.mark.parametrize("sizes", [(9, 1, 5), (9, 5, 5), (3, 2, 3)])
def test_arrays_need_not_be_contiguous(sizes):
    net, rng = network(sizes), np.random.default_rng(0)
    for p in net.params:
        layer, _, name = p.partition(".")
        w = net.layers[layer].params[name]
        net.layers[layer].params[name] = np.asfortranarray(w)
    picture = rng.random((40, 35, 2), dtype=np.float32)[::-1, :, 0].T
    np.testing.assert_allclose(
        net.predict(picture), net.predict_by_layers(picture), rtol=0, atol=1e-5
    )
    x = np.asfortranarray(rng.random((3, 1, 25, 20), dtype=np.float32))
    target = np.asfortranarray(rng.random((3, 1, 28 - sum(sizes), 23 - sum(sizes)), np.float32))
    net = far_from_kinks(net, x)
    _, grads = net.loss_and_gradients(x, target)
    _, expected = net.loss_and_gradients_by_layers(x, target)
    for name, g in expected.items():
        np.testing.assert_allclose(grads[name], g, rtol=0, atol=1e-4 * np.abs(g).max())


class Halved(ReLU):
    """A layer that a reader has written."""

    def apply(self, x):
        return x / 2


def other_networks():
    yield SRCNN("9-1-5", backend="im2col")
    yield SRCNN("9-1-5").astype(np.float64)
    yield Sequential([Conv2D(1, 2, 3), Halved(), Conv2D(2, 1, 1)])
    yield Sequential([ReLU(), Conv2D(1, 2, 3), Conv2D(2, 1, 1)])
    yield Sequential([Conv2D(1, 2, 3), ReLU(), LeakyReLU(), Conv2D(2, 1, 1)])


@pytest.mark.parametrize("net", list(other_networks()), ids=lambda net: "-".join(net.layers))
def test_any_other_network_runs_by_its_layers(net, monkeypatch):
    for name in ("predict", "train_step"):
        monkeypatch.setattr(fused, name, None)
    picture = np.random.default_rng(0).random((15, 14))
    np.testing.assert_array_equal(net.predict(picture), net.predict_by_layers(picture))
    dtype = next(iter(net.params.values())).dtype
    x = np.random.default_rng(0).random((2, 1, 15, 14)).astype(dtype)
    target = np.zeros_like(net.forward(x))
    loss, grads = net.loss_and_gradients(x, target)
    expected_loss, expected = net.loss_and_gradients_by_layers(x, target)
    assert loss == expected_loss
    for name, g in expected.items():
        np.testing.assert_array_equal(grads[name], g)


def test_a_stride_runs_by_the_layers():
    net = Sequential([Conv2D(1, 2, 3, stride=2), ReLU(), Conv2D(2, 1, 1)])
    x = np.ones((1, 1, 9, 9), np.float32)
    y = net.forward(x)
    assert net.loss_and_gradients(x, y)[0] == 0


def test_sub_images_too_large_for_one_float32_sum_run_by_the_layers():
    net = SRCNN("1-1-1", filters=(1, 1), init="gaussian")
    net.params = {name: np.zeros_like(p) for name, p in net.params.items()}
    net.params["conv3.b"][:] = 0.05
    x = np.zeros((1, 1, 1000, 1000), np.float32)
    _, grads = net.loss_and_gradients(x, x, "pictures")
    assert grads["conv3.b"][0] == pytest.approx(1e5, rel=1e-5)
    small = x[:, :, :128, :128]
    _, grads = net.loss_and_gradients(small, small, "pictures")
    assert grads["conv3.b"][0] == pytest.approx(128 * 128 * 0.1, rel=1e-5)


def test_a_batch_that_does_not_fit_is_refused_as_by_the_layers():
    net = SRCNN("9-1-5")
    x, target = np.zeros((2, 1, 33, 33), np.float32), np.zeros((2, 1, 21, 21), np.float32)
    with pytest.raises(ValueError, match="empty"):
        net.loss_and_gradients(x[:0], target[:0])
    with pytest.raises(ValueError, match="give x as"):
        net.loss_and_gradients(x[0, 0, 0], target)
    with pytest.raises(ValueError, match="does not fit"):
        net.loss_and_gradients(x[:, :, :12], target)
    with pytest.raises(ValueError, match="but the target"):
        net.loss_and_gradients(x, target[:, :, 1:])
    with pytest.raises(TypeError, match="differ in dtype"):
        net.loss_and_gradients(x.astype(float), target)


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("sizes", [(9, 1, 5), (9, 5, 5), (3, 3, 3)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_in_a_picture_stay_visible(sizes, bad):
    net, reach = network(sizes), (sum(sizes) - 3) // 2
    picture = np.random.default_rng(0).random((70, 80), dtype=np.float32)
    clean = net.predict(picture)
    picture[30, 40] = bad
    with np.errstate(all="ignore"):
        depends = ~np.isfinite(wide(net).predict_by_layers(picture))
        result = net.predict(picture)
    assert depends.any()
    np.testing.assert_array_equal(~np.isfinite(result), depends)
    far = np.ones(picture.shape, bool)
    far[30 - reach : 31 + reach, 40 - reach : 41 + reach] = False
    assert_close_to(result[far], clean[far])


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("sizes", [(9, 1, 5), (9, 5, 5), (3, 3, 3)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "where", ["conv1.w", "conv1.b", "conv2.w", "conv2.b", "conv3.w", "conv3.b"]
)
def test_nan_and_infinity_in_a_weight_stay_visible(sizes, bad, where):
    net, rng = network(sizes), np.random.default_rng(0)
    net.params[where].flat[0] = bad
    picture = rng.random((40, 30), dtype=np.float32)
    with np.errstate(all="ignore"):
        depends = ~np.isfinite(wide(net).predict_by_layers(picture))
        # ReLU makes nothing of -inf, where no positive number meets it.
        assert depends.any() or (bad == -np.inf and where not in ("conv3.w", "conv3.b"))
        np.testing.assert_array_equal(~np.isfinite(net.predict(picture)), depends)
    x = rng.random((3, 1, 20, 20), dtype=np.float32)
    target = np.zeros((3, 1, 23 - sum(sizes), 23 - sum(sizes)), np.float32)
    check_that_bad_gradients_are_bad(net, x, target)


@pytest.mark.parametrize("sizes", [(9, 1, 5), (9, 5, 5), (3, 3, 3)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "target"])
def test_nan_and_infinity_in_a_batch_stay_visible(sizes, bad, where):
    net, rng = network(sizes), np.random.default_rng(0)
    x = rng.random((3, 1, 20, 20), dtype=np.float32)
    target = np.zeros((3, 1, 23 - sum(sizes), 23 - sum(sizes)), np.float32)
    (x if where == "x" else target)[1, 0, 2, 2] = bad
    assert check_that_bad_gradients_are_bad(net, x, target)


def check_that_bad_gradients_are_bad(net, x, target):
    """Check that what is finite is so in the layers, too; return whether the loss is not finite."""
    with np.errstate(all="ignore"):
        loss, grads = net.loss_and_gradients(x, target)
        expected_loss, expected = wide(net).loss_and_gradients(
            *(a.astype(float) for a in (x, target))
        )
    assert np.isfinite(expected_loss) == np.isfinite(loss)
    for name, g in expected.items():
        np.testing.assert_array_equal(np.isfinite(grads[name]), np.isfinite(g), err_msg=name)
    return not np.isfinite(expected_loss)


def test_a_low_picture_goes_by_the_plain_sums():
    """With Winograd, the tiles would be mostly empty, and digits would be lost."""
    net, methods = network((9, 5, 5)), []
    convolution = fused.picture.Convolution

    def noted(*rest):
        methods.append(convolution(*rest).method)
        return convolution(*rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srcnn_np.fused.picture.Convolution", noted)
        net.predict(np.zeros((4, 300), np.float32))
        assert methods == ["direct", "direct", "few"]


def test_networks_of_other_backends_do_not_load_numba():
    code = """
import sys
import numpy as np
from srcnn_np import SRCNN
SRCNN("5-1-3", backend="im2col").predict(np.zeros((9, 9), np.float32))
print("numba" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.usefixtures("lanes")
def test_the_number_of_threads_does_not_change_a_bit(monkeypatch):
    net, rng = network((9, 5, 5)), np.random.default_rng(0)
    picture = rng.random((200, 700), dtype=np.float32)
    x, target = (rng.random((20, 1, n, n), dtype=np.float32) for n in (33, 17))
    result, (loss, grads) = net.predict(picture), net.loss_and_gradients(x, target)
    for count in (1, 3, 8):
        monkeypatch.setattr("srcnn_np.conv.threads.THREADS", count)
        monkeypatch.setattr("srcnn_np.fused.picture.THREADS", count)
        monkeypatch.setattr("srcnn_np.fused.narrow.THREADS", count)
        monkeypatch.setattr("srcnn_np.conv.threads._helpers", ThreadPoolExecutor(count))
        np.testing.assert_array_equal(net.predict(picture), result)
        again, others = net.loss_and_gradients(x, target)
        assert again == loss
        for name, g in grads.items():
            np.testing.assert_array_equal(others[name], g)


def test_calls_from_several_threads_do_not_disturb_each_other():
    net, rng = network((9, 5, 5)), np.random.default_rng(0)
    pictures = rng.random((4, 90, 300), dtype=np.float32)
    x, target = rng.random((4, 9, 1, 20, 20), np.float32), rng.random((4, 9, 1, 4, 4), np.float32)
    expected = [net.predict(p) for p in pictures]
    losses = [net.loss_and_gradients(*batch)[0] for batch in zip(x, target, strict=True)]

    def call(n):
        for _ in range(5):
            np.testing.assert_array_equal(net.predict(pictures[n]), expected[n])
            assert net.loss_and_gradients(x[n], target[n])[0] == losses[n]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(4)))  # raises what went wrong


def test_a_first_call_from_several_threads_compiles_once(monkeypatch):
    monkeypatch.setattr("srcnn_np.conv.threads._compiled", set())
    running, most, done = [0], [0], []

    def call(_):
        threads.share(work, 3)

    def work(n):
        if len(done) < 1:  # the first: nobody else may be here meanwhile
            running[0] += 1
            most[0] = max(most[0], running[0])
            time.sleep(0.05)
            running[0] -= 1
        done.append(n)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(4)))
    assert most[0] == 1
    assert sorted(done) == sorted(4 * [0, 1, 2])


CASES = """
import numpy as np
from srcnn_np import FSRCNN, SRCNN
from srcnn_np.fused import narrow, picture, plan
picture.BLOCK_PIXELS, picture.TILE_WIDTH, narrow.TILE_WIDTH, plan.LEAST_ROWS = 256, 40, 40, 8
rng = np.random.default_rng(0)
sizes = [(9, 1, 5), (9, 5, 5), (12, 5, 3), (3, 3, 3), (1, 2, 7), (17, 5, 6)]
for n in range(rounds):
    f = sizes[n % 6]
    net = SRCNN("-".join(map(str, f)), filters=tuple(rng.integers(1, 70, 2)))
    x = rng.random(tuple(rng.integers(1, 70, 2)), dtype=np.float32)
    scale = 1 + n % 4
    for one in (net, FSRCNN(*rng.integers(1, 20, 3).tolist(), scale=scale)):
        expected = one.predict_by_layers(x)
        for narrow.GAIN in (0, np.inf):
            y = one.predict(x)
            assert np.abs(y - expected).max() <= 1e-5 * max(1, np.abs(expected).max()), x.shape
    out, N = rng.integers(1, 24, 2), rng.integers(1, 5)
    x = rng.random((N, 1, *(out + sum(f) - 3)), dtype=np.float32)
    for name in ("conv1.b", "conv2.b"):
        net.params[name][:] = 100  # far from the kinks of ReLU
    target = rng.random((N, 1, *out), dtype=np.float32)
    grads, expected = (
        run(x, target)[1] for run in (net.loss_and_gradients, net.loss_and_gradients_by_layers)
    )
    for name, g in expected.items():
        assert np.abs(grads[name] - g).max() <= 1e-4 * np.abs(g).max() + 1e-6, (f, x.shape, name)
"""

CHECK_BOUNDS = """
from numba import njit
from srcnn_np.kernels.vectors import LANES, load, store
@njit
def outside(x):
    store(x, 1, load(x, 1))
try:
    outside(np.zeros(LANES, np.float32))
except IndexError:
    print("checked")
"""


def run_cases(rounds, more="", **environment):
    """Run the cases in a process of their own, with switches that do not change other tests."""
    code = CASES.replace("rounds", str(rounds)) + more
    environment = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_kernel_reads_or_writes_outside_its_arrays():
    switches = {"SRCNN_NP_CHECK_BOUNDS": "1", "NUMBA_BOUNDSCHECK": "1"}
    assert run_cases(30, CHECK_BOUNDS, **switches) == "checked\n"


@pytest.mark.parametrize("features", ["+fma", "+fma,+avx,+avx2"])
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the features are of x86-64 processors")
def test_processors_of_narrower_vectors(features):
    wanted = {"+fma": 4}.get(features, 8)
    more = "from srcnn_np.kernels.vectors import LANES; print(LANES)"
    assert run_cases(6, more, NUMBA_CPU_FEATURES=features) == f"{wanted}\n"


def test_memory_that_was_not_set_does_not_matter():
    run_cases(12, MALLOC_PERTURB_="128")  # glibc fills new memory with 3.4e38


def test_without_winograd_the_result_is_the_same():
    run_cases(6, SRCNN_NP_WINOGRAD="0")


def test_a_python_that_compiles_nothing_uses_the_layers():
    code = """
import numpy as np
from srcnn_np import SRCNN, fused
net = SRCNN("3-1-1", filters=(2, 2))
net.predict(np.zeros((4, 4), np.float32))
print(fused.AVAILABLE)
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr


def test_a_thread_that_outlives_the_main_one_goes_on():
    code = """
import threading, time
import numpy as np
from srcnn_np import SRCNN
net = SRCNN("9-1-5")
net.predict(np.zeros((9, 9), np.float32))
def late():
    time.sleep(0.3)
    print(net.predict(np.zeros((300, 300), np.float32)).shape)
threading.Thread(target=late).start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "(300, 300)\n", done.stderr


COUNT_THREADS = """
import threading
import numpy as np
from srcnn_np import SRCNN
from srcnn_np.conv import threads
from srcnn_np.kernels.vectors import LANES
from srcnn_np.layers import CONVOLUTIONS
seen = set()
threads.share(lambda n: seen.add(threading.get_ident()), 64)
net = SRCNN("9-5-5")
net.predict(np.zeros((300, 300), np.float32))
net.loss_and_gradients(np.zeros((32, 1, 20, 20), np.float32), np.zeros((32, 1, 4, 4), np.float32))
print(threads.THREADS, threading.active_count(), len(seen))
"""


@pytest.mark.parametrize("count", [1, 3])
def test_the_users_number_of_threads_is_respected(count):
    environment = {**os.environ, "NUMBA_NUM_THREADS": str(count)}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    limit, alive, seen = map(int, done.stdout.split())
    assert limit == count
    assert alive <= count
    assert seen <= count


def test_limits_of_threadpoolctl_are_left_alone():
    """They limit the BLAS that NumPy calls; code that limits it for a moment restores the limit."""

    def limits():
        return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}

    x, target = np.zeros((2, 1, 20, 20), np.float32), np.zeros((2, 1, 8, 8), np.float32)
    before = limits()
    for limit in (1, 2):
        with threadpool_limits(limit):
            there = limits()
            assert set(there.values()) == {limit}
            for backend in ("numba", "im2col"):
                net = SRCNN("9-1-5", backend=backend)
                net.predict(np.zeros((64, 64), np.float32))
                _, grads = net.loss_and_gradients(x, target)
                Muon(0.1).step(net.params, grads)
                assert {path: limits()[path] for path in there} == there
    assert {path: limits()[path] for path in before} == before


def test_a_processor_without_fused_multiply_adds_uses_the_layers(monkeypatch):
    net = SRCNN("9-1-5")
    monkeypatch.setattr(fused, "AVAILABLE", False)
    monkeypatch.setattr("srcnn_np.conv.compiled.AVAILABLE", False)
    monkeypatch.setattr("srcnn_np.kernels.direct.forward", None)
    monkeypatch.setattr("srcnn_np.kernels.first.forward", None)
    picture = np.random.default_rng(0).random((20, 20), dtype=np.float32)
    assert_close_to(net.predict(picture), wide(net).predict(picture))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_reach_what_depends_on_them_through_a_transposed_layer(scale, bad):
    """At scales that do not divide the filter, some parts of the filter have fewer taps."""
    net = with_biases(FSRCNN(16, 5, 1, scale=scale))
    picture = np.random.default_rng(0).random((40, 30), dtype=np.float32)
    picture[12, 20] = bad
    with np.errstate(all="ignore"):
        depends = ~np.isfinite(wide(net).predict_by_layers(picture))
        np.testing.assert_array_equal(~np.isfinite(net.predict(picture)), depends)
    x = np.random.default_rng(1).random((3, 1, 24, 24), dtype=np.float32)
    target = np.zeros_like(net.forward(x))
    x[1, 0, 2, 2] = bad
    assert check_that_bad_gradients_are_bad(net, x, target)


@pytest.mark.skipif(LANES != 16, reason="vectors of fewer lanes leave fewer of them empty")
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        *((lambda scale=scale: FSRCNN(scale=scale), True) for scale in (2, 3, 4)),
        (lambda: FSRCNN(32, 5, 1), True),
        (lambda: SRCNN("5-1-5", filters=(16, 8)), True),
        *((lambda sizes=sizes: network(sizes), False) for sizes in SRCNNS),
        (in_colour, False),
        (theanonsr, False),
    ],
)
def test_narrow_layers_have_pixels_as_lanes(make, expected, monkeypatch):
    net, taken, predict = make(), [], fused.narrow.predict

    def noted(*rest):
        taken.append(True)
        return predict(*rest)

    monkeypatch.setattr(fused.narrow, "predict", noted)
    C = net.channels[0]
    net.predict(np.zeros((20, 96, C) if C > 1 else (20, 96), np.float32))
    assert bool(taken) == expected
    taken.clear()
    net.predict(np.zeros((96, 3, C) if C > 1 else (96, 3), np.float32))
    assert not taken, "most of a block of pixels would be empty"


def test_windows_of_nothing_but_border_do_not_take_pixels_as_lanes(monkeypatch):
    rng = np.random.default_rng(0)
    w, w2 = rng.random((4, 1, 3, 3), np.float32), rng.random((2, 4, 3, 3), np.float32)
    stages = [
        fused.Stage(w, np.zeros(4, np.float32)),
        fused.Stage(w2, np.ones(2, np.float32), (3, 0, 0, 0)),
    ]
    monkeypatch.setattr("srcnn_np.fused.narrow.GAIN", 0)
    result = fused.predict(stages, rng.random((12, 12, 1), np.float32))
    np.testing.assert_array_equal(result[0], 1)
    assert np.abs(result).max() < 100
