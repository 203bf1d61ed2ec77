"""Messages to people, and output streams that may close or break."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import (
    AbstractContextManager,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from typing import TextIO

from ..errors import InputError


def say(line: str = "") -> None:
    """Print a line on standard output."""
    sys.stdout.write(printable(line) + "\n")  # in one call: another process may write there too
    sys.stdout.flush()  # the reader need not wait for the next line


def notice(sentence: str) -> None:
    """Print a sentence on standard error."""
    sys.stderr.write(f"srcnn-np: {printable(sentence)}\n")


def complain(sentence: str) -> int:
    """Print a problem on standard error; return its exit code, 1."""
    notice(f"error: {sentence}")
    return 1


@contextmanager
def silent(wanted: bool) -> Iterator[None]:
    """Print nothing inside the block, if `wanted` is true."""
    if not wanted:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def listed(names: list[str], most: int = 20) -> str:
    """Return the first `most` names in a row, and how many more there are."""
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def printable(text: str) -> str:
    r"""Return a text in which control codes, and bytes that are not text, look like ``\x1b``.

    The name of a file may hold anything.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def bar(unit: str) -> Callable[[Iterable], Iterable]:
    """Return a function that shows a progress bar over things, if standard error is a terminal."""
    from tqdm import tqdm

    return lambda things: tqdm(things, unit=unit, leave=False, disable=None)


@contextmanager
def counting(count: int, unit: str) -> Iterator[Callable[[], AbstractContextManager]]:
    """Count things with a bar on a terminal; yield a function that opens a block for each thing.

    Inside such a block one may print. The bar counts one more when the block ends.
    """
    from tqdm import tqdm

    with tqdm(total=count, unit=unit, leave=False, disable=None if count > 1 else True) as shown:

        @contextmanager
        def one_more() -> Iterator[None]:
            with tqdm.external_write_mode():
                yield
            shown.update()

        yield one_more


class _Lasting:
    """A stream that drops the output that nobody can read any more, and remembers why.

    A reader that leaves early, such as `head`, does not change the files that a command writes.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = open(os.devnull, "w") if stream is None else stream  # noqa: SIM115
        if hasattr(stream, "reconfigure"):  # letters that a terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
        self.error: OSError | None = None

    def write(self, text: str | bytes) -> int:
        with self._losses():
            if isinstance(text, str):
                self._stream.write(text)
            elif hasattr(self._stream, "buffer"):
                self._stream.flush()
                self._stream.buffer.write(text)
            else:
                raise InputError("standard output takes text alone here; give a file's name")
        return len(text)

    @property
    def buffer(self) -> "_Lasting":
        """The stream for bytes."""
        return self

    def flush(self) -> None:
        with self._losses():
            self._stream.flush()

    @contextmanager
    def _losses(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            with suppress(OSError):  # the rest of its buffer is lost
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextmanager
def lasting_streams() -> Iterator[_Lasting]:
    """Let a command go on if standard output or error is closed or breaks; yield the output."""
    for number in range(3):  # a file opened later must not get the number of a closed stream
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams = [_Lasting(stream) for stream in before]
    try:
        yield streams[0]
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before
