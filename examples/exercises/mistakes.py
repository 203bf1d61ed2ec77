"""Mistakes that are often made: what each would answer, and what there is to say of it.

An answer may equal that of a mistake on all drawn inputs, and still have another cause. So the
words first say what the answer is.
"""

from collections.abc import Callable, Iterator
from itertools import combinations, product

import numpy as np

from .checks import (
    EXERCISES,
    right_col2im,
    right_conv_transpose,
    right_db,
    right_dw,
    right_dx,
    right_forward,
    right_im2col,
    right_transpose_dw,
)
from .formulas import ARGUMENTS, EXCHANGED, FORMULAS, NUMBERS, OTHERS, PIXELS, ROWS, P, T

# Words, and a function of the exercise's arguments. The function raises an error where the mistake
# cannot be made, for example where an index goes over the end.
Mistake = tuple[str, Callable]


def _evaluator(formula: str, names: list[str]) -> Callable:
    """Make a function of arguments with these names from a formula."""
    code = compile(formula, formula, "eval")

    def answer(*values):
        scope = dict(zip(names, values, strict=True))
        if "target" in scope:
            scope["M"] = scope["y"].size
        if "peak" in scope:
            a, b = (scope[name].astype(float) for name in "ab")
            scope.update(float_a=a, float_b=b, mse=np.mean((a - b) ** 2))
        return eval(code, {**_KNOWN, **scope})

    return answer


def _formulas(exercise: str, result: str) -> Iterator[Mistake]:
    names = _names(exercise)
    for formula, remark in FORMULAS[f"{exercise} {result}"].items():
        mse = ", with mse = mean((a - b)**2)" if "peak" in names and "mse" in formula else ""
        words = f"{result} is {formula.replace('float_', '')}{mse}: {remark}"
        answer = _evaluator(formula, names)
        yield words, answer
        if "peak" in names:  # the same, but with the right answer for equal pictures
            yield words, lambda a, b, peak, f=answer: f(a, b, peak) if np.any(a != b) else np.inf


def _others(exercise: str) -> Iterator[Mistake]:
    for formula, words in OTHERS[exercise].items():
        yield words, _evaluator(formula, _names(exercise))


def _names(exercise: str) -> list[str]:
    return list(EXERCISES[exercise].draw(np.random.default_rng(0))[0].arguments)


def _arguments(exercise: str) -> Iterator[Mistake]:
    """Yield the right answers for a changed argument."""
    names, right = _names(exercise), EXERCISES[exercise].right

    def answer(*values, name, change):
        changed = dict(zip(names, values, strict=True))
        changed[name] = change(changed[name])
        return right(*changed.values())

    for name in names:
        for formula, words in ARGUMENTS.get(name, {}).items():
            change = _evaluator(formula, [name])
            yield words, lambda *a, name=name, change=change: answer(*a, name=name, change=change)


# Which pixels are taken.


def _pixels(x, kh, kw, pixel=("i+u", "j+v")):
    """Return the pixels (N, C, kh, kw, OH, OW) that each tap has at each place."""
    rows, columns = _indices(x.shape, kh, kw, pixel)
    return x[:, :, rows, columns]


def _put(cols, x_shape, pixel=("i+u", "j+v")):
    """Add every value of cols, (N, C, kh, kw, OH, OW), to the pixel `_pixels` would take."""
    x = np.zeros(x_shape)
    rows, columns = _indices(x_shape, *cols.shape[2:4], pixel)
    np.add.at(x, np.s_[:, :, rows, columns], cols)
    return x


def _indices(x_shape, kh, kw, formulas):
    shape = kh, kw, x_shape[2] - kh + 1, x_shape[3] - kw + 1
    scope = dict(zip("uvij", np.indices(shape, sparse=True), strict=True), kh=kh, kw=kw)
    return [np.broadcast_to(eval(formula, scope), shape) for formula in formulas]


def _apart(cols, x_shape, kh, kw):
    """Return columns with the axes (N, C, kh, kw, OH, OW)."""
    N, C, H, W = x_shape
    return cols.reshape(N, C, kh, kw, H - kh + 1, W - kw + 1)


