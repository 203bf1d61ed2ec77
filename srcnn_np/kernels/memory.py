"""Arrays that a thread uses again and again.

New memory costs as much as a lot of arithmetic: the system clears each page before it gives it.
Memory that a kernel needs only while it runs comes from here, and is kept while the thread lives.
"""

import math
import threading

import numpy as np

from .layouts import aligned

_own = threading.local()


def buffer(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the calling thread's float32 array of that name, with what was left in it."""
    count = math.prod(shape)
    arrays = _own.__dict__
    if name not in arrays or arrays[name].size < count:
        arrays.pop(name, None)  # freed before a larger one is made
        arrays[name] = aligned((count,))
    return arrays[name][:count].reshape(shape)
