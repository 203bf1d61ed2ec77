r"""Are the gradients right? Two ways to find a derivative without deriving it.

**Central differences**: f'(x) ≈ (f(x + h) - f(x - h)) / 2h. The error has two parts:
h²·f'''(x)/6 from cutting off the Taylor series, and about ε·|f(x)|/h from rounding, where
ε = 2e-16 in float64. When h falls, the first part falls but the second part rises, so the best
possible result has some ten digits. The functions checked here are at most quadratic in any one
value, so f''' = 0 and h may be large (1e-4). That holds on one linear piece of an activation.
Where x - h and x + h lie on different sides of a ReLU's kink, the quotient is the derivative of
neither side. Such values are left out, and counted.

**The complex step**: for a function that is analytic, f(x + ih) = f(x) + ih·f'(x) - ...,
so f'(x) ≈ Im f(x + ih) / h. Nothing is subtracted, so nothing is lost by rounding. Then h
can be 1e-30, and the derivative is exact to the last digits. The code must compute with
complex numbers, and may use nothing that is not analytic (a modulus, a conjugate). An
activation chooses its piece by the real part, which the step does not move, so kinks do
no harm.

A gradient is compared with the derivatives of <dy, f(x)> for a random dy. This is one
scalar function, which shows a mistake in any value of y.

Both ways need float64, but networks train in **float32**, which has its own kernels
(`srcnn_np.kernels`).
So gradients in float32 are compared with those in float64, which the two methods have checked.

References: Squire and Trapp 1998, "Using complex variables to estimate derivatives of
real functions"; Martins, Sturdza, Alonso 2003, "The complex-step derivative
approximation".
"""

import math
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
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
)
from .errors import check_dtype
from .layers import ClippedLeakyReLU, Layer, LeakyReLU, ReLU, prelu_backward, prelu_forward
from .loss import mse_backward, mse_forward
from .network import FSRCNN, SRCNN, Sequential

Arrays = Mapping[str, np.ndarray]
Method = Literal["differences", "complex step", "float32"]

# What float64 and float32 can reach; a wrong gradient is off by about 1.
TOLERANCE = {"differences": 1e-7, "complex step": 1e-13, "float32": 1e-5}


@dataclass
class Check:
    """How far one gradient is from the derivatives.

    Attributes
    ----------
    error : float
        max |gradient - derivative| / max |derivative| over the values compared;
        infinite where the gradient has another shape than its input.
    compared, skipped : int
        How many values were compared, and how many were left out because of a kink.
    """

    error: float
    compared: int
    skipped: int

    def passes(self, method: Method) -> bool:
        """Whether there was something to compare and the error is within `TOLERANCE`."""
        return self.compared > 0 and self.error <= TOLERANCE[method]


