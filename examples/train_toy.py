"""Train an SRCNN from nothing, in a minute, without a download, and see what it learnt.

    python examples/train_toy.py

Draws pictures of overlapping shapes, trains a 9-1-5 on them with stochastic gradient
descent, and lets it sharpen photographs, of which it never saw any: those that come
with scikit-image, or your own with --photos DIR.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from srcnn_np import RECIPES, SRCNN, InputError, Model, draw_pictures, save_model, train
from srcnn_np.data import hold_out, read_folder, shrink, to_channels
from srcnn_np.evaluation import check_measurable, evaluate_picture
from srcnn_np.imaging import Picture, enlarge
from srcnn_np.output import check_output, writing
from srcnn_np.training import History

SCALE = 3
OUTPUTS = ("model.npz", "result.json", "before_after.png", "loss.png", "filters.png")


def main() -> None:
    """Draw, train, measure, show."""
    options = parse_arguments()
    out = Path(options.out)
    photos = scikit_image_photos() if options.photos is None else read_folder(options.photos)[0]
    for photo in photos.values():
        check_measurable(photo, SCALE)
    out.mkdir(parents=True, exist_ok=True)
    for name in OUTPUTS:
        check_output(out / name, force=options.force)

    start = time.monotonic()
    pictures, held_out = hold_out(draw_pictures(48, seed=options.seed), SCALE)
    print(f"drew {len(pictures) + len(held_out)} pictures in {time.monotonic() - start:.1f} s")

    recipe = replace(RECIPES["fast"], epochs=4.5)
    model = Model(SRCNN("9-1-5"), SCALE)
    history = train(model, pictures, held_out, recipe, seed=options.seed)
    model.network.params = history.best

    print(f"\nPSNR in dB, x{SCALE}        bicubic   SRCNN")
    images = []
    for name, photo in photos.items():
        images.append({"name": name, **evaluate_picture(photo, SCALE, model)})
        print_row(name, images[-1])
    mean = {m: {"psnr": mean_psnr(images, m)} for m in ("bicubic", "model")}
    print_row("mean", mean)

    save_model(out / "model.npz", model, force=options.force)
    save_figures(out, model, history, photos, options)
    result = {
        "scale": SCALE,
        "images": images,
        "mean": mean,
        "sub_images_seen": history.rows[-1]["sub_images"],
        "seconds": round(time.monotonic() - start, 1),
    }
    with writing(out / "result.json", force=options.force) as part:
        part.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{result['seconds']:.0f} s in all; {', '.join(OUTPUTS)} are in {out}/")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", metavar="DIR", help="measure on these photographs")
    parser.add_argument("--out", metavar="DIR", default="toy", help="where results go (toy)")
    parser.add_argument("--seed", type=int, default=0, help="a whole number of at least 0")
    parser.add_argument("--force", action="store_true", help="replace results of an earlier run")
    options = parser.parse_args()
    if options.seed < 0:
        parser.error("--seed is a whole number of at least 0")
    return options


def scikit_image_photos() -> dict[str, np.ndarray]:
    """Luma of the photographs in scikit-image's wheel, uint8 (H, W), by name."""
    from skimage import data

    names = ("astronaut", "camera", "chelsea", "coffee", "rocket")
    return {name: to_channels(Picture(getattr(data, name)())) for name in names}


def print_row(name: str, measures: dict) -> None:
    """Print one line of the table."""
    bicubic, srcnn = measures["bicubic"]["psnr"], measures["model"]["psnr"]
    print(f"{name:20}  {bicubic:8.2f}{srcnn:8.2f}   {srcnn - bicubic:+.2f}")


def mean_psnr(images: list[dict], method: str) -> float:
    """Mean over the photographs, in dB."""
    return float(np.mean([image[method]["psnr"] for image in images]))


def save_figures(
    out: Path,
    model: Model,
    history: History,
    photos: dict[str, np.ndarray],
    options: argparse.Namespace,
) -> None:
    """Write before_after.png, loss.png and filters.png."""
    import matplotlib

    matplotlib.use("Agg")  # draws to files, needs no screen
    start = SRCNN("9-1-5", init=RECIPES["fast"].init, seed=options.seed)
    figures = {
        "before_after.png": before_after(model, photos),
        "loss.png": loss_curve(history),
        "filters.png": first_layer(model, start),
    }
    for name, figure in figures.items():
        with writing(out / name, force=options.force) as part:
            figure.savefig(part, dpi=120)


def before_after(model: Model, photos: dict[str, np.ndarray]):
    """Bicubic, SRCNN and the original: a piece of the first photographs, side by side."""
    from matplotlib import pyplot

    shown = list(photos.items())[:3]
    figure, axes = pyplot.subplots(
        len(shown), 3, figsize=(9, 3.2 * len(shown)), squeeze=False, layout="constrained"
    )
    for row, (name, photo) in zip(axes, shown, strict=True):
        target, small = shrink(photo, SCALE)
        plain = enlarge(small, SCALE)
        restored = model.network.predict(plain)
        side = min(120, *target.shape)
        top, left = ((n - side) // 3 for n in target.shape)
        titles = (f"{name}, bicubic", "SRCNN", "original")
        for axis, title, picture in zip(row, titles, (plain, restored, target), strict=True):
            piece = picture[top : top + side, left : left + side]
            axis.imshow(piece, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(title)
            axis.set_axis_off()
    return figure


def loss_curve(history: History):
    """The loss on the training's own sub-images, and the PSNR on drawn pictures held out."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.semilogy(*columns(history.rows, "loss"))
    left.set(xlabel="sub-images seen", ylabel="mean squared error", title="training")
    right.plot(*columns(history.validations, "psnr"), marker="o", label="SRCNN")
    right.axhline(history.bicubic["psnr"], color="gray", linestyle="--", label="bicubic")
    right.set(xlabel="sub-images seen", ylabel="PSNR in dB", title="held-out drawn pictures")
    right.legend()
    return figure


def columns(rows: list[dict], name: str) -> tuple[list, list]:
    """Sub-images seen, and one of the other columns."""
    return [row["sub_images"] for row in rows], [row[name] for row in rows]


def first_layer(model: Model, start: SRCNN):
    """The 64 filters of the first layer, and what training added to the random start."""
    from matplotlib import pyplot

    after = model.network.params["conv1.w"][:, 0]  # (64, 9, 9)
    learnt = after - start.params["conv1.w"][:, 0]
    order = np.argsort(-np.abs(learnt).sum(axis=(1, 2)))  # what changed most comes first
    figure = pyplot.figure(figsize=(13, 7), layout="constrained")
    titles = ("first-layer filters", "what training added to their random start")
    for part, title, filters in zip(figure.subfigures(1, 2), titles, (after, learnt), strict=True):
        part.suptitle(f"{title} (mid-grey is 0)")
        for axis, k in zip(part.subplots(8, 8).flat, order, strict=True):
            limit = abs(filters[k]).max()
            axis.imshow(filters[k], cmap="gray", vmin=-limit, vmax=limit)
            axis.set_axis_off()
    return figure


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"train_toy.py: error: {error}")
    except KeyboardInterrupt:
        sys.exit("train_toy.py: interrupted")
