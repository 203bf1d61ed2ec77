"""The same network, faster: nothing here is needed to understand it.

`srcnn_np.network` runs a network layer by layer: every feature map is written to memory
whole, and read again by the next layer. For an SRCNN that is most of the time and nearly
all of the memory. Here the three layers are one function, which makes a few rows of each
map when the next layer needs them, while they are still in the processor's cache:

- `predict` takes a whole picture (`srcnn_np.fused.picture`);
- `loss_and_gradients` is a training step (`srcnn_np.fused.step`).

Both give what the layers give, but for rounding, and are tested against them. Under them:

- `srcnn_np.fused.prepared`: the weights, as all below want them;
- `srcnn_np.fused.simd`: the processor's vector registers, as values in Numba;
- `srcnn_np.fused.rows`: one row of a layer, as small matrix products in registers;
- `srcnn_np.fused.winograd`, `srcnn_np.fused.first_layer`: Winograd's convolution, which
  needs fewer multiplications than the sum it computes.

Whatever is not covered here, `srcnn_np.network` runs by its layers.
"""

from typing import TYPE_CHECKING

import numpy as np

from ..loss import MeanOver, divisor

if TYPE_CHECKING:
    from ..network import Sequential


MOST_PIXELS = 128 * 128


def covers(network: "Sequential") -> bool:
    """Whether a network is what is written here.

    That is: convolution, ReLU, convolution, ReLU, convolution, all with square filters at
    stride 1 and without own borders, one channel in and one out, in float32, by the
    "numba" backend, each layer's border replicated in `predict`; on a processor with fused
    multiply-adds.
    """
    from ..layers import Conv2D, ReLU

    layers = list(network.layers.values())
    if [type(layer) for layer in layers] != [Conv2D, ReLU, Conv2D, ReLU, Conv2D]:
        return False
    return (
        network.channels == (1, 1)
        and network.predict_border == "replicate"
        and all(
            conv.kernel[0] == conv.kernel[1]
            and conv.stride == (1, 1)
            and conv.border == "valid"
            and conv.backend == "numba"
            and all(p.dtype == np.float32 for p in conv.params.values())
            for conv in layers[::2]
        )
        and _processor_is_fit()
    )


def covers_batch(network: "Sequential", x: np.ndarray, target: np.ndarray) -> bool:
    """Whether `loss_and_gradients` is for these arrays; the layers say what is wrong else.

    Of sub-images larger than MOST_PIXELS the maps fit no cache, and gradients, each summed in
    one float32 number, would lose digits.
    """
    if x.ndim != 4:
        return False
    top, bottom, left, right = network.margin
    y_shape = (x.shape[0], 1, x.shape[-2] - top - bottom, x.shape[-1] - left - right)
    return (
        x.dtype == target.dtype == np.float32
        and x.shape[1] == 1
        and min(y_shape) >= 1
        and target.shape == y_shape
        and x.shape[2] * x.shape[3] <= MOST_PIXELS
    )


def predict(network: "Sequential", picture: np.ndarray) -> np.ndarray:
    """As `Sequential.predict`, for a picture (H, W) and a network that is covered."""
    from . import picture as implementation
    from .prepared import prepare

    picture = np.ascontiguousarray(picture, np.float32)
    return implementation.predict(picture, prepare(*_weights_and_biases(network)))


def loss_and_gradients(
    network: "Sequential", x: np.ndarray, target: np.ndarray, mean_over: MeanOver
) -> tuple[float, dict[str, np.ndarray]]:
    """As `Sequential.loss_and_gradients`, for a network that is covered."""
    from . import step

    count = divisor(target, mean_over)
    x, target = np.ascontiguousarray(x[:, 0]), np.ascontiguousarray(target[:, 0])
    loss, dws, dbs = step.train_step(x, target, *_weights_and_biases(network), count)
    grads = {}
    for n, (dw, db) in enumerate(zip(dws, dbs, strict=True), 1):
        grads[f"conv{n}.w"], grads[f"conv{n}.b"] = dw, db
    return loss, grads


def _processor_is_fit() -> bool:
    from ..compiling import COMPILES
    from .simd import FUSED

    return FUSED and COMPILES


def _weights_and_biases(network: "Sequential") -> tuple[list[np.ndarray], list[np.ndarray]]:
    params = network.params
    return [params[f"conv{n}.w"] for n in (1, 2, 3)], [params[f"conv{n}.b"] for n in (1, 2, 3)]