def check_gradients(
    forward: Callable[..., np.ndarray],
    backward: Callable[..., Arrays],
    inputs: Arrays,
    *,
    method: Method = "differences",
    pieces: Callable[..., np.ndarray] | None = None,
    step: float | None = None,
    seed: int = 0,
) -> dict[str, Check]:
    """Compare hand-written gradients with numerical derivatives.

    Parameters
    ----------
    forward : function
        ``forward(**inputs) -> y``, an array or a number.
    backward : function
        ``backward(dy, **inputs) -> {name: gradient}``: gradients of <dy, y> with respect to
        the inputs that it names. Inputs that it does not name are not checked.
    inputs : dict of str to float64 array
    method : "differences", "complex step" or "float32"
        "float32" finds no derivatives: it compares `backward` in float32 with `backward` in
        float64, also where rounding moves a value across a kink.
    pieces : function, optional
        ``pieces(**inputs)``: an array that says on which linear piece each activation
        is. A difference of two points on different pieces is left out.
    step : float, optional
        h, above 0; 1e-4 for differences and 1e-30 for the complex step.
    seed : int
        For drawing dy.

    Returns
    -------
    checks : dict of str to Check

    Raises
    ------
    ValueError
        If the method is another word, the step is not above 0, or `backward` names nothing, or
        something that is not an input.
    TypeError
        If an input is not float64, which has the digits that a derivative needs.

    Examples
    --------
    >>> checks = check_gradients(
    ...     lambda x: x**2, lambda dy, x: {"x": 2 * x * dy}, {"x": np.array([1.0, 3.0])}
    ... )
    >>> checks["x"].error < 1e-7
    True
    """
    if method not in TOLERANCE:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(TOLERANCE)}")
    if step is None:
        step = 1e-30 if method == "complex step" else 1e-4
    if not 0 < step < math.inf:
        raise ValueError(f"step is {step}: give a finite one above 0")
    check_dtype(("float64",), **inputs)
    y = np.asarray(forward(**inputs))
    dy = np.random.default_rng(seed).standard_normal(y.shape)
    gradients = backward(dy, **inputs)
    if not gradients or not gradients.keys() <= inputs.keys():
        names = ", ".join(gradients) or "nothing"
        raise ValueError(f"backward gives {names}, but the inputs are {', '.join(inputs)}")
    exact = gradients
    if method == "float32":
        gradients = backward(np.float32(dy), **{n: np.float32(a) for n, a in inputs.items()})
    checks = {}
    for name, gradient in gradients.items():
        vary = partial(_vary, forward, inputs, name)
        if method == "float32":
            derivative, skip = exact[name], np.zeros(exact[name].shape, bool)
        elif method == "complex step":
            derivative, skip = _complex_steps(vary, inputs[name], dy, step)
        else:
            where = None if pieces is None else partial(_vary, pieces, inputs, name)
            derivative, skip = _differences(vary, inputs[name], dy, step, where)
        if np.shape(gradient) != derivative.shape:
            checks[name] = Check(np.inf, derivative.size, 0)
            continue
        wrong = np.abs(gradient - derivative)[~skip]
        size = np.abs(derivative[~skip]).max(initial=0.0)
        # A gradient that is 0 everywhere has no relative error.
        error = wrong.max(initial=0.0) / (size if size > 0 else 1.0)
        checks[name] = Check(float(error), int(wrong.size), int(skip.sum()))
    return checks


def _vary(function: Callable, inputs: Arrays, name: str, value: np.ndarray) -> np.ndarray:
    return np.asarray(function(**{**inputs, name: value}))


def _differences(
    f: Callable, x: np.ndarray, dy: np.ndarray, step: float, where: Callable | None
) -> tuple[np.ndarray, np.ndarray]:
    derivative, skip = np.zeros(x.shape), np.zeros(x.shape, bool)
    for index in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[index] += step
        below[index] -= step
        if where is not None and (where(above) != where(below)).any():
            skip[index] = True
            continue
        # Divide by the step that was really taken, because x + h is rounded.
        derivative[index] = (dy * (f(above) - f(below))).sum() / (above[index] - below[index])
    return derivative, skip


