"""Models: a network together with what it was made for, and the files that hold one.

A model file is a NumPy ``.npz``: one array a parameter ("conv1.w", "conv1.b", ...)
and a "card", a JSON text that says how to build the network and how it came about.
The SRCNN authors' MATLAB ``.mat`` files are read as well.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from .errors import InputError
from .imaging.resize import Enlargement
from .layers import ClippedLeakyReLU, Conv2D, Layer, LeakyReLU, ReLU
from .network import SRCNN, Sequential
from .output import writing

_FORMAT = "srcnn_np model 1"
_KINDS: dict[str, type[Layer]] = {
    kind.__name__: kind for kind in (Conv2D, ReLU, LeakyReLU, ClippedLeakyReLU)
}
_SHIPPED = Path(__file__).parent / "models"


@dataclass
class Model:
    """A network and what one must know to use it on pictures.

    Attributes
    ----------
    network : Sequential
    scale : int or None
        The enlargement it was trained for; None where nobody knows.
    colour : "luma" or "ycbcr"
        What its channels are.
    enlargement : "bicubic" or "nearest"
        How a small picture is enlarged before the network sees it.
    training : dict
        How it was trained, for people to read.
    figures : dict
        What the paper's protocol measured, ``{"Set5": {"psnr", "ssim"}, ...}``, PSNR in dB.
    """

    network: Sequential
    scale: int | None
    colour: Literal["luma", "ycbcr"] = "luma"
    enlargement: Enlargement = "bicubic"
    training: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        channels = {"luma": 1, "ycbcr": 3}.get(self.colour)
        if channels is None:
            raise InputError(f"unknown colour {self.colour!r}: choose luma or ycbcr")
        if self.network.channels != (channels, channels):
            raise InputError(
                f"a model for {self.colour} has {channels} channels in and out, but this "
                f"network has {self.network.channels[0]} and {self.network.channels[1]}"
            )
        if not self.network.keeps_size:
            raise InputError("a model's network keeps a picture's size, so it has no stride")
        if self.enlargement not in ("bicubic", "nearest"):
            raise InputError(f"unknown enlargement {self.enlargement!r}: choose bicubic or nearest")
        if self.scale is not None and not (isinstance(self.scale, int) and self.scale >= 1):
            raise InputError(f"a scale is a whole number of at least 1, not {self.scale!r}")

    def card(self) -> dict:
        """All but the parameters, as a dictionary for JSON."""
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
        """The network's result of an enlarged picture, as `Sequential.predict`.

        Raises
        ------
        InputError
            If the picture holds values that are not finite; or the result does: then the
            weights are no use.
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
    """The values, or an InputError where one of them is not finite."""
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
        Put into the file as well; `load_model` takes no notice of it.

    Raises
    ------
    InputError
        If the name ends otherwise, the file exists, or it cannot be written; or a
        parameter is not finite.
    """
    if Path(path).suffix != ".npz":
        raise InputError(f"{path}: a model file's name ends in .npz")
    for name, p in model.network.params.items():
        if not np.isfinite(p).all():
            raise InputError(f"{path} is not written: {name} holds values that are not finite")
    with writing(path, force=force) as part:
        card = np.array(json.dumps(model.card()))
        np.savez_compressed(part, card=card, **model.network.params, **(more or {}))


def load_model(name_or_path: str | Path) -> Model:
    """A shipped model by name, or any model file by path.

    Parameters
    ----------
    name_or_path : str or Path
        A name that `shipped_models` lists, or the path of a ``.npz`` this package
        wrote or a ``.mat`` of the SRCNN authors. The scale of a ``.mat`` is read from its
        name, such as ``x3.mat`` or ``9-1-5_x3.mat``, as it is written nowhere else.

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
    if not path.is_file():
        names = ", ".join(shipped_models())
        why = "that is a folder; " if path.is_dir() else ""
        raise InputError(
            f"there is no model {str(name_or_path)!r}: {why}give the path of a .npz or .mat file, "
            f"or one of {names}"
        )
    try:
        return _read_mat(path) if path.suffix.lower() == ".mat" else _read_npz(path)
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: no permission") from error
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # zip, NumPy, SciPy and JSON each raise their own
        raise InputError(f"{path} is not a model file (.npz or .mat), or damaged") from error


