"""The exercises can be solved, and typical wrong answers are told apart."""

import ast
import doctest
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import exercise_solutions
import numpy as np
import pytest
from test_docs import broken_links

from examples.exercises import exercises, mistakes, train
from examples.exercises.__main__ import main
from examples.exercises.checks import EXERCISES
from examples.exercises.running import Finding, check, load
from srcnn_np import InputError
from srcnn_np.imaging import enlarge

ROOT = Path(__file__).parents[1]
SOLUTION = Path(exercise_solutions.__file__)


def solution_but(tmp_path, name, old, new):
    """The solution, with something in one function replaced; or all that follows its head."""
    source = SOLUTION.read_text()
    node = next(n for n in ast.parse(source).body if getattr(n, "name", None) == name)
    function = ast.get_source_segment(source, node)
    if old is None:
        head = function.partition("\n")[0]
        wrong = f"{head}\n    {new}"
    else:
        assert old in function
        wrong = function.replace(old, new)
    path = tmp_path / "mine.py"
    path.write_text(source.replace(function, wrong))
    return load(path)


def test_the_solution_passes():
    module = load(SOLUTION)
    for name in EXERCISES:
        for seed in range(5):
            assert check(name, module, seed=seed).state == "right", name


def test_every_exercise_has_a_docstring_whose_example_the_solution_fulfils():
    assert list(EXERCISES) == [
        n for n in vars(exercises) if hasattr(vars(exercises)[n], "__code__")
    ]
    for name in EXERCISES:
        function = getattr(exercises, name)
        assert "\n    Hint\n    ----\n" in function.__doc__
        (example,) = doctest.DocTestFinder().find(function, name, globs=vars(exercise_solutions))
        result = doctest.DocTestRunner().run(example)
        assert result.attempted > 0, name
        assert result.failed == 0, name


def test_the_readme_is_true(tmp_path):
    readme = Path(exercises.__file__).with_name("README.md")
    assert doctest.testfile(str(readme), module_relative=False).failed == 0
    assert broken_links(readme.read_text(), readme) == []
    text = " ".join(readme.read_text().split())
    flipped = solution_but(
        tmp_path, "conv_dw", "shape[1], kh, kw)", "shape[1], kh, kw)[..., ::-1, ::-1]"
    )
    mean = solution_but(tmp_path, "conv_db", "return ", "return 1 / len(dy) * ")
    assert f"conv_dw wrong {check('conv_dw', flipped).words} conv_db" in text
    assert f"conv_db wrong {check('conv_db', mean).words} ```" in text


def test_loops_are_good_enough_to_check(tmp_path):
    body = """N, C, H, W = x.shape
    K, C, kh, kw = w.shape
    y = np.zeros((N, K, H - kh + 1, W - kw + 1))
    for n in range(N):
        for k in range(K):
            for i in range(H - kh + 1):
                for j in range(W - kw + 1):
                    y[n, k, i, j] = b[k]
                    for c in range(C):
                        for u in range(kh):
                            for v in range(kw):
                                y[n, k, i, j] += w[k, c, u, v] * x[n, c, i + u, j + v]
    return y"""
    module = solution_but(tmp_path, "conv_forward", None, body)
    assert check("conv_forward", module).state == "right"
    words = (
        r"would take about \d+ minutes.* in conv_forward; write matrix products in place of loops"
    )
    with pytest.raises(InputError, match=words):
        train.train(module)
    with pytest.raises(InputError, match=r"^this training would take"):
        main(["train", "--file", module.__file__])


OTHER_WAYS = [
    ("im2col", """N, C, H, W = x.shape
    places = [(i, j) for i in range(H - kh + 1) for j in range(W - kw + 1)]
    patches = [x[:, :, i : i + kh, j : j + kw].reshape(N, -1) for i, j in places]
    return np.stack(patches, axis=2)"""),
    ("col2im", """x = np.zeros(x_shape)
    places = x_shape[2] - kh + 1, x_shape[3] - kw + 1
    for p, (i, j) in enumerate(np.ndindex(places)):
        x[:, :, i : i + kh, j : j + kw] += cols[:, :, p].reshape(*x_shape[:2], kh, kw)
    return x"""),
    ("conv_forward", """y = 0
    for u, v in np.ndindex(w.shape[2:]):
        OH, OW = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
        y = y + np.einsum("kc,ncij->nkij", w[:, :, u, v], x[:, :, u : u + OH, v : v + OW])
    return y + b.reshape(1, -1, 1, 1)"""),
    ("conv_db", "return np.array([dy[:, k].sum() for k in range(dy.shape[1])])"),
    ("conv_dw", """windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))
    return np.einsum("nkij,ncijuv->kcuv", dy, windows)"""),
    ("conv_dx", """K, C, kh, kw = w.shape
    dy = np.pad(dy, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
    return conv_forward(dy, w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3), np.zeros(C))"""),
    ("relu_backward", "return dy * (x > 0)"),
    ("mse", """M = y.size
    return sum(float(e) ** 2 for e in (y - target).flat) / M, 2 / M * (y - target)"""),
    ("sgd_step", """step = -rate * g + v * momentum
    return step, step + p"""),
    ("psnr", "return 20 * np.log10(peak / np.sqrt(np.mean((a.astype(int) - b) ** 2)))"
             " if a.dtype == np.uint8 else 10 * np.log10(peak**2 / np.mean((a - b) ** 2))"),
    ("bicubic_kernel", """k = np.zeros_like(t)
    for index, d in np.ndenumerate(abs(t)):
        if d <= 1:
            k[index] = (1.5 * d - 2.5) * d * d + 1
        elif d <= 2:
            k[index] = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return k"""),
]  # fmt: skip