def _complex_steps(
    f: Callable, x: np.ndarray, dy: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    derivative = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        beside = x.astype(complex)
        beside[index] += 1j * step
        derivative[index] = (dy * f(beside).imag).sum() / step
    return derivative, np.zeros(x.shape, bool)


def check_convolution(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    *,
    method: Method = "differences",
    seed: int = 0,
    **how: object,
) -> dict[str, Check]:
    """Check the gradients of `conv2d_forward` with respect to x, w and b.

    Parameters
    ----------
    x, w, b : float64 arrays
        See `conv2d_forward`.
    method, seed
        See `check_gradients`.
    **how
        stride, padding and backend, for both convolution functions.
    """
    pair = partial(conv2d_forward, **how), partial(conv2d_backward, **how)
    return _check_convolution(*pair, {"x": x, "w": w, "b": b}, method, seed)


def check_transposed(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    *,
    method: Method = "differences",
    seed: int = 0,
    **how: object,
) -> dict[str, Check]:
    """Check the gradients of `conv_transpose2d_forward` with respect to x, w and b.

    Parameters are as for `check_convolution`, with crop in place of padding.
    """
    pair = partial(conv_transpose2d_forward, **how), partial(conv_transpose2d_backward, **how)
    return _check_convolution(*pair, {"x": x, "w": w, "b": b}, method, seed)


def _check_convolution(there: Callable, back: Callable, inputs: Arrays, method: Method, seed: int):
    def forward(x, w, b):
        dtype = np.result_type(x, w, b)  # one complex input makes all complex
        return there(x.astype(dtype), w.astype(dtype), b.astype(dtype))

    def backward(dy, x, w, b):
        return dict(zip("xwb", back(dy, x, w), strict=True))

    return check_gradients(forward, backward, inputs, method=method, seed=seed)


def check_layer(layer: Layer, x: np.ndarray, **options: object) -> dict[str, Check]:
    """Check the gradient of an activation with respect to x; the layer stays as it was."""
    layer = deepcopy(layer)
    return check_gradients(
        lambda x: layer.forward(x),
        lambda dy, x: {"x": (layer.forward(x), layer.backward(dy))[1]},
        {"x": x},
        pieces=lambda x: _piece(layer, x),
        **options,
    )


def check_network(
    network: Sequential, x: np.ndarray, target: np.ndarray, **options: object
) -> dict[str, Check]:
    """Check the gradients of a network and its loss, as one function of x and all parameters.

    Parameters
    ----------
    network : Sequential
        Stays as it was: a copy of it in float64 is checked.
    x, target : (N, C, H, W) float64 arrays
    **options
        For `check_gradients`.
    """
    network = deepcopy(network).astype(np.float64)

    def forward(x, **changed):
        # One complex input makes all complex, since a convolution takes one dtype.
        dtype = np.result_type(x, *changed.values())
        network.params = {name: p.astype(dtype) for name, p in changed.items()}
        return mse_forward(network.forward(x.astype(dtype)), target)

    def backward(dy, x, **changed):
        network.params = changed
        if x.dtype == np.float32:  # as in training, which gives no dx
            _, grads = network.loss_and_gradients(x, target.astype(np.float32))
            return {name: dy * g for name, g in grads.items()}
        y = network.forward(x)
        dx = network.backward(dy * mse_backward(y, target), need_dx=True)
        return {"x": dx, **network.grads}

    def pieces(x, **changed):
        network.params = changed
        found = []
        for layer in network.layers.values():
            found.append(_piece(layer, x).ravel())
            x = layer.apply(x)
        return np.concatenate(found)

    inputs = {"x": x, **network.params}
    return check_gradients(forward, backward, inputs, pieces=pieces, **options)


def _piece(layer: Layer, x: np.ndarray) -> np.ndarray:
    return np.digitize(x, layer.kinks)


def standard_checks(seed: int = 0) -> Iterator[tuple[str, str, str, dict[str, Check]]]:
    """Check everything that this package differentiates.

    Yields
    ------
    what, backend, gradient : str
        A row of the table that ``srcnn-np gradcheck`` prints; backend is "" if
        there is none.
    checks : dict of str to Check
        By method. A backend without complex numbers has no complex step. float32 is only for a
        backend with kernels of its own.
    """
    rng = np.random.default_rng(seed)

    def both(check, backend=""):
        methods = ("differences", "float32" if backend == "numba" else "complex step")
        found = {method: check(method=method, seed=seed) for method in methods}
        for name in found["differences"]:
            yield backend, name, {m: found[m][name] for m in methods if name in found[m]}

    arrays = [rng.standard_normal(shape) for shape in ((2, 2, 5, 6), (3, 2, 3, 2), (3,))]
    for stride, padding in ((1, 0), ((2, 1), (1, 2))):
        for backend in BACKENDS:
            how = {"stride": stride, "padding": padding, "backend": backend}
            for row in both(partial(check_convolution, *arrays, **how), backend):
                yield f"conv2d, stride {stride}, padding {padding}", *row

    arrays = [rng.standard_normal(shape) for shape in ((2, 3, 3, 2), (3, 2, 4, 3), (2,))]
    for stride, crop in ((1, (0, 0, 0, 0)), ((3, 2), (1, 2, 0, 1))):
        for backend in BACKENDS:
            how = {"stride": stride, "crop": crop, "backend": backend}
            for row in both(partial(check_transposed, *arrays, **how), backend):
                yield f"conv_transpose2d, stride {stride}", *row

    x = rng.standard_normal((2, 2, 3, 4))
    for fill in ("zero", "replicate"):
        forward = partial(pad_forward, pads=(1, 2, 2, 1), fill=fill)
        check = partial(check_gradients, forward, _padding_backward(fill), {"x": x})
        for row in both(check):
            yield f"border, {fill}", *row
    for layer, spread in ((ReLU(), 1), (LeakyReLU(0.1), 1), (ClippedLeakyReLU(), 4)):
        # All pieces, and each kink itself and its neighbourhood.
        near = np.add.outer(layer.kinks, (-3e-5, 0, 3e-5)).ravel()
        values = np.concatenate([rng.normal(0.5, spread, 40), rng.random(20), near])
        for row in both(partial(check_layer, layer, values)):
            yield type(layer).__name__, *row
    check = partial(
        check_gradients,
        prelu_forward,
        lambda dy, x, a: dict(zip("xa", prelu_backward(dy, x, a), strict=True)),
        {"x": rng.standard_normal((2, 3, 4, 5)), "a": rng.random(3)},
        pieces=lambda x, a: x > 0,
    )
    for row in both(check):
        yield "PReLU", *row
    target = rng.standard_normal(x.shape)
    for mean_over in ("values", "pictures"):

        def backward(dy, x, mean_over=mean_over):
            return {"x": dy * mse_backward(x, target, mean_over)}

        forward = partial(mse_forward, target=target, mean_over=mean_over)
        check = partial(check_gradients, lambda x, f=forward: f(x), backward, {"x": x})
        for row in both(check):
            yield f"mse, mean over {mean_over}", *row
    x, target = rng.standard_normal((2, 1, 7, 6)), rng.random((2, 1, 3, 2))
    for backend in BACKENDS:
        network = SRCNN("3-1-3", filters=(3, 2), backend=backend)
        _draw(network, x, rng)
        for row in both(partial(check_network, network, x, target), backend):
            yield "SRCNN 3-1-3 with its loss", *row
    x, target = rng.standard_normal((1, 1, 9, 9)), rng.random((1, 1, 2, 2))
    for backend in BACKENDS:
        network = FSRCNN(3, 2, 0, scale=2, backend=backend)
        _draw(network, x, rng)
        for row in both(partial(check_network, network, x, target), backend):
            yield "FSRCNN with its loss", *row
    # Large enough for every method of `srcnn_np.kernels.convolution`.
    for what, network in (("SRCNN 9-5-5", SRCNN("9-5-5")), ("FSRCNN 56-12-4", FSRCNN())):
        _draw(network, rng.random((1, 1, 22, 22)), rng)
        x = _away_from_kinks(network, (1, 1, 22, 22), rng)
        y = network.forward(np.float32(x)).astype(float)
        target = y - 1 - rng.random(y.shape)  # no sum of dy is near 0
        checks = check_network(network, x, target, method="float32", seed=seed)
        for name, check in checks.items():
            yield f"{what} with its loss", "numba", name, {"float32": check}


def _draw(network: Sequential, x: np.ndarray, rng: np.random.Generator) -> None:
    """Draw all parameters, and draw again until every activation lets something of x through.

    Mistakes could hide behind biases of 0, slopes that are alike, and dead ReLUs.
    """
    alive = False
    while not alive:
        network.initialise("he", int(rng.integers(1 << 31)))
        for name, p in network.params.items():
            if not name.endswith(".w"):
                p += rng.normal(0, 0.1, p.shape).astype(p.dtype)
        z, alive = x.astype(np.float32), True
        for layer in network.layers.values():
            z = layer.apply(z)
            alive = alive and bool(z.any())


def _away_from_kinks(network: Sequential, shape: tuple[int, ...], rng: np.random.Generator):
    """Draw x so that rounding to float32 moves no value of an activation across a kink."""
    while True:
        x, distance = rng.random(shape), np.inf
        z = x.astype(np.float32)
        for layer in network.layers.values():
            if layer.kinks:
                distance = min(distance, np.abs(np.subtract.outer(layer.kinks, z)).min())
            z = layer.apply(z)
        if distance > 1e-5:
            return x


def _padding_backward(fill: str) -> Callable:
    return lambda dy, x: {"x": pad_backward(dy, (1, 2, 2, 1), fill)}
