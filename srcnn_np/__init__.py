"""SRCNN in NumPy and Numba, every gradient written by hand.

A name is loaded when it is first used, so that importing the package costs nothing.

The words of the field are explained in docs/glossary.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # only type checkers and editors read this
    from .data import draw_pictures as draw_pictures
    from .errors import InputError as InputError
    from .evaluation import evaluate as evaluate
    from .layers import ClippedLeakyReLU as ClippedLeakyReLU
    from .layers import Conv2D as Conv2D
    from .layers import ConvTranspose2D as ConvTranspose2D
    from .layers import LeakyReLU as LeakyReLU
    from .layers import PReLU as PReLU
    from .layers import ReLU as ReLU
    from .loss import mse_backward as mse_backward
    from .loss import mse_forward as mse_forward
    from .model import Model as Model
    from .model import default_model as default_model
    from .model import load_model as load_model
    from .model import save_model as save_model
    from .network import FSRCNN as FSRCNN
    from .network import SRCNN as SRCNN
    from .network import Sequential as Sequential
    from .optim import SGD as SGD
    from .optim import Adam as Adam
    from .optim import Muon as Muon
    from .recipe import RECIPES as RECIPES
    from .recipe import Recipe as Recipe
    from .training import train as train
    from .upscaling import upscale as upscale

__version__ = "0.1.0"

_HOME = {
    "SRCNN": "network",
    "FSRCNN": "network",
    "Sequential": "network",
    "Conv2D": "layers",
    "ConvTranspose2D": "layers",
    "ReLU": "layers",
    "PReLU": "layers",
    "LeakyReLU": "layers",
    "ClippedLeakyReLU": "layers",
    "mse_forward": "loss",
    "mse_backward": "loss",
    "SGD": "optim",
    "Adam": "optim",
    "Muon": "optim",
    "Model": "model",
    "load_model": "model",
    "save_model": "model",
    "default_model": "model",
    "train": "training",
    "Recipe": "recipe",
    "RECIPES": "recipe",
    "upscale": "upscaling",
    "evaluate": "evaluation",
    "draw_pictures": "data",
    "InputError": "errors",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
