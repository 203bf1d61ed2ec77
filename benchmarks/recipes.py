"""Measure each part of the recipe, and of the network, by trainings that differ in that part.

The trainings' curves are drawn. A training's log has the PSNR on Set5 by the number of sub-images
("back-propagations" in the paper), and goes to ``results/recipes/NAME.csv``. A training with a log
is not run again. The figures and tables are made from the logs alone.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from srcnn_np import SRCNN, Model, checkpoint, paper
from srcnn_np.checkpoint import log_path
from srcnn_np.data import cut_sub_images, hold_out, read_folder, shrink
from srcnn_np.errors import InputError
from srcnn_np.evaluation import as_measured
from srcnn_np.imaging import (
    enlarge,
    list_pictures,
    psnr,
    read_picture,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from srcnn_np.optim import as_matrix
from srcnn_np.training import epochs_in, train

from .trainings import BUSY, MINUTES, PANELS, SCALE, STUDIES, TRAININGS

RESULTS = Path(__file__).parent / "results" / "recipes"
COLOUR = RESULTS / "colour.json"


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
    print(
        "| training | sub-images | seconds | PSNR held out, dB | Set5 | the paper, if it has it |"
    )
    for row in rows(logs):
        print(row)
    figure = paper.figures("Set5", SCALE)["SRCNN 9-1-5, 91 images"]["psnr"]
    for name in (name for name in TRAININGS if name in logs):
        if row := first_above(logs[name], figure):
            seconds = "" if name in BUSY else f", {row['seconds']:.0f} s"
            print(f"{name} passes {figure} dB at {row['sub_images']:,.0f}{seconds}")
    draw(logs)
    print(
        "| training | Y | Cb | Cr | these together | R, G, B | the paper: Y | Cb | Cr | together |"
    )
    for row in colour_rows(json.loads(COLOUR.read_text()) if COLOUR.exists() else {}):
        print(row)
    print(f"drawn in {RESULTS.parent}: recipes.png, studies.png, filters.png")


def run(data: Path) -> None:
    """Run the trainings without a log; if one in colour has none, run all those in colour."""
    RESULTS.mkdir(exist_ok=True)
    in_colour = [name for name in TRAININGS if name.startswith("colour-")]

    @cache
    def trained(name: str) -> Model:
        begin = TRAININGS[name].begins_with
        return _trained(data, name, trained(begin) if begin else None)

    for name in TRAININGS:
        if name not in in_colour and not (RESULTS / f"{name}.csv").exists():
            trained(name)
    if not all(path.exists() for path in (COLOUR, *(RESULTS / f"{n}.csv" for n in in_colour))):
        found = {"bicubic": by_channel(data, None)}
        for name in in_colour:
            found[name] = by_channel(data, trained(name))
        COLOUR.write_text(json.dumps(found, indent=1) + "\n")


def _trained(data: Path, name: str, begin: Model | None) -> Model:
    """Run one training, keep its log, and return its model."""
    print(name, file=sys.stderr, flush=True)
    training = TRAININGS[name]
    recipe, colour = training.recipe, "luma" if training.colour == "luma" else "ycbcr"
    learnt, _ = hold_out(_pictures(data / "T91", training.colour), SCALE, recipe.size)
    _, held_out = hold_out(_pictures(data / "T91", colour), SCALE, recipe.size)
    kind = InRGB if training.colour == "rgb" else SRCNN
    channels = 1 if colour == "luma" else 3
    network = kind(training.structure, filters=training.filters, channels=channels)
    if begin is not None:
        begin_with_luma(network, begin.network)
    model = Model(network, SCALE, colour)
    if training.sub_images is None:
        epochs = epochs_in(MINUTES, model, learnt, recipe)
    else:
        epochs = training.sub_images / len(
            cut_sub_images(learnt, SCALE, size=recipe.size, stride=recipe.stride)
        )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "model.npz")
        train(
            model,
            learnt,
            held_out,
            replace(recipe, epochs=epochs),
            seed=training.seed,
            validations=30,
            watched=_pictures(data / "Set5", colour),
            out=out,
        )
        shutil.copy(log_path(out), RESULTS / f"{name}.csv")
    return model


@cache
def _pictures(folder: Path, colour: str) -> Sequence[np.ndarray]:
    """Read the pictures of a folder, as luma, "ycbcr" or "rgb"."""
    if colour == "rgb":
        return [read_picture(path).pixels for path in list_pictures(folder)[0]]
    return read_folder(folder, colour)[0]


class InRGB(SRCNN):
    """An SRCNN of R, G and B. `predict` takes Y, Cb and Cr, so that it is measured like others."""

    def predict(self, picture: np.ndarray) -> np.ndarray:
        """Return what `SRCNN.predict` makes of R, G and B, as Y, Cb and Cr."""
        return rgb_to_ycbcr(super().predict(ycbcr_to_rgb(picture)))


def begin_with_luma(network: SRCNN, luma: SRCNN) -> None:
    """Let a network of Y, Cb and Cr begin with a luma network's weights, and so with its Y.

    At first, the filters ignore Cb and Cr. The last layer's filters for Cb and Cr are drawn at
    random.
    """
    first = next(name for name in network.params if name.endswith(".w"))
    network.initialise("contrast", seed=0)
    for name, p in luma.params.items():
        if name == first:
            network.params[name].fill(0)
            network.params[name][:, :1] = p
        else:
            network.params[name][: len(p)] = p


def by_channel(data: Path, model: Model | None) -> dict[str, float]:
    """Return mean PSNRs in dB on Set5: Y, Cb, Cr, these three together, and R, G, B together.

    Each channel goes through the protocol's steps. A model of luma leaves Cb and Cr to bicubic
    interpolation. Without a model (None), bicubic interpolation makes all three.
    """
    found = []
    for picture in _pictures(data / "Set5", "ycbcr"):
        target, small = shrink(picture, SCALE)
        result = enlarge(small, SCALE)
        if model is not None and model.colour == "luma":
            result[..., 0] = model.network.predict(result[..., 0])
        elif model is not None:
            result = model.network.predict(result)
        a, b = (
            np.dstack([as_measured(channel, SCALE) for channel in np.moveaxis(six, 2, 0)])
            for six in (np.dstack([x, ycbcr_to_rgb(x)]) for x in (result, target))
        )
        parts = {"Y": 0, "Cb": 1, "Cr": 2, "YCbCr": slice(3), "RGB": slice(3, 6)}
        found.append({n: psnr(a[..., part], b[..., part], peak=255) for n, part in parts.items()})
    return {name: float(np.mean([psnrs[name] for psnrs in found])) for name in found[0]}


def colour_rows(found: dict[str, dict[str, float]]) -> list[str]:
    """Return the table of `by_channel` in docs/training.md; the paper's figures end each row."""
    rows = []
    for name, psnrs in found.items():
        in_paper = paper.BY_COLOUR.get(name.removeprefix("colour-"))
        cells = [f"{value:.2f}" for value in (*psnrs.values(), *(in_paper or ()))]
        rows.append(f"| `{name}` | {' | '.join(cells + ['-'] * (not in_paper) * 4)} |")
    return rows