@pytest.mark.parametrize("name, body", OTHER_WAYS)
def test_other_ways_are_right_too(tmp_path, name, body):
    assert check(name, solution_but(tmp_path, name, None, body)).state == "right"


def test_np_empty_is_known_by_any_name(tmp_path):
    module = solution_but(tmp_path, "col2im", "np.zeros(x_shape, cols.dtype)", "blank(x_shape)")
    path = Path(module.__file__)
    path.write_text("from numpy import empty as blank\n" + path.read_text())
    assert check("col2im", load(path)).words.startswith("np.empty holds whatever")


def test_what_a_compiler_makes_of_np_empty_is_left_alone(tmp_path):
    body = """import numba

    @numba.njit
    def summed(dy):
        db = np.empty(dy.shape[1])
        for k in range(len(db)):
            db[k] = dy[:, k].sum()
        return db

    return summed(dy)"""
    assert check("conv_db", solution_but(tmp_path, "conv_db", None, body), limit=60) == Finding(
        "right"
    )


FROM_WINDOWS = """windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))
    N, C, OH, OW = windows.shape[:4]
    return windows.reshape(N, C * kh * kw, OH * OW)"""
PAD = "np.pad(x, ((0, 0), (0, 0), ({0}, {0}), ({0}, {0})))"
BY_PYTORCH = """v = momentum * v + g
    return v, p - rate * v"""
BY_PLACES = OTHER_WAYS[1][1].replace("+=", "=")
LOOPS = """N, K, OH, OW = dy.shape
    dx = np.zeros(x_shape)
    for n, k, i, j in np.ndindex(N, K, OH, OW):
        dx[n, :, i : i + w.shape[2], j : j + w.shape[3]] {} dy[n, k, i, j] * w[k]
    return dx"""
FULL_CORRELATION = """K, C, kh, kw = w.shape
    dy = np.pad(dy, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
    return conv_forward(dy, w{}.transpose(1, 0, 2, 3), np.zeros(C))"""
BY_TAPS = """y = 0
    OH, OW = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
    for u, v in np.ndindex(w.shape[2:]):
        seen = x[:, :, u : u + OH, v : v + OW]
        y = {} np.einsum("kc,ncij->nkij", w[:, :, u, v], seen){}
    return y{}"""
