"""Measure what `upscale` does to pictures as people have them: JPEG, noise, other sizes.

Small pictures are harmed, `upscale` enlarges them with the model that it chooses itself, and luma
is compared with the original's, as PSNR over bicubic interpolation of the same picture.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from srcnn_np import InputError, upscale
from srcnn_np.data import to_channels
from srcnn_np.degradation import through_jpeg, with_noise
from srcnn_np.imaging import Picture, imresize, list_pictures, psnr, read_picture, ssim

RESULT = Path(__file__).parent / "results" / "photographs.json"
SETS = ("Set5", "Set14")
SCALES = (2, 3, 4)
QUALITIES = (95, 90, 75, 50, 30, 10)
NOISES = (5, 10, 20)
SIZES = (1.5, 2.5, 3.5)


def main() -> None:
    """Measure, and print the tables; without a folder print what was measured."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.photographs", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("data", metavar="DIR", nargs="?", help="holds Set5 and Set14")
    options = parser.parse_args()
    if options.data is not None:
        RESULT.write_text(json.dumps(measured(Path(options.data)), indent=1) + "\n")
    print(tables(json.loads(RESULT.read_text())))


def measured(data: Path) -> dict:
    """The mean gains in PSNR and SSIM over all pictures, by harm and scale."""
    paths = [path for name in SETS for path in list_pictures(data / name)[0]]
    originals = [read_picture(path).pixels for path in paths]
    found: dict[str, dict] = {}
    for scale in (*SCALES, *SIZES):
        print(f"x{scale:g} ...", file=sys.stderr, flush=True)
        found[f"x{scale:g}"] = {
            name: _gain(originals, scale, harm) for name, harm in _harms(scale).items()
        }
    return found


def _harms(scale: float) -> dict[str, Callable[[np.ndarray, int], Picture]]:
    """What is done to the small picture of a number."""
    harms = {"none": lambda small, n: Picture(small)}
    if scale in SCALES:
        for quality in QUALITIES:
            for way in ("4:2:0", "4:4:4"):
                harms[f"JPEG {quality} {way}"] = lambda small, n, q=quality, w=way: Picture(
                    through_jpeg(small, q, w), quality=q
                )
        for sigma in NOISES:
            harms[f"noise {sigma}"] = lambda small, n, s=sigma: Picture(
                with_noise(small, s, np.random.default_rng(n))
            )
    return harms


def _gain(
    originals: list[np.ndarray], scale: float, harm: Callable[[np.ndarray, int], Picture]
) -> dict[str, float]:
    gains = []
    for n, original in enumerate(originals):
        size = tuple(round(side / scale) for side in original.shape[:2])
        if scale in SCALES:  # as the protocol crops
            size = tuple(side // scale for side in original.shape[:2])
            original = original[: scale * size[0], : scale * size[1]]
        small = harm(imresize(original, size=size), n)
        target = _luma(original)
        edge = int(np.ceil(scale))
        inside = np.s_[edge:-edge, edge:-edge]
        values = []
        for model in (None, "bicubic"):
            result = _luma(upscale(small, model=model, size=original.shape[:2]).pixels)
            pair = result[inside], target[inside]
            values.append((psnr(*pair, peak=255), ssim(*pair, peak=255)))
        gains.append(np.subtract(*values))
    mean = np.mean(gains, axis=0)
    return {"psnr": round(float(mean[0]), 3), "ssim": round(float(mean[1]), 5)}


def _luma(pixels: np.ndarray) -> np.ndarray:
    return to_channels(Picture(pixels)).astype(float)


def tables(found: dict) -> str:
    """What was measured as tables of Markdown."""
    harms = list(found["x2"])
    lines = ["| the small picture | x2 | x3 | x4 |", "| --- | --- | --- | --- |"]
    for harm in harms:
        cells = (f"{found[f'x{s}'][harm]['psnr']:+.2f}" for s in SCALES)
        lines.append(f"| {harm} | {' | '.join(cells)} |")
    sizes = [f"x{scale:g}" for scale in SIZES]
    lines += ["", f"| | {' | '.join(sizes)} |", f"| --- |{' --- |' * len(sizes)}"]
    gains = (f"{found[size]['none']['psnr']:+.2f}" for size in sizes)
    lines.append(f"| none | {' | '.join(gains)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"photographs: error: {error}")