def _dcols(dy, w):
    """Return the gradient with respect to the columns, (N, C, kh, kw, OH, OW)."""
    return np.einsum("kcuv,nkij->ncuvij", w, dy)


# The exercises with other pixels, or with cols of six axes.
_BY_PIXEL = {
    "conv_forward": lambda x, w, b, pixel: (
        np.einsum("kcuv,ncuvij->nkij", w, _pixels(x, *w.shape[2:], pixel)) + b[:, None, None]
    ),
    "conv_dw": lambda dy, x, kh, kw, pixel: np.einsum(
        "nkij,ncuvij->kcuv", dy, _pixels(x, kh, kw, pixel)
    ),
    "conv_dx": lambda dy, w, x_shape, pixel: _put(_dcols(dy, w), x_shape, pixel),
    "im2col": lambda x, kh, kw, pixel: _pixels(x, kh, kw, pixel).reshape(
        right_im2col(x, kh, kw).shape
    ),
    "col2im": lambda cols, x_shape, kh, kw, pixel: _put(
        _apart(cols, x_shape, kh, kw), x_shape, pixel
    ),
}


def _other_pixels(exercise: str) -> Iterator[Mistake]:
    array, answer = "dx" if exercise == "conv_dx" else "x", _BY_PIXEL[exercise]
    columns = [row.translate(str.maketrans("iuh", "jvw")) for row in ROWS]
    pixels = [
        *zip(ROWS, columns, strict=True),
        *product(ROWS, columns[:1]),
        *product(ROWS[:1], columns),
    ]
    for pixel in [*(p for p in pixels if p != (ROWS[0], columns[0])), *EXCHANGED]:
        words = f"It is what {array}[n, c, {', '.join(pixel)}] gives, where "
        words += f"{array}[n, c, i+u, j+v] is due"
        seen = PIXELS.get(pixel)
        if exercise == "conv_dx" and pixel == ("i+kh-1-u", "j+kw-1-v"):
            seen += " It must be turned where it slides over a padded dy, and only there."
        yield f"{words}: {seen}" if seen else f"{words}.", lambda *a, p=pixel: answer(*a, pixel=p)


# Which terms are in the sum.

_LENGTHS = {"n": "N", "k": "K", "c": "C", "i": "OH", "j": "OW", "u": "kh", "v": "kw"}
_OF_X = {**_LENGTHS, "i": "H", "j": "W"}  # for sums that spread x
_ONLY = "Of the sum only the terms with {} are there. "
_WITHOUT = "Of the sum the terms with {} are missing. "
_TERMS = (
    (_ONLY + "Is it overwritten, = in place of +=?", slice(-1, None), "{} = {}-1", " and "),
    (_WITHOUT + "Does a loop end too early?", slice(None, -1), "{} = {}-1", " or "),
    (_ONLY + "Is a loop missing?", slice(0, 1), "{} = 0", " and "),
    (_WITHOUT + "Does a loop begin at 1?", slice(1, None), "{} = 0", " or "),
)


def _terms(
    right: Callable, argument: int, axes: str, summed: str, lengths: dict[str, str] = _LENGTHS
) -> Iterator[Mistake]:
    """Yield sums without some terms; one argument is set to 0 in these terms."""

    def answer(*arguments, kept):
        part = np.zeros_like(arguments[argument])
        part[kept] = arguments[argument][kept]
        return right(*arguments[:argument], part, *arguments[argument + 1 :])

    for words, piece, term, joint in _TERMS:
        for count in range(1, len(summed) + 1):
            for some in combinations(summed, count):
                kept = tuple(piece if axis in some else slice(None) for axis in axes)
                terms = joint.join(term.format(axis, lengths[axis]) for axis in some)
                yield words.format(terms), lambda *a, kept=kept: answer(*a, kept=kept)


def _terms_without_bias() -> Iterator[Mistake]:
    """Yield sums that are overwritten, and lose the bias too."""
    for words, answer in _terms(right_forward, 1, "kcuv", "cuv"):
        if "overwritten" in words:
            words += " The bias is not in it."
            yield words, lambda x, w, b, f=answer: f(x, w, 0 * b)


