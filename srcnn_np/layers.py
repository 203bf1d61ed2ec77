"""The layers: each has a forward and a backward function, side by side, and a class.

The functions hold the mathematics. The classes only hold the parameters and their
gradients, and remember from forward what backward needs.

Everywhere x goes in, y comes out, L is the loss, and d-something is ∂L/∂something.
"""

import math
from numbers import Real
from typing import Literal

import numpy as np

from .conv import (
    BACKENDS,
    conv2d_backward,
    conv2d_forward,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
    pad_backward,
    pad_forward,
    same_pads,
)
from .conv.geometry import Fill, Pads, pair
from .errors import check_dtype

Border = Literal["valid", "zero", "replicate"]


def relu_forward(x: np.ndarray) -> np.ndarray:
    """Return y = max(0, x). NaN stays NaN; a complex x is judged by its real part."""
    return np.where(x.real <= 0, x.dtype.type(0), x)


def relu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return dx = dy · ∂y/∂x: dy where x > 0, else 0; by convention 0 at the kink x = 0."""
    return np.where(x.real <= 0, dy.dtype.type(0), dy)


def leaky_relu_forward(x: np.ndarray, slope: float = 0.01) -> np.ndarray:
    """Return y = x where x > 0, else slope·x."""
    check_dtype(x=x)
    return np.where(x.real <= 0, x.dtype.type(slope) * x, x)


def leaky_relu_backward(dy: np.ndarray, x: np.ndarray, slope: float = 0.01) -> np.ndarray:
    """Return dx = dy · ∂y/∂x: dy where x > 0, else slope·dy."""
    check_dtype(dy=dy, x=x)
    return np.where(x.real <= 0, dy.dtype.type(slope) * dy, dy)


def prelu_forward(x: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return y = x where x > 0, else a[c]·x; each channel c of x (N, C, H, W) has a slope.

    He, Zhang, Ren, Sun 2015, arXiv:1502.01852.
    """
    return np.where(x.real <= 0, a[:, None, None] * x, x)


