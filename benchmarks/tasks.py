"""What is timed: each task makes the same arrays from its seed in every process."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Layer:
    """One convolution without padding, or one of its gradients.

    Attributes
    ----------
    what : "forward", "dx" or "dw"
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
        """x, w, b and dy, float32."""
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
        return 2 * self.N * self.K * self.C * self.k**2 * places

    @property
    def small(self) -> "Layer":
        """The same in small."""
        return replace(self, N=1, H=self.k + 7, W=self.k + 7)


@dataclass(frozen=True)
class Inference:
    """A whole picture (H, W) through an SRCNN, each layer replicating its border."""

    structure: str
    H: int
    W: int

    def picture(self) -> np.ndarray:
        """(H, W) float32."""
        return np.random.default_rng(0).random((self.H, self.W), dtype=np.float32)

    @property
    def flops(self) -> int:
        """Additions and multiplications of the direct sum."""
        f1, f2, f3 = map(int, self.structure.split("-"))
        return 2 * self.H * self.W * (64 * f1**2 + 64 * 32 * f2**2 + 32 * f3**2)

    @property
    def small(self) -> "Inference":
        """The same in small."""
        return replace(self, H=48, W=64)


@dataclass(frozen=True)
class TrainingStep:
    """Loss, gradients and an SGD step, of a mini-batch of N sub-images of 33 x 33."""

    structure: str
    N: int = 128

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """x and target, float32."""
        rng = np.random.default_rng(0)
        side = 33 - sum(int(f) - 1 for f in self.structure.split("-"))
        x = rng.random((self.N, 1, 33, 33), dtype=np.float32)
        return x, rng.random((self.N, 1, side, side), dtype=np.float32)

    @property
    def flops(self) -> int:
        """Forward, dw and dx of every layer but the first's dx."""
        f1, f2, f3 = map(int, self.structure.split("-"))
        side, total = 33, 0
        for n, (C, K, f) in enumerate(((1, 64, f1), (64, 32, f2), (32, 1, f3))):
            side -= f - 1
            total += (2 if n == 0 else 3) * 2 * C * K * f * f * side * side
        return self.N * total

    @property
    def small(self) -> "TrainingStep":
        """The same in small."""
        return replace(self, N=2)


Task = Layer | Inference | TrainingStep
