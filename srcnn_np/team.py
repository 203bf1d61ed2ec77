"""The processes that work together: one alone, or the ranks that `mpiexec` started.

Every rank runs the same program. Only its number differs, and with it its share of the work.
`docs/scaling.md` draws who holds what.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import InputError

if TYPE_CHECKING:
    import numpy as np

# MPICH, Open MPI and srun say here how many processes were started, and which this one is.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")

PATIENCE = 1.0  # seconds that all processes have to end together


class Team:
    """One process alone.

    Attributes
    ----------
    rank, size : int
        The process's number, from 0 on, and the number of processes.
    """

    rank, size = 0, 1

    def share(self, count: int) -> slice:
        """Return which of `count` things are this process's: an equal share, side by side."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def deal(self, costs: Sequence[float]) -> list[int]:
        """Return each thing's owner: the costliest thing left goes to the least loaded process."""
        loads, owners = [0.0] * self.size, [0] * len(costs)
        for n in sorted(range(len(costs)), key=lambda n: -costs[n]):
            owners[n] = loads.index(min(loads))
            loads[owners[n]] += costs[n]
        return owners

    def add_up(self, numbers: "np.ndarray") -> None:
        """Replace numbers (M,) by their sums over all processes, the same bits in each."""

    def gather(self, thing: Any) -> list:
        """Return every process's `thing`, by rank."""
        return [thing]

    def told(self, thing: Any) -> Any:
        """Return rank 0's `thing`."""
        return thing

    def by_first(self, work: Callable[[], Any]) -> Any:
        """Return what rank 0 alone works out; if it raises an InputError, all raise it."""
        found = error = None
        if self.rank == 0:
            try:
                found = work()
            except InputError as why:
                error = why
        found, error = self.told((found, error))
        if error is not None:
            raise error
        return found

    def each(
        self,
        work: Callable[[int], Any],
        count: int,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> list:
        """Return [work(0), work(1), ... work(count - 1)]; each process does its share."""
        own = [work(n) for n in progress(range(self.rank, count, self.size))]
        parts = self.gather(own)
        return [parts[n % self.size][n // self.size] for n in range(count)]

    def wait(self) -> None:
        """Wait until all processes are here."""

    def on_this_machine(self) -> "Team":
        """Return the team of the processes that have the same memory."""
        return self

    def all_end(self) -> bool:
        """Whether all processes are about to end; wait for them up to PATIENCE seconds."""
        return True

    def give_up(self, code: int) -> NoReturn:
        """End all processes."""
        sys.exit(code)


ALONE = Team()


class Ranks(Team):
    """The processes of an MPI communicator."""

    def __init__(self, communicator: Any) -> None:
        self._all, self._ending = communicator, communicator.Dup()
        self.rank, self.size = communicator.rank, communicator.size

    def add_up(self, numbers: "np.ndarray") -> None:
        """Add up by one Allreduce; MPICH's gives all ranks the same bits."""
        from mpi4py import MPI

        self._all.Allreduce(MPI.IN_PLACE, numbers, MPI.SUM)

    def gather(self, thing: Any) -> list:
        """Gather by an Allgather of anything that can be pickled."""
        return self._all.allgather(thing)

    def told(self, thing: Any) -> Any:
        """Tell all by a broadcast."""
        return self._all.bcast(thing)

    def wait(self) -> None:
        """Wait at a barrier."""
        self._all.Barrier()

    def on_this_machine(self) -> Team:
        """Ask MPI who shares memory."""
        from mpi4py import MPI

        return Ranks(self._all.Split_type(MPI.COMM_TYPE_SHARED))

    def all_end(self) -> bool:
        """Whether all come within PATIENCE seconds to a barrier that serves only this purpose."""
        barrier, until = self._ending.Ibarrier(), time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if barrier.Test():
                return True
            time.sleep(0.01)
        return False

    def give_up(self, code: int) -> NoReturn:
        """End all by MPI's Abort, and hide its message, which is not for users of a command."""
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(0.2)  # so that mpiexec passes on what was said
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        self._all.Abort(code)


@cache
def this_team() -> Team:
    """Return this process alone, or the team of all that were started together.

    From then on, an unhandled error ends all processes of the team.

    Raises
    ------
    InputError
        If there are other processes, but mpi4py is not installed or belongs to another MPI.
    """
    started = max(int(os.environ.get(name) or 1) for name in _SIZES)
    if started == 1:
        return ALONE
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # the latter if there is no MPI library
        raise InputError(
            f"{started} processes were started, which need mpi4py: pip install mpi4py mpich"
        ) from error
    if MPI.COMM_WORLD.size != started:
        raise InputError(
            f"{started} processes were started, but mpi4py finds {MPI.COMM_WORLD.size}: it belongs "
            "to another MPI than the command that started them"
        )
    ranks, show = Ranks(MPI.COMM_WORLD), sys.excepthook

    def end_all(*error: Any) -> None:
        show(*error)
        ranks.give_up(1)

    sys.excepthook = end_all
    return ranks


def rank_started_as() -> int:
    """Return this process's number, found without MPI."""
    return max(int(os.environ.get(name) or 0) for name in _RANKS)


def threads_for(team: Team) -> int:
    """Return how many threads this process may use: processes of a team share processors."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 1) // team.on_this_machine().size)
    own = os.sched_getaffinity(0)
    return max(1, len(own) // team.on_this_machine().gather(own).count(own))