def prelu_backward(dy: np.ndarray, x: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return dx: dy where x > 0, else a[c]·dy; and da[c] = Σ dy·x over channel c's x <= 0."""
    below = x.real <= 0
    dx = np.where(below, a[:, None, None] * dy, dy)
    return dx, np.where(below, dy * x, x.dtype.type(0)).sum(axis=3).sum(axis=(0, 2))


def clipped_leaky_relu_forward(x: np.ndarray) -> np.ndarray:
    """Apply theanonSR's activation: keep a picture's range [0, 1], flatten what is outside.

    It is the identity on [1/256, 255/256], has slope 1/1280 on both sides of it, and is 0 below
    -1179/256 and 1 above 1535/256. (It jumps by 100/1280/256 at -1179/256, as in theanonSR.)
    """
    check_dtype(x=x)
    low, high, slope, floor, ceiling = _CLIPPED
    r = x.real
    return np.select(
        [r < floor, r < low, r > ceiling, r > high],
        [0, low + slope * (x - low), 1, high + slope * (x - high)],
        default=x,
    ).astype(x.dtype, copy=False)


def clipped_leaky_relu_backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return dx = dy · ∂y/∂x: dy times 0, 1/1280, 1, 1/1280, 0 on the five pieces."""
    check_dtype(dy=dy, x=x)
    low, high, slope, floor, ceiling = _CLIPPED
    r = x.real
    return np.select(
        [r < floor, r < low, r > ceiling, r > high], [0, slope * dy, 0, slope * dy], default=dy
    ).astype(dy.dtype, copy=False)


_CLIPPED = (1 / 256, 255 / 256, 1 / 1280, -1179 / 256, 1535 / 256)


# All kinds of layers by their names in model files.
KINDS: dict[str, type["Layer"]] = {}


class Layer:
    """A building block of a network.

    A kind of layer defines `apply`, which gives y from x, and `gradient`, which gives dx from dy
    and x. A place of y must depend only on the same place of x, except in a `Conv2D` or a
    `ConvTranspose2D`. The reason: `Sequential.predict` cuts a picture into strips that overlap only
    by what convolutions see. A kind also defines its `settings` if its constructor takes arguments.
    A model file names the kinds of its layers. A kind that is not this package's must have been
    defined or imported before such a file is read.

    Attributes
    ----------
    params, grads : dict of str to array
        Parameters, and after `backward` their gradients, under the same names.
    remembered : tuple, or None
        The last `forward`'s x and the shape of its y, for `backward`.
    kinks : tuple of float
        Inputs at which the layer has no derivative. `srcnn_np.gradcheck` asks for them, because a
        difference quotient across a kink is wrong.
    """

    kinks: tuple[float, ...] = ()

    @property
    def channels(self) -> tuple[int, int] | None:
        """The numbers of channels in and out, for a layer with filters w (K, C, kh, kw)."""
        w = self.params.get("w")
        return (w.shape[1], w.shape[0]) if np.ndim(w) == 4 else None

    @property
    def fan_in(self) -> float:
        """The number of terms that one output sums, for a layer with filters."""
        return self.params["w"][0].size

    def __init_subclass__(cls, **more: object) -> None:
        """Register the kind. Notebooks may define their kinds again; this package's kinds stay."""
        super().__init_subclass__(**more)
        if cls.__module__ == __name__ or not is_ours(cls.__name__):
            KINDS[cls.__name__] = cls

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.remembered: tuple[np.ndarray, tuple[int, ...]] | None = None

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y from x; remember x itself, so do not change it before `backward`."""
        y = self.apply(x)
        self.remembered = x, y.shape
        return y

    def backward(self, dy: np.ndarray, *, need_dx: bool = True) -> np.ndarray | None:
        """Return dx from dy, for the x last given to `forward`; fill `grads`.

        Raises
        ------
        RuntimeError
            If there was no `forward` to remember x from.
        ValueError
            If dy does not have the shape of `forward`'s y.
        """
        if self.remembered is None:
            raise RuntimeError("backward was called before forward: there is no x to go back to")
        x, y_shape = self.remembered
        if dy.shape != y_shape:
            raise ValueError(f"dy has shape {dy.shape}, but y had {y_shape}")
        return self.gradient(dy, x, need_dx)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return y from x, remembering nothing."""
        raise NotImplementedError

    def gradient(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray | None:
        """Return dx from dy and x, or None if not `need_dx`; fill `grads`."""
        raise NotImplementedError

    def settings(self) -> dict:
        """Return the arguments that build this layer again, for a model file's card."""
        return {}


def is_ours(kind: str) -> bool:
    """Whether this package has a kind of layer of that name."""
    return kind in KINDS and KINDS[kind].__module__ == __name__


_FILLS: dict[str, Fill] = {"valid": "replicate", "zero": "zero", "replicate": "replicate"}


def _check_words(border: str, backend: str) -> None:
    if border not in _FILLS:
        raise ValueError(f"unknown border {border!r}: choose valid, zero or replicate")
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}: choose one of {', '.join(BACKENDS)}")


class _Widening:
    """What a convolution and a transposed one share: both widen x first, and then `convolve`."""

    def settings(self) -> dict:
        """Return the constructor's arguments, without the backend: all backends agree."""
        C, K = self.channels
        return {
            "in_channels": C,
            "out_channels": K,
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "border": self.border,
        }

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns (kh, kw) of the filters."""
        return self.params["w"].shape[2:]

    @property
    def pads(self) -> Pads:
        """Rows and columns (top, bottom, left, right) by which `forward` widens x."""
        return (0, 0, 0, 0) if self.border == "valid" else self.reach

    @property
    def fill(self) -> Fill:
        """The kind of border with which `forward` widens x."""
        return _FILLS[self.border]

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, K, OH, OW) from x (N, C, H, W)."""
        return self.convolve(pad_forward(x, self.pads, self.fill))

    def gradient(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray | None:
        """Return dx from dy and x; write dw and db to `grads`."""
        x = pad_forward(x, self.pads, self.fill)
        dx, self.grads["w"], self.grads["b"] = self._gradients(dy, x, need_dx)
        return pad_backward(dx, self.pads, self.fill) if need_dx else None


class Conv2D(_Widening, Layer):
    """A convolution with its filters w (K, C, kh, kw) and biases b (K,), both 0 at first.

    Parameters
    ----------
    in_channels, out_channels : int
        C and K.
    kernel : int or (kh, kw)
        Filter size.
    stride : int or (rows, columns)
    border : "valid", "zero" or "replicate"
        "valid" computes only places where the whole filter lies on the picture, so y is smaller
        than x. The other two keep the size (at stride 1): they widen the picture first, with
        zeros or with copies of its border.
    backend : str
        See `srcnn_np.conv`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Notes
    -----
    The filters are correlated with the picture. If a network's filters are written for a
    true convolution, turn each filter: `w[:, :, ::-1, ::-1]`.
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
        _check_words(border, backend)
        channels = pair("(out_channels, in_channels)", (out_channels, in_channels), 1)
        self.stride = pair("stride", stride, 1)
        self.border = border
        self.backend = backend
        self.params["w"] = np.zeros((*channels, *pair("kernel", kernel, 1)), np.float32)
        self.params["b"] = np.zeros(channels[0], np.float32)

    @property
    def reach(self) -> Pads:
        """The rows and columns of x that a place sees beyond itself, at stride 1."""
        return same_pads(self.kernel)

    def convolve(self, x: np.ndarray) -> np.ndarray:
        """Return y of the convolution alone, from an x (N, C, H, W) that is already widened."""
        w, b = self.params["w"], self.params["b"]
        return conv2d_forward(x, w, b, stride=self.stride, backend=self.backend)

    def _gradients(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> tuple:
        how = {"stride": self.stride, "backend": self.backend, "need_dx": need_dx}
        return conv2d_backward(dy, x, self.params["w"], **how)


class ConvTranspose2D(_Widening, Layer):
    """A transposed convolution with filters w (C, K, kh, kw) and biases b (K,), both 0 at first.

    It turns each pixel into sh x sw pixels: an enlargement that is learnt.

    Parameters
    ----------
    in_channels, out_channels : int
        C and K.
    kernel : int or (kh, kw)
        Filter size, at least the stride.
    stride : int or (rows, columns)
    border : "valid", "zero" or "replicate"
        "valid" computes only pixels that depend on nothing beyond x. The other two widen x
        first; y is then sh·H x sw·W.
    backend : str
        See `srcnn_np.conv`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Notes
    -----
    The filter's middle lies over the middle of its pixel's sh x sw places. If the sizes do not
    allow that, it lies half a place further down or to the right.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int],
        border: Border = "valid",
        backend: str = "numba",
    ) -> None:
        super().__init__()
        _check_words(border, backend)
        C, K = pair("(in_channels, out_channels)", (in_channels, out_channels), 1)
        kernel, self.stride = pair("kernel", kernel, 1), pair("stride", stride, 1)
        if kernel[0] < self.stride[0] or kernel[1] < self.stride[1]:
            raise ValueError(f"kernel is {kernel}: give at least the stride, {self.stride}")
        self.border = border
        self.backend = backend
        self.params["w"] = np.zeros((C, K, *kernel), np.float32)
        self.params["b"] = np.zeros(K, np.float32)

    @property
    def channels(self) -> tuple[int, int]:
        """The numbers of channels in and out."""
        return self.params["w"].shape[:2]

    @property
    def fan_in(self) -> float:
        """The number of terms that one output sums, on average over a pixel's places."""
        return self.params["w"][:, 0].size / math.prod(self.stride)

    @property
    def reach(self) -> Pads:
        """The rows and columns of x that a pixel's places see beyond the pixel."""
        shift = self.shift
        pads = [
            ((k - 1 - f) // s, -(-f // s))
            for k, s, f in zip(self.kernel, self.stride, shift, strict=True)
        ]
        return (*pads[0], *pads[1])

    @property
    def shift(self) -> tuple[int, int]:
        """Rows and columns of y from the start of a pixel's filter to the pixel's own places."""
        return tuple((k - s) // 2 for k, s in zip(self.kernel, self.stride, strict=True))

    @property
    def crop(self) -> Pads:
        """Rows and columns of the whole result that depend on what lies beyond x."""
        top, bottom, left, right = self.reach
        (sh, sw), (kh, kw), (f, g) = self.stride, self.kernel, self.shift
        rows = f + sh * top, sh * bottom + kh - sh - f
        columns = g + sw * left, sw * right + kw - sw - g
        return (*rows, *columns)

    def convolve(self, x: np.ndarray) -> np.ndarray:
        """Return y of the transposed convolution alone, from x (N, C, H, W), already widened."""
        w, b = self.params["w"], self.params["b"]
        how = {"stride": self.stride, "crop": self.crop, "backend": self.backend}
        return conv_transpose2d_forward(x, w, b, **how)

    def _gradients(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> tuple:
        how = {"stride": self.stride, "crop": self.crop, "backend": self.backend}
        return conv_transpose2d_backward(dy, x, self.params["w"], **how, need_dx=need_dx)


CONVOLUTIONS = Conv2D, ConvTranspose2D


class ReLU(Layer):
    """y = max(0, x)."""

    kinks = (0.0,)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """See `relu_forward`."""
        return relu_forward(x)

    def gradient(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray:
        """See `relu_backward`."""
        return relu_backward(dy, x)


def _check_slope(slope: float) -> None:
    if not isinstance(slope, Real) or not math.isfinite(slope):
        raise ValueError(f"slope is {slope!r}; give a finite number")


class LeakyReLU(Layer):
    """y = x where x > 0, else slope·x.

    Parameters
    ----------
    slope : float
        A finite number.
    """

    kinks = (0.0,)

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        _check_slope(slope)
        self.slope = float(slope)

    def settings(self) -> dict:
        """Return the slope."""
        return {"slope": self.slope}

    def apply(self, x: np.ndarray) -> np.ndarray:
        """See `leaky_relu_forward`."""
        return leaky_relu_forward(x, self.slope)

    def gradient(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray:
        """See `leaky_relu_backward`."""
        return leaky_relu_backward(dy, x, self.slope)


class PReLU(Layer):
    """y = x where x > 0, else a[c]·x: a leaky ReLU that learns a slope for each channel.

    Parameters
    ----------
    channels : int
        C.
    slope : float
        The value that all slopes a (C,) have at first.
    """

    kinks = (0.0,)

    def __init__(self, channels: int, slope: float = 0.25) -> None:
        super().__init__()
        if type(channels) is not int or channels < 1:
            raise ValueError(f"channels is {channels!r}; give a whole number of at least 1")
        _check_slope(slope)
        self.slope = float(slope)
        self.params["a"] = np.full(channels, slope, np.float32)

    def settings(self) -> dict:
        """Return the constructor's arguments."""
        return {"channels": len(self.params["a"]), "slope": self.slope}

    def apply(self, x: np.ndarray) -> np.ndarray:
        """See `prelu_forward`."""
        if x.ndim != 4 or x.shape[1] != len(self.params["a"]):
            raise ValueError(f"x has shape {x.shape}, but there are {len(self.params['a'])} slopes")
        return prelu_forward(x, self.params["a"])

    def gradient(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray:
        """See `prelu_backward`."""
        dx, self.grads["a"] = prelu_backward(dy, x, self.params["a"])
        return dx


class ClippedLeakyReLU(Layer):
    """theanonSR's activation, see `clipped_leaky_relu_forward`."""

    kinks = (_CLIPPED[3], _CLIPPED[0], _CLIPPED[1], _CLIPPED[4])

    def apply(self, x: np.ndarray) -> np.ndarray:
        """See `clipped_leaky_relu_forward`."""
        return clipped_leaky_relu_forward(x)

    def gradient(self, dy: np.ndarray, x: np.ndarray, need_dx: bool) -> np.ndarray:
        """See `clipped_leaky_relu_backward`."""
        return clipped_leaky_relu_backward(dy, x)
