"""The exercises can be solved, and typical wrong answers are told apart."""

import ast
import doctest
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import exercise_loops
import exercise_solutions
import exercise_wrong
import numpy as np
import pytest
from test_docs import broken_links

from examples.exercises import apart, exercises, hints, mistakes, train
from examples.exercises.checks import EXERCISES
from examples.exercises.observations import close
from examples.exercises.running import check, load
from srcnn_np import InputError
from srcnn_np.imaging import enlarge

ROOT = Path(__file__).parents[1]
SOLUTION = Path(exercise_solutions.__file__)
LOOPS = Path(exercise_loops.__file__)


def answering(name, function):
    """A reader's file with one function."""
    module = ModuleType("exercises")
    module.__file__ = "exercises.py"
    setattr(module, name, function)
    return module


def function_of(path, name):
    source = path.read_text()
    node = next(n for n in ast.parse(source).body if getattr(n, "name", None) == name)
    return ast.get_source_segment(source, node)


def solution_but(tmp_path, name, old, new, of=SOLUTION):
    """The solution; in one function something is replaced, or all that follows its head."""
    function = function_of(of, name)
    if old is None:
        head = function.partition("\n")[0]
        wrong = f"{head}\n    {new}"
    else:
        assert old in function
        wrong = function.replace(old, new)
    path = tmp_path / "mine.py"
    path.write_text(SOLUTION.read_text().replace(function_of(SOLUTION, name), wrong))
    return load(path)


def test_the_solution_passes():
    module = load(SOLUTION)
    for name in EXERCISES:
        for seed in range(5):
            assert check(name, module, seed=seed).state == "right", name


def test_loops_are_right_everywhere():
    module = load(LOOPS)
    for name in vars(exercise_loops).keys() & EXERCISES.keys():
        assert check(name, module).state == "right", name
    assert set(vars(exercise_loops)) >= set(EXERCISES) - {"sgd_step"}  # which has nothing to loop


def test_every_exercise_has_a_docstring_whose_example_the_solution_fulfils():
    assert list(EXERCISES) == [
        n for n in vars(exercises) if hasattr(vars(exercises)[n], "__code__")
    ]
    for name in EXERCISES:
        function = getattr(exercises, name)
        (example,) = doctest.DocTestFinder().find(function, name, globs=vars(exercise_solutions))
        result = doctest.DocTestRunner().run(example)
        assert result.attempted > 0, name
        assert result.failed == 0, name


def test_hints_are_given_only_when_asked_for():
    assert list(hints.BEGINNINGS) == list(EXERCISES)
    text = " ".join(exercises.__doc__.split())
    for name, hint in {**hints.BEGINNINGS, **hints.QUICKER}.items():
        assert hint not in text + " ".join(getattr(exercises, name).__doc__.split())
        assert "Hint" not in getattr(exercises, name).__doc__
    done = run("check", "conv_forward", "psnr")
    assert "Hint" not in done.stdout
    done = run("check", "conv_forward", "psnr", "--hint")
    assert "Hint: Each letter of (1) is a loop" in done.stdout
    assert "Hint: In uint8, 3 - 5 is 254" in done.stdout


def test_how_it_is_done_without_loops_is_a_hint_until_it_is_so():
    for name in ("conv_forward", "conv_dw", "conv_dx"):
        assert check(name, load(LOOPS)).hint.startswith("Without loops")
        assert check(name, load(SOLUTION)).hint == ""


