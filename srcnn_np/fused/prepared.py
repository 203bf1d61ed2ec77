"""A network's weights, laid out as the kernels want them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .first_layer import covers as first_by_winograd
from .first_layer import first_filter_values
from .rows import packed, packed_last, padded, whole_units
from .winograd import covers as second_by_winograd
from .winograd import filter_values


class Network(NamedTuple):
    """Three layers, float32. Filters fill whole units of two vectors, the added ones being 0.

    Attributes
    ----------
    w1, w2 : (_, units, _, UNIT) or (units, _, _, UNIT) array
        By Winograd at every place (`first_filter_values`, `filter_values`), or `packed`.
    b1, b2 : (filters,) array
    w3 : (1, f3, f3 * channels) array
    b3 : (1,) array
    f1, f2, f3 : int
        Sides of the filters.
    """

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    b3: np.ndarray
    f1: int
    f2: int
    f3: int


def prepare(ws: Sequence[np.ndarray], bs: Sequence[np.ndarray]) -> Network:
    """From three arrays w (K, C, f, f) and b (K,)."""
    w1, w2, w3 = ws
    f1, f2, f3 = (w.shape[2] for w in ws)
    channels1, channels2 = whole_units(len(w1)), whole_units(len(w2))
    return Network(
        first_filter_values(w1) if first_by_winograd.py_func(f1) else packed(w1, 1),
        padded(bs[0], channels1),
        filter_values(w2, channels1) if second_by_winograd.py_func(f2) else packed(w2, channels1),
        padded(bs[1], channels2),
        packed_last(w3, channels2),
        np.ascontiguousarray(bs[2]),
        f1,
        f2,
        f3,
    )