def _biases() -> Iterator[Mistake]:
    for letters, more in product(("C·kh·kw", "kh·kw", "C", "kh", "kw", "C·kh"), (0, 1)):
        axes = [("K", "C", "kh", "kw").index(letter) for letter in letters.split("·")]
        times = f"{letters} + 1" if more else letters
        yield (
            f"The bias is added {times} times, with terms of the sum. Add it once.",
            lambda x, w, b, axes=axes, more=more: right_forward(
                x, w, (np.prod(np.array(w.shape)[axes]) + more) * b
            ),
        )


def _terms_of_columns() -> Iterator[Mistake]:
    for summed in ("uv", "ij"):
        for words, answer in _terms(
            lambda cols, x_shape, *_: _put(cols, x_shape), 0, "ncuvij", summed
        ):
            yield words, lambda cols, *shapes, f=answer: f(_apart(cols, *shapes), *shapes)


# What is done with columns.


def _overwritten(cols, x_shape, by):
    """Do as `_put`, but overwrite: the last tap wins, or the last place."""
    x = np.zeros(x_shape)
    kh, kw, OH, OW = cols.shape[2:]
    if by == "taps":
        for u, v in np.ndindex(kh, kw):
            x[:, :, u : u + OH, v : v + OW] = cols[:, :, u, v]
    else:
        for i, j in np.ndindex(OH, OW):
            x[:, :, i : i + kh, j : j + kw] = cols[:, :, :, :, i, j]
    return x


def _mixed(array, order):
    """Bring axes into another order, and reshape as if they were in the old one."""
    return array.transpose(order).reshape(array.shape)


def _misread(array, order):
    """Do the counterpart of `_mixed`: take axes to be in another order."""
    return array.reshape([array.shape[axis] for axis in order]).transpose(np.argsort(order))


def _other_numbers(answer: Callable) -> Iterator[Mistake]:
    for numbers in NUMBERS:
        differ = [
            f"{name} is {number}, where {right} is due."
            for name, number, right in zip("tp", numbers, (T, P), strict=True)
            if number != right
        ]
        yield " ".join(differ), lambda *a, numbers=numbers: answer(*a, numbers)


def _numbered(shape, numbers):
    """Return the numbers of taps and of places, for each (c, u, v, i, j)."""
    _, C, kh, kw, OH, OW = shape
    indices = np.indices(shape[1:], sparse=True)
    scope = dict(zip("cuvij", indices, strict=True), C=C, kh=kh, kw=kw, OH=OH, OW=OW)
    return [np.broadcast_to(eval(number, scope), shape[1:]) for number in numbers]


def _im2col_numbered(x, kh, kw, numbers):
    pixels, cols = _pixels(x, kh, kw), np.zeros(right_im2col(x, kh, kw).shape)
    taps, places = _numbered(pixels.shape, numbers)
    cols[:, taps, places] = pixels
    return cols


def _col2im_numbered(cols, x_shape, kh, kw, numbers):
    taps, places = _numbered(_apart(cols, x_shape, kh, kw).shape, numbers)
    return _put(cols[:, taps, places], x_shape)


# The bicubic kernel.

_NEAR, _FAR = np.array([1.5, -2.5, 0, 1]), np.array([-0.5, 2.5, -4, 2])  # of |t|³, |t|², |t|, 1


def _kernel(t, distance=None, near=_NEAR, far=_FAR, end=2.0):
    """Return the kernel with something else for |t|, with other factors, or with another end."""
    d = np.abs(t) if distance is None else distance
    return np.where(d <= 1, np.polyval(near, d), np.where(d <= end, np.polyval(far, d), 0))


def _keys(a):
    """Return the factors of Keys' kernel whose derivative at a distance of 1 is a."""
    return np.array([a + 2, -(a + 3), 0, 1]), np.array([a, -5 * a, 8 * a, -4 * a])


