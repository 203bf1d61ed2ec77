"""Keeping compiled kernels only as long as their source is what it was.

Numba keeps what it compiled, and compiles anew when a function's own file has changed, but not
when a file has from which that function calls others. Here they all go together.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

from .switches import switches


@lru_cache
def forget_stale(folder: str) -> None:
    """Empty Numba's cache for this package, in that folder, unless it was made from its source."""
    digest = hashlib.sha256(repr(switches()).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    stamp = Path(folder, "made-from")
    try:
        if not stamp.exists() or stamp.read_text() != digest.hexdigest():
            for index in Path(folder).glob("*.nbi"):
                index.unlink(missing_ok=True)
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.write_text(digest.hexdigest())
    except OSError:  # a folder nobody may write to: nothing is kept there either
        return
