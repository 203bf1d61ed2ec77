"""The tasks that are timed: each makes the same arrays from its seed in every process."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """A stack of convolutions, each with its activation.

    Attributes
    ----------
    sides : tuple of int
        The filters' sides, layer by layer.
    counts : tuple of int
        Channels that go in, and filters of each layer.
    activation : "relu", "prelu" or "clipped"
        "clipped" is `srcnn_np.layers.clipped_leaky_relu_forward`.
    last : bool
        Whether the last layer has an activation, too.
    border : "replicate", "once" or "zero"
        How a picture keeps its size. With "replicate", each layer replicates its input's border.
        With "once", the picture's border is replicated once. With "zero", each layer widens its
        input by zeros. In training only "zero" widens.
    zoom : int
        Above 1, the last layer is a transposed convolution of this stride, which must divide the
        side of the filters. It has no activation, and no border of zeros.
    """

    sides: tuple[int, ...]
    counts: tuple[int, ...]
    activation: str = "relu"
    last: bool = False
    border: str = "replicate"
    zoom: int = 1

    @property
    def layers(self) -> list[tuple[int, int, int]]:
        """Channels, filters and side of each layer."""
        return [(*pair, k) for pair, k in zip(pairwise(self.counts), self.sides, strict=True)]

    @property
    def margin(self) -> int:
        """How far a result looks around its place, in pixels of the input."""
        return sum(seen // 2 for seen in self.seen)

    @property
    def seen(self) -> tuple[int, ...]:
        """For each layer, the side of the square of its input that a result sees."""
        return (*self.sides[:-1], self.sides[-1] // self.zoom)

    def products(self, H: int, W: int, shrinks: bool) -> list[int]:
        """Count each layer's multiplications by the direct sum; the input, H x W, may shrink."""
        found = []
        for (C, K, k), seen in zip(self.layers, self.seen, strict=True):
            H, W = (H - seen + 1, W - seen + 1) if shrinks else (H, W)
            found.append(H * W * C * K * k**2)
        return found


NETWORKS = {
    **{
        name: Network(tuple(map(int, name.split("-"))), (1, 64, 32, 1))
        for name in ("9-1-5", "9-3-5", "9-5-5")
    },
    "5-1-3 in colour": Network((5, 1, 3), (3, 32, 32, 3), last=True, border="zero"),
    "theanonSR's": Network((3,) * 5, (1, 16, 32, 32, 64, 1), "clipped", last=True, border="once"),
    "FSRCNN x3": Network(
        (5, 1, 3, 3, 3, 3, 1, 9), (1, 56, 12, 12, 12, 12, 12, 56, 1), "prelu", zoom=3
    ),
}


@dataclass(frozen=True)
class Layer:
    """One convolution without padding, or one of its gradients.

    Attributes
    ----------
    what : "forward", "dx", "dw" or "dx and dw"
    N, C, H, W, K, k : int
        N pictures of C channels and H x W pixels, K filters of k x k.
    """

    what: str
    N: int
    C: int
    H: int
    W: int
    K: int
    k: int

    def arrays(self) -> dict[str, np.ndarray]:
        """Return x, w, b and dy, float32."""
        rng = np.random.default_rng(0)
        OH, OW = self.H - self.k + 1, self.W - self.k + 1
        shapes = {
            "x": (self.N, self.C, self.H, self.W),
            "w": (self.K, self.C, self.k, self.k),
            "b": (self.K,),
            "dy": (self.N, self.K, OH, OW),
        }
        return {name: rng.standard_normal(s, dtype=np.float32) for name, s in shapes.items()}

    @property
    def flops(self) -> int:
        """Additions and multiplications of the direct sum."""
        places = (self.H - self.k + 1) * (self.W - self.k + 1)
        once = 2 * self.N * self.K * self.C * self.k**2 * places
        return 2 * once if self.what == "dx and dw" else once

    @property
    def values(self) -> int:
        """How many numbers y has."""
        return self.N * self.K * (self.H - self.k + 1) * (self.W - self.k + 1)

    @property
    def small(self) -> "Layer":
        """The same task, but small."""
        return replace(self, N=1, H=self.k + 7, W=self.k + 7)


@dataclass(frozen=True)
class Inference:
    """A whole picture of H x W through one of NETWORKS."""

    name: str
    H: int
    W: int

    @property
    def network(self) -> Network:
        """The network that the task runs."""
        return NETWORKS[self.name]

    def picture(self) -> np.ndarray:
        """Return the picture (H, W), or (H, W, C) in colour, float32."""
        C = self.network.counts[0]
        shape = (self.H, self.W) if C == 1 else (self.H, self.W, C)
        return np.random.default_rng(0).random(shape, dtype=np.float32)

    def batch(self) -> np.ndarray:
        """Return the picture as (1, C, H, W)."""
        return self.picture().reshape(1, self.H, self.W, -1).transpose(0, 3, 1, 2)

    @property
    def flops(self) -> int:
        """Additions and multiplications of the direct sum."""
        once = self.network.border == "once"
        wide = 2 * self.network.margin if once else 0
        return 2 * sum(self.network.products(self.H + wide, self.W + wide, once))

    @property
    def values(self) -> int:
        """How many numbers the result has."""
        return self.H * self.W * self.network.counts[-1] * self.network.zoom**2

    @property
    def small(self) -> "Inference":
        """The same task, but small."""
        return replace(self, H=48, W=64)


@dataclass(frozen=True)
class TrainingStep:
    """Loss, gradients and an SGD step, of a mini-batch of N sub-images of side x side."""

    name: str
    N: int = 128
    side: int = 33

    @property
    def network(self) -> Network:
        """The network that the task runs."""
        return NETWORKS[self.name]

    @property
    def y_shape(self) -> tuple[int, ...]:
        """The shape of the network's result, and of the target."""
        network = self.network
        kept = self.side if network.border == "zero" else self.side - 2 * network.margin
        return self.N, network.counts[-1], network.zoom * kept, network.zoom * kept

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x and target, float32."""
        rng = np.random.default_rng(0)
        x_shape = self.N, self.network.counts[0], self.side, self.side
        x = rng.random(x_shape, dtype=np.float32)
        return x, rng.random(self.y_shape, dtype=np.float32)

    @property
    def flops(self) -> int:
        """Operations of forward, dw and dx of all layers, without the first layer's dx."""
        shrinks = self.network.border != "zero"
        first, *others = self.network.products(self.side, self.side, shrinks)
        return 2 * self.N * (2 * first + 3 * sum(others))

    @property
    def values(self) -> int:
        """The number of values that the loss is a mean of."""
        return math.prod(self.y_shape)

    @property
    def small(self) -> "TrainingStep":
        """The same task, but small."""
        return replace(self, N=2)


Task = Layer | Inference | TrainingStep
