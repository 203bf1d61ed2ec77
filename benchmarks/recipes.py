"""Measure each part of the recipe by trainings that differ in it, and draw their curves.

A training's log has the PSNR on Set5 by the number of sub-images ("back-propagations" in the
paper), and goes to ``results/recipes/NAME.csv``. A training with a log is not run again. The
figures and tables are made from the logs alone.
"""

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from srcnn_np import RECIPES, SRCNN, Model, Recipe, checkpoint, paper
from srcnn_np.checkpoint import log_path
from srcnn_np.data import cut_sub_images, hold_out, read_folder
from srcnn_np.errors import InputError
from srcnn_np.optim import as_matrix
from srcnn_np.training import epochs_in, train

RESULTS = Path(__file__).parent / "results" / "recipes"
STRUCTURE, SCALE = "9-1-5", 3
SHORT, LONG = 200_000, 400_000  # sub-images
MINUTES = 1.5  # for each number of filters

_PAPER, _FAST, _SGD = (RECIPES[name] for name in ("paper", "fast", "sgd"))
# The paper's rate, for the mean over 21 x 21 values. Without clipping the loss is soon NaN.
_HE = replace(_PAPER, init="he", mean_over="values", rate=441e-4, clip_norm=0.05)
_HIGH = replace(_HE, rate=1.0)
_FALLING = replace(_HIGH, schedule="cosine", nesterov=True)
_CONSTANT = replace(_FAST, schedule="constant")

_ORTHOGONAL = replace(_SGD, optimiser="muon", rate=0.005, clip_norm=None)
# The same as "fast" except for the optimiser and its own numbers.
_FAST_SGD = replace(_FAST, optimiser="sgd", rate=1.0, nesterov=True, clip_norm=0.05)
_FAST_ADAM = replace(_FAST, optimiser="adam", rate=1e-3)

# Batches of many processes, and rates for them.
LARGE = {256: (0.005, 0.01), 1024: (0.005, 0.01, 0.02), 4096: (0.01, 0.02, 0.04)}

TRAININGS: dict[str, tuple[Recipe, int]] = {
    "paper": (_PAPER, SHORT),
    "paper-he": (_HE, SHORT),
    "paper-he-rate": (_HIGH, SHORT),
    "paper-he-rate-falling": (_FALLING, SHORT),
    "sgd": (_SGD, SHORT),
    "sgd-orthogonal": (_ORTHOGONAL, SHORT),
    "fast": (_FAST, SHORT),
    "fast-seed-1": (_FAST, SHORT),
    "fast-seed-2": (_FAST, SHORT),
    "fast-but-sgd": (_FAST_SGD, LONG),
    "fast-but-sgd-rate-0.25": (replace(_FAST_SGD, rate=0.25), LONG),
    "fast-but-sgd-rate-4": (replace(_FAST_SGD, rate=4.0), LONG),
    "fast-but-adam": (_FAST_ADAM, LONG),
    "fast-but-adam-rate-0.00025": (replace(_FAST_ADAM, rate=0.00025), LONG),
    "fast-but-adam-rate-0.004": (replace(_FAST_ADAM, rate=0.004), LONG),
    "fast-but-adam-rate-0.016": (replace(_FAST_ADAM, rate=0.016), LONG),
    "fast-long": (_FAST, LONG),
    "fast-he": (replace(_FAST, init="he"), SHORT),
    "fast-gaussian": (replace(_FAST, init="gaussian"), SHORT),
    "fast-rate-0.00125": (replace(_FAST, rate=0.00125), SHORT),
    "fast-rate-0.02": (replace(_FAST, rate=0.02), SHORT),
    "fast-last-1": (replace(_FAST, last_layer=1.0), SHORT),
    "fast-last-0.03": (replace(_FAST, last_layer=0.03), SHORT),
    "fast-averaged": (replace(_FAST, average=0.99), SHORT),
    "fast-constant": (_CONSTANT, SHORT),
    "fast-constant-averaged": (replace(_CONSTANT, average=0.99), SHORT),
    "fast-batch-16": (replace(_FAST, batch=16), SHORT),
    "fast-batch-256": (replace(_FAST, batch=256), SHORT),
    **{
        f"large-{batch}-rate-{rate}": (replace(_FAST, batch=batch, rate=rate), LONG)
        for batch, rates in LARGE.items()
        for rate in rates
    },
    "fast-momentum-0": (replace(_FAST, momentum=0.0), SHORT),
    "fast-momentum-0.95": (replace(_FAST, momentum=0.95), SHORT),
    "fast-no-turns": (replace(_FAST, turns=False), SHORT),
}

