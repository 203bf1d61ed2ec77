"""The notebook runs from top to bottom, and is committed as it ran."""

import re
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).parents[1] / "examples/walkthrough.ipynb"


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(PATH, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(*cells):
    outputs = (output for cell in cells for output in cell.get("outputs", ()))
    kinds = {"image/png", "image/svg+xml"}
    return sum(bool(kinds & {*output.get("data", {})}) for output in outputs)


def text(notebook):
    outputs = (output for cell in code(notebook) for output in cell.outputs)
    return "".join(output.get("text", "") for output in outputs)


def test_it_is_committed_with_its_outputs(committed):
    assert PATH.stat().st_size < 3e6
    assert [cell.execution_count for cell in code(committed)] == [
        *range(1, len(code(committed)) + 1)
    ]
    assert pictures(*committed.cells) >= 15
    assert not re.search(r"Traceback|Warning|/home/|/root/|/work/|/tmp/", PATH.read_text())


def test_every_figure_has_a_caption(committed):
    for n, cell in enumerate(committed.cells):
        if pictures(cell):
            below = next(c for c in committed.cells[n + 1 :] if not pictures(c))
            assert below.source.startswith("*Figure"), below.source
    captions = re.findall(
        r"^\*Figures? (\d+)(?: and (\d+))?\.",
        "\n".join(cell.source for cell in committed.cells if cell.cell_type == "markdown"),
        re.M,
    )
    numbers = [int(number) for pair in captions for number in pair if number]
    assert numbers == [*range(1, len(numbers) + 1)]


def test_cells_are_short(committed):
    for cell in committed.cells:
        assert len(cell.source.splitlines()) <= 40, cell.source[:80]


def test_it_runs(committed):
    fresh = deepcopy(committed)
    for cell in code(fresh):
        cell.outputs, cell.execution_count = [], None
    folder = {"metadata": {"path": PATH.parent}}
    NotebookClient(fresh, timeout=300, kernel_name="python3", resources=folder).execute()
    assert pictures(*fresh.cells) == pictures(*committed.cells)
    lines = {words[0]: words[1:] for words in map(str.split, text(fresh).splitlines()) if words}
    for name in ("astronaut", "camera", "chelsea", "coffee", "rocket"):
        bicubic, trained, shipped = map(float, lines[name])
        assert bicubic < trained < shipped, name
    for name in ("dw1", "db1", "dw2", "db2", "dw3", "db3"):
        differences, complex_step = map(float, lines[name][-2:])
        assert differences < 1e-7
        assert complex_step < 1e-13
