"""Networks: stacks of layers, among them the SRCNN and the FSRCNN.

An SRCNN is three convolutions with a ReLU after the first two:

    F1(Y) = max(0, W1 * Y + B1)      patch extraction: 64 features of each 9 x 9 patch
    F2(Y) = max(0, W2 * F1(Y) + B2)  non-linear mapping: to 32 features of a sharp patch
    F(Y)  = W3 * F2(Y) + B3          reconstruction: a sum over 5 x 5 places, with weights

(The paper reads F as an average of overlapping patches, but the weights of F are learnt.)
Y, in [0, 1], is the luma of a picture that bicubic interpolation has already enlarged.

Dong, Loy, He, Tang: Image Super-Resolution Using Deep Convolutional Networks,
TPAMI 2016, arXiv:1501.00092.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from . import prediction
from .conv.geometry import Pads
from .errors import InputError, check_dtype
from .initialisation import draw
from .layers import CONVOLUTIONS, Conv2D, ConvTranspose2D, Layer, PReLU, ReLU
from .loss import MeanOver, divisor, mse_backward, mse_forward

if TYPE_CHECKING:
    from .fused import Stage

MOST_PIXELS = 128 * 128


class NamedArrays(MutableMapping):
    """Arrays of all layers by name, such as "conv1.w": parameters, or their gradients.

    The arrays are the layers' own, not copies. Assigning to a name copies values into its array:
    values of another shape raise a ValueError, values of another dtype raise a TypeError. No name
    can be added (KeyError) or taken away (TypeError).
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __setitem__(self, name: str, values: np.ndarray) -> None:
        if name not in self._arrays:
            raise KeyError(f"there is no {name}, but {', '.join(self._arrays) or 'nothing'}")
        own, values = self._arrays[name], np.asarray(values)
        if values.shape != own.shape:
            raise ValueError(f"{name} has shape {own.shape}, not {values.shape}")
        if values.dtype != own.dtype:
            raise TypeError(f"{name} is {own.dtype}, not {values.dtype}: convert it by astype")
        own[...] = values

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name} cannot be taken away: its layer has it")

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return repr(self._arrays)


