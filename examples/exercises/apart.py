"""Check functions in a separate process, which is ended if a function does not end.

The process has the same terminal, so that `breakpoint()` and `input()` work in it. While these
wait, the process does no work, and the time does not count.
"""

import faulthandler
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from bdb import BdbQuit
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from srcnn_np import InputError

from .hints import BEGINNINGS
from .running import Finding, check, load

LIMIT = 20.0  # seconds of work for one function; plain loops need a small part of them
_TICK = 0.2  # seconds from one look at the work to the next
_WIDTH = 88


def check_apart(
    names: list[str], file: str, *, hints: bool = False, limit: float = LIMIT
) -> dict[str, Finding]:
    """Check functions, and print what is found about each.

    Parameters
    ----------
    names : list of str
        Some of the exercises.
    file : str
        Path of the reader's file.
    hints : bool
        Whether to print hints too.
    limit : float
        A function is given up after so many seconds of work, or of one call that does not come
        back.

    Returns
    -------
    findings : dict of str to Finding
        By name.

    Raises
    ------
    InputError
        If the file cannot be read or run, or its lines outside of functions do not end.
    KeyboardInterrupt
        If it was interrupted, or left by a debugger's `quit`.
    BrokenPipeError
        If what it printed is not read any more.
    """
    findings: dict[str, Finding] = {}
    while len(findings) < len(names):
        rest = names[len(findings) :]
        with TemporaryDirectory() as folder:
            arguments = {"names": rest, "file": file, "hints": hints, "limit": limit}
            sys.stdout.flush()
            command = [sys.executable, "-u", "-m", __spec__.name, folder, json.dumps(arguments)]
            said, stack = Path(folder, "said"), Path(folder, "stack")
            code = _wait(subprocess.Popen(command), stack)
            lines = [json.loads(line) for line in said.read_text().splitlines()]
            where = _where(stack.read_text(), file)
        for line in lines:
            if "error" in line:
                raise InputError(line["error"])
            if "ended" in line:
                raise {"BrokenPipeError": BrokenPipeError}.get(line["ended"], KeyboardInterrupt)
            if "state" in line:
                findings[names[len(findings)]] = Finding(**line)
        if len(findings) == len(names):
            break
        words = f"It ended Python itself, with code {code}."
        if where is not None:
            words = f"It was not done after {limit:g} seconds{where}."
            words += " Is there a loop that does not end?"
        if not lines:
            raise InputError(f"{file} cannot be run: {words}")
        name = names[len(findings)]
        findings[name] = Finding("wrong", words, BEGINNINGS[name], f"mend {name}")
        show(name, findings[name], hints=hints)
    return findings


def show(name: str, finding: Finding, *, hints: bool) -> None:
    """Print what is found about a function."""
    width = max(map(len, BEGINNINGS)) + 2
    print(f"{name:{width}}{finding.state}")
    for text in (finding.words, f"Hint: {finding.hint}" if hints and finding.hint else ""):
        for line in textwrap.wrap(
            text, _WIDTH - width, break_long_words=False, break_on_hyphens=False
        ):
            print(" " * width + line)


def _wait(process: subprocess.Popen, stack: Path) -> int:
    """Return the exit code of a process; end the process when it cannot end itself."""
    stuck = 0
    while True:
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            # The process's watch empties this file again, unless a call into C lets nothing else
            # run.
            stuck = stuck + 1 if stack.exists() and stack.stat().st_size else 0
            if stuck == 3:
                process.kill()
        except KeyboardInterrupt:
            pass  # the process is interrupted too, and handles that itself


def _where(stack: str, file: str) -> str | None:
    """Say in which line of the reader's file the process was, by what `faulthandler` wrote."""
    escaped = file.encode("ascii", "backslashreplace").decode()
    lines = re.findall(rf'^  File "{re.escape(escaped)}", line (\d+)', stack, flags=re.MULTILINE)
    return (f", and was then in line {lines[0]} of {file}" if lines else "") if stack else None


def _work(folder: Path, names: list[str], file: str, hints: bool, limit: float) -> None:
    """Check functions in the other process; print what is found, and write it to a file."""
    with (folder / "said").open("a") as said, (folder / "stack").open("a") as stack:

        def tell(line: dict) -> None:
            said.write(json.dumps(line) + "\n")
            said.flush()

        again = _watch(stack, limit)
        try:
            module = load(file)
            tell({"loaded": file})
            for name in names:
                again()
                finding = check(name, module)
                show(name, finding, hints=hints)
                tell(asdict(finding))
        except InputError as error:
            tell({"error": str(error)})
        except (KeyboardInterrupt, BdbQuit, BrokenPipeError) as error:
            tell({"ended": type(error).__name__})


def _watch(stack: TextIO, limit: float) -> Callable[[], None]:
    """End this process after some seconds of work, and write down where it was.

    Returns a function that makes the seconds begin again.
    """
    begun = time.process_time()

    def again() -> None:
        nonlocal begun
        begun = time.process_time()

    def watch() -> None:
        while True:
            # One call into C, such as sum(range(10**11)), does not let this thread run again. It
            # may come at any moment, so a dump is always due: this begins its seconds again.
            faulthandler.dump_traceback_later(limit, file=stack)
            stack.truncate(0)
            if time.process_time() - begun > limit:
                faulthandler.dump_traceback(stack)
                os._exit(1)
            time.sleep(_TICK)

    threading.Thread(target=watch, daemon=True).start()
    return again


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a terminal may not have the mathematics' signs
        stream.reconfigure(errors="backslashreplace")
    _work(Path(sys.argv[1]), **json.loads(sys.argv[2]))
