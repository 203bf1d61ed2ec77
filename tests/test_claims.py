"""The figures on the pages are those of the logs, of the models' cards, and of the code."""

import json
import re
import sys
from dataclasses import asdict, replace
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from PIL import Image
from skimage import data
from skimage.transform import resize
from test_docs import table

from benchmarks import __main__ as benchmarks
from benchmarks import enlarging, models, photographs, pieces, races, ranks, recipes, trainings
from benchmarks.staircase import __main__ as staircase
from benchmarks.tasks import NETWORKS, Inference
from srcnn_np import RECIPES, SRCNN, InputError, Model, default_model, load_model, paper, train
from srcnn_np.checkpoint import log_path, read_log
from srcnn_np.data import hold_out, read_folder, shrink, to_channels
from srcnn_np.evaluation import as_measured, evaluate_picture
from srcnn_np.imaging import Picture, imresize, psnr
from srcnn_np.kernels.convolution import Convolution
from srcnn_np.model import shipped_models

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"


def words(text):
    return " ".join(text.split())


def says(page, *sentences):
    """Whether a page has the sentences, however its lines are broken."""
    text = words((ROOT / page).read_text())
    missing = [sentence for sentence in sentences if words(sentence) not in text]
    assert not missing, f"{page} does not say {missing}"


def test_a_sentence_that_is_not_on_the_page_is_missed():
    says("docs/training.md", "The words of the field")
    with pytest.raises(AssertionError, match="does not say"):
        says("docs/training.md", "The words of the field", "38 minutes")


# --- the races ---------------------------------------------------------------------------------