WRONG = [
    ("im2col", "OH * OW)", "OH * OW).transpose(0, 2, 1)", "Transposed: each row is a tap"),
    ("im2col", "cols.reshape", "cols.transpose(0, 2, 3, 1, 4, 5).reshape", "order (u, v, c)"),
    ("im2col", "cols.reshape", "cols.transpose(0, 1, 3, 2, 4, 5).reshape", "order (c, v, u)"),
    ("im2col", "cols.reshape", "cols.transpose(0, 1, 2, 3, 5, 4).reshape", "down the columns"),
    ("im2col", "cols[:, :, u, v]", "cols[:, :, kh - 1 - u, kw - 1 - v]", "filter is flipped"),
    ("im2col", None, FROM_WINDOWS, "reshape was given the axes (N, C, OH, OW, kh, kw)"),
    ("im2col", "N, C, H", f"x = {PAD.format(1)}\n    N, C, H", "padded with a border of one zero"),
    ("im2col", "cols.reshape", "cols[:, ::-1].reshape",
     "Wrong only for several channels and several pictures. "),
    ("im2col", "cols[:, :, u, v]", "cols[:, :, u, kw - 1 - v]", "mirrored, left to right"),
    ("im2col", "range(kh)", "range(kh - 1)",
     "write all of it, or begin with np.zeros. For the docstring's example, cols[0, 2, 0] is 0"),
    ("im2col", "u : u + OH, v : v + OW", ":OH, :OW", "Tap (u, v) takes x[n, c, i+u, j+v]"),
    ("im2col", "= x[:, :, u", "= x[:, :1, u", "Only the first channel is taken"),
    ("im2col", "N, C, H, W", "x = x[:, :1]\n    N, C, H, W", "Only the first channel is taken"),
    ("im2col", "H - kh + 1, W - kw + 1", "H - kh, W - kw", "last row and column of places"),
    ("im2col", "x.dtype", "int", "whole numbers, dtype int64"),
    ("im2col", "x.dtype", "np.float32", "dtype float32"),
    ("im2col", "cols.reshape", "cols[:, 0] if len(x) > 1 else cols.transpose(0, 2, 3, 1, 4, 5)"
     ".reshape", "(c, u, v). There is more: this does not explain the answer for several pictures"),
    ("im2col", "return ", "", "It returns None: a `return` is missing"),
    ("im2col", "return cols.reshape(N, C * kh * kw, OH * OW)", "return cols",
     "The values are right and in order, but the shape is not: .reshape(N, T, P) makes it right"),
    ("col2im", "+=", "=", "the last one wins: write +="),
    ("col2im", "np.zeros(x_shape, cols.dtype)", "np.empty_like(cols, shape=x_shape)",
     "np.empty holds whatever was there before: begin with np.zeros."),
    ("col2im", "x = np.zeros(x_shape, cols.dtype)",
     "cols, x = cols[:, :, ::-1, ::-1], np.empty(x_shape)", "begin with np.zeros. The filter is"),
    ("col2im", "(N, C, kh, kw, OH, OW)", "(N, kh, kw, C, OH, OW).transpose(0, 3, 1, 2, 4, 5)",
     "in the order (u, v, c)"),
    ("col2im", "(N, C, kh, kw, OH, OW)", "(N, C, kh, kw, OW, OH).transpose(0, 1, 2, 3, 5, 4)",
     "read down the columns"),
    ("col2im", "(N, C, kh, kw, OH, OW)", "(N, C, OH, OW, kh, kw).transpose(0, 1, 4, 5, 2, 3)",
     "Places are read before taps"),
    ("col2im", "(N, C, kh, kw, OH, OW)", "(N, OH, OW, C, kh, kw).transpose(0, 3, 4, 5, 1, 2)",
     "Places are read before taps"),
    ("col2im", None, BY_PLACES, "the last one wins: write +="),
    ("col2im", "cols[:, :, u, v]", "cols[:, :, kh - 1 - u, v]", "mirrored, top to bottom"),
    ("col2im", "cols[:, :, u, v]", "cols[:, :, kh - 1 - u, kw - 1 - v]", "filter is flipped"),
    ("col2im", "return x", "return x / (kh * kw)", "1/(kh·kw) of what it should be"),
    ("conv_forward", "w.reshape", "w[:, :, ::-1, ::-1].reshape", "filter is flipped"),
    ("conv_forward", "w.reshape", "w[..., ::-1].reshape", "mirrored, left to right"),
    ("conv_forward", "return y", "y = np.maximum(y, 0)\n    return y", "A ReLU is applied"),
    ("conv_forward", " + b[:, None]", "", "bias is missing"),
    ("conv_forward", "b[:, None]", "x.shape[1] * b[:, None]", "added once for each channel"),
    ("conv_forward", "b[:, None]", "b", "operands could not be broadcast"),
    ("conv_forward", "w.reshape(K, -1)", "w.reshape(-1, K).T", "reshaped to (T, K)"),
    ("conv_forward", "w.reshape(K, -1)", "w.transpose(0, 2, 3, 1).reshape(K, -1)", "(u, v, c)"),
    ("conv_forward", "w.reshape(K, -1)", "w[:1].reshape(1, -1)", "Every filter is filter 0"),
    ("conv_forward", "return y", "y[:, 1:] = 0\n    return y", "only the first filter is right"),
    ("conv_forward", "N, _, H", f"x = {PAD.format(1)}\n    N, _, H", "border of one zero"),
    ("conv_forward", "return y", "return y.transpose(0, 2, 1)",
     "several pictures. All values are right, but in wrong places: .reshape(N, OH, OW, K)"
     ".transpose(0, 3, 1, 2) makes it right."),
    ("conv_forward", "H - kh + 1, W - kw + 1)", "H - kh + 1, W - kw + 1).transpose(0, 2, 3, 1)",
     ".transpose(0, 3, 1, 2) makes it right"),
    ("conv_forward", "reshape(N, K, H", "reshape(K, N, H", ".reshape(N, K, OH, OW) makes it right"),
    ("conv_forward", "x.shape\n", "x.shape\n    b += 1\n", "overwrites its input b"),
    ("conv_forward", None, BY_TAPS.format("y +", " + b[:, None, None]", ""),
     "once for each row and column (u, v)"),
    ("conv_forward", None, BY_TAPS.format("", "", " + b[:, None, None]"), "Only the last (u, v)"),
    ("conv_forward", "return y", "y[:, :, 0] = 0\n    return y",
     "For several pictures, 1420 of 1440 values are right: only the first row is wrong"),
    ("conv_db", ".sum(", ".mean(", "1/(N·OH·OW) of what it should be"),
    ("conv_db", "return ", "return 1 / len(dy) * ", "1/N of what it should be"),
    ("conv_db", "(0, 2, 3)", "(1, 2, 3)", "one number for each picture"),
    ("conv_db", "(0, 2, 3)", "(2, 3)", "not yet summed over the pictures"),
    ("conv_db", "(0, 2, 3)", "(0, 3)", "not yet summed: .sum(axis=1) makes it right"),
    ("conv_db", "dy.sum", "dy[..., :-1].sum", "The last column of places is left out"),
    ("conv_db", "dy.sum(axis=(0, 2, 3))", "dy.reshape(dy.shape[1], -1).sum(axis=1)",
     "A reshape of dy mixes pictures and filters"),
    ("conv_db", "axis=(0, 2, 3)", "", "summed to one number"),
    ("conv_db", "(0, 2, 3)", "(0, 2, 3), keepdims=True", ".reshape(K) makes it right"),
    ("conv_db", "dy.sum", "np.ones_like(dy).sum", "counts the values"),
    ("conv_dw", "products.sum(axis=0)", "products[-1]", "Only the last picture counts"),
    ("conv_dw", "products.sum", "products.mean", "1/N of what it should be"),
    ("conv_dw", "(K, x.shape[1], kh, kw)", "(K, x.shape[1], kh, kw)[:, :, ::-1, ::-1]",
     "filter is flipped"),
    ("conv_dw", "x.shape[1], kh, kw)", "x.shape[1], kh, kw).transpose(1, 0, 2, 3)",
     ".transpose(1, 0, 2, 3) makes it right"),
    ("conv_dw", ".reshape(K, x.shape[1], kh, kw)", ".T.reshape(K, x.shape[1], kh, kw)",
     "Transpose it to (K, T)"),
    ("conv_dw", ".reshape(K, x.shape[1], kh, kw)", "",
     "For several pictures, dw has shape (5, 126); right is (5, 3, 6, 7) (K, C, kh, kw). The values"
     " are right and in order, but the shape is not: .reshape(K, C, kh, kw) makes it right."),
    ("conv_dw", "(K, x.shape[1], kh, kw)", "(x.shape[1], K, kh, kw)", ".reshape(K, C, kh, kw)"),
    ("conv_dw", "(K, x.shape[1], kh, kw)", "(K, x.shape[1], kw, kh)", ".reshape(K, C, kh, kw)"),
    ("conv_dw", "products.sum(axis=0).reshape(K, x.shape[1], kh, kw)", "products",
     "It is not yet summed: .sum(axis=0).reshape(K, C, kh, kw) makes it right"),
    ("conv_dw", "x.shape[1], kh, kw)", "x.shape[1], kh, kw)[..., ::-1]",
     "dw is reversed along kw."),
    ("conv_dw", "-1) @ im2col(x, kh, kw)", "-1)[..., :-1] @ im2col(x, kh, kw)[..., :-1]",
     "The last place is left out"),
    ("conv_dw", "N, K = dy.shape[:2]", "N, K = dy.shape[:2]\n    dy = dy.reshape(K, N, -1)"
     ".transpose(1, 0, 2)", "A reshape of dy mixes pictures and filters"),
    ("conv_dw", "im2col(x, kh, kw)", "np.repeat(x[:, :, : dy.shape[2], : dy.shape[3]].reshape("
     "N, x.shape[1], -1), kh * kw, axis=1)", "Tap (u, v) takes x[n, c, i+u, j+v]"),
    ("conv_dw", "dy.reshape", "(dy + 1).reshape", "dw[0, 0, 0, 0] is 15, but 12 is right"),
    ("conv_dw", "dy.reshape", "np.ones_like(dy).reshape", "does not depend on dy"),
    ("conv_dw", "im2col(x, kh, kw)", "np.ones_like(im2col(x, kh, kw))",
     "gradient with respect to the biases"),
    ("conv_dx", "return col2im(dcols, x_shape, kh, kw)", "return dcols",
     "gradient with respect to the columns"),
    ("conv_dx", None, FULL_CORRELATION.format(""), "filter is flipped"),
    ("conv_dx", "w.reshape(K, -1).T", "w.reshape(-1, K)", "reshaped to (T, K)"),
    ("conv_dx", None, LOOPS.format("="), "and of the filters, the last one wins: write +="),
    ("conv_dx", None, LOOPS.format("+=").replace("OW)", "OW - 1)"), "The last column of places is"),
    ("conv_dx", "w.reshape(K, -1).T", "w.swapaxes(0, 1).reshape(-1, K)", "reshaped to (T, K)"),
    ("conv_dx", "w.reshape", "w[:, :, ::-1].reshape", "mirrored, top to bottom"),
    ("conv_dx", "w.reshape", "np.ones_like(w).reshape", "does not depend on w"),
    ("conv_dx", "dy.reshape", "np.ones_like(dy).reshape", "does not depend on dy"),
    ("conv_dx", "col2im(dcols, x_shape, kh, kw)",
     "conv_forward(dy, w.transpose(1, 0, 2, 3), 0 * w[0, :, 0, 0])", "shrinks once more"),
    ("conv_dx", "x_shape, kh, kw)", "x_shape, kh, kw)[:, :, 1:]", "H is 1 too small"),
    ("conv_dx", "return ", "return 1 / len(dy) * ", "1/N of what it should be"),
    ("conv_dx", "K, _", "dy *= 2\n    K, _", "overwrites its input dy"),
    ("relu_backward", "np.where(x > 0, dy, 0)", "np.maximum(x, 0)", "the ReLU itself, forward"),
    ("relu_backward", "x > 0", "dy > 0", "The sign of dy decides"),
    ("relu_backward", "dy, 0", "dy, 0.1 * dy",
     "Wrong only where x <= 0. For the docstring's example, dx[2] is 0.7 (dy 7, x -3), but 0 is"),
    ("relu_backward", "x > 0", "x >= 0", "at x = 0 as well"),
    ("relu_backward", "np.where(x > 0, dy, 0)", "x > 0", "∂y/∂x alone"),
    ("relu_backward", "x > 0, dy, 0", "x > 0, 0, dy", "wrong half"),
    ("relu_backward", "return np.where(x > 0, dy, 0)", "dy[x <= 0] = 0\n    return dy",
     "overwrites its input dy"),
    ("mse", "np.mean", "np.sum", "L: Right but for a factor: L is N·C·H·W times"),
    ("mse", "np.mean(error**2)", "np.sum(error**2) / len(y)", "L is C·H·W times"),
    ("mse", "np.mean(error**2)", "np.mean(abs(error))", "L: It is the mean of |y - target|"),
    ("mse", "np.mean(error**2)", "np.sqrt(np.mean(error**2))", "L: It is the root"),
    ("mse", "error * (2", "error * (1", "dy is 0.5 times what it should be"),
    ("mse", " / error.size", "", "dy is N·C·H·W times"),
    ("mse", "error * (2 / error.size)", "error", "dy is 1/2·N·C·H·W times"),
    ("mse", "error * (2 / error.size)", "np.sum(error * (2 / error.size))",
     "dy: This is one number. Each value of y has its own derivative."),
    ("mse", "error * (2 / error.size)", "error**3", "is 8 (y 3, target 1), but 2 is right"),
    ("mse", "error.size", "len(error)", "dy is C·H·W times"),
    ("mse", "error * (2", "error * (-2", "gradient with respect to target"),
    ("mse", "error * (2 / error.size)", "error**2 / error.size", "not its derivative"),
    ("mse", "np.mean(error**2), ", "", "It returns one array of shape"),
    ("mse", "error = y - target", "y -= target\n    error = y", "overwrites its input y"),
    ("mse", None, "return 2 / y.size * (y - target), np.mean((y - target) ** 2)", "wrong order"),
    ("sgd_step", "- rate", "+ rate", "v_new: The step goes up the slope"),
    ("sgd_step", "rate * g", "g", "v_new: The rate is missing"),
    ("sgd_step", None, BY_PYTORCH, "another convention"),
    ("sgd_step", "momentum * v - rate * g", "momentum * (v - rate * g)", "to the gradient too"),
    ("sgd_step", "momentum * v - rate * g", "rate * v - momentum * g", "in each other's place"),
    ("sgd_step", "momentum * v", "v", "v_new: The momentum is missing"),
    ("sgd_step", "return v, p + v", "if v.ndim == 1:\n        return v, p + v",
     "For weights it returns None. End with: return v_new, p_new."),
    ("sgd_step", "p + v", "p - v", "p_new: The velocity is subtracted"),
    ("sgd_step", None, "return momentum * v - rate * g, p + v", "p_new: The old velocity is used"),
    ("sgd_step", "p + v", "p + momentum * v - rate * g", "Nesterov"),
    ("sgd_step", "return v, p + v", "p += v\n    return v, p", "overwrites its input p"),
    ("psnr", "np.log10", "np.log", "natural one"),
    ("psnr", "10 * np", "20 * np", "20 goes with"),
    ("psnr", "peak**2 / mean", "peak / mean", "not squared"),
    ("psnr", "peak**2 / mean", "1 / mean", "peak is missing"),
    ("psnr", "np.mean(", "np.sum(", "Take their mean"),
    ("psnr", "a.astype(float) - b.astype(float)", "a - b", "3 - 5 is 254"),
    ("psnr", "np.inf if mean == 0 else 10 * np.log10(peak**2 / mean)",
     "10 * np.log10(peak**2 / (mean + 1e-10))", "psnr is 19.99999996, but 20 is right"),
    ("mse", "np.mean(error**2)", "np.mean(error**2, axis=(0, 2, 3))", "mean of each channel"),
    ("psnr", None, "return 10 * np.log10(peak**2 / np.mean((a.astype(float) - b) ** 2, axis=-1))",
     "For equal pictures, psnr has shape (4,); right is one number."),
    ("psnr", "return np.inf if mean == 0 else", "if mean > 0:\n        return",
     "For equal pictures it returns None: a `return` is missing."),
    ("psnr", "np.inf if", "0.0 if", "Wrong only for equal pictures. For equal pictures, psnr is 0"),
    ("psnr", "np.inf if mean == 0 else 10 * np.log10", "0.0 if mean == 0 else 10 * np.log",
     "Decibels take log10. There is more: this does not explain the answer for equal pictures."),
    ("psnr", "a.astype(float) - b.astype(float)", "(a - b).astype(float)",
     "The difference is converted, but in uint8 3 - 5 is 254 already"),
    ("psnr", "np.inf if", "100.0 if", "only for equal pictures. For equal pictures, psnr is 100"),
    ("psnr", "10 * np.log10(peak**2 / mean)", "10 * np.log10(mean / peak**2)",
     "It has the wrong sign: the error goes below the line"),
    ("psnr", "10 * np.log10(peak**2 / mean)", "mean", "This is the mean squared error"),
    ("bicubic_kernel", "t = np.abs(t)", "", "begin with |t|"),
    ("bicubic_kernel", "far, 0", "far, far", "Beyond a distance of 2 it must be 0"),
    ("bicubic_kernel", None, "return np.maximum(0, 1 - np.abs(t))", "linear interpolation"),
    ("bicubic_kernel", "t <= 1, near, np.where(t < 2, far, 0)", "t <= 1, near, 0",
     "there is another piece"),
    ("bicubic_kernel", "far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2",
     "near, far = 1.25 * t**3 - 2.25 * t**2 + 1, -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)",
     "a = -0.75"),
    ("bicubic_kernel", "1.5 * t**3", "1.6 * t**3", "Wrong only where |t| <= 1. For the docstring"),
    ("bicubic_kernel", "+ 2\n", "+ 1\n", "Wrong only where 1 < |t| <= 2. For the docstring"),
    ("bicubic_kernel", "t < 2, far, 0", "t <= 2, far, 1", "Wrong only where |t| > 2. For the"),
    ("bicubic_kernel", "return", "if t > 2:\n        return 0\n    return", "is ambiguous"),
]  # fmt: skip


