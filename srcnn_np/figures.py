"""Figures of a model: its filters, its feature maps, its gradients, its results, its training.

Each function returns a matplotlib `Figure`, which a notebook shows and `save` writes.

A picture is given as `srcnn_np.data.to_channels` makes it. It is the target. Shrunk, and
enlarged again unless the network enlarges, it is x, the network's input. Pictures and feature maps
are drawn in grey. Signed values are drawn in red above 0 and in blue below 0.
"""

import warnings
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path

import numpy as np

from .data import shrink
from .errors import PROCESS, InputError
from .evaluation import as_measured, check_measurable, measure
from .imaging import enlarge
from .initialisation import INITS
from .layers import CONVOLUTIONS
from .loss import mse_backward, mse_forward
from .model import Model, check_finite, load_model, shipped_models
from .output import writing

try:
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.patches import Rectangle
except ImportError as missing:
    raise InputError("figures need matplotlib: pip install matplotlib") from missing
except ValueError as error:  # MPLBACKEND=nonsense
    raise InputError(
        "matplotlib cannot be loaded with the settings it finds; see the variable MPLBACKEND and "
        "the file matplotlibrc"
    ) from error

_SIDE = 240  # pixels: the side of the middle of a picture that is drawn
_MAPS = 16  # at most so many feature maps of a stage are drawn
_SIGNED = "RdBu_r"


def filters(
    model: Model, start: Mapping[str, np.ndarray] | None = None, *, stacked: bool = False
) -> Figure:
    """Draw every filter of the first layer, and the filter of the last layer.

    Parameters
    ----------
    model : Model
    start : dict of str to array, optional
        The parameters before training, as from `starting_params`. With them, the figure also
        shows what training added. This says more: much of a filter is still as it began.
    stacked : bool
        Draw one panel below the other, for narrow screens.

    Returns
    -------
    figure : Figure
        Each filter on a scale of its own, so that weak ones are seen too. Above each filter stand
        its number and its largest absolute value. The filters are sorted by this value. Of a
        colour model's filters, the weights for luma are drawn.
    """
    first, last = _first_and_last(model.network.params)
    panels = {
        f"first layer: {_count(first, 'filter')}{_for_luma(model)}": first,
        f"last layer: {_count(last, 'channel')} of its filter{_for_luma(model)}": last,
    }
    if start is not None:
        panels["what training added to the first layer"] = first - _first_and_last(start)[0]
    rows, columns = (len(panels), 1) if stacked else (1, len(panels))
    figure = Figure(figsize=(6 * columns, 6.6 * rows), layout="constrained")
    parts = figure.subfigures(rows, columns).flat
    for part, (title, planes) in zip(parts, panels.items(), strict=True):
        largest = abs(planes).max(axis=(1, 2))
        order = np.argsort(-largest, kind="stable")
        _draw(
            part,
            [(f"{k}: {largest[k]:.2g}", planes[k] / (largest[k] or 1)) for k in order],
            title=f"{title}, the largest first",
            columns=int(np.ceil(np.sqrt(len(planes)))),
            limits=(-1, 1),
            cmap=_SIGNED,
            label="w / the filter's largest |w| (above it, after its number)",
        )
    return figure


def starting_params(model: Model) -> Mapping[str, np.ndarray] | None:
    """Return the parameters with which a model's training began, as its card says.

    They are drawn again by the recipe's `init` and the seed. If the training began with a shipped
    model, they are that model's. If it began with another model, they are those with which the
    training of that model began. The result is None if the card does not say these things.
    """
    said, network = model.training, deepcopy(model.network)
    before, name = said.get("before"), said.get("from")
    if isinstance(before, dict) and not (isinstance(name, str) and name in shipped_models()):
        said = before
    recipe = said.get("recipe") if isinstance(said.get("recipe"), dict) else {}
    init, seed, name = recipe.get("init"), said.get("seed"), said.get("from")
    if init in INITS and type(seed) is int and seed >= 0:
        network.initialise(init, seed)
        return network.params
    if init is None and isinstance(name, str) and name in shipped_models():
        params = load_model(name).network.params
        same = [(n, p.shape) for n, p in params.items()]
        return params if same == [(n, p.shape) for n, p in network.params.items()] else None
    return None


def _name_of_x(model: Model) -> str:
    return "x: the small picture" if model.enlargement == "none" else "x: the enlarged picture"


