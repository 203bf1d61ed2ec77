"""What is seen of a wrong answer: its kind, its shape, where it is wrong, and an example."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .checks import Case, Exercise

# What an index along an axis counts.
_COUNTED = {
    "N": "picture",
    "C": "channel",
    "K": "filter",
    "H": "row",
    "OH": "row of places",
    "kh": "row of the filter",
    "W": "column",
    "OW": "column of places",
    "kw": "column of the filter",
}
# Products of lengths that may be the length of an axis, for instance after a reshape.
_PRODUCTS = (
    *("kh·kw", "C·kh·kw", "OH·OW", "H·W", "N·OH·OW", "K·OH·OW", "C·H·W", "N·K·OH·OW", "N·C·H·W"),
    *("K·C·kh·kw", "C·kh·kw·OH·OW", "N·C·kh·kw·OH·OW"),
)
_MEND = "Make the array with the dtype of what you are given, or with np.zeros without a dtype."


@dataclass(frozen=True)
class Raised:
    """What stands in an answer's place where the function ended in an error.

    Attributes
    ----------
    error : exception
    words : str
        The error in one line.
    line : int or None
        The last line of the reader's file that led to it.
    shapes, numbers : dict of str to tuple, or to int
        Shapes of the arrays, and values of the whole numbers, that are named in that line.
    """

    error: BaseException
    words: str
    line: int | None
    shapes: dict[str, tuple[int, ...]]
    numbers: dict[str, int]


@dataclass(frozen=True)
class Compared:
    """One result of an exercise: what the function gave in each case, and what is right."""

    exercise: Exercise
    name: str
    cases: list[Case]
    given: list
    right: list

    @cached_property
    def wrong(self) -> list[int]:
        """The cases that are wrong."""
        return [n for n, right in enumerate(self.right) if not close(self.given[n], right)]

    @cached_property
    def misshapen(self) -> list[int]:
        """The cases that have a wrong shape."""
        pairs = enumerate(zip(self.given, self.right, strict=True))
        return [n for n, (g, r) in pairs if is_numeric(g) and np.shape(g) != np.shape(r)]

    @cached_property
    def axes(self) -> list[str]:
        """The letters of all axes; joined axes are taken apart."""
        return self.exercise.results[self.name].replace("·", " ").split()

    def apart(self, n: int, array: object) -> np.ndarray:
        """Take apart the joined axes of an array that has a case's right shape."""
        if "·" not in self.exercise.results[self.name]:
            return np.asarray(array)
        sizes = self.exercise.sizes(self.cases[n])
        return np.reshape(array, [sizes[axis] for axis in self.axes])

    def limits(self) -> str:
        """Say for which inputs the result is wrong, if not for all."""
        right = [case.what for n, case in enumerate(self.cases) if n not in self.wrong]
        if not right:
            return ""
        if len(right) > len(self.wrong):
            return f"Wrong only for {listed([self.cases[n].what for n in self.wrong])}. "
        return f"Right only for {listed(right)}. "


def close(given: object, right: object) -> bool:
    """Whether an answer is equal to the right one, up to rounding."""
    return (
        is_numeric(given)
        and np.shape(given) == np.shape(right)
        and bool(np.all(agree(given, right)))
    )


def agree(given: object, right: object) -> np.ndarray:
    """Return where two arrays of one shape are equal, up to rounding."""
    finite = np.abs(right)[np.isfinite(right)]
    size = finite.max(initial=0)  # a sum that cancels is as exact as its terms
    return np.isclose(given, right, rtol=1e-9, atol=1e-12 * size, equal_nan=True)


def is_numeric(given: object) -> bool:
    """Whether a value is a real number, or a plain array of real numbers."""
    is_array = type(given) is np.ndarray or isinstance(given, np.generic | float | int)
    return is_array and np.asarray(given).dtype.kind in "fiub"


def observe(compared: Compared) -> str:
    """Say what is wrong with one result, seen from outside."""
    cases: dict[Callable, list[int]] = {}
    for n in compared.wrong:
        given, right = compared.given[n], compared.right[n]
        if isinstance(given, Raised):
            told = _error
        elif strangeness(given, right):
            told = _strange
        else:
            told = _values if np.shape(given) == np.shape(right) else _shape
        cases.setdefault(told, []).append(n)
    limits = (_pieces(compared) if list(cases) == [_values] else "") or compared.limits()
    return limits + " ".join(told(compared, some) for told, some in cases.items())


