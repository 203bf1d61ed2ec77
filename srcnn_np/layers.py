"""The layers: for each a forward and a backward function, side by side, and a class.

The functions hold the mathematics. The classes only remember, between forward and
backward, what backward needs, and hold the parameters and their gradients.

Everywhere x goes in, y comes out, L is the loss, and d-something is ∂L/∂something.
"""

from typing import Literal

import numpy as np

from .conv import conv2d_backward, conv2d_forward, pad_backward, pad_forward, same_pads
from .conv.geometry import Pads, pair

Border = Literal["valid", "zero", "replicate"]


def relu_forward(x: np.ndarray) -> np.ndarray:
    """y = max(0, x). A NaN stays one; a complex x is judged by its real part."""
    return np.where(x.real <= 0, x.dtype.type(0), x)


def relu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx = dy where x > 0, else 0; at the kink x = 0 itself, 0 by convention."""
    return dy * (x.real > 0)


def leaky_relu_forward(x: np.ndarray, slope: float = 0.01) -> np.ndarray:
    """y = x where x > 0, else slope·x."""
    return np.where(x.real <= 0, x.dtype.type(slope) * x, x)


def leaky_relu_backward(dy: np.ndarray, x: np.ndarray, slope: float = 0.01) -> np.ndarray:
    """dx = dy where x > 0, else slope·dy."""
    return np.where(x.real <= 0, dy.dtype.type(slope) * dy, dy)


def clipped_leaky_relu_forward(x: np.ndarray) -> np.ndarray:
    """TheanonSR's activation: a picture's range [0, 1] is kept, what leaves it pressed down.

    Identity on [1/256, 255/256]; slope 1/1280 on both sides of that; 0 below
    -1179/256 and 1 above 1535/256. (It jumps by 100/1280/256 at -1179/256, as given.)
    """
    low, high, slope, floor, ceiling = _CLIPPED
    r = x.real
    return np.select(
        [r < floor, r < low, r > ceiling, r > high],
        [0, low + slope * (x - low), 1, high + slope * (x - high)],
        default=x,
    ).astype(x.dtype, copy=False)


def clipped_leaky_relu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx = dy times 0, 1/1280, 1, 1/1280, 0 on the five pieces of the forward function."""
    low, high, slope, floor, ceiling = _CLIPPED
    r = x.real
    return np.select(
        [r < floor, r < low, r > ceiling, r > high], [0, slope * dy, 0, slope * dy], default=dy
    ).astype(dy.dtype, copy=False)


_CLIPPED = (1 / 256, 255 / 256, 1 / 1280, -1179 / 256, 1535 / 256)


