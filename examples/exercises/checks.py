"""What each exercise is checked with: the library's answer, and inputs to compare on."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from srcnn_np.conv import (
    col2im,
    conv2d_backward,
    conv2d_forward,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
    im2col,
)
from srcnn_np.imaging import psnr
from srcnn_np.imaging.resize import bicubic_kernel
from srcnn_np.layers import prelu_backward, relu_backward
from srcnn_np.loss import mse_backward, mse_forward
from srcnn_np.optim import SGD


@dataclass(frozen=True)
class Case:
    """Arguments to call a function with.

    Attributes
    ----------
    what : str
        What is special about these arguments, in words that read well after "for".
    arguments : dict of str to array, number or tuple
        In the function's order.
    """

    what: str
    arguments: dict[str, object]


@dataclass(frozen=True)
class Exercise:
    """One function to be written.

    Attributes
    ----------
    right : callable
        The library's function, which is right.
    results : dict of str to str
        Name and axes of each array that it returns, such as {"y": "N K OH OW"}. Axes that are
        joined into one have points between them.
    axes : dict of str to str
        The axes of arguments that are arrays or shapes.
    draw : callable
        Makes cases from a random number generator: first the docstring's example, then the plainest
        case, and so on.
    pieces : dict of str to callable
        For a function that has one rule for each piece of its inputs: words that say where a piece
        is, and a callable that finds the piece from the arguments.
    """

    right: Callable
    results: dict[str, str]
    axes: dict[str, str]
    draw: Callable[[np.random.Generator], list[Case]]
    pieces: dict[str, Callable] = field(default_factory=dict)

    def sizes(self, case: Case) -> dict[str, int]:
        """Return the lengths of all axes in a case, by letter."""
        sizes = {name: value for name, value in case.arguments.items() if isinstance(value, int)}
        for name, axes in self.axes.items():
            value = case.arguments[name]
            shape = value if isinstance(value, tuple) else value.shape
            sizes.update(zip(axes.split(), shape, strict=True))
        if {"H", "kh"} <= set(sizes):
            sizes["OH"] = sizes["H"] - sizes["kh"] + 1
            sizes["OW"] = sizes["W"] - sizes["kw"] + 1
        return sizes


def right_im2col(x, kh, kw):
    """Return columns (N, C·kh·kw, OH·OW)."""
    return im2col(x, (kh, kw))


def right_col2im(cols, x_shape, kh, kw):
    """Return the picture (N, C, H, W)."""
    return col2im(cols, x_shape, (kh, kw))


def right_forward(x, w, b):
    """Return the output y (N, K, OH, OW)."""
    return conv2d_forward(x, w, b, backend="im2col")


def right_db(dy):
    """Return the gradient (K,)."""
    return dy.sum(axis=(0, 2, 3))


def right_dw(dy, x, kh, kw):
    """Return the gradient (K, C, kh, kw)."""
    w = np.zeros((dy.shape[1], x.shape[1], kh, kw), x.dtype)
    return conv2d_backward(dy, x, w, backend="im2col", need_dx=False)[1]


def right_dx(dy, w, x_shape):
    """Return the gradient (N, C, H, W)."""
    return conv2d_backward(dy, np.zeros(x_shape, dy.dtype), w, backend="im2col")[0]


def right_mse(y, target):
    """Return the loss and its gradient."""
    return mse_forward(y, target), mse_backward(y, target)


def right_conv_transpose(x, w, b, s):
    """Return the transposed convolution."""
    return conv_transpose2d_forward(x, w, b, stride=s, backend="im2col")


def right_transpose_dw(dy, x, kh, kw, s):
    """Return the transposed convolution's gradient with respect to the filters."""
    w = np.zeros((x.shape[1], dy.shape[1], kh, kw))
    return conv_transpose2d_backward(dy, x, w, stride=s, backend="im2col", need_dx=False)[1]