def kind(answer: object) -> str:
    """Say what an answer is."""
    if answer is None:
        return "None"
    if isinstance(answer, tuple | list):
        elements = "one element" if len(answer) == 1 else f"{len(answer)} elements"
        return f"a {type(answer).__name__} with {elements}"
    if type(answer) is np.ndarray:
        return f"one array of shape {answer.shape} and dtype {answer.dtype}"
    return f"one {type(answer).__name__}"


def strangeness(given: object, right: object) -> tuple[str, str] | None:
    """Say if an answer is no array of numbers, or has lost digits, and how to mend that."""
    if given is None:
        return "None.", "A `return` is missing."
    if isinstance(given, Raised):
        return None
    if not is_numeric(given):
        due = "an array" if np.ndim(right) else "a number"
        is_list = isinstance(given, list | tuple)
        mend = "`np.array` makes an array of a list, or of a tuple." if is_list else ""
        return f"{kind(given)}, where {due} of dtype float64 is due.", mend
    if np.shape(given) != np.shape(right):
        return None
    dtype = np.asarray(given).dtype
    if dtype.kind in "iu" and np.any(right != np.trunc(right)) and not close(given, right):
        is_cut = np.array_equal(given, np.trunc(right))
        due = ": what is behind the point is lost." if is_cut else ", where float64 is due."
        return f"whole numbers, dtype {dtype}{due}", _MEND if np.ndim(right) else ""
    if dtype.kind == "f" and dtype.itemsize < 8 and np.allclose(given, right, rtol=0.01, atol=0.01):
        return f"dtype {dtype}, where float64 is given: half of the digits are lost.", _MEND
    return None


