"""How a wrong answer is wrong: a mistake that is known, or what can be seen of the arrays."""

import math
from collections.abc import Callable, Iterator
from itertools import chain, combinations, permutations, product

import numpy as np

from .checks import Case, Exercise

# What an index along an axis counts.
_COUNTED = {
    "N": "picture",
    "C": "channel",
    "K": "filter",
    "H": "row",
    "OH": "row",
    "kh": "row",
    "W": "column",
    "OW": "column",
    "kw": "column",
    "T": "tap",
    "P": "place",
}


@np.errstate(all="ignore")
def diagnose(
    exercise: Exercise, mistakes: list[list], cases: list[Case], answers: list
) -> list[str]:
    """Compare answers with the library's.

    Of several arrays returned, only the first that is wrong is spoken of: the others may follow
    from it.

    Parameters
    ----------
    exercise : Exercise
    mistakes : list of lists of (words, answer)
        See `mistakes.MISTAKES`.
    cases : list of Case
    answers : list
        What the reader's function returned for each.

    Returns
    -------
    sentences : list of str
        Empty if all is right.
    """
    names = list(exercise.results)
    rights = [exercise.right(*case.arguments.values()) for case in cases]
    if len(names) == 1:
        answers, rights = [(answer,) for answer in answers], [(right,) for right in rights]
    else:
        bad = [not isinstance(a, tuple) or len(a) != len(names) for a in answers]
        if any(bad):
            n = bad.index(True)
            where = "It" if all(bad) else f"For {cases[n].what} it"
            return [f"{where} returns {_kind(answers[n])}. End with: return {', '.join(names)}."]
        swapped = [tuple(reversed(right)) for right in rights]
        if all(map(_all_close, answers, swapped)) and not all(map(_all_close, answers, rights)):
            return [f"The results are in the wrong order. End with: return {', '.join(names)}."]
    for part, name in enumerate(names):
        given, right = [answer[part] for answer in answers], [right[part] for right in rights]
        sentences = _diagnose_part(exercise, name, mistakes[part], cases, given, right)
        if sentences:
            return sentences if len(names) == 1 else [f"{name}:", *sentences]
    return []


def same(a: object, b: object) -> bool:
    """Whether two arguments are equal to the last bit."""
    return np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b


def _diagnose_part(
    exercise: Exercise, name: str, mistakes: list, cases: list[Case], given: list, right: list
) -> list[str]:
    wrong = [n for n in range(len(cases)) if not _close(given[n], right[n])]
    if not wrong:
        return []
    strange = [_strange(g, r) for g, r in zip(given, right, strict=True)]
    for n in wrong:
        if strange[n]:
            where = "It" if len(set(strange)) == 1 else f"For {cases[n].what} it"
            return [f"{where} returns {strange[n]}"]
    known, *rest = _known(mistakes, cases, given, right, wrong) or [None]
    if known and not rest:
        return [known]
    # What explains all comes before a mistake that explains only some.
    axes = exercise.results[name].split()
    limits = _limits(cases, wrong)
    arranged = _arranged(axes, given, right)
    misshapen = [n for n in wrong if np.shape(given[n]) != np.shape(right[n])]
    if misshapen:
        if known and not arranged:
            return [known, *rest]
        n = misshapen[-1]  # the most telling: no two of its sizes are equal
        more = arranged or _lengths(axes, given[n], right[n])
        shape = _shape(name, axes, given[n], right[n], cases[n].what)
        return [*limits, shape, *([more] if more else [])]
    if arranged:
        return [*limits, arranged]
    words = _reversed(axes, given, right)
    if words:
        return [*limits, f"{name} is reversed along {words}."]
    words = _factor(exercise, cases, given, right)
    if words:
        return [f"Right but for {'its sign' if 'sign' in words else 'a factor'}: {name} {words}."]
    if known:
        return [known, *rest]
    if all(_close(np.sort(given[n], axis=None), np.sort(right[n], axis=None)) for n in wrong):
        words = "All values are right, but in wrong places: look at indices, and at a reshape."
        return [*limits, words]
    n = wrong[-1]
    place = _place(axes, given[n], right[n])
    if place:
        return [*limits, f"For {cases[n].what}, {place}"]
    limits = _pieces(exercise, cases, given, right) or limits
    n = wrong[0]
    return [*limits, _example(name, exercise, cases[n], given[n], right[n])]


