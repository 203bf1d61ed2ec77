"""End when asked: by Ctrl-C, a scheduler or container (SIGTERM), a closed terminal (SIGHUP).

A signal that was ignored before, as SIGHUP is under nohup, stays ignored.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Stopped(KeyboardInterrupt):
    """A signal asks the program to end.

    Parameters
    ----------
    number : int
        The signal's number.
    message : str
        What was interrupted, and how to go on.

    Attributes
    ----------
    code : int
        The exit code that tells a shell of the signal: 130 (Ctrl-C), 143 (SIGTERM), 129 (SIGHUP).
    """

    def __init__(self, number: int, message: str = "interrupted") -> None:
        super().__init__(message)
        self.number = number
        self.code = 128 + number


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """Make every signal raise `Stopped` at once, so that the program cleans up and ends."""

    def stop(number: int, _: object) -> None:
        raise Stopped(number)

    with _handled_by(stop):
        yield


@contextmanager
def stopped_when_asked() -> Iterator[Callable[[], int | None]]:
    """Only remember the signals; the block asks for them, and ends when that does no harm.

    Yields
    ------
    asked : function
        Returns the number of the first signal that came, or None.

    Notes
    -----
    A second Ctrl-C is from somebody who will not wait: it raises `Stopped` at once. Signals go to
    the main thread; in another thread, `asked` returns None.
    """
    came: list[int] = []

    def remember(number: int, _: object) -> None:
        impatient = number == signal.SIGINT and signal.SIGINT in came
        came.append(number)
        if impatient:
            raise Stopped(number)

    with _handled_by(remember):
        yield lambda: came[0] if came else None


@contextmanager
def _handled_by(handle: Callable[[int, object], None]) -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in _SIGNALS}
    # None stands for a handler that is not written in Python.
    before = {n: old for n, old in before.items() if old not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, handle)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