SEEDS = {"fast-seed-1": 1, "fast-seed-2": 2}  # 0 for all others
# Logged on a busy machine, so that their seconds say nothing.
BUSY = {
    name
    for name in TRAININGS
    if "-seed-" in name or "large-" in name or ("-but-" in name and "-rate-" in name)
}

# The figure's panels: by title, their curves by label.
PANELS: dict[str, dict[str, str]] = {
    "From the paper's recipe to this one": {
        "the paper's": "paper",
        "+ He initialisation, clipping": "paper-he",
        "+ rate x 23": "paper-he-rate",
        "+ falling rate, Nesterov": "paper-he-rate-falling",
        "+ batches of 32, turns (sgd)": "sgd",
        "+ orthogonal steps, no clipping": "sgd-orthogonal",
        "+ contrast, batches of 64, last layer 0.3 (fast)": "fast",
    },
    "The optimiser, at several rates": {
        "SGD, 0.25": "fast-but-sgd-rate-0.25",
        "SGD, 1": "fast-but-sgd",
        "SGD, 4": "fast-but-sgd-rate-4",
        "Adam, 0.00025": "fast-but-adam-rate-0.00025",
        "Adam, 0.001": "fast-but-adam",
        "Adam, 0.004": "fast-but-adam-rate-0.004",
        "Adam, 0.016": "fast-but-adam-rate-0.016",
        "SGD, orthogonal steps, 0.005 (fast)": "fast-long",
    },
    "Initialisation; three seeds": {
        "contrast (fast)": "fast",
        "contrast, another seed": "fast-seed-1",
        "contrast, a third": "fast-seed-2",
        "He": "fast-he",
        "N(0, 0.001²)": "fast-gaussian",
    },
    "Rate": {
        "0.00125": "fast-rate-0.00125",
        "0.005 (fast)": "fast",
        "0.02": "fast-rate-0.02",
    },
    "Rate of the last layer, to the others'": {
        "0.03": "fast-last-0.03",
        "0.3 (fast)": "fast",
        "1": "fast-last-1",
    },
    "Schedule, averaging of weights": {
        "falling (fast)": "fast",
        "falling, averaged": "fast-averaged",
        "constant": "fast-constant",
        "constant, averaged": "fast-constant-averaged",
    },
    "Sub-images in a batch": {
        "16": "fast-batch-16",
        "64 (fast)": "fast",
        "256": "fast-batch-256",
    },
    "Large batches, 400,000 sub-images": {
        "64, 0.005 (fast)": "fast-long",
        **{
            f"{batch}, {rate}": f"large-{batch}-rate-{rate}"
            for batch, rates in LARGE.items()
            for rate in rates
        },
    },
    "Momentum": {
        "none": "fast-momentum-0",
        "0.9 (fast)": "fast",
        "0.95": "fast-momentum-0.95",
    },
    "Flips and rotations": {"at random (fast)": "fast", "none": "fast-no-turns"},
}

FILTERS = ((32, 16), (64, 32), (128, 64))