class Layer:
    """What a network is made of.

    Attributes
    ----------
    params, grads : dict of str to array
        Parameters, and after `backward` their gradients, under the same names.
    kinks : tuple of float
        Inputs at which the layer has no derivative. A difference quotient taken
        across one is wrong, so that `srcnn_np.gradcheck` asks for them.
    """

    kinks: tuple[float, ...] = ()

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self._x: np.ndarray | None = None

    def forward(self, x: np.ndarray, *, remember: bool = True) -> np.ndarray:
        """y from x; `remember=False` where no `backward` follows saves keeping x."""
        self._x = x if remember else None
        return self._forward(x)

    def backward(self, dy: np.ndarray, *, need_dx: bool = True) -> np.ndarray | None:
        """dx from dy, for the x last given to `forward`; fills `grads`.

        Raises
        ------
        RuntimeError
            If there was no `forward` to remember x from.
        """
        if self._x is None:
            raise RuntimeError("backward was called before forward: there is no x to go back to")
        return self._backward(dy, self._x, need_dx)

    def settings(self) -> dict:
        """The arguments that build this layer again, for a model file's card."""
        return {}

    def _forward(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _backward(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray | None:
        raise NotImplementedError


class Conv2D(Layer):
    """A convolution with its filters w (K, C, kh, kw) and biases b (K,), both 0 at first.

    Parameters
    ----------
    in_channels, out_channels : int
        C and K.
    kernel : int or (kh, kw)
        Filter size.
    stride : int or (rows, columns)
    border : "valid", "zero" or "replicate"
        "valid" computes only places where the whole filter lies on the picture, so
        that y is smaller than x. The other two keep the size (at stride 1) by
        widening the picture first, with zeros or with copies of its border.
    backend : str
        See `srcnn_np.conv`.

    Raises
    ------
    ValueError
        If a number or the border is none of these.

    Notes
    -----
    The filters are correlated with the picture. A network whose filters are written
    for a true convolution is expressed by turning each, `w[:, :, ::-1, ::-1]`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        border: Border = "valid",
        backend: str = "numba",
    ) -> None:
        super().__init__()
        if border not in ("valid", "zero", "replicate"):
            raise ValueError(f"unknown border {border!r}: choose valid, zero or replicate")
        channels = pair("(out_channels, in_channels)", (out_channels, in_channels), 1)
        self.kernel = pair("kernel", kernel, 1)
        self.stride = pair("stride", stride, 1)
        self.border = border
        self.backend = backend
        self.params["w"] = np.zeros((*channels, *self.kernel), np.float32)
        self.params["b"] = np.zeros(channels[0], np.float32)

    def settings(self) -> dict:
        """The constructor's arguments, but for the backend: any gives the same result."""
        K, C, kh, kw = self.params["w"].shape
        return {
            "in_channels": C,
            "out_channels": K,
            "kernel": [kh, kw],
            "stride": list(self.stride),
            "border": self.border,
        }

    @property
    def pads(self) -> Pads:
        """Rows and columns (top, bottom, left, right) by which `forward` widens x."""
        return (0, 0, 0, 0) if self.border == "valid" else same_pads(self.kernel)

    def convolve(self, x: np.ndarray) -> np.ndarray:
        """Y of the convolution alone, x (N, C, H, W) being widened already."""
        w, b = self.params["w"], self.params["b"]
        return conv2d_forward(x, w, b, stride=self.stride, backend=self.backend)

    def _widen(self, x: np.ndarray) -> np.ndarray:
        return pad_forward(x, self.pads, "zero" if self.border == "zero" else "replicate")

    def _forward(self, x: np.ndarray) -> np.ndarray:
        return self.convolve(self._widen(x))

    def _backward(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray | None:
        dx, self.grads["w"], self.grads["b"] = conv2d_backward(
            dy,
            self._widen(x),
            self.params["w"],
            stride=self.stride,
            backend=self.backend,
            need_dx=need_dx,
        )
        if dx is None:
            return None
        return pad_backward(dx, self.pads, "zero" if self.border == "zero" else "replicate")


class ReLU(Layer):
    """y = max(0, x)."""

    kinks = (0.0,)

    def _forward(self, x: np.ndarray) -> np.ndarray:
        return relu_forward(x)

    def _backward(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray:
        return relu_backward(dy, x)


class LeakyReLU(Layer):
    """y = x where x > 0, else slope·x."""

    kinks = (0.0,)

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = slope

    def settings(self) -> dict:
        """The slope."""
        return {"slope": self.slope}

    def _forward(self, x: np.ndarray) -> np.ndarray:
        return leaky_relu_forward(x, self.slope)

    def _backward(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray:
        return leaky_relu_backward(dy, x, self.slope)


class ClippedLeakyReLU(Layer):
    """TheanonSR's activation, see `clipped_leaky_relu_forward`."""

    kinks = (_CLIPPED[3], _CLIPPED[0], _CLIPPED[1], _CLIPPED[4])

    def _forward(self, x: np.ndarray) -> np.ndarray:
        return clipped_leaky_relu_forward(x)

    def _backward(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray:
        return clipped_leaky_relu_backward(dy, x)
