"""A process that does one contestant's task whenever it is told to.

Each contestant has a process of its own, because environment variables that tune one
must not touch another, and a library's threads must not either. Messages are
pickled tuples on standard input and output.
"""

import pickle
import resource
import sys
import time

from .contestants import CONTESTANTS, Absent


def main() -> None:
    """Serve the requests of `race.Worker`."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints must not get between the replies
    run = None
    while True:
        try:
            what, *arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            if what == "build":
                name, task = arguments
                run = CONTESTANTS[name][0](task)
                reply = run()
            elif what == "time":
                run()  # wakes threads and fills caches
                start = time.perf_counter()
                run()
                reply = time.perf_counter() - start
            elif what == "build and forget":
                name, task = arguments
                CONTESTANTS[name][0](task)()
                reply = None
            elif what == "memory":
                reply = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            replies.write(pickle.dumps(("done", reply)))
        except Absent as absent:
            replies.write(pickle.dumps(("absent", str(absent))))
        except Exception as error:
            replies.write(pickle.dumps(("failed", f"{type(error).__name__}: {error}")))
        replies.flush()


if __name__ == "__main__":
    main()
