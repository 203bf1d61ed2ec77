"""SRCNN in NumPy and Numba, every gradient written by hand.

Names are loaded when first used, so that importing the package costs nothing.

The words of the field are explained in docs/glossary.md.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "SRCNN": "network",
    "Sequential": "network",
    "Conv2D": "layers",
    "ReLU": "layers",
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