def features(picture: np.ndarray, scale: int, model: Model) -> Figure:
    """Draw what each stage of the network makes of the middle of a picture.

    Parameters
    ----------
    picture : (H, W) or (H, W, 3) uint8 array
    scale : int
    model : Model

    Returns
    -------
    figure : Figure
        x, y and the target. Then, for every convolution except the last, the feature maps after
        its activation; if they are many, those that vary most.

    Raises
    ------
    InputError
        If the model was trained for another scale, the picture is too small, or the model's
        result is not finite.
    """
    x, target = _x_and_target(picture, scale, model)
    stages = {}
    layers = list(model.network.layers.items())
    y = x
    for turn, (name, layer) in enumerate(layers, 1):
        with np.errstate(all="ignore"):
            y = layer.apply(y)
        if turn < len(layers) and isinstance(layers[turn][1], CONVOLUTIONS):
            stages[name] = y[0]
    check_finite(y)
    heights = [4.6, *(0.7 + 1.6 * -(-min(_MAPS, len(maps)) // 8) for maps in stages.values())]
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    whole, *parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat
    _draw(
        whole,
        [
            (_name_of_x(model), x[0, 0]),
            ("y: the result", y[0, 0]),
            ("target", target[0, 0]),
        ],
        title=f"the middle of a picture, x{scale}",
        columns=3,
        limits=(0, 1),
        label="luma",
    )
    for part, (name, maps) in zip(parts, stages.items(), strict=True):
        most = np.argsort(-maps.std(axis=(1, 2)), kind="stable")[:_MAPS]
        which = f"the {_MAPS} that vary most of " if len(maps) > _MAPS else ""
        _draw(
            part,
            [(f"{k}", maps[k]) for k in most],
            title=f"{name}: {which}{_count(maps, 'feature map')}, each with its number",
            columns=8,
            limits=(float(maps[most].min()), _nearly_all(maps[most])),
            label="value",
        )
    return figure


def gradients(picture: np.ndarray, scale: int, model: Model) -> Figure:
    """Draw the gradients of the loss on the middle of a picture, back through the network.

    Parameters
    ----------
    picture : (H, W) or (H, W, 3) uint8 array
    scale : int
    model : Model

    Returns
    -------
    figure : Figure
        x, dy (the error times a factor) and dx, at the same places; dw of the first layer;
        and the size of every parameter's gradient.

    Raises
    ------
    InputError
        As for `features`; also if the loss or a gradient is not finite.
    """
    network = deepcopy(model.network)  # the model's own gradients and memory stay
    x, target = _x_and_target(picture, scale, model)
    with np.errstate(all="ignore"):
        y = check_finite(network.forward(x))
        loss, dy = mse_forward(y, target), mse_backward(y, target)
        dx = network.backward(dy, need_dx=True)
    grads = {f"the gradient of {name}": grad for name, grad in network.grads.items()}
    for what, value in {"the loss": np.array(loss), "the gradient of x": dx, **grads}.items():
        check_finite(value, what)

    figure = Figure(figsize=(13, 9.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(4.2, 5.4))
    top, bottom, left, right = network.margin
    around = np.pad(dy[0, 0], ((top, bottom), (left, right)), constant_values=np.nan)
    _draw_each(
        above,
        {
            _name_of_x(model): (x[0, 0], "luma"),
            "dy: how the loss grows with each pixel of y": (around, "∂L/∂y"),
            "dx: how the loss grows with each pixel of x": (dx[0, 0], "∂L/∂x"),
        },
        title=f"the middle of the picture, whose loss is {loss:.3g}",
    )
    left, right = below.subfigures(1, 2, width_ratios=(6, 7))
    dw, _ = _first_and_last(network.grads)
    count = f"{_count(dw, 'filter')}{_for_luma(model)}"
    limit = abs(dw).max() or 1
    _draw(
        left,
        [(f"{k}", dw[k]) for k in np.argsort(-(dw**2).sum(axis=(1, 2)), kind="stable")],
        title=f"dw of the first layer: {count}, each with its number",
        columns=int(np.ceil(np.sqrt(len(dw)))),
        limits=(-limit, limit),
        cmap=_SIGNED,
        label="∂L/∂w",
    )
    axis = right.subplots()
    sizes = {name: float(np.sqrt((grad**2).mean())) for name, grad in network.grads.items()}
    names = [name if size else f"{name}: all 0" for name, size in sizes.items()]
    axis.semilogx(list(sizes.values()), names, "o")
    axis.set(title="how large each gradient is", xlabel="root mean square of ∂L/∂parameter")
    axis.grid(axis="x", which="both", alpha=0.3)
    axis.invert_yaxis()
    return figure


def compare(picture: np.ndarray, scale: int, model: Model) -> Figure:
    """Draw bicubic interpolation, the model and the original, in luma as the paper measures it.

    Parameters
    ----------
    picture : (H, W) or (H, W, 3) uint8 array
    scale : int
    model : Model

    Returns
    -------
    figure : Figure
        The whole pictures with PSNR and SSIM; the square where bicubic interpolation errs
        most; and the errors.

    Raises
    ------
    InputError
        If the model was trained for another scale, the picture is too small to be measured,
        or the model's result is not finite.
    """
    model.check_scale(scale)
    check_measurable(picture, scale)
    target, small = shrink(picture, scale)
    results = {
        "bicubic": enlarge(small, scale),
        "model": model.predict(enlarge(small, scale, model.enlargement)),
    }
    original = as_measured(target, scale)
    shown, errors = {}, {}
    for name, result in results.items():
        figures = measure(result, target, scale)
        title = f"{name}: {figures['psnr']:.2f} dB, SSIM {figures['ssim']:.4f}"
        shown[title] = as_measured(result, scale)
        errors[f"{name} - original"] = shown[title] - original
    shown["original"] = original
    square = _largest_square(errors["bicubic - original"] ** 2, min(72, *original.shape))

    H, W = original.shape
    tall = 4 * np.clip(H / W, 0.4, 1.5) + 0.6
    heights = (tall, 4.6, tall)
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    whole, piece, wrong = figure.subfigures(3, 1, height_ratios=heights)
    _draw(whole, shown.items(), title=f"luma, x{scale}", columns=3, limits=(0, 255), label="luma")
    rows, columns = square
    corner, side = (columns.start - 0.5, rows.start - 0.5), rows.stop - rows.start
    for axis in whole.axes[:3]:
        axis.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="tab:orange"))
    _draw(
        piece,
        [(title.partition(":")[0], y[square]) for title, y in shown.items()],
        title="the square where bicubic interpolation errs most",
        columns=3,
        limits=(0, 255),
        label="luma",
    )
    limit = max(_nearly_all(abs(e)) for e in errors.values())
    _draw(
        wrong,
        errors.items(),
        title="errors: too bright is red, too dark is blue",
        columns=3,
        limits=(-limit, limit),
        cmap=_SIGNED,
        label="luma",
    )
    return figure


def loss_curve(rows: list[dict], bicubic: float | None = None, *, stacked: bool = False) -> Figure:
    """Draw how a training went.

    Parameters
    ----------
    rows : list of dict
        The rows of a `History`, or what `srcnn_np.checkpoint.read_log` reads.
    bicubic : float, optional
        PSNR in dB of bicubic interpolation on the held-out pictures, drawn as a line.
    stacked : bool
        Draw one panel below the other, for narrow screens.

    Returns
    -------
    figure : Figure
        The loss on the sub-images learnt from, and the PSNR on the pictures held out.
    """
    figure = Figure(figsize=(5.5, 8) if stacked else (11, 4), layout="constrained")
    left, right = figure.subplots(*((2, 1) if stacked else (1, 2)))
    left.semilogy(*_columns(rows, "loss"))
    left.set(title="what is learnt from", xlabel="sub-images seen", ylabel="mean squared error")
    for name, label in (("psnr", "held out"), ("watched", "watched")):
        seen, values = _columns(rows, name)
        if values:
            right.plot(seen, values, marker=".", label=label)
    if bicubic is not None:
        right.axhline(bicubic, color="gray", linestyle="--", label="bicubic on those held out")
    right.set(title="other pictures", xlabel="sub-images seen", ylabel="mean PSNR in dB")
    if right.lines:
        right.legend()
    return figure


def save(path: str | Path, figure: Figure, *, title: str = "", force: bool = False) -> None:
    """Write a figure as PNG.

    Parameters
    ----------
    path : str or Path
    figure : Figure
    title : str
        Text above it, such as the names of the picture and the model.
    force : bool
        Replace a file that is there already.

    Raises
    ------
    InputError
        If the name does not end in ``.png``, the file exists and `force` is not given, or it
        cannot be written.
    """
    check_png(path)
    if title:
        figure.suptitle(title, fontweight="bold", parse_math=False)  # a name may hold a $
    with writing(path, force=force) as part, PROCESS, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about letters that the font lacks
        figure.savefig(part, dpi=110)


def check_png(path: str | Path) -> None:
    """Raise the InputError that `save` would raise if a name does not end in ``.png``."""
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"{path}: a figure is written as PNG; give a name ending in .png")


def middle(picture: np.ndarray, H: int, W: int) -> np.ndarray:
    """Return the middle H x W pixels of a picture, or fewer if the picture is smaller."""
    top, left = (max(0, (n - m) // 2) for n, m in zip(picture.shape, (H, W), strict=False))
    return picture[top : top + H, left : left + W]


def _x_and_target(picture: np.ndarray, scale: int, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Return the network's x for the middle of a picture, and the target for its `forward`."""
    model.check_scale(scale)
    top, bottom, left, right = model.network.margin
    target, small = shrink(middle(picture, _SIDE, _SIDE), scale)
    H, W = target.shape[:2]
    if min(H - top - bottom, W - left - right) < 1:
        h, w = (scale * -(-(n + 1) // scale) for n in (top + bottom, left + right))
        raise InputError(
            f"a picture of {picture.shape[1]} x {picture.shape[0]} is too small for the network's "
            f"filters; give one of at least {w} x {h} pixels"
        )
    dtype = next(iter(model.network.params.values())).dtype
    x, target = (
        np.moveaxis(np.atleast_3d(a), 2, 0)[None].astype(dtype)
        for a in (enlarge(small, scale, model.enlargement), target)
    )
    return x, target[:, :, top : H - bottom, left : W - right]


def _first_and_last(params: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return for luma the first layer's filters (K, kh, kw), and the last layer's (C, kh, kw)."""
    names = [name for name in params if name.endswith(".w")]
    first, last = params[names[0]], params[names[-1]]
    # A transposed convolution has a filter for each channel of its x, as deep as y.
    return first[:, 0], last[:, 0] if names[-1].startswith("convtranspose") else last[0]


def _for_luma(model: Model) -> str:
    """Return " for luma" if the model has filters for other channels too."""
    return " for luma" if model.colour == "ycbcr" else ""


def _draw(
    part: SubFigure,
    planes: Iterable[tuple[str, np.ndarray]],
    *,
    title: str,
    limits: tuple[float, float],
    label: str,
    columns: int = 1,
    cmap: str = "gray",
) -> None:
    """Draw titled arrays (H, W) in rows, on one scale, with a colour bar."""
    planes = list(planes)
    part.suptitle(title, fontsize=11)
    lines = -(-len(planes) // columns)
    axes = part.subplots(lines, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    low, high = limits
    high = high if high > low else low + 1  # or one colour would stand for all values
    for axis, (name, plane) in zip(axes.flat, planes, strict=False):
        image = axis.imshow(plane, cmap=cmap, vmin=low, vmax=high)
        axis.set_title(name, fontsize=10 if columns < 4 else 7, pad=2)
    extend = _beyond(low, high, *(plane for _, plane in planes))
    part.colorbar(image, ax=axes, label=label, shrink=0.8, extend=extend)


def _draw_each(part: SubFigure, panels: dict[str, tuple[np.ndarray, str]], *, title: str) -> None:
    """Draw titled arrays (H, W) side by side, each on its own scale, with its own colour bar.

    Luma is drawn in grey, anything else as signed values. NaN is white.
    """
    part.suptitle(title, fontsize=11)
    for axis, (name, (plane, label)) in zip(
        part.subplots(1, len(panels)), panels.items(), strict=True
    ):
        limit = _nearly_all(abs(plane[np.isfinite(plane)]))
        low, high, cmap = (0, 1, "gray") if label == "luma" else (-limit, limit, _SIGNED)
        image = axis.imshow(plane, cmap=cmap, vmin=low, vmax=high)
        axis.set_title(name, fontsize=10)
        axis.set_axis_off()
        extend = _beyond(low, high, plane)
        part.colorbar(image, ax=axis, label=label, shrink=0.8, extend=extend)


def _beyond(low: float, high: float, *planes: np.ndarray) -> str:
    """Return which ends of a colour bar need an arrow, because values lie beyond them."""
    below = any((plane < low).any() for plane in planes)
    above = any((plane > high).any() for plane in planes)
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]


def _largest_square(values: np.ndarray, side: int) -> tuple[slice, slice]:
    """Return rows and columns of the square whose values have the largest sum."""
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums = sums[side:] - sums[:-side]
    sums = sums[:, side:] - sums[:, :-side]
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return slice(top, top + side), slice(left, left + side)


def _nearly_all(values: np.ndarray) -> float:
    """Return a colour scale's upper limit, which a few extreme values do not stretch; never 0."""
    return float(np.quantile(values, 0.999) or values.max() or 1)


def _columns(rows: list[dict], name: str) -> tuple[list, list]:
    """Return the sub-images seen and a named column, for the rows where this column has a value."""
    pairs = [(row["sub_images"], row[name]) for row in rows if row[name] is not None]
    return [seen for seen, _ in pairs], [value for _, value in pairs]


def _count(things: np.ndarray, name: str) -> str:
    return f"{len(things)} {name}{'s' if len(things) != 1 else ''}"
