"""Run a stack of layers over a whole picture, and keep the picture's size or enlarge it.

Where a layer's own border is "valid", copies of border pixels keep the picture whole. Either each
layer replicates the border of its input, as the SRCNN authors' code does; or, with `once`, the
picture's border is replicated once, by the reach of all layers together, as theanonSR does.
"""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from .conv import pad_forward
from .conv.geometry import Pads, apart
from .conv.transposed import as_convolution, from_convolution
from .layers import (
    CONVOLUTIONS,
    ClippedLeakyReLU,
    Conv2D,
    ConvTranspose2D,
    Layer,
    LeakyReLU,
    PReLU,
    ReLU,
)

if TYPE_CHECKING:
    from .fused import Stage

# A strip has about this many pixels: 64 float32 feature maps of it are 67 MB. Rows at the seams
# are computed twice: 2% of a strip's rows at a width of 512, 18% at a width of 3840.
_STRIP_PIXELS = 1 << 18


def predict(layers: Sequence[Layer], picture: np.ndarray, *, once: bool) -> np.ndarray:
    """Return the result (H, W, K) for a picture (H, W, C), by `srcnn_np.fused` if possible."""
    stages = stages_of(layers)
    if stages is None:
        return predict_by_layers(layers, picture, once=once)
    from . import fused

    for n, conv in enumerate(_convolutions(layers)):
        pads = (0, 0, 0, 0) if once and conv.border == "valid" else conv.reach
        stages[n] = stages[n]._replace(pads=pads, fill=conv.fill)
    if once and any(margin(layers)):
        if any(stages[0].pads):  # a border around the border
            return predict_by_layers(layers, picture, once=once)
        stages[0] = stages[0]._replace(pads=_missing(layers), fill="replicate")
    y = fused.predict(stages, np.ascontiguousarray(picture, np.float32), zoom_of(layers))
    return predict_by_layers(layers, picture, once=once) if y is None else y


def loss_and_gradients(
    layers: Sequence[Layer], stages: "list[Stage]", x: np.ndarray, target: np.ndarray, count: int
) -> float | None:
    """Return the loss, computed by `srcnn_np.fused`; give the layers its gradients.

    Return None if a gradient of a transposed convolution is not finite: the layers must do it all.
    """
    from . import fused

    last = layers[-1]
    if isinstance(last, ConvTranspose2D):
        target = apart(target, last.stride)
    loss, dws, dbs, das = fused.train_step(stages, x, target, count)
    found = iter(zip(dws, dbs, das, strict=True))
    for layer in layers:
        if isinstance(layer, CONVOLUTIONS):
            dw, db, da = next(found)
            if layer is last and isinstance(last, ConvTranspose2D):
                dw, db = from_convolution(dw, db, last.params["w"].shape, last.stride, last.shift)
                if not (np.isfinite(dw).all() and np.isfinite(loss)):
                    return None
            layer.grads = {"w": dw, "b": db}
        elif isinstance(layer, PReLU):
            layer.grads = {"a": da}
    return loss


def stages_of(layers: Sequence[Layer]) -> "list[Stage] | None":
    """Return the layers as stages of the fused network, with the borders of `forward`.

    Return None unless they are convolutions at stride 1, in float32, by the "numba" backend, each
    followed by at most one of this package's activations. The last convolution may be transposed.
    """
    for n, layer in enumerate(layers):
        if {p.dtype for p in layer.params.values()} - {_FLOAT32}:
            return None
        if type(layer) is PReLU and not np.isfinite(layer.params["a"]).all():
            return None
        if type(layer) in CONVOLUTIONS:
            alone = layer.stride == (1, 1) if type(layer) is Conv2D else n == len(layers) - 1
            if not alone or layer.backend != "numba":
                return None
    from .fused import AVAILABLE, LINEAR, Activation, Stage, activations  # loads Numba

    stages = []
    for layer in layers:
        if type(layer) is Conv2D:
            stages.append(Stage(layer.params["w"], layer.params["b"], layer.pads, layer.fill))
        elif type(layer) is ConvTranspose2D:
            arrays = layer.params["w"], layer.params["b"]
            filters = as_convolution(*arrays, layer.stride, layer.shift)
            stages.append(Stage(*filters, layer.pads, layer.fill))
        elif type(layer) in _ACTIVATIONS and stages and stages[-1].activation is LINEAR:
            kind = getattr(activations, _ACTIVATIONS[type(layer)])
            slope = layer.params.get("a", getattr(layer, "slope", 0.0))
            stages[-1] = stages[-1]._replace(activation=Activation(kind, slope))
        else:
            return None
    return stages if stages and AVAILABLE else None


