"""A stack of layers as one fast function. None of this is needed to understand a network.

`srcnn_np.network` runs a network layer by layer: every feature map is written to memory whole, and
read again by the next layer. This takes much of an SRCNN's time and nearly all of its memory.
Here a plan of the layers (`srcnn_np.fused.plan.Stage`, one for each convolution) is carried out on
pieces so small that maps stay in the processor's cache from one layer to the next:

- `predict` takes a whole picture (`srcnn_np.fused.picture`; `srcnn_np.fused.narrow`, if layers have
  few filters);
- `train_step` is a training step (`srcnn_np.fused.step`).

Both call the kernels of a single convolution, `srcnn_np.kernels`. Except for rounding, the results
are the same as layer by layer; tests check this.
"""

from ..conv.compiled import AVAILABLE
from ..kernels import activations
from ..kernels.convolution import LINEAR, Activation
from .picture import predict
from .plan import Stage, sizes_of
from .step import train_step

__all__ = [
    "AVAILABLE",
    "LINEAR",
    "Activation",
    "Stage",
    "activations",
    "predict",
    "sizes_of",
    "train_step",
]