@pytest.mark.parametrize("name, old, new, words", WRONG)
def test_a_wrong_answer_is_diagnosed(tmp_path, name, old, new, words):
    finding = check(name, solution_but(tmp_path, name, old, new))
    assert finding.state == "wrong"
    assert words in finding.words


def test_every_exercise_has_at_least_three_wrong_answers():
    for name in EXERCISES:
        assert sum(wrong[0] == name for wrong in WRONG) >= 3, name


KNOWN = [
    pytest.param(name, part, words, answer, id=f"{name}: {words[:50]}")
    for name, parts in mistakes.MISTAKES.items()
    for part, known in enumerate(parts)
    for words, answer in known
]


@pytest.mark.parametrize("name, part, words, answer", KNOWN)
def test_a_known_mistake_is_known_again(name, part, words, answer):
    exercise = EXERCISES[name]

    def function(*arguments):
        right = exercise.right(*arguments)
        try:
            wrong = answer(*arguments)
        except (ValueError, TypeError, IndexError):
            return right  # it cannot be made with these
        if len(exercise.results) == 1:
            return wrong
        return tuple(wrong if n == part else r for n, r in enumerate(right))

    module = ModuleType("exercises")
    module.__file__ = "exercises.py"
    setattr(module, name, function)
    assert words in check(name, module).words


