"""Arrays that a thread uses again and again.

Memory that is new costs as much as much arithmetic: the system gives it page by page, each cleared.
What a kernel needs only while it runs comes from here, and is kept as long as its thread lives.
"""

import math
import threading

import numpy as np

from .layouts import aligned

_own = threading.local()


def buffer(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of that name of the calling thread's own, float32, with what was left in it."""
    count = math.prod(shape)
    arrays = _own.__dict__
    if name not in arrays or arrays[name].size < count:
        arrays.pop(name, None)  # before there is a larger one
        arrays[name] = aligned((count,))
    return arrays[name][:count].reshape(shape)