def _close(given: object, right: object) -> bool:
    return (
        _is_numeric(given)
        and np.shape(given) == np.shape(right)
        and bool(np.all(_agree(given, right)))
    )


def _all_close(given: tuple, right: tuple) -> bool:
    return all(map(_close, given, right))


def _agree(given: object, right: object) -> np.ndarray:
    """Where two arrays are equal but for rounding."""
    finite = np.abs(right)[np.isfinite(right)]
    size = finite.max(initial=0)  # what cancels is as exact as what it was made of
    return np.isclose(given, right, rtol=1e-9, atol=1e-12 * size, equal_nan=True)


def _is_numeric(given: object) -> bool:
    is_array = type(given) is np.ndarray or isinstance(given, np.generic | float | int)
    return is_array and np.asarray(given).dtype.kind in "fiub"


def _kind(answer: object) -> str:
    if answer is None:
        return "None"
    if isinstance(answer, tuple | list):
        elements = "one element" if len(answer) == 1 else f"{len(answer)} elements"
        return f"a {type(answer).__name__} with {elements}"
    if type(answer) is np.ndarray:
        return f"one array of shape {answer.shape} and dtype {answer.dtype}"
    return f"one {type(answer).__name__}"


def _strange(given: object, right: object) -> str | None:
    """What is no array of floating-point numbers, or has lost digits; goes on after "returns"."""
    if given is None:
        return "None: a `return` is missing."
    if not _is_numeric(given):
        due = "an array" if np.ndim(right) else "a number"
        return f"{_kind(given)}, where {due} of dtype float64 is due."
    if np.shape(given) != np.shape(right):
        return None
    dtype = np.asarray(given).dtype
    if dtype.kind in "iu" and np.array_equal(given, np.trunc(right)):
        return (
            f"whole numbers, dtype {dtype}: what is behind the point is lost. Make the array with "
            "the dtype of what you are given."
        )
    if dtype.kind == "f" and dtype.itemsize < 8 and np.allclose(given, right, rtol=0.01, atol=0.01):
        return f"dtype {dtype}, where float64 is given: half of the digits are lost."
    return None


def _known(
    mistakes: list, cases: list[Case], given: list, right: list, wrong: list[int]
) -> list[str]:
    """The words for the mistake that explains the most of the wrong answers.

    The first wrong one must be among them, and half of all: small inputs cannot tell
    mistakes apart, and there may be a second mistake in the others. A right answer that
    the mistake would have made wrong refutes it.
    """
    best, most = [], (len(wrong) - 1) / 2
    for words, answer in mistakes:
        mistaken = [_mistaken(answer, case) for case in cases]
        if any(
            mistaken[n] is not None and not _close(mistaken[n], right[n])
            for n in range(len(cases))
            if n not in wrong
        ):
            continue
        others = [n for n in wrong if not _close(mistaken[n], given[n])]
        explained = len(wrong) - len(others)
        if wrong[0] not in others and explained > most:
            best, most = [words], explained
            if others:
                listed = _listed([cases[n].what for n in others])
                best.append(f"There is more: this does not explain the answer for {listed}.")
    return best


def _mistaken(answer: Callable, case: Case) -> object:
    """What a mistake answers, or None where it cannot be made."""
    try:
        return answer(*case.arguments.values())
    except (ValueError, TypeError, IndexError):
        return None


