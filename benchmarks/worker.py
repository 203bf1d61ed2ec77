"""A process that does one contestant's task whenever it is told to.

Each contestant has a process of its own, because the environment variables that tune one
contestant, and its threads, must not affect another. Messages are pickled tuples on standard input
and output.
"""

import ctypes
import gc
import os
import pickle
import sys
import time
from contextlib import suppress
from pathlib import Path

from .contestants import CONTESTANTS, THREADS, Absent
from .tasks import Task

# Seconds for waking a processor, which is slow after a rest, and for repeating a short task.
WAKING, LEAST = 0.1, 0.05


def main() -> None:
    """Serve the requests of `race.Worker`."""
    # What a library prints must not get between the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    contestant = CONTESTANTS[sys.argv[1]]
    run = None
    while True:
        try:
            what, *arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if what == "build":
                run, reply = build(contestant, *arguments)
            else:
                reply = seconds(run)
            answer = ("done", reply)
        except Absent as absent:
            answer = ("absent", str(absent))
        except Exception as error:
            answer = ("failed", f"{type(error).__name__}: {error}".partition("\n")[0])
        pickle.dump(answer, replies)
        replies.flush()


def build(contestant, task: Task):
    """Return a function that does the task, and the first run's result, memory and threads.

    Memory is how many bytes the process grew by, at its largest, result included. Before that, the
    contestant does a small task of the same kind, so that its libraries are loaded and its code is
    compiled; memory that is free then is given back.
    """
    contestant.build(task.small)()
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)

    def build_and_run():
        run = contestant.build(task)
        return run, run()

    (run, result), used = with_memory(build_and_run)
    return run, (result, used, threads())


def with_memory(run):
    """Return a function's result, and the bytes by which the process grew at its largest."""
    before = memory("VmRSS")
    if before is None:
        return run(), None
    Path("/proc/self/clear_refs").write_text("5")  # count the largest size anew
    result = run()
    return result, memory("VmHWM") - before


def threads() -> int | None:
    """Return how many threads the library that runs here says it has."""
    if "torch" in sys.modules:
        return sys.modules["torch"].get_num_threads()
    if {"onnxruntime", "openvino", "MNN", "ncnn", "cv2"} & set(sys.modules):
        return THREADS  # as they were told
    return sys.modules["srcnn_np.conv.threads"].THREADS


def memory(what: str) -> int | None:
    """Return bytes of this process: "VmRSS" now, "VmHWM" at its largest; None without Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024


def seconds(run) -> float:
    """Return a run's mean time, after runs that wake processors and threads, and fill caches."""
    start = time.perf_counter()
    while time.perf_counter() < start + WAKING:
        run()
    runs, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < LEAST:
        run()
        runs += 1
    return passed / runs


if __name__ == "__main__":
    main()