class Sequential:
    """Layers applied one after the other.

    Parameters
    ----------
    layers : list of Layer
        Each gets a name from its kind and its turn: conv1, relu1, conv2, ... Layers are not
        copied: what a layer learns here, it knows in every network that has it.
    predict_border : "replicate" or "replicate-once"
        How `predict` keeps a picture's size where a layer's own border is "valid". With
        "replicate", each layer replicates the border of its input, as the SRCNN authors'
        code does. With "replicate-once", the picture's border is replicated once, by the
        reach of all layers together, as theanonSR does.
    init : "he", "contrast", "glorot" or "gaussian"
        How to draw the weights of layers whose parameters are all still 0, see
        `srcnn_np.initialisation`. Other layers keep their weights.
    seed : int
        For the weights that are drawn.

    Raises
    ------
    ValueError
        If there is no convolution, channels do not fit together, one layer stands in two
        places, or `predict_border` or `init` is another word.
    TypeError
        If something is not a layer.

    Examples
    --------
    >>> net = Sequential([Conv2D(1, 4, 3), ReLU(), Conv2D(4, 1, 3)])
    >>> list(net.params)
    ['conv1.w', 'conv1.b', 'conv2.w', 'conv2.b']
    >>> net.forward(np.zeros((2, 1, 8, 8), np.float32)).shape
    (2, 1, 4, 4)

    Another network begins with what this one knows; only its conv3 is drawn:

    >>> longer = Sequential([*net.layers.values(), ReLU(), Conv2D(1, 1, 3)])
    >>> list(longer.layers)
    ['conv1', 'relu1', 'conv2', 'relu2', 'conv3']
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        predict_border: str = "replicate",
        init: str = "he",
        seed: int = 0,
    ) -> None:
        layers = list(layers)
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(f"a network is made of layers, and {layer!r} is none")
        if len({id(layer) for layer in layers}) < len(layers):
            raise ValueError(
                "one layer stands in two places, but it remembers one x, and has one gradient: "
                "give each place a layer of its own"
            )
        convs = [layer for layer in layers if isinstance(layer, CONVOLUTIONS)]
        if not convs:
            raise ValueError("a network needs at least one convolution")
        for before, after in pairwise(conv.channels for conv in convs):
            if before[1] != after[0]:
                raise ValueError(
                    f"a layer of {before[1]} filters is followed by one for {after[0]} channels"
                )
        channels = None
        for layer in layers:
            if isinstance(layer, CONVOLUTIONS):
                channels = layer.channels[1]
            elif type(layer) is PReLU and channels not in (None, len(layer.params["a"])):
                raise ValueError(
                    f"{channels} channels are followed by a PReLU of {len(layer.params['a'])}"
                )
        self.predict_border = predict_border
        self.layers: dict[str, Layer] = {}
        for layer in layers:
            kind = type(layer).__name__.lower().removesuffix("2d")
            turn = 1
            while f"{kind}{turn}" in self.layers:
                turn += 1
            self.layers[f"{kind}{turn}"] = layer
        self._check_predict_border()
        self._went: list[tuple] = []  # what the layers remembered after the last forward
        draw(self._with_filters(), init, seed, keep=True)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return y (N, K, OH, OW) from x (N, C, H, W); layers remember what backward needs."""
        for layer in self.layers.values():
            x = layer.forward(x)
        self._went = [layer.remembered for layer in self.layers.values()]
        return x

    def backward(self, dy: np.ndarray, *, need_dx: bool = False) -> np.ndarray | None:
        """Go back from dy = ∂L/∂y through the layers; afterwards `grads` holds ∂L/∂params.

        It goes back the way of the last `forward`. In between, neither x nor the parameters may
        change.

        Returns
        -------
        dx : array of x's shape
            May be None unless `need_dx`.

        Raises
        ------
        RuntimeError
            If there was no `forward`, or a layer went forward again since then, by itself or in
            another network. (If only the layers' own `forward` was called, that call counts.)
        ValueError
            If dy does not have the shape of y.
        """
        for (name, layer), remembered in zip(self.layers.items(), self._went, strict=False):
            if layer.remembered is not remembered:
                raise RuntimeError(f"{name} went another way since this network's forward")
        first = next(iter(self.layers))
        for name, layer in reversed(self.layers.items()):
            dy = layer.backward(dy, need_dx=need_dx or name != first)
        return dy

    def loss_and_gradients(
        self, x: np.ndarray, target: np.ndarray, mean_over: MeanOver = "values"
    ) -> tuple[float, dict[str, np.ndarray]]:
        """Go forward and backward with a mini-batch; return its loss and gradients.

        Parameters
        ----------
        x : (N, C, H, W) array
        target : array of y's shape
        mean_over : "values" or "pictures"
            See `srcnn_np.loss`.

        Returns
        -------
        loss : float
        grads : dict of str to array
            By the names of `params`; `self.grads` holds them too.

        Notes
        -----
        Convolutions at stride 1 with this package's activations run in `srcnn_np.fused`, in
        float32; the last convolution may be transposed. Any other network runs layer by layer, see
        `loss_and_gradients_by_layers`. The results are the same except for rounding.
        A later `backward` needs another `forward` before it.
        """
        stages = self._stages_for(x, target)
        if stages is None:
            return self.loss_and_gradients_by_layers(x, target, mean_over)
        layers = list(self.layers.values())
        count = divisor(target, mean_over)
        loss = prediction.loss_and_gradients(layers, stages, x, target, count)
        if loss is None:
            return self.loss_and_gradients_by_layers(x, target, mean_over)
        for layer in self.layers.values():
            layer.remembered = None
        self._went = []
        return loss, self.grads

    def _stages_for(self, x: np.ndarray, target: np.ndarray) -> "list[Stage] | None":
        """Return the stages of a fused training step, or None where the layers must do it.

        The layers must do it for arrays that do not fit, because they say what is wrong; for
        weights that are not finite; and for pictures larger than MOST_PIXELS, because each would go
        to a single thread.
        """
        stages = prediction.stages_of(list(self.layers.values()))
        if stages is None or x.ndim != 4 or x.shape[1] != stages[0].w.shape[1] or 0 in x.shape:
            return None
        if not (x.dtype == target.dtype == np.float32) or x.shape[2] * x.shape[3] > MOST_PIXELS:
            return None
        from .fused import sizes_of

        sizes = sizes_of(stages, *x.shape[2:])
        zoom = prediction.zoom_of(self.layers.values())
        OH, OW = (z * side for z, side in zip(zoom, sizes[-1], strict=True))
        y_shape = len(x), self.channels[1], OH, OW
        fits = target.shape == y_shape and min(map(min, sizes)) > 0
        return stages if fits and all(np.isfinite(stage.w).all() for stage in stages) else None

    def loss_and_gradients_by_layers(
        self, x: np.ndarray, target: np.ndarray, mean_over: MeanOver = "values"
    ) -> tuple[float, dict[str, np.ndarray]]:
        """Do what `loss_and_gradients` does, one layer after the other."""
        y = self.forward(x)
        loss = mse_forward(y, target, mean_over)
        self.backward(mse_backward(y, target, mean_over))
        return loss, self.grads

    @property
    def params(self) -> NamedArrays:
        """All parameters by name, such as "conv1.w": the layers' own arrays, not copies.

        ``net.params["conv1.w"] = w`` copies values into one of them, see `NamedArrays`;
        ``net.params = arrays`` gives all layers copies of other arrays.

        Raises
        ------
        ValueError
            If the arrays do not have the names and shapes of the parameters.
        TypeError
            If they are not all float32, float64 or complex128.
        """
        return self._named("params")

    @property
    def grads(self) -> NamedArrays:
        """Gradients of the last `backward`, under the names of `params`."""
        return self._named("grads")

    def _named(self, kind: str) -> NamedArrays:
        arrays = {name: getattr(layer, kind) for name, layer in self.layers.items()}
        return NamedArrays({f"{n}.{p}": a for n, own in arrays.items() for p, a in own.items()})

    @params.setter
    def params(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, p in self.params.items():
            if name not in arrays or arrays[name].shape != p.shape:
                raise ValueError(f"there is no array {name} of shape {p.shape}")
        others = [name for name in arrays if name not in self.params]
        if others:
            raise ValueError(f"the network has no parameter {', '.join(others)}")
        check_dtype(**arrays)
        if len({a.dtype for a in arrays.values()}) > 1:
            raise TypeError("the arrays differ in dtype: convert them to one")
        for name, layer in self.layers.items():
            for p in layer.params:
                layer.params[p] = arrays[f"{name}.{p}"].copy()

    def initialise(self, init: str, seed: int) -> None:
        """Draw all weights anew, and set biases and slopes back: see `srcnn_np.initialisation`."""
        draw(self._with_filters(), init, seed)
        for layer in self.layers.values():
            if isinstance(layer, PReLU):
                layer.params["a"].fill(layer.slope)

    def _with_filters(self) -> list[Layer]:
        """Return the layers with filters w (K, C, kh, kw): convolutions, and a reader's own."""
        return [layer for layer in self.layers.values() if layer.channels is not None]

    def astype(self, dtype: DTypeLike) -> "Sequential":
        """Convert all parameters (float32 at first) to another dtype; return self."""
        self.params = {name: a.astype(dtype) for name, a in self.params.items()}
        return self

    @property
    def channels(self) -> tuple[int, int]:
        """The numbers of channels in and out."""
        layers = self._with_filters()
        return layers[0].channels[0], layers[-1].channels[1]

    @property
    def zoom(self) -> int | None:
        """The factor by which `predict` makes a picture higher and wider.

        None if a convolution's stride rules that out, or if the two sides' factors differ.
        """
        zoom = 1
        for layer in self.layers.values():
            sh, sw = getattr(layer, "stride", (1, 1))
            if sh != sw or (sh > 1 and not isinstance(layer, ConvTranspose2D)):
                return None
            zoom *= sh
        return zoom

    @property
    def structure(self) -> str:
        """Filter sizes, first layer to last, such as "9-1-5"."""
        convs = (layer for layer in self.layers.values() if isinstance(layer, CONVOLUTIONS))
        return "-".join("x".join(map(str, dict.fromkeys(conv.kernel))) for conv in convs)

    @property
    def reach(self) -> Pads:
        """How far a result sees around its pixel of x: (top, bottom, left, right)."""
        return prediction.reach(self.layers.values())

    @property
    def margin(self) -> Pads:
        """The number of pixels that `forward` loses on each side: (top, bottom, left, right)."""
        return prediction.margin(self.layers.values())

    def predict(self, picture: np.ndarray) -> np.ndarray:
        """Run the network over a whole picture, and keep its size except for the `zoom`.

        Parameters
        ----------
        picture : (H, W) array, or (H, W, C) for a network of C channels
            Floating point, in the range on which the network was trained: usually [0, 1].

        Returns
        -------
        result : (zoom·H, zoom·W) or (zoom·H, zoom·W, K) array
            Not clipped.

        Raises
        ------
        ValueError
            If the picture's channels are not the network's, the picture is empty, or there is no
            `zoom`.
        TypeError
            If the picture is not floating point.

        Notes
        -----
        Convolutions at stride 1 with this package's activations run in `srcnn_np.fused`, in
        float32; the last convolution may be transposed. Any other network runs layer by layer, see
        `predict_by_layers`. The results are the same except for rounding.
        """
        return self._predict(prediction.predict, picture)

    def predict_by_layers(self, picture: np.ndarray) -> np.ndarray:
        """Do what `predict` does, one layer after the other, in strips of the picture."""
        return self._predict(prediction.predict_by_layers, picture)

    def _predict(self, how: Callable, picture: np.ndarray) -> np.ndarray:
        self._check_picture(picture)
        self._check_predict_border()
        x = picture[:, :, None] if picture.ndim == 2 else picture
        once = self.predict_border == "replicate-once"
        y = how(list(self.layers.values()), x, once=once)
        return y[:, :, 0] if picture.ndim == 2 and y.shape[2] == 1 else y

    def _check_picture(self, picture: np.ndarray) -> None:
        C = self.channels[0]
        channels = {2: 1, 3: picture.shape[-1]}.get(picture.ndim)
        if channels != C:
            shape = "(H, W)" if C == 1 else f"(H, W, {C})"
            raise ValueError(
                f"the picture has shape {picture.shape}, but the network takes {shape}"
            )
        if picture.size == 0:
            raise ValueError(f"the picture is empty: its shape is {picture.shape}")
        if not np.issubdtype(picture.dtype, np.floating):
            raise TypeError(
                f"the picture is {picture.dtype}; give floating point, usually in [0, 1]"
            )
        if self.zoom is None:
            raise ValueError(
                "a network keeps a picture's size only if its strides are 1; a transposed "
                "convolution may have another stride if it is the same on both sides"
            )

    def _check_predict_border(self) -> None:
        if self.predict_border not in ("replicate", "replicate-once"):
            raise ValueError(
                f"unknown predict_border {self.predict_border!r}: choose replicate or "
                "replicate-once"
            )
        *before, _ = [c for c in self.layers.values() if isinstance(c, CONVOLUTIONS)]
        if self.predict_border == "replicate-once" and any(
            isinstance(conv, ConvTranspose2D) for conv in before
        ):
            raise ValueError(
                "replicate-once goes with a transposed convolution only if that is the last: "
                "choose replicate"
            )


class SRCNN(Sequential):
    """The network of the paper, for any filter sizes and counts.

    Parameters
    ----------
    structure : str
        Filter sizes, first layer to last: "9-1-5", "9-3-5", "9-5-5", or any other
        list of whole numbers.
    filters : tuple of int
        How many filters each layer except the last has: (64, 32) in the paper.
    channels : int
        1 for luma, 3 for a colour picture; the same in and out.
    border : "valid", "zero" or "replicate"
        See `Conv2D`. The paper trains with "valid".
    init, seed
        See `srcnn_np.initialisation`.
    backend : str
        See `srcnn_np.conv`.

    Raises
    ------
    InputError
        If the structure cannot be read or does not match the filters.

    Examples
    --------
    >>> net = SRCNN("9-1-5")
    >>> sum(a.size for name, a in net.params.items() if name.endswith(".w"))
    8032
    >>> net.predict(np.zeros((24, 32), np.float32)).shape
    (24, 32)
    """

    def __init__(
        self,
        structure: str = "9-1-5",
        *,
        filters: tuple[int, ...] = (64, 32),
        channels: int = 1,
        border: str = "valid",
        init: str = "he",
        seed: int = 0,
        backend: str = "numba",
    ) -> None:
        if not re.fullmatch(r"[1-9]\d?(-[1-9]\d?)*", structure):
            raise InputError(
                f"unknown structure {structure!r}: give the filter sizes, such as 9-1-5 or 9-5-5"
            )
        kernels = [int(size) for size in structure.split("-")]
        if len(filters) != len(kernels) - 1:
            raise InputError(
                f"structure {structure} has {len(kernels)} layers, so it needs "
                f"{len(kernels) - 1} filter counts (--filters), not {len(filters)}"
            )
        counts = (channels, *filters, channels)
        layers: list[Layer] = []
        for (C, K), kernel in zip(pairwise(counts), kernels, strict=True):
            layers += [Conv2D(C, K, kernel, border=border, backend=backend), ReLU()]
        super().__init__(layers[:-1], init=init, seed=seed)  # no ReLU after the last


FSRCNNS = {"fsrcnn": (56, 12, 4), "fsrcnn-s": (32, 5, 1)}  # d, s and m by name


class FSRCNN(Sequential):
    """The authors' next network, which takes the small picture, not the enlarged one.

    SRCNN works on the enlarged picture, in which most pixels say nothing new. Here all layers
    except the last work on the small picture. The last, a transposed convolution, enlarges it. In
    between, a pixel's d features are shrunk to s, mapped by m layers of 3 x 3 filters, and expanded
    to d again.

    Parameters
    ----------
    d, s, m : int
        56, 12 and 4 in the paper; 32, 5 and 1 in its small network, "FSRCNN-s".
    scale : int
        The factor of enlargement.
    channels : int
        1 for luma, 3 for a colour picture; the same in and out.
    border, init, seed, backend
        See `SRCNN`.

    Raises
    ------
    InputError
        If a number is not whole or is below 1 (m: below 0), or if the scale is above 9.

    References
    ----------
    Dong, Loy, Tang: Accelerating the Super-Resolution Convolutional Neural Network, ECCV 2016,
    arXiv:1608.00367.

    Examples
    --------
    >>> net = FSRCNN(scale=3)
    >>> sum(a.size for name, a in net.params.items() if name.endswith(".w"))
    12464
    >>> net.predict(np.zeros((24, 32), np.float32)).shape
    (72, 96)
    """

    def __init__(
        self,
        d: int = 56,
        s: int = 12,
        m: int = 4,
        *,
        scale: int = 3,
        channels: int = 1,
        border: str = "valid",
        init: str = "he",
        seed: int = 0,
        backend: str = "numba",
    ) -> None:
        numbers = {"d": (d, 1), "s": (s, 1), "m": (m, 0), "channels": (channels, 1)}
        if type(scale) is not int or not 1 <= scale <= 9:
            raise InputError(f"scale is {scale!r}; give a whole number from 1 to 9")
        for name, (value, least) in numbers.items():
            if type(value) is not int or value < least:
                raise InputError(f"{name} is {value!r}; give a whole number of at least {least}")
        how = {"border": border, "backend": backend}
        sizes = [(channels, d, 5), (d, s, 1), *[(s, s, 3)] * m, (s, d, 1)]
        layers: list[Layer] = []
        for C, K, kernel in sizes:
            layers += [Conv2D(C, K, kernel, **how), PReLU(K)]
        layers.append(ConvTranspose2D(d, channels, 9, stride=scale, **how))
        super().__init__(layers, init=init, seed=seed)


def for_scale(network: Sequential, scale: int, seed: int = 0) -> Sequential:
    """Return a network that enlarges by another scale, with the same layers except the last.

    An `FSRCNN`'s layers before the last hardly depend on the scale. Only the last layer must be
    trained (section 3.4 of its paper).

    Raises
    ------
    InputError
        If the last layer is not a transposed convolution, or has a filter smaller than the scale.
    """
    *layers, last = network.layers.values()
    if not isinstance(last, ConvTranspose2D):
        raise InputError(
            "only a network whose last layer is a transposed convolution is made for another "
            "scale; choose a model of the same scale, or one that takes the enlarged picture"
        )
    if min(last.kernel) < scale:
        raise InputError(
            f"a last filter of {last.kernel[0]} x {last.kernel[1]} is too small for scale {scale}"
        )
    new = ConvTranspose2D(**last.settings() | {"stride": scale}, backend=last.backend)
    copies = [deepcopy(layer) for layer in layers]
    for copy in copies:
        copy.remembered = None
    border, dtype = network.predict_border, last.params["w"].dtype
    return Sequential([*copies, new], predict_border=border, seed=seed).astype(dtype)
