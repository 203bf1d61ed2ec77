"""The backends by name, and the arrays that each accepts."""

from importlib import import_module
from types import ModuleType

import numpy as np

_MODULES = {"naive": ".naive", "im2col": ".columns", "numba": ".compiled"}
_DTYPES = {
    "naive": ("float32", "float64", "complex128"),
    "im2col": ("float32", "float64", "complex128"),
    "numba": ("float32", "float64"),
}
BACKENDS = tuple(_MODULES)


def implementation_of(backend: str, x: np.ndarray, w: np.ndarray, channels: int) -> ModuleType:
    """Return a backend's module, if it can compute with pictures x and filters w.

    Parameters
    ----------
    backend : str
    x, w : array
    channels : int
        The axis of w that counts the channels of x.

    Raises
    ------
    ValueError
        If there is no such backend, or the shapes do not fit together.
    TypeError
        If the backend cannot compute with x's dtype.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    if x.ndim != 4 or w.ndim != 4:
        filters = "(K, C, kh, kw)" if channels == 1 else "(C, K, kh, kw)"
        raise ValueError(
            f"x has shape {x.shape} and w {w.shape}: give x as (N, C, H, W), w as {filters}"
        )
    if 0 in x.shape or 0 in w.shape:
        raise ValueError(f"x has shape {x.shape} and w {w.shape}: neither may be empty")
    if x.shape[1] != w.shape[channels]:
        raise ValueError(f"x has {x.shape[1]} channels, but the filters in w {w.shape[channels]}")
    if x.dtype.name not in _DTYPES[backend] or not x.dtype.isnative:
        raise TypeError(
            f"the {backend} backend computes with {', '.join(_DTYPES[backend])}, not {x.dtype}"
        )
    # Imported here, so that Numba is loaded only where it is used.
    return import_module(_MODULES[backend], __package__)


def check_biases(b: np.ndarray, count: int) -> None:
    """Raise a ValueError unless there is one bias for each of y's channels."""
    if b.shape != (count,):
        raise ValueError(f"b has shape {b.shape}, but {count} filters need ({count},)")


def check_same_dtype(**arrays: np.ndarray) -> None:
    """Raise a TypeError unless all arrays, given by name, have one dtype."""
    if len({a.dtype for a in arrays.values()}) > 1:
        found = ", ".join(f"{name} {a.dtype}" for name, a in arrays.items())
        raise TypeError(f"the arrays differ in dtype ({found}): convert them to one")
