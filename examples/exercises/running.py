"""Run the reader's functions: on drawn inputs, with a time limit, whatever they do."""

import faulthandler
import io
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from types import FunctionType, ModuleType
from unittest.mock import patch

import numpy as np

from srcnn_np.errors import InputError

from .checks import EXERCISES
from .diagnoses import diagnose, same
from .mistakes import MISTAKES

LIMIT = 10.0  # seconds for all cases of an exercise, which even plain loops take far less than
GRACE = 5.0  # more seconds for what Python cannot cut off
RUBBISH = 77  # for np.empty to hold: often it is 0, and what begins with it is right by luck


@dataclass(frozen=True)
class Finding:
    """What there is to say of one function.

    Attributes
    ----------
    state : "right", "wrong" or "not written yet"
    words : str
        How it is wrong; else empty.
    next : str
        What to do, such as "mend col2im"; empty if it is right.
    """

    state: str
    words: str = ""
    next: str = ""


def load(path: str | Path) -> ModuleType:
    """Run the reader's file.

    Raises
    ------
    InputError
        If it cannot be read or run.
    """
    module = ModuleType("exercises")
    module.__file__ = str(path)
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        # Compiled anew each time: Python's own cache may miss a change within a second.
        sys.modules[module.__name__] = module  # where dataclasses look for it
        exec(compile(source, str(path), "exec"), vars(module))
    except SyntaxError as error:
        where = f"{error.filename or path}, line {error.lineno}" if error.lineno else path
        raise InputError(f"{where}: this is not Python: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise InputError(f"{path} cannot be run: {told(error, str(path))}") from error
    return module


def check(name: str, module: ModuleType, *, limit: float = LIMIT, seed: int = 0) -> Finding:
    """Call one of the module's functions on drawn inputs, and judge its answers.

    Parameters
    ----------
    name : str
        One of `EXERCISES`.
    module : module
        From `load`.
    limit : float
        Seconds the function may take.
    seed : int
        Of the inputs.

    Returns
    -------
    finding : Finding
    """
    called: dict[str, None] = {}  # the reader's other functions, in the order of their calls
    others = {other: getattr(module, other, None) for other in EXERCISES if other != name}
    noted = {
        other: _noting(called, other, function)
        for other, function in others.items()
        if isinstance(function, FunctionType)
    }
    with patch.dict(vars(module), noted):
        finding = _check(name, module, limit, seed)
    if finding.state != "wrong":
        return finding
    # If it calls others that are wrong, and is right with the library's in place of them, it is
    # these that are to be mended.
    with redirect_stdout(io.StringIO()):
        checked = {other: _check(other, module, limit, seed) for other in called}
        wrong = {other: found for other, found in checked.items() if found.state != "right"}
        with patch.dict(vars(module), {other: EXERCISES[other].right for other in wrong}):
            if wrong and _check(name, module, limit, seed).state == "right":
                words = f"Right but for {' and '.join(wrong)}, which it calls."
                return Finding("wrong", words, next(iter(wrong.values())).next)
    return finding


def _noting(called: dict[str, None], name: str, function: FunctionType) -> Callable:
    @wraps(function)
    def noted(*args, **kwargs):
        called[name] = None
        return function(*args, **kwargs)

    return noted


def _check(name: str, module: ModuleType, limit: float, seed: int) -> Finding:
    exercise, file = EXERCISES[name], module.__file__
    function = getattr(module, name, None)
    wrong = partial(Finding, "wrong", next=f"mend {name}")
    if not callable(function):
        words = f"There is no function of this name in {file}."
        return Finding("wrong", words, next=f"write {name}")
    cases = exercise.draw(np.random.default_rng(seed))
    changed = []

    def called() -> tuple[list, BaseException | None, int | None]:
        answers = []

        def answer() -> None:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for case in cases:
                    given = deepcopy(case.arguments)
                    answers.append(function(*given.values()))
                    changed.extend(k for k, a in given.items() if not same(a, case.arguments[k]))

        return answers, *_within(limit, answer, file)

    answers, error, line = called()
    case = cases[min(len(answers), len(cases) - 1)]
    if isinstance(error, NotImplementedError) and error.args == ("write me",):
        unwritten = traceback.extract_tb(error.__traceback__)[-1].name
        if unwritten == name:
            return Finding("not written yet", next=f"write {name}")
        words = f"It calls {unwritten}, which is not written yet."
        return Finding("wrong", words, f"write {unwritten}")
    if isinstance(error, TimeoutError):
        return wrong(
            f"It was not done after {limit:g} seconds, and was then in line {line} of {file} for "
            f"{case.what}. Is there a loop that does not end?"
        )
    if error is not None:
        return wrong(f"For {case.what}: {told(error, file)}.")
    words = diagnose(exercise, MISTAKES[name], cases, answers)
    by_held = {}
    for held in (RUBBISH, 0):
        with _empty_holding(held, module) as asked, redirect_stdout(io.StringIO()):
            answers, error, _ = called()
        if error is not None or not asked:  # a compiler may not know this np.empty
            break
        by_held[held] = diagnose(exercise, MISTAKES[name], cases, answers)
    else:
        words = by_held[0]
        if by_held[RUBBISH] != words:
            end = "write all of it, or begin" if words else "begin"
            words = [f"np.empty holds whatever was there before: {end} with np.zeros.", *words]
    if changed:
        words.append(
            f"It overwrites its input {changed[0]}. Make a new array, or begin with a copy: "
            f"{changed[0]}.copy()."
        )
    return wrong(" ".join(words)) if words else Finding("right")


@contextmanager
def _empty_holding(value: float, module: ModuleType) -> Iterator[list]:
    """Let np.empty hold a value; yields a list that has elements once it was called."""
    asked = []

    def holding(make: Callable) -> Callable:
        def empty(*args, **kwargs):
            asked.append(make)
            array = make(*args, **kwargs)
            array.fill(value)
            return array

        return empty

    makes = {make: holding(make) for make in (np.empty, np.empty_like)}
    own = {
        name: makes[thing]
        for name, thing in vars(module).items()
        if any(thing is make for make in makes)
    }
    everywhere = patch.multiple(np, **{make.__name__: held for make, held in makes.items()})
    with everywhere, patch.dict(vars(module), own):  # own: from numpy import empty
        yield asked


def _within(
    limit: float, work: Callable[[], None], file: str
) -> tuple[BaseException | None, int | None]:
    """Do some work; the error it ended with, and after `limit` seconds the line it is in.

    It is done in a thread of its own, which Python cannot end: one that goes on for ever ends
    with the process. A single call into C, as sum(range(10**11)), does not even let the others
    run; then the process ends, with a traceback that shows the line.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # sys.exit() as well must not end the checks
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    with suppress(AttributeError, OSError, RuntimeError, ValueError):  # stderr may be no file
        faulthandler.dump_traceback_later(limit + GRACE, exit=True, file=sys.__stderr__)
    try:
        thread.start()
        thread.join(limit)
    finally:
        faulthandler.cancel_dump_traceback_later()
    if not thread.is_alive():
        return (errors[0] if errors else None), None
    frame = sys._current_frames().get(thread.ident)
    while frame is not None and frame.f_code.co_filename != file:
        frame = frame.f_back
    return TimeoutError(), frame.f_lineno if frame else None


def told(error: BaseException, file: str) -> str:
    """An exception in one line, with the line of the reader's file that led to it."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    where = f"line {lines[-1]} of {file}: " if lines else ""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{where}{type(error).__name__}: {text}" if text else f"{where}{type(error).__name__}"
