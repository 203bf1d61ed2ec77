"""What the pages say is true: links, names, shapes, figures, and which changes break which test.

Their code runs as doctests.
"""

import ast
import builtins
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import srcnn_np
from benchmarks.recipes import TRAININGS
from srcnn_np import SRCNN, mse_backward

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "benchmarks/README.md",
    ROOT / "examples/exercises/README.md",
    *sorted(ROOT.glob("examples/*.ipynb")),
    *sorted(ROOT.glob("docs/*.md")),
]
SOURCES = [path for d in ("srcnn_np", "benchmarks", "tests") for path in ROOT.glob(f"{d}/**/*.py")]

# In backticks, but names of something else.
OTHERS = {
    "NUMBA_CACHE_DIR",
    "NUMBA_NUM_THREADS",
    "mpiexec",
    "nohup",
    "python",
    "rgb2ycbcr",
    "scaling",
    "dnn",
    "dnn_superres",
    "torch.compile",
    "tqdm.tqdm",
    *TRAININGS,
}


def read(page):
    """A page's Markdown; for a notebook, its cells' Markdown, with code in code blocks."""
    if page.suffix != ".ipynb":
        return page.read_text()
    cells = json.loads(page.read_text())["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(t if kind == "markdown" else f"```python\n{t}\n```" for kind, t in texts)


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


# --- links -----------------------------------------------------------------------------------


def anchors(page):
    """The anchors of a page's headings, as they are made on the repository's site."""
    if page.suffix == ".html":
        return re.findall(r'id="([^"]+)"', page.read_text())
    found = []
    for heading in re.findall(r"^#+ (.*)", without_code(read(page)), re.M):
        text = re.sub(r"\]\([^)]*\)|[^\w\- ]", "", heading).lower().replace(" ", "-")
        found.append(text)
    return found


def broken_links(text, page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert broken_links(read(page), page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_formulas_within_a_line_end_there(page):
    text = re.sub(r"\$\$.*?\$\$|`[^`\n]*`", "", without_code(read(page)), flags=re.S)
    for paragraph in text.split("\n\n"):
        for formula in paragraph.split("$")[1::2]:
            assert "\n" not in formula, formula


@pytest.mark.parametrize("link", ["nothing.md", "backprop.md#forwads", "../srcnn_np/layer.py"])
def test_a_broken_link_is_found(link):
    page = ROOT / "docs/backprop.md"
    right = "[right](kernels.md#backends-one-convolution) [right](#forwards)"
    assert broken_links(f"{right} [wrong]({link})", page) == [link]


def minutes(page):
    """How long the text takes at 200 words a minute, without formulas and code."""
    text = re.sub(r"\$\$.*?\$\$", "", without_code(read(page)), flags=re.S)
    return len(text.split()) / 200


def test_how_long_the_ways_through_take():
    text = (ROOT / "docs/paths.md").read_text()
    days = re.findall(r"^\| \d \|(.*)\|([^|]*) min \|$", text, re.M)
    assert len(days) == 7
    for what, said in days:
        pages = [ROOT / "docs" / link for link in re.findall(r"\(([^)]+)\)", what)]
        each = [minutes(page) for page in pages if page.suffix in (".md", ".ipynb")]
        expected = [each[0], sum(each[1:])] if " or " in said else each[:1]
        found = [float(number) for number in said.split(" or ")]
        assert found == pytest.approx(expected, abs=1)


# --- names -----------------------------------------------------------------------------------


@cache
def defined():
    """Every name that the source defines: functions, classes, parameters, variables, modules.

    Python's and NumPy's own names count too, and those of the layers and parameters of SRCNN.
    """
    net = SRCNN("9-1-5")
    names = {*dir(builtins), *dir(np.ndarray), *net.layers, *net.params}
    names.update(path.stem for path in SOURCES)
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.attr)
            elif isinstance(node, ast.alias):
                names.add(node.asname or node.name)
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module)
    return names


@cache
def modules():
    found = pkgutil.walk_packages(srcnn_np.__path__, "srcnn_np.")
    return [import_module(m.name) for m in found if not m.name.endswith("__main__")]


def resolves(dotted):
    """Whether `A.b` exists: A is a module, or a name in a module, and has b."""
    first, *rest = dotted.split(".")
    starts = [getattr(m, first) for m in (srcnn_np, *modules()) if hasattr(m, first)]
    starts += [m for m in modules() if m.__name__.endswith(f".{first}")]
    starts += [srcnn_np] * (first == "srcnn_np")
    for start in starts:
        for name in rest:
            start = getattr(start, name, None)
        if start is not None:
            return True
    return False


def unknown_names(text, folder=ROOT):
    """What stands in backticks and looks like a path or a name, but is none.

    A text looks like a path if it ends in .py, or begins with a folder of the source. It
    looks like a name if it is words of letters, digits and _, joined by dots, and does not
    end like a file. A name of one word may also be defined by the page's own code.
    """
    own = set(re.findall(r"\w+", "".join(re.findall(r"^```python\n(.*?)^```", text, re.S | re.M))))
    unknown = []
    for name in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_code(text)):
        name = name.removeprefix("self.")
        if re.fullmatch(r"\S+\.py|(srcnn_np|benchmarks|tests|examples|docs)/\S*", name):
            if not any((start / name).exists() for start in (ROOT, ROOT / "srcnn_np", folder)):
                unknown.append(name)
        elif re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name):
            if name in OTHERS or re.search(r"\.(npz|mat|json|csv|png)$", name):
                continue
            if not (name in defined() | own or ("." in name and resolves(name))):
                unknown.append(name)
    return unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_are_names_of_something(page):
    assert unknown_names(read(page), page.parent) == []