def right_sgd_step(v, p, g, rate, momentum):
    """Return velocity and parameters after an optimiser changed both in place."""
    sgd, p = SGD(rate, momentum), p.copy()
    sgd.memory["v.p"] = v.copy()
    sgd.step({"p": p}, {"p": g})
    return sgd.memory["v.p"], p


def right_psnr(a, b, peak):
    """Return the PSNR in dB."""
    return psnr(a, b, peak=peak)


# N, C, K, H, W, kh, kw. Each case has one thing more than the case before. OH >= kh and OW >= kw.
# In the last case all lengths are different, also OH = 8 and OW = 9. None of them is 2: of two
# filters, "all but the first" would be called "the last".
_SIZES = {
    "one square channel": (1, 1, 1, 5, 5, 3, 3),
    "one oblong channel": (1, 1, 1, 5, 8, 3, 2),
    "several channels": (1, 3, 1, 5, 8, 3, 2),
    "several filters": (1, 3, 4, 5, 8, 3, 2),
    "several pictures": (4, 3, 5, 13, 15, 6, 7),
}


def _over_sizes(example: dict, drawn: Callable) -> Callable:
    """Return a function that draws cases of a convolution.

    `drawn` makes the arguments from a generator and sizes. Of several cases with the same shapes
    only one is kept: the arguments of im2col, for example, do not show how many filters there are.
    """

    def draw(rng: np.random.Generator) -> list[Case]:
        cases, shapes = [Case("the docstring's example", example)], []
        for what, sizes in _SIZES.items():
            arguments = drawn(rng.standard_normal, *sizes)
            shape = [getattr(value, "shape", value) for value in arguments.values()]
            if shape not in shapes:
                cases.append(Case(what, arguments))
                shapes.append(shape)
        return cases

    return draw


def _drawn_im2col(normal, N, C, K, H, W, kh, kw):
    return {"x": normal((N, C, H, W)), "kh": kh, "kw": kw}


def _drawn_col2im(normal, N, C, K, H, W, kh, kw):
    cols = normal((N, C * kh * kw, (H - kh + 1) * (W - kw + 1)))
    return {"cols": cols, "x_shape": (N, C, H, W), "kh": kh, "kw": kw}


def _drawn_forward(normal, N, C, K, H, W, kh, kw):
    return {"x": normal((N, C, H, W)), "w": normal((K, C, kh, kw)), "b": normal(K)}


def _drawn_db(normal, N, C, K, H, W, kh, kw):
    return {"dy": normal((N, K, H - kh + 1, W - kw + 1))}


def _drawn_dw(normal, N, C, K, H, W, kh, kw):
    return {
        **_drawn_db(normal, N, C, K, H, W, kh, kw),
        **_drawn_im2col(normal, N, C, K, H, W, kh, kw),
    }


def _drawn_dx(normal, N, C, K, H, W, kh, kw):
    dy = normal((N, K, H - kh + 1, W - kw + 1))
    return {"dy": dy, "w": normal((K, C, kh, kw)), "x_shape": (N, C, H, W)}


def _drawn_conv_transpose(normal, N, C, K, H, W, kh, kw):
    s = 1 if H == W else 3 if N > 1 else 2
    size = H - kh + 1, W - kw + 1
    return {"x": normal((N, C, *size)), "w": normal((C, K, kh, kw)), "b": normal(K), "s": s}


def _drawn_transpose_dw(normal, N, C, K, H, W, kh, kw):
    given = _drawn_conv_transpose(normal, N, C, K, H, W, kh, kw)
    (h, w), s = given["x"].shape[2:], given["s"]
    dy = normal((N, K, s * (h - 1) + kh, s * (w - 1) + kw))
    return {"dy": dy, "x": given["x"], "kh": kh, "kw": kw, "s": s}


