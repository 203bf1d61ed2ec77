"""Timing contestants against each other: in turn, each in a process of its own.

Machines are noisy: other work comes and goes, clocks rise and fall. So no contestant is timed
alone. In each round every contestant runs once, A B C A B C ... Only the ratio of two
times within a round counts; the median over rounds is reported, with the quartiles.
"""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import numpy as np

from .contestants import ALL_THREADS, CONTESTANTS
from .tasks import Task

# Seconds after which other processes' threads that spin while they wait for work have stopped.
PAUSE = 0.25


class DisagreementError(Exception):
    """Two contestants do not compute the same."""


@dataclass(frozen=True)
class Entry:
    """What takes part in a race: a label in the table, one of `CONTESTANTS`, and the task."""

    label: str
    contestant: str
    task: Task


@dataclass
class Result:
    """How an entry did in a race.

    Attributes
    ----------
    seconds : list of float
        One for each round; empty if it did not take part.
    why : str
        Why it did not take part.
    failed : bool
        Whether it failed, rather than being not installed or not meant for the task.
    memory, threads : int or None
        How many bytes it took (see `worker.build`), and how many threads it says it has.
    difference : float
        Largest difference from the first contestant's result, divided by that result's largest
        value.
    """

    seconds: list[float] = field(default_factory=list)
    why: str = ""
    failed: bool = False
    memory: int | None = None
    threads: int | None = None
    difference: float = 0.0


class Worker:
    """A process of `benchmarks.worker`."""

    def __init__(self, contestant: str) -> None:
        special = CONTESTANTS[contestant].environment
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", contestant],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ALL_THREADS, **special},
        )

    def send(self, *request: object) -> None:
        """Send it a request."""
        with suppress(BrokenPipeError):
            pickle.dump(request, self.process.stdin)
            self.process.stdin.flush()

    def receive(self) -> tuple[str, object]:
        """Return its answer: ("done", reply), ("absent", why) or ("failed", why)."""
        try:
            return pickle.load(self.process.stdout)
        except EOFError:
            return "failed", f"its process ended with {self.process.wait()}"

    def end(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()  # nobody reads what it may be writing
        self.process.wait()


def race(entries: Sequence[Entry], rounds: int) -> list[Result]:
    """Time contestants.

    Parameters
    ----------
    entries : list of Entry
        Entries with the same task must give the result of the first of them, each to its own
        tolerance.
    rounds : int

    Returns
    -------
    results : list of Result
        One for each entry.

    Raises
    ------
    DisagreementError
        If two contestants do not compute the same.
    """
    results = [Result() for _ in entries]
    references: dict[Task, list[np.ndarray]] = {}
    with ExitStack() as stack:
        workers = []
        for entry in entries:
            workers.append(Worker(entry.contestant))
            stack.callback(workers[-1].end)
            workers[-1].send("build", entry.task)
        for entry, worker, result in zip(entries, workers, results, strict=True):
            what, reply = worker.receive()
            if what != "done":
                result.why, result.failed = str(reply), what == "failed"
                worker.end()
                continue
            arrays, result.memory, result.threads = reply
            arrays = [np.asarray(a) for a in (arrays if isinstance(arrays, list) else [arrays])]
            reference = references.setdefault(entry.task, arrays)
            result.difference = _difference(arrays, reference)
            if not result.difference < CONTESTANTS[entry.contestant].tolerance:
                raise DisagreementError(
                    f"{entry.label} gives another result: it differs by {result.difference:.1e}"
                )
        for _ in range(rounds):
            for worker, result in zip(workers, results, strict=True):
                if result.why:
                    continue
                time.sleep(PAUSE)
                worker.send("time")
                what, reply = worker.receive()
                if what == "done":
                    result.seconds.append(reply)
                else:  # for example killed, as all processes together need too much memory
                    result.seconds, result.why, result.failed = [], str(reply), True
    return results


def _difference(arrays: list[np.ndarray], reference: list[np.ndarray]) -> float:
    if [a.shape for a in arrays] != [a.shape for a in reference]:
        return np.inf
    pairs = list(zip(arrays, reference, strict=True))
    # NumPy's max is NaN if any number is.
    return float(np.max([np.abs(a - b).max() / np.abs(b).max() for a, b in pairs]))
