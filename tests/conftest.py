"""What the tests share: where the reference material is, and Hypothesis without time limits."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

SHARED = Path(__file__).parents[2] / "shared"

# In the background, or under nohup, signals are ignored, which what is tested would respect.
for number, usual in (
    (signal.SIGINT, signal.default_int_handler),
    (getattr(signal, "SIGHUP", signal.SIGINT), signal.SIG_DFL),
):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, usual)

# A first call compiles; a deadline would fail it.
settings.register_profile(
    "srcnn_np", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("srcnn_np")

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the reference material is not there ({SHARED})"
)


@st.composite
def convolutions(draw, dtypes=("float32", "float64"), most=4):
    """Draw x, w, b, and a stride and padding that fit them; N, C and K are at most `most`."""
    N, C, K = (draw(st.integers(1, most)) for _ in range(3))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    least = [max(1, k - 2 * p) for k, p in zip(kernel, padding, strict=True)]
    H, W = (draw(st.integers(n, n + most + 2)) for n in least)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(dtypes))
    x, w, b = (random(rng, shape, dtype) for shape in ((N, C, H, W), (K, C, *kernel), (K,)))
    return x, w, b, {"stride": stride, "padding": padding}


def random(rng, shape, dtype):
    a = rng.standard_normal(shape)
    if dtype == "complex128":
        return a + 1j * rng.standard_normal(shape)
    return a.astype(dtype)


def assert_close(actual, expected):
    """Check that arrays are equal, except for rounding in their own precision."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    tolerance = 100 * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(
        actual, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max())
    )


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A headless Chromium that notes what it requests and what its console says."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("there is no chromium with its chromedriver (Debian: chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for name in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-dev-shm-usage",
        "window-size=1000,900",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{name}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chromium
    chromium.quit()


def pytest_addoption(parser):
    """How long and with which cases test_fuzz.py runs; how often test_team.py kills a process."""
    parser.addoption("--fuzz-seconds", type=float, default=60)
    parser.addoption("--fuzz-seed", type=int, default=0)
    parser.addoption("--kills", type=int, default=5)


def pytest_collection_modifyitems(items):
    """Begin with the longest tests, so that nobody waits for them at the end."""
    long = "test_walkthrough", "test_team", "test_fuzz"
    items.sort(key=lambda item: not any(name in item.nodeid for name in long))