def _draw_prelu(rng: np.random.Generator) -> list[Case]:
    def drawn(shape: tuple[int, ...]) -> dict:
        x = np.rint(2 * rng.standard_normal(shape)) / 2  # some are 0
        return {"dy": rng.standard_normal(shape), "x": x, "a": rng.standard_normal(shape[1])}

    dy, x = np.array([[[[10.0, 100.0]]]]), np.array([[[[-3.0, 2.0]]]])
    return [
        Case("the docstring's example", {"dy": dy, "x": x, "a": np.array([0.5])}),
        *(
            Case(what, drawn(shape))
            for what, shape in (
                ("one channel", (1, 1, 5, 6)),
                ("several channels", (1, 3, 4, 6)),
                ("several pictures", (5, 3, 4, 7)),
            )
        ),
    ]


def _draw_relu(rng: np.random.Generator) -> list[Case]:
    return [
        Case(
            "the docstring's example",
            {"dy": np.array([5.0, -6.0, 7.0, 8.0]), "x": np.array([1.0, 2.0, -3.0, 0.0])},
        ),
        # Numbers rounded to halves, so that some are 0.
        *(
            Case(
                what,
                {
                    "dy": rng.standard_normal(shape),
                    "x": np.rint(2 * rng.standard_normal(shape)) / 2,
                },
            )
            for what, shape in (("one row", (20,)), ("a batch", (3, 2, 4, 5)))
        ),
    ]


def _draw_mse(rng: np.random.Generator) -> list[Case]:
    example = {"y": np.array([[[[3.0, 1.0]]]]), "target": np.array([[[[1.0, 1.0]]]])}
    return [
        Case("the docstring's example", example),
        *(
            Case(what, {"y": rng.standard_normal(shape), "target": rng.standard_normal(shape)})
            for what, shape in (
                ("one picture", (1, 1, 5, 6)),
                ("several channels", (1, 3, 4, 6)),
                ("several pictures", (5, 3, 4, 7)),
            )
        ),
    ]


def _draw_sgd_step(rng: np.random.Generator) -> list[Case]:
    def drawn(shape: tuple[int, ...], still: bool = False) -> dict:
        v, p, g = rng.standard_normal((3, *shape))
        return {"v": 0 * v if still else v, "p": p, "g": g, "rate": 0.3, "momentum": 0.9}

    v, p, g = np.array([1.0]), np.array([10.0]), np.array([4.0])
    return [
        Case("the docstring's example", {"v": v, "p": p, "g": g, "rate": 0.5, "momentum": 0.25}),
        Case("a first step, from velocity 0", drawn((4,), still=True)),
        Case("a step in motion", drawn((4,))),
        Case("weights", drawn((2, 3, 2, 3))),
    ]


def _draw_psnr(rng: np.random.Generator) -> list[Case]:
    a, b = rng.random((2, 4, 5))
    bytes_a, bytes_b = rng.integers(0, 256, (2, 4, 5)).astype(np.uint8)
    example = {"a": np.array([[0.0, 0.0]]), "b": np.array([[0.1, 0.1]]), "peak": 1.0}
    return [
        Case("the docstring's example", example),
        Case("pictures in [0, 1]", {"a": a, "b": b, "peak": 1.0}),
        Case("pictures in [0, 255]", {"a": 255 * a, "b": 255 * b, "peak": 255.0}),
        Case("uint8 pictures", {"a": bytes_a, "b": bytes_b, "peak": 255.0}),
        Case("equal pictures", {"a": a, "b": a.copy(), "peak": 1.0}),
    ]


def _draw_bicubic_kernel(rng: np.random.Generator) -> list[Case]:
    return [
        Case("the docstring's example", {"t": np.array([-0.5, 0.0, 0.5, 1.0, 1.5, 2.5])}),
        Case("distances of 0 and more", {"t": np.arange(0, 3.5, 0.25)}),
        Case("distances of both signs", {"t": rng.uniform(-3, 3, 30)}),
        Case("a table of distances", {"t": rng.uniform(-3, 3, (4, 6))}),
    ]


_X = np.array([[[[1.0, 2.0, 4.0], [3.0, 3.0, 1.0]]]])
_DY = np.array([[[[10.0, 1.0]]]])

