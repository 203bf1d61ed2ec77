"""A picture enlarged in strips is the picture enlarged in one piece."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srcnn_np import SRCNN, Conv2D, Model, ReLU, Sequential, upscale
from srcnn_np.imaging import Picture


def model(kind, scale):
    if kind == "bicubic":
        return None
    if kind == "theanonsr":
        net = Sequential(
            [Conv2D(1, 3, 3), ReLU(), Conv2D(3, 1, 5)], predict_border="replicate-once", seed=1
        )
        return Model(net, scale, enlargement="nearest")
    if kind == "colour":
        return Model(SRCNN("5-1-3", filters=(4, 4), channels=3, seed=1), scale, colour="ycbcr")
    return Model(SRCNN(kind, filters=(8, 4), seed=1), scale)


@given(
    kind=st.sampled_from(["bicubic", "9-1-5", "9-5-5", "3-2-4", "theanonsr", "colour"]),
    scale=st.integers(2, 4),
    size=st.tuples(st.integers(20, 90), st.integers(1, 20)),
    what=st.sampled_from(["grey", "colour", "alpha", "deep"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_strips_do_not_show(kind, scale, size, what, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, size if what in ("grey", "deep") else (*size, 3), np.uint8)
    if what == "deep":
        pixels = pixels.astype(np.uint16) * 257
    alpha = rng.integers(0, 256, size, np.uint8) if what == "alpha" else None
    picture = Picture(pixels, alpha)
    whole = upscale(picture, scale, model(kind, scale))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srcnn_np.upscaling._STRIP_PIXELS", 1)  # the shortest strips there are
        strips = upscale(picture, scale, model(kind, scale))
    # A value within rounding of a half may be rounded the other way; of 65535 steps, more are.
    step = 2 if what == "deep" else 1
    assert whole.pixels.shape == tuple(scale * n for n in size) + pixels.shape[2:]
    assert np.abs(strips.pixels.astype(int) - whole.pixels).max() <= step
    assert what == "deep" or (strips.pixels != whole.pixels).sum() <= 3 + 0.01 * strips.pixels.size
    if alpha is not None:
        np.testing.assert_array_equal(strips.alpha, whole.alpha)