def main() -> None:
    """Run the missing trainings, draw the figures, print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recipes", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "data", metavar="DIR", nargs="?", help="holds T91 and Set5; without it nothing is trained"
    )
    options = parser.parse_args()
    if options.data is not None:
        run(Path(options.data))
        for row in first_gradients(Path(options.data)):
            print(row)
    logs = {path.stem: read_log(path) for path in sorted(RESULTS.glob("*.csv"))}
    if not logs:
        raise InputError(f"there are no logs in {RESULTS}; give a folder of T91 and Set5")
    for row in rows(logs):
        print(row)
    figure = paper.figures("Set5", SCALE)["SRCNN 9-1-5, 91 images"]["psnr"]
    for name in (name for name in TRAININGS if name in logs):
        if row := first_above(logs[name], figure):
            print(f"{name} passes {figure} dB at {row['sub_images']:,.0f}, {row['seconds']:.0f} s")
    draw(logs)
    print(f"drawn: {RESULTS.parent / 'recipes.png'}, {RESULTS.parent / 'filters.png'}")


def run(data: Path) -> None:
    """Train whatever has no log yet."""
    RESULTS.mkdir(exist_ok=True)
    pictures = read_folder(data / "T91")[0]
    watched = read_folder(data / "Set5")[0]
    recipes = {name: (recipe, (64, 32), n) for name, (recipe, n) in TRAININGS.items()}
    recipes |= {f"filters-{n[0]}-{n[1]}": (_FAST, n, None) for n in FILTERS}
    for name, (recipe, filters, sub_images) in recipes.items():
        if (RESULTS / f"{name}.csv").exists():
            continue
        print(name, file=sys.stderr, flush=True)
        learnt, held_out = hold_out(pictures, SCALE, recipe.size)
        model = Model(SRCNN(STRUCTURE, filters=filters), SCALE)
        if sub_images is None:
            epochs = epochs_in(MINUTES, model, learnt, recipe)
        else:
            epochs = sub_images / len(
                cut_sub_images(learnt, SCALE, size=recipe.size, stride=recipe.stride)
            )
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "model.npz")
            train(
                model,
                learnt,
                held_out,
                replace(recipe, epochs=epochs),
                seed=SEEDS.get(name, 0),
                validations=30,
                watched=watched,
                out=out,
            )
            shutil.copy(log_path(out), RESULTS / f"{name}.csv")


def first_gradients(data: Path) -> list[str]:
    """Return what can be measured before the first update, as rows of docs/training.md.

    These are, for each start and layer, the gradient's norm and its singular values 1, 2, 3 and
    10, in units of the first; for 9 x 9 patches, the share of directions 1, 10 and 40 in their
    mean square; and how far gradient descent gets with a single filter.
    """
    learnt, _ = hold_out(read_folder(data / "T91")[0], SCALE)
    network = SRCNN(STRUCTURE)
    sub_images = cut_sub_images(learnt, SCALE, margin=network.margin)
    some = np.random.default_rng(0).permutation(len(sub_images))[:512]
    x, target = sub_images.batch(some)
    found = []
    for init in ("gaussian", "he", "contrast"):
        network.initialise(init, seed=0)
        _, grads = network.loss_and_gradients(x, target, "pictures")
        for layer in ("conv1", "conv2", "conv3"):
            g = grads[f"{layer}.w"]
            s = np.linalg.svd(as_matrix(g), compute_uv=False)
            values = ", ".join(f"{value / s[0]:.2g}" for value in s[[0, 1, 2, 9]])
            found.append(f"| {init} | {layer} | {np.linalg.norm(g):.2g} | {values} |")

    patches = np.lib.stride_tricks.sliding_window_view(x[:, 0], (9, 9), (1, 2))
    patches = patches[:, 2:23, 2:23].reshape(-1, 81).astype(np.float64)  # around target's pixels
    shares, psnrs = single_filter(patches, target.ravel().astype(np.float64))
    one, ten, forty = 100 * shares[[0, 9, 39]]
    found.append(f"| share | {one:.1f}% | {ten:.3f}% | {forty:.5f}% |")
    found.append("| PSNR | " + " | ".join(f"{psnr:.2f}" for psnr in psnrs) + " |")
    return found


STEPS = (10, 1_000, 10_000, 100_000, 1_000_000)


def single_filter(patches: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Compute how gradient descent fits one filter w that makes `target` of patches.

    Let H be the mean of patch · patchᵀ, and λ its eigenvalues. n steps of the rate 1/λ1 from w = 0
    leave (1 - λi/λ1)^n of the way to the best filter along the direction i.

    Returns
    -------
    shares : (taps,) array
        λ / Σ λ, the largest first.
    psnrs : list of float
        Of the patches' middle pixels as they are, after each number of `STEPS`, and of the best
        filter.
    """
    H, c = patches.T @ patches / len(patches), patches.T @ target / len(patches)
    eigenvalues, directions = np.linalg.eigh(H)  # ascending
    best = directions.T @ c / eigenvalues
    left = (1 - eigenvalues / eigenvalues[-1]) ** np.array([*STEPS, np.inf])[:, None]
    filters = directions @ (best * (1 - left)).T  # (taps, steps)
    answers = np.column_stack([patches[:, patches.shape[1] // 2], patches @ filters])
    errors = np.mean((answers - target[:, None]) ** 2, axis=0)
    return eigenvalues[::-1] / eigenvalues.sum(), (-10 * np.log10(errors)).tolist()


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the rows of a training's log that have a PSNR."""
    return [row for row in checkpoint.read_log(path) if row["psnr"] is not None]


def rows(logs: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return each training's last figures, as rows of the tables in docs/training.md.

    They are sub-images, seconds, and PSNR in dB on the held-out pictures and on Set5; for the
    numbers of filters also the paper's on Set5.
    """
    in_paper = {f"filters-{one}-{two}": psnr for (one, two), psnr in paper.BY_FILTERS.items()}
    return [
        f"| `{name}` | {log[-1]['sub_images']:,.0f} "
        f"| {'-' if name in BUSY else format(log[-1]['seconds'], '.0f')} "
        f"| {log[-1]['psnr']:.2f} | {log[-1]['watched']:.2f} |"
        + (f" {in_paper[name]} |" if name in in_paper else "")
        for name, log in ((name, logs[name]) for name in (*TRAININGS, *in_paper) if name in logs)
    ]


def first_above(log: list[dict[str, float]], psnr: float) -> dict[str, float] | None:
    """Return the first row with more than `psnr` dB on Set5."""
    return next((row for row in log if row["watched"] > psnr), None)


def draw(logs: dict[str, list[dict[str, float]]]) -> None:
    """Write recipes.png, a panel for each of PANELS, and filters.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(5, 2, figsize=(12, 23), layout="constrained")
    for axis, (title, curves) in zip(axes.flat, PANELS.items(), strict=True):
        for label, name in curves.items():
            if name in logs:
                _curve(axis, logs[name], "sub_images", label)
        _finish(axis, title, "sub-images seen (back-propagations)")
    axes[0, 0].set_ylim(8, 35)  # where the paper's recipe begins
    figure.savefig(RESULTS.parent / "recipes.png", dpi=80)

    figure, axis = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for one, two in FILTERS:
        if log := logs.get(f"filters-{one}-{two}"):
            in_paper = paper.BY_FILTERS[one, two]
            _curve(axis, log, "seconds", f"{one}-{two} filters (the paper: {in_paper} dB)")
    _finish(axis, "The number of filters, at equal time", "seconds on two cores")
    figure.savefig(RESULTS.parent / "filters.png", dpi=80)


def _curve(axis, log: list[dict[str, float]], x: str, label: str) -> None:
    psnrs = [row["watched"] for row in log]
    axis.plot([row[x] for row in log], psnrs, label=f"{label}: {psnrs[-1]:.2f} dB")


def _finish(axis, title: str, x: str) -> None:
    figures = paper.figures("Set5", SCALE)
    for name, style in (("bicubic", ":"), ("SRCNN 9-1-5, 91 images", "--")):
        value = figures[name]["psnr"]
        axis.axhline(value, color="gray", linestyle=style)
        axis.annotate(
            f"{name}: {value} dB",
            (0.02, value),
            (0, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=8,
        )
    axis.set(title=title, xlabel=x, ylabel="Set5, x3: PSNR in dB", ylim=(29, 32.8))
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="lower right", fontsize=8)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"recipes: error: {error}")
    except KeyboardInterrupt:
        sys.exit("recipes: interrupted")
