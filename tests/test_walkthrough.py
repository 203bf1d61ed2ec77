"""The notebooks run from top to bottom, and are committed as they ran."""

import re
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from test_claims import race
from test_docs import table

EXAMPLES = Path(__file__).parents[1] / "examples"
PATH, SECOND = EXAMPLES / "walkthrough.ipynb", EXAMPLES / "fsrcnn.ipynb"


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(PATH, as_version=4)


@pytest.fixture(params=[PATH, SECOND], ids=lambda path: path.stem)
def each(request):
    return nbformat.read(request.param, as_version=4)


def run(notebook):
    """The notebook as it runs here."""
    fresh = deepcopy(notebook)
    for cell in code(fresh):
        cell.outputs, cell.execution_count = [], None
    folder = {"metadata": {"path": EXAMPLES}}
    NotebookClient(fresh, timeout=1800, kernel_name="python3", resources=folder).execute()
    assert pictures(*fresh.cells) == pictures(*notebook.cells)
    return fresh


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(*cells):
    outputs = (output for cell in cells for output in cell.get("outputs", ()))
    kinds = {"image/png", "image/svg+xml"}
    return sum(bool(kinds & {*output.get("data", {})}) for output in outputs)


def text(notebook):
    outputs = (output for cell in code(notebook) for output in cell.outputs)
    return "".join(output.get("text", "") for output in outputs)


def lines(notebook):
    """The lines that a notebook prints, by their first word: the words after it."""
    rows = map(str.split, text(notebook).splitlines())
    return {words[0]: words[1:] for words in rows if words}


def test_it_is_committed_with_its_outputs(each):
    assert len(nbformat.writes(each)) < 2.5e6
    assert [cell.execution_count for cell in code(each)] == [*range(1, len(code(each)) + 1)]
    assert not re.search(r"Traceback|Warning|/home/|/root/|/work/|/tmp/", nbformat.writes(each))


def test_the_walkthrough_shows(committed):
    assert pictures(*committed.cells) >= 15


def test_every_figure_has_a_caption(each):
    for n, cell in enumerate(each.cells):
        if pictures(cell):
            below = next(c for c in each.cells[n + 1 :] if not pictures(c))
            assert below.source.startswith("*Figure "), below.source
    captions = re.findall(
        r"^\*Figure (\d+)\.",
        "\n".join(cell.source for cell in each.cells if cell.cell_type == "markdown"),
        re.M,
    )
    assert captions == [str(n + 1) for n in range(len(captions))]


def test_cells_are_short(each):
    for cell in each.cells:
        assert len(cell.source.splitlines()) <= 40, cell.source[:80]


def beginnings(notebook):
    """The PSNRs of the four beginnings of Figure 8, by recipe."""
    rows = re.findall(r"^(\S[^\n]*?) +((?:[\d.]+ ){14}[\d.]+)$", text(notebook), re.M)
    return {name: [float(psnr) for psnr in psnrs.split()] for name, psnrs in rows}


def check_caption_of_figure_8(notebook):
    """The caption says what is printed, on another machine too."""
    psnrs = beginnings(notebook)
    (of_drawn,) = re.findall(r"^bicubic, drawn +([\d.]+)$", text(notebook), re.M)
    step = 1434  # sub-images from one measurement to the next
    grey = [n for n, psnr in enumerate(psnrs["paper"], 1) if 12 < psnr < 13]
    assert (grey[-1] - grey[0]) * step == pytest.approx(15_000, rel=0.15)
    same_start = psnrs["fast, the paper's start"]
    assert same_start[4000 // step] > 13  # the first after 4,000
    assert same_start[9000 // step - 1] > float(of_drawn)  # the last before 9,000


def check_brightness_filters(notebook):
    """The captions of Figures 12 and 14: there are four such filters, and they are missed most."""
    brightness, missed = lines(notebook)["brightness:"], lines(notebook)["most"][1:]
    assert len(brightness) == 4
    assert {*brightness} == {*missed[:4]}
    assert "mean of all patches: 0.45\n" in text(notebook)


def test_the_captions_say_what_was_measured(committed):
    check_caption_of_figure_8(committed)
    check_brightness_filters(committed)


def test_the_staircase_has_the_figures_of_the_kernels_page(committed, tmp_path):
    (cell,) = (cell for cell in committed.cells if "| GFLOP/s |" in cell.source)
    (tmp_path / "cell.md").write_text(cell.source)
    _, here = table(tmp_path / "cell.md", "step")
    _, there = table(EXAMPLES.parent / "docs/kernels.md", "step")
    measured = {step: figures for step, _, *figures in here if figures != ["-", "-"]}
    assert measured == {step: [rate, share] for step, _, rate, share, _ in there}
    layer = race("5 x 5, 64 -> 32, 128 sub-images, forward", "kernels")
    columns, rows = (layer[f"srcnn_np, layers, {name}"]["of_fma"] for name in ("im2col", "shifted"))
    assert f"{columns:.0%} of their peak, and shifted rows {rows:.0%}." in cell.source


def test_it_runs(committed):
    fresh = run(committed)
    printed = lines(fresh)
    for name in ("astronaut", "camera", "chelsea", "coffee", "rocket"):
        bicubic, trained, shipped = map(float, printed[name])
        assert bicubic < trained < shipped, name
    for what in ("dw:", "dx:", "dx by a convolution:", "three convolutions are one:"):
        assert f"{what} True" in text(fresh)
    check_caption_of_figure_8(fresh)
    check_brightness_filters(fresh)
    for name in ("dw1", "db1", "dw2", "db2", "dw3", "db3"):
        differences, complex_step = map(float, printed[name][-2:])
        assert differences < 1e-7
        assert complex_step < 1e-13


def test_the_second_one_runs():
    fresh = run(nbformat.read(SECOND, as_version=4))
    printed = text(fresh)
    for what in ("y is an input gradient", "dx", "dw", "the same", "da", "the first layer stays"):
        assert f"{what}: True" in printed
    assert re.search(r"^9-5-5 +514,656$", printed, re.M)
    assert re.search(r"^5-1-3-3-3-3-1-9 +12,464$", printed, re.M)
    for name, least in (("FSRCNN +", 0.7), ("SRCNN +", 0.7), ("bicubic ", 1.0)):
        bicubic, model = re.search(rf"^{name}([\d.]+)(?:, x2)? ([\d.]+) dB", printed, re.M).groups()
        assert float(model) > float(bicubic) + least, name