# In the order in which they are to be written.
EXERCISES = {
    "conv_forward": Exercise(
        right_forward,
        {"y": "N K OH OW"},
        {"x": "N C H W", "w": "K C kh kw"},
        _over_sizes(
            {"x": _X, "w": np.array([[[[-1.0, 1.0]]]]), "b": np.array([10.0])}, _drawn_forward
        ),
    ),
    "conv_db": Exercise(
        right_db,
        {"db": "K"},
        {"dy": "N K OH OW"},
        _over_sizes({"dy": np.array([[[[1.0, 2.0, 3.0]]], [[[10.0, 20.0, 30.0]]]])}, _drawn_db),
    ),
    "conv_dw": Exercise(
        right_dw,
        {"dw": "K C kh kw"},
        {"dy": "N K OH OW", "x": "N C H W"},
        _over_sizes({"dy": _DY, "x": _X[:, :, :1], "kh": 1, "kw": 2}, _drawn_dw),
    ),
    "conv_dx": Exercise(
        right_dx,
        {"dx": "N C H W"},
        {"dy": "N K OH OW", "w": "K C kh kw", "x_shape": "N C H W"},
        _over_sizes(
            {"dy": _DY, "w": np.array([[[[3.0, 2.0]]]]), "x_shape": (1, 1, 1, 3)}, _drawn_dx
        ),
    ),
    "relu_backward": Exercise(
        relu_backward,
        {"dx": ""},
        {},
        _draw_relu,
        {"x > 0": lambda dy, x: x > 0, "x <= 0": lambda dy, x: x <= 0},
    ),
    "mse": Exercise(
        right_mse,
        {"L": "", "dy": "N C H W"},
        {"y": "N C H W", "target": "N C H W"},
        _draw_mse,
    ),
    "sgd_step": Exercise(right_sgd_step, {"v_new": "", "p_new": ""}, {}, _draw_sgd_step),
    "psnr": Exercise(right_psnr, {"psnr": ""}, {}, _draw_psnr),
    "bicubic_kernel": Exercise(
        bicubic_kernel,
        {"k": ""},
        {},
        _draw_bicubic_kernel,
        {
            "|t| <= 1": lambda t: abs(t) <= 1,
            "1 < |t| <= 2": lambda t: (abs(t) > 1) & (abs(t) <= 2),
            "|t| > 2": lambda t: abs(t) > 2,
        },
    ),
    "im2col": Exercise(
        right_im2col,
        {"cols": "N C·kh·kw OH·OW"},
        {"x": "N C H W"},
        _over_sizes({"x": np.arange(9.0).reshape(1, 1, 3, 3), "kh": 2, "kw": 2}, _drawn_im2col),
    ),
    "col2im": Exercise(
        right_col2im,
        {"x": "N C H W"},
        {"x_shape": "N C H W"},
        _over_sizes(
            {"cols": np.ones((1, 4, 4)), "x_shape": (1, 1, 3, 3), "kh": 2, "kw": 2}, _drawn_col2im
        ),
    ),
    "conv_transpose": Exercise(
        right_conv_transpose,
        {"y": "N K OH OW"},
        {"x": "N C H W", "w": "C K kh kw"},
        _over_sizes(
            {
                "x": np.array([[[[1.0, 10.0, 100.0]]]]),
                "w": np.array([[[[1.0, 2.0, 3.0]]]]),
                "b": np.zeros(1),
                "s": 2,
            },
            _drawn_conv_transpose,
        ),
    ),
    "transpose_dw": Exercise(
        right_transpose_dw,
        {"dw": "C K kh kw"},
        {"dy": "N K OH OW", "x": "N C H W"},
        _over_sizes(
            {
                "dy": np.array([[[[1.0, 2.0, 3.0]]]]),
                "x": np.array([[[[5.0]]]]),
                "kh": 1,
                "kw": 3,
                "s": 2,
            },
            _drawn_transpose_dw,
        ),
    ),
    "prelu_backward": Exercise(
        prelu_backward,
        {"dx": "N C H W", "da": "C"},
        {"dy": "N C H W", "x": "N C H W"},
        _draw_prelu,
    ),
}
