"""A whole picture through a stack of layers, keeping its size.

Where a layer's own border is "valid", copies of border pixels keep the picture's size. Each
layer replicates the border of its input, as the SRCNN authors' code does; or (`once`) the
picture's border is replicated once, by the reach of all layers together, as theanonSR does.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .conv import pad_forward, same_pads
from .conv.geometry import Pads
from .layers import ClippedLeakyReLU, Conv2D, Layer, LeakyReLU, ReLU

if TYPE_CHECKING:
    from .fused import Stage

# A strip has about this many pixels: 64 float32 feature maps of it are 67 MB. Rows at its seams
# are computed twice: 2% of them at a width of 512, 18% at 3840.
_STRIP_PIXELS = 1 << 18


def predict(layers: Sequence[Layer], picture: np.ndarray, *, once: bool) -> np.ndarray:
    """Return the result (H, W, K) for a picture (H, W, C), by `srcnn_np.fused` if it can."""
    stages = stages_of(layers)
    if stages is None:
        return predict_by_layers(layers, picture, once=once)
    from . import fused

    for n, conv in enumerate(_convolutions(layers)):
        pads = (0, 0, 0, 0) if once and conv.border == "valid" else same_pads(conv.kernel)
        stages[n] = stages[n]._replace(pads=pads, fill=conv.fill)
    if once and any(margin(layers)):
        if any(stages[0].pads):  # a border around the border
            return predict_by_layers(layers, picture, once=once)
        stages[0] = stages[0]._replace(pads=margin(layers), fill="replicate")
    return fused.predict(stages, np.ascontiguousarray(picture, np.float32))


def stages_of(layers: Sequence[Layer]) -> "list[Stage] | None":
    """Return the layers as the fused network has them, with the borders of `forward`.

    Return None unless they are convolutions at stride 1, each with at most one of this package's
    activations after it, in float32, by the "numba" backend.
    """
    for layer in layers:
        if type(layer) is Conv2D:
            dtypes = {p.dtype for p in layer.params.values()}
            if layer.stride != (1, 1) or layer.backend != "numba" or dtypes != {_FLOAT32}:
                return None
    from .fused import AVAILABLE, Activation, Stage, activations  # which loads Numba

    stages = []
    for layer in layers:
        if type(layer) is Conv2D:
            stages.append(Stage(layer.params["w"], layer.params["b"], layer.pads, layer.fill))
        elif type(layer) in _ACTIVATIONS and stages and stages[-1].activation == Activation():
            kind = getattr(activations, _ACTIVATIONS[type(layer)])
            activation = Activation(kind, getattr(layer, "slope", 0.0))
            stages[-1] = stages[-1]._replace(activation=activation)
        else:
            return None
    return stages if stages and AVAILABLE else None


_FLOAT32 = np.dtype(np.float32)
_ACTIVATIONS = {ReLU: "RELU", LeakyReLU: "LEAKY", ClippedLeakyReLU: "CLIPPED"}


def predict_by_layers(layers: Sequence[Layer], picture: np.ndarray, *, once: bool) -> np.ndarray:
    """Do what `predict` does, one layer after the other.

    Feature maps are large: 64 of them for a 4K picture fill 2 GB. So the picture is cut into strips
    of whole rows, each with as many rows around it as the layers reach. Only a strip that touches
    the picture's edge has a border to fill there, so the result is the same as in one piece.
    """
    convolutions = list(_convolutions(layers))
    x = np.moveaxis(picture, 2, 0)[None].astype(convolutions[0].params["w"].dtype)
    H, W = x.shape[2:]
    top, bottom, _, _ = reach(layers)
    rows = max(_STRIP_PIXELS // W, 4 * (top + bottom), 1)
    strips = []
    for start in range(0, H, rows):
        end = min(start + rows, H)
        first, last = max(start - top, 0), min(end + bottom, H)
        strip = _predict_strip(layers, x[:, :, first:last], first == 0, last == H, once)
        # The strip lost at each seam as many rows as the layers reach.
        lost = 0 if first == 0 else top
        strips.append(np.moveaxis(strip[0], 0, 2)[start - first - lost :][: end - start])
    return np.concatenate(strips)


def _predict_strip(layers, x, at_top, at_bottom, once):
    def widen(x, pads, fill):
        top, bottom, left, right = pads
        return pad_forward(x, (top * at_top, bottom * at_bottom, left, right), fill)

    if once:
        x = widen(x, margin(layers), "replicate")
    for layer in layers:
        if not isinstance(layer, Conv2D):
            x = layer.apply(x)
        elif once and layer.border == "valid":
            x = layer.convolve(x)
        else:
            x = layer.convolve(widen(x, same_pads(layer.kernel), layer.fill))
    return x


def reach(layers: Iterable[Layer]) -> Pads:
    """Return how far a result looks around its place, at stride 1: (top, bottom, left, right)."""
    return _sum_of_pads(_convolutions(layers))


def margin(layers: Iterable[Layer]) -> Pads:
    """Return by how much y of `forward` is smaller, at stride 1: (top, bottom, left, right)."""
    return _sum_of_pads(conv for conv in _convolutions(layers) if conv.border == "valid")


def _convolutions(layers):
    return (layer for layer in layers if isinstance(layer, Conv2D))


def _sum_of_pads(convolutions):
    pads = [same_pads(conv.kernel) for conv in convolutions]
    return tuple(int(n) for n in np.sum([(0, 0, 0, 0), *pads], axis=0))
