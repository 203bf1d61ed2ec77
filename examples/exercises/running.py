"""Run the reader's functions on drawn inputs, whatever the functions do, and say what is found."""

import inspect
import io
import linecache
import re
import sys
import traceback
import warnings
from bdb import BdbQuit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from types import FunctionType, ModuleType
from unittest.mock import patch

import numpy as np

from srcnn_np.errors import InputError

from .checks import EXERCISES, Case
from .diagnoses import judge
from .hints import BEGINNINGS, QUICKER
from .mistakes import MISTAKES
from .observations import Raised, is_numeric, listed

RUBBISH = 77  # what np.empty holds where it cannot hold NaN


@dataclass(frozen=True)
class Finding:
    """What is found about one function.

    Attributes
    ----------
    state : "right", "wrong" or "not written yet"
    words : str
        What is seen to be wrong; empty if nothing is.
    hint : str
        What the mistake may be, or how to begin, or how it is done more quickly; may be empty.
    next : str
        What to do, such as "mend col2im"; empty if it is right.
    """

    state: str
    words: str = ""
    hint: str = ""
    next: str = ""


def load(path: str | Path) -> ModuleType:
    """Run the reader's file.

    Raises
    ------
    InputError
        If the file cannot be read or run.
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
    except BdbQuit:  # quit, in a debugger
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{path} cannot be run: {told(error, str(path))}") from error
    return module


def check(name: str, module: ModuleType, *, seed: int = 0) -> Finding:
    """Call one of the module's functions on drawn inputs, and judge its answers.

    Parameters
    ----------
    name : str
        One of `EXERCISES`.
    module : module
        From `load`.
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
        finding = _check(name, module, seed)
    if finding.state == "right" and not {"im2col", "col2im"} & set(called):
        return replace(finding, hint=QUICKER.get(name, ""))
    if finding.state != "wrong":
        return finding
    # If the function calls others that are wrong, and is right with the library's in their place,
    # then those others must be mended.
    with _unseen():
        checked = {other: _check(other, module, seed) for other in called}
        wrong = {other: found for other, found in checked.items() if found.state != "right"}
        with patch.dict(vars(module), {other: EXERCISES[other].right for other in wrong}):
            if wrong and _check(name, module, seed).state == "right":
                words = f"Right but for {listed(list(wrong))}, which it calls."
                return Finding("wrong", words, next=next(iter(wrong.values())).next)
    return finding


def told(error: BaseException, file: str) -> str:
    """Say an exception in one line, with the line of the reader's file that led to it."""
    lines = [frame.lineno for frame, _ in _frames(error, file)]
    where = f"line {lines[-1]} of {file}: " if lines else ""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{where}{type(error).__name__}: {text}" if text else f"{where}{type(error).__name__}"


def _noting(called: dict[str, None], name: str, function: FunctionType) -> Callable:
    @wraps(function)
    def noted(*args, **kwargs):
        called[name] = None
        return function(*args, **kwargs)

    return noted


def _check(name: str, module: ModuleType, seed: int) -> Finding:
    exercise, file = EXERCISES[name], module.__file__
    function = getattr(module, name, None)
    if not callable(function):
        words = f"There is no function of this name in {file}."
        return Finding("wrong", words, BEGINNINGS[name], f"write {name}")
    cases = exercise.draw(np.random.default_rng(seed))
    with _empty_holding(np.nan, module) as asked:
        answers, changed = _answers(function, cases, file)
    first = answers[0].error if isinstance(answers[0], Raised) else None
    if isinstance(first, NotImplementedError) and first.args == ("write me",):
        unwritten = traceback.extract_tb(first.__traceback__)[-1].name
        if unwritten == name:
            return Finding("not written yet", "", BEGINNINGS[name], f"write {name}")
        words = f"It calls {unwritten}, which is not written yet."
        return Finding("wrong", words, BEGINNINGS.get(unwritten, ""), f"write {unwritten}")
    if isinstance(first, Exception) and type(first).__module__.startswith("numba"):
        with _unseen():  # a compiler does not know this np.empty
            answers, changed = _answers(function, cases, file)
    words, hints = [], []
    names = list(cases[0].arguments)
    parameters = _parameters(function, names)
    verdict = judge(exercise, MISTAKES[name], cases, answers)
    if verdict and asked:
        with _empty_holding(0, module), _unseen():
            again, _ = _answers(function, cases, file)
        if any(map(_was_unwritten, answers, again)):
            verdict = judge(exercise, MISTAKES[name], cases, again)
            words.append("It depends on what np.empty held before anything was written to it.")
            if verdict:
                words.append("With zeros there it is still wrong.")
                hints.append("Write all of it, or begin with np.zeros.")
            else:
                hints.append("np.empty holds whatever was there before: begin with np.zeros.")
    if verdict and parameters:
        words.append(parameters)
        hints.append(f"Begin with: def {name}({', '.join(names)})")
    elif verdict:
        words.append(verdict[0])
        hints.append(verdict[1])
    if changed:
        words.append(f"It changes its input {changed}.")
        hints.append(f"Make a new array, or begin with a copy: {changed}.copy().")
    if not words:
        return Finding("right")
    hint = " ".join(filter(None, hints))
    if not hint:
        hint = (
            f"No mistake is known here that gives these answers. How to begin: {BEGINNINGS[name]}"
        )
    return Finding("wrong", " ".join(filter(None, words)), hint, f"mend {name}")


