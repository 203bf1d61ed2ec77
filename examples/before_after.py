"""Make a photograph small, enlarge it again, and set the results beside the original.

    python examples/before_after.py                # the picture in README
    python examples/before_after.py --jpeg 50      # the other one: saved as JPEG when small
    python examples/before_after.py photo.png --at 100 80 --out mine.png

The figure shows the same square of each picture, magnified twice. From left to right: the small
picture's pixels, bicubic interpolation, the network, and the photograph as it was. For a JPEG there
are two networks: the one for clean pictures, and the one that `upscale` chooses.
"""

import argparse
import sys

import numpy as np

from srcnn_np import InputError, default_model, upscale
from srcnn_np.choice import choose
from srcnn_np.degradation import through_jpeg
from srcnn_np.evaluation import evaluate_picture, measure
from srcnn_np.imaging import Picture, imresize, read_picture, rgb_to_luma, write_picture
from srcnn_np.output import check_output

SIDE = 132  # of the square, in pixels of the photograph


def main() -> None:
    """Shrink, enlarge, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photo", nargs="?", help="in colour (scikit-image's astronaut)")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), default=3)
    parser.add_argument(
        "--at", type=int, nargs=2, default=(60, 150), metavar=("TOP", "LEFT"), help="the square"
    )
    parser.add_argument("--jpeg", type=int, metavar="Q", help="quality of the small picture's file")
    parser.add_argument("--out", metavar="PNG", default="before_after.png")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    options = parser.parse_args()
    check_output(options.out, force=options.force)
    scale = options.scale
    pixels = astronaut() if options.photo is None else read_picture(options.photo).pixels
    if pixels.ndim != 3:
        raise InputError(f"{options.photo} is grey; give a photograph in colour")
    H, W = (side // scale * scale for side in pixels.shape[:2])
    top, left = options.at
    if not (0 <= top <= H - SIDE and 0 <= left <= W - SIDE):
        raise InputError(
            f"--at {top} {left}: a square of {SIDE} x {SIDE} there is not within {W} x {H}"
        )

    photo = pixels[:H, :W]
    model = default_model(scale)
    small = imresize(photo, size=(H // scale, W // scale))
    models = {"bicubic": "bicubic", "model": model}
    if options.jpeg is not None:
        given = Picture(through_jpeg(small, options.jpeg), quality=options.jpeg)
        small = given.pixels
        name, _ = choose(given, scale)
        models = {"bicubic": "bicubic", "model for clean pictures": model, f"model {name}": name}
    results = {name: upscale(small, scale, one) for name, one in models.items()}
    if options.jpeg is None:
        measures = evaluate_picture(rgb_to_luma(photo), scale, model)
    else:
        luma = rgb_to_luma(photo).astype(float)
        measures = {
            name: measure(rgb_to_luma(result) / 255, luma / 255, scale)
            for name, result in results.items()
        }
    for name in results:
        print(f"{name}: {measures[name]['psnr']:.2f} dB")
    panels = {
        "small": np.kron(small, np.ones((scale, scale, 1), np.uint8)),
        **results,
        "photograph": photo,
    }
    squares = [p[top : top + SIDE, left : left + SIDE] for p in panels.values()]
    magnified = np.hstack(squares).repeat(2, axis=0).repeat(2, axis=1)
    write_picture(options.out, Picture(magnified), force=options.force)


def astronaut() -> np.ndarray:
    """Return scikit-image's Eileen Collins, by NASA, public domain: (512, 512, 3) uint8."""
    from skimage import data

    return data.astronaut()


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"before_after.py: error: {error}")