@pytest.mark.parametrize("name", ["im2col", "col2im", "conv_forward", "conv_dw", "conv_dx"])
@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.T,
        lambda a: a.T.reshape(a.shape),
        lambda a: a.reshape(a.shape[::-1]),
        lambda a: a.swapaxes(0, -1).ravel(),
        lambda a: np.stack([a / 4, 3 * a / 4], axis=1),
        lambda a: np.stack([a.T - 1, 0 * a.T + 1]),
    ],
)
def test_what_is_said_to_make_it_right_does(name, change):
    exercise, module = EXERCISES[name], ModuleType("exercises")
    module.__file__ = "exercises.py"
    setattr(module, name, lambda *arguments: change(exercise.right(*arguments)))
    advice = re.search(r": (\.\S.*) makes it right", check(name, module).words)
    for case in exercise.draw(np.random.default_rng(1)):
        right = exercise.right(*case.arguments.values())
        (axes,) = exercise.results.values()
        sizes = dict(zip(axes.split(), right.shape, strict=True))
        np.testing.assert_allclose(eval(f"a{advice[1]}", {"a": change(right), **sizes}), right)


def test_a_function_that_is_right_but_for_another_that_it_calls(tmp_path):
    module = solution_but(tmp_path, "im2col", "cols.reshape", "-cols.reshape")
    assert "cols has the wrong sign" in check("im2col", module).words
    for name in ("conv_forward", "conv_dw"):
        assert check(name, module).words == "Right but for im2col, which it calls."
        assert check(name, module).next == "mend im2col"
    assert check("conv_dx", module).state == "right"
    module = solution_but(tmp_path, "col2im", None, 'raise NotImplementedError("write me")')
    assert check("col2im", module).state == "not written yet"
    assert check("conv_dx", module).words == "Right but for col2im, which it calls."
    assert check("conv_dx", module).next == "write col2im"