def _answers(function: Callable, cases: list[Case], file: str) -> tuple[list, str]:
    """Return what a function answers in each case, or `Raised`; and an argument that it changed."""
    answers, changed = [], []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in cases:
            arguments = deepcopy(case.arguments)
            try:
                answers.append(function(*arguments.values()))
            except (KeyboardInterrupt, BdbQuit):
                raise
            except BaseException as error:  # not even sys.exit() may end the checks
                answers.append(_raised(error, file))
            changed += [
                name
                for name, value in arguments.items()
                if not np.array_equal(value, case.arguments[name], equal_nan=True)
            ]
    return answers, changed[0] if changed else ""


def _was_unwritten(held: object, zero: object) -> bool:
    """Whether an answer has values of np.empty: these differ when np.empty holds 0."""
    if isinstance(held, tuple | list) and isinstance(zero, tuple | list):
        return any(map(_was_unwritten, held, zero))
    if not is_numeric(held) or not is_numeric(zero) or np.shape(held) != np.shape(zero):
        return False
    rubbish = np.isnan(held) if np.asarray(held).dtype.kind == "f" else np.not_equal(held, zero)
    return bool(np.any(rubbish & ~np.isnan(zero)))


def _raised(error: BaseException, file: str) -> Raised:
    frames = _frames(error, file)
    if not frames:
        return Raised(error, told(error, file), None, {}, {})
    place, variables = frames[-1]
    linecache.checkcache(file)
    named = dict.fromkeys(re.findall(r"[^\W\d]\w*", linecache.getline(file, place.lineno)))
    values = {name: variables[name] for name in named if name in variables}
    return Raised(
        error,
        told(error, file),
        place.lineno,
        {name: value.shape for name, value in values.items() if isinstance(value, np.ndarray)},
        {name: value for name, value in values.items() if type(value) is int},
    )


def _frames(error: BaseException, file: str) -> list[tuple[traceback.FrameSummary, dict]]:
    """Return which places in the reader's file led to an error, and the variables there."""
    places = traceback.extract_tb(error.__traceback__)
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return [
        (place, frame.f_locals)
        for place, frame in zip(places, frames, strict=True)
        if place.filename == file
    ]


def _parameters(function: Callable, names: list[str]) -> str:
    """Say whether a function takes other arguments than it is given, or in another order."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    own = list(signature.parameters)
    try:
        signature.bind(*names)
        if own == names or sorted(own) != sorted(names):
            return ""
    except TypeError:
        pass
    return f"It takes ({', '.join(own)}), but is called with ({', '.join(names)})."


@contextmanager
def _unseen() -> Iterator[None]:
    """Hide a repeated run: it prints nothing, reads no input and does not stop."""
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(patch("sys.stdin", io.StringIO()))
        for stop in ("sys.breakpointhook", "pdb.set_trace"):
            stack.enter_context(patch(stop, lambda *args, **kwargs: None))
        yield


@contextmanager
def _empty_holding(value: float, module: ModuleType) -> Iterator[list]:
    """Fill np.empty's arrays with a value; yield a list, empty until np.empty is called."""
    asked = []

    def holding(make: Callable) -> Callable:
        @wraps(make)
        def empty(*args, **kwargs):
            asked.append(make)
            array = make(*args, **kwargs)
            array.fill(RUBBISH if value and array.dtype.kind not in "fc" else value)
            return array

        return empty

    makes = {make: holding(make) for make in (np.empty, np.empty_like)}
    own = {
        name: makes[thing]
        for name, thing in vars(module).items()
        if any(thing is make for make in makes)
    }
    everywhere = patch.multiple(np, **{make.__name__: held for make, held in makes.items()})
    with everywhere, patch.dict(vars(module), own):  # own is for: from numpy import empty
        yield asked
