"""The rules by which the weights of convolutions are drawn before they learn.

=============  ==================================================================
name           weights
=============  ==================================================================
"he"           N(0, 2 / fan_in), which keeps the size of the signal through layers
               with ReLU (He et al. 2015, arXiv:1502.01852). fan_in = C·kh·kw is how
               many terms one output sums.
"contrast"     as "he", but each filter of the first layer then loses its mean, channel
               by channel. All pixels of a patch are nearly alike, so with "he" the first
               features would all say how bright the patch is. At first, filters
               without a mean give 0 for anything flat, and show what differs.
               (Filters of one pixel stay as they are.)
"glorot"       uniform on ±sqrt(6 / (fan_in + fan_out)) with fan_out = K·kh·kw: a
               compromise between signal and gradient (Glorot and Bengio 2010).
"gaussian"     N(0, 0.001²), as in the SRCNN paper.
=============  ==================================================================
"""

from collections.abc import Iterable
from operator import index

import numpy as np

from .errors import InputError
from .layers import Layer


def draw(layers: Iterable[Layer], init: str, seed: int, *, keep: bool = False) -> None:
    """Draw the weights w of layers with filters (K, C, kh, kw), and set biases b to 0.

    Parameters
    ----------
    layers : iterable of Layer
        In the order of the network. Numbers are drawn for every layer, kept or not, so that a
        layer's weights depend only on its place.
    init : str
        See above.
    seed : int
    keep : bool
        Whether layers that have weights (parameters not all 0) stay as they are.

    Raises
    ------
    InputError
        If `init` is another word.
    """
    if init not in INITS:
        raise InputError(f"unknown init {init!r}: choose one of {', '.join(INITS)}")
    rng = np.random.default_rng(index(seed))
    for turn, layer in enumerate(layers):
        w = layer.params["w"]
        drawn = INITS[init](rng, layer).astype(w.dtype)
        if init == "contrast" and turn == 0 and w[0, 0].size > 1:
            drawn -= drawn.mean(axis=(2, 3), keepdims=True)
        if keep and any(p.any() for p in layer.params.values()):
            continue
        layer.params["w"] = drawn
        if "b" in layer.params:
            layer.params["b"] = np.zeros_like(layer.params["b"])


def _he(rng: np.random.Generator, layer: Layer) -> np.ndarray:
    return rng.normal(0, np.sqrt(2 / layer.fan_in), layer.params["w"].shape)


def _glorot(rng: np.random.Generator, layer: Layer) -> np.ndarray:
    w = layer.params["w"]
    limit = np.sqrt(6 / (layer.fan_in + w.size / layer.channels[0]))
    return rng.uniform(-limit, limit, w.shape)


def _gaussian(rng: np.random.Generator, layer: Layer) -> np.ndarray:
    return rng.normal(0, 0.001, layer.params["w"].shape)


INITS = {"he": _he, "contrast": _he, "glorot": _glorot, "gaussian": _gaussian}
