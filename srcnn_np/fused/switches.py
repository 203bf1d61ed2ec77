"""The environment variables by which tests and benchmarks compile the kernels otherwise.

Changing one compiles anew.
"""

import os

from ..errors import InputError

# Each variable's values; the first is meant where it is not set, or empty.
_VALUES = {
    # Which of the first two layers may use Winograd's convolution.
    "SRCNN_NP_WINOGRAD": ("both", "first", "none"),
    # Whether kernels check that they stay inside their arrays, see simd.py.
    "SRCNN_NP_CHECK_BOUNDS": ("0", "1"),
}


def switches() -> dict[str, str]:
    """What the variables say.

    Raises
    ------
    InputError
        If one says something else than it may.
    """
    found = {}
    for name, values in _VALUES.items():
        found[name] = os.environ.get(name) or values[0]
        if found[name] not in values:
            raise InputError(
                f"the environment variable {name} is {found[name]!r:.50}; unset it, or give one of "
                f"{', '.join(values)}"
            )
    return found
