# PYTHON_ARGCOMPLETE_OK
"""The command line: this module finds the command, runs it, and reports its errors.

A command is a module of `srcnn_np.commands`. It imports what it needs when it runs, so that
--help is quick.
"""

import argparse
import gc
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn, TextIO

from . import __version__
from .commands import evaluate, explore, gradcheck, models, report, show, train, upscale
from .commands.terminal import complain, lasting_streams, notice, printable
from .errors import InputError
from .stopping import stopped_at_once
from .team import ALONE, Team, rank_started_as, this_team, threads_for

COMMANDS = (upscale, evaluate, train, show, report, models, gradcheck, explore)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 for bad input, 2 for a bad command line."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with lasting_streams() as output:
        try:
            code = _run(arguments)
        except SystemExit as stop:  # after --help, or a bad command line
            code = stop.code
        sys.stdout.flush()
        lost = output.error
        if lost is not None and not isinstance(lost, BrokenPipeError):
            code = complain(f"standard output cannot be written: {lost.strerror}") or code
        return code


def _run(arguments: list[str]) -> int:
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks: argcomplete, an extra package, answers
        with suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)
    if not arguments:
        parser.print_help()
        return 0
    options = parser.parse_args(arguments)
    # Loading makes over 100,000 objects, which all stay: the garbage collector need not search them
    # after every 700 new ones.
    gc.set_threshold(100_000)
    options.command = shlex.join(["srcnn-np", *arguments])
    options.team = ALONE
    try:
        with _news(), stopped_at_once():
            options.team = this_team()
            if options.team.size > 1:
                os.environ.setdefault("NUMBA_NUM_THREADS", str(threads_for(options.team)))
            if options.team.rank > 0 and not options.shared:
                return 0
            return options.run(options)
    except InputError as error:
        return _ended(options.team, str(error))
    except MemoryError:
        return _ended(options.team, f"there is not enough memory for that; {options.smaller}")
    except KeyboardInterrupt as interrupt:
        code = getattr(interrupt, "code", 130)
        return _ended(options.team, str(interrupt) or "interrupted", code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _ended(options.team, f"{where}{error.strerror or error}")
    except Exception as error:
        if options.team.size > 1 and type(error).__module__.startswith("mpi4py"):
            return _ended(options.team, "another process has ended, or cannot be reached")
        raise


def _ended(team: Team, sentence: str, code: int = 1) -> int:
    """Say only once what is wrong, end all processes, and return the exit code."""
    if team.size == 1:
        if rank_started_as() == 0:
            complain(sentence)
        return code
    together = team.all_end()
    if team.rank == 0 or not together:
        complain(sentence)
    if not together:
        team.give_up(code)
    return code


@contextmanager
def _news() -> Iterator[None]:
    """Print each warning and each message that the package logs, on a line of its own."""
    handler = logging.Handler()
    if rank_started_as() == 0:
        handler.emit = lambda record: notice(record.getMessage())
    log, others = logging.getLogger(__package__), logging.getLogger("matplotlib")
    before = log.level, others.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    others.setLevel(logging.ERROR)  # matplotlib warns of its own folders
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: log.info(str(message).partition("\n")[0])
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(before[0])
            others.setLevel(before[1])


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="srcnn-np",
        description="SRCNN super-resolution: three convolutions in NumPy and Numba.",
    )
    parser.add_argument("--version", action="version", version=f"srcnn_np {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        name, description = module.__name__.rpartition(".")[2], module.DESCRIPTION
        sub = commands.add_parser(name, help=description, description=description)
        sub.set_defaults(run=module.run, smaller="give a smaller picture", shared=False)
        module.add(sub)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser that answers a bad command line with one sentence, without the usage."""

    def _print_message(self, message: str, file: TextIO | None = None) -> None:
        if rank_started_as() == 0:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {printable(message)} (see {self.prog} --help)\n")