def test_the_readme_is_true(tmp_path):
    readme = Path(exercises.__file__).with_name("README.md")
    assert doctest.testfile(str(readme), module_relative=False).failed == 0
    assert broken_links(readme.read_text(), readme) == []
    module = solution_but(tmp_path, "conv_dw", "+=", "=", of=LOOPS)
    for more in ([], ["--hint"]):
        done = run("check", "conv_dw", "--file", module.__file__, *more)
        assert f"```\n{done.stdout.partition(chr(10) * 2)[0]}\n```\n" in readme.read_text()
    table = re.findall(r"^\| `(\w+)` \|", readme.read_text(), flags=re.M)
    assert table == list(EXERCISES)


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
    ("conv_forward", """from scipy.signal import correlate
    each = lambda n, k: b[k] + correlate(x[n], w[k], "valid")[0]
    return np.array([[each(n, k) for k in range(len(w))] for n in range(len(x))])"""),
    ("conv_forward", """K, C, kh, kw = w.shape
    N, C, H, W = x.shape
    shape = N, C, H - kh + 1, W - kw + 1, kh, kw
    windows = np.lib.stride_tricks.as_strided(x, shape, x.strides + x.strides[2:])
    y = np.tensordot(windows, w, ((1, 4, 5), (1, 2, 3)))
    return y.transpose(0, 3, 1, 2) + b[:, None, None]"""),
    ("conv_db", "return np.add.reduce(dy, (0, 2, 3), out=np.empty(dy.shape[1]))"),
    ("conv_db", "return np.array([dy[:, k].sum() for k in range(dy.shape[1])])"),
    ("conv_dw", """windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))
    return np.einsum("nkij,ncijuv->kcuv", dy, windows)"""),
    ("conv_dx", """K, C, kh, kw = w.shape
    dy = np.pad(dy, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
    return conv_forward(dy, w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3), np.zeros(C))"""),
    ("relu_backward", "return dy * (x > 0)"),
    ("mse", """M = y.size
    return sum(float(e) ** 2 for e in (y - target).flat) / M, 2 / M * (y - target)"""),
    ("mse", "return [np.array(np.mean((y - target) ** 2)), (y - target) / (y.size / 2)]"),
    ("relu_backward", "return np.multiply(dy, np.heaviside(x, 0), out=np.empty_like(dy))"),
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
    assert check("col2im", load(path)).hint.startswith("np.empty holds whatever")


