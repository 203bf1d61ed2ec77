"""Models, and the files that hold them: a model is a network and what it was made for.

A model file is a NumPy ``.npz``: one array per parameter ("conv1.w", "conv1.b", ...)
and a "card", a JSON text that says how to build the network and how it was trained.
The SRCNN authors' MATLAB ``.mat`` files are read as well.
"""

import json
import math
import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from .errors import InputError, brief
from .imaging.resize import Enlargement
from .layers import KINDS, Layer, is_ours
from .mat import read_mat
from .network import SRCNN, Sequential
from .npz import FLOATS, MOST_TEXT, NpzFile, parse_json
from .output import writing

_FORMAT = "srcnn_np model 1"
_SHIPPED = Path(__file__).parent / "models"
_MOST_VALUES = 1 << 25  # of all parameters together: 128 MB. The paper's largest model has 300,000
_MOST_LAYERS = 1000
_MOST_SCALE = 16


@dataclass
class Model:
    """A network, and all that one must know to use it on pictures.

    Attributes
    ----------
    network : Sequential
    scale : int or None
        The enlargement that it was trained for, 1 to 16; None if it is not known.
    colour : "luma" or "ycbcr"
        The channels it works on.
    enlargement : "bicubic", "nearest" or "none"
        How a small picture is enlarged before the network sees it. "none" is for a network that
        enlarges by itself, and is the default for it. For others the default is "bicubic".
    training : dict
        How it was trained, for people to read.
    figures : dict
        What the paper's protocol measured, ``{"Set5": {"psnr", "ssim"}, ...}``, PSNR in dB.
    """

    network: Sequential
    scale: int | None
    colour: Literal["luma", "ycbcr"] = "luma"
    enlargement: Enlargement | None = None
    training: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.colour not in ("luma", "ycbcr"):
            raise InputError(f"unknown colour {brief(self.colour)}: choose luma or ycbcr")
        channels = {"luma": 1, "ycbcr": 3}[self.colour]
        if self.network.channels != (channels, channels):
            raise InputError(
                f"a model for {self.colour} has {channels} channels in and out, but this "
                f"network has {self.network.channels[0]} and {self.network.channels[1]}"
            )
        zoom = self.network.zoom
        if zoom is None:
            raise InputError(
                "a model's network keeps a picture's size or enlarges it, so no convolution but a "
                "transposed one has a stride"
            )
        if self.enlargement is None:
            self.enlargement = "none" if zoom > 1 else "bicubic"
        if self.enlargement not in ("bicubic", "nearest", "none"):
            raise InputError(
                f"unknown enlargement {brief(self.enlargement)}: choose bicubic, nearest or none"
            )
        if zoom != (self.scale if self.enlargement == "none" else 1):
            raise InputError(
                f"the network enlarges {zoom} times, which does not go with scale "
                f"{brief(self.scale)} and enlargement {self.enlargement}"
            )
        if self.scale is not None and not (
            type(self.scale) is int and 1 <= self.scale <= _MOST_SCALE
        ):
            raise InputError(
                f"a scale is a whole number from 1 to {_MOST_SCALE}, not {brief(self.scale)}"
            )
        if not (isinstance(self.training, dict) and isinstance(self.figures, dict)):
            raise InputError("a model's training and figures are dictionaries")

    def card(self) -> dict:
        """Return everything except the parameters, as a dictionary for JSON."""
        network = self.network
        return {
            "format": _FORMAT,
            "structure": network.structure,
            "scale": self.scale,
            "colour": self.colour,
            "enlargement": self.enlargement,
            "predict_border": network.predict_border,
            "layers": [
                {"kind": type(layer).__name__, **layer.settings()}
                for layer in network.layers.values()
            ],
            "training": self.training,
            "figures": self.figures,
        }

    def predict(self, enlarged: np.ndarray) -> np.ndarray:
        """Return the network's result for an enlarged picture, as `Sequential.predict` does.

        Raises
        ------
        InputError
            If the picture or the result holds values that are not finite. (With weights that are
            too large, the result does.)
        """
        if not np.isfinite(enlarged).all():
            raise InputError("the picture holds values that are not finite (NaN or infinite)")
        with np.errstate(all="ignore"):
            return check_finite(self.network.predict(enlarged))

    def check_scale(self, scale: int) -> None:
        """Raise an InputError unless the model was trained for this scale."""
        if self.scale not in (None, scale):
            raise InputError(
                f"the model was trained for scale {self.scale}, not {scale}; "
                f"choose --scale {self.scale} or another model"
            )