@cache
def log(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


@cache
def race(title, name="network"):
    """The rows of a race by contestant; contestants that did not run are left out."""
    (found,) = (race for race in log(name)["tables"] if race["title"] == title)
    return {row["name"]: row for row in found["rows"] if "seconds" in row}


def titles(name, word):
    return [race["title"] for race in log(name)["tables"] if word in race["title"]]


def times_as_long(slow, fast):
    """How many times as long `slow` takes as `fast`: the median over the rounds."""
    return float(np.median(np.array(slow["rounds"]) / np.array(fast["rounds"])))


def spread(values, form):
    return f"{min(values):{form}} to {max(values):{form}}"


def ms(row, digits):
    return f"{1000 * row['seconds']:.{digits}f}"


def test_who_is_fastest_is_as_logged():
    _, rows = table(ROOT / "benchmarks/README.md", "")
    expected = []
    for title in titles("network", ""):
        row = race(title)
        others = {name: row[name]["times"] for name in races.YARDSTICKS if name in row}
        fastest = min(others, key=others.get)
        installed = others.get("PyTorch as installed")
        installed = "-" if installed is None else f"{installed:.1f}"
        first = f"{ms(row['srcnn_np'], 1)} ms"
        expected.append([title, first, fastest, f"{others[fastest]:.1f}", installed])
    assert rows == expected


def test_whole_races_are_as_logged(capsys):
    page = (ROOT / "benchmarks/README.md").read_text()
    blocks = re.findall(r"^```text\n(inference.*?)^```", page, re.S | re.M)
    assert len(blocks) == 2
    logs = (*log("network")["tables"], *log("fsrcnn")["tables"])
    tables = {race["title"]: race for race in logs}
    for part in "\n\n".join(block.strip() for block in blocks).split("\n\n"):
        title = part.partition("\n")[0]
        benchmarks._print_table(tables[title])
        rows = [line for line in capsys.readouterr().out.splitlines() if "without" not in line]
        assert part.splitlines()[1:] == rows


def test_how_fast_fsrcnn_is_is_as_logged():
    def fastest(title):
        row = race(title, "fsrcnn")
        others = {name: row[name]["times"] for name in row if not name.startswith("srcnn_np")}
        name = min(others, key=others.get)
        return f"{others[name]:.1f} times", f"({name})"

    small, large, step = (fastest(title) for title in titles("fsrcnn", ", FSRCNN x3, "))
    both = [race(title, "fsrcnn")["9-5-5"]["times"] for title in titles("fsrcnn", "and 9-5-5")]
    often = Inference("9-5-5", 30, 30).flops / Inference("FSRCNN x3", 10, 10).flops
    says(
        "benchmarks/README.md",
        f"The fastest other system takes {small[0]} as long for 513 x 768 {small[1]}, "
        f"{large[0]} for 1080p {large[1]}, and {step[0]} for a training step {step[1]}",
        f"A 9-5-5 takes {spread(both, '.1f')} times as long",
        f"though it multiplies {often:.0f} times as often",
    )


LAYER_COLUMNS = (
    "srcnn_np, layers, numba, no Winograd",
    "srcnn_np, layers, im2col",
    "srcnn_np, layers, shifted",
    "PyTorch as installed",
    "PyTorch tuned",
    "ONNX Runtime",
    "OpenVINO",
    "MNN",
    "ncnn",
)


def layer_cells(row):
    """Milliseconds of the numba backend, the fastest other's ratio to it, all others' times."""
    own = row["srcnn_np, layers, numba"]
    others = [times_as_long(row[name], own) for name in races.YARDSTICKS if name in row]
    rest = [ms(row[name], 1) if name in row else "-" for name in LAYER_COLUMNS]
    return [ms(own, 1), f"**{min(others):.2f}**", *rest]


def test_single_layers_are_as_logged():
    text = (ROOT / "benchmarks/README.md").read_text()
    for kind in ("128 sub-images", "512 x 768"):
        for title in titles("kernels", kind):
            cells = layer_cells(race(title, "kernels"))
            assert f"\n| {title} | {' | '.join(cells)} |\n" in text
    names = ("NumPy einsum", "scipy direct", "scipy FFT", "scipy overlap-add", "plain Python")
    for title in titles("kernels", "one sub-image"):
        row = race(title, "kernels")
        label = title.replace(", one sub-image", "")
        every = ("srcnn_np, layers, numba", "srcnn_np, layers, im2col", *names)
        cells = [ms(row[name], 2) if name in row else "-" for name in every]
        assert f"\n| {label} | {' | '.join(cells)} |\n" in text


def test_the_milliseconds_of_the_kernels_page_are_as_logged():
    (_, *heading), rows = table(ROOT / "docs/kernels.md", "ms")
    assert len(rows) == len(heading) == 4
    for name, *milliseconds in rows:
        assert milliseconds == [ms(race(title)[name], 2) for title in heading]
    layer = race("first layer, 1 -> 64, 9 x 9, one sub-image, forward", "kernels")
    plain, columns, compiled = (
        ms(layer[name], 2)
        for name in ("plain Python", "srcnn_np, layers, im2col", "srcnn_np, layers, numba")
    )
    columns_memory = race("inference, 9-1-5, 512 x 768")["srcnn_np, layers, im2col"]["memory"]
    says(
        "docs/kernels.md",
        f"{plain} ms for the first layer of one sub-image, im2col takes {columns} ms, and numba "
        f"takes {compiled} ms",
        f"512 x 768 pixels take {columns_memory / 1e6:.0f} MB",
        f"reach {log('network')['rates']['FMA']:.0f} GFLOP/s",
    )


def test_shares_of_the_peak_and_gains_are_as_logged():
    plain, first = "srcnn_np, no Winograd", "srcnn_np"
    papers = ("9-1-5", "9-3-5", "9-5-5")
    pictures = {s: [race(t) for t in titles("network", f"inference, {s}")] for s in papers}
    steps = [race(title) for title in titles("network", "training step, 9-")]
    every = [row for rows in pictures.values() for row in rows]
    peak = spread([100 * row[plain]["of_fma"] for row in every], ".0f")
    in_steps = " and ".join(f"{100 * row[plain]['of_fma']:.0f}" for row in steps)
    gains = [spread([row[plain]["times"] for row in pictures[s]], ".1f") for s in papers]
    in_steps_too = [f"{times_as_long(row[plain], row[first]):.1f}" for row in steps]
    says(
        "benchmarks/README.md",
        f"Without Winograd it reaches {peak}% of what the processor can add and multiply for "
        f"whole pictures of the paper's networks, and {in_steps}% for training steps",
        f"{gains[0]} times as fast with a 9-1-5, where it serves the first layer; {gains[1]} times "
        f"with a 9-3-5; and {gains[2]} times with a 9-5-5. Training steps become "
        f"{in_steps_too[0]} times as fast with a 9-1-5, and {in_steps_too[1]} times with a 9-5-5",
        f"{log('network')['rates']['FMA']:.0f} GFLOP/s in fused multiply-adds, and "
        f"{log('network')['rates']['SGEMM']:.0f} in SGEMM",
    )


def test_cost_with_size_and_threads_is_as_logged():
    page = ROOT / "benchmarks/README.md"
    _, times = table(page, "time for a pixel, 256 x 256 is 1")
    _, memory = table(page, "MB")
    sizes = ("256 x 256", "512 x 768", "1080p", "4K")
    for (structure, *ratios), (_, *megabytes) in zip(times, memory, strict=True):
        rows = race(f"cost with size, {structure}", "scaling")
        assert ratios == [f"{rows[size]['times']:.2f}" for size in sizes[1:]]
        assert megabytes == [f"{rows[size]['memory'] / 1e6:.0f}" for size in sizes]

    _, rows = table(page, "times as long")
    for task, *said in rows:
        row = race(f"cost with threads, {task}", "scaling")
        assert said == [
            f"{times_as_long(row[f'{name}, 1 thread'], row[f'{name}, 2 threads']):.2f}"
            for name in ("srcnn_np", "PyTorch tuned")
        ]


def test_how_the_work_divides_is_as_said(capsys):
    pieces.main()
    assert capsys.readouterr().out in (ROOT / "docs/kernels.md").read_text()


def test_the_staircase_has_all_steps():
    _, rows = table(ROOT / "docs/kernels.md", "step")
    for (name, idea, *_), step in zip(rows, staircase.STEPS, strict=True):
        assert name.partition("]")[0] == "[" + step.__name__.rpartition(".")[2].replace("_", " ")
        assert idea == step.IDEA


def test_multiplications_for_a_pixel_are_counted():
    net = SRCNN("9-5-5")
    plain = Inference("9-5-5", 1, 1).flops // 2
    fewer = 0
    for n in (1, 2, 3):
        w, b = net.params[f"conv{n}.w"], net.params[f"conv{n}.b"]
        convolution = Convolution(w, b, 256, 256)
        by_winograd = convolution.method in ("first", "winograd")
        fewer += convolution._values.size // 16 if by_winograd else w.size
    says(
        "docs/kernels.md",
        f"In a 9-5-5 the multiplications for each pixel fall from {plain:,} to {fewer:,} "
        f"({plain / fewer:.1f} times)",
    )


def test_enlarging_is_as_logged():
    lines = enlarging.lines(log("enlarging")["enlarging"])
    text = (ROOT / "benchmarks/README.md").read_text()
    assert "```text\n" + "\n".join(lines) + "\n```" in text
    command = log("enlarging")["enlarging"]["command_1280x720"]["seconds"]
    says("benchmarks/README.md", f"to 3840 x 2160 the command takes {command:.2f} s")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory is needed")
@pytest.mark.parametrize("structure", ["9-1-5", "9-5-5"])
def test_enlarging_takes_as_much_memory_as_is_said(structure):
    (said,) = re.findall(
        r"upscale\(\) to 3840 x 2160: (\d+) MB above", (ROOT / "benchmarks/README.md").read_text()
    )
    assert enlarging.within_a_process(f"{structure}-x3") == pytest.approx(1e6 * int(said), rel=0.15)


# --- the trainings -----------------------------------------------------------------------------


@cache
def training(name):
    return recipes.read_log(recipes.RESULTS / f"{name}.csv")


def end(name):
    """The PSNR on Set5 at the end, in dB."""
    return f"{training(name)[-1]['watched']:.2f}"


def at(name, sub_images):
    (row,) = (row for row in training(name) if row["sub_images"] == sub_images)
    return f"{row['watched']:.2f} dB"


def passes(name, psnr):
    return recipes.first_above(training(name), psnr)


PAPERS = paper.figures("Set5", 3)["SRCNN 9-1-5, 91 images"]["psnr"]


def test_every_training_is_in_a_panel_and_in_the_table():
    panels = trainings.PANELS | trainings.STUDIES
    names = {name for curves in panels.values() for name in curves.values()}
    names |= {name for name in trainings.TRAININGS if name.startswith("filters-")}  # filters.png
    assert names == set(trainings.TRAININGS)
    assert {path.stem for path in recipes.RESULTS.glob("*.csv")} == names
    text = (ROOT / "docs/training.md").read_text()
    others = {name for name in names if not name.startswith("colour-")}
    for row in recipes.rows({name: training(name) for name in others}):
        assert row in text
    for row in recipes.colour_rows(json.loads(recipes.COLOUR.read_text())):
        assert row in text


def test_a_panel_changes_what_it_says():
    def changed(one, other):
        """The fields in which two recipes differ, except those without effect in one of them."""
        one, other = (asdict(trainings.TRAININGS[name].recipe) for name in (one, other))
        differs = {name for name in one if one[name] != other[name]} - {"epochs"}
        if "muon" in (one["optimiser"], other["optimiser"]):
            differs.discard("nesterov")
        return differs

    first, *panels = trainings.PANELS.items()
    says = {  # by the words of the labels
        "He initialisation, clipping": {"init", "clip_norm", "mean_over", "rate"},
        "rate x 23": {"rate"},
        "falling rate, Nesterov": {"schedule", "nesterov"},
        "batches of 32, turns (sgd)": {"batch", "turns"},
        "orthogonal steps, no clipping": {"optimiser", "rate", "clip_norm"},
        "contrast, batches of 64, last layer 0.3 (fast)": {"init", "batch", "last_layer"},
    }
    labels = list(first[1])
    for before, label in pairwise(labels):
        assert changed(first[1][before], first[1][label]) == says[label.removeprefix("+ ")]
    paper, he, high = (trainings.TRAININGS[first[1][label]].recipe.rate for label in labels[:3])
    assert he == pytest.approx(441 * paper)  # the same rate, of a mean over values
    assert f"rate x {high / he:.0f}" in labels[2]

    for (title, curves), names in zip(
        panels,
        (
            {"optimiser", "rate", "nesterov", "clip_norm"},
            {"init"},
            {"rate"},
            {"last_layer"},
            {"schedule", "average"},
            {"batch"},
            {"batch", "rate"},
            {"momentum"},
            {"turns"},
        ),
        strict=True,
    ):
        for one, other in combinations(curves.values(), 2):
            assert changed(one, other) <= names, title
            assert trainings.TRAININGS[one].sub_images == trainings.TRAININGS[other].sub_images, (
                title
            )
        for label, name in curves.items():
            for number in re.findall(r"\d[\d.]*", label.replace("0.001²", "")):
                assert float(number) in asdict(trainings.TRAININGS[name].recipe).values(), label


def test_what_the_way_back_costs():
    network = NETWORKS["9-1-5"]
    forwards = network.products(33, 33, shrinks=True)
    weights = [C * K * k**2 for C, K, k in network.layers]
    sides = [round((n / each) ** 0.5) for n, each in zip(forwards, weights, strict=True)]
    terms = (f"{each:,}·{side**2}" for each, side in zip(weights, sides, strict=True))
    says("docs/backprop.md", f"{' + '.join(terms)} = {sum(forwards):,} multiplications")
    dx = sum(forwards[1:])
    ratio = f"{(sum(forwards) + dx) / sum(forwards):.2f} times the way forwards"
    says("docs/backprop.md", f"dx takes {dx:,}, because the first layer needs no dx", ratio)


def test_how_soon_the_papers_figure_is_passed():
    row = passes("fast", PAPERS)
    soon = f"{row['sub_images']:,.0f} sub-images, {row['seconds']:.0f} seconds on two"
    says("README.md", soon, f"the paper's {PAPERS} dB")
    says("docs/training.md", soon, f"the paper's figure, {PAPERS} dB", "a 5,000th")
    assert 8e8 / row["sub_images"] == 5000
    toy, sgd = 49_536, training("sgd")[-1]  # test_examples.py counts the first
    says("README.md", f"from {toy:,} pieces of drawn pictures")
    assert round(sgd["sub_images"] / toy) == 4
    says("README.md", f"`sgd` in [docs/training.md](docs/training.md), took {sgd['seconds']:.0f} s")


def test_what_the_training_page_says_of_the_curves():
    seeds = sorted(end(name) for name in ("fast", "fast-seed-1", "fast-seed-2"))
    assert float(seeds[-1]) - float(seeds[0]) < 0.1
    start = 26_624
    assert f"{start / 8e8:.3%}" == "0.003%"
    last = int(training("paper")[-1]["sub_images"])
    at_rates = {"SGD": [], "Adam": []}
    for label, name in trainings.PANELS["The optimiser, at several rates"].items():
        kind, _, rate = label.partition(", ")
        if kind in at_rates and "orthogonal" not in rate:
            at_rates[kind].append((end(name), rate))
    ends, rates = (
        {
            kind: f"{', '.join(pair[n] for pair in pairs[:-1])} and {pairs[-1][n]}"
            for kind, pairs in at_rates.items()
        }
        for n in (0, 1)
    )
    says(
        "docs/training.md",
        f"ends at {seeds[0]}, {seeds[1]} and {seeds[2]} dB with three seeds",
        f"after 19,968 sub-images ({at('paper', 19_968)}), but no longer after {start:,} "
        f"({at('paper', start)}). That is 0.003% of",
        f"is at {at('paper-he', start)} by then (`paper-he`). But after {last:,} it is at "
        f"{end('paper-he')} dB, and `paper` at {end('paper')}",
        f"`fast-gaussian` ends at {end('fast-gaussian')} dB, `fast-he` at {end('fast-he')}",
        *(
            f"`{name}`, {end(name)} dB"
            for name in (
                "paper-he",
                "paper-he-rate",
                "paper-he-rate-falling",
                "sgd",
                "sgd-orthogonal",
            )
        ),
        f"with a constant rate `fast` ends at {end('fast-constant')} dB instead of {end('fast')}",
        f"`fast-constant-averaged` is above 32 dB after "
        f"{passes('fast-constant-averaged', 32)['sub_images']:,.0f} sub-images, `fast` after "
        f"{passes('fast', 32)['sub_images']:,.0f}",
        f"The rest of `fast`**, {end('fast')} dB",
        f"the last {float(end('fast')) - float(end('fast-momentum-0')):.1f} dB are missing",
        f"SGD ends at {ends['SGD']} dB at rates of {rates['SGD']}. Adam ends at {ends['Adam']} dB "
        f"at rates of {rates['Adam']}. Orthogonal steps end at {end('fast-long')} dB",
        f"the rate of the last layer ({end('fast-last-0.03')}, {end('fast')} and "
        f"{end('fast-last-1')} dB). A rate four times as high changes little "
        f"({end('fast-rate-0.02')} dB), but a quarter of the rate is too low "
        f"({end('fast-rate-0.00125')} dB). In so short a training, leaving out flips and "
        f"rotations changes little ({end('fast-no-turns')} dB)",
    )
    assert end("fast-averaged") == end("fast")
    assert float(end("sgd-orthogonal")) == pytest.approx(float(end("fast")), abs=0.1)
    small, long = training("fast-batch-16")[-1], training("fast-long")[-1]
    assert small["watched"] == pytest.approx(long["watched"], abs=0.1)
    assert small["seconds"] == pytest.approx(long["seconds"], rel=0.1)


@needs_shared
def test_what_is_measured_before_the_first_update():
    text = (ROOT / "docs/training.md").read_text()
    for row in recipes.first_gradients(SHARED / "data"):
        assert row in text


@needs_shared
def test_hes_start_at_the_papers_rate_diverges_at_once():
    pictures, held_out = hold_out(read_folder(SHARED / "data/T91")[0], 3)
    says("docs/training.md", "end after ten updates in a loss that is not a number")
    with pytest.raises(InputError, match="after 10 updates"):
        train(
            Model(SRCNN("9-1-5"), 3),
            pictures,
            held_out[:1],
            replace(RECIPES["paper"], init="he", epochs=0.1),
            show=False,
        )
    assert len(held_out) == 10
    says("docs/training.md", "the PSNR on ten pictures held out of T91")


# --- the models that come with the package, and pictures ---------------------------------------


def test_readme_says_what_is_on_the_cards():
    readme = (ROOT / "README.md").read_text()
    for structure, label in (
        ("9-1-5", "9-1-5"),
        ("9-5-5", "9-5-5"),
        ("fsrcnn", "FSRCNN"),
        ("fsrcnn-s", "FSRCNN-s"),
    ):
        figures = [load_model(f"{structure}-x{scale}").figures for scale in (2, 3, 4)]
        for test_set in paper.SETS:
            cells = (f"{f[test_set]['psnr']:.2f} / {f[test_set]['ssim']:.4f}" for f in figures)
            assert f"| {test_set} | {label}, T91, here | {' | '.join(cells)} |" in readme


def test_readme_says_what_the_paper_says():
    readme = (ROOT / "README.md").read_text()
    for test_set in paper.SETS:
        for label, method in (
            ("bicubic", "bicubic"),
            ("9-5-5, ImageNet, the paper", "SRCNN 9-5-5, ImageNet"),
        ):
            figures = [paper.figures(test_set, scale)[method] for scale in (2, 3, 4)]
            cells = (f"{f['psnr']:.2f} / {f['ssim']:.4f}" for f in figures)
            assert f"| {test_set} | {label} | {' | '.join(cells)} |" in readme
    small = [paper.figures("Set5", scale)["SRCNN 9-1-5, 91 images"] for scale in (2, 3, 4)]
    cells = (f"{f['psnr']:.2f}" for f in small)
    assert f"| Set5 | 9-1-5, T91, the paper | {' | '.join(cells)} |" in readme
    for name, method, pictures in (
        ("FSRCNN", "FSRCNN, 91 images", ""),
        ("FSRCNN-s", "FSRCNN-s, 191 images", " and General-100"),
    ):
        figures = [paper.figures("Set5", scale)[method]["psnr"] for scale in (2, 3, 4)]
        cells = " | ".join(f"{psnr:.2f}" for psnr in figures)
        assert f"| Set5 | {name}, T91{pictures}, the paper | {cells} |" in readme
        more = pictures and f" ({pictures.strip()})"
        says("docs/training.md", f"| {name}, the paper{more} | {cells} |")
        own = [load_model(f"{name.lower()}-x{x}").figures["Set5"]["psnr"] for x in (2, 3, 4)]
        cells = " | ".join(f"{psnr:.2f}" for psnr in own)
        says("docs/training.md", f"| {name}, here | {cells} |")


def test_what_each_model_costs_is_as_logged():
    rows = models.table(json.loads(models.RESULT.read_text()))
    assert len(rows) == 2 + 12
    assert "\n".join(rows) in (ROOT / "README.md").read_text()


def test_how_long_the_shipped_models_learnt():
    clean = {name: path for name, path in shipped_models().items() if load_model(name).figures}
    seconds = {name: read_log(log_path(path))[-1]["seconds"] for name, path in clean.items()}

    def took(names):
        return spread([seconds[name] for name in clean if name.startswith(names)], ".0f")

    says(
        "docs/training.md",
        f"an FSRCNN for clean pictures took {took('fsrcnn-x')} seconds on two cores, and an "
        f"FSRCNN-s {took('fsrcnn-s')} seconds on one core",
        f"a 9-1-5 for {took('9-1-5')} seconds, and a 9-5-5 for {took('9-5-5')} seconds",
    )
    for arch in ("9-1-5", "9-5-5"):
        models_ = [load_model(f"{arch}-x{x}") for x in (2, 3, 4)]
        first = [model.training["before"] for model in models_]
        says("docs/training.md", f"a {arch} for {spread([f['seconds'] for f in first], '.0f')} s")
        for when, all_figures in (
            ("first", [f["figures"] for f in first]),
            ("second", [model.figures for model in models_]),
        ):
            cells = " | ".join(f"{figures['Set5']['psnr']:.2f}" for figures in all_figures)
            says("docs/training.md", f"| {arch}, {when} training | {cells} |")
    psnrs = [f"{said['figures']['Set5']['psnr']:.2f}" for said in first]
    minutes = spread([said["seconds"] / 60 for said in first], ".0f")
    says(
        "README.md",
        f"After its first {minutes} minutes, on two cores, the 9-5-5 was at {psnrs[0]}, "
        f"{psnrs[1]} and {psnrs[2]} dB on Set5",
    )
    harmed = [path for name, path in shipped_models().items() if name not in clean]
    minutes = [read_log(log_path(path))[-1]["seconds"] / 60 for path in harmed]
    says(
        "docs/training.md",
        f"One of the models for JPEG and noise took {spread(minutes, '.1f')} minutes",
    )

    def with_all_before(name):
        said = load_model(name).training
        before = said.get("before", {}).get("seconds", 0)
        return seconds[name] + (seconds.get(said.get("from")) or before)

    minutes = [with_all_before(name) / 60 for name in clean]
    says("README.md", f"in {spread(minutes, '.0f')} minutes on one or two cores by their logs")


def test_the_photograph_before_and_after():
    measures = evaluate_picture(to_channels(Picture(data.astronaut())), 3, default_model(3))
    says(
        "README.md",
        f"enlarged by bicubic interpolation, {measures['bicubic']['psnr']:.2f} dB; by `srcnn-np "
        f"upscale`, {measures['model']['psnr']:.2f} dB",
    )


@needs_shared
def test_other_bicubic_filters_are_as_far_away_as_is_said():
    """The page here is the docstring of imaging/resize.py."""

    def pillow(x, size):
        return np.asarray(Image.fromarray(x.astype(np.float32)).resize(size[::-1], Image.BICUBIC))

    def narrow(x, size):
        return resize(x, size, order=3, anti_aliasing=False, mode="reflect")

    def mean(test_set, scale, shrunk_and_enlarged):
        values = []
        for photo in read_folder(SHARED / "data" / test_set)[0]:
            target, small = shrink(photo, scale)
            result = shrunk_and_enlarged(shrunk_and_enlarged(target, small.shape), target.shape)
            values.append(psnr(as_measured(result, scale), as_measured(target, scale), peak=255))
        return np.mean(values)

    def matlab(x, size):
        return imresize(x, size=size)

    off = {
        (test_set, scale, other.__name__): mean(test_set, scale, other)
        - mean(test_set, scale, matlab)
        for test_set in paper.SETS
        for scale in (2, 3, 4)
        for other in (pillow, narrow)
    }
    assert max(abs(far) for (*_, name), far in off.items() if name == "pillow") < 0.003
    says(
        "srcnn_np/imaging/resize.py",
        f"at x3 {-off['Set5', 3, 'narrow']:.1f} dB less on Set5 and "
        f"{-off['Set14', 3, 'narrow']:.1f} dB less on Set14, at x2 "
        f"{off['Set5', 2, 'narrow']:.1f} dB more on Set5",
        "the same mean PSNR to 0.003 dB",
    )


def test_what_memory_makes_of_1_x_1():
    copy, row = (
        log("network")["rates"]["copy"],
        race("1 x 1, 64 -> 32, 512 x 768, forward", "kernels"),
    )
    seconds = row["srcnn_np, layers, numba"]["seconds"]
    read, written = (4 * 512 * 768 * channels for channels in (64, 32))
    rate = (read + written) / seconds / 1e9
    says(
        "benchmarks/README.md",
        f"reads {read / 1e6:.0f} MB and writes {written / 1e6:.0f} MB in {1e3 * seconds:.1f} ms. "
        f"That is {rate:.0f} GB/s, {100 * rate / copy:.0f}% of the {copy:.0f} GB/s that copying "
        "reaches",
    )


# --- several processes -------------------------------------------------------------------------


def test_ranks_are_as_logged():
    found = log("scaling")["ranks"]
    page = (ROOT / "docs/scaling.md").read_text()
    assert "```text\n" + "\n".join(ranks.lines(found)) + "\n```" in page
    assert "\n".join(ranks.table(found)) in page
    for structure in ranks.STRUCTURES:
        a, c, alpha, beta = ranks.constants(found, structure)
        says("docs/scaling.md", f"{1e3 * a:.2f} ms a sample and {1e3 * c:.1f} ms a step")
        says("docs/scaling.md", f"{1e6 * alpha:.1f} µs a message, {1e9 * beta:.2f} ns a byte")
    cells = [row.split(" | ") for row in ranks.table(found) if "32 samples" in row]
    assert min(float(row[-1].rstrip(" |")) for row in cells) > 700
    for title, row in found["ranks"].items():
        one, two = (np.array(times) for times in row.values())
        assert np.median(one / two) > 0.9, title
    most = max(found["memory"].values())
    assert most < 4e9
    says("docs/scaling.md", f"{most / 1e9:.1f} GB in all ranks together")


def test_what_the_page_says_of_large_batches():
    rows = []
    for name in trainings.PANELS["Large batches, 400,000 sub-images"].values():
        recipe, last = trainings.TRAININGS[name].recipe, training(name)[-1]
        updates = round(last["sub_images"] / recipe.batch)
        psnrs = f"{last['psnr']:.2f} | {last['watched']:.2f}"
        rows.append(f"| {recipe.batch} | {recipe.rate} | {updates:,} | {psnrs} |")
    assert "\n".join(rows) in (ROOT / "docs/scaling.md").read_text()


def test_what_is_gained_on_pictures_as_people_have_them():
    found = json.loads(photographs.RESULT.read_text())
    words = {"none": "clean", "JPEG": "JPEG, quality {}", "noise": "noise, {} of 255"}
    for harm in found["x2"]:
        kind, *rest = harm.split()
        if rest[-1:] != ["4:4:4"]:
            gains = [f"{found[f'x{scale}'][harm]['psnr']:+.2f}" for scale in (2, 3, 4)]
            row = f"| {words[kind].format(*rest)} | {' | '.join(gains)} |"
            says("README.md", row)
            # No cell is below bicubic interpolation, by neither measure.
            cells = [found[f"x{scale}"][harm] for scale in (2, 3, 4)]
            assert min(cell[measure] for cell in cells for measure in ("psnr", "ssim")) > 0
    for size in photographs.SIZES:
        says("README.md", f"{found[f'x{size:g}']['none']['psnr']:.2f} dB at x{size:g}")
    again = photographs.drawn()
    for name, figures in found["drawn"].items():
        for model, figure in figures.items():
            assert again[name][model] == pytest.approx(figure, abs=0.3)  # fonts differ a little
            says("README.md", f"{figure:.2f}")


def test_what_one_model_for_all_qualities_costs():
    found = json.loads(photographs.RESULT.read_text())["x2"]
    qualities = ["none", *(f"JPEG {q} 4:2:0" for q in photographs.QUALITIES)]
    gains = " | ".join(f"{found[q]['psnr']:+.2f}" for q in qualities)
    says("docs/training.md", f"| `upscale`, FSRCNN of five levels | {gains} |")
    size = sum(path.stat().st_size for path in shipped_models().values())
    says("docs/training.md", f"All shipped models together are {size / 1e6:.1f} MB")