def _factors() -> Iterator[Mistake]:
    """Yield kernels in which one factor of the two pieces has the wrong sign, or is missing."""
    pieces = {"near": ("|t| <= 1", _NEAR), "far": ("1 < |t| <= 2", _FAR)}
    for (piece, (where, right)), change in product(pieces.items(), (-1, 0)):
        for n in np.flatnonzero(right):
            factors = right.copy()
            factors[n] *= change
            words = f"For {where} the factor of {('|t|³', '|t|²', '|t|', '1')[n]} "
            words += "has the wrong sign." if change else "is missing."
            yield words, lambda t, piece=piece, factors=factors: _kernel(t, **{piece: factors})


def _spread_overwritten(x, w, b, s):
    """Return a transposed convolution in which the last term of each place wins."""
    y = right_conv_transpose(0 * x, w, b, s)
    for n, c, i, j in np.ndindex(x.shape):
        kh, kw = w.shape[2:]
        y[n, :, s * i : s * i + kh, s * j : s * j + kw] = x[n, c, i, j] * w[c] + b[:, None, None]
    return y


# The names that formulas use.
_KNOWN = {
    **{name: getattr(np, name) for name in (
        *("abs", "arange", "array", "concatenate", "einsum", "inf", "log", "log10", "log2", "max"),
        *("maximum", "mean", "polyval", "roll", "sign", "sqrt", "sum", "where", "zeros"),
    )},
    **{"forward": right_forward, "db": right_db, "dw": right_dw, "dx": right_dx},
    **{"im2col": right_im2col, "col2im": right_col2im, "pixels": _pixels, "put": _put},
    **{"apart": _apart, "dcols": _dcols, "overwritten": _overwritten, "mixed": _mixed},
    **{"transposed": right_conv_transpose, "transposed_dw": right_transpose_dw},
    **{"spread_overwritten": _spread_overwritten},
    **{"misread": _misread, "kernel": _kernel, "keys": _keys, "NEAR": _NEAR, "FAR": _FAR},
}  # fmt: skip

# By exercise: a list of mistakes for each array that the function returns.
MISTAKES: dict[str, list[list[Mistake]]] = {
    "conv_forward": [
        [
            *_others("conv_forward"),
            *_biases(),
            *_other_pixels("conv_forward"),
            *_terms_without_bias(),
            *_terms(right_forward, 1, "kcuv", "cuv"),
            *_arguments("conv_forward"),
        ]
    ],
    "conv_db": [
        [
            *_formulas("conv_db", "db"),
            *_arguments("conv_db"),
            *_terms(right_db, 0, "nkij", "nij"),
        ]
    ],
    "conv_dw": [
        [
            *_other_pixels("conv_dw"),
            *_terms(right_dw, 0, "nkij", "nij"),
            *_others("conv_dw"),
            *_arguments("conv_dw"),
        ]
    ],
    "conv_dx": [
        [
            *_other_pixels("conv_dx"),
            *_others("conv_dx"),
            *_terms(right_dx, 0, "nkij", "kij"),
            *_terms(right_dx, 1, "kcuv", "uv"),
            *_arguments("conv_dx"),
        ]
    ],
    "relu_backward": [list(_formulas("relu_backward", "dx"))],
    "mse": [list(_formulas("mse", result)) for result in ("L", "dy")],
    "sgd_step": [list(_formulas("sgd_step", result)) for result in ("v_new", "p_new")],
    "psnr": [list(_formulas("psnr", "psnr"))],
    "bicubic_kernel": [[*_others("bicubic_kernel"), *_factors()]],
    "im2col": [
        [
            *_other_pixels("im2col"),
            *_other_numbers(_im2col_numbered),
            *_others("im2col"),
            *_arguments("im2col"),
        ]
    ],
    "col2im": [
        [
            *_others("col2im"),
            *_other_pixels("col2im"),
            *_other_numbers(_col2im_numbered),
            *_terms_of_columns(),
        ]
    ],
    "conv_transpose": [
        [
            *_others("conv_transpose"),
            *_terms(right_conv_transpose, 1, "ckuv", "cuv"),
            *_terms(right_conv_transpose, 0, "ncij", "cij", _OF_X),
        ]
    ],
    "transpose_dw": [
        [*_others("transpose_dw"), *_terms(right_transpose_dw, 1, "ncij", "nij", _OF_X)]
    ],
    "prelu_backward": [list(_formulas("prelu_backward", result)) for result in ("dx", "da")],
}
