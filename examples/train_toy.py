"""Train an SRCNN from nothing, without a download, and see what it learnt.

    python examples/train_toy.py

This draws pictures of overlapping shapes, trains a 9-1-5 on them with stochastic gradient descent,
and lets it sharpen photographs that it never saw: those that come with scikit-image, or your own
with --photos DIR.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from srcnn_np import RECIPES, SRCNN, InputError, Model, draw_pictures, save_model, train
from srcnn_np.data import hold_out, read_folder, to_channels
from srcnn_np.evaluation import check_measurable, evaluate_picture
from srcnn_np.imaging import Picture
from srcnn_np.output import check_output, writing
from srcnn_np.training import History

try:
    from srcnn_np import figures
except InputError as error:  # matplotlib is not there
    sys.exit(f"train_toy.py: error: {error}")

SCALE = 3
OUTPUTS = ("model.npz", "result.json", "before_after.png", "loss.png", "filters.png")


def main() -> None:
    """Draw, train, measure, show."""
    options = parse_arguments()
    out = Path(options.out)
    photos = scikit_image_photos() if options.photos is None else photos_of(options.photos)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give a folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    for name in OUTPUTS:
        check_output(out / name, force=options.force)

    start = time.monotonic()
    pictures, held_out = hold_out(draw_pictures(48, seed=options.seed), SCALE)
    print(f"drew {len(pictures) + len(held_out)} pictures in {time.monotonic() - start:.1f} s")

    recipe = replace(RECIPES["sgd"], epochs=4.5)
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


def photos_of(folder: str) -> dict[str, np.ndarray]:
    """Return the luma of a folder's photographs that can be measured; name the others."""
    photos, skipped = read_folder(folder, grey_is_luma=True)
    measurable = {}
    for name, photo in zip(photos.names, photos, strict=True):
        try:
            check_measurable(photo, SCALE)
            measurable[name] = photo
        except InputError as error:
            skipped.append(f"{name}: {error}")
    for why in skipped:
        print(f"skipped {why}")
    if not measurable:
        raise InputError(f"{folder} holds no photograph that can be measured")
    return measurable


def scikit_image_photos() -> dict[str, np.ndarray]:
    """Return the luma of the photographs in scikit-image's wheel, uint8 (H, W), by name."""
    from skimage import data

    names = ("astronaut", "camera", "chelsea", "coffee", "rocket")
    return {name: to_channels(Picture(getattr(data, name)()), grey_is_luma=True) for name in names}


def print_row(name: str, measures: dict) -> None:
    """Print one line of the table."""
    bicubic, srcnn = measures["bicubic"]["psnr"], measures["model"]["psnr"]
    print(f"{name:20}  {bicubic:8.2f}{srcnn:8.2f}   {srcnn - bicubic:+.2f}")


def mean_psnr(images: list[dict], method: str) -> float:
    """Return the mean over the photographs, in dB."""
    return float(np.mean([image[method]["psnr"] for image in images]))


def save_figures(
    out: Path,
    model: Model,
    history: History,
    photos: dict[str, np.ndarray],
    options: argparse.Namespace,
) -> None:
    """Write before_after.png, loss.png and filters.png."""
    start = SRCNN("9-1-5", init=RECIPES["sgd"].init, seed=options.seed)
    drawn = {
        "before_after.png": figures.compare(next(iter(photos.values())), SCALE, model),
        "loss.png": figures.loss_curve(history.rows, history.bicubic["psnr"]),
        "filters.png": figures.filters(model, start.params),
    }
    for name, figure in drawn.items():
        figures.save(out / name, figure, force=options.force)


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"train_toy.py: error: {error}")
    except KeyboardInterrupt:
        sys.exit("train_toy.py: interrupted")
