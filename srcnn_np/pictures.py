"""Pictures of 8 bits in one array, for kernels, and for all processes of a machine."""

import errno
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import InputError
from .team import ALONE, Team


class Pictures(Sequence):
    """Pictures of 8 bits in one array; each picture is stored plane by plane.

    Parameters
    ----------
    pixels : (M,) uint8 array
    shapes : list of (H, W) or (H, W, C)
    starts : list of int
        The index in `pixels` where each picture begins.
    names : list of str, optional
        The names of the pictures' files.

    Notes
    -----
    An index gives one picture, and a slice gives several. All are views.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        shapes: Sequence[tuple[int, ...]],
        starts: Sequence[int],
        names: Sequence[str] = (),
    ) -> None:
        self.pixels, self.shapes, self.starts = pixels, list(shapes), list(starts)
        self.names = list(names)

    @classmethod
    def of(cls, pictures: Iterable[np.ndarray]) -> "Pictures":
        """Return `Pictures` as they are; copy other (H, W) or (H, W, C) arrays.

        Raises
        ------
        TypeError
            If one is not uint8.
        """
        if isinstance(pictures, Pictures):
            return pictures
        pictures = list(pictures)
        for picture in pictures:
            if picture.dtype != np.uint8:
                raise TypeError(f"the picture is {picture.dtype}; give uint8")
        shapes = [picture.shape for picture in pictures]
        starts, count = _one_after_the_other(shapes)
        copies = cls(np.empty(count, np.uint8), shapes, starts)
        for copy, picture in zip(copies, pictures, strict=True):
            copy[...] = picture
        return copies

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, which: int | slice) -> "np.ndarray | Pictures":
        if isinstance(which, slice):
            return self.some(range(len(self))[which])
        shape, start = self.shapes[which], self.starts[which]
        planes = self.pixels[start : start + math.prod(shape)]
        if len(shape) == 2:
            return planes.reshape(shape)
        return np.moveaxis(planes.reshape(shape[2], *shape[:2]), 0, 2)

    def some(self, which: Iterable[int]) -> "Pictures":
        """Return the pictures with these numbers."""
        which = list(which)
        shapes, starts = [self.shapes[n] for n in which], [self.starts[n] for n in which]
        return Pictures(self.pixels, shapes, starts, [self.names[n] for n in which if self.names])


def room_for(shapes: Sequence[tuple[int, ...]], machine: Team = ALONE) -> Pictures:
    """Return room for pictures of these shapes; all processes of a machine share this room.

    For one process alone, the room is in memory, if twice as much is free. Otherwise it is a file
    without a name in the folder for temporary files (TMPDIR), which the system may keep in memory.

    Raises
    ------
    InputError
        If there is not enough room in that folder.
    """
    starts, count = _one_after_the_other(shapes)
    if machine.size == 1 and count <= _free_memory() / 2:
        return Pictures(np.empty(count, np.uint8), shapes, starts)
    return Pictures(np.frombuffer(_mapped(count, machine), np.uint8, count), shapes, starts)


def _one_after_the_other(shapes: Sequence[tuple[int, ...]]) -> tuple[list[int], int]:
    """Return where each picture begins, and where the last ends."""
    ends = [0]
    for shape in shapes:
        ends.append(ends[-1] + math.prod(shape))
    return ends[:-1], ends[-1]


def _mapped(count: int, machine: Team) -> mmap.mmap:
    """Map a file without a name into the memory of all processes of the machine."""
    path = _file_of(max(1, count)) if machine.rank == 0 else None
    try:
        path = machine.told(path)
        with open(path, "r+b") as file:
            memory = mmap.mmap(file.fileno(), max(1, count))
        machine.wait()  # until all have it
    finally:
        if machine.rank == 0:
            with suppress(OSError):  # Windows keeps a file that is in use
                os.unlink(path)
    return memory


def _file_of(count: int) -> str:
    """Make a temporary file of `count` bytes; return its path."""
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    if free > count:
        number, path = tempfile.mkstemp(prefix="srcnn_np-pictures-")
        try:
            with os.fdopen(number, "wb") as file:
                _keep_free(file, count)
            return path
        except BaseException as error:
            with suppress(OSError):
                os.unlink(path)
            if getattr(error, "errno", None) not in _FULL:
                raise
            free = shutil.disk_usage(folder).free  # another process took it, or there is a quota
    raise InputError(
        f"the pictures take {count / 1e6:,.1f} MB, and {folder} lacks {(count - free) / 1e6:,.1f} "
        "of them; give fewer pictures, or set the variable TMPDIR to a folder with more room"
    )


_FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG


def _keep_free(file: BinaryIO, count: int) -> None:
    """Make a file of `count` bytes, and reserve its room on the disk if the system can do that."""
    try:
        os.posix_fallocate(file.fileno(), 0, count)
    except (AttributeError, OSError) as error:
        if getattr(error, "errno", None) in _FULL:
            raise
        file.truncate(count)


def _free_memory() -> float:
    """Return how many bytes this process may still take; infinite if the system does not say."""
    free = math.inf
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024 * int(next(n.split()[1] for n in lines if n.startswith("MemAvailable")))
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            group = line.split(":", 2)[2].lstrip("/")
            for folder in (Path("/sys/fs/cgroup", group), Path("/sys/fs/cgroup/memory", group)):
                free = min(free, _free_in_group(folder))
    return free


def _free_in_group(folder: Path) -> float:
    """Return the bytes that a control group (of a container or batch job) still gives."""
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):  # "max" is no limit
            most, now = (int((folder / name).read_text()) for name in (limit, used))
            rows = dict(row.split() for row in (folder / "memory.stat").read_text().splitlines())
            return most - now + int(rows.get(cache, 0))  # cached files may be dropped
    return math.inf