def test_of_those_that_it_calls_only_the_wrong_ones_are_named(tmp_path):
    module = solution_but(tmp_path, "conv_dx", "K, _", "im2col(dy, 1, 1)\n    K, _")
    module.col2im = lambda cols, x_shape, kh, kw: np.zeros(x_shape)
    assert check("conv_dx", module).words == "Right but for col2im, which it calls."


def test_what_is_printed_is_shown_once(tmp_path, capsys):
    module = solution_but(tmp_path, "im2col", "N, C, H", "print(x.shape)\n    return\n    N, C, H")
    check("conv_forward", module)
    assert capsys.readouterr().out == "(1, 1, 2, 3)\n"


IN_A_LIST = """K, C, kh, kw = w.shape
    OH, OW = x.shape[2] - kh + 1, x.shape[3] - kw + 1
    one = lambda n: (w.reshape(K, -1) @ im2col(x[n : n + 1], kh, kw)[0]).reshape(K, OH, OW)
    return np.stack([one(n) + b[:, None, None] for n in range(len(x))])"""


def test_what_is_called_is_known_wherever_the_call_stands(tmp_path):
    path = Path(solution_but(tmp_path, "conv_forward", None, IN_A_LIST).__file__)
    right = path.read_text()
    assert check("conv_forward", load(path)).state == "right"
    path.write_text(right.replace("cols[:, :, u, v]", "cols[:, :, kh - 1 - u, kw - 1 - v]", 1))
    finding = check("conv_forward", load(path))
    assert finding.words == "Right but for im2col, which it calls."
    assert finding.next == "mend im2col"