_FLOAT32 = np.dtype(np.float32)
_ACTIVATIONS = {ReLU: "RELU", LeakyReLU: "LEAKY", PReLU: "LEAKY", ClippedLeakyReLU: "CLIPPED"}


def predict_by_layers(layers: Sequence[Layer], picture: np.ndarray, *, once: bool) -> np.ndarray:
    """Do what `predict` does, one layer after the other.

    Feature maps are large: 64 of them for a 4K picture fill 2 GB. So the picture is cut into strips
    of whole rows, each with as many rows around it as the layers reach. Only a strip that touches
    the picture's edge has a border to fill there, so the result is the same as in one piece.
    """
    x = np.moveaxis(picture, 2, 0)[None].astype(next(_convolutions(layers)).params["w"].dtype)
    H, W = x.shape[2:]
    zoom, _ = zoom_of(layers)
    top, bottom, _, _ = reach(layers)
    # Results that depend on rows above a strip.
    lost = int(_sum_of_reaches(layers, (zoom, zoom))[0])
    rows = max(_STRIP_PIXELS // (zoom * zoom * W), 4 * (top + bottom), 1)
    strips = []
    for start in range(0, H, rows):
        end = min(start + rows, H)
        first, last = max(start - top, 0), min(end + bottom, H)
        strip = _predict_strip(layers, x[:, :, first:last], first == 0, last == H, once)
        begin = zoom * (start - first) - (0 if first == 0 else lost)
        strips.append(np.moveaxis(strip[0], 0, 2)[begin:][: zoom * (end - start)])
    return np.concatenate(strips)


def _predict_strip(layers, x, at_top, at_bottom, once):
    def widen(x, pads, fill):
        top, bottom, left, right = pads
        return pad_forward(x, (top * at_top, bottom * at_bottom, left, right), fill)

    if once:
        x = widen(x, _missing(layers), "replicate")
    for layer in layers:
        if not isinstance(layer, CONVOLUTIONS):
            x = layer.apply(x)
        elif once and layer.border == "valid":
            x = layer.convolve(x)
        else:
            x = layer.convolve(widen(x, layer.reach, layer.fill))
    return x


def reach(layers: Iterable[Layer]) -> Pads:
    """Return how far around a pixel of x its results look: (top, bottom, left, right)."""
    return tuple(math.ceil(n) for n in _sum_of_reaches(layers, (1, 1)))


def margin(layers: Iterable[Layer]) -> Pads:
    """Return how many pixels `forward`'s y lacks on each side: (top, bottom, left, right)."""
    layers = list(layers)
    lacking = _sum_of_reaches(layers, zoom_of(layers), only="valid")
    return tuple(math.ceil(n) for n in lacking)


def zoom_of(layers: Iterable[Layer]) -> tuple[int, int]:
    """Return the factors by which transposed convolutions alone make y higher and wider than x."""
    strides = [c.stride for c in _convolutions(layers) if isinstance(c, ConvTranspose2D)]
    return math.prod(sh for sh, _ in strides), math.prod(sw for _, sw in strides)


def _missing(layers):
    """Return how many more pixels around x would let `forward` lose nothing."""
    return tuple(int(n) for n in _sum_of_reaches(layers, (1, 1), only="valid"))


def _convolutions(layers):
    return (layer for layer in layers if isinstance(layer, CONVOLUTIONS))


def _sum_of_reaches(layers, unit, only=None):
    """Return the sum of all reaches, in pixels of a picture `unit` times as large as x."""
    total, (down, across) = [Fraction(0)] * 4, (1, 1)
    for conv in _convolutions(layers):
        sizes = [Fraction(u, z) for u, z in zip(unit, (down, across), strict=True)]
        if only in (None, conv.border):
            pixels = (sizes[0], sizes[0], sizes[1], sizes[1])
            total = [t + n * p for t, n, p in zip(total, conv.reach, pixels, strict=True)]
        if isinstance(conv, ConvTranspose2D):
            down, across = down * conv.stride[0], across * conv.stride[1]
    return total