def listed(words: list[str]) -> str:
    """Join a list to words."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _strange(compared: Compared, strange: list[int]) -> str:
    """Say what is returned in place of an array of float64."""
    words = [strangeness(compared.given[n], compared.right[n])[0] for n in strange]
    is_same = len(strange) == len(compared.cases) and len(set(words)) == 1
    return f"{'It' if is_same else f'For {compared.cases[strange[0]].what} it'} returns {words[0]}"


def _error(compared: Compared, raised: list[int]) -> str:
    """Say which error ended the cases, and to which axes the lengths in its text belong."""
    errors = {n: compared.given[n] for n in raised}
    errors = {n: error for n, error in errors.items() if error.line == errors[raised[0]].line}
    n, last = list(errors.items())[-1]  # this case says most: its sizes all differ
    here = [
        f"{number} is {name}"
        for number, name in _named(compared, {n: _sizes(e) for n, e in errors.items()}).items()
    ]
    for array, shape in last.shapes.items():
        names = _named(compared, {n: e.shapes.get(array, ()) for n, e in errors.items()})
        here.append(f"{array} is ({', '.join(names.get(size, str(size)) for size in shape)})")
    if isinstance(last.error, IndexError):
        here += [f"{name} is {number}" for name, number in last.numbers.items()]
    more = f" Here {listed(here)}." if here else ""
    return f"For {compared.cases[n].what}: {last.words}.{more}"


def _sizes(raised: Raised) -> list[int]:
    """Return the lengths that NumPy names in an error."""
    text = str(raised.error)
    if "shape" not in text and "size " not in text:
        return []
    return list(
        map(int, re.findall(r"\d+", re.sub(r"(axis|operand|dimension|index) \d+", "", text)))
    )


def _shape(compared: Compared, misshapen: list[int]) -> str:
    """Say the wrong shape and the right one."""
    n = misshapen[-1]  # this case says most: its sizes all differ
    given, right = np.shape(compared.given[n]), np.shape(compared.right[n])
    letters = compared.exercise.results[compared.name].split()
    is_now = f"has shape {given}" if given else "is one number"
    due = f"{right}, ({', '.join(letters)})" if letters else str(right) if right else "one number"
    names = _named(compared, {n: np.shape(compared.given[n]) for n in misshapen})
    known = [f"{size} is {name}" for size, name in names.items() if size not in right]
    more = f" {listed(known)}." if known else ""
    return f"For {compared.cases[n].what}, {compared.name} {is_now}; right is {due}.{more}"


def _named(compared: Compared, lengths: dict[int, Sequence[int]]) -> dict[int, str]:
    """Return the axis that each length of the last case belongs to, where all cases agree."""
    *_, last = lengths
    names = {}
    for place, length in enumerate(lengths[last]):
        possible = [
            _letters(compared, n).get(others[place], set())
            for n, others in lengths.items()
            if len(others) == len(lengths[last])
        ]
        common = set.intersection(*possible)
        if len(common) == 1 < length:
            names[length] = common.pop()
    return names


def _letters(compared: Compared, n: int) -> dict[int, set[str]]:
    """Return, for each length, the axes and products of axes that have this length in a case."""
    sizes = compared.exercise.sizes(compared.cases[n])
    letters: dict[int, set[str]] = {}
    for product in (*sizes, *_PRODUCTS):
        if all(letter in sizes for letter in product.split("·")):
            length = math.prod(sizes[letter] for letter in product.split("·"))
            letters.setdefault(length, set()).add(product)
    return letters


def _values(compared: Compared, wrong: list[int]) -> str:
    """Say how many values are wrong, where they are, and which is the first."""
    place = _place(compared, wrong[-1])
    if place:
        return f"{_example(compared, wrong[-1])} {place}"
    return _example(compared, wrong[0])


def _place(compared: Compared, n: int) -> str:
    """Say where the wrong values are, if they are together."""
    bad = compared.apart(n, ~agree(compared.given[n], compared.right[n]))
    axes = compared.axes
    for axis, letter in enumerate(axes):
        lines = np.unique(np.nonzero(bad)[axis]).tolist()
        length, counted = bad.shape[axis], _COUNTED[letter]
        if length == 1:
            continue
        if lines in ([0], [length - 1]):
            return f"Only the {'last' if lines[0] else 'first'} {counted} is wrong."
        if lines in ([*range(1, length)], [*range(length - 1)]):
            return f"Only the {'first' if lines[0] else 'last'} {counted} is right."
    if len(axes) > 1 and axes[-1] in ("W", "OW"):
        if not bad[..., :-1, :-1].any():
            return "Only the last row and the last column are wrong."
        if not bad[..., 1:, 1:].any():
            return "Only the first row and the first column are wrong."
        if not bad[..., 1:-1, 1:-1].any():
            return "Only the border is wrong."
    return ""


def _pieces(compared: Compared) -> str:
    """Say in which pieces there are wrong values, if not in all."""
    found = {
        words: any(
            np.any(piece(*case.arguments.values()) & ~agree(given, right))
            for case, given, right in zip(
                compared.cases, compared.given, compared.right, strict=True
            )
        )
        for words, piece in compared.exercise.pieces.items()
    }
    if all(found.values()):
        return ""
    return f"Wrong only where {listed([words for words in found if found[words]])}. "


def _example(compared: Compared, n: int) -> str:
    """Say the first wrong value, the right one, and the arguments' values at its place."""
    given, right = np.asarray(compared.given[n]), np.asarray(compared.right[n])
    bad = ~agree(given, right)
    index = tuple(map(int, np.argwhere(bad)[0]))
    shown = f"{compared.name}[{', '.join(map(str, index))}]" if index else compared.name
    axes, exercise = compared.exercise.results[compared.name], compared.exercise
    belongs = [
        f"{argument} {value[index]:.4g}"
        for argument, value in compared.cases[n].arguments.items()
        if index and np.shape(value) == right.shape and exercise.axes.get(argument, "") == axes
    ]
    there = f" ({', '.join(belongs)})" if belongs else ""
    got, due = float(given[index]), float(right[index])
    digits = next((n for n in range(6, 17) if f"{got:.{n}g}" != f"{due:.{n}g}"), 17)
    count = "all" if bad.all() else f"{bad.sum()} of"
    is_wrong = "is wrong" if bad.sum() == 1 else "are wrong"
    many = "" if bad.size == 1 else f"{count} {bad.size} values {is_wrong}: "
    return (
        f"For {compared.cases[n].what}, {many}{shown} is {got:.{digits}g}{there}, "
        f"but {due:.{digits}g} is right."
    )