@pytest.mark.parametrize(
    "name, body, words",
    [
        ("conv_db", "return np.asmatrix(dy.sum(axis=(0, 2, 3)))", "one matrix, where an array"),
        ("relu_backward", "return np.ma.masked_where(x <= 0, dy)", "one MaskedArray, where"),
        ("conv_db", "return np.zeros((1,) * 30)", "has shape (1, 1, 1"),
        ("conv_db", "return 0 * dy.sum(axis=(0, 2, 3))", "db[0] is 0, but 66 is right"),
        ("conv_db", "return (1 + 1e-8) * dy.sum(axis=(0, 2, 3))", "is 66.000001, but 66 is"),
        ("conv_db", "assert len(dy) < 4\n    return dy.sum(axis=(0, 2, 3))",
         "For several pictures: line"),
    ],
)  # fmt: skip
def test_what_is_said_of_answers_that_are_hard_to_compare(tmp_path, name, body, words):
    finding = check(name, solution_but(tmp_path, name, None, body))
    assert finding.state == "wrong"
    assert words in finding.words


def test_an_error_is_shown_with_the_innermost_line_of_the_file(tmp_path):
    body = "def inner():\n        raise ValueError('so')\n    return inner()"
    module = solution_but(tmp_path, "conv_db", None, body)
    lines = Path(module.__file__).read_text().splitlines()
    line = lines.index("        raise ValueError('so')") + 1
    assert f"line {line} of {module.__file__}: ValueError: so" in check("conv_db", module).words


def test_an_answer_that_takes_for_ever_is_cut_off(tmp_path):
    body = "import time\n    time.sleep(1)\n    return 0"
    finding = check("psnr", solution_but(tmp_path, "psnr", None, body), limit=0.1)
    assert finding.state == "wrong"
    assert re.match(
        r"It was not done after 0.1 seconds, and was then in line 6\d of", finding.words
    )