def test_functions_are_called_once_for_each_input(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(np, "called", calls.append, raising=False)
    count = len(EXERCISES["im2col"].draw(np.random.default_rng(0)))
    module = solution_but(tmp_path, "im2col", "N, C, H", "np.called(1)\n    N, C, H")
    assert "np.empty" in function_of(SOLUTION, "im2col")
    assert check("im2col", module).state == "right"
    assert len(calls) == count
    module = solution_but(tmp_path, "im2col", "N, C, H", "np.called(1)\n    x = -x\n    N, C, H")
    check("im2col", module)
    assert len(calls) == 3 * count  # wrong, with np.empty: is it that?


def test_what_a_compiler_makes_of_np_empty_is_left_alone(tmp_path):
    body = """import numba

    @numba.njit
    def summed(dy):
        db = np.empty(dy.shape[1])
        for k in range(len(db)):
            db[k] = dy[:, k].sum()
        return db

    return summed(dy)"""
    assert check("conv_db", solution_but(tmp_path, "conv_db", None, body)).state == "right"


ANSWERS = [
    *((*answer, SOLUTION) for answer in exercise_wrong.WRONG),
    *((*answer, LOOPS) for answer in exercise_wrong.WRONG_LOOPS),
]


@pytest.mark.parametrize("name, old, new, words, of", ANSWERS)
def test_a_wrong_answer_is_diagnosed_when_asked_for(tmp_path, capsys, name, old, new, words, of):
    finding = check(name, solution_but(tmp_path, name, old, new, of))
    assert finding.state == "wrong"
    assert words in f"{finding.words} {finding.hint}"
    for hint in ("makes it right", "Begin with", "+=", "flipped", "missing", "np.zeros", "gives"):
        assert hint not in finding.words


@pytest.mark.parametrize("name, old, new, words", exercise_wrong.SEEN)
def test_what_is_seen_is_said_at_once(tmp_path, name, old, new, words):
    module = solution_but(tmp_path, name, old, new)
    seen = re.sub(r"line \d+ of ", "line LINE of ", check(name, module).words)
    assert words in seen.replace(module.__file__, "FILE")


PADDED = """x = np.pad(x, ((0, 0), (0, 0), ({}, {}), ({}, {})){})
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("ncijuv,kcuv->nkij", windows, w)[:, :, ::{}, ::{}] + b[:, None, None]"""


@pytest.mark.parametrize(
    "change, words",
    [
        ((1, 1, 1, 1, "", 1, 1),
         "1 more above, 1 more below, 1 more to the left and 1 more to the right"),
        (("(kh - 1) // 2", "kh // 2", "(kw - 1) // 2", "kw // 2", "", 1, 1),
         "2 more above, 3 more below, 3 more to the left and 3 more to the right"),
        (("kh - 1", "kh - 1", "kw - 1", "kw - 1", ", 'edge'", 1, 1),
         "5 more above, 5 more below, 6 more to the left and 6 more to the right"),
        ((0, 0, 0, 1, ", 'symmetric'", 1, 1), "for several pictures 1 more to the right."),
        ((0, 0, 0, 0, "", 2, 2), "every second row and every second column"),
        ((0, 0, 0, 0, "", "kh", "kw"), "every 6th row and every 7th column"),
        ((0, 0, 0, 0, "", 3, 1), "every third row and every column"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["conv_forward", "im2col"])
def test_padding_and_stride_are_known_by_what_is_around_the_right_values(
    tmp_path, name, change, words
):
    body = PADDED.format(*change)
    if name == "conv_forward":
        body = "kh, kw = w.shape[2:]\n    " + body
    else:
        body = body.replace("w.shape[2:]", "(kh, kw)")
        body = body.replace(" + b[:, None, None]", ".reshape(len(x), x.shape[1] * kh * kw, -1)")
        body = body.replace("ijuv,kcuv->nkij", "ijuv->ncuvij").replace("windows, w)", "windows)")
        body = body.replace("[:, :, ::", "[:, :, :, :, ::")
    hint = check(name, solution_but(tmp_path, name, None, body)).hint
    assert words in hint
    if "more" in words:
        assert "all of the filter lies on the picture, which is not padded" in hint
    else:
        assert "The stride, the step to the next place, is 1." in hint


def test_every_exercise_has_wrong_answers():
    for name in EXERCISES:
        assert sum(answer[0] == name for answer in ANSWERS) >= 10, name


@pytest.mark.parametrize("name", EXERCISES)
def test_a_known_mistake_is_known_again(name):
    exercise = EXERCISES[name]
    cases = exercise.draw(np.random.default_rng(0))
    for part, known in enumerate(mistakes.MISTAKES[name]):
        for words, answer in known:

            def function(*arguments, part=part, answer=answer):
                right = exercise.right(*arguments)
                wrong = answer(*arguments)
                if len(exercise.results) == 1:
                    return wrong
                return tuple(wrong if n == part else r for n, r in enumerate(right))

            finding = check(name, answering(name, function))
            if finding.state == "right":  # as a sum of values that are turned
                assert all(
                    close(np.asarray(function(*values)), exercise.right(*values))
                    for values in (case.arguments.values() for case in cases)
                )
            else:
                assert words in finding.hint


@pytest.mark.parametrize("name", EXERCISES)
def test_what_is_no_known_mistake_is_not_called_one(name):
    exercise, rng = EXERCISES[name], np.random.default_rng(0)

    def noisy(*arguments):
        right = exercise.right(*arguments)
        results = right if isinstance(right, tuple) else (right,)
        results = tuple(r + rng.normal(size=np.shape(r)) for r in results)
        return results if isinstance(right, tuple) else results[0]

    finding = check(name, answering(name, noisy))
    assert finding.state == "wrong"
    assert finding.hint.startswith("No mistake is known here")


STRANGE = [
    *[lambda right, rng: right] * 6,
    *(
        lambda right, rng, change=change: change(right)
        for change in (
            np.transpose, np.ravel, np.ndarray.tolist, lambda a: 2 * a, lambda a: a.astype(int),
            lambda a: a > 0, lambda a: a + 1j, lambda a: a[None, ..., None], lambda a: (a,),
            lambda a: np.pad(a, 1) if a.ndim else a, lambda a: a[..., :-1] if a.ndim else a,
            lambda a: np.zeros((0,) * a.ndim), lambda a: None, lambda a: "much", lambda a: 1 / 0,
            lambda a: a[:, :, :, :, :, 1], lambda a: a @ a, lambda a: sys.exit(),
        )
    ),
    lambda right, rng: np.where(rng.random(right.shape) < 0.3, np.nan, right),
]  # fmt: skip


@pytest.mark.parametrize("name", EXERCISES)
def test_whatever_is_returned_something_is_said(name):
    rng = np.random.default_rng(0)

    def function(*arguments):
        right = EXERCISES[name].right(*arguments)
        parts = map(np.asarray, right if isinstance(right, tuple) else [right])
        answer = tuple(rng.choice(STRANGE)(part, rng) for part in parts)
        return answer if isinstance(right, tuple) else answer[0]

    for _ in range(10):
        finding = check(name, answering(name, function))
        assert finding.state == "right" or (finding.words and finding.hint and finding.next)


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
    exercise = EXERCISES[name]
    module = answering(name, lambda *arguments: change(exercise.right(*arguments)))
    advice = re.search(r": (\.\S.*) makes it right", check(name, module).hint)
    for case in exercise.draw(np.random.default_rng(1)):
        right = exercise.right(*case.arguments.values())
        sizes = exercise.sizes(case)
        np.testing.assert_allclose(eval(f"a{advice[1]}", {"a": change(right), **sizes}), right)


def test_a_function_that_is_right_but_for_another_that_it_calls(tmp_path):
    module = solution_but(tmp_path, "im2col", "cols.reshape", "-cols.reshape")
    assert "cols has the wrong sign" in check("im2col", module).hint
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
    cases = EXERCISES["conv_forward"].draw(np.random.default_rng(0))
    assert capsys.readouterr().out == "".join(f"{case.arguments['x'].shape}\n" for case in cases)


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


LATE = r"It was not done after 0\.5 seconds, and was then in line "


@pytest.mark.parametrize(
    "body, words",
    [
        ("while True:\n        pass", f"{LATE}3[56] of"),
        ("try:\n        while 1:\n            pass\n    except:\n        pass", f"{LATE}3[56] of"),
        ("return sum(range(10**11))", f"{LATE}35 of"),
        ("import os\n    os._exit(7)", r"It ended Python itself, with code 7\."),
        ("import ctypes\n    return ctypes.string_at(0)", r"It ended Python itself, with code -"),
    ],
)  # fmt: skip
def test_what_does_not_end_is_cut_off_and_the_next_is_checked(tmp_path, capfd, body, words):
    path = solution_but(tmp_path, "conv_db", None, body).__file__
    findings = apart.check_apart(["psnr", "conv_db", "mse"], path, hints=True, limit=0.5)
    assert [finding.state for finding in findings.values()] == ["right", "wrong", "right"]
    assert re.match(words, findings["conv_db"].words)
    assert findings["conv_db"].next == "mend conv_db"
    out, error = capfd.readouterr()
    assert re.search(r"^psnr +right\nconv_db +wrong\n(.*\n)+ +Hint: Loop over.*\n(.*\n)+mse", out)
    assert error == ""


def test_a_file_that_does_not_end_is_one_sentence(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1\nwhile True:\n    x += 1\n")
    with pytest.raises(InputError, match=r"mine\.py cannot be run: It was .* in line [23] of"):
        apart.check_apart(["mse"], str(tmp_path / "mine.py"), limit=0.5)


def test_what_waits_is_not_cut_off(tmp_path, capfd):
    body = "import time\n    time.sleep(0.4)\n    return dy.sum(axis=(0, 2, 3))"
    path = solution_but(tmp_path, "conv_db", None, body).__file__
    assert apart.check_apart(["conv_db"], path, limit=0.5)["conv_db"].state == "right"


def in_terminal(code, path, answers):
    """Run a command and answer it like a person: every answer takes longer than the time limit."""
    program = f"import sys; from examples.exercises import apart; {code}"
    command = [sys.executable, "-c", program, str(path)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes, text=True, cwd=ROOT) as process:
        for answer in answers:
            time.sleep(1.2)
            process.stdin.write(answer)
            process.stdin.flush()
        return *process.communicate(), process.returncode


CHECK_DB = "apart.check_apart(['conv_db'], sys.argv[1], limit=0.3)"


@pytest.mark.parametrize(
    "stop, answers",
    [
        ("breakpoint()", ["p dy.shape\n", "c\n" * 5]),
        ("import pdb\n    pdb.set_trace()", ["p dy.shape\n", "c\n" * 5]),
        ("input('shape? ')\n    print(dy.shape)", ["yes\n", "yes\n" * 4]),
    ],
)
@pytest.mark.parametrize("answer", ["dy.sum(axis=(0, 2, 3))", "np.empty(1)"])
def test_a_debugger_has_as_much_time_as_it_needs(tmp_path, stop, answers, answer):
    path = solution_but(tmp_path, "conv_db", None, f"{stop}\n    return {answer}").__file__
    out, error, code = in_terminal(CHECK_DB, path, answers)
    assert "(2, 1, 1, 3)" in out
    assert ("right" if "sum" in answer else "wrong") in out
    assert (code, error) == (0, "")


def test_nobody_is_asked_twice(tmp_path, monkeypatch):
    count = len(EXERCISES["conv_db"].draw(np.random.default_rng(0)))
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n" * count + "the next one's\n"))
    module = solution_but(tmp_path, "conv_db", None, "input()\n    return np.empty(1)")
    finding = check("conv_db", module)
    assert finding.state == "wrong"
    assert sys.stdin.read() == "the next one's\n"


def test_quitting_the_debugger_ends_the_check(tmp_path):
    path = solution_but(tmp_path, "conv_db", None, "breakpoint()").__file__
    main = "from examples.exercises.__main__ import main; main(['check', '--file', sys.argv[1]])"
    out, error, code = in_terminal(main, path, ["q\n"])
    assert "conv_forward    right" in out
    assert "conv_dw" not in out
    assert error.endswith("KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, "-m", "examples.exercises", "check", "--file", path],
        input="q\n", capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "python -m examples.exercises: interrupted\n"


def test_ctrl_c_ends_the_check_in_one_sentence(tmp_path):
    body = "open(f'{__file__}.begun', 'w').close()\n    while True:\n        pass"
    path = Path(solution_but(tmp_path, "conv_db", None, body).__file__)
    command = [sys.executable, "-m", "examples.exercises", "check", "conv_db", "--file", path]
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes, start_new_session=True, text=True, cwd=ROOT) as process:
        while not Path(f"{path}.begun").exists():
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, error = process.communicate()
    assert (out, error) == ("", "python -m examples.exercises: interrupted\n")
    assert process.returncode == 1


def test_nobody_has_to_read_all(tmp_path):
    command = f"{sys.executable} -m examples.exercises check --file {SOLUTION} | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "conv_forward    right\n"
    assert done.stderr == ""


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
    assert done.stdout.count("not written yet") == 14
    assert (
        "0 of 14 right. Next: write conv_forward in examples/exercises/exercises.py" in done.stdout
    )
    assert "For a hint: python -m examples.exercises check conv_forward --hint\n" in done.stdout
    done = run("train")
    assert done.returncode == 1
    assert done.stdout.count("not written yet") == 9
    assert "Training needs these 9. Next: write conv_forward in" in done.stdout


def test_the_command_counts_what_is_right_and_says_what_is_next(tmp_path):
    module = solution_but(tmp_path, "conv_db", "(0, 2, 3)", "(2, 3)")
    file = f"--file {module.__file__}"
    done = run("check", "--file", module.__file__)
    assert done.returncode == 1
    assert f"13 of 14 right. Next: mend conv_db in {module.__file__}" in done.stdout
    assert f"For a hint: python -m examples.exercises check conv_db --hint {file}\n" in done.stdout
    assert "Now train" not in done.stdout
    assert "axis 0" not in done.stdout
    done = run("check", "conv_db", "--hint", "--file", module.__file__)
    assert "axis 0" in done.stdout
    assert "For a hint" not in done.stdout
    done = run("train", "--file", module.__file__)
    assert done.returncode == 1
    assert "Training needs these 9. Next: mend conv_db in" in done.stdout
    done = run("check", "psnr", "mse", "psnr", "--file", module.__file__)
    assert done.returncode == 0
    assert "2 of 2 right." in done.stdout
    module = solution_but(tmp_path, "col2im", "+=", "=")
    done = run("check", "conv_dx", "--file", module.__file__)
    assert f"0 of 1 right. Next: mend col2im in {module.__file__}" in done.stdout
    assert "check col2im --hint" in done.stdout
    done = run("check", "--file", SOLUTION)
    assert done.returncode == 0
    assert "14 of 14 right." in done.stdout
    assert f"python -m examples.exercises train --file {SOLUTION}\n" in done.stdout


def test_training_does_not_wait_for_the_last_five(tmp_path):
    path = tmp_path / "mine.py"
    unwritten = Path(exercises.__file__).read_text()
    path.write_text(unwritten + "".join(f"\n\n{function_of(LOOPS, n)}\n" for n in train.NEEDED
                                        if n != "sgd_step")
                    + f"\n\n{function_of(SOLUTION, 'sgd_step')}\n")  # fmt: skip
    done = run("check", "--file", path)
    assert done.returncode == 1
    assert "9 of 14 right. Next: write im2col in" in done.stdout
    assert (
        f"Now train a network with them: python -m examples.exercises train --file {path}"
        in done.stdout
    )


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
    module = solution_but(tmp_path, "conv_db", "return ", "assert dy.shape[1] != 16\n    return ")
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
    assert "there is no exercise 'convolution': choose from conv_forward" in done.stderr
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
    bicubic, network, panels = train.train(exercise_solutions)
    assert network > bicubic + 0.4
    out = capsys.readouterr().out
    assert "800 updates" in out
    assert "This takes" not in out
    left, middle, right = panels.values()
    assert np.mean((middle - right) ** 2) < np.mean((left - right) ** 2)
    assert re.fullmatch(
        r"bicubic \d\d\.\d\d dB, your network \d\d\.\d\d dB, original", ", ".join(panels)
    )


def test_training_by_loops_says_how_long_it_takes_and_goes_on(capsys, monkeypatch):
    monkeypatch.setattr(train, "HELD_OUT", (1, 10))
    monkeypatch.setattr(train, "LONG", 0.01)
    _, _, panels = train.train(pieces_of(exercise_loops), updates=2)
    out = capsys.readouterr().out
    assert re.search(r"This takes about \d seconds: \d\d% in conv_\w+, \d\d% in conv_\w+", out)
    assert "    2 updates" in out
    assert len(panels) == 3
    _, _, panels = train.train(exercise_solutions, updates=2)


def pieces_of(*modules):
    pieces = ModuleType("exercises")
    for module in (exercise_solutions, *modules):
        vars(pieces).update({n: v for n, v in vars(module).items() if n in EXERCISES})
    return pieces


@pytest.mark.parametrize("slow", ["im2col", "conv_forward", "col2im", "conv_dx", "mse"])
def test_time_is_charged_to_the_function_that_spends_it(tmp_path, slow):
    head = function_of(SOLUTION, slow).partition("\n")[0]
    module = solution_but(tmp_path, slow, head, f"{head}\n    sum(range(10**6))")
    rng = np.random.default_rng(0)
    params = train.initial_parameters(rng)
    x, target = rng.random((2, 1, 9, 10)), rng.random((2, 1, 3, 4))
    spent = train.time_spent(module, lambda: train.loss_and_gradients(module, params, x, target))
    assert max(spent, key=spent.get) == slow
    assert spent[slow] > 0.8 * sum(spent.values())
    assert not hasattr(module.im2col, "__wrapped__")


def test_panels_are_apart_on_white_with_their_titles_above():
    panels = {"one": np.zeros((40, 30)), "two": np.full((40, 30), 0.5)}
    page = train.side_by_side(panels)
    assert page.shape == (240 + 3 * 16, 2 * 180 + 3 * 16)
    rest = page.copy()
    for left, grey in ((16, 0), (212, 128)):
        assert (page[32:-16, left : left + 180] == grey).all()
        assert (page[8:32, left : left + 180] < 255).any()
        rest[8:-16, left : left + 180] = 255
    assert (rest == 255).all()


@pytest.mark.parametrize("name", ["picture.png", "absent/picture.png", "picture.txt"])
def test_train_overwrites_nothing_and_says_so_before_it_begins(tmp_path, name):
    (tmp_path / "picture.png").write_text("mine")
    done = run("train", "--file", SOLUTION, "--picture", tmp_path / name)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "picture.png").read_text() == "mine"