def test_names_in_docstrings_are_names_of_something():
    for path in ROOT.glob("srcnn_np/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = re.sub(r"``.*?``", "", ast.get_docstring(node) or "", flags=re.S)
                assert unknown_names(text, path.parent) == [], path


@pytest.mark.parametrize(
    "name",
    ["relu_backwards", "Sequential.backwards", "conv.naiv", "layer.py", "srcnn_np/fuse", "Recipee"],
)
def test_a_misspelt_name_is_found(name):
    right = "`relu_backward` `Sequential.backward` `srcnn_np.conv.naive` `layers.py` `kinks` `mine`"
    text = f"{right} `{name}`\n\n```python\n>>> mine = 1\n```\n"
    assert unknown_names(text) == [name]


# --- tables ----------------------------------------------------------------------------------


def table(page, first_cell):
    """The rows of the table whose heading begins with that cell."""
    lines = iter(page.read_text().splitlines())
    rows = [next(line for line in lines if re.match(rf"\|\s*{re.escape(first_cell)}\s*\|", line))]
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(line)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return cells[0], cells[2:]


def test_the_shapes_in_backprop_are_those_of_a_9_1_5():
    N = 2
    net = SRCNN("9-1-5", backend="im2col")
    arrays = {"x": np.random.default_rng(0).random((N, 1, 33, 33), np.float32)}
    value = arrays["x"]
    names = dict(zip(net.layers, ("z1", "a1", "z2", "a2", "y"), strict=True))
    for layer, name in names.items():
        arrays[name] = value = net.layers[layer].forward(value)
    d = arrays["dy"] = mse_backward(value, np.zeros_like(value))
    for layer, name in reversed(list(zip(net.layers, ("x", *names.values()), strict=False))):
        arrays[f"d{name}"] = d = net.layers[layer].backward(d)
    for name, p in net.params.items():
        short = name.removeprefix("conv")[::-1].replace(".", "")  # conv1.w is w1
        arrays[short], arrays[f"d{short}"] = p, net.grads[name]

    _, rows = table(ROOT / "docs/backprop.md", "array")
    said = {}
    for values, gradients, shape in rows:
        for name in f"{values}, {gradients.removesuffix(' (not needed)')}".split(", "):
            said[name] = tuple(int(n) for n in shape.replace("N", str(N)).strip("(),").split(","))
    assert said == {name: a.shape for name, a in arrays.items()}


# --- what turns red --------------------------------------------------------------------------


def stops():
    """For each stop of reading-the-source.md: its files, the old and the new lines, its text."""
    page = (ROOT / "docs/reading-the-source.md").read_text()
    for stop in re.split(r"^## (?=\d)", page, flags=re.M)[1:]:
        change = re.search(r"^```diff\n(.*?)^```", stop, re.S | re.M)[1]
        old, new = (
            "\n".join(line[1:] for line in change.splitlines() if line[0] == sign) for sign in "-+"
        )
        paths = re.findall(r"\]\(\.\./(srcnn_np/\S+\.py)\)", stop)
        yield [path for path in paths if old in (ROOT / path).read_text()], old, new, stop


STOPS = list(stops())
NUMBERS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def test_there_are_ten_stops():
    assert [stop.split(".")[0] for *_, stop in STOPS] == [str(n) for n in range(1, 11)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the source, with what Numba compiled."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("srcnn_np", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("setup.cfg", "README.md"):
        shutil.copy(ROOT / name, folder)
    return folder


def run(command, folder, *, all_tests=False):
    program, *arguments = command.split()
    assert program == "python"
    fast = ["-q", *([] if all_tests else ["-x"])] if "pytest" in arguments else []
    return subprocess.run(
        [sys.executable, *arguments, *fast], cwd=folder, capture_output=True, text=True
    )


def test_the_copy_is_right_as_it_is(checkout):
    done = run("python -m srcnn_np gradcheck", checkout)
    assert done.returncode == 0, done.stderr


@contextmanager
def changed(path, old, new):
    right = path.read_text()
    assert right.count(old) == 1
    path.write_text(right.replace(old, new))
    try:
        yield
    finally:
        path.write_text(right)


@pytest.mark.parametrize("paths, old, new, stop", STOPS, ids=range(1, 11))
def test_what_the_source_tour_breaks_turns_red(paths, old, new, stop, checkout):
    assert len(paths) == 1, "what to change is not there"
    command = re.search(r"^```sh\n(.*)\n```", stop, re.M)[1]
    counts = re.search(r"(\w+) of (\w+) tests turn red", stop)
    with changed(checkout / paths[0], old, new):
        done = run(command, checkout, all_tests=counts is not None)
    assert done.returncode == 1, done.stdout + done.stderr
    if counts:
        failed, tests = (NUMBERS.index(number.lower()) for number in counts.groups())
        assert f"{failed} failed, {tests - failed} passed" in done.stdout
    else:
        assert ("1 failed" if "pytest" in command else "gradients are wrong") in done.stdout


def test_a_better_picture_does_not_show_that_no_filter_is_turned(checkout):
    assert "`python -m pytest README.md`" in (ROOT / "docs/backprop.md").read_text()
    path, turned = checkout / "srcnn_np/kernels/layouts.py", "w[:, :, ::-1, ::-1].swapaxes(0, 1)"
    with changed(path, f"return {turned}", "return w.swapaxes(0, 1)"):
        done = run("python -m pytest README.md", checkout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "path, old, new",
    [
        ("layers.py", "return np.where(x.real <= 0, x.dtype.type(0), x)", "return 0 * x"),
        ("layers.py", "return np.where(x.real <= 0, dy.dtype.type(0), dy)", "return 0 * dy"),
        ("loss.py", "return (y - target) *", "return 0 * (y - target) *"),
    ],
)
def test_the_first_example_notices_a_network_that_learns_nothing(path, old, new, checkout):
    with changed(checkout / "srcnn_np" / path, old, new):
        done = run("python -m pytest README.md", checkout)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Expected:\n    True\nGot:\n    False" in done.stdout