def test_a_call_that_cannot_be_cut_off_ends_the_program_and_shows_its_line(tmp_path):
    module = solution_but(tmp_path, "psnr", None, "return sum(range(10**11))")
    code = (
        "from examples.exercises import running; running.GRACE = 0.2; "
        f"running.check('psnr', running.load({module.__file__!r}), limit=0.1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert re.search(rf'"{re.escape(module.__file__)}", line 6\d in psnr', done.stderr)


@pytest.mark.parametrize(
    "body, words",
    [
        ("import sys\n    sys.exit(3)", "SystemExit: 3"),
        ('return "much"', "one str, where an array of dtype float64 is due"),
        ("return list(dy)", "a list with 2 elements, where an array"),
        ("return [dy.sum()]", "a list with one element, where an array"),
        ("return dy.sum(axis=(0, 2, 3)) + 0j", "dtype complex128"),
        ("return dy.sum(axis=(0, 2, 3)) / 0", "is inf, but 66 is right"),
        ("raise NotImplementedError", "NotImplementedError"),
    ],
)
def test_an_answer_that_is_no_array_or_ends_in_an_error(tmp_path, body, words):
    finding = check("conv_db", solution_but(tmp_path, "conv_db", None, body))
    assert finding.state == "wrong"
    assert words in finding.words


def test_an_error_is_shown_with_its_line(tmp_path):
    module = solution_but(tmp_path, "conv_db", None, "return unknown")
    lines = Path(module.__file__).read_text().splitlines()
    words = f"line {lines.index('    return unknown') + 1} of {module.__file__}: NameError: name"
    assert words in check("conv_db", module).words


def run(*arguments):
    command = [sys.executable, "-m", "examples.exercises", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_nothing_is_written_at_first():
    done = run("check")
    assert done.returncode == 1
    assert done.stdout.count("not written yet") == 11
    assert "0 of 11 right. Next: write im2col in examples/exercises/exercises.py" in done.stdout
    done = run("train")
    assert done.returncode == 1
    assert "0 of 11 right. Training needs them all. Next: write im2col in" in done.stdout


def test_the_command_counts_what_is_right_and_says_what_is_next(tmp_path):
    module = solution_but(tmp_path, "conv_db", "(0, 2, 3)", "(2, 3)")
    done = run("check", "--file", module.__file__)
    assert done.returncode == 1
    assert f"10 of 11 right. Next: mend conv_db in {module.__file__}" in done.stdout
    assert "axis 0 is missing" in done.stdout
    done = run("train", "--file", module.__file__)
    assert done.stdout.startswith("conv_db  ")
    assert "10 of 11 right. Training needs them all. Next: mend conv_db" in done.stdout
    module = solution_but(tmp_path, "col2im", "+=", "=")
    done = run("check", "conv_dx", "--file", module.__file__)
    assert f"0 of 1 right. Next: mend col2im in {module.__file__}" in done.stdout
    module = solution_but(tmp_path, "conv_db", "(0, 2, 3)", "(2, 3)")
    done = run("check", "psnr", "mse", "--file", module.__file__)
    assert done.returncode == 0
    assert "2 of 2 right." in done.stdout
    done = run("check", "--file", SOLUTION)
    assert done.returncode == 0
    assert "11 of 11 right." in done.stdout
    assert f"python -m examples.exercises train --file {SOLUTION}\n" in done.stdout


@pytest.mark.parametrize(
    "text, words",
    [
        (None, "mine.py cannot be read: No such file"),
        ("import numpy\ndef im2col(x:\n", "mine.py, line 2: this is not Python"),
        ("import numpy\nnumpy.nothing\n", "mine.py: AttributeError"),
        ("raise SystemExit(0)", "line 1 of"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path, text, words):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    done = run("check", "--file", tmp_path / "mine.py")
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_may_hold_more_than_functions(tmp_path):
    more = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    more += "@dataclass\nclass Sizes:\n    N: int\n"
    (tmp_path / "mine.py").write_text(more + SOLUTION.read_text())
    assert check("psnr", load(tmp_path / "mine.py")).state == "right"


def test_what_a_file_imports_is_imported_once(tmp_path, monkeypatch):
    (tmp_path / "once.py").write_text("held = object()\n")
    monkeypatch.syspath_prepend(tmp_path)
    body = "import once\n    assert once.held is held\n    return dy.sum(axis=(0, 2, 3))"
    module = solution_but(tmp_path, "conv_db", None, body)
    path = Path(module.__file__)
    path.write_text("from once import held\n" + path.read_text())
    assert check("conv_db", load(path)).state == "right"


def test_a_file_that_imports_what_is_not_python(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("\n\ndef f(:\n")
    (tmp_path / "mine.py").write_text("import broken\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"broken\.py, line 3: this is not Python"):
        load(tmp_path / "mine.py")


def test_a_piece_that_fails_only_in_training_is_one_sentence(tmp_path):
    module = solution_but(tmp_path, "conv_db", "return ", "assert dy.shape[2] < 12\n    return ")
    done = run("train", "--file", module.__file__)
    assert done.returncode == 1
    assert re.search(r"training ended in line \d+ of .*mine.py: AssertionError\n$", done.stderr)
    assert done.stderr.count("\n") == 1


def test_what_is_run_the_wrong_way_is_told_the_right_one_in_one_sentence():
    command = [sys.executable, "examples/exercises", "check", "mse"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.endswith("write: python -m examples.exercises check mse\n")
    assert done.stderr.count("\n") == 1
    command = [sys.executable, "-S", "-m", "examples.exercises", "check"]  # without packages
    bare = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=bare)
    assert done.returncode == 1
    assert "has no module numpy: install the package, and activate its environment" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_exercise_is_one_sentence(tmp_path):
    done = run("check", "convolution")
    assert done.returncode == 1
    assert "there is no exercise 'convolution': choose from im2col" in done.stderr
    assert done.stderr.count("\n") == 1
    (tmp_path / "mine.py").write_text("")
    done = run("check", "mse", "--file", tmp_path / "mine.py")
    assert done.returncode == 1
    assert "There is no function of this name" in done.stdout


def test_the_pieces_enlarge_as_the_library_does():
    picture = np.random.default_rng(0).random((5, 9))
    for scale in (2, 3, 4):
        mine = train.enlarge(picture, scale, exercise_solutions.bicubic_kernel)
        np.testing.assert_allclose(mine, enlarge(picture, scale), atol=1e-14)


def test_the_pieces_together_have_the_loss_s_gradients():
    rng = np.random.default_rng(0)
    params = {name: p.astype(float) for name, p in train.initial_parameters(rng).items()}
    x, target = rng.random((2, 1, 9, 10)), rng.random((2, 1, 3, 4))
    _, grads = train.loss_and_gradients(exercise_solutions, params, x, target)
    for name, p in params.items():
        direction = rng.standard_normal(p.shape)
        losses = [
            train.loss_and_gradients(
                exercise_solutions, {**params, name: p + h * direction}, x, target
            )[0]
            for h in (1e-6, -1e-6)
        ]
        slope = (losses[0] - losses[1]) / 2e-6
        assert np.sum(grads[name] * direction) == pytest.approx(slope, rel=1e-6), name


def test_the_pieces_together_beat_bicubic(capsys):
    bicubic, network, panels = train.train(exercise_solutions, updates=200)
    assert network > bicubic + 0.2
    assert "200 updates" in capsys.readouterr().out
    left, middle, right = panels.values()
    assert np.mean((middle - right) ** 2) < np.mean((left - right) ** 2)
    assert re.fullmatch(
        r"bicubic \d\d\.\d\d dB, your network \d\d\.\d\d dB, original", ", ".join(panels)
    )


def test_panels_are_apart_on_white_with_their_titles_above():
    panels = {"one": np.zeros((40, 30)), "two": np.full((40, 30), 0.5)}
    page = train.side_by_side(panels)
    assert page.shape == (120 + 3 * 16, 2 * 90 + 3 * 16)
    rest = page.copy()
    for left, grey in ((16, 0), (122, 128)):
        assert (page[32:-16, left : left + 90] == grey).all()
        assert (page[8:32, left : left + 90] < 255).any()
        rest[8:-16, left : left + 90] = 255
    assert (rest == 255).all()


@pytest.mark.parametrize("name", ["picture.png", "absent/picture.png", "picture.txt"])
def test_train_overwrites_nothing_and_says_so_before_it_begins(tmp_path, name):
    (tmp_path / "picture.png").write_text("mine")
    done = run("train", "--file", SOLUTION, "--picture", tmp_path / name)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "picture.png").read_text() == "mine"