def _limits(cases: list[Case], wrong: list[int]) -> list[str]:
    """For which inputs it is wrong, if not for all."""
    right = [case.what for n, case in enumerate(cases) if n not in wrong]
    if not right:
        return []
    if len(right) > len(wrong):
        return [f"Wrong only for {_listed([cases[n].what for n in wrong])}."]
    return [f"Right only for {_listed(right)}."]


def _shape(name: str, axes: list[str], given: object, right: object, what: str) -> str:
    """The wrong shape and the right one."""
    is_now = f"has shape {np.shape(given)}" if np.ndim(given) else "is one number"
    letters = f" ({', '.join(axes)})" if axes else ""
    due = f"{np.shape(right)}{letters}" if np.ndim(right) else "one number"
    return f"For {what}, {name} {is_now}; right is {due}."


def _lengths(axes: list[str], given: object, right: object) -> str | None:
    """Which axes have a wrong length, and by how much."""
    if np.ndim(given) != len(axes):
        return None
    differ = [
        f"{axis} is {abs(g - r)} too {'large' if g > r else 'small'}"
        for axis, g, r in zip(axes, np.shape(given), np.shape(right), strict=True)
        if g != r
    ]
    return f"{' and '.join(differ)}."


def _arranged(axes: list[str], given: list, right: list) -> str | None:
    """What makes answers right that have the right numbers, or those that sum up to them.

    It must do so in all cases: where lengths are 1, other orders and shapes are right too.
    """
    given = [np.asarray(g) for g in given]
    if max(g.ndim for g in given) > len(axes) + 4:
        return None  # too many ways to try
    for summed in _some(range(min(g.ndim for g in given))):
        sums = [g.sum(axis=summed) for g in given]
        for order in permutations(range(len(axes))):
            ordered = [np.transpose(r, order) if order else np.asarray(r) for r in right]
            pairs = list(zip(sums, ordered, strict=True))
            if not all(s.size == o.size and _close(s.reshape(o.shape), o) for s, o in pairs):
                continue
            is_in_order = order == tuple(range(len(axes)))
            is_shaped = all(s.shape == o.shape for s, o in pairs)
            if summed:
                words = "It is not yet summed"
            elif is_in_order:
                words = "The values are right and in order, but the shape is not"
            elif is_shaped:
                words = "Its axes are transposed"
            else:
                words = "All values are right, but in wrong places"
            over = summed if len(summed) > 1 else sum(summed)
            shape = ", ".join(axes[axis] for axis in order) or ordered[-1].shape
            steps = [
                f".sum(axis={over})" if summed else "",
                "" if is_shaped else f".reshape({shape})",
                "" if is_in_order else f".transpose{tuple(np.argsort(order).tolist())}",
            ]
            return f"{words}: {''.join(steps)} makes it right."
    return None


def _reversed(axes: list[str], given: list, right: list) -> str | None:
    """Along which axes all answers are the wrong way round."""
    for some in _some(range(len(axes))):
        if all(_close(np.flip(g, some), r) for g, r in zip(given, right, strict=True)):
            return _listed([axes[axis] for axis in some])
    return None


def _some(axes: range) -> Iterator[tuple[int, ...]]:
    """None of the axes, each of them, two of them, and so on."""
    return chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1))


def _factor(exercise: Exercise, cases: list[Case], given: list, right: list) -> str | None:
    """By which factor all answers differ, in words; in sizes such as N if these explain it."""
    factors, sizes = [], []
    for case, g, r in zip(cases, given, right, strict=True):
        if not np.isfinite(g).all() or not np.isfinite(r).all():
            if not _close(g, r):
                return None
            continue
        if not np.any(r):
            continue
        factor = float(np.sum(g * r) / np.sum(r * r))
        if factor == 0 or not _close(g, factor * r):
            return None
        factors.append(factor)
        sizes.append(_sizes(exercise, case))
    if np.allclose(factors, -1, rtol=1e-9):
        return "has the wrong sign"
    if np.allclose(factors, factors[0], rtol=1e-9):
        factor = f"{factors[0]:.6g}"
        return f"is {factor} times what it should be" if factor != "1" else None
    for letters, (number, text) in product(_PRODUCTS, _NUMBERS.items()):
        if not set(letters) <= set(sizes[0]):
            continue
        counts = np.array([math.prod(size[letter] for letter in letters) for size in sizes])
        named = "·".join(letters)
        if np.allclose(factors, number * counts, rtol=1e-9):
            return f"is {text}{named} times what it should be (is a mean due, not a sum?)"
        if np.allclose(factors, number / counts, rtol=1e-9):
            below = named if len(letters) == 1 else f"({named})"
            return f"is {text}1/{below} of what it should be (is a sum due, not a mean?)"
    return None


