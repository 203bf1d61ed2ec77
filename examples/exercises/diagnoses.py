"""How a wrong answer is wrong: a mistake that is known, or what would make it right."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, combinations, permutations, product

import numpy as np

from .checks import Case, Exercise
from .hints import meaning
from .mistakes import Mistake
from .observations import (
    Compared,
    Raised,
    agree,
    close,
    is_numeric,
    kind,
    listed,
    observe,
    strangeness,
)


@np.errstate(all="ignore")
def judge(
    exercise: Exercise, mistakes: list[list[Mistake]], cases: list[Case], answers: list
) -> tuple[str, str] | None:
    """Compare answers with the library's.

    If several arrays are returned, only the first wrong one is described: the others may follow
    from it.

    Parameters
    ----------
    exercise : Exercise
    mistakes : list of lists of (words, answer)
        See `mistakes.MISTAKES`.
    cases : list of Case
    answers : list
        What the reader's function returned for each case, or a `Raised`.

    Returns
    -------
    observed, diagnosed : str
        What is wrong with the answers, and which mistake it is (empty if the mistake is not known).
        None instead of both if all is right.
    """
    names = list(exercise.results)
    rights = [exercise.right(*case.arguments.values()) for case in cases]
    if len(names) == 1:
        compared = Compared(exercise, names[0], cases, answers, rights)
        return (observe(compared), _diagnose(compared, mistakes[0])) if compared.wrong else None
    end = f"End with: return {', '.join(names)}."
    count = len(names)
    bad = [
        not isinstance(a, Raised) and (not isinstance(a, tuple | list) or len(a) != count)
        for a in answers
    ]
    if any(bad):
        n = bad.index(True)
        where = "It" if all(bad) else f"For {cases[n].what} it"
        due = f"{count} results are due, {listed(names)}"
        return f"{where} returns {kind(answers[n])}, where {due}.", end
    parts = [
        Compared(
            exercise,
            name,
            cases,
            [a if isinstance(a, Raised) else a[part] for a in answers],
            [right[part] for right in rights],
        )
        for part, name in enumerate(names)
    ]
    wrong = [part for part in parts if part.wrong]
    if not wrong:
        return None
    first = wrong[0]
    observed = observe(first)
    if len(wrong) < count and not all(isinstance(a, Raised) for a in answers):
        observed += f" ({listed([part.name for part in parts if part not in wrong])} is right.)"
    swapped = [tuple(reversed(right)) for right in rights]
    if all(
        not isinstance(answer, Raised) and all(map(close, answer, right))
        for answer, right in zip(answers, swapped, strict=True)
    ):
        return observed, f"The results are in the wrong order. {end}"
    return observed, _diagnose(first, mistakes[parts.index(first)])


def _diagnose(compared: Compared, mistakes: list[Mistake]) -> str:
    given, wrong = compared.given, compared.wrong
    known, explains_all = _known(mistakes, compared)
    if explains_all:
        return known
    strange = strangeness(given[wrong[0]], compared.right[wrong[0]])
    if strange:
        return strange[1]
    raised = [n for n in wrong if isinstance(given[n], Raised)]
    if {wrong[0], wrong[-1]} & set(raised):
        meanings = (meaning(given[n].error) for n in reversed(raised))
        return known or next(filter(None, meanings), "")
    # A diagnosis that explains all answers comes before a mistake that explains only some.
    numeric = [n for n, g in enumerate(given) if is_numeric(g)]
    plain = replace(
        compared,
        **{k: [getattr(compared, k)[n] for n in numeric] for k in ("cases", "given", "right")},
    )
    if not plain.wrong:
        return ""
    for diagnosis in (_arranged, _around, _reversed, _factor, _unwritten, _summed, _shifted):
        words = diagnosis(plain)
        if words:
            return words
    values = [(plain.given[n], plain.right[n]) for n in plain.wrong]
    if all(np.size(g) == np.size(r) and close(_sorted(g), _sorted(r)) for g, r in values):
        return known or "All values are right, but in wrong places: look at the indices."
    return known


def _sorted(array: object) -> np.ndarray:
    return np.sort(array, axis=None)


def _known(mistakes: list[Mistake], compared: Compared) -> tuple[str, bool]:
    """Return words for the mistake that explains most wrong answers, and whether it explains all.

    The mistake must explain the first wrong answer that is no error. It must also explain half of
    all wrong answers, because small inputs cannot tell mistakes apart. The other wrong answers may
    have a second mistake. A mistake that would make a right answer wrong is not the one. Where the
    mistake raises an error, a wrong answer must be an error too.
    """
    cases, given, right, wrong = compared.cases, compared.given, compared.right, compared.wrong
    first = next((n for n in wrong if not isinstance(given[n], Raised)), None)
    if first is None:
        return "", False
    best, most = "", (len(wrong) - 1) / 2
    for words, answer in mistakes:
        mistaken = _mistaken(answer, cases[first])
        if mistaken is None or not close(given[first], mistaken):
            continue
        answers = [_mistaken(answer, case) for case in cases]
        if any(
            answers[n] is not None and not close(answers[n], right[n])
            for n in range(len(cases))
            if n not in wrong
        ):
            continue
        explained, others = [], []
        for n in wrong:
            is_explained = (
                isinstance(given[n], Raised) if answers[n] is None else close(given[n], answers[n])
            )
            (explained if is_explained else others).append(cases[n].what)
        if not others:
            return words, True
        if len(explained) > most:
            most = len(explained)
            best = f"For {listed(explained)}: {words} For {listed(others)} there is more."
    return best, False


def _mistaken(answer: Callable, case: Case) -> np.ndarray | None:
    """Return what a mistake answers, or None where it cannot be made."""
    try:
        return np.asarray(answer(*case.arguments.values()))
    except (ValueError, TypeError, IndexError):
        return None


def _arranged(compared: Compared) -> str:
    """Say which sums, reshapes and transposes would make the answers right.

    They must make the answers of all cases right, because other orders and shapes are right, too,
    where lengths are 1.
    """
    given = [np.asarray(g) for g in compared.given]
    joined = compared.exercise.results[compared.name].split()
    most = min(g.ndim for g in given)
    if max(g.ndim for g in given) > len(compared.axes) + 4:
        return ""  # too many ways to try
    split = [compared.apart(n, right) for n, right in enumerate(compared.right)]
    for axes, rights in ((joined, compared.right), (compared.axes, split)):
        for summed in _some(range(most)):
            sums = [g.sum(axis=summed) for g in given]
            if any(s.size != np.size(r) for s, r in zip(sums, rights, strict=True)):
                continue
            for order in permutations(range(len(axes))):
                ordered = [np.transpose(r, order) if order else np.asarray(r) for r in rights]
                pairs = list(zip(sums, ordered, strict=True))
                if all(close(s.reshape(o.shape), o) for s, o in pairs):
                    return _steps(summed, axes, joined, order, pairs)
    return ""


def _steps(
    summed: tuple[int, ...], axes: list[str], joined: list[str], order: tuple[int, ...], pairs: list
) -> str:
    """Say what is wrong with the sums, and which steps make them right."""
    is_in_order = order == tuple(range(len(axes)))
    is_shaped = all(s.shape == o.shape for s, o in pairs)
    if summed:
        words = "It is not yet summed"
    elif is_in_order:
        words = "The values are right and in order, but the shape is not"
    elif is_shaped:
        words = "Its axes are transposed"
    else:
        words = (
            f"All values are right, but in the order of axes ({', '.join(axes[n] for n in order)})"
        )
    over = summed if len(summed) > 1 else sum(summed)
    shape = ", ".join(axes[axis] for axis in order) or pairs[-1][1].shape
    steps = [
        f".sum(axis={over})" if summed else "",
        "" if is_shaped else f".reshape({shape})",
        "" if is_in_order else f".transpose{tuple(np.argsort(order).tolist())}",
        "" if axes == joined else f".reshape({', '.join(joined)})",
    ]
    return f"{words}: {''.join(steps).replace('·', ' * ')} makes it right."


# Advice, by the last axis of a result.
_SURROUNDED = {
    "OW": "A place counts only where all of the filter lies on the picture, which is not padded: "
    "OH = H - kh + 1, OW = W - kw + 1.",
    "W": "Going back, y's places become H x W pixels again.",
    "kw": "A filter has kh rows and kw columns.",
}


def _around(compared: Compared) -> str:
    """Say how many rows and columns are too many or too few around the right values."""
    misshapen = compared.misshapen
    advice = _SURROUNDED.get("".join(compared.axes[-1:]))
    if not advice or misshapen != compared.wrong:
        return ""
    found = [min(_frames(compared, n), key=_size, default=None) for n in misshapen]
    if None in found:
        return ""
    (rows, columns), (row, column) = found[-1]
    if (row, column) != (1, 1):
        return (
            f"Only every {_nth(row)}row and every {_nth(column)}column of places is there, for "
            f"{compared.cases[misshapen[-1]].what}. The stride, the step to the next place, is 1."
        )
    sides = zip(("above", "below", "to the left", "to the right"), (*rows, *columns), strict=True)
    differ = [f"{abs(n)} {'more' if n > 0 else 'less'} {side}" for side, n in sides if n]
    return (
        f"The right values are there, but not the right rows and columns: for "
        f"{compared.cases[misshapen[-1]].what} {listed(differ)}. {advice}"
    )


def _size(frame: tuple) -> int:
    """Return how much a frame adds; if several frames make values right, the smallest is meant."""
    return np.abs(frame[0]).sum()


def _nth(number: int) -> str:
    return {1: "", 2: "second ", 3: "third "}.get(number, f"{number}th ")


def _frames(compared: Compared, n: int) -> Iterator[tuple]:
    """Yield frames that make values right: excess rows and columns on each side, and steps."""
    right = compared.apart(n, compared.right[n])
    given = np.asarray(compared.given[n])
    arrays = [given]
    if given.ndim < right.ndim:  # places are joined
        P = given.shape[-1] if given.ndim else 0
        shapes = [(*right.shape[:-2], OH, P // OH) for OH in range(1, P + 1) if P % OH == 0]
        arrays = [given.reshape(shape) for shape in shapes if math.prod(shape) == given.size]
    for array in arrays:
        more = np.subtract(array.shape[-2:], right.shape[-2:]) if array.ndim == right.ndim else ()
        if array.shape[:-2] != right.shape[:-2] or np.prod(more) < 0:
            continue
        lengths = zip(array.shape[-2:], right.shape[-2:], strict=True)
        first = (0,) * (right.ndim - 2)  # the first alone tells most of them apart
        for rows, columns in product(*(list(_overlaps(*pair)) for pair in lengths)):
            of_given, of_right = ((..., rows[k], columns[k]) for k in (0, 1))
            if all(
                close(array[some][of_given], right[some][of_right]) and array[of_given].size
                for some in (first, ...)
            ):
                yield (rows[2], columns[2]), (rows[3], columns[3])


def _overlaps(given: int, right: int) -> Iterator[tuple]:
    """Yield ways to overlap two lengths: a slice of each, the excess at both ends, the step."""
    for more in range(given - right + 1):
        yield slice(more, more + right), slice(None), (more, given - right - more), 1
    for less in range(right - given + 1 if right > given else 0):
        yield slice(None), slice(less, less + given), (-less, given - right + less), 1
    for step in range(2, right):
        if len(range(0, right, step)) == given:
            yield slice(None), slice(None, None, step), (0, 0), step


def _reversed(compared: Compared) -> str:
    """Say along which axes all answers are the wrong way round."""
    axes = compared.exercise.results[compared.name].split()
    for some in _some(range(len(axes))):
        flipped = [np.flip(g, some) if np.ndim(g) == len(axes) else g for g in compared.given]
        if some and all(map(close, flipped, compared.right)):
            return f"{compared.name} is reversed along {listed([axes[axis] for axis in some])}."
    return ""


def _some(axes: range) -> Iterator[tuple[int, ...]]:
    """Yield none of the axes, each of them, any two of them, and so on."""
    return chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1))


def _unwritten(compared: Compared) -> str:
    """Say whether all values that are wrong are 0."""
    if compared.misshapen or not compared.axes:
        return ""
    pairs = [(np.asarray(compared.given[n]), compared.right[n]) for n in compared.wrong]
    if any(np.any(given[~agree(given, right)]) for given, right in pairs):
        return ""
    return (
        "All values that are wrong are 0, as where nothing was added or written. Does a loop end "
        "too early, or begin too late? Is a `return` inside of a loop?"
    )


def _summed(compared: Compared) -> str:
    """Say over which axes values are summed, where they should stay apart."""
    pairs = [
        (np.asarray(given), compared.apart(n, right))
        for n, (given, right) in enumerate(zip(compared.given, compared.right, strict=True))
    ]
    for some in _some(range(len(compared.axes))):
        sums = [(given, right.sum(axis=some, keepdims=True)) for given, right in pairs]
        axes = listed([compared.axes[axis] for axis in some])
        if not some:
            continue
        if all(close(given, total.squeeze(some)) for given, total in sums):
            return f"It is summed over {axes}, which must stay."
        if all(
            given.size == right.size
            and close(given.reshape(right.shape), np.broadcast_to(total, right.shape))
            for (given, total), (_, right) in zip(sums, pairs, strict=True)
        ):
            return (
                f"Each value is the sum of the right ones over {axes}. Is an index missing where "
                "they are added?"
            )
    return ""


def _shifted(compared: Compared) -> str:
    """Say by how much all values are too large."""
    if compared.misshapen or not compared.axes:
        return ""
    pairs = zip(compared.given, compared.right, strict=True)
    differences = np.concatenate([np.ravel(given - right) for given, right in pairs])
    if not np.allclose(differences, differences[0], rtol=1e-9, atol=0):
        return ""
    return f"Every value is {differences[0]:.6g} more than it should be."


# Products of lengths that people divide by, and factors that may come with these products.
_PRODUCTS = [
    letters.split()
    for letters in (
        *("N", "C", "K", "H W", "OH OW", "kh kw", "C H W", "N H W", "C kh kw", "K OH OW"),
        *("N OH OW", "N C H W", "N K OH OW"),
    )
]
_NUMBERS = {1: "", -1: "-", 2: "2·", 0.5: "1/2·", -2: "-2·"}


def _factor(compared: Compared) -> str:
    """Say by which factor all answers are wrong, in sizes such as N if these explain the factor."""
    factors, sizes = [], []
    for case, g, r in zip(compared.cases, compared.given, compared.right, strict=True):
        if np.shape(g) != np.shape(r):
            return ""
        if not np.isfinite(g).all() or not np.isfinite(r).all():
            if not close(g, r):
                return ""
            continue
        if not np.any(r):
            continue
        factor = float(np.sum(g * r) / np.sum(r * r))
        if factor == 0 or not close(g, factor * r):
            return ""
        factors.append(factor)
        sizes.append(compared.exercise.sizes(case))
    name = compared.name
    if np.allclose(factors, -1, rtol=1e-9):
        return f"Right but for its sign: {name} has the wrong sign."
    words = f"Right but for a factor: {name} is "
    if np.allclose(factors, factors[0], rtol=1e-9):
        factor = f"{factors[0]:.6g}"
        return f"{words}{factor} times what it should be." if factor != "1" else ""
    for letters, (number, text) in product(_PRODUCTS, _NUMBERS.items()):
        if not set(letters) <= set(sizes[0]):
            continue
        counts = np.array([math.prod(size[letter] for letter in letters) for size in sizes])
        named = "·".join(letters)
        if np.allclose(factors, number * counts, rtol=1e-9):
            missing = f"(is a division by {named} missing, as in a mean?)"
            return f"{words}{text}{named} times what it should be {missing}."
        if np.allclose(factors, number / counts, rtol=1e-9):
            below = named if len(letters) == 1 else f"({named})"
            divided = f"(is it divided by {named}, as in a mean?)"
            return f"{words}{text}1/{below} of what it should be {divided}."
    return ""