def first_gradients(data: Path) -> list[str]:
    """Return what can be measured before the first update, as rows of docs/training.md.

    For each start and layer, they have the gradient's norm, and its singular values 1, 2, 3 and 10
    divided by the first. For 9 x 9 patches, they have the share of directions 1, 10 and 40 in the
    patches' mean square. Last comes how far gradient descent gets with a single filter.
    """
    learnt, _ = hold_out(read_folder(data / "T91")[0], SCALE)
    network = SRCNN("9-1-5")
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
    """Compute how gradient descent fits one filter w that makes `target` from patches.

    Let H be the mean of patch · patchᵀ, and λ its eigenvalues. After n steps of the rate 1/λ1 from
    w = 0, (1 - λi/λ1)^n of the way to the best filter is left along the direction i.

    Returns
    -------
    shares : (taps,) array
        λ / Σ λ, the largest first.
    psnrs : list of float
        PSNR in dB of the patches' middle pixels unchanged, of the filter after each number of steps
        in `STEPS`, and of the best filter.
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

    A row has sub-images, seconds, and the PSNR in dB on the held-out pictures and on Set5. For the
    numbers and sizes of filters, it also has the paper's PSNR on Set5.
    """
    in_paper = {f"filters-{one}-{two}": psnr for (one, two), psnr in paper.BY_FILTERS.items()}
    in_paper |= {f"sizes-{sizes}": psnr for sizes, psnr in paper.BY_SIZES.items()}
    return [
        f"| `{name}` | {log[-1]['sub_images']:,.0f} "
        f"| {'-' if name in BUSY else format(log[-1]['seconds'], '.0f')} "
        f"| {log[-1]['psnr']:.2f} | {log[-1]['watched']:.2f} |"
        + (f" {in_paper[name]:.2f} |" if name in in_paper else "")
        for name, log in ((name, logs[name]) for name in TRAININGS if name in logs)
    ]


def first_above(log: list[dict[str, float]], psnr: float) -> dict[str, float] | None:
    """Return the first row with more than `psnr` dB on Set5."""
    return next((row for row in log if row["watched"] > psnr), None)


def draw(logs: dict[str, list[dict[str, float]]]) -> None:
    """Write recipes.png and studies.png, with a panel for each title, and filters.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    for panels, rows, file in ((PANELS, 5, "recipes.png"), (STUDIES, 2, "studies.png")):
        figure, axes = pyplot.subplots(rows, 2, figsize=(12, 4.6 * rows), layout="constrained")
        for axis, (title, curves) in zip(axes.flat, panels.items(), strict=True):
            for label, name in curves.items():
                if name in logs:
                    _curve(axis, logs[name], "sub_images", label)
            _finish(axis, title, "sub-images seen (back-propagations)")
        if panels is PANELS:
            axes[0, 0].set_ylim(8, 35)  # where the paper's recipe begins
        figure.savefig(RESULTS.parent / file, dpi=80)

    figure, axis = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for (one, two), in_paper in paper.BY_FILTERS.items():
        if log := logs.get(f"filters-{one}-{two}"):
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