# What people divide by, and a number that may come on top.
_PRODUCTS = [
    letters.split()
    for letters in (
        *("N", "C", "K", "H W", "OH OW", "kh kw", "C H W", "N H W", "C kh kw", "K OH OW"),
        *("N OH OW", "N C H W", "N K OH OW"),
    )
]
_NUMBERS = {1: "", -1: "-", 2: "2·", 0.5: "1/2·", -2: "-2·"}


def _sizes(exercise: Exercise, case: Case) -> dict[str, int]:
    """Lengths of the axes of a case's arrays, and arguments that are such."""
    sizes = {name: value for name, value in case.arguments.items() if isinstance(value, int)}
    for name, axes in exercise.axes.items():
        value = case.arguments[name]
        shape = value if isinstance(value, tuple) else value.shape
        sizes.update(zip(axes.split(), shape, strict=True))
    return sizes


def _place(axes: list[str], given: object, right: object) -> str | None:
    """Where the wrong values are, if they are together."""
    bad = ~_agree(given, right)
    share = f"{bad.size - bad.sum()} of {bad.size} values are right:"
    for axis, letter in enumerate(axes):
        lines = np.unique(np.nonzero(bad)[axis]).tolist()
        length, counted = bad.shape[axis], _COUNTED[letter]
        if length == 1:
            continue
        if lines in ([0], [length - 1]):
            return f"{share} only the {'last' if lines[0] else 'first'} {counted} is wrong."
        if lines in ([*range(1, length)], [*range(length - 1)]):
            return f"{share} only the {'first' if lines[0] else 'last'} {counted} is right."
    if axes[-1:] in (["W"], ["OW"]):
        if not bad[..., :-1, :-1].any():
            return f"{share} only the last row and the last column are wrong."
        if not bad[..., 1:-1, 1:-1].any():
            return f"{share} only the border is wrong."
    return None


def _pieces(exercise: Exercise, cases: list[Case], given: list, right: list) -> list[str]:
    """In which pieces there are wrong values, if not in all."""
    found = {
        words: any(
            np.any(piece(*case.arguments.values()) & ~_agree(g, r))
            for case, g, r in zip(cases, given, right, strict=True)
        )
        for words, piece in exercise.pieces.items()
    }
    if all(found.values()):
        return []
    return [f"Wrong only where {_listed([words for words in found if found[words]])}."]


def _example(name: str, exercise: Exercise, case: Case, given: object, right: object) -> str:
    """The first wrong value, the right one, and the arguments' values at its place."""
    index = tuple(map(int, np.argwhere(~_agree(given, right))[0]))
    shown = f"{name}[{', '.join(map(str, index))}]" if index else name
    got, due = np.asarray(given)[index], np.asarray(right)[index]
    belongs = [
        f"{argument} {value[index]:.4g}"
        for argument, value in case.arguments.items()
        if index
        and np.shape(value) == np.shape(right)
        and exercise.axes.get(argument, "") == exercise.results[name]
    ]
    there = f" ({', '.join(belongs)})" if belongs else ""
    digits = next((n for n in range(6, 17) if f"{got:.{n}g}" != f"{due:.{n}g}"), 17)
    return f"For {case.what}, {shown} is {got:.{digits}g}{there}, but {due:.{digits}g} is right."


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