def check_finite(values: np.ndarray, what: str = "the model's result") -> np.ndarray:
    """Return the values, or raise an InputError if one of them is not finite."""
    if not np.isfinite(values).all():
        raise InputError(f"{what} is not finite: the model's weights are too large")
    return values


def save_model(
    path: str | Path,
    model: Model,
    *,
    force: bool = False,
    more: dict[str, np.ndarray] | None = None,
) -> None:
    """Write a model file.

    Parameters
    ----------
    path : str or Path
        Ending in ``.npz``.
    model : Model
    force : bool
        Replace a file that is there already.
    more : dict of str to array, optional
        Arrays to put into the file as well; `load_model` ignores them.

    Raises
    ------
    InputError
        If the name has another ending, or if the file exists or cannot be written; or if
        `load_model` could not read it, because a parameter is not finite or a layer cannot be
        built again.
    """
    check_name(path)
    params = model.network.params
    for name, p in params.items():
        if p.dtype.name not in FLOATS or not np.isfinite(_float32(p)).all():
            raise InputError(
                f"{path} is not written: {name} holds values that are not finite numbers of float32"
            )
    for layer in model.network.layers.values():
        _check_builds_again(path, layer)
    try:
        card = json.dumps(model.card())
        parse_json(card)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not written: training or figures hold what is no JSON, or not finite"
        ) from error
    if len(card) > MOST_TEXT or sum(p.size for p in params.values()) > _MOST_VALUES:
        raise InputError(f"{path} is not written: the model is too large to be read again")
    with writing(path, force=force) as part:
        np.savez_compressed(part, card=np.array(card), **params, **(more or {}))
        _check_is_read_again(part, path, model)


def check_name(path: str | Path) -> Path:
    """Return a path that `save_model` may write; raise an InputError unless it ends in ``.npz``."""
    if Path(path).suffix != ".npz":
        raise InputError(f"{path}: a model file's name ends in .npz")
    return Path(path)


