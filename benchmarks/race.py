"""Timing contestants against each other: in turn, each in a process of its own.

Machines are noisy: other work comes and goes, clocks rise and fall. So nobody is timed
alone. In each round every contestant runs once, A B C A B C ..., and what counts is the
ratio of two times within a round; the median over rounds is reported, and the quarters
around it.
"""

import os
import pickle
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from .contestants import CONTESTANTS, Task

# Threads of other processes that spin while waiting for work have stopped after this long.
_PAUSE = 0.05


@dataclass
class Result:
    """One contestant's part in a race.

    Attributes
    ----------
    seconds : list of float
        One a round; empty for one that did not take part.
    absent : str
        Why not.
    difference : float
        Largest difference from the first contestant's result, relative to its size.
    """

    seconds: list[float] = field(default_factory=list)
    absent: str = ""
    difference: float = 0.0


class Worker:
    """A process of `benchmarks.worker`."""

    def __init__(self, name: str) -> None:
        environment = {**os.environ, **CONTESTANTS[name][1]}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def ask(self, *request: object) -> tuple[str, object]:
        """Send a request; ("done", reply), ("absent", why) or ("failed", why)."""
        try:
            pickle.dump(request, self.process.stdin)
            self.process.stdin.flush()
            return pickle.load(self.process.stdout)
        except (EOFError, BrokenPipeError):
            return "failed", f"its process ended with {self.process.wait()}"

    def end(self) -> None:
        """Let the process go."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def race(task: Task, names: list[str], rounds: int, tolerance: float = 1e-3) -> dict[str, Result]:
    """Time contestants on one task.

    Parameters
    ----------
    task : Task
    names : list of str
        Of `CONTESTANTS`. All must give what the first gives.
    rounds : int
    tolerance : float
        On the difference of results, relative to their largest value.

    Returns
    -------
    results : dict of str to Result

    Raises
    ------
    AssertionError
        If two contestants do not compute the same.
    """
    results = {name: Result() for name in names}
    workers, reference = {}, None
    for name in names:
        worker = Worker(name)
        what, reply = worker.ask("build", name, task)
        if what != "done":
            results[name].absent = str(reply)
            worker.end()
            continue
        workers[name] = worker
        arrays = [np.asarray(a, float) for a in (reply if isinstance(reply, list) else [reply])]
        if reference is None:
            reference = arrays
        for a, b in zip(arrays, reference, strict=True):
            assert a.shape == b.shape, f"{name} gives {a.shape}, {names[0]} {b.shape}"
            difference = float(np.abs(a - b).max() / np.abs(b).max())
            assert difference < tolerance, f"{name} differs from {names[0]} by {difference:.1e}"
            results[name].difference = max(results[name].difference, difference)
    everybody = list(workers.values())
    try:
        for _ in range(rounds):
            for name, worker in workers.items():
                time.sleep(_PAUSE)
                what, reply = worker.ask("time")
                if what == "done":
                    results[name].seconds.append(reply)
                else:  # such as killed, because all of them together need too much memory
                    results[name] = Result(absent=str(reply))
            workers = {name: w for name, w in workers.items() if not results[name].absent}
    finally:
        for worker in everybody:
            worker.end()
    return results


def peak_memory(task: Task, name: str) -> float | None:
    """Bytes by which doing a task raises its process's largest memory, or None if absent.

    The contestant has done a task of the same kind on a small picture before, so that its
    libraries are loaded and its code compiled.
    """
    worker = Worker(name)
    try:
        small = type(task)(task.structure, 64, 64)
        if worker.ask("build", name, small)[0] != "done":
            return None
        before = worker.ask("memory")[1]
        what, _ = worker.ask("build and forget", name, task)
        return worker.ask("memory")[1] - before if what == "done" else None
    finally:
        worker.end()


def machine_rates() -> dict[str, float]:
    """What this machine can do, in GFLOP/s: fused multiply-adds, and SGEMM at 2048."""
    a = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    a @ a
    times = []
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    from .peak import fused_multiply_adds

    return {"FMA": fused_multiply_adds(), "SGEMM": 2 * 2048**3 / min(times) / 1e9}