def shipped_models() -> dict[str, Path]:
    """Name and file of every model that comes with the package, in order of name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.npz"))}


def default_name(scale: int) -> str:
    """Name of the shipped model that is used where none is chosen."""
    return f"9-5-5-x{scale}"


def default_model(scale: int) -> Model:
    """The shipped model that is used where none is chosen.

    Raises
    ------
    InputError
        If none is shipped for this scale.
    """
    return load_model(default_name(scale))


def _read_npz(path: Path) -> Model:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if "card" not in arrays:
        raise InputError(f"{path} is a .npz file, but no model: it holds no card")
    card = json.loads(str(arrays.pop("card")))
    if not isinstance(card, dict) or card.get("format") != _FORMAT:
        raise InputError(f"{path} is no model of a format this version reads ({_FORMAT!r})")
    try:
        # The shapes are compared before anything of the size a card claims is built.
        convs = [layer for layer in card["layers"] if layer["kind"] == "Conv2D"]
        for turn, conv in enumerate(convs, 1):
            K, C = conv["out_channels"], conv["in_channels"]
            _check_array(path, arrays, f"conv{turn}.w", (K, C, *conv["kernel"]))
            _check_array(path, arrays, f"conv{turn}.b", (K,))
        network = Sequential(
            [_build_layer(settings) for settings in card["layers"]],
            predict_border=card["predict_border"],
        )
        network.params = {name: arrays[name] for name in network.params}
        return Model(
            network,
            card["scale"],
            card["colour"],
            card["enlargement"],
            card["training"],
            card.get("figures", {}),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} has a card that describes no network ({error!r})") from error


def _build_layer(settings: dict) -> Layer:
    settings = dict(settings)
    return _KINDS[settings.pop("kind")](**settings)


def _read_mat(path: Path) -> Model:
    """The authors' files: MATLAB arrays, whose first index runs fastest ("F" order)."""
    from scipy.io import loadmat  # slow to import, and seldom needed

    # MATLAB stores whole numbers in fewer bytes; mat_dtype makes them doubles again.
    arrays = loadmat(path, appendmat=False, mat_dtype=True)
    for turn in (1, 2, 3):
        for name in (f"weights_conv{turn}", f"biases_conv{turn}"):
            if name not in arrays:
                raise InputError(f"{path} holds no array {name}: it is no SRCNN of the authors'")
    w1, w2, w3 = (arrays[f"weights_conv{turn}"] for turn in (1, 2, 3))
    if w2.ndim == 2:  # one filter: MATLAB drops a last axis of length 1
        w2 = w2[:, :, None]
    f1, f2, f3 = (round(taps**0.5) for taps in (w1.shape[0], w2.shape[1], w3.shape[-1]))
    n1, n2 = w1.shape[1], w2.shape[-1]
    shapes = ((f1 * f1, n1), (n1, f2 * f2, n2), (n2, f3 * f3))
    for turn, array, shape in zip((1, 2, 3), (w1, w2, w3), shapes, strict=True):
        name = f"weights_conv{turn}"
        _check_array(path, {name: array}, name, shape)
    network = SRCNN(f"{f1}-{f2}-{f3}", filters=(n1, n2))
    params = {
        "conv1.w": w1.reshape(f1, f1, 1, n1, order="F").transpose(3, 2, 0, 1),
        "conv2.w": w2.reshape(n1, f2, f2, n2, order="F").transpose(3, 0, 1, 2),
        "conv3.w": w3.reshape(1, n2, f3, f3, order="F"),
    }
    for turn in (1, 2, 3):
        params[f"conv{turn}.b"] = arrays[f"biases_conv{turn}"].reshape(-1)
    for name, expected in network.params.items():
        _check_array(path, params, name, expected.shape)
    network.params = params
    scale = re.search(r"(?:^|[^a-z\d])x([2-9])$", path.stem, re.IGNORECASE)
    return Model(network, int(scale[1]) if scale else None, training={"by": "the SRCNN authors"})


def _check_array(path: Path, arrays: dict[str, np.ndarray], name: str, shape: tuple) -> None:
    """Make sure of an array, and convert it to float32."""
    if name not in arrays:
        raise InputError(f"{path} is damaged: the array {name} is missing")
    array = arrays[name]
    if array.shape != shape:
        raise InputError(f"{path} is damaged: {name} has shape {array.shape} instead of {shape}")
    if np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):  # too large for float32 is not finite
            arrays[name] = np.ascontiguousarray(array, np.float32)
        if np.isfinite(arrays[name]).all():
            return
    raise InputError(f"{path} is damaged: {name} does not hold finite floating-point numbers")