def load_model(name_or_path: str | Path) -> Model:
    """Load a shipped model by name, or any model file by path.

    Parameters
    ----------
    name_or_path : str or Path
        A name that `shipped_models` lists, or the path of a ``.npz`` that this package wrote,
        or of a ``.mat`` of the SRCNN authors. The scale of a ``.mat`` is read from its name, such
        as ``x3.mat`` or ``9-1-5_x3.mat``: it is written nowhere else.

    Returns
    -------
    model : Model

    Raises
    ------
    InputError
        If there is no such model, or the file is damaged, or an array in it is missing,
        has the wrong shape, or is not finite.
    """
    path = shipped_models().get(str(name_or_path), Path(name_or_path))
    if not os.path.isfile(path):
        why = "that is a folder; " if os.path.isdir(path) else ""
        why = why or ("that is no ordinary file; " if os.path.exists(path) else "")
        raise InputError(
            f"there is no model {brief(str(name_or_path))}: {why}give the path of a .npz or .mat "
            f"file, or a name that `srcnn-np models` lists, such as {default_name(3)}"
        )
    try:
        return _read_mat(path) if path.suffix.lower() == ".mat" else _read_npz(path)
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def shipped_models() -> dict[str, Path]:
    """Return the name and the file of every model that comes with the package, sorted by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.npz"))}


def default_name(scale: int) -> str:
    """Return the name of the shipped model that is used if none is chosen."""
    return f"fsrcnn-x{scale}"


def default_model(scale: int) -> Model:
    """Load the shipped model that is used if none is chosen.

    Raises
    ------
    InputError
        If none is shipped for this scale.
    """
    return load_model(default_name(scale))


_A_MODEL = "a model file (.npz or .mat)"


def _read_npz(path: Path) -> Model:
    with NpzFile(path, _A_MODEL) as file:
        if "card" not in file.names:
            raise InputError(f"{path} is a .npz file, but no model: it holds no card")
        card = file.json("card")
        if not isinstance(card, dict) or card.get("format") != _FORMAT:
            raise InputError(f"{path} is no model of a format this version reads ({_FORMAT!r})")
        card.setdefault("figures", {})
        for name in ("colour", "enlargement", "training"):
            if card.get(name) is None:
                raise InputError(f"{path} is damaged: its card says no {name}")
        if card.get("predict_border") not in ("replicate", "replicate-once"):
            raise InputError(f"{path} is damaged: its card has no predict_border that is known")
        try:
            network = Sequential(_read_layers(file, card), predict_border=card["predict_border"])
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{path} is damaged: in its card {error}") from error
        network.params = {
            name: _as_float32(path, name, file.array(name, p.shape))
            for name, p in network.params.items()
        }
    known = ("scale", "colour", "enlargement", "training", "figures")
    model = Model(network, **{name: card.get(name) for name in known})
    # So the card lacks nothing, has nothing unknown, and does not contradict itself.
    if _in_order(model.card()) != _in_order(card):
        raise InputError(f"{path} is damaged: its card is not one that this version writes")
    return model


# Each kind with parameters: its name in a network, and its largest parameter's name and axes.
_SHAPES = {
    "Conv2D": ("conv", "w", ("out_channels", "in_channels", "kernel")),
    "ConvTranspose2D": ("convtranspose", "w", ("in_channels", "out_channels", "kernel")),
    "PReLU": ("prelu", "a", ("channels",)),
}


def _read_layers(file: NpzFile, card: dict) -> list[Layer]:
    """Return a card's layers, with parameters of the right shapes; the file's values come later."""
    listed = card.get("layers")
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST_LAYERS:
        raise InputError(
            f"{file.path} is damaged: its card lists no layers, or more than {_MOST_LAYERS}"
        )
    layers, turns, values = [], Counter(), 0
    for turn, entry in enumerate(listed, 1):
        settings = dict(entry) if isinstance(entry, dict) else {}
        kind = settings.pop("kind", None)
        if not isinstance(kind, str):
            raise InputError(f"{file.path} is damaged: layer {turn} of its card has no kind")
        if kind not in KINDS:
            raise InputError(
                f"{file.path} has a layer of a kind that is not known here, {brief(kind)}: define "
                "or import its class, which is derived from srcnn_np.layers.Layer, before"
            )
        if kind in _SHAPES:  # build no array of a size that the file does not have
            turns[kind] += 1
            name, param, axes = _SHAPES[kind]
            name = f"{name}{turns[kind]}"
            shape = []
            for axis in axes:
                sides = settings.get(axis)
                shape += sides if isinstance(sides, list) else [sides]
            if not all(type(n) is int for n in shape):
                raise InputError(f"{file.path} is damaged: its card has no size of {name}")
            if math.prod(shape) > _MOST_VALUES:
                raise InputError(f"{file.path} is too large: more than {_MOST_VALUES} parameters")
            file.check(f"{name}.{param}", tuple(shape))
        layer = _build_layer(kind, settings)
        if layer is None:
            raise InputError(
                f"{file.path} is damaged: layer {turn} of its card, {brief(kind)}, cannot be built "
                "from what is said there"
            )
        layers.append(layer)
        values += sum(p.size for p in layer.params.values())
        if values > _MOST_VALUES:
            raise InputError(f"{file.path} is too large: more than {_MOST_VALUES} parameters")
    return layers


def _build_layer(kind: str, settings: dict) -> Layer | None:
    """Return a layer of these settings, or None if its kind takes others."""
    try:
        layer = KINDS[kind](**settings)
        return layer if _in_order(layer.settings()) == _in_order(settings) else None
    except MemoryError:
        raise
    except Exception:  # whatever a reader's own class raises
        return None


def _check_builds_again(path: str | Path, layer: Layer) -> None:
    kind = type(layer).__name__
    if is_ours(kind) and KINDS[kind] is not type(layer):
        raise InputError(
            f"{path} is not written: the package has its own {kind}; give your class another name"
        )
    again = None
    with suppress(TypeError, ValueError):  # no JSON
        again = _build_layer(kind, json.loads(json.dumps(layer.settings())))
    shapes = ({name: p.shape for name, p in of.params.items()} for of in (layer, again or layer))
    if again is None or next(shapes) != next(shapes):
        raise InputError(
            f"{path} is not written: a {kind} cannot be built again from its settings(); let them "
            "return the arguments of its constructor, as numbers, texts, or lists of them"
        )


def _check_is_read_again(part: Path, path: str | Path, model: Model) -> None:
    """Raise an InputError if `load_model` could not read a file with a reader's own layers."""
    if all(is_ours(type(layer).__name__) for layer in model.network.layers.values()):
        return
    try:
        again = _read_npz(part).network.params
        same = all(np.array_equal(again[name], p) for name, p in model.network.params.items())
    except (ValueError, KeyError):
        same = False
    if not same:
        raise InputError(
            f"{path} is not written, as it could not be read again: files cannot hold the name of "
            "a layer's class, of one of its settings, or the shape of a parameter"
        )


def _in_order(card: dict) -> str:
    """Return JSON that is equal for equal contents: here 1 equals 1.0, but does not equal true."""
    return json.dumps(json.loads(json.dumps(card), parse_int=float), sort_keys=True)


def _read_mat(path: Path) -> Model:
    """Read a file of the authors: MATLAB arrays, whose first index runs fastest ("F" order)."""
    names = [f"{kind}_conv{turn}" for turn in (1, 2, 3) for kind in ("weights", "biases")]
    found = read_mat(path, names, _MOST_VALUES, _A_MODEL)
    arrays = {name: _as_float32(path, name, array) for name, array in found.items()}
    w1, w2, w3 = (arrays[f"weights_conv{turn}"] for turn in (1, 2, 3))
    if w2.ndim == 2:  # one filter: MATLAB drops a last axis of length 1
        w2 = w2[:, :, None]
    f1, f2, f3 = (round(taps**0.5) for taps in (w1.shape[0], w2.shape[1], w3.shape[-1]))
    n1, n2 = w1.shape[1], w2.shape[-1]
    shapes = ((f1 * f1, n1), (n1, f2 * f2, n2), (n2, f3 * f3))
    for turn, array, shape in zip((1, 2, 3), (w1, w2, w3), shapes, strict=True):
        if array.shape != shape or array.size == 0:
            raise InputError(
                f"{path} is damaged: weights_conv{turn} has shape {brief(array.shape)} instead of "
                f"{brief(shape)}"
            )
    network = SRCNN(f"{f1}-{f2}-{f3}", filters=(n1, n2))
    params = {
        "conv1.w": w1.reshape(f1, f1, 1, n1, order="F").transpose(3, 2, 0, 1),
        "conv2.w": w2.reshape(n1, f2, f2, n2, order="F").transpose(3, 0, 1, 2),
        "conv3.w": w3.reshape(1, n2, f3, f3, order="F"),
    }
    for turn in (1, 2, 3):
        params[f"conv{turn}.b"] = arrays[f"biases_conv{turn}"].reshape(-1)
    for name, p in network.params.items():
        if params[name].shape != p.shape:
            raise InputError(
                f"{path} is damaged: {name} has shape {brief(params[name].shape)} instead of "
                f"{brief(p.shape)}"
            )
    network.params = {name: np.ascontiguousarray(p) for name, p in params.items()}
    scale = re.search(r"(?:^|[^a-z\d])x([2-9])$", path.stem, re.IGNORECASE)
    return Model(network, int(scale[1]) if scale else None, training={"by": "the SRCNN authors"})


def _as_float32(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if isinstance(array, np.ndarray) and array.dtype.name in FLOATS:
        array = _float32(array)
        if np.isfinite(array).all():
            return array
    raise InputError(f"{path} is damaged: {name} does not hold finite floating-point numbers")


def _float32(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite
        return np.ascontiguousarray(array, np.float32)
